"""The command line: the sub-commands, and what becomes of their errors."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..arguments import checked_thread_id
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
    "verify": Command("verify", "recompute everything that a store, or an artifact, says of its threads"),
    "export": Command("export", "write a thread to one file, an artifact"),
    "import": Command("import_artifact", "bring the thread of an artifact into a store"),
    "copy": Command("copy", "bring threads of a store into another one, on any engine"),
    "migrate": Command("migrate", "bring threads of another LangGraph checkpointer into a store"),
    "migrate-out": Command("migrate_out", "bring threads of a store into another LangGraph checkpointer"),
}

FAILED = 1
"""The exit code of a command that ran, and whose result is not what was asked for."""
UNUSABLE = 2
"""The exit code of a command that could not do anything with its arguments."""
STOPPED = 130
"""The exit code of a command that was stopped from the keyboard."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: the words behind the command's name; None for those of this process.

    Returns:
        the exit code: 0, `FAILED`, `UNUSABLE`, or `STOPPED`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = _parser(words).parse_args(words)
    run: Callable[[argparse.Namespace], int] = given.run
    try:
        return run(given)
    except (WfStoreError, OSError) as error:
        print(f"wfstore {given.command}: {_in_one_line(error)}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print(f"wfstore {given.command}: stopped; what is complete is kept, run it again for the rest", file=sys.stderr)
        return STOPPED


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wfstore",
        description="Work with stores of langgraph_wfstore, and with artifacts: one thread as one file.",
        epilog="STORE is a path, sqlite:///path, postgresql://... or redis://... "
        "wfstore COMMAND --help says the rest, and the exit codes.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help, description=_sentence(command.help))
        if name in words:
            module = importlib.import_module(f".{command.module}", __package__)
            module.add_arguments(own)
            own.set_defaults(run=module.run)
    return parser


def exit_codes(done: str, failed: str | None, unusable: str) -> str:
    """What a help says of the exit codes: those of `main`, in words of the command."""
    told = [f"0 {done}", *([] if failed is None else [f"{FAILED} {failed}"]), f"{UNUSABLE} {unusable}"]
    return f"exit codes: {'; '.join(told)}."


def thread_id(given: str) -> str:
    """A thread id on the command line."""
    try:
        return checked_thread_id(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _in_one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not isinstance(error, WfStoreError):
        where = "" if error.filename is None else f"{str(error.filename)!r}: "
        return f"{where}{error.strerror}"
    return " ".join(str(error).split())


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
