"""A pause of the cyclic garbage collector while many elements are made at once."""

from __future__ import annotations

import gc
import os
from contextlib import AbstractContextManager, nullcontext
from threading import Lock

_BULK = 64  # elements; below it, pausing the garbage collector is not worth its lock


class _Pause:
    """Keeps the cyclic garbage collector from running while many elements are made at once.

    Every few hundred new objects it would look at all of them again. It is one switch for the whole process, so
    pauses are counted, and the last one to end restores what the first one found.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._depth = 0
        self._was_enabled = False

    def after_fork_in_child(self) -> None:
        """Those who paused the collector are not here to start it again, nor is whoever held the lock."""
        if self._depth and self._was_enabled:
            gc.enable()
        self._lock = Lock()
        self._depth = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._depth:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if not self._depth and self._was_enabled:
                gc.enable()


_paused = _Pause()


os.register_at_fork(after_in_child=_paused.after_fork_in_child)


def collector_paused_for(elements: int) -> AbstractContextManager[None]:
    """A pause of the garbage collector if so many elements are about to be made that it pays."""
    return _paused if elements >= _BULK else nullcontext()
