"""Places and servers for the fault tests; a module may have others of these names."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_wfstore.testing.proxy import Proxy
from langgraph_wfstore.testing.redis_server import RedisServer

ENGINES = ("redis", "valkey")


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store that several processes open, on each engine that they can share."""
    if request.param == "sqlite":
        return str(tmp_path / "agent.db")
    server = request.getfixturevalue(f"{request.param}_url")
    return f"{server}?timeout=20&{'schema' if request.param == 'postgres' else 'prefix'}=place_{uuid.uuid4().hex}"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(engine: str) -> Iterator[RedisServer]:
    with RedisServer(engine) as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy
