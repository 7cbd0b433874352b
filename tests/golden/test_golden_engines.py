"""The same operations, with the same secrets, ids and times, give the same record ids on every engine."""

from __future__ import annotations

import json
from pathlib import Path

import golden_threads
import pytest

from langgraph_wfstore import WfStore

FILE = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))["file"]


@pytest.mark.parametrize("engine", ["memory", "sqlite", "postgres"])
def test_every_golden_thread_has_the_same_head(engine, tmp_path, request):
    url = {"memory": ":memory:", "sqlite": str(tmp_path / "again.db")}.get(engine)
    if url is None:
        url = f"{request.getfixturevalue(f'{engine}_url')}?schema=golden"
    with WfStore.open(url, lineage_secret=golden_threads.secrets().__next__) as store:
        golden_threads.build(store)
        found = {info.thread_id: {"records": info.records, "head": info.head} for info in store.threads()}
        assert found == FILE
        assert all(store.thread(name).verify().ok for name in FILE)
