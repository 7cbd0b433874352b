"""The session: every workload on every saver, interleaved, each in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.driver import Durability
from bench.measure import MARK, Job
from bench.results import Run, Session
from bench.savers import SAVERS
from bench.workloads import Spec, grouped

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-checkpoint-sqlite",
    "langchain-core",
    "aiosqlite",
    "langgraph-wfstore",
)


@dataclass(frozen=True)
class Plan:
    """What a session runs."""

    specs: list[Spec]
    savers: list[str]
    repetitions: int = 3
    durability: Durability = "async"
    directory: Path | None = None
    """Where the savers' files go, a temporary directory if None; the disk below it decides what a commit costs."""
    timeout_s: float = 900
    commit_ms: float = 0
    """How much longer a commit of SQLite's takes than on this disk."""


def perform(plan: Plan, command: str, tell: Callable[[Run], None]) -> Session:
    """Run the plan; `tell` hears of each run as it ends. Savers that are not installed are named, not run."""
    skipped = {name: reason for name in plan.savers if (reason := SAVERS[name].why_unavailable())}
    usable = [name for name in plan.savers if name not in skipped]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="wfstore-bench-", dir=plan.directory) as root:
        session = Session({"command": command, **environment(plan, Path(root))}, skipped, runs)
        for run in _runs(plan, usable, Path(root)):
            runs.append(run)
            tell(run)
    return session


def environment(plan: Plan, root: Path) -> dict[str, str]:
    """What the figures depend on besides the savers."""
    found = {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "one durable SQLite commit": f"{commit_us(root):.0f} us",
        **({"made longer by": f"{plan.commit_ms:g} ms"} if plan.commit_ms else {}),
        "durability": plan.durability,
        "repetitions": str(plan.repetitions),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit_us(root: Path, commits: int = 50) -> float:
    """The median time of a small commit (WAL, synchronous=FULL) on this disk, in microseconds."""
    path, times = root / "commit.db", []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE probe (value BLOB)")
        for _ in range(commits):
            started = time.perf_counter()
            connection.execute("INSERT INTO probe VALUES (zeroblob(500))")
            times.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(times) * 1e6


def _runs(plan: Plan, savers: list[str], root: Path) -> Iterator[Run]:
    for base, follow_ups in grouped(plan.specs).items():
        for repetition in range(plan.repetitions):
            for saver in savers if repetition % 2 == 0 else reversed(savers):
                directory = root / "place"
                directory.mkdir()
                try:
                    yield from _group(plan, saver, base, follow_ups, directory, repetition)
                finally:
                    shutil.rmtree(directory)


def _group(
    plan: Plan, saver: str, base: Spec, follow_ups: list[Spec], directory: Path, repetition: int
) -> Iterator[Run]:
    """A workload and what follows it, on one directory; one process for all if the saver would forget."""
    names = [spec.name for spec in (base, *follow_ups)]
    for together in [[name] for name in names] if SAVERS[saver].persistent else [names]:
        job = Job(saver, together, str(directory), plan.durability, plan.commit_ms)
        measured, error = _spawn(job, plan.timeout_s)
        for name, metrics in zip(together, measured or [{}] * len(together), strict=True):
            yield Run(saver, name, repetition, metrics, error, os.getloadavg()[0])
        if error and names[0] in together:
            return


def _spawn(job: Job, timeout_s: float) -> tuple[list[dict[str, float]] | None, str | None]:
    """The metrics that a process of its own measured, or why it gave none."""
    command = [sys.executable, "-m", "bench.measure", job.dumps()]
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        return None, f"no result within {timeout_s:g} s; allow more with --timeout"
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return json.loads(line.removeprefix(MARK)), None
    complaint = done.stderr.strip().splitlines() or [f"the process ended with code {done.returncode} and no output"]
    return None, complaint[-1][:500]
