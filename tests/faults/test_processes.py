"""Several processes on one file: creating it, writing to it, reading from it, forking with it open, closing it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import children
import pytest

from langgraph_wfstore import BackendUnavailableError, ConflictError, WfStore, WfStoreSaver
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human

OPERATIONS = 25


def put(saver: WfStoreSaver, thread_id: str, number: int, config: Any = None, who: str = "") -> Any:
    values = {"who": who, "number": number, "list": [f"{who} {number} " + "x" * 70] * (number + 1)}
    checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
    return saver.put(config or config_of(thread_id), checkpoint, metadata_of(number), checkpoint["channel_versions"])


# ------------------------------------------------------------------ creating


@pytest.mark.parametrize("count", [2, 6])
def test_processes_that_create_the_same_file_at_once_all_succeed(tmp_path: Path, count: int) -> None:
    for attempt in range(5):
        path = tmp_path / f"{attempt}.db"
        begin = time.time() + 0.15

        def create(name: str, path: Path = path, begin: float = begin) -> str:
            while time.time() < begin:
                pass
            with WfStoreSaver(path) as saver:
                put(saver, name, 0, who=name)
            return name

        names = [f"process {i}" for i in range(count)]
        started = [children.start(create, name) for name in names]
        assert [child.outcome() for child in started] == names
        with WfStoreSaver(path) as saver:
            assert {info.thread_id for info in saver.store.threads()} == set(names)
            assert_sound(saver, *names)


# ------------------------------------------------------------------ writing


def _write(path: str, name: str) -> list[str]:
    """Puts to a thread of its own and to the shared one; gives the ids of what was acknowledged on the shared one."""
    done = []
    with WfStoreSaver(path) as saver:
        own = None
        for number in range(OPERATIONS):
            own = put(saver, name, number, own, who=name)
            saver.put_writes(own, [("who", f"{name} {number}"), ("number", number)], f"task {number}")
            last = saver.get_tuple(config_of("shared"))
            stored = put(saver, "shared", number, None if last is None else last.config, who=name)
            saver.put_writes(stored, [("who", name), ("number", number)], f"{name} {number}")
            done.append(stored["configurable"]["checkpoint_id"])
    return done


def test_four_processes_lose_nothing_on_a_shared_thread_and_on_their_own(place: str) -> None:
    names = [f"process {i}" for i in range(4)]
    acknowledged = {name: child.outcome() for name, child in [(n, children.start(_write, place, n)) for n in names]}
    with WfStoreSaver(place) as saver:
        assert_sound(saver, *names, "shared")
        shared = {found.config["configurable"]["checkpoint_id"]: found for found in saver.list(config_of("shared"))}
        assert shared.keys() == {each for done in acknowledged.values() for each in done}
        for name, done in acknowledged.items():
            own = [*saver.list(config_of(name))]
            assert [found.checkpoint["channel_values"]["number"] for found in own] == [*range(OPERATIONS)][::-1]
            assert all(len(found.pending_writes) == 2 for found in own)
            for number, checkpoint_id in enumerate(done):
                found = shared[checkpoint_id]
                assert (found.checkpoint["channel_values"]["who"], len(found.pending_writes)) == (name, 2)
                assert found.checkpoint["channel_values"]["number"] == number


def _write_to_one_checkpoint(path: str, config: Any, name: str) -> None:
    with WfStoreSaver(path) as saver:
        for number in range(OPERATIONS):
            saver.put_writes(config, [("a", f"{name} {number}"), ("b", number)], f"{name} {number}")


def test_parallel_tasks_of_four_processes_on_one_checkpoint_lose_no_write(place: str) -> None:
    with WfStoreSaver(place) as saver:
        config = put(saver, "t", 0)
    for child in [children.start(_write_to_one_checkpoint, place, config, f"process {i}") for i in range(4)]:
        child.outcome()
    with WfStoreSaver(place) as saver:
        pending = saver.get_tuple(config).pending_writes
        assert sorted({task for task, _, _ in pending}) == sorted(
            f"process {i} {number}" for i in range(4) for number in range(OPERATIONS)
        )
        assert len(pending) == 2 * 4 * OPERATIONS
        assert_sound(saver, "t")


def _remove(path: str) -> None:
    with WfStoreSaver(path) as saver:
        for number in range(8):
            saver.prune(["process 0", "shared"])
            if any(info.thread_id == "process 0" for info in saver.store.threads()):
                saver.copy_thread("process 0", f"copy {number}")
            saver.store.compact()


def test_pruning_and_compacting_beside_writers_breaks_nothing(place: str) -> None:
    writers = [children.start(_write, place, f"process {i}") for i in range(2)]
    remover = children.start(_remove, place)
    for child in (*writers, remover):
        child.outcome()
    with WfStoreSaver(place) as saver:
        assert_sound(saver, *(info.thread_id for info in saver.store.threads()))
        last = saver.get_tuple(config_of("process 0"))
        assert last.checkpoint["channel_values"]["number"] == OPERATIONS - 1


# ------------------------------------------------------------------ reading


def test_a_reader_in_another_process_never_sees_a_torn_state(place: str) -> None:
    with WfStoreSaver(place) as saver:
        config = put(saver, "t", 0)

        def read() -> tuple[int, list[str]]:
            torn, seen = [], set()
            end = time.monotonic() + 1.5
            with WfStoreSaver(place) as reader:
                while time.monotonic() < end and max(seen, default=0) < 60:
                    found = reader.get_tuple(config_of("t"))
                    values = found.checkpoint["channel_values"]
                    number = values["number"]
                    seen.add(number)
                    if len(values["list"]) != number + 1 or any(f" {number} " not in text for text in values["list"]):
                        torn.append(f"state {number}: {values}")
                    if len(found.pending_writes) not in (0, 3):
                        torn.append(f"writes of {number}: {found.pending_writes}")
                    if found.parent_config is None and number:
                        torn.append(f"no parent: {number}")
            return len(seen), torn

        reader = children.start(read)
        number = 0
        while not reader.listen(0.0) and number < 400:
            number += 1
            config = put(saver, "t", number, config)
            saver.put_writes(config, [("a", i) for i in range(3)], "task")
            reader.listen(0.002)
        seen, torn = reader.outcome()
    assert not torn
    assert seen > 5, f"the reader saw {seen} states only: this proves nothing"


def test_a_reader_keeps_up_with_removals_of_another_process(place: str) -> None:
    with WfStoreSaver(place) as saver:
        config = None
        for number in range(3):
            config = put(saver, "t", number, config)
        assert len([*saver.list(config_of("t"))]) == 3

        def prune() -> None:
            with WfStoreSaver(place) as other:
                other.prune(["t"])

        children.run(prune)
        assert len([*saver.list(config_of("t"))]) == 1
        assert saver.get_tuple(config_of("t")).checkpoint["channel_values"]["number"] == 2

        def delete() -> None:
            with WfStoreSaver(place) as other:
                other.delete_thread("t")

        children.run(delete)
        assert saver.get_tuple(config_of("t")) is None


def test_verify_beside_a_writer_finds_nothing_wrong(place: str) -> None:
    with WfStoreSaver(place) as saver:
        put(saver, "shared", 0)
        writer = children.start(_write, place, "process 0")
        reports = []
        while not writer.listen(0.0):
            reports.append(saver.store.thread("shared").verify())
        writer.outcome()
        assert not [report.problems for report in reports if not report.ok]
        assert len({report.sealed for report in reports}) > 3, "it saw too few states to prove anything"


def test_verify_beside_removals_finds_nothing_wrong(place: str) -> None:
    with WfStoreSaver(place) as saver:

        def put_and_prune() -> None:
            with WfStoreSaver(place) as other:
                config = None
                for number in range(60):
                    config = put(other, "t", number % 9, config)
                    if number % 3 == 2:
                        other.prune(["t"])

        put(saver, "t", 0)
        writer = children.start(put_and_prune)
        reports = []
        while not writer.listen(0.0):
            reports.append(saver.store.thread("t").verify())
        writer.outcome()
        assert not [report.problems for report in reports if not report.ok]


# ------------------------------------------------------------------ forking


def test_after_a_fork_parent_and_child_both_go_on(place: str) -> None:
    with WfStoreSaver(place) as saver:
        chat_graph(saver).invoke(says_human(0), config_of("chat"))
        config = put(saver, "t", 0)

        def go_on() -> int:
            for number in range(1, 20):
                own = put(saver, "of the child", number)
                saver.put_writes(own, [("a", number)], "task")
                saver.put_writes(config, [("a", f"child {number}")], f"child {number}")
            chat_graph(saver).invoke(says_human(1), config_of("chat"))
            assert_sound(saver, "t", "chat", "of the child")
            return len([*saver.list(config_of("of the child"))])

        child = children.start(go_on)
        for number in range(1, 20):
            put(saver, "of the parent", number)
            saver.put_writes(config, [("a", f"parent {number}")], f"parent {number}")
        assert child.outcome() == 19
        chat_graph(saver).invoke(says_human(2), config_of("chat"))
        assert len(saver.get_tuple(config).pending_writes) == 38
        values = saver.get_tuple(config_of("chat")).checkpoint["channel_values"]
        texts = [message.content for message in values["messages"]]
        assert texts == [text for i in range(3) for text in (f"message {i}", f"re: message {i}")]
        assert_sound(saver, "t", "chat", "of the child", "of the parent")


def test_a_fork_s_child_may_call_sync_code_on_an_event_loop_as_its_parent_did(place: str) -> None:
    """LangChain does the awaited part of what capture hears there on threads, which a fork leaves behind."""
    with WfStoreSaver(place) as saver:

        async def say(number: int) -> None:
            chat_graph(saver).invoke(says_human(number), config_of("chat"))

        asyncio.run(say(0))
        children.start(lambda: asyncio.run(say(1))).outcome(20)
        assert len(saver.get_tuple(config_of("chat")).checkpoint["channel_values"]["messages"]) == 4
        assert_sound(saver, "chat")


def test_a_fork_while_other_threads_write_leaves_the_child_able_to_write(place: str) -> None:
    """Locks that other threads held at the fork must not be held for ever in the child."""
    with WfStoreSaver(place) as saver:
        stop = threading.Event()
        failures: list[BaseException] = []

        def write(name: str) -> None:
            try:
                config = None
                for number in range(10_000):
                    if stop.is_set():
                        return
                    config = put(saver, name, number % 3, config)
                    saver.get_tuple(config_of(name))
            except BaseException as error:  # noqa: BLE001  # told below
                failures.append(error)

        writers = [threading.Thread(target=write, args=(f"thread {i % 2}",), daemon=True) for i in range(4)]
        for writer in writers:
            writer.start()
        try:
            for number in range(12):
                time.sleep(0.01)

                def once(number: int = number) -> None:
                    put(saver, f"of child {number}", number)
                    put(saver, "thread 0", number)
                    assert saver.get_tuple(config_of("thread 1")) is not None

                children.start(once).outcome(10)
        finally:
            stop.set()
            for writer in writers:
                within(writer.join)
        assert not failures
        assert_sound(saver, *(info.thread_id for info in saver.store.threads()))
        assert {f"of child {number}" for number in range(12)} <= {info.thread_id for info in saver.store.threads()}


@pytest.mark.parametrize("child_closes", [True, False])
def test_what_a_child_writes_after_its_parent_closed_is_kept(place: str, child_closes: bool) -> None:
    """The parent's last connection must not take the write-ahead log away from the child."""
    saver = WfStoreSaver(place)
    put(saver, "t", 0)
    read, write = os.pipe()

    def write_late() -> None:
        put(saver, "of the child", 0)
        os.read(read, 1)
        put(saver, "of the child, late", 0)
        if child_closes:
            saver.close()

    child = children.start(write_late)
    child.listen(0.2)
    saver.close()
    os.write(write, b"x")
    child.outcome()
    with WfStoreSaver(place) as again:
        assert {info.thread_id for info in again.store.threads()} == {"t", "of the child", "of the child, late"}


