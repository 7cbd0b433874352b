"""Group commit: writers that commit together succeed and fail each on their own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_wfstore import BackendUnavailableError, ThreadDeletedError, WfStoreSaver
from langgraph_wfstore.backends.base import Append
from langgraph_wfstore.backends.sqlite.append import Packed
from langgraph_wfstore.backends.sqlite.queue import Ticket, WriteQueue
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.threads.views import Views

WRITERS = 12


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[WfStoreSaver]:
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        yield saver


def one_by_one(queue: WriteQueue) -> Callable[[sqlite3.Connection, Packed], bool]:
    """Let appends be applied one by one only; gives what applies one."""
    queue._appends.apply_together = lambda db, group: None
    return queue._appends.apply


class Held:
    """Holds the first commit until every other writer waits behind it, so that they become one group.

    `apply` wraps what applies one append within the transaction.
    """

    def __init__(self, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
        self.queue: WriteQueue = saver.store.backend._queue
        self.groups: list[int] = []
        self._waiting = waiting
        commit = WriteQueue._commit

        def held(queue: WriteQueue, group: list[Ticket]) -> None:
            if not self.groups:
                self._until(lambda: len(queue._waiting) >= self._waiting)
            self.groups.append(len(group))
            commit(queue, group)

        monkeypatch.setattr(WriteQueue, "_commit", held)

    def apply(self, wrapped: Callable[[Callable[[], bool], Append], bool]) -> None:
        inner = one_by_one(self.queue)
        self.queue._appends.apply = lambda db, one: wrapped(lambda: inner(db, one), one.batch)

    @staticmethod
    def _until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not true() and time.monotonic() < end:
            time.sleep(0.001)


def put(saver: WfStoreSaver, thread_id: str, **values: Any) -> Any:
    return saver.put(config_of(thread_id), checkpoint_of({"who": thread_id, **values}), metadata_of(), {})


def all_at_once(work: dict[str, Callable[[], object]]) -> dict[str, BaseException | None]:
    """Runs each in a thread of its own, the first one alone until the others wait; gives what each raised."""
    outcomes: dict[str, BaseException | None] = {}

    def run(name: str) -> None:
        try:
            work[name]()
            outcomes[name] = None
        except BaseException as error:  # noqa: BLE001  # given to the test
            outcomes[name] = error

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        within(thread.join)
    return outcomes


def stored(saver: WfStoreSaver) -> set[str]:
    return {info.thread_id for info in saver.store.threads(limit=1000)}


def test_appends_that_wait_for_a_commit_share_the_next_one(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(saver, monkeypatch, WRITERS - 1)
    names = [f"t{i}" for i in range(WRITERS)]
    outcomes = all_at_once({name: lambda name=name: put(saver, name) for name in names})
    assert not any(outcomes.values())
    assert held.groups == [1, WRITERS - 1]
    assert stored(saver) == set(names)
    assert_sound(saver, *names)


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
def test_one_that_fails_in_a_group_fails_alone(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, times: int, tmp_path: Path
) -> None:
    held = Held(saver, monkeypatch, WRITERS - 1)
    left = [times]

    def failing(apply: Callable[[], bool], batch: Append) -> bool:
        good = apply()  # it fails when everything is written, so that what it wrote must go again
        if batch.thread.name == b"t5" and left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return good

    held.apply(failing)
    names = [f"t{i}" for i in range(WRITERS)]
    outcomes = all_at_once({name: lambda name=name: put(saver, name) for name in names})
    failed = {name for name, error in outcomes.items() if error is not None}
    if times == 1:  # the group is repeated one by one, and then nothing is wrong with it any more
        assert not failed
    else:
        assert failed == {"t5"}
        assert isinstance(outcomes["t5"], BackendUnavailableError)
    assert stored(saver) == set(names) - failed
    left[0] = 0
    put(saver, "t5", again=True)
    assert stored(saver) == set(names)
    assert_sound(saver, *names)
    with WfStoreSaver(tmp_path / "agent.db") as other:
        assert_sound(other, *names)
        for name in names:
            assert other.get_tuple(config_of(name)).checkpoint["channel_values"]["who"] == name


def test_one_of_several_on_one_thread_fails_and_the_others_land_once(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was prepared on top of the failed one is prepared anew."""
    start = put(saver, "t")
    held = Held(saver, monkeypatch, 0)
    failed = []

    def failing(apply: Callable[[], bool], batch: Append) -> bool:
        if len(failed) < 2 and batch.records[0].seq == 5:
            failed.append(batch)
            raise sqlite3.OperationalError("disk I/O error")
        return apply()

    held.apply(failing)

    def write(number: int) -> None:
        saver.put_writes(start, [("n", number), ("m", f"text {number}")], f"task {number}")

    outcomes = all_at_once({f"{i}": lambda i=i: write(i) for i in range(WRITERS)})
    succeeded = {f"task {name}" for name, error in outcomes.items() if error is None}
    assert all(isinstance(e, BackendUnavailableError) for e in outcomes.values() if e is not None)
    assert len(succeeded) >= WRITERS - 2
    pending = saver.get_tuple(config_of("t")).pending_writes
    assert len(pending) == 2 * len(succeeded)
    assert {task for task, _, _ in pending} == succeeded
    assert_sound(saver, "t")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupt_in_the_committing_thread_leaves_nobody_waiting(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, interrupt: type[BaseException]
) -> None:
    held = Held(saver, monkeypatch, WRITERS - 1)
    raised = []

    def interrupted(apply: Callable[[], bool], batch: Append) -> bool:
        good = apply()
        if batch.thread.name == b"t7" and not raised:
            raised.append(threading.current_thread())
            raise interrupt
        return good

    held.apply(interrupted)
    names = [f"t{i}" for i in range(WRITERS)]
    outcomes = all_at_once({name: lambda name=name: put(saver, name) for name in names})
    assert raised
    failed = {name: error for name, error in outcomes.items() if error is not None}
    assert all(isinstance(error, (interrupt, BackendUnavailableError)) for error in failed.values())
    assert sum(isinstance(error, interrupt) for error in failed.values()) <= 1
    assert stored(saver) == set(names) - set(failed), "an operation that raised has landed, or one that did not is lost"
    for name in failed:
        put(saver, name)
    assert_sound(saver, *names)


