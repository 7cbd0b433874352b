"""What capture records, on its way to the engine: queued, committed along with what comes next, tried again."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from ..backends.base import Stale
from ..errors import ThreadDeletedError
from ..threads.view import ThreadView
from .trace import NoteBatch, plan_notes

if TYPE_CHECKING:
    from ..threads.views import Views

_log = logging.getLogger(__name__)
_ROUNDS = 1000
_TRIES = 3


class Notes:
    """The notes of a store's runs. They never make a run fail: what cannot be stored is logged and counted.

    Args:
        views: of the threads that they go to.

    Attributes:
        lost: how many notes could not be stored.
    """

    def __init__(self, views: Views) -> None:
        self._views = views
        self.lost = 0

    @staticmethod
    def add(view: ThreadView, batch: NoteBatch) -> None:
        """Take notes, to be committed with what the thread appends next, or by `push`; never waits."""
        view.waiting.append(batch)

    def queue(self, view: ThreadView) -> None:
        """Queue an append of what was taken, notes of one run together. The view is ready, and its lock is held."""
        if view.sent:
            self.settle(view)
        while view.waiting:
            batch = view.waiting.popleft()
            while view.waiting and view.waiting[0].run is batch.run:
                batch.notes = [*batch.notes, *view.waiting.popleft().notes]
            self._queue(view, batch)

    def _queue_waiting(self, view: ThreadView) -> None:
        if view.waiting:
            with view.lock:
                self._views.ready(view)
                self.queue(view)

    def push(self, view: ThreadView, *, wait: bool) -> None:
        """Have the notes that were taken committed; `wait` until they are."""
        self._queue_waiting(view)
        if not wait:
            with contextlib.suppress(IndexError):  # somebody else has seen to them
                view.sent[-1][1].send()
            return
        for _ in range(_ROUNDS):
            with view.lock:
                pending = view.sent[-1][1] if view.sent else None
            if pending is None:
                return
            with contextlib.suppress(Exception):  # seen by `settle`
                pending.wait()
            with view.lock:
                if view.sent:
                    self._views.ready(view)
                    self.settle(view)

    def finish(self, view: ThreadView) -> None:
        """Queue what was taken, or count it as lost: nothing comes after it."""
        try:
            self.push(view, wait=False)
        except Exception as error:  # noqa: BLE001  # a store is closed though a trace cannot be kept
            while view.waiting:
                self._lose(view.waiting.popleft(), error)

    def _queue(self, view: ThreadView, batch: NoteBatch) -> None:
        self.lost -= batch.take_lost()
        try:
            prepared = plan_notes(view, self._views.backend, batch)
        except ThreadDeletedError:
            return  # the run's next put says so to the run
        except Exception as error:  # noqa: BLE001  # a run does not end because its trace cannot be kept
            self._lose(batch, error)
            return
        view.pending = self._views.backend.append(prepared.batch)
        self._views.follow(view, prepared)
        view.sent.append((batch, view.pending))

    def settle(self, view: ThreadView) -> None:
        """Forget the notes that are stored; queue those anew whose append failed. The view's lock is held."""
        while view.sent and view.sent[0][1].done:
            pending = view.sent[0][1]
            try:
                pending.wait()
            except Exception:  # noqa: BLE001  # what went wrong is seen, and said, when it does so again
                self._again(view)
                return
            view.sent.popleft()

    def _again(self, view: ThreadView) -> None:
        left = list(view.sent)
        view.sent.clear()
        failed = []
        for batch, pending in left:
            try:
                pending.wait()
            except Stale:
                failed.append(batch)
            except Exception as error:  # noqa: BLE001  # a run does not end because its trace cannot be kept
                batch.failures += 1
                if batch.failures < _TRIES:
                    failed.append(batch)
                else:
                    self._lose(batch, error)
        view.forget()
        self._views.ready(view)
        for batch in failed:
            self._queue(view, batch)

    def _lose(self, batch: NoteBatch, error: Exception) -> None:
        """Count, and log, that something of a trace could not be stored."""
        for note in batch.notes:
            note.lost = True
        self.lost += len(batch.notes)
        _log.warning("part of a trace could not be stored: %s: %s", type(error).__name__, error)
