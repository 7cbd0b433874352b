"""The contract on a cluster of three masters; threads, and what leads to them, lie in different slots.

Those parts that have to do with where things lie; with WFSTORE_TEST_WHOLE_CLUSTER=1 all of them, in minutes more.
"""

import os
import uuid

import pytest

from langgraph_wfstore.testing import AtUrl, contract_tests
from langgraph_wfstore.testing.redis_server import RedisCluster


@pytest.fixture(scope="module")
def cluster():
    with RedisCluster("valkey") as cluster:
        yield cluster


class Cluster(AtUrl):
    @pytest.fixture
    def url(self, cluster):
        return f"{cluster.url}?prefix={uuid.uuid4().hex}"


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
if os.environ.get("WFSTORE_TEST_WHOLE_CLUSTER") != "1":
    parts = {f"Test{name}": parts[f"Test{name}"] for name in PLACED}
globals().update(parts)
