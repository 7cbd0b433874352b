"""The views of one store: what this process knows of its threads, and how operations get in and out of them."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from ..appending.notes import Notes
from ..appending.putting import Outdated, Plan
from ..backends.base import Backend, Stale, Tail, ThreadRow
from ..canonical import utf8
from ..errors import BackendUnavailableError, ThreadNotFoundError
from ..values.memo import Memo
from ..values.objects import forget_secrets
from ..values.shelf import Shelf
from .order import await_parents
from .overtaken import ATTEMPTS, removed_between, tells_nothing, too_often
from .view import ThreadView

_VIEWS_HELD = 256
_EPOCHS_HELD = 100_000
_ATTEMPTS = 1000
_T = TypeVar("_T")


class Views:
    """The views of a store's threads, the latest ones used.

    Args:
        backend: the engine.
        lineage_secret: gives the secret of a new thread.

    Attributes:
        memo: the live elements that are known.
        shelf: the stored objects that are held.
        notes: what capture records, on its way.
        lineage_secret: gives the secret of a new thread.
    """

    def __init__(self, backend: Backend, lineage_secret: Callable[[], bytes]) -> None:
        self.backend = backend
        self.memo = Memo()
        self.notes = Notes(self)
        self._memos = weakref.WeakSet([self.memo])
        self._epochs: dict[int, int] = {}
        self.shelf = Shelf()
        self.lineage_secret = lineage_secret
        self._begin()
        _open_views.add(self)

    def _begin(self) -> None:
        self._views: OrderedDict[bytes, ThreadView] = OrderedDict()
        self._lock = threading.Lock()

    def after_fork_in_child(self) -> None:
        """Threads that held locks, or had appends on their way, are not here: begin without what they left."""
        self._begin()
        self.shelf.unlock()

    def new_memo(self) -> Memo:
        """A memo for the elements of another serializer."""
        memo = Memo()
        self._memos.add(memo)
        return memo

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
            if not (view.sent or view.waiting) or len(self._views) > 4 * _VIEWS_HELD:
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
        self._follow_removals(view)
        if not view.loaded:
            self._settle(view)
            view.load(self.backend)
            self._follow_removals(view)
        if view.row is None:
            # What is recorded of its first run may be stored later than it came to be.
            began = view.waiting[0].started if view.waiting else time.time_ns()
            view.begin(ThreadRow(view.name, view.life, self.lineage_secret(), began))

    def refresh(self, view: ThreadView) -> None:
        """Make a view fit to read from: as the engine stands, without what is still on its way. Its lock is held."""
        if view.waiting:
            self.ready(view)
            self.notes.queue(view)
        self._follow_removals(view)
        self._settle(view)
        if view.sent:
            self.notes.settle(view)
            self._settle(view)
        view.catch_up(self.backend)
        self._follow_removals(view)

    def read(self, view: ThreadView, work: Callable[[], _T], *, together: bool = False) -> _T:
        """What a read gives, of a thread as the engine stands; read anew if it failed since content was removed.

        Args:
            work: called with the view's lock held; it changes nothing.
            together: read anew too if it found something, or says that there is nothing: what it looked for may be
                gone, and another in its place.
        """
        for _ in range(ATTEMPTS):
            with view.lock:
                self.refresh(view)
                try:
                    found = work()
                    if not together or not self._was_overtaken(view):
                        return found
                except Exception as error:
                    if not (together or tells_nothing(error)) or not self._was_overtaken(view):
                        raise
                view.forget()
        raise too_often(view.thread_id)

    def _was_overtaken(self, view: ThreadView) -> bool:
        """Whether content was removed since the view was refreshed. Its lock is held."""
        return view.row is not None and view.stored and removed_between(view.standing, self.backend.standing(view.row))

    def _follow_removals(self, view: ThreadView) -> None:
        """Forget what is known of content if any was removed since the thread's lineage was looked at last."""
        if view.row is None or view.row.lineage is None:
            return
        lineage, epoch = view.row.lineage, view.row.lineage_epoch
        known = self._epochs.get(lineage)
        if known == epoch:
            return
        full = len(self._epochs) >= _EPOCHS_HELD
        if full:
            self._epochs.clear()
        self._epochs[lineage] = epoch
        if full or known is not None:
            self.forget_content()

    def forget_content(self) -> None:
        """Hold nothing any more of what was stored or put: stored objects, looks of live elements, secrets."""
        self.shelf.clear()
        for memo in list(self._memos):
            memo.clear()
        forget_secrets()

    def forget_lineage(self, lineage: int) -> None:
        """Know nothing any more of the threads of a lineage, nor of any content."""
        with self._lock:
            views = [view for view in self._views.values() if view.row is not None and view.row.lineage == lineage]
        for view in views:
            self.forget(view)
        self.forget_content()

    def finish(self) -> None:
        """Queue what no append was made of yet: the store is about to be closed."""
        with self._lock:
            waiting = [view for view in self._views.values() if view.waiting]
        for view in waiting:
            self.notes.finish(view)

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
                self.notes.queue(view)
                try:
                    prepared = plan(encoded)
                except Outdated:
                    encoded = None
                    continue
                except Exception as error:
                    if not tells_nothing(error) or not self._was_overtaken(view):
                        raise
                    view.forget()
                    continue
                if prepared is not None:
                    view.pending = self.backend.append(prepared.batch)
                    self.follow(view, prepared)
                pending = view.pending
            if queued is not None:
                queued()
                queued = None
            try:
                if pending is not None:
                    pending.wait()
                    self._follow_removals(view)
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

    def follow(self, view: ThreadView, prepared: Plan) -> None:
        """Take in an append that is on its way. The view's lock is held."""
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
