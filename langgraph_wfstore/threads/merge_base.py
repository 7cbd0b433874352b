"""Where two lines of a thread part: the nearest common ancestor, by first parents and by those of merges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from ..backends.base import Backend
from .view import Entry, ThreadView, entries_of, read_rows

OURS, THEIRS = 1, 2
Find = Callable[[Entry], Iterator[Entry]]
"""Gives the parents of a checkpoint."""


def common_ancestor(parents: Find, ours: Entry, theirs: Entry) -> Entry | None:
    """The nearest common ancestor of two root checkpoints: of all that they have, the last one in causal order.

    It is one of the two if that is an ancestor of the other. Only what is newer than it is looked at.

    Args:
        parents: gives the parents of a checkpoint, removed ones too.
    """
    seen: dict[str, int] = {}
    found: dict[str, Entry] = {}
    queue: list[tuple[int, str]] = []

    def reach(entry: Entry, side: int) -> None:
        name = entry.checkpoint_id
        if name not in seen:
            position = 0 if entry.row is None else entry.row.position or 0
            heappush(queue, (-position, name))
            found[name] = entry
        seen[name] = seen.get(name, 0) | side

    reach(ours, OURS)
    reach(theirs, THEIRS)
    while queue:
        name = heappop(queue)[1]
        if seen[name] == OURS | THEIRS:
            return found[name]
        for above in parents(found[name]):
            reach(above, seen[name])
    return None


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
