"""Servers that tests share: one per process that runs tests, started when the first test asks for it."""

import pytest

from langgraph_wfstore.testing.postgres_server import served
from langgraph_wfstore.testing.redis_server import redis_url as redis_served


@pytest.fixture(scope="session")
def postgres_url():
    # Tests lose nothing by a crash of this server, and a commit is waited for a thousand times.
    with served(["fsync=off"]) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url():
    with redis_served("valkey") as url:
        yield url
