"""Lanes: the order of appends to an engine behind a network, and which of them go together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from langgraph_wfstore import BackendUnavailableError
from langgraph_wfstore.backends.base import WRITE, Append, BranchRow, ObjectRow, RecordRow, Stale, Standing, ThreadRow
from langgraph_wfstore.backends.lanes import Lanes
from langgraph_wfstore.testing.api import within


def record(seq: int, position: int | None = None, seal: bytes | None = None) -> RecordRow:
    none = (None,) * 9
    return RecordRow(seq, WRITE, b"id %d" % seq, 0, b"", None, seal, *none)._replace(position=position)


def append(thread: ThreadRow, seq: int, **changes: object) -> Append:
    """An append of record `seq` on top of the one before it."""
    end = b"id %d" % (seq - 1) if seq > 1 else None
    batch = Append(thread, Standing(0, 0, seq - 1, end), [record(seq)])
    for name, value in changes.items():
        setattr(batch, name, value)
    return batch


def row(name: bytes = b"t") -> ThreadRow:
    return ThreadRow(name, 1, b"secret", 0)


class Engine:
    """What lanes apply to; holds every append back until it is told to go on."""

    def __init__(self, answer: Callable[[Append], bool] = lambda batch: True) -> None:
        self.applied: list[list[int]] = []
        self.batches: list[Append] = []
        self.go = threading.Event()
        self.entered = threading.Semaphore(0)
        self._answer = answer

    def __call__(self, batch: Append) -> bool:
        self.entered.release()
        assert self.go.wait(30)
        self.batches.append(batch)
        self.applied.append([each.seq for each in batch.records])
        return self._answer(batch)


def held(engine: Engine, lanes: Lanes, thread: ThreadRow) -> threading.Thread:
    """A thread that applies record 1 and is held in it; what is put meanwhile waits for the same round trip."""
    ticket = lanes.put(append(thread, 1))
    waiting = threading.Thread(target=ticket.wait)
    waiting.start()
    assert engine.entered.acquire(timeout=30)
    return waiting


def test_what_waits_goes_together_and_in_order():
    engine, thread = Engine(), row()
    lanes = Lanes(engine, "a place")
    first = held(engine, lanes, thread)
    tickets = [lanes.put(append(thread, seq)) for seq in (2, 3, 4)]
    engine.go.set()
    for ticket in tickets:
        ticket.wait()
    first.join()
    assert engine.applied == [[1], [2, 3, 4]]
    assert all(ticket.done for ticket in tickets)


def test_together_they_are_one_append_with_the_last_word_of_each():
    engine, thread = Engine(), row()
    lanes = Lanes(engine, "a place")
    first = held(engine, lanes, thread)
    given = [
        append(thread, 2, positions=[(1, 7)], branches=[BranchRow(0, b"main", None, 2)], lazy=True),
        append(thread, 3, positions=[(1, 9)], branches=[BranchRow(0, b"main", None, 3)], switch=1, nested=True),
        append(thread, 4, branches=[BranchRow(1, b"b", 2, 4)]),
    ]
    tickets = [lanes.put(batch) for batch in given]
    engine.go.set()
    tickets[-1].wait()
    first.join()
    made = engine.batches[-1]
    assert made.expect == given[0].expect
    assert made.positions == [(1, 9)]
    assert made.branches == [BranchRow(0, b"main", None, 3), BranchRow(1, b"b", 2, 4)]
    assert (made.switch, made.nested, made.lazy) == (1, True, False)


@pytest.mark.parametrize("change", [{"run": b"other"}, {"fence": 3}, {"expect": Standing(1, 0, 2, b"id 2")}])
def test_what_stands_on_something_else_goes_alone(change):
    engine, thread = Engine(), row()
    lanes = Lanes(engine, "a place")
    first = held(engine, lanes, thread)
    tickets = [lanes.put(append(thread, 2)), lanes.put(append(thread, 3, **change))]
    engine.go.set()
    for ticket in tickets:
        ticket.wait()
    first.join()
    assert engine.applied == [[1], [2], [3]]


def test_one_that_is_stale_takes_with_it_only_those_that_are():
    engine, thread = Engine(lambda batch: max(each.seq for each in batch.records) < 3), row()
    lanes = Lanes(engine, "a place")
    first = held(engine, lanes, thread)
    tickets = [lanes.put(append(thread, seq)) for seq in (2, 3)]
    engine.go.set()
    first.join()
    tickets[0].wait()
    with pytest.raises(Stale):
        tickets[1].wait()
    assert engine.applied == [[1], [2, 3], [2], [3]]


def test_an_error_reaches_all_who_went_together():
    def fail(batch: Append) -> bool:
        if batch.records[0].seq > 1:
            raise BackendUnavailableError("gone")
        return True

    engine, thread = Engine(fail), row()
    lanes = Lanes(engine, "a place")
    first = held(engine, lanes, thread)
    tickets = [lanes.put(append(thread, seq)) for seq in (2, 3)]
    engine.go.set()
    first.join()
    for ticket in tickets:
        with pytest.raises(BackendUnavailableError, match="gone"):
            ticket.wait()


def test_an_interrupt_leaves_nobody_waiting():
    def interrupt(batch: Append) -> bool:
        raise KeyboardInterrupt

    engine, thread = Engine(interrupt), row()
    engine.go.set()
    lanes = Lanes(engine, "a place")
    tickets = [lanes.put(append(thread, seq)) for seq in (1, 2)]
    with pytest.raises(KeyboardInterrupt):
        tickets[0].wait()
    with pytest.raises(BackendUnavailableError, match="interrupted"):
        within(tickets[1].wait)


def test_threads_do_not_wait_for_each_other():
    engine = Engine()
    lanes = Lanes(engine, "a place")
    running = [held(engine, lanes, row(b"%d" % number)) for number in range(5)]  # all of them are in the engine
    engine.go.set()
    for each in running:
        each.join()
    assert engine.applied == [[1]] * 5


def test_send_applies_without_anybody_waiting():
    engine = Engine()
    engine.go.set()
    ticket = Lanes(engine, "a place").put(append(row(), 1))
    ticket.send()
    assert engine.entered.acquire(timeout=30)
    within(ticket.wait)
    assert engine.applied == [[1]]


def test_closing_waits_for_what_has_begun_and_refuses_the_rest():
    engine, thread = Engine(), row()
    lanes = Lanes(engine, "a place")
    first = held(engine, lanes, thread)
    later = lanes.put(append(thread, 2))
    closing = threading.Thread(target=lanes.close)
    closing.start()
    while not lanes.closed:
        pass
    later.send()  # of a closed store: `wait` says how it ended
    engine.go.set()
    closing.join()
    first.join()
    assert engine.applied in ([[1]], [[1], [2]])  # the one that holds the lock may have taken it along
    if engine.applied == [[1]]:
        with pytest.raises(BackendUnavailableError, match="closed"):
            later.wait()
    with pytest.raises(BackendUnavailableError, match="a place was closed"):
        lanes.put(append(thread, 3))


def test_large_appends_go_alone_however_many_wait():
    engine, thread = Engine(), row()
    lanes = Lanes(engine, "the engine")
    first = held(engine, lanes, thread)
    large = ObjectRow(1, b"id", 0, "", None, bytes(40 << 20))
    tickets = [lanes.put(append(thread, seq, objects=[large] if seq in (3, 4) else [])) for seq in range(2, 6)]
    engine.go.set()
    for ticket in tickets:
        within(ticket.wait)
    first.join(30)
    assert engine.applied == [[1], [2, 3], [4, 5]]
