"""The contract on a cluster of three masters; threads, and what leads to them, lie in different slots."""

import uuid
from contextlib import ExitStack

import pytest

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing import contract_tests
from langgraph_wfstore.testing.redis_server import RedisCluster


@pytest.fixture(scope="module")
def cluster():
    with RedisCluster("valkey") as cluster:
        yield cluster


class Cluster:
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


globals().update(contract_tests(Cluster))
