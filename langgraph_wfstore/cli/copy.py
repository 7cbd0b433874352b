"""`wfstore copy SOURCE TARGET`."""

from __future__ import annotations

import argparse

from ..store import WfStore
from .main import FAILED, exit_codes, thread_id
from .progress import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("source", metavar="SOURCE", help="a path or URL of a store")
    parser.add_argument("target", metavar="TARGET", help="a path or URL of another; it is made if it is not there")
    parser.add_argument(
        "--thread", action="append", type=thread_id, metavar="ID", help="only this thread; may be given more than once"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.epilog = exit_codes("all threads are there", "some were refused", "nothing could be done")


def run(given: argparse.Namespace) -> int:
    """Run it."""
    with (
        WfStore.open(given.source, read_only=True) as source,
        WfStore.open(given.target) as target,
        ProgressLine("records", quiet=given.quiet) as line,
    ):
        report = source.copy_to(target, given.thread, progress=lambda name, done, of: line.show(done, of, name))
    print(report)
    return FAILED if report.refused else 0
