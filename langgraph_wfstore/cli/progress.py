"""Progress on standard error: a bar of `rich` where it is installed and there is a terminal; else a line at times."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_EVERY = 5.0  # s between two lines


class ProgressLine:
    """Shows how far something is; a context manager.

    Args:
        what: what is counted, such as "threads".
        quiet: show nothing.
    """

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._quiet = quiet
        self._bar = None if quiet or not sys.stderr.isatty() else _bar()
        self._task: Any = None
        self._said = time.monotonic()

    def show(self, done: int, total: int | None, also: str = "") -> None:
        """Show that so many are done.

        Args:
            total: how many there are; None if that is not known.
            also: what else there is to say.
        """
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(self._what, total=total, also=also)
            self._bar.update(self._task, completed=done, total=total, also=also)
        elif not self._quiet and time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            of = "" if total is None else f" of {total}"
            print(f"{done}{of} {self._what}{', ' if also else ''}{also}", file=sys.stderr, flush=True)

    def __enter__(self) -> ProgressLine:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Any:
    """A bar of `rich`; None if that is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[also]}"), console=Console(stderr=True))
