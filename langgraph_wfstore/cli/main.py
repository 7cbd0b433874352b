"""The command line: the sub-commands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import WfStoreError


class Command(NamedTuple):
    """A sub-command, whose module is imported when it is called.

    The module has `add_arguments(parser)` and `run(arguments)`, which returns the exit code.

    Attributes:
        module: its name in this package.
        help: what it does, in a line.
    """

    module: str
    help: str


COMMANDS = {
    "verify": Command("verify", "recompute everything that a store says of its threads"),
    "export": Command("export", "write a thread to one file, an artifact"),
    "import": Command("import_artifact", "bring the thread of an artifact into a store"),
    "copy": Command("copy", "bring threads of a store into another one, on whatever engines they are"),
    "migrate": Command("migrate", "bring threads of another LangGraph checkpointer into a store"),
    "migrate-out": Command("migrate_out", "bring threads of a store into another LangGraph checkpointer"),
}

FAILED = 1
"""The exit code of a command that ran, and whose result is not what was asked for."""
UNUSABLE = 2
"""The exit code of a command that could not do anything with its arguments."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: the words behind the command's name; None for those of this process.

    Returns:
        the exit code: 0, `FAILED`, or `UNUSABLE`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = _parser(words).parse_args(words)
    run: Callable[[argparse.Namespace], int] = given.run
    try:
        return run(given)
    except (WfStoreError, OSError) as error:
        print(f"wfstore {given.command}: {error}", file=sys.stderr)
        return UNUSABLE


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wfstore", description="Work with stores of langgraph_wfstore.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help, description=_sentence(command.help))
        if name in words:
            module = importlib.import_module(f".{command.module}", __package__)
            module.add_arguments(own)
            own.set_defaults(run=module.run)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
