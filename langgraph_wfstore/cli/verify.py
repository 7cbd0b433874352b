"""`wfstore verify STORE`, or an artifact."""

from __future__ import annotations

import argparse

from .. import wfstore_verify
from ..artifact.opening import looks_like_artifact
from ..canonical import from_hex_id
from ..errors import WfStoreError
from ..store import WfStore
from .main import FAILED, exit_codes, thread_id
from .progress import ProgressLine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("store", metavar="STORE", help="a path or URL of a store, or an artifact (*.wfz)")
    parser.add_argument(
        "--thread", action="append", type=thread_id, metavar="ID", help="only this thread; may be given more than once"
    )
    parser.add_argument(
        "--expect-head", metavar="DIGEST", help="a seal (sha256:...) that must be in the chain of the one thread"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, and nothing about what is sound")
    parser.epilog = (
        f"{exit_codes('all threads verify', 'some do not', 'nothing could be done')} For roots, signatures, head "
        "statements and proofs: python -m langgraph_wfstore.wfstore_verify --help"
    )


def run(given: argparse.Namespace) -> int:
    """Run it."""
    if given.expect_head is not None:
        _check_digest(given.expect_head)
    if looks_like_artifact(given.store):
        return _artifact(given)
    if given.expect_head is not None and len(given.thread or ()) != 1:
        raise WfStoreError("--expect-head is of one thread: name it with --thread")
    bad = 0
    with WfStore.open(given.store, read_only=True) as store, ProgressLine("threads", quiet=given.quiet) as line:
        number = 0
        for number, name in enumerate(given.thread or store.thread_ids(), 1):
            report = store.thread(name).verify(given.expect_head)
            bad += not report.ok
            if not (report.ok and given.quiet):
                print(f"{name}: {report}")
            line.show(number, None)
    if not number and not given.quiet:
        print("there are no threads in this store")
    return FAILED if bad else 0


def _artifact(given: argparse.Namespace) -> int:
    """The same as the script gives that is made for it."""
    if given.thread:
        raise WfStoreError(f"--thread chooses threads of a store, and {given.store!r} is an artifact, which has one")
    report = wfstore_verify.verify_file(given.store, expect_head=given.expect_head)
    if report.ok and given.quiet:
        return 0
    said = [*wfstore_verify.describe(report), *wfstore_verify.not_shown(report, given.expect_head is not None)]
    return wfstore_verify.verdict(report.ok, report.problems, said, quiet=False)


def _check_digest(said: str) -> None:
    try:
        from_hex_id(said)
    except ValueError as error:
        raise WfStoreError(f"--expect-head takes the digest of a seal: {error}") from error
