"""The contract on Valkey: one server for all, one prefix for each test."""

import uuid

import pytest

from langgraph_wfstore.testing import AtUrl, contract_tests
from langgraph_wfstore.testing.redis_server import redis_url


@pytest.fixture(scope="module")
def server():
    with redis_url("valkey") as url:
        yield url


class Valkey(AtUrl):
    @pytest.fixture
    def url(self, server):
        return f"{server}?prefix={uuid.uuid4().hex}"


globals().update(contract_tests(Valkey))
