"""kill -9 at any moment: the file is sound, what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import random
import sqlite3
import time
from functools import partial
from pathlib import Path

import children
from killed_writer import Acknowledged, content_digest, parse, write_until_killed, writes_digest

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human

STORES = 25
KILLS_PER_STORE = 8
SEED = None  # set to the seed that a failure prints, to see it again


def test_what_was_acknowledged_survives_two_hundred_kills(tmp_path: Path) -> None:
    seed = SEED if SEED is not None else random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    kills = operations = silent = 0
    _warm_up(tmp_path / "warm.db")
    for store in range(STORES):
        path = tmp_path / f"{store}.db"
        known = Acknowledged()
        for kill in range(KILLS_PER_STORE):
            child = children.fork(partial(write_until_killed, str(path), f"{store}.{kill}"))
            # Some die while they open or create the file, most while they write.
            if chance.random() < 0.2:
                ended = child.listen(chance.uniform(0.0, 0.03))
            else:
                ended = child.listen_for_a_word() or child.listen(chance.uniform(0.0, 0.12))
            assert not ended, f"seed {seed}: the writer ended by itself, see its standard error"
            child.kill()
            kills += 1
            silent += not child.said
            operations += parse(bytes(child.said), known)
            try:
                assert_sound(path, known)
            except BaseException as error:
                error.add_note(f"seed {seed}, store {store}, kill {kill}")
                raise
        path.unlink()
    print(f"\n{kills} kills, {operations} acknowledged operations, {silent} killed before the first of them")
    assert kills == 200
    assert operations > 2 * kills


def _warm_up(path: Path) -> None:
    """Do here once what each child would do first, such as preparing the compressor."""
    with WfStoreSaver(path) as saver:
        chat_graph(saver).invoke(says_human(0), _config("t", ""))


def assert_sound(path: Path, known: Acknowledged) -> None:
    """The file after a kill, seen by a process that opens it anew."""
    with WfStoreSaver(path) as saver:
        threads = {info.thread_id for info in saver.store.threads(limit=1000)}
        for thread_id in threads:
            report = saver.store.thread(thread_id).verify()
            assert report.ok, f"{thread_id} does not verify: {report.problems}"
        assert_nothing_lost(saver, known)
        assert_nothing_by_half(saver, threads)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def assert_nothing_lost(saver: WfStoreSaver, known: Acknowledged) -> None:
    for (thread_id, namespace, checkpoint_id), digest in known.checkpoints.items():
        found = saver.get_tuple(_config(thread_id, namespace, checkpoint_id))
        assert found is not None, f"checkpoint {checkpoint_id} of {thread_id} was acknowledged and is lost"
        assert content_digest(found.checkpoint["channel_values"]) == digest, f"{checkpoint_id} has another content"
    for (thread_id, namespace, checkpoint_id, task_id), digest in known.writes.items():
        found = saver.get_tuple(_config(thread_id, namespace, checkpoint_id))
        if found is None:  # the writes came first, and the checkpoint was not acknowledged
            assert (thread_id, namespace, checkpoint_id) not in known.checkpoints
            continue
        pending = [(channel, value) for task, channel, value in found.pending_writes or [] if task == task_id]
        assert writes_digest(pending) == digest, f"writes of {task_id} at {checkpoint_id} are lost or changed"
    store = saver.store
    for thread_id in known.deleted:
        assert not _exists(store, thread_id), f"the deletion of {thread_id} was acknowledged and did not happen"
    for thread_id, kept in known.pruned.items():
        shown = [found.config["configurable"]["checkpoint_id"] for found in saver.list(_config(thread_id, ""))]
        assert shown == [kept], f"{thread_id} was pruned to {kept} and shows {shown}"


def assert_nothing_by_half(saver: WfStoreSaver, threads: set[str]) -> None:
    """Every checkpoint decodes with all its values, and every batch of writes has all its members."""
    for thread_id in threads:
        for found in saver.list({"configurable": {"thread_id": thread_id}}):
            batches: dict[str, list[int]] = {}
            for task_id, channel, value in found.pending_writes or []:
                if channel == "part":
                    batches.setdefault(task_id, []).append(value[0])
            for task_id, parts in batches.items():
                assert parts == [*range(5)], f"the batch of {task_id} is there by half: {parts}"
            values = found.checkpoint["channel_values"]
            if "whole" in values:
                assert len(values["list"]) == values["whole"]


def _config(thread_id: str, namespace: str, checkpoint_id: str | None = None) -> dict:
    keys = {"thread_id": thread_id, "checkpoint_ns": namespace}
    return {"configurable": keys | ({} if checkpoint_id is None else {"checkpoint_id": checkpoint_id})}


def _exists(store: WfStore, thread_id: str) -> bool:
    return any(info.thread_id == thread_id for info in store.threads(limit=1000))


def test_two_kills_in_the_same_transaction_leave_the_first_one_s_work(tmp_path: Path) -> None:
    """The second process dies while it recovers what the first one left in the write-ahead log."""
    path = tmp_path / "twice.db"
    known = Acknowledged()
    for kill in range(5):
        child = children.fork(partial(write_until_killed, str(path), f"first.{kill}"))
        child.listen_for_a_word()
        child.listen(0.02 * kill)
        child.kill()
        parse(bytes(child.said), known)
        second = children.fork(lambda pipe: _open_slowly(path))
        time.sleep(0.002 * kill)
        second.kill()
        assert_sound(path, known)
    assert known.checkpoints


def _open_slowly(path: Path) -> None:
    with WfStoreSaver(path) as saver:
        saver.store.compact()
        time.sleep(60)
