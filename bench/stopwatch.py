"""The one clock of the workloads, so that a profiler can look at exactly what is measured."""

from __future__ import annotations

import time
from typing import ClassVar, Self


class Lap:
    """`with Lap() as lap:` around what is measured; afterwards `lap.seconds` says how long it took."""

    running: ClassVar[int] = 0
    """How many laps are open: 0 while a workload prepares its input or checks what it reads back."""

    total: ClassVar[float] = 0.0
    """The seconds of all laps so far, a lap within a lap counted once."""

    seconds: float = 0.0

    def __enter__(self) -> Self:
        Lap.running += 1
        self._started = time.perf_counter()
        return self

    def __exit__(self, *failure: object) -> None:
        self.seconds = time.perf_counter() - self._started
        Lap.running -= 1
        if not Lap.running:
            Lap.total += self.seconds
