"""`wfstore import FILE STORE`."""

from __future__ import annotations

import argparse

from ..artifact.opening import Opened, looks_like_artifact
from ..errors import WfStoreError
from .main import FAILED, exit_codes, thread_id
from .new_file import opened_or_made
from .progress import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("file", metavar="FILE", help="an artifact, as a rule *.wfz")
    parser.add_argument("store", metavar="STORE", help="a path or URL of a store; it is made if it is not there")
    parser.add_argument(
        "--thread", type=thread_id, metavar="ID", help="the thread's id in the store; by default the one that it had"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.epilog = exit_codes(
        "the thread is there, with all that the file holds",
        "it was there before, but without content that the file holds",
        "nothing was imported",
    )


def run(given: argparse.Namespace) -> int:
    """Run it."""
    if looks_like_artifact(given.store) and not looks_like_artifact(given.file):
        raise WfStoreError(
            f"{given.store!r} looks like an artifact, and {given.file!r} does not: the file comes first, then the "
            f"store (wfstore import {given.store} {given.file}). Nothing was imported"
        )
    with Opened(given.file):
        pass  # so that no server is asked to make a store for what is no artifact
    with opened_or_made(given.store) as store, ProgressLine("records", quiet=given.quiet) as line:
        report = store.import_artifact(given.file, given.thread, progress=line.show).imported
    assert report is not None
    print(report)
    return FAILED if report.lacking else 0