def test_closing_in_a_child_leaves_the_parent_s_store_open(place: str) -> None:
    with WfStoreSaver(place) as saver:
        put(saver, "t", 0)
        children.run(saver.close)
        put(saver, "t", 1)
        assert len([*saver.list(config_of("t"))]) == 2


# ------------------------------------------------------------------ closing


def test_operations_after_close_say_that_the_store_is_closed(place: str) -> None:
    saver = WfStoreSaver(place)
    config = put(saver, "t", 0)
    saver.close()
    saver.close()
    store = saver.store
    operations = {
        "put": lambda: put(saver, "t", 1, config),
        "put on a new thread": lambda: put(saver, "new", 1),
        "put_writes": lambda: saver.put_writes(config, [("a", 1)], "task"),
        "get_tuple": lambda: saver.get_tuple(config),
        "get_tuple of nothing": lambda: saver.get_tuple(config_of("none")),
        "list": lambda: [*saver.list(config)],
        "list all": lambda: [*saver.list(None)],
        "delete_thread": lambda: saver.delete_thread("t"),
        "delete_for_runs": lambda: saver.delete_for_runs(["r"]),
        "copy_thread": lambda: saver.copy_thread("t", "u"),
        "prune": lambda: saver.prune(["t"]),
        "threads": store.threads,
        "thread": lambda: store.thread("t"),
        "stats": store.stats,
        "compact": store.compact,
    }
    for operation in operations.values():
        with pytest.raises(BackendUnavailableError, match="closed"):
            within(operation)


