"""One process's share of the benchmark: open a saver on a directory, run workloads, print their metrics."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from bench.driver import Driver, Durability, driver
from bench.savers import SAVERS
from bench.slower_disk import make_commits_slower
from bench.workloads import parse

MARK = "bench-result: "


@dataclass(frozen=True)
class Job:
    """The workloads that one process runs, one after the other, on one directory."""

    saver: str
    workloads: list[str]
    directory: str
    durability: Durability = "async"
    commit_ms: float = 0
    """How much longer a commit of SQLite's takes than on this disk."""

    def dumps(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def peak_rss_mb() -> float:
    """The most memory this process ever held, in MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except OSError:  # not Linux; there ru_maxrss is not inherited from the parent either
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (1 << 20) if sys.platform == "darwin" else used / 1024


def measure(job: Job) -> list[dict[str, float]]:
    """The metrics of each workload of the job; raises what the saver or a read-back check raises."""
    if job.commit_ms:
        make_commits_slower(job.commit_ms)
    with driver(SAVERS[job.saver], Path(job.directory), job.durability) as opened:
        return [_measure_one(opened, workload) for workload in job.workloads]


def _measure_one(opened: Driver, workload: str) -> dict[str, float]:
    cpu = time.process_time()
    metrics = parse(workload).measure(opened)
    metrics["cpu_s"] = time.process_time() - cpu
    metrics["rss_peak_mb"] = peak_rss_mb()
    metrics["disk_bytes"] = opened.stored_bytes()
    return metrics


def main() -> None:
    try:
        print(MARK + json.dumps(measure(Job(**json.loads(sys.argv[1])))), flush=True)
    except BaseException as error:  # noqa: BLE001 -- a saver's own thread may outlive the error: leave at once
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    main()
