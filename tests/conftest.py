"""Servers and places that tests share: a server is started once per process that runs tests, when one asks for it."""

import os
import tempfile
from pathlib import Path

import pytest

from langgraph_wfstore.testing.postgres_server import served
from langgraph_wfstore.testing.redis_server import redis_url as redis_served

_IN_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def postgres_url():
    # Tests lose nothing by a crash of this server, and a commit is waited for a thousand times.
    with served(["fsync=off"]) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url():
    with redis_served("valkey") as url:
        yield url


@pytest.fixture(scope="session")
def quick_folder():
    """A folder in memory, where there is one, for files that are synced a thousand times and survive no crash."""
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="wfstore-", dir=place) as name:
        yield Path(name)
