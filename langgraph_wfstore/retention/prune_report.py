"""What a prune removed, or would remove: plain data that prints as a small table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

_SHOWN = 20  # threads that print; the others are in the data
_FIGURES = ("checkpoints", "writes", "hidden", "objects", "bytes", "undated", "waiting")


@dataclass(frozen=True, slots=True)
class PrunedThread:
    """What goes of one thread.

    Attributes:
        deleted: whether the thread goes altogether.
        branches: names of the branches that go.
        checkpoints: how many are shown no more.
        writes: how many records of pending writes go with them.
        hidden: how many of these checkpoints and writes stay in the store, unseen: delta channels need them.
        objects: how many objects, lists and maps nothing needs any more.
        bytes: the bytes of those objects, before compression.
        undated: checkpoints that stay only because their time cannot be read.
        waiting: checkpoints that stay only because a question is open.
    """

    thread_id: str
    deleted: bool = False
    branches: tuple[str, ...] = ()
    checkpoints: int = 0
    writes: int = 0
    hidden: int = 0
    objects: int = 0
    bytes: int = 0
    undated: int = 0
    waiting: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What went; under `dry_run` what would go.

    Attributes:
        looked: how many threads were looked at.
        threads: those of which something goes, or stays only because it cannot be dated or waits for an answer.
    """

    dry_run: bool
    looked: int
    threads: tuple[PrunedThread, ...]

    @property
    def total(self) -> PrunedThread:
        """The figures of all threads; `branches` are all their names, and `deleted` whether every one of them goes."""
        sums: dict[str, Any] = {name: sum(getattr(each, name) for each in self.threads) for name in _FIGURES}
        deleted = bool(self.threads) and all(each.deleted for each in self.threads)
        return PrunedThread("total", deleted, tuple(n for each in self.threads for n in each.branches), **sums)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        total = {name: getattr(self.total, name) for name in _FIGURES}
        threads = [each.as_dict() for each in self.threads]
        return {"dry_run": self.dry_run, "looked": self.looked, "threads": threads, "total": total}

    def __rich__(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(title=self._title(), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("thread", overflow="fold")
        for name in _FIGURES:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("", overflow="fold")
        for row in self._rows():
            table.add_row(*row)
        table.add_section()
        table.add_row(*_cells(self.total)[:-1], "", style="bold")
        return table

    def __str__(self) -> str:
        rows = [("thread", *_FIGURES, ""), *self._rows(), (*_cells(self.total)[:-1], "")]
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:-1]), row[-1]]) for row in rows
        ]
        return "\n".join([self._title(), *(line.rstrip() for line in lines)])

    def _title(self) -> str:
        return f"{'would go' if self.dry_run else 'went'}, of {self.looked} thread{'' if self.looked == 1 else 's'}"

    def _rows(self) -> list[tuple[str, ...]]:
        rows = [_cells(thread) for thread in self.threads[:_SHOWN]]
        more = len(self.threads) - len(rows)
        return [*rows, (f"and {more} more", *[""] * (len(_FIGURES) + 1))] if more else rows


def _cells(thread: PrunedThread) -> tuple[str, ...]:
    figures = [str(getattr(thread, name) or "-") for name in _FIGURES]
    what = "the whole thread" if thread.deleted else ", ".join(thread.branches)
    return (thread.thread_id, *figures, what)
