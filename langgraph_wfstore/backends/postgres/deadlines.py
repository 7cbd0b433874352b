"""An end to waiting: a connection whose reply is overdue is shut down, so that who waits for it goes on."""

from __future__ import annotations

import contextlib
import heapq
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection


class _Watch:
    """One operation that must end by a time."""

    __slots__ = ("connection", "late")

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection: Connection[Any] | None = connection
        self.late = False


class Deadlines:
    """Watches operations; a network that swallows packets gives no error of its own for minutes."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int, _Watch]] = []
        self._made = 0
        self._running = False

    @contextlib.contextmanager
    def until(self, connection: Connection[Any], deadline: float) -> Iterator[Callable[[], bool]]:
        """Shut the connection down if this is not left by `deadline` (of time.monotonic).

        Returns:
            (as what `with` gives) says whether that happened.
        """
        watch = _Watch(connection)
        with self._condition:
            self._drop_ended()
            self._made += 1
            first = not self._heap or deadline < self._heap[0][0]
            heapq.heappush(self._heap, (deadline, self._made, watch))
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="wfstore-deadlines", daemon=True).start()
            elif first:
                self._condition.notify()
        try:
            yield lambda: watch.late
        finally:
            with self._condition:
                watch.connection = None

    def _drop_ended(self) -> None:
        while self._heap and self._heap[0][2].connection is None:
            heapq.heappop(self._heap)

    def _run(self) -> None:
        with self._condition:
            while True:
                self._drop_ended()
                if not self._heap:
                    if not self._condition.wait(timeout=10) and not self._heap:
                        self._running = False
                        return
                    continue
                left = self._heap[0][0] - time.monotonic()
                if left > 0:
                    self._condition.wait(timeout=left)
                    continue
                watch = heapq.heappop(self._heap)[2]
                watch.late = True
                if watch.connection is not None:
                    _shut(watch.connection)


def _shut(connection: Connection[Any]) -> None:
    """End the connection's reads and writes; the descriptor stays its own to close."""
    from psycopg import OperationalError

    with (
        contextlib.suppress(OSError, OperationalError),  # it is closed already, or lost
        socket.socket(fileno=os.dup(connection.pgconn.socket)) as end,
    ):
        end.shutdown(socket.SHUT_RDWR)
