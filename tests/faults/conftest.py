"""Redis and Valkey servers for the fault tests, one for each test; a module may have others of these names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langgraph_wfstore.testing.proxy import Proxy
from langgraph_wfstore.testing.redis_server import RedisServer

ENGINES = ("redis", "valkey")


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
