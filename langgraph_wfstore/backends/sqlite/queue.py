"""Group commit: appends that arrive while another one commits go into one transaction after it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator

from ...errors import BackendUnavailableError
from ..base import Stale
from .append import Appends, Packed
from .connection import Connections, translated, translation

_MOST = 256  # appends in one transaction


class Ticket:
    """One append on its way; see `Pending`."""

    __slots__ = ("_queue", "batch", "done", "error")

    def __init__(self, queue: WriteQueue, batch: Packed) -> None:
        self._queue = queue
        self.batch = batch
        self.done = False
        self.error: Exception | None = None

    def send(self) -> None:
        """Commit it now unless somebody is committing; then that one does, next."""
        self._queue.nudge()

    def wait(self) -> None:
        """Commit it, or wait for whoever does."""
        self._queue.drive(self)
        if self.error is not None:
            raise self.error


class WriteQueue:
    """The order in which this process writes.

    Args:
        connections: whose writer connection is used, under this queue's lock.
        appends: applies appends within the open transaction.
    """

    def __init__(self, connections: Connections, appends: Appends) -> None:
        self._connections = connections
        self._appends = appends
        self._reset()
        _queues.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._nudged = False

    def put(self, batch: Packed) -> Ticket:
        """Queue an append."""
        ticket = Ticket(self, batch)
        self._waiting.append(ticket)
        return ticket

    def drive(self, ticket: Ticket) -> None:
        """Return when the ticket is done; whoever holds the lock commits for all who wait."""
        while not ticket.done:
            with self._lock:
                if ticket.done:
                    break
                self._commit_waiting()
        if self._nudged:
            self.nudge()

    def nudge(self) -> None:
        """Commit what waits, unless somebody else holds the lock: whoever does comes by here afterwards."""
        self._nudged = True
        while self._nudged and self._lock.acquire(blocking=False):
            try:
                self._nudged = False
                if self._waiting:
                    self._commit_waiting()
            finally:
                self._lock.release()

    def _commit_waiting(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST))]
        self._nudged = self._nudged or bool(self._waiting)
        try:
            self._commit(group)
        finally:
            for left in group:
                if not left.done:  # an interrupt ended the commit: say so to those who wait
                    left.error = BackendUnavailableError("the commit was interrupted; repeat the operation")
                    left.done = True

    def _commit(self, group: list[Ticket]) -> None:
        try:
            outcomes = self._transaction(group)
        except Exception as error:  # noqa: BLE001  # whatever it is, each ticket's owner gets it
            # Nothing of the group is written. Alone, each one succeeds, or fails for a reason of its own.
            if len(group) == 1:
                group[0].error = translation(self._connections.path, error)
                if group[0].error is not error:
                    group[0].error.__cause__ = error
                group[0].done = True
                return
            for ticket in group:
                self._commit([ticket])
            return
        for ticket, good in zip(group, outcomes, strict=True):
            if not good:
                ticket.error = Stale()
            ticket.done = True

    def _transaction(self, group: list[Ticket]) -> list[bool]:
        db = self._connections.writer(lazy=all(ticket.batch.batch.lazy for ticket in group))
        db.execute("BEGIN IMMEDIATE")
        try:
            outcomes = self._together(db, group) or self._one_by_one(db, group)
            db.execute("COMMIT" if any(outcomes) else "ROLLBACK")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._appends.forget()
            _forget_numbers(group)
            raise
        return outcomes

    def _together(self, db: sqlite3.Connection, group: list[Ticket]) -> list[bool] | None:
        try:
            return self._appends.apply_together(db, [ticket.batch for ticket in group])
        except sqlite3.IntegrityError:  # one of them is stale: nothing of the group stays, each is looked at alone
            db.execute("ROLLBACK")
            self._appends.forget()
            db.execute("BEGIN IMMEDIATE")
            return None

    def _one_by_one(self, db: sqlite3.Connection, group: list[Ticket]) -> list[bool]:
        outcomes = []
        for ticket in group:
            db.execute("SAVEPOINT one")
            good = self._appends.apply(db, ticket.batch)
            if not good:
                db.execute("ROLLBACK TO one")
            db.execute("RELEASE one")
            outcomes.append(good)
        return outcomes

    def run(self, work: Callable[[sqlite3.Connection], bool], *, erase: bool = False) -> None:
        """One transaction of its own; Stale if `work` returns False.

        Args:
            work: what to do in it.
            erase: overwrite what is deleted with zeros, so that no byte of it stays in free pages.
        """
        with self._alone(), translated(self._connections.path):
            db = self._connections.writer()
            self._appends.forget()
            db.execute(f"PRAGMA secure_delete = {'ON' if erase else 'OFF'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                good = work(db)
                db.execute("COMMIT" if good else "ROLLBACK")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            finally:
                db.execute("PRAGMA secure_delete = OFF")
        if not good:
            raise Stale

    def outside(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Work that cannot be part of a transaction."""
        with self._alone(), translated(self._connections.path):
            work(self._connections.writer())

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The lock; afterwards what was nudged meanwhile is committed."""
        try:
            with self._lock:
                yield
        finally:
            if self._nudged:
                self.nudge()

    def close(self) -> None:
        """Refuse what has not begun."""
        with self._lock:
            while self._waiting:
                ticket = self._waiting.popleft()
                ticket.error = BackendUnavailableError(f"the store {self._connections.path} was closed; open it again")
                ticket.done = True


def _forget_numbers(group: list[Ticket]) -> None:
    """A thread whose creation was rolled back has no number."""
    for ticket in group:
        batch = ticket.batch.batch
        if batch.records[0].seq == 1:
            batch.thread.number = batch.thread.lineage = None


_queues: weakref.WeakSet[WriteQueue] = weakref.WeakSet()
_paused: list[WriteQueue] = []
_forking = threading.Lock()


def _before_fork() -> None:
    """Fork with no connection open, and nobody inside SQLite.

    A child would inherit what SQLite notes of the locks of this process, and take them for its own: the last one of
    its parent's connections to close would then remove the write-ahead log that the child writes to.
    """
    _forking.acquire()
    for queue in list(_queues):
        queue._lock.acquire()
        queue._connections.pause()
        queue._appends.forget()
        _paused.append(queue)


def _after_fork_in_parent() -> None:
    while _paused:
        queue = _paused.pop()
        queue._connections.resume()
        queue._lock.release()
    _forking.release()


def _after_fork_in_child() -> None:
    """As in the parent; appends of threads that are not here are forgotten."""
    for queue in _paused:
        queue._waiting.clear()
    _after_fork_in_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
