"""The change that removes content from the threads of a lineage, and every object that nobody needs then.

What goes leaves its record ids, and a removal record that states them, so that the rest verifies. What a kept
checkpoint's delta channels are rebuilt from stays, hidden.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..backends.base import (
    CHECKPOINT,
    HIDDEN,
    KEPT,
    RUN,
    SKELETON,
    WRITE,
    Backend,
    BranchRow,
    RecordRow,
    Rewrite,
    Stale,
    Tail,
)
from ..branching.branches import label
from ..codec import Codec
from ..format import skeleton_body
from ..records import WriteRecord
from ..threads.delta import walk_entries
from ..threads.lookup import load_needs
from ..threads.view import Entry, Made, entries_of, read_rows
from ..threads.views import Views
from ..values.content import Content
from ..values.lists import pack_numbers, unpack_numbers
from ..values.reading import checked_dict, named_place
from .statement import REDACTION, redacted_parts, state, stated, statement
from .sweep import sweep

_PAGE = 1000
Key = tuple[str, str]


@dataclass(slots=True)
class Whole:
    """Everything of one thread: its records, and its checkpoints with their writes."""

    tail: Tail
    made: list[Made]
    entries: dict[Key, Entry] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The thread's number."""
        return self.tail.row.number or 0


class Removal(NamedTuple):
    """What goes of one thread: checkpoints, and the names of branches."""

    whole: Whole
    gone: set[Key]
    reason: str
    branches: frozenset[int] = frozenset()


def whole_of(backend: Backend, tail: Tail) -> Whole:
    """Everything of the thread that stands so."""
    made: list[Made] = []
    while page := backend.records(tail.row.number or 0, len(made), _PAGE):
        made += read_rows(page)
    made = made[: tail.last]
    return Whole(tail, made, entries_of(made))


def line_to(whole: Whole, head: Entry) -> set[int | None]:
    """Anchors of a root checkpoint and its ancestors."""
    found: set[int | None] = set()
    entry: Entry | None = head
    while entry is not None and entry.row is not None and entry.row.anchor not in found:
        found.add(entry.row.anchor)
        entry = None if entry.parent is None else whole.entries.get(("", entry.parent))
    return found


def change_for(
    views: Views,
    codec: Codec,
    removals: Sequence[Removal],
    dropped: Whole | None = None,
    traces: Collection[int] = (),
) -> Rewrite:
    """The removal of checkpoints from threads of one lineage, or of a thread, with all objects nobody needs then.

    Args:
        traces: numbers of the records of runs, steps and calls that go too, of the first removal's thread.
    """
    first = dropped or removals[0].whole
    lineage = first.tail.row.lineage or 0
    change = Rewrite(lineage, {})
    concerned = {removal.whole.number: removal for removal in removals}
    live: set[int] = set()
    wholes: list[Whole] = []
    for row in views.backend.kin(lineage):
        number = row.number or 0
        if dropped is not None and number == dropped.number:
            change.expect[number] = dropped.tail.standing
            continue
        if number in concerned:
            removal = concerned[number]
        else:
            tail = views.backend.row(number)
            if tail is None:
                raise Stale
            removal = Removal(whole_of(views.backend, tail), set(), "")
        whole = removal.whole
        change.expect[number] = whole.tail.standing
        wholes.append(whole)
        needed = _needed(views, codec, whole, removal.gone)
        going = traces if number in concerned else ()
        live |= needed.live | _named_by_traces(whole, going)
        if removal.gone or going or removal.branches:
            _remove(change, removal, needed, going)
    change.drop_thread = None if dropped is None else dropped.number
    if change.expect.keys() - {change.drop_thread}:
        content = Content.of(views.backend, lineage)
        change.drop_objects, change.replace_objects = sweep(content, live)
        _forget_dropped(change, wholes)
        _state(change, wholes, concerned, content)
    return change


def _state(change: Rewrite, wholes: Sequence[Whole], concerned: Mapping[int, Removal], content: Content) -> None:
    """Add a removal record to every thread that loses content, or whose redacted objects are others now."""
    left = content.without(set(change.drop_objects)) if content.redacted else content
    for whole in wholes:
        changed = {row.seq: row for number, row in change.records if number == whole.number}
        rows = [changed.get(row.seq, row) for row, _ in whole.made]
        said = statement(rows, redacted_parts(rows, left))
        removal = concerned.get(whole.number)
        if removal is not None:
            names = enumerate(sorted(removal.branches), whole.tail.last + 1)
            state(change, whole.tail, said, removal.reason, [label(seq, number, None)[0] for seq, number in names])
        elif content.redacted and said != stated(whole.made):
            state(change, whole.tail, said, REDACTION)


def _forget_dropped(change: Rewrite, wholes: Sequence[Whole]) -> None:
    """Hidden records name values that are gone; where they were is 0 from now on."""
    dropped = set(change.drop_objects)
    for whole in wholes:
        changed = {row.seq: i for i, (number, row) in enumerate(change.records) if number == whole.number}
        for old, _ in whole.made:
            at = changed.get(old.seq)
            row = old if at is None else change.records[at][1]
            if row.state != HIDDEN:
                continue
            numbers = unpack_numbers(row.refs)
            if dropped.isdisjoint(numbers):
                continue
            row = row._replace(refs=pack_numbers(0 if number in dropped else number for number in numbers))
            if at is None:
                change.records.append((whole.number, row))
            else:
                change.records[at] = (whole.number, row)


