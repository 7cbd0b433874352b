"""`wfstore verify STORE`."""

from __future__ import annotations

import argparse

from ..errors import WfStoreError
from ..store import WfStore
from .main import FAILED
from .progress import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("store", metavar="STORE", help="a path or URL of a store")
    parser.add_argument("--thread", action="append", metavar="ID", help="only this thread; may be given more than once")
    parser.add_argument("--expect-head", metavar="DIGEST", help="a seal that must be in the chain of the one thread")
    parser.add_argument("--quiet", action="store_true", help="no progress, and nothing about what is sound")
    parser.epilog = (
        "exit codes: 0 all threads verify, 1 some do not, 2 nothing could be done. Artifacts are verified by "
        "python -m langgraph_wfstore.wfstore_verify FILE.wfz"
    )


def run(given: argparse.Namespace) -> int:
    """Run it."""
    if given.expect_head is not None and len(given.thread or ()) != 1:
        raise WfStoreError("--expect-head is of one thread: name it with --thread")
    bad = 0
    with WfStore.open(given.store, read_only=True) as store, ProgressLine("threads", quiet=given.quiet) as line:
        for number, name in enumerate(given.thread or store.thread_ids(), 1):
            report = store.thread(name).verify(given.expect_head)
            bad += not report.ok
            if not (report.ok and given.quiet):
                print(f"{name}: {report}")
            line.show(number, None)
    return FAILED if bad else 0
