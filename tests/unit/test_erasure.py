"""After delete_thread no byte of the content is in the file, not even in pages that are free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from langgraph_wfstore import WfStoreSaver

MARKS = [f"mark-{number:04}-{'x' * 40}" for number in range(40)]


def put(saver: WfStoreSaver, thread_id: str, text: str) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"a": text.encode()}, {"a": 1}
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    stored = saver.put(config, checkpoint, {"source": "input", "step": -1}, {"a": 1})
    saver.put_writes(stored, [("a", text.encode())], "task")


@pytest.mark.parametrize("remove", ["delete_thread", "prune"])
def test_nothing_of_a_removed_thread_is_left_in_the_file(tmp_path: Path, remove: str, monkeypatch):
    monkeypatch.setattr("langgraph_wfstore.backends.sqlite.pack", lambda data: b"\0" + data)  # so that it can be found
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        put(saver, "kept", "this stays")
        for number, mark in enumerate(MARKS):
            put(saver, f"thread {number}", mark)
    assert all(mark.encode() in path.read_bytes() for mark in MARKS)
    with WfStoreSaver(path) as saver:
        for number in range(len(MARKS)):
            if remove == "delete_thread":
                saver.delete_thread(f"thread {number}")
            else:
                saver.prune([f"thread {number}"], strategy="delete")
    left = path.read_bytes()
    assert b"this stays" in left
    assert not [mark for mark in MARKS if mark.encode() in left]
