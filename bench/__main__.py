"""Run checkpointers side by side and print what was measured as Markdown.

    python -m bench                                   everything, about 10 minutes
    python -m bench --quick                           small sizes once, under a minute; for a look, not for figures
    python -m bench --workloads chat-200,fanout-20 --reps 5 --write docs/benchmarks.md
    python -m bench --savers async                    wfstore-asqlite, aiosqlite, LangGraph alone

Figures depend on the machine and its disk: compare within a session, and run when nothing else does.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.report import report
from bench.results import Run, Session
from bench.run import Plan, perform
from bench.savers import GROUPS, SAVERS, names
from bench.workloads import EVERYTHING, QUICK, WORKLOADS, Spec, parse


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="small sizes and one repetition")
    made.add_argument("--workloads", help=f"comma-separated, from {', '.join(WORKLOADS)}; default {EVERYTHING}")
    made.add_argument(
        "--savers", default="sync", help=f"comma-separated, from {', '.join([*SAVERS, *GROUPS])}; default %(default)s"
    )
    made.add_argument("--reps", type=int, help="repetitions of everything; default 3, with --quick 1")
    made.add_argument("--durability", choices=("sync", "async", "exit"), default="async")
    made.add_argument("--workdir", type=Path, help="where the savers' files go; default a temporary directory")
    made.add_argument("--timeout", type=float, default=900, help="seconds that one process may take")
    made.add_argument("--commit-ms", type=float, default=0, help="make each commit of SQLite's so much longer")
    made.add_argument("--json", type=Path, help="write every run there too")
    made.add_argument("--write", type=Path, help="write the Markdown there too")
    made.add_argument("--from-json", type=Path, help="report what --json kept, and run nothing")
    return made


def _specs(chosen: str | None, quick: bool) -> list[Spec]:
    return [parse(name, quick) for name in (chosen or (QUICK if quick else EVERYTHING)).split(",")]


def _tell(run: Run) -> None:
    what = f"FAILED {run.error}"
    if run.error is None:
        what = f"{run.metrics['wall_s']:8.2f} s {run.metrics['disk_bytes'] / 1e6:9.2f} MB"
    print(f"{time.strftime('%H:%M:%S')} {run.workload:22} {run.saver:16} {what}", file=sys.stderr, flush=True)


def session(arguments: argparse.Namespace, command: str) -> Session:
    """What the arguments ask for: a session read from a file, or a new one."""
    if arguments.from_json:
        return Session.load(arguments.from_json)
    plan = Plan(
        _specs(arguments.workloads, arguments.quick),
        names(arguments.savers),
        arguments.reps or (1 if arguments.quick else 3),
        arguments.durability,
        arguments.workdir,
        arguments.timeout,
        arguments.commit_ms,
    )
    return perform(plan, command, _tell)


def main(argv: Sequence[str] | None = None) -> int:
    """Give the exit status: 0, or 1 if a run failed."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = parser().parse_args(words)
    try:
        done = session(arguments, shlex.join(["python", "-m", "bench", *words]))
    except ValueError as error:
        parser().error(str(error))
    page = report(done)
    print(page)
    if arguments.json:
        done.save(arguments.json)
    if arguments.write:
        arguments.write.write_text(page, encoding="utf-8")
    return int(any(run.error for run in done.runs))


if __name__ == "__main__":
    sys.exit(main())
