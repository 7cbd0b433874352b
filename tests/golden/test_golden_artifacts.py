"""The golden artifacts: the same bytes from every engine, and an old file is read for ever."""

from __future__ import annotations

import json

import golden_threads
import make_artifacts
import pytest

from langgraph_wfstore import WfStore
from langgraph_wfstore.testing.redis_server import redis_url

IDENTITIES = json.loads(make_artifacts.IDENTITIES.read_text("utf-8"))


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgres", "redis", "valkey"])
def test_every_engine_gives_the_same_artifacts(engine, tmp_path, request):
    if engine in ("redis", "valkey"):
        with redis_url(engine) as url:
            assert_golden(f"{url}?prefix=artifacts", tmp_path)
        return
    url = {"memory": ":memory:", "sqlite": str(tmp_path / "again.db")}.get(engine)
    if url is None:
        url = f"{request.getfixturevalue('postgres_url')}?schema=artifacts"
    assert_golden(url, tmp_path)


def assert_golden(url, tmp_path):
    """The golden threads, made there, have artifacts of the golden identities; one is the same to the last byte."""
    with WfStore.open(url, lineage_secret=golden_threads.secrets().__next__) as store:
        golden_threads.build(store)
        assert make_artifacts.identities(store, tmp_path) == IDENTITIES
        store.thread(make_artifacts.THREAD).export(tmp_path / "one.wfz")
    assert (tmp_path / "one.wfz").read_bytes() == make_artifacts.ARTIFACT.read_bytes()


def test_the_golden_artifact_is_imported_and_exported_as_it_was(tmp_path):
    with WfStore.open(":memory:") as store:
        thread = store.import_artifact(make_artifacts.ARTIFACT)
        assert thread.verify().ok and thread.thread_id == make_artifacts.THREAD
        assert thread.export(tmp_path / "again.wfz").identity == IDENTITIES[make_artifacts.THREAD]
    assert (tmp_path / "again.wfz").read_bytes() == make_artifacts.ARTIFACT.read_bytes()
