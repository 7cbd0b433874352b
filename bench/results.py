"""What was measured: one run's metrics, a session of runs, and their medians."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Metric:
    """How a measured number is shown, and which way is better."""

    title: str
    unit: str
    scale: float = 1.0
    higher_is_better: bool = False


METRICS = {
    "wall_s": Metric("wall", "s"),
    "disk_bytes": Metric("on disk", "MB", 1e-6),
    "rss_peak_mb": Metric("peak RSS", "MB"),
    "bytes_per_fork": Metric("per fork", "kB", 1e-3),
    "checkpoints_per_s": Metric("checkpoints", "/s", higher_is_better=True),
    "put_per_s": Metric("put", "/s", higher_is_better=True),
    "put_writes_per_s": Metric("put_writes", "/s", higher_is_better=True),
    "last_turns_ms": Metric("a turn at the end", "ms"),
    "resume_ms": Metric("open and get state", "ms"),
    "get_state_ms": Metric("get state", "ms"),
    "newest10_ms": Metric("10 newest states", "ms"),
    "cpu_s": Metric("CPU", "s"),
}


@dataclass(frozen=True)
class Run:
    """One workload on one saver, once: its metrics, or the error that it ended with."""

    saver: str
    workload: str
    repetition: int
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    load: float = 0.0
    """The machine's load average when it ended: other work makes figures worse."""


@dataclass(frozen=True)
class Session:
    """One call of the benchmark."""

    environment: dict[str, str]
    skipped: dict[str, str]
    runs: list[Run]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Session:
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["environment"], found["skipped"], [Run(**run) for run in found["runs"]])


@dataclass(frozen=True)
class Summary:
    """One metric of one workload on one saver, over the repetitions that succeeded."""

    median: float
    low: float
    high: float


class Summaries:
    """The medians of a list of runs, asked for by workload, saver and metric."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)
        found: dict[tuple[str, str, str], list[float]] = {}
        for run in self.runs:
            if run.error is None:
                for metric, value in run.metrics.items():
                    found.setdefault((run.workload, run.saver, metric), []).append(value)
        self._summaries = {
            key: Summary(statistics.median(values), min(values), max(values)) for key, values in found.items()
        }

    def get(self, workload: str, saver: str, metric: str) -> Summary | None:
        """None if no run of it succeeded or the workload does not measure that."""
        return self._summaries.get((workload, saver, metric))

    def ratio(self, workload: str, saver: str, baseline: str | None, metric: str) -> float | None:
        """How many times better than the baseline the saver's median is; None if either is missing or zero."""
        if baseline is None:
            return None
        own, other = self.get(workload, saver, metric), self.get(workload, baseline, metric)
        if own is None or other is None or not own.median or not other.median:
            return None
        better = METRICS[metric].higher_is_better
        return own.median / other.median if better else other.median / own.median

    def errors(self, workload: str, saver: str) -> list[str]:
        """The errors of the runs that failed."""
        return [run.error for run in self.runs if (run.workload, run.saver) == (workload, saver) and run.error]
