"""Where two lines of a thread part: the nearest common ancestor, by first parents and by those of merges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Generic, NamedTuple, Protocol, TypeVar

from ..backends.base import Backend, RecordRow
from .view import Entry, ThreadView, entries_of, read_rows

OURS, THEIRS = 1, 2
BOTH = OURS | THEIRS


class Checkpoint(Protocol):
    """A checkpoint of the root namespace."""

    @property
    def checkpoint_id(self) -> str: ...

    @property
    def row(self) -> RecordRow | None: ...


_C = TypeVar("_C", bound=Checkpoint)


class Reached(NamedTuple, Generic[_C]):
    """A checkpoint that lines go back to.

    Attributes:
        by: OURS, THEIRS or BOTH.
        parted: whether a line may go back to more that the other one does not.
    """

    checkpoint: _C
    by: int
    parted: bool


def going_back(parents: Callable[[_C], Iterable[_C]], ours: _C, theirs: _C) -> Iterator[Reached[_C]]:
    """Two checkpoints and all their ancestors, the last one in causal order first: nothing comes before its children.

    Args:
        parents: gives the parents of a checkpoint, removed ones too; asked about one after it was given back.
    """
    by: dict[str, int] = {}
    found: dict[str, _C] = {}
    queue: list[tuple[int, str]] = []
    alone = 0

    def reach(checkpoint: _C, side: int) -> int:
        name = checkpoint.checkpoint_id
        before = by.get(name, 0)
        if not before:
            position = 0 if checkpoint.row is None else checkpoint.row.position or 0
            heappush(queue, (-position, name))
            found[name] = checkpoint
        by[name] = before | side
        return (by[name] != BOTH) - (before in (OURS, THEIRS))

    alone += reach(ours, OURS) + reach(theirs, THEIRS)
    while queue:
        name = heappop(queue)[1]
        alone -= by[name] != BOTH
        yield Reached(found[name], by[name], alone > 0 or by[name] != BOTH)
        alone += sum(reach(above, by[name]) for above in parents(found[name]))


def common_ancestor(parents: Callable[[_C], Iterable[_C]], ours: _C, theirs: _C) -> _C | None:
    """The nearest common ancestor of two root checkpoints: of all that they have, the last one in causal order.

    It is one of the two if that is an ancestor of the other. Only what is newer than it is looked at.

    Args:
        parents: gives the parents of a checkpoint, removed ones too.
    """
    return next((each.checkpoint for each in going_back(parents, ours, theirs) if each.by == BOTH), None)


def parents_of(view: ThreadView, backend: Backend, entry: Entry) -> Iterator[Entry]:
    """The parents of a root checkpoint that are stored, removed ones too; of a merge both. The lock is held."""
    above = None if entry.parent is None else view.entry(backend, "", entry.parent)
    other = merged_parent(view, backend, entry)
    yield from (parent for parent in (above, other) if parent is not None and parent.row is not None)


def merged_parent(view: ThreadView, backend: Backend, entry: Entry) -> Entry | None:
    """The second parent of a checkpoint, if it is a merge. The lock is held."""
    if entry.merge is None:
        return None
    row, record = entry.merge
    rows = [] if row.within is None else backend.anchored(view.number, [row.within])
    for found in entries_of(read_rows(rows)).values():
        if found.row is not None and found.row.id == record.parent:
            return view.entry(backend, found.namespace, found.checkpoint_id)
    return None
