"""Appends to an engine behind a network: per thread in order, those that wait together in one round trip."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ..errors import BackendUnavailableError
from .base import Append, RecordRow, Stale, Standing

_MOST, _LARGEST = 64, 64 << 20  # appends, and bytes of objects, in one round trip
_SENDERS = 4


class LaneTicket:
    """One append on its way; see `Pending`."""

    __slots__ = ("_lane", "batch", "done", "error")

    def __init__(self, lane: _Lane, batch: Append) -> None:
        self._lane = lane
        self.batch = batch
        self.done = False
        self.error: Exception | None = None

    def send(self) -> None:
        """Have another thread apply it."""
        self._lane.send()

    def wait(self) -> None:
        """Apply it, or wait for whoever does."""
        self._lane.drive(self)
        if self.error is not None:
            raise self.error


class Lanes:
    """The order in which this process appends, thread by thread; different threads do not wait for each other.

    Args:
        apply: one atomic append on the engine; False if the thread is not as expected. It fills in the thread's number
            and lineage where it creates it, and raises a WfStoreError if it is not known to have been applied.
        place: of the engine, for messages.
    """

    def __init__(self, apply: Callable[[Append], bool], place: str) -> None:
        self.apply = apply
        self.place = place
        self.closed = False
        self._reset()
        _all_lanes.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._lanes: weakref.WeakValueDictionary[tuple[bytes, int], _Lane] = weakref.WeakValueDictionary()
        self._senders: ThreadPoolExecutor | None = None

    def put(self, batch: Append) -> LaneTicket:
        """Queue an append."""
        if self.closed:
            raise closed_error(self.place)
        key = (batch.thread.name, batch.thread.life)
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = _Lane(self)
            ticket = LaneTicket(lane, batch)  # within the lock: it keeps the lane alive, and with it the order
            lane.waiting.append(ticket)
        return ticket

    def submit(self, work: Callable[[], None]) -> None:
        """Do it on another thread; at once where there are none any more, since the interpreter ends."""
        try:
            with self._lock:
                if self.closed:
                    return  # `close` says so to those who wait
                if self._senders is None:
                    self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="wfstore-send")
                self._senders.submit(work)
        except RuntimeError:
            work()

    def close(self) -> None:
        """Refuse what has not begun; wait for what has."""
        with self._lock:
            self.closed = True
            lanes, senders = list(self._lanes.values()), self._senders
        for lane in lanes:
            lane.close()
        if senders is not None:
            senders.shutdown(wait=True)

    def after_fork_in_child(self) -> None:
        """The parent's threads and locks are not here."""
        self._reset()


class _Lane:
    """The appends of one thread that wait."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._lock = threading.Lock()
        self.waiting: deque[LaneTicket] = deque()

    def drive(self, ticket: LaneTicket) -> None:
        """Return when the ticket is done; whoever holds the lock applies what waits."""
        while not ticket.done:
            with self._lock:
                if not ticket.done:
                    self._apply_waiting()

    def send(self) -> None:
        self._lanes.submit(self._send)

    def _send(self) -> None:
        with self._lock:
            while self.waiting:
                self._apply_waiting()

    def close(self) -> None:
        with self._lock:
            while self.waiting:
                ticket = self.waiting.popleft()
                ticket.error = closed_error(self._lanes.place)
                ticket.done = True

    def _apply_waiting(self) -> None:
        group = self._group()
        try:
            self._apply(group)
        finally:
            for left in group:
                if not left.done:  # an interrupt ended it: say so to those who wait
                    left.error = BackendUnavailableError(
                        f"an append to {self._lanes.place} was interrupted; repeat the operation"
                    )
                    left.done = True

    def _group(self) -> list[LaneTicket]:
        """The first that waits, and those behind it that stand on it."""
        group = [self.waiting.popleft()]
        size = _size(group[0].batch)
        while self.waiting and len(group) < _MOST and _follows(group[-1].batch, self.waiting[0].batch):
            size += _size(self.waiting[0].batch)
            if size > _LARGEST:
                break
            group.append(self.waiting.popleft())
        return group

    def _apply(self, group: list[LaneTicket]) -> None:
        try:
            good = self._lanes.apply(_merged([ticket.batch for ticket in group]))
        except Exception as error:  # noqa: BLE001  # whatever it is, the owners of the tickets get it
            for ticket in group:
                ticket.error = error
                ticket.done = True
            return
        if not good and len(group) > 1:  # the first of them may be as expected, and another's run deleted
            for ticket in group:
                self._apply([ticket])
            return
        for ticket in group:
            if not good:
                ticket.error = Stale()
            ticket.done = True


def closed_error(place: str) -> BackendUnavailableError:
    """What is said of a store that was closed."""
    return BackendUnavailableError(f"the store {place} was closed; open it again")


def _follows(batch: Append, following: Append) -> bool:
    """Whether one append can be applied with the one before it: it stands on it, under the same conditions."""
    last = batch.records[-1]
    after = Standing(batch.expect.epoch, batch.expect.lineage_epoch, last.seq, end_of(last))
    return (
        following.expect == after
        and following.thread is batch.thread
        and following.run == batch.run
        and following.fence == batch.fence
    )


def _size(batch: Append) -> int:
    return sum([len(row.data) for row in batch.objects])


def end_of(last: RecordRow) -> bytes:
    """What a thread ends with whose last record this is; see `Standing`."""
    return last.seal or last.id


def _merged(group: Sequence[Append]) -> Append:
    """These appends as one."""
    if len(group) == 1:
        return group[0]
    switches = [batch.switch for batch in group if batch.switch is not None]
    return replace(
        group[0],
        records=[row for batch in group for row in batch.records],
        objects=[row for batch in group for row in batch.objects],
        positions=[*dict(move for batch in group for move in batch.positions).items()],
        branches=[*{row.number: row for batch in group for row in batch.branches}.values()],
        switch=switches[-1] if switches else None,
        nested=any(batch.nested for batch in group),
        lazy=all(batch.lazy for batch in group),
    )


_all_lanes: weakref.WeakSet[Lanes] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lanes in list(_all_lanes):
        with contextlib.suppress(ReferenceError):
            lanes.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
