"""The contract on Redis 8, in short: what talks to the server in different ways, each once. Redis 6.2 has all of it."""

import uuid

import pytest

from langgraph_wfstore.testing import AtUrl, contract_tests
from langgraph_wfstore.testing.redis_server import redis_url


@pytest.fixture(scope="module")
def server():
    with redis_url("redis-8") as url:
        yield url


class Redis8(AtUrl):
    @pytest.fixture
    def url(self, server):
        return f"{server}?prefix={uuid.uuid4().hex}"


SHORT = [
    "PutAndGet",
    "Writes",
    "Leases",
    "Redaction",
    "DeleteThread",
    "Copies",
    "Verify",
]
parts = contract_tests(Redis8)
globals().update({f"Test{name}": parts[f"Test{name}"] for name in SHORT})
