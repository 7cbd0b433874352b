"""What both directions of a migration have in common on the command line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from ..counting import counted
from ..errors import WfStoreError
from ..migration import MigrationReport
from .main import FAILED, exit_codes
from .progress import ProgressLine


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of both directions."""
    parser.epilog = exit_codes("all threads are there and equal", "some are not", "nothing could be done")
    parser.add_argument("--thread", action="append", metavar="ID", help="only this thread; may be given more than once")
    parser.add_argument("--dry-run", action="store_true", help="try everything, say what would be put, write nothing")
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module first: the states hold its dataclasses, enums or models",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="a class that may be restored by running its own code, such as a pydantic model",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run_migration(given: argparse.Namespace, migrate: Callable[..., MigrationReport], **options: Any) -> int:
    """Migrate as the command line says; prints the report.

    Raises:
        WfStoreError: an option cannot be used, or nothing could be migrated.
    """
    _import(given.imports)
    allow = [_class(name) for name in given.allow]
    with ProgressLine("threads", quiet=given.quiet) as line:

        def progress(report: MigrationReport) -> None:
            bad = f", {counted(len(report.problems), 'problem')}" if report.problems else ""
            line.show(report.threads, report.total, f"{counted(report.checkpoints, 'checkpoint')}{bad}")

        report = migrate(
            given.source,
            given.target,
            threads=given.thread,
            allow=allow,
            dry_run=given.dry_run,
            progress=progress,
            **options,
        )
    print(report)
    return 0 if report.ok else FAILED


def _import(modules: list[str]) -> None:
    if modules and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does: the program's own modules
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise WfStoreError(f"--import {name}: {error}; run it where the module can be imported") from error


def _class(name: str) -> tuple[str, str]:
    module, colon, qualname = name.partition(":")
    if not (module and colon and qualname):
        raise WfStoreError(f"--allow takes MODULE:CLASS, such as shop.cart:Cart, not {name!r}")
    return module, qualname