def test_a_paused_listing_says_that_the_store_was_closed(place: str) -> None:
    saver = WfStoreSaver(place)
    config = None
    for number in range(300):
        config = put(saver, "t", number % 3, config)
    listing = saver.list(config_of("t"))
    next(listing)
    saver.close()
    with pytest.raises(BackendUnavailableError, match="closed"):
        for _ in listing:
            pass


def test_close_while_others_write_and_read_neither_hangs_nor_loses_what_was_acknowledged(place: str) -> None:
    for attempt in range(8):
        fresh = f"{place}{attempt}"
        saver = WfStoreSaver(fresh)
        done: dict[str, int] = {}
        errors: list[BaseException] = []

        def work(name: str, saver: WfStoreSaver = saver, done: dict[str, int] = done, errors: Any = errors) -> None:
            try:
                config = None
                for number in range(100_000):
                    config = put(saver, name, number % 5, config)
                    done[name] = number + 1
                    saver.get_tuple(config_of(name))
            except BaseException as found:  # noqa: BLE001  # looked at below
                errors.append(found)

        threads = [threading.Thread(target=work, args=(f"t{i}",), daemon=True) for i in (0, 0, 1, 2, 3, 4)]
        for thread in threads:
            thread.start()
        time.sleep(0.02 + 0.02 * attempt)
        within(saver.close)
        for thread in threads:
            within(thread.join)
        assert {type(error) for error in errors} == {BackendUnavailableError}, errors
        assert len(errors) == len(threads)
        with WfStoreSaver(fresh) as again:
            for name, count in done.items():
                assert len([*again.list(config_of(name))]) >= count
                assert_sound(again, name)


