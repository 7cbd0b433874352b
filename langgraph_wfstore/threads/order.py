"""The causal order of a thread's checkpoints (DESIGN, section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..backends.base import CHECKPOINT, Backend, RecordRow
from .view import Entry, ThreadView, anchor_of, entries_of, read_rows

STRIDE_BITS = 20
_PAGE = 1000


class Arrival(NamedTuple):
    """A checkpoint that is about to be put.

    Attributes:
        parents: per namespace the checkpoint whose superstep this one belongs to (LangGraph's metadata["parents"]).
        read: number of the thread's last record when its run read the thread; None if nothing is known.
        source: of its metadata.
        addressed: the checkpoint that its run, or update, addressed by id; None if it took the latest.
        branch: the branch that its config names, if it names one.
        isolated: whether a branch that it starts, or goes on with unasked, stays beside the current one.
        exclusive: whether it is refused if it would start a branch unasked.
    """

    namespace: str
    checkpoint_id: str
    parent: str | None
    parents: Mapping[str, str]
    read: int | None
    source: str | None = None
    addressed: str | None = None
    branch: str | None = None
    isolated: bool = False
    exclusive: bool = False


@dataclass(slots=True)
class Spot:
    """Where a checkpoint goes: its position, and the checkpoints that move to make room."""

    position: int
    moved: list[tuple[int, int]] = field(default_factory=list)


def spot_for(view: ThreadView, backend: Backend, arrival: Arrival, seq: int) -> Spot:
    """The position of a new checkpoint in the causal order.

    It follows its parent and what its `parents` name, and precedes what named it before it arrived. What that
    leaves open is ordered by id among this process's own puts, and else by arrival.

    Args:
        view: the thread, locked.
        backend: where to look for what the view does not hold.
        arrival: the checkpoint.
        seq: the number its record will have.
    """
    if view.recent and not arrival.parents and not view.awaited and (view.complete or arrival.namespace):
        last = view.recent[-1][1]
        if last.checkpoint_id == arrival.parent and last.namespace == arrival.namespace:
            return Spot(seq << STRIDE_BITS)  # it goes on from the end
    after = _positions(view, backend, _followed(arrival))
    low = max(after, default=-1)
    high = _awaited(view, backend, arrival)
    for position, entry in reversed(view.recent):
        if position <= low or not entry.mine or entry.checkpoint_id < arrival.checkpoint_id:
            break
        high = position if high is None else min(high, position)
    if high is None:
        return Spot(seq << STRIDE_BITS)
    if low < high:
        previous = backend.before(view.number, high) if view.stored else None
        below = max(low, -1 if previous is None else previous, _previous(view, high))
        if high - below > 1:
            return Spot((below + high) // 2)
    return _reordered(view, backend, arrival, low, high)


def await_parents(view: ThreadView, backend: Backend, arrival: Arrival) -> None:
    """Remember which checkpoints this one follows that have not arrived; called once its append is on its way."""
    own = (arrival.namespace, arrival.checkpoint_id)
    view.awaited.pop(own, None)
    for key in _followed(arrival):
        entry = view.entry(backend, *key)
        if entry is None or entry.row is None:
            view.wait_for(key, own)


def _followed(arrival: Arrival) -> list[tuple[str, str]]:
    keys = [(namespace, checkpoint_id) for namespace, checkpoint_id in arrival.parents.items()]
    if arrival.parent is not None:
        keys.append((arrival.namespace, arrival.parent))
    return keys


def _positions(view: ThreadView, backend: Backend, keys: Iterable[tuple[str, str]]) -> list[int]:
    found = (view.entry(backend, *key) for key in keys)
    return [e.row.position for e in found if e is not None and e.row is not None and e.row.position is not None]


def _awaited(view: ThreadView, backend: Backend, arrival: Arrival) -> int | None:
    waiting = view.awaited.get((arrival.namespace, arrival.checkpoint_id), ())
    positions = _positions(view, backend, waiting)
    if not arrival.namespace and not view.complete and view.stored and view.row is not None and view.row.nested:
        anchor = anchor_of("", arrival.checkpoint_id)  # what other processes put, or this one long ago
        rows = backend.checkpoints(view.number, None, None, _PAGE, {"within": anchor})
        positions += [row.position for row in rows if row.position is not None]
    return min(positions, default=None)


def _previous(view: ThreadView, high: int) -> int:
    """The position before `high` among what is on its way and not in the engine yet."""
    return max((position for position, _ in view.recent if position < high), default=-1)


def _reordered(view: ThreadView, backend: Backend, arrival: Arrival, low: int, high: int) -> Spot:
    """Number the whole thread anew: there is no room, or what follows the newcomer stands before its parent."""
    if view.pending is not None:
        view.pending.wait()
    rows = sorted(_all_checkpoints(view, backend), key=lambda item: item[0].position or 0)
    followers = _followers(rows, arrival)
    cut = next((i for i, (row, _) in enumerate(rows) if (row.position or 0) > low), len(rows))
    if low < high:
        cut = next((i for i, (row, _) in enumerate(rows) if (row.position or 0) >= high), len(rows))
    before = [row.seq for row, _ in rows[:cut] if row.seq not in followers]
    behind = [row.seq for row, _ in rows[:cut] if row.seq in followers] + [row.seq for row, _ in rows[cut:]]
    placed = {seq: (i + 1) << STRIDE_BITS for i, seq in enumerate([*before, 0, *behind])}
    mine = placed.pop(0)
    moved = [(row.seq, placed[row.seq]) for row, _ in rows if row.position != placed[row.seq]]
    return Spot(mine, moved)


def _all_checkpoints(view: ThreadView, backend: Backend) -> list[tuple[RecordRow, Entry]]:
    found: list[tuple[RecordRow, Entry]] = []
    after = 0
    while view.stored and (page := backend.records(view.number, after, _PAGE)):
        entries = entries_of(read_rows(row for row in page if row.kind == CHECKPOINT))
        found += [(entry.row, entry) for entry in entries.values() if entry.row is not None]
        after = page[-1].seq
    return found


def _followers(rows: list[tuple[RecordRow, Entry]], arrival: Arrival) -> set[int]:
    """Numbers of the checkpoints that follow the newcomer, directly or not."""
    reached = {(arrival.namespace, arrival.checkpoint_id)}
    found: set[int] = set()
    grew = True
    while grew:
        grew = False
        for row, entry in rows:
            if row.seq in found:
                continue
            parents = () if entry.record is None else entry.record.parents
            if not reached.isdisjoint((*parents, (entry.namespace, entry.parent or ""))):
                found.add(row.seq)
                reached.add((entry.namespace, entry.checkpoint_id))
                grew = True
    return found


def belongs(view: ThreadView, backend: Backend, entry: Entry, within: str | None, last_root: str | None = None) -> bool:
    """Whether a sub-graph's checkpoint belongs to a root checkpoint or an ancestor of it.

    Args:
        within: the root checkpoint; None admits everything.
        last_root: what to start from while `within` is still on its way to the store.
    """
    assert entry.record is not None
    assert entry.row is not None
    own = entry.record.within
    if within is None or own is None or own == within:
        return True
    root = _stored(view, backend, within) or _stored(view, backend, last_root)
    if root is None:
        return True
    known = _stored(view, backend, own) is not None
    position = entry.row.position or 0
    if not known and (root.row is None or (root.row.position or 0) < position):
        # Its root checkpoint is on its way, or never comes: it is of a run that goes on, if no root came behind it.
        newest = backend.checkpoints(view.number, 0, None, 1, {})
        return not newest or (newest[0].position or 0) < position
    while root is not None and root.row is not None:
        if root.checkpoint_id == own:
            return True
        above = _stored(view, backend, root.parent)
        if (root.row.position or 0) < position:
            return False
        if not known and (above is None or above.row is None or (above.row.position or 0) < position):
            # Durability "exit" stores a run's last root checkpoint only: the next one behind the entry is its run's.
            between = backend.checkpoints(view.number, 0, root.row.position, 1, {})
            return not between or (between[0].position or 0) < position
        root = above
    return False


def _stored(view: ThreadView, backend: Backend, checkpoint_id: str | None) -> Entry | None:
    entry = None if checkpoint_id is None else view.entry(backend, "", checkpoint_id)
    return entry if entry is not None and entry.row is not None else None
