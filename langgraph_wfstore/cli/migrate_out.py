"""`wfstore migrate-out STORE TARGET`."""

from __future__ import annotations

import argparse

from ..migration import migrate_out
from .migration import add_common, run_migration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument("source", metavar="STORE", help="a path or URL of a store")
    parser.add_argument(
        "target", metavar="TARGET", help="an SQLite file for SqliteSaver, made if it is not there, or postgresql://..."
    )
    parser.add_argument(
        "--current-only", action="store_true", help="of each thread only the line of its current branch"
    )
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Run it."""
    return run_migration(given, migrate_out, current_only=given.current_only)
