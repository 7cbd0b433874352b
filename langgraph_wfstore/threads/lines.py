"""The line of checkpoints that ends at a branch's head, by the branches it goes through."""

from __future__ import annotations

from typing import Any

from ..backends.base import Backend, RecordRow
from .lookup import branch_number
from .order import belongs
from .view import Entry, ThreadView

_PAGE = 1000


class Line:
    """A line as it was when it was looked at.

    Every branch is one chain, so a line is what it has of each branch it goes through: all up to a position.

    Args:
        head: id of its last checkpoint, None if it has none.
        parts: (branch number, last position), from the head back to the first checkpoint.
    """

    def __init__(self, head: str | None, parts: list[tuple[int, int]]) -> None:
        self.head = head
        self.parts = parts
        self._upto = dict(reversed(parts))
        self._held = False

    def roots(
        self, view: ThreadView, backend: Backend, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        """Its checkpoints of the root namespace below a position, newest first; see `Backend.checkpoints`."""
        found: list[RecordRow] = []
        starts = [*(position for _, position in self.parts[1:]), -1]
        for (number, upto), start in zip(self.parts, starts, strict=True):
            bound = upto + 1 if below is None else min(below, upto + 1)
            if len(found) < limit and bound > start + 1:
                rows = backend.checkpoints(view.number, 0, bound, limit - len(found), {**where, "branch": number})
                found += rows
        return found

    def has(self, view: ThreadView, backend: Backend, entry: Entry) -> bool:
        """Whether a checkpoint is on it, or belongs to a superstep of one that is."""
        if entry.namespace:
            self._hold(view, backend)
            return self.head is not None and belongs(view, backend, entry, self.head)
        assert entry.row is not None
        return (entry.row.position or 0) <= self._upto.get(entry.row.branch or 0, -1)

    def _hold(self, view: ThreadView, backend: Backend) -> None:
        """Read its checkpoints by pages: what belongs to it is asked by going back from its head."""
        below: int | None = None
        while not self._held and (rows := self.roots(view, backend, below, _PAGE, {})):
            view.fetch(backend, [row.anchor for row in rows if row.anchor is not None])
            below = rows[-1].position
        self._held = True


def line_of(view: ThreadView, backend: Backend, branch: str | None) -> Line:
    """The line of a branch, of the current one for None. The view's lock is held, and it is fit to read from.

    Raises:
        BranchNotFoundError: the thread has no such branch.
    """
    number = branch_number(view, branch)
    head = view.head(backend, number) if view.stored else None
    if head is None or head.row is None:
        return Line(None, [])
    row: RecordRow | None = head.row
    parts: list[tuple[int, int]] = []
    while row is not None:
        number = row.branch or 0
        parts.append((number, row.position or 0))
        base = view.heads[number].base
        row = next(iter(backend.records(view.number, base - 1, 1)), None) if base else None
    return Line(head.checkpoint_id, parts)
