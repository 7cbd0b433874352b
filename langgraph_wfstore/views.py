"""The views of one store: what this process knows of its threads, and how operations get in and out of them."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from .backends.base import Backend, Stale, Tail, ThreadRow
from .canonical import utf8
from .errors import BackendUnavailableError, ThreadDeletedError, ThreadNotFoundError
from .memo import Memo
from .order import await_parents
from .putting import Outdated, Plan
from .shelf import Shelf
from .trace import NoteBatch, plan_notes
from .view import ThreadView

_log = logging.getLogger(__name__)
_VIEWS_HELD = 256
_ATTEMPTS = 1000
_NOTE_ATTEMPTS = 3
_T = TypeVar("_T")


class Views:
    """The views of a store's threads, the latest ones used.

    Args:
        backend: the engine.
        lineage_secret: gives the secret of a new thread.

    Attributes:
        memo: the live elements that are known.
        shelf: the stored objects that are held.
        lost: how many parts of traces could not be stored.
        secret: gives the secret of a new thread.
    """

    def __init__(self, backend: Backend, lineage_secret: Callable[[], bytes]) -> None:
        self.backend = backend
        self.memo = Memo()
        self.lost = 0
        self.shelf = Shelf()
        self.secret = lineage_secret
        self._begin()
        _open_views.add(self)

    def _begin(self) -> None:
        self._views: OrderedDict[bytes, ThreadView] = OrderedDict()
        self._lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """Threads that held locks, or had appends on their way, are not here: begin without what they left."""
        self._begin()
        self.shelf.unlock()

    def of(self, thread_id: str) -> ThreadView:
        """The view of a thread."""
        name = utf8(thread_id)
        with self._lock:
            view = self._views.get(name)
            if view is None:
                view = self._views[name] = ThreadView(name)
                if len(self._views) > _VIEWS_HELD:
                    self._forget_one()
            else:
                self._views.move_to_end(name)
            return view

    def _forget_one(self) -> None:
        """Give up the view that was not used for the longest time, of those that have no notes on their way."""
        for name, view in self._views.items():
            if not view.sent or len(self._views) > 4 * _VIEWS_HELD:
                del self._views[name]
                return

    def tail(self, thread_id: str) -> Tail:
        """Where a thread stands; ThreadNotFoundError if there is none."""
        tail = self.backend.find(utf8(thread_id))
        if tail is None:
            raise ThreadNotFoundError(
                f"there is no thread {thread_id!r} in this store; store.threads() lists those that there are"
            )
        return tail

    def ready(self, view: ThreadView) -> None:
        """Make a view fit to plan an append on: of a stored thread, or of one that begins. Its lock is held."""
        if not view.loaded:
            self._settle(view)
            view.load(self.backend)
        if view.row is None:
            view.begin(ThreadRow(view.name, view.life, self.secret(), time.time_ns()))

    def refresh(self, view: ThreadView) -> None:
        """Make a view fit to read from: as the engine stands, without what is still on its way. Its lock is held."""
        self._settle(view)
        if view.sent:
            self._send_again(view)
            self._settle(view)
        before = view.row
        view.catch_up(self.backend)
        if before is not None and view.row is not None and before.lineage_epoch != view.row.lineage_epoch:
            self.shelf.clear()

    def forget(self, view: ThreadView) -> None:
        """Let the next operation ask the engine."""
        with view.lock:
            view.forget()

    def append(
        self,
        view: ThreadView,
        encode: Callable[[], _T],
        plan: Callable[[_T], Plan | None],
        queued: Callable[[], None] | None = None,
    ) -> None:
        """Encode without the lock, plan under it, wait until it is durable; plan anew if somebody else was faster.

        What was encoded is kept: what it was made from may have been changed since. It is encoded anew only if it
        inherits from what is gone meanwhile.

        Args:
            queued: called when the append is on its way for the first time: nothing is read from live values any more.
        """
        encoded: _T | None = None
        for attempt in range(_ATTEMPTS):
            if encoded is None:
                encoded = encode()
            with view.lock:
                self.ready(view)
                if view.sent:
                    self._send_again(view)
                try:
                    prepared = plan(encoded)
                except Outdated:
                    encoded = None
                    continue
                if prepared is not None:
                    view.pending = self.backend.append(prepared.batch)
                    self._follow(view, prepared)
                pending = view.pending
            if queued is not None:
                queued()
                queued = None
            try:
                if pending is not None:
                    pending.wait()
                return
            except Stale:
                self.forget(view)
                time.sleep(random.random() * 0.001 * min(attempt, 50))
            except BaseException:
                self.forget(view)
                raise
        raise BackendUnavailableError(
            f"a thread changed {_ATTEMPTS} times while one operation was prepared; nothing of it was "
            "written. Fewer writers on one thread will help"
        )

    # ------------------------------------------------------------------ notes of capture

    def note(self, view: ThreadView, batch: NoteBatch) -> None:
        """Queue an append of notes, to be committed with what the thread appends next, or by `push`; never waits."""
        with view.lock:
            self.ready(view)
            if view.sent:
                self._send_again(view)
            self._queue_notes(view, batch)

    def push(self, view: ThreadView, *, wait: bool) -> None:
        """Have the notes that are queued committed; `wait` until they are."""
        if not wait:
            with contextlib.suppress(IndexError):  # somebody else has seen to them
                view.sent[-1][1].send()
            return
        for _ in range(_ATTEMPTS):
            with view.lock:
                pending = view.sent[-1][1] if view.sent else None
            if pending is None:
                return
            with contextlib.suppress(Exception):  # seen by `_send_again`
                pending.wait()
            with view.lock:
                if view.sent:
                    self.ready(view)
                    self._send_again(view)

    def _queue_notes(self, view: ThreadView, batch: NoteBatch) -> None:
        self.lost -= batch.take_lost()
        try:
            prepared = plan_notes(view, self.backend, batch)
        except ThreadDeletedError:
            return  # the run's next put says so to the run
        except Exception as error:  # noqa: BLE001  # a run does not end because its trace cannot be kept
            self._lose(batch, error)
            return
        view.pending = self.backend.append(prepared.batch)
        self._follow(view, prepared)
        view.sent.append((batch, view.pending))

    def _send_again(self, view: ThreadView) -> None:
        """Forget the notes that are stored; queue those anew whose append failed. The view's lock is held."""
        while view.sent and view.sent[0][1].done:
            pending = view.sent[0][1]
            try:
                pending.wait()
            except Exception:  # noqa: BLE001  # what went wrong is seen, and said, when it does so again
                self._queue_anew(view)
                return
            view.sent.popleft()

    def _queue_anew(self, view: ThreadView) -> None:
        left = list(view.sent)
        view.sent.clear()
        failed = []
        for batch, pending in left:
            try:
                pending.wait()
            except Stale:
                failed.append(batch)
            except Exception as error:  # noqa: BLE001  # as above
                batch.failures += 1
                if batch.failures < _NOTE_ATTEMPTS:
                    failed.append(batch)
                else:
                    self._lose(batch, error)
        view.forget()
        self.ready(view)
        for batch in failed:
            self._queue_notes(view, batch)

    def _lose(self, batch: NoteBatch, error: Exception) -> None:
        """Count, and log, that something of a trace could not be stored."""
        for note in batch.notes:
            note.lost = True
        self.lost += len(batch.notes)
        _log.warning("part of a trace could not be stored: %s: %s", type(error).__name__, error)

    def _follow(self, view: ThreadView, prepared: Plan) -> None:
        if prepared.batch.positions:
            view.move(prepared.batch.positions)
        view.follow(prepared.batch, prepared.made, prepared.head)
        prepared.placement.commit(self.shelf)
        if prepared.arrival is not None:
            await_parents(view, self.backend, prepared.arrival)

    @staticmethod
    def _settle(view: ThreadView) -> None:
        """Wait for this process's own appends; their errors reach those who made them."""
        if view.pending is not None:
            try:
                view.pending.wait()
            except Exception:  # noqa: BLE001  # raised where the append was made; here only its end matters
                view.forget()  # what it was to add is not there
            view.pending = None


_open_views: weakref.WeakSet[Views] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for views in list(_open_views):
        views.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
