"""The contract on a cluster of three masters; threads, and what leads to them, lie in different slots.

Those parts that have to do with where things lie; with WFSTORE_TEST_WHOLE=1 all of them, in minutes more.
"""

import uuid
from contextlib import ExitStack

import pytest
from whole import WHOLE, served_apis

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing import contract_tests
from langgraph_wfstore.testing.contract import APIS
from langgraph_wfstore.testing.redis_server import RedisCluster


@pytest.fixture(scope="module")
def cluster():
    with RedisCluster("valkey") as cluster:
        yield cluster


class Cluster:
    @pytest.fixture(params=served_apis("async"))
    def api(self, request, saver):
        with APIS[request.param](saver) as api:
            yield api

    @pytest.fixture
    def url(self, cluster):
        return f"{cluster.url}?prefix={uuid.uuid4().hex}"

    @pytest.fixture
    def saver(self, url):
        with WfStoreSaver(url) as saver:
            yield saver

    @pytest.fixture
    def reopen(self, saver, url):
        with ExitStack() as opened:
            yield lambda: opened.enter_context(WfStoreSaver(url))


PLACED = [
    "PutAndGet",
    "Idempotence",
    "Writes",
    "ThreadId",
    "ThreadList",
    "CausalOrder",
    "Branches",
    "BranchRuns",
    "Conflicts",
    "Leases",
    "Delta",
    "DeleteThread",
    "DeleteForRuns",
    "Prune",
    "RedactedBranches",
    "PruneBranches",
    "RetentionFloor",
    "Copies",
    "Concurrency",
    "Verify",
]

parts = contract_tests(Cluster)
if not WHOLE:
    parts = {f"Test{name}": parts[f"Test{name}"] for name in PLACED}
globals().update(parts)