def test_stale_appends_are_repeated_and_land_exactly_once(tmp_path: Path) -> None:
    """Two savers on one file, as two processes: each makes the other's view of the thread stale all the time."""
    with WfStoreSaver(tmp_path / "agent.db") as one, WfStoreSaver(tmp_path / "agent.db") as two:
        start = put(one, "t")

        def write(saver: WfStoreSaver, name: str) -> None:
            for number in range(15):
                saver.put_writes(start, [("n", f"{name} {number}"), ("m", number)], f"{name} {number}")

        outcomes = all_at_once({f"{i}": lambda i=i: write((one, two)[i % 2], f"writer {i}") for i in range(6)})
        assert not any(outcomes.values()), outcomes
        for saver in (one, two):
            pending = saver.get_tuple(config_of("t")).pending_writes
            assert len(pending) == 2 * 15 * 6
            assert len({task for task, _, _ in pending}) == 15 * 6
            assert_sound(saver, "t")


def test_a_stale_append_in_a_group_does_not_touch_the_others(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [f"t{i}" for i in range(WRITERS)]
    starts = {name: put(saver, name) for name in names}
    held = Held(saver, monkeypatch, WRITERS - 1)
    with WfStoreSaver(tmp_path / "agent.db") as other:
        foreign = []

        def overtaken(apply: Callable[[], bool], batch: Append) -> bool:
            if batch.thread.name == b"t3" and not foreign:
                foreign.append(batch)
                return False  # as if another process had appended in between
            return apply()

        held.apply(overtaken)
        outcomes = all_at_once(
            {name: lambda name=name: saver.put_writes(starts[name], [("n", name)], "task") for name in names}
        )
        assert not any(outcomes.values())
        for name in names:
            assert other.get_tuple(config_of(name)).pending_writes == [("task", "n", name)]
        assert_sound(other, *names)


def test_a_thread_whose_creation_was_rolled_back_is_created_anew(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that SQLite gave in a transaction that failed are given again: they must not be remembered."""
    inner, calls = one_by_one(saver.store.backend._queue), []

    def failing(db: sqlite3.Connection, batch: Packed) -> bool:
        good = inner(db, batch)
        calls.append(batch)
        if len(calls) == 1:
            raise sqlite3.OperationalError("disk I/O error")
        return good

    saver.store.backend._queue._appends.apply = failing
    with pytest.raises(BackendUnavailableError):
        put(saver, "first")
    put(saver, "second")
    put(saver, "first")
    assert stored(saver) == {"first", "second"}
    for name in ("first", "second"):
        assert saver.get_tuple(config_of(name)).checkpoint["channel_values"]["who"] == name
    assert_sound(saver, "first", "second")


def behind(saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """The next commit of this saver waits until an append is prepared on top of it, and until `meanwhile` is done."""
    queue, commit, begun = saver.store.backend._queue, WriteQueue._commit, []

    def held(of: WriteQueue, group: list[Ticket]) -> None:
        if of is queue and not begun:
            begun.append(group)
            Held._until(lambda: len(queue._waiting) >= 1)
            meanwhile()
        commit(of, group)

    monkeypatch.setattr(WriteQueue, "_commit", held)


def test_what_was_prepared_on_top_of_a_stale_append_is_stale_too(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another process appends as many records as the stale append would have: the number of records fits again."""
    start = put(saver, "t")
    with WfStoreSaver(tmp_path / "agent.db") as other:
        behind(saver, monkeypatch, lambda: other.put_writes(start, [("n", "foreign")], "foreign"))
        outcomes = all_at_once(
            {task: lambda task=task: saver.put_writes(start, [("n", "ours")], task) for task in ("one", "two")}
        )
        assert not any(outcomes.values())
        for each in (saver, other):
            assert sorted(each.get_tuple(config_of("t")).pending_writes) == [
                ("foreign", "n", "foreign"),
                ("one", "n", "ours"),
                ("two", "n", "ours"),
            ]
            assert_sound(each, "t")


def test_what_was_prepared_on_top_of_a_creation_that_failed_does_not_land_alone(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = checkpoint_of({"who": "t"})
    config = config_of("t", checkpoint_id=checkpoint["id"])
    inner, calls = one_by_one(saver.store.backend._queue), []

    def failing(db: sqlite3.Connection, batch: Packed) -> bool:
        calls.append(batch)
        if batch is calls[0]:  # also when it is tried again, because others were in one transaction with it
            raise sqlite3.OperationalError("disk I/O error")
        return inner(db, batch)

    saver.store.backend._queue._appends.apply = failing
    behind(saver, monkeypatch, lambda: None)
    works = [lambda i=i: saver.put_writes(config, [("n", i)], f"task {i}") for i in range(3)]
    outcomes = all_at_once({f"{i}": work for i, work in enumerate(works)})
    assert sum(error is not None for error in outcomes.values()) == 1
    saver.put(config_of("t"), checkpoint, metadata_of(), {})
    assert_sound(saver, "t")
    assert len(saver.get_tuple(config_of("t")).pending_writes) == 2


def test_a_put_that_was_prepared_before_its_run_was_deleted_is_refused(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion is looked at again in the transaction of the append, not only when the append was prepared."""
    append = Views.append

    def delete_in_between(self: Views, view: Any, encode: Any, plan: Any, queued: Any = None) -> None:
        def late(encoded: Any) -> Any:
            prepared = plan(encoded)
            if prepared is not None:
                saver.store.backend.mark_deleted_runs([prepared.batch.run])
            return prepared

        append(self, view, encode, late, queued)

    monkeypatch.setattr(Views, "append", delete_in_between)
    with pytest.raises(ThreadDeletedError):
        saver.put(config_of(), checkpoint_of(), metadata_of(0, run_id="doomed"), {})
    assert list(saver.list(None)) == []


def statements(saver: WfStoreSaver) -> list[str]:
    """What the writing connection executes from now on, as it happens."""
    executed: list[str] = []
    saver.store.backend._connections.writer().set_trace_callback(executed.append)
    return executed


def test_a_group_takes_as_few_statements_as_one_operation(saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"thread {i}" for i in range(9)]
    starts = {name: put(saver, name) for name in names}
    executed = statements(saver)
    saver.put_writes(starts["thread 0"], [("n", "a value of its own")], "task")
    alone = len(executed)
    executed.clear()
    held = Held(saver, monkeypatch, waiting=8)
    outcomes = all_at_once(
        {name: lambda name=name: saver.put_writes(starts[name], [("n", name)], "another task") for name in names}
    )
    assert not any(outcomes.values())
    assert held.groups == [1, 8]
    assert len(executed) <= 2 * alone + len(names)  # how a thread stands may have to be asked
    for name in names:
        assert ("another task", "n", name) in saver.get_tuple(starts[name]).pending_writes
    assert_sound(saver, *names)


def test_a_stale_append_of_a_group_is_prepared_anew_and_the_others_land(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [f"thread {i}" for i in range(6)]
    starts = {name: put(saver, name) for name in names}
    with WfStoreSaver(tmp_path / "agent.db") as other:
        for name in names:
            saver.put_writes(starts[name], [("n", "before")], "before")  # from now on it is known how they stand
        behind(saver, monkeypatch, lambda: other.put_writes(starts["thread 3"], [("n", "foreign")], "foreign"))
        outcomes = all_at_once(
            {name: lambda name=name: saver.put_writes(starts[name], [("n", name)], "task") for name in names}
        )
        assert not any(outcomes.values())
        for name in names:
            writes = saver.get_tuple(starts[name]).pending_writes
            assert ("task", "n", name) in writes
            assert (("foreign", "n", "foreign") in writes) == (name == "thread 3")
        assert_sound(other, *names)


def test_appends_of_one_group_to_threads_that_share_objects_do_not_share_numbers(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread of a lineage numbers its new objects on from the last one that it knows: they collide."""
    start = put(saver, "source")
    names = ["source", *(f"copy {i}" for i in range(4))]
    for name in names[1:]:
        saver.copy_thread("source", name)
    configs = {name: config_of(name, checkpoint_id=start["configurable"]["checkpoint_id"]) for name in names}
    for name in names:
        saver.get_tuple(configs[name])
    held = Held(saver, monkeypatch, waiting=4)
    outcomes = all_at_once(
        {name: lambda name=name: saver.put_writes(configs[name], [("n", f"only in {name}")], "task") for name in names}
    )
    assert not any(outcomes.values())
    assert held.groups[:2] == [1, 4]
    for name in names:
        assert saver.get_tuple(configs[name]).pending_writes == [("task", "n", f"only in {name}")]
    assert_sound(saver, *names)


def test_an_append_of_a_group_to_a_thread_that_was_deleted_elsewhere_is_refused(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [f"thread {i}" for i in range(4)]
    starts = {name: put(saver, name) for name in names}
    with WfStoreSaver(tmp_path / "agent.db") as other:
        for name in names:
            saver.put_writes(starts[name], [("n", "before")], "before")
        behind(saver, monkeypatch, lambda: other.delete_thread("thread 3"))
        outcomes = all_at_once(
            {name: lambda name=name: saver.put_writes(starts[name], [("n", name)], "task") for name in names}
        )
        assert {name for name, error in outcomes.items() if isinstance(error, ThreadDeletedError)} == {"thread 3"}
        assert [outcomes[name] for name in names[:3]] == [None] * 3
        with saver.store.backend._connections.reader() as db:
            orphans = db.execute("SELECT count(*) FROM record WHERE key >> 32 NOT IN (SELECT no FROM thread)")
            assert orphans.fetchone() == (0,)
        assert_sound(other, *names[:3])
