"""The checkpoints of a thread's root namespace as records, without their values: parents, channels, writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .backends.base import CHECKPOINT, RecordRow
from .cost import Places
from .format import Record
from .lookup import branch_number, load_needs
from .merge_base import merged_parent
from .reading import Loaded
from .records import CheckpointRecord, Ref, RunRecord, StepRecord, WriteRecord
from .view import Entry, Made, anchor_of, entries_of, numbers_of, read_rows

if TYPE_CHECKING:
    from .store import WfStore
    from .traces import Trace

_BLOCK = 256


class Ancestry:
    """Looks up checkpoints by id and goes back from them.

    Args:
        store: the store.
        thread_id: which thread; it must be stored.
    """

    def __init__(self, store: WfStore, thread_id: str) -> None:
        self._store = store
        self._view = store.views.of(thread_id)
        self._entries: dict[str, Entry] = {}
        self._items: dict[bytes, tuple[bytes, ...] | None] = {}
        with self._view.lock:
            store.views.refresh(self._view)
            self.number = self._view.number
            self.created = 0 if self._view.row is None else self._view.row.created

    def head(self, branch: str | None = None) -> str | None:
        """Id of the last checkpoint of a branch, of the current one for None."""
        with self._view.lock:
            entry = self._view.head(self._store.backend, branch_number(self._view, branch))
        return None if entry is None else entry.checkpoint_id

    def entry(self, checkpoint_id: str | None) -> Entry | None:
        """The checkpoint of that id with its record, None if it is not there or has lost its content."""
        if checkpoint_id is None:
            return None
        found = self._entries.get(checkpoint_id)
        if found is None:
            with self._view.lock:
                found = self._view.entry(self._store.backend, "", checkpoint_id)
            if found is None or found.row is None:
                return None
            self._take_block(found.row.seq)
            found = self._entries.setdefault(checkpoint_id, found)
        return found if found.record is not None else None

    def _take_block(self, seq: int) -> None:
        """Read the checkpoints before this record at once: most ancestors lie side by side."""
        rows = self._store.backend.records(self.number, max(0, seq - _BLOCK), _BLOCK)
        found = entries_of(read_rows(row for row in rows if row.kind == CHECKPOINT))
        for (namespace, checkpoint_id), entry in found.items():
            if not namespace:
                self._entries.setdefault(checkpoint_id, entry)

    def back(self, checkpoint_id: str | None) -> Iterator[tuple[Entry, CheckpointRecord]]:
        """A checkpoint and its ancestors, as far as they are there."""
        entry = self.entry(checkpoint_id)
        while entry is not None and entry.record is not None:
            yield entry, entry.record
            entry = self.entry(entry.parent)

    def merged(self, entry: Entry) -> str | None:
        """The id of a merge's second parent."""
        with self._view.lock:
            found = self._view.entry(self._store.backend, "", entry.checkpoint_id)
            other = None if found is None else merged_parent(self._view, self._store.backend, found)
        return None if other is None else other.checkpoint_id

    def between(self, after: int, upto: int) -> list[Made]:
        """The records with these numbers."""
        found: list[RecordRow] = []
        while after < upto and (page := self._store.backend.records(self.number, after, min(1000, upto - after))):
            found += page
            after = page[-1].seq
        return read_rows(found)

    def writes_at(self, entry: Entry) -> list[tuple[RecordRow, WriteRecord]]:
        """The writes that are anchored at a checkpoint."""
        rows = self._store.backend.anchored(self.number, [anchor_of(entry.namespace, entry.checkpoint_id)])
        return [(row, record) for row, record in read_rows(rows) if isinstance(record, WriteRecord)]

    def load(self, row: RecordRow, record: Record, ref: Ref) -> Loaded:
        """What is needed to read a value that a record names."""
        with self._view.lock:
            self._store.views.refresh(self._view)
            needs = [(ref, numbers_of(row, record)[ref.id])]
            return load_needs(self._view, self._store.backend, self._store.views.shelf, needs)

    def items(self, row: RecordRow, record: Record, ref: Ref) -> tuple[bytes, ...] | None:
        """The object ids of a list's elements; None for what is no list.

        Where small ones share an object, they are the ids that the elements would have on their own.
        """
        if ref.id not in self._items:
            loaded = self.load(row, record, ref)
            ids = loaded.items(ref) if ref.form == "list" else None
            if ids is None and ref.form != "map":
                value = loaded.value(self._store.codec, ref)
                ids = tuple([self.object_id(item) for item in value]) if isinstance(value, list) else None
            self._items[ref.id] = ids
        return self._items[ref.id]

    def object_id(self, value: Any) -> bytes:
        """The id that a value has, or would have, as an object of this thread's lineage."""
        return self._view.lineage.object_id(self._store.codec.element(value))

    def keyed(self, key: bytes) -> bytes:
        """The keyed digest that a record has of a content."""
        from .trace import keyed

        return keyed(self._view.lineage, key)


def places(store: WfStore, thread_id: str, trace: Trace) -> Places:
    """Where the runs of a thread stand: on which branch, and whether the current branch goes back to them."""
    ancestry = Ancestry(store, thread_id)
    view = store.views.of(thread_id)
    names = {number: row.name.decode("utf-8", "surrogatepass") for number, row in view.heads.items()}
    line = _line(ancestry, view.heads[0 if view.row is None else view.row.current].number, store, thread_id)
    branch_of: dict[str, str] = {}
    abandoned = set()
    last = _last_checkpoints(trace)
    for _, record in trace.begins:
        if not isinstance(record, RunRecord):
            continue
        entry = ancestry.entry(last.get(record.run_id)) or ancestry.entry(record.checkpoint_id)
        if entry is None or entry.row is None:
            continue
        number = entry.row.branch or 0
        branch_of[record.run_id] = names.get(number, f"branch {number}")
        if entry.row.seq > line.get(number, 0):
            abandoned.add(record.run_id)
    return Places(branch_of, frozenset(abandoned), ancestry.created)


def _last_checkpoints(trace: Trace) -> dict[str, str]:
    """Per run the last checkpoint of the root namespace that is known of it."""
    found: dict[str, str] = {}
    for _, record in trace.begins:
        if isinstance(record, StepRecord) and not record.namespace and record.checkpoint_id is not None:
            found[record.run_id] = record.checkpoint_id
    for _, end in trace.ends.values():
        if end.of == "run" and end.checkpoint_id is not None:
            found[end.id] = end.checkpoint_id
    return found


def _line(ancestry: Ancestry, current: int, store: WfStore, thread_id: str) -> dict[int, int]:
    """Per branch that the current one goes back to, up to which record it does."""
    view = store.views.of(thread_id)
    upto: dict[int, int] = {current: 1 << 62}
    number = current
    while number:
        base = view.heads[number].base
        if not base:
            break
        rows = store.backend.records(ancestry.number, base - 1, 1)
        number = (rows[0].branch or 0) if rows else 0
        if number in upto:
            break
        upto[number] = base
    return upto
