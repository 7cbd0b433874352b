"""The part of verify about merges: their checkpoint stands directly before them, their parents and base are earlier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..backends.base import CHECKPOINT, RecordRow
from ..canonical import hex_id
from ..records import MergeRecord
from ..threads.view import Entry, Made, anchor_of

Add = Callable[[str, str], None]


def check_merges(made: Sequence[Made], entries: Mapping[tuple[str, str], Entry], add: Add) -> None:
    """Check a thread's merge records.

    Args:
        made: the thread's records, in order.
        entries: its checkpoints.
        add: takes a place and what is wrong there.
    """
    roots = {e.row.id: e for e in entries.values() if not e.namespace and e.row is not None}
    others: dict[str, Entry] = {}
    before: RecordRow | None = None
    for row, record in made:
        if isinstance(record, MergeRecord):
            for what in _problems(row, record, before, roots, entries, others):
                add(f"record {row.seq}", what)
        before = row


def _problems(
    row: RecordRow,
    record: MergeRecord,
    before: RecordRow | None,
    roots: Mapping[bytes, Entry],
    entries: Mapping[tuple[str, str], Entry],
    others: dict[str, Entry],
) -> list[str]:
    """What is wrong with one merge; `others` has the second parents of those before it, and is added to."""
    merge = roots.get(record.checkpoint)
    if before is None or before.kind != CHECKPOINT or merge is None or merge.row is None or before.id != merge.row.id:
        return ["it does not follow the checkpoint that it makes a merge directly"]
    first = None if merge.parent is None else entries.get(("", merge.parent))
    second = roots.get(record.parent)
    found = []
    if first is None or first.row is None or first.row.seq >= before.seq:
        found.append("its checkpoint has no parent that is there before it")
    if second is None or second.row is None or second.row.seq >= before.seq:
        return [*found, f"what it merges, {hex_id(record.parent)}, is no checkpoint of the root namespace before it"]
    if (row.anchor, row.within) != (anchor_of("", merge.checkpoint_id), anchor_of("", second.checkpoint_id)):
        found.append("columns anchor and within are not those of its checkpoint and of what it merges")
    if (second.row.position or 0) >= (merge.row.position or 0):
        found.append("its checkpoint is not listed behind what it merges")
    others[merge.checkpoint_id] = second
    if record.base is not None and first is not None:
        base = roots.get(record.base)
        if base is None or not all(_reaches(side, base, entries, others) for side in (first, second)):
            found.append(f"its base, {hex_id(record.base)}, is not an ancestor of both of its parents")
    return found


def _reaches(start: Entry, base: Entry, entries: Mapping[tuple[str, str], Entry], others: Mapping[str, Entry]) -> bool:
    """Whether a checkpoint is another one, or goes back to it."""
    bound = 0 if base.row is None else base.row.position or 0
    seen: set[str] = set()
    todo = [start]
    while todo:
        entry = todo.pop()
        if entry is base:
            return True
        if entry.checkpoint_id in seen or entry.row is None or (entry.row.position or 0) < bound:
            continue
        seen.add(entry.checkpoint_id)
        above = (entries.get(("", entry.parent or "")), others.get(entry.checkpoint_id))
        todo += [each for each in above if each is not None]
    return False
