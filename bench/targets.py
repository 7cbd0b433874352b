"""What WfStoreSaver should reach (DESIGN, section 6), as data, and whether a measurement reaches it.

The PostgreSQL row of that table joins with its savers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.results import METRICS, Summaries

SUBJECT, BASELINE = "wfstore-sqlite", "sqlite"
Verdict = Literal["met", "not met", "failed", "not measured"]


@dataclass(frozen=True)
class TimesBetter:
    """At least that many times better than the baseline in the same session."""

    times: float

    def __str__(self) -> str:
        return "not slower" if self.times == 1 else f"{self.times:g}x"


@dataclass(frozen=True)
class AtMost:
    """An absolute bound, in the metric's own unit (bytes)."""

    value: float
    shown: str

    def __str__(self) -> str:
        return f"≤ {self.shown}"


Bound = TimesBetter | AtMost


@dataclass(frozen=True)
class Target:
    """What one metric of one workload should be: for the first core, and in the end."""

    workload: str
    metric: str
    first_step: Bound
    goal: Bound


def _megabytes(number: float) -> AtMost:
    return AtMost(number * 1e6, f"{number:g} MB")


TARGETS = (
    Target("chat-200", "wall_s", TimesBetter(1.3), TimesBetter(2.5)),
    Target("chat-200", "disk_bytes", TimesBetter(100), _megabytes(0.8)),
    Target("chat-1000", "wall_s", TimesBetter(3), TimesBetter(6)),
    Target("chat-1000", "disk_bytes", TimesBetter(300), _megabytes(4)),
    Target("bigdoc-200", "wall_s", TimesBetter(4), TimesBetter(6)),
    Target("bigdoc-200", "disk_bytes", TimesBetter(100), _megabytes(1.5)),
    Target("fanout-20", "wall_s", TimesBetter(1.2), TimesBetter(2)),
    Target("fanout-20", "disk_bytes", TimesBetter(25), _megabytes(5)),
    Target("tool-agent-20", "wall_s", TimesBetter(1.1), TimesBetter(1.5)),
    Target("tool-agent-20", "disk_bytes", TimesBetter(25), _megabytes(6)),
    Target("fork-20@chat-200", "wall_s", TimesBetter(1.5), TimesBetter(2.5)),
    Target("fork-20@chat-200", "bytes_per_fork", TimesBetter(100), AtMost(15e3, "15 kB")),
    Target("threads-200", "checkpoints_per_s", TimesBetter(1), TimesBetter(2)),
    Target("micro-2000", "put_per_s", TimesBetter(0.7), TimesBetter(1)),
    Target("micro-2000", "put_writes_per_s", TimesBetter(0.85), TimesBetter(1)),
)


def verdict(target: Target, bound: Bound, measured: Summaries) -> Verdict:
    """Whether the subject's median reaches the bound; one failed run of the subject fails the target."""
    if measured.errors(target.workload, SUBJECT):
        return "failed"
    own = measured.get(target.workload, SUBJECT, target.metric)
    if own is None:
        return "not measured"
    if isinstance(bound, AtMost):
        if METRICS[target.metric].higher_is_better:
            raise ValueError(f"{target.metric}: more is better, so an upper bound says nothing; use TimesBetter")
        return "met" if own.median <= bound.value else "not met"
    ratio = measured.ratio(target.workload, SUBJECT, BASELINE, target.metric)
    if ratio is None:
        return "not measured"
    return "met" if ratio >= bound.times else "not met"
