"""`wfstore import FILE STORE`."""

from __future__ import annotations

import argparse

from ..store import WfStore
from .progress import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("file", metavar="FILE", help="an artifact")
    parser.add_argument("store", metavar="STORE", help="a path or URL of a store; it is made if it is not there")
    parser.add_argument("--thread", metavar="ID", help="the thread's id in the store; by default the one that it had")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(given: argparse.Namespace) -> int:
    """Run it."""
    with WfStore.open(given.store) as store, ProgressLine("records", quiet=given.quiet) as line:
        thread = store.import_artifact(given.file, given.thread, progress=line.show)
        print(f"{thread.thread_id}: head {thread.head}")
    return 0