def _named_by_traces(whole: Whole, gone: Collection[int]) -> set[int]:
    """The objects that the records of runs, steps and calls name, but for those that go."""
    rows = (row for row, _ in whole.made if row.kind >= RUN and row.seq not in gone)
    return {number for row in rows for number in unpack_numbers(row.refs)}


@dataclass(slots=True)
class _Needed:
    """What must stay: numbers of objects, and per hidden checkpoint the channels whose writes are walked."""

    live: set[int]
    hidden: dict[Key, set[str]]


def _needed(views: Views, codec: Codec, whole: Whole, gone: set[Key]) -> _Needed:
    needed = _Needed(set(), {})
    staying = [e for k, e in whole.entries.items() if e.row is None or (e.shown and k not in gone)]
    counters = _delta_channels(views, codec, whole, [e for e in staying if e.record is not None])
    for entry in staying:
        needed.live |= {number for row, _ in entry.writes for number in unpack_numbers(row.refs)}
        if entry.record is None or entry.row is None:
            continue
        needed.live |= set(unpack_numbers(entry.row.refs))
        walked = walk_entries(entry, counters[entry.row.seq], whole.entries.get)
        for channel, found in walked.items():
            needed.live |= {number for _, number in found.needs}
            for above in found.entries:
                needed.hidden.setdefault((above.namespace, above.checkpoint_id), set()).add(channel)
    return needed


def _delta_channels(views: Views, codec: Codec, whole: Whole, staying: Sequence[Entry]) -> dict[int, list[str]]:
    """Per checkpoint its delta channels: the keys of its metadata's counters_since_delta_snapshot."""
    view = views.of(whole.tail.row.name.decode("utf-8", "surrogatepass"))
    needs = {
        e.row.seq: (e.record.metadata, e.numbers()[e.record.metadata.id])
        for e in staying
        if e.row is not None and e.record is not None
    }
    with view.lock:
        views.refresh(view)
        if not view.stored:
            raise Stale
        loaded = load_needs(view, views.backend, views.shelf, needs.values())
    found = {}
    for seq, (ref, _) in needs.items():
        with named_place(f"thread {view.thread_id!r}, metadata of record {seq}"):
            counters = checked_dict(loaded.value(codec, ref)).get("counters_since_delta_snapshot")
        found[seq] = sorted(name for name in counters if type(name) is str) if isinstance(counters, dict) else []
    return found


def _remove(change: Rewrite, removal: Removal, needed: _Needed, traces: Collection[int]) -> None:
    """Replace the records that lose their content."""
    whole, gone, reason = removal[:3]
    rows = [row for row, _ in whole.made]
    for i, (row, record) in enumerate(whole.made):
        if row.seq in traces:
            rows[i] = _trace_skeleton(row, record)
            change.records.append((whole.number, rows[i]))
            continue
        if row.kind not in (CHECKPOINT, WRITE) or row.state == SKELETON:
            continue
        key = _key(row, record)
        entry = whole.entries[key]
        if entry.row is None or (entry.shown and key not in gone):
            continue
        channels = needed.hidden.get(key, set())
        walked = bool(channels) and (
            not isinstance(record, WriteRecord) or any(w.channel in channels for w in record.writes)
        )
        deleted = entry.deleted or (key in gone and reason == "delete_for_runs")
        rows[i] = row._replace(state=HIDDEN) if walked else _skeleton(row, entry, deleted)
        if rows[i] != row:
            change.records.append((whole.number, rows[i]))
    if whole.tail.row.branches > 1:
        heads = _heads(whole, rows)
        change.heads[whole.number] = [
            branch._replace(name=b"", head=0) if branch.number in removal.branches else branch for branch in heads
        ]


def _key(row: RecordRow, record: object) -> Key:
    namespace, checkpoint_id = record.namespace, record.checkpoint_id  # type: ignore[attr-defined]  # by its kind
    return namespace, checkpoint_id


def _skeleton(row: RecordRow, entry: Entry, deleted: bool) -> RecordRow:
    parent = entry.parent if row.kind == CHECKPOINT else None
    body = skeleton_body(entry.namespace, entry.checkpoint_id, parent, deleted)
    return row._replace(state=SKELETON, body=body, within=None, source=None, step=None, run=None, refs=b"")


def _trace_skeleton(row: RecordRow, record: object) -> RecordRow:
    run_id: str = record.run_id  # type: ignore[attr-defined]  # by its kind
    return row._replace(state=SKELETON, body=skeleton_body("", run_id, None, True), run=None, refs=b"")


def _heads(whole: Whole, rows: list[RecordRow]) -> list[BranchRow]:
    """Every branch with the nearest kept ancestor of its head as its head."""
    by_number = {e.row.seq: e for e in whole.entries.values() if e.row is not None}
    moved = []
    for branch in whole.tail.branches:  # of one that was deleted the head is 0, which no record has
        entry = by_number.get(branch.head)
        while entry is not None and entry.row is not None and rows[entry.row.seq - 1].state != KEPT:
            entry = None if entry.parent is None else whole.entries.get(("", entry.parent))
        head = entry.row.seq if entry is not None and entry.row is not None else 0
        moved.append(branch._replace(head=head))
    return moved
