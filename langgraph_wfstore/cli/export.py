"""`wfstore export STORE THREAD FILE`."""

from __future__ import annotations

import argparse

from ..store import WfStore
from .main import exit_codes, thread_id
from .progress import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("store", metavar="STORE", help="a path or URL of a store")
    parser.add_argument("thread", type=thread_id, metavar="THREAD", help="the id of a thread")
    parser.add_argument("file", metavar="FILE", help="where the artifact goes, as a rule *.wfz")
    parser.add_argument(
        "--redact",
        action="append",
        default=[],
        metavar="WHAT",
        help="leave out a channel, by its name, or the values of a record, by its id (sha256:...); may be given more "
        "than once",
    )
    parser.add_argument("--compress", action="store_true", help="deflate it; its identity stays the same")
    parser.add_argument("--sign-with", metavar="PEM", help="sign it with the Ed25519 private key in this file")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.epilog = exit_codes("the file is complete", None, "no file was written, and one that was there stays")


def run(given: argparse.Namespace) -> int:
    """Run it."""
    with WfStore.open(given.store, read_only=True) as store, ProgressLine("records", quiet=given.quiet) as line:
        report = store.thread(given.thread).export(
            given.file, redact=given.redact, compress=given.compress, sign_with=given.sign_with, progress=line.show
        )
    print(report)
    return 0
