"""The saver's own executor: async calls run the sync code on it, one hop per operation.

It belongs to no event loop, so one saver serves several of them, and serialization never blocks a loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def _contained(work: Callable[..., T], *args: object) -> T:
    """A StopIteration cannot pass through a future: the caller would wait for ever."""
    try:
        return work(*args)
    except StopIteration as error:
        raise RuntimeError(f"{work} raised StopIteration") from error


class Offload:
    """A few threads that run sync operations for event loops.

    Args:
        workers: how many operations run at once; for SQLite a writer and a few readers.
    """

    def __init__(self, workers: int = 4) -> None:
        self._workers = workers
        _offloads.add(self)
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._process = 0

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Run `work(*args)` on a thread of this executor."""
        return await asyncio.get_running_loop().run_in_executor(self._ready(), _contained, work, *args)

    def _ready(self) -> ThreadPoolExecutor:
        """The executor; a forked child starts its own, since threads do not survive a fork."""
        with self._lock:
            if self._executor is None or self._process != os.getpid():
                self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix="wfstore")
                self._process = os.getpid()
            return self._executor

    def close(self) -> None:
        """Let what runs end, and end the threads."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None and self._process == os.getpid():
            executor.shutdown(wait=True)


_offloads: weakref.WeakSet[Offload] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    """Its threads are not here, and its lock may have been held by one of them."""
    for offload in list(_offloads):
        offload._lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)
