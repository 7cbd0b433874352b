"""The contract on Redis: one server for all, one prefix for each test."""

import uuid
from contextlib import ExitStack

import pytest
from whole import served_apis

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing import contract_tests
from langgraph_wfstore.testing.contract import APIS
from langgraph_wfstore.testing.redis_server import redis_url


@pytest.fixture(scope="module")
def server():
    with redis_url("redis") as url:
        yield url


class Redis:
    @pytest.fixture(params=served_apis("sync"))
    def api(self, request, saver):
        with APIS[request.param](saver) as api:
            yield api

    @pytest.fixture
    def url(self, server):
        return f"{server}?prefix={uuid.uuid4().hex}"

    @pytest.fixture
    def saver(self, url):
        with WfStoreSaver(url) as saver:
            yield saver

    @pytest.fixture
    def reopen(self, saver, url):
        with ExitStack() as opened:
            yield lambda: opened.enter_context(WfStoreSaver(url))


globals().update(contract_tests(Redis))