def test_the_files_of_a_closed_store_are_not_held_open(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    saver = WfStoreSaver(tmp_path / "agent.db")
    threads = [threading.Thread(target=put, args=(saver, f"t{i}", 0)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saver.close()
    held = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _exists(fd)]
    assert not [name for name in held if str(tmp_path) in name]
    with WfStore.open(tmp_path / "agent.db") as store:
        assert len(store.threads()) == 6


def _exists(fd: str) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


# ------------------------------------------------------------------ one head, many who go on from it


def _go_on(path: str, name: str, refuses: bool, rounds: int) -> list[str]:
    """In every round go on from the head that was read; gives what was acknowledged."""
    done = []
    with WfStoreSaver(path, on_conflict="error" if refuses else "fork") as saver:
        for number in range(rounds):
            last = saver.get_tuple(config_of("shared", branch="main"))
            assert last is not None
            time.sleep(0.002)  # the others read the same one
            try:
                stored = put(saver, "shared", number, last.config, who=name)
            except ConflictError:
                continue
            done.append(stored["configurable"]["checkpoint_id"])
    return done


@pytest.mark.parametrize("refuses", [True, False])
def test_of_eight_processes_on_one_head_one_wins(place: str, refuses: bool) -> None:
    with WfStoreSaver(place) as saver:
        put(saver, "shared", 0)
    running = [children.start(_go_on, place, f"process {i}", refuses, OPERATIONS) for i in range(8)]
    acknowledged = [each for child in running for each in child.outcome()]
    with WfStoreSaver(place) as saver:
        thread = saver.store.thread("shared")
        stored = thread.checkpoints()
        assert {each.checkpoint_id for each in stored} == {stored[-1].checkpoint_id, *acknowledged}
        children_of = Counter(each.parent_id for each in stored if each.parent_id is not None)
        branches = {each.name: each for each in thread.branches()}
        if refuses:
            assert set(children_of.values()) == {1}
            assert list(branches) == ["main"]
            assert len(acknowledged) < 8 * OPERATIONS
        else:
            leaves = {each.checkpoint_id for each in stored} - set(children_of)
            assert {each.head for each in branches.values()} == leaves
            assert len(branches) == len(leaves) > 1
            assert len(acknowledged) == 8 * OPERATIONS
        assert_sound(saver, "shared")
