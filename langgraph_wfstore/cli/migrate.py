"""`wfstore migrate SOURCE TARGET`."""

from __future__ import annotations

import argparse

from ..migration import migrate
from .migration import add_common, run_migration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this sub-command."""
    parser.add_argument(
        "source", metavar="SOURCE", help="an SQLite file of SqliteSaver or AsyncSqliteSaver, or postgresql://..."
    )
    parser.add_argument("target", metavar="TARGET", help="a path or URL of a store; it is made if it is not there")
    add_common(parser)


def run(given: argparse.Namespace) -> int:
    """Run it."""
    return run_migration(given, migrate)
