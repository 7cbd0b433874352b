"""The same operations, with the same secrets, ids and times, give the same record ids on every engine."""

from __future__ import annotations

import json
from pathlib import Path

import golden_threads
import pytest

from langgraph_wfstore import WfStore
from langgraph_wfstore.testing.redis_server import redis_url

FILE = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))["file"]


@pytest.fixture(params=["redis", "valkey"])
def keys(request):
    with redis_url(request.param) as url:
        yield f"{url}?prefix=golden"


def test_redis_gives_the_same_heads(keys):
    assert_golden(keys)


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgres"])
def test_every_golden_thread_has_the_same_head(engine, tmp_path, request):
    url = {"memory": ":memory:", "sqlite": str(tmp_path / "again.db")}.get(engine)
    if url is None:
        url = f"{request.getfixturevalue(f'{engine}_url')}?schema=golden"
    assert_golden(url)


def assert_golden(url):
    """Every golden thread, made there, has the head that the file has, and verifies."""
    with WfStore.open(url, lineage_secret=golden_threads.secrets().__next__) as store:
        golden_threads.build(store)
        found = {info.thread_id: {"records": info.records, "head": info.head} for info in store.threads()}
        assert found == FILE
        assert all(store.thread(name).verify().ok for name in FILE)
