"""After delete_thread or a redaction no byte of the content is in the file, not even in pages that are free."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from random import Random
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
    monkeypatch.setattr(
        "langgraph_wfstore.backends.sqlite.append.pack", lambda data: b"\0" + data
    )  # so that it can be found
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


def fill(saver: WfStoreSaver) -> dict[str, list[str]]:
    """Threads that grow side by side, so that pages are split; gives the elements of their lists."""
    random, texts, configs = Random(1), {f"t{n}": [""] for n in range(12)}, {}
    for step in range(40):
        for name in random.sample(sorted(texts), 6):
            size = random.choice([30, 200, 3000])
            texts[name].append(f"mark-{name}-{step:04}-" + "".join(random.choice("abcdef") for _ in range(size)))
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = {"list": texts[name]}
            checkpoint["channel_versions"] = {"list": len(texts[name])}
            config: Any = configs.get(name, {"configurable": {"thread_id": name, "checkpoint_ns": ""}})
            configs[name] = saver.put(config, checkpoint, {"source": "loop", "step": step}, {"list": len(texts[name])})
            saver.put_writes(configs[name], [("list", texts[name][-1:])], "task")
    return texts


def left(path: Path, marks: Iterable[bytes]) -> set[bytes]:
    """Which of these bytes are in the file, in its log, or in any other file beside it."""
    files = [each.read_bytes() for each in path.parent.iterdir()]
    return {mark for mark in marks if any(mark in data for data in files)}


def test_nothing_of_what_was_redacted_is_left_in_the_file_or_its_log(tmp_path: Path, monkeypatch):
    for module in ("append", "rewrite"):
        monkeypatch.setattr(f"langgraph_wfstore.backends.sqlite.{module}.pack", lambda data: b"\0" + data)
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        texts = fill(saver)
        gone = {text[:30].encode() for name in ("t3", "t7") for text in texts[name] if text}
        kept = {text[:30].encode() for text in texts["t1"] if text}
        assert left(path, gone) == gone
        for name in ("t3", "t7"):
            saver.store.thread(name).redact(channels=["list"])
        assert (left(path, gone), left(path, kept)) == (set(), kept)
    assert (left(path, gone), left(path, kept)) == (set(), kept)


def test_nothing_of_the_compressed_bytes_and_of_the_secret_is_left(tmp_path: Path):
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        fill(saver)
        number = saver.store.views.tail("t3").row.lineage
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT data FROM object WHERE key >> 32 = ? AND form = 0", (number,)).fetchall()
            secret = db.execute("SELECT secret FROM lineage WHERE no = ?", (number,)).fetchone()[0]
        db.close()
        # An object that does not fit into a page lies in several; its beginning lies in one.
        marks = {data[:100] for (data,) in rows if len(data) > 100 and b"mark" not in data}
        assert left(path, marks) == marks and len(marks) > 5 and left(path, [secret]) == {secret}
        saver.store.thread("t3").redact(channels=["list"])
        assert left(path, {*marks, secret}) == set()
        with sqlite3.connect(path) as db:
            counts = db.execute(
                "SELECT count(*), count(nonce), count(lookup), max(length(data)) FROM object "
                "WHERE key >> 32 = ? AND form = 3",
                (number,),
            ).fetchone()
        db.close()
        assert counts[0] > 20 and counts[1:3] == (0, 0) and counts[3] < 80
