"""Does what can wait a little, on one thread of the process: many small commits become few."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

DELAY = 0.05  # seconds
_work: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}
_wanted = threading.Event()
_started: list[int] = []  # the process whose thread runs; a fork leaves it behind


def soon(owner: Any, work: Callable[[Any], None]) -> None:
    """Call `work(owner)` within about 50 ms, once for all that ask for the same owner until then, if it still lives.

    Args:
        work: must not raise, and must not wait for what the caller holds.
    """
    _work[id(owner)] = (weakref.ref(owner), work)
    if _started != [os.getpid()]:
        _started[:] = [os.getpid()]
        _wanted.clear()
        threading.Thread(target=_run, name="wfstore-soon", daemon=True).start()
    if not _wanted.is_set():
        _wanted.set()


def _run() -> None:
    while True:
        _wanted.wait()
        time.sleep(DELAY)
        _wanted.clear()
        for key in list(_work):
            found = _work.pop(key, None)
            owner = None if found is None else found[0]()
            if found is not None and owner is not None:
                found[1](owner)
            del owner, found
