"""How the checkpoints of a thread belong together: lines of root checkpoints, and what sub-graphs saved under them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property

from ..threads.view import Entry
from .removal import Key, Whole


class Families:
    """The shown checkpoints of a thread, in causal order, with their roots.

    Attributes:
        shown: all that are shown; `roots` and `below` are those of the root namespace and the others.
        by_number: checkpoints of the root namespace by record number, those too whose content was removed.
    """

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        stored = [(e.row.position or 0, key, e) for key, e in whole.entries.items() if e.row is not None]
        ordered = [entry for _, _, entry in sorted(stored, key=lambda item: item[:2])]
        self.shown = [entry for entry in ordered if entry.shown]
        self.roots = [entry for entry in self.shown if not entry.namespace]
        self.below = [entry for entry in self.shown if entry.namespace]
        self._all_roots = [entry for entry in ordered if not entry.namespace]
        self._positions = [_position(entry) for entry in self._all_roots]
        self.by_number = {_number(entry): entry for entry in self._all_roots}

    def branch_of(self, number: int) -> int | None:
        """The branch of a checkpoint of the root namespace, by its record number."""
        entry = self.by_number.get(number)
        return None if entry is None or entry.row is None else entry.row.branch

    def ends(self, without: Collection[int]) -> list[Entry]:
        """The last shown checkpoint of every line: the heads, but for those of some branches."""
        branches = {branch.number: branch for branch in self._whole.tail.branches if branch.name}
        if not branches:
            return self.roots[-1:]
        staying = {n: branch for n, branch in branches.items() if n not in without}
        last = {e.row.branch or 0: e for e in self.roots if e.row is not None and (e.row.branch or 0) in staying}
        heads = [self.by_number[branch.head] for branch in staying.values() if branch.head in self.by_number]
        return list({_number(entry): entry for entry in [*heads, *last.values()]}.values())

    def last_of_lines(self, ends: Iterable[Entry], count: int) -> set[str]:
        """Ids of the last so many shown checkpoints of each line."""
        found: set[str] = set()
        left_at: dict[str, int] = {}
        for end in ends:
            left = count
            for entry in self._up(end):
                if left <= left_at.get(entry.checkpoint_id, 0):
                    break
                left_at[entry.checkpoint_id] = left
                if entry.shown:
                    found.add(entry.checkpoint_id)
                    left -= 1
        return found

    def _up(self, entry: Entry | None) -> Iterator[Entry]:
        """A checkpoint and its ancestors, those too whose content was removed."""
        while entry is not None and entry.row is not None:
            yield entry
            entry = self._above(entry)

    def is_last(self, entry: Entry) -> bool:
        """Whether no checkpoint that is shown goes on from this one, nor from the root checkpoint it belongs to."""
        root = self.root_of(entry) if entry.namespace else None
        return _number(entry) not in self._gone_on_from and (root is None or _number(root) not in self._gone_on_from)

    @cached_property
    def _gone_on_from(self) -> set[int]:
        """Record numbers of the ancestors of all that are shown."""
        found: set[int] = set()
        for start in self.shown:
            for above in self._up(self._above(start)):
                if _number(above) in found:
                    break
                found.add(_number(above))
        return found

    def _above(self, entry: Entry) -> Entry | None:
        return None if entry.parent is None else self._whole.entries.get((entry.namespace, entry.parent))

    # ------------------------------------------------------------------ sub-graphs

    def root_of(self, entry: Entry) -> Entry | None:
        """The checkpoint of the root namespace whose superstep a sub-graph's checkpoint belongs to.

        Durability "exit" stores the last root checkpoint of a run only: then it is the next one behind it. None if it
        does not say, or that one has not come yet.
        """
        within = None if entry.record is None else entry.record.within
        if within is None:
            return None
        root = self._whole.entries.get(("", within))
        if root is not None and root.row is not None:
            return root
        at = bisect_right(self._positions, _position(entry))
        return self._all_roots[at] if at < len(self._all_roots) else None

    @cached_property
    def _under(self) -> dict[int, list[Entry]]:
        found: dict[int, list[Entry]] = {}
        for entry in self.below:
            root = self.root_of(entry)
            found.setdefault(0 if root is None else _number(root), []).append(entry)
        return found

    def under(self, root: Entry) -> list[Entry]:
        """What sub-graphs saved in the superstep of a root checkpoint, in causal order."""
        return self._under.get(_number(root), [])

    def last_under(self, root: Entry) -> list[Entry]:
        """Of each namespace the last that was saved in the superstep of a root checkpoint."""
        return list({entry.namespace: entry for entry in self.under(root)}.values())

    def unplaced(self, without: Collection[Key]) -> set[Key]:
        """The last of each namespace of those that belong to no root checkpoint that is known."""
        entries = [e for e in self._under.get(0, []) if (e.namespace, e.checkpoint_id) not in without]
        return {(e.namespace, e.checkpoint_id) for e in {e.namespace: e for e in entries}.values()}

    def belonging(self, roots: Iterable[Entry]) -> set[Key]:
        """What sub-graphs go on from at these root checkpoints: what the last of their own superstep is, and of
        sub-graphs that remember the last at or before it."""
        found: set[Key] = set()
        for root in roots:
            entries = {**self._remembered.get(_number(root), {}), **{e.namespace: e for e in self.last_under(root)}}
            found |= {(namespace, e.checkpoint_id) for namespace, e in entries.items()}
        return found

    @cached_property
    def _remembered(self) -> dict[int, dict[str, Entry]]:
        """Per root checkpoint the last of each namespace that is no single task's, at it or at an ancestor."""
        found: dict[int, dict[str, Entry]] = {}
        if all(_is_of_task(entry.namespace) for entry in self.below):
            return found
        for root in self._all_roots:
            above = self._above(root)
            known = {} if above is None or above.row is None else found.get(_number(above), {})
            own = {e.namespace: e for e in self.last_under(root) if not _is_of_task(e.namespace)}
            found[_number(root)] = {**known, **own} if own else known
        return found

    def below_line(self, end: Entry) -> Iterator[Entry]:
        """What belongs to a line, the last first."""
        entry: Entry | None = end
        while entry is not None:
            yield from reversed(self.under(entry))
            entry = self._nearest.get(_number(entry))

    @cached_property
    def _nearest(self) -> dict[int, Entry | None]:
        """Per root checkpoint the nearest ancestor under which a sub-graph saved something."""
        found: dict[int, Entry | None] = {}
        for root in self._all_roots if self.below else ():
            above = self._above(root)
            if above is None or above.row is None or _position(above) >= _position(root):
                found[_number(root)] = None  # the first; a parent behind its child would be a loop
            else:
                found[_number(root)] = above if self.under(above) else found.get(_number(above))
        return found


def _is_of_task(namespace: str) -> bool:
    """Whether a namespace is that of one task, which ends with its superstep, or inside one: `node:task id`."""
    return ":" in namespace


def _number(entry: Entry) -> int:
    assert entry.row is not None
    return entry.row.seq


def _position(entry: Entry) -> int:
    assert entry.row is not None
    return entry.row.position or 0
