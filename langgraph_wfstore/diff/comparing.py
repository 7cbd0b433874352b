"""Two sequences compared by element: what was added, removed, changed and moved, in n log n steps. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

_T = TypeVar("_T")
Name = Callable[[int], str | None]


class Placed(Protocol):
    """A difference, by where it stands."""

    @property
    def before(self) -> int | None: ...

    @property
    def after(self) -> int | None: ...


_E = TypeVar("_E", bound=Placed)


class Edit(NamedTuple):
    """One difference between an old sequence and a new one.

    Attributes:
        kind: "added", "removed", "changed" (another content under the same name) or "moved" (the same content).
        before, after: where it stands in the old and in the new sequence; None where it does not.
    """

    kind: str
    before: int | None
    after: int | None


def edits(old: Sequence[bytes], new: Sequence[bytes], old_name: Name, new_name: Name) -> list[Edit]:
    """How to get from one sequence to the other; see `applied`.

    Args:
        old, new: the content of each element, as a digest.
        old_name, new_name: the name of the element at a place, such as a message's id; None for what has none. They are
            asked only about elements that the other side does not have.

    Returns:
        what was removed, in the old order, then the rest in the new order. With `old` and `new` exchanged it is the
        same with "added" and "removed" exchanged.
    """
    pairs = aligned(old, new)
    gone = _others(len(old), (i for i, _ in pairs))
    come = _others(len(new), (j for _, j in pairs))
    moved = _paired(((old[i], i) for i in gone), ((new[j], j) for j in come))
    gone, come = _without(gone, come, moved)
    changed: list[tuple[int, int]] = []
    if gone and come:
        changed = _paired(_named(gone, old_name), _named(come, new_name))
        gone, come = _without(gone, come, changed)
    placed = [Edit("moved", i, j) for i, j in moved] + [Edit("changed", i, j) for i, j in changed]
    placed += [Edit("added", None, j) for j in come]
    return [*(Edit("removed", i, None) for i in gone), *sorted(placed, key=lambda edit: edit.after or 0)]


def applied(changes: Iterable[_E], old: Sequence[_T], value: Callable[[_E], _T]) -> list[_T]:
    """The new sequence.

    Args:
        changes: as `edits` gives them, or other differences with the same places.
        old: the old sequence.
        value: the new element of a change that has a place in the new sequence.
    """
    changes = list(changes)
    gone = {edit.before for edit in changes}
    placed = {edit.after: value(edit) for edit in changes if edit.after is not None}
    kept = iter([item for at, item in enumerate(old) if at not in gone])
    size = len(old) - len(gone - {None}) + len(placed)
    return [placed[at] if at in placed else next(kept) for at in range(size)]


def aligned(old: Sequence[bytes], new: Sequence[bytes]) -> list[tuple[int, int]]:
    """Places of elements that both sequences have in the same order; the same ones if old and new are exchanged.

    Of equal elements the first stands for the first, the second for the second. What both have at their ends is
    aligned whatever else there is; the rest is the longest part that is in order.
    """
    old, new = list(old), list(new)
    if (len(old), old) > (len(new), new):
        return [(i, j) for j, i in aligned(new, old)]
    shorter = len(old)
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    tail = next((at for at in range(shorter - head) if old[-1 - at] != new[-1 - at]), shorter - head)
    middle = _paired(
        ((old[i], i) for i in range(head, len(old) - tail)), ((new[j], j) for j in range(head, len(new) - tail))
    )
    ends = [(len(old) - tail + at, len(new) - tail + at) for at in range(tail)]
    return [*((at, at) for at in range(head)), *_rising(sorted(middle)), *ends]


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of pairs, ordered by the first place, in which the second rises too."""
    ends: list[int] = []
    at_end: list[int] = []
    before: list[int] = []
    for at, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(at_end[length - 1] if length else -1)
        ends[length : length + 1] = [place]
        at_end[length : length + 1] = [at]
    found = []
    at = at_end[-1] if at_end else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _paired(old: Iterable[tuple[object, int]], new: Iterable[tuple[object, int]]) -> list[tuple[int, int]]:
    """Places with the same key: the first with the first, the second with the second."""
    places: dict[object, list[int]] = {}
    for key, at in new:
        places.setdefault(key, []).append(at)
    waiting = {key: iter(found) for key, found in places.items()}
    pairs = ((at, next(waiting[key], None)) for key, at in old if key in waiting)
    return [(at, other) for at, other in pairs if other is not None]


def _named(places: Iterable[int], name: Name) -> list[tuple[object, int]]:
    return [(found, at) for at in places if (found := name(at)) is not None]


def _others(count: int, places: Iterable[int]) -> list[int]:
    known = set(places)
    return [at for at in range(count) if at not in known]


def _without(old: Sequence[int], new: Sequence[int], pairs: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    first, second = {i for i, _ in pairs}, {j for _, j in pairs}
    return [i for i in old if i not in first], [j for j in new if j not in second]
