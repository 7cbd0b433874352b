"""The checkpoints of a thread's root namespace as records, without their values: parents, channels, writes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from ..backends.base import RecordRow
from ..branching.branches import name_of
from ..cost import Places
from ..records import CheckpointRecord, RunRecord, StepRecord, WriteRecord
from .lines import line_of
from .lookup import branch_number
from .merge_base import merged_parent
from .view import Entry, Made, anchor_of, entries_of, read_rows

if TYPE_CHECKING:
    from ..store import WfStore
    from ..tracing.traces import Trace

_FIRST_BLOCK, _LARGEST_BLOCK = 16, 256  # checkpoints
_PAGE = 1000  # records


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
        self._block = _FIRST_BLOCK
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
        found = self.placed(checkpoint_id)
        return found if found is not None and found.record is not None else None

    def placed(self, checkpoint_id: str | None) -> Entry | None:
        """The checkpoint of that id, though it may have lost its content; None if it never was there."""
        if checkpoint_id is None:
            return None
        found = self._entries.get(checkpoint_id)
        if found is None:
            with self._view.lock:
                found = self._view.entry(self._store.backend, "", checkpoint_id)
            if found is None or found.row is None:
                return None
            self._take_block(found.row)
            found = self._entries.setdefault(checkpoint_id, found)
        return found

    def _take_block(self, row: RecordRow) -> None:
        """Read the checkpoints before this one on its branch at once: most ancestors are there."""
        where = {"branch": row.branch or 0}
        rows = self._store.backend.checkpoints(self.number, 0, (row.position or 0) + 1, self._block, where)
        for (_, checkpoint_id), entry in entries_of(read_rows(rows)).items():
            self._entries.setdefault(checkpoint_id, entry)
        self._block = min(4 * self._block, _LARGEST_BLOCK)

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

    def between(self, after: int, upto: int | None = None) -> Iterator[list[Made]]:
        """The records behind this number, up to that one or to the last, by pages."""
        end = 1 << 62 if upto is None else upto
        while after < end and (page := self._store.backend.records(self.number, after, min(_PAGE, end - after))):
            yield read_rows(page)
            after = page[-1].seq

    def writes_at(self, namespace: str, checkpoint_id: str) -> list[tuple[RecordRow, WriteRecord]]:
        """The writes that are anchored at a checkpoint."""
        rows = self._store.backend.anchored(self.number, [anchor_of(namespace, checkpoint_id)])
        return [(row, record) for row, record in read_rows(rows) if isinstance(record, WriteRecord)]


def places(store: WfStore, thread_id: str, trace: Trace) -> Places:
    """Where the runs of a thread stand: on which branch, and whether the current branch goes back to them."""
    ancestry = Ancestry(store, thread_id)
    view = store.views.of(thread_id)
    with view.lock:
        names = {number: name_of(row) for number, row in view.heads.items() if row.name}
        line = line_of(view, store.backend, None)
    branch_of: dict[str, str] = {}
    abandoned, kept = set(), set[str]()
    last = _last_checkpoints(trace)
    for _, record in reversed(trace.begins):  # what is before a checkpoint is read along with it
        if not isinstance(record, RunRecord):
            continue
        entry = ancestry.placed(last.get(record.run_id)) or ancestry.placed(record.checkpoint_id)
        if entry is None or entry.row is None:
            continue
        number = entry.row.branch or 0
        branch_of[record.run_id] = names.get(number, f"branch {number} (deleted)")
        if not line.has(view, store.backend, entry):
            abandoned.add(record.run_id)
    for step_id, reached in _led_to(trace, abandoned, last):
        entry = ancestry.placed(reached)
        if entry is not None and line.has(view, store.backend, entry):
            kept.add(step_id)
    return Places(branch_of, frozenset(abandoned), frozenset(kept), ancestry.created)


def _led_to(trace: Trace, run_ids: set[str], last: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The steps of these runs' root graphs, each with the checkpoint that its superstep led to, if it led to one."""
    supersteps: dict[str, dict[str, list[str]]] = {}
    steps = (r for _, r in trace.begins if isinstance(r, StepRecord) and not r.namespace and r.run_id in run_ids)
    for step in steps:
        if step.checkpoint_id is not None:
            supersteps.setdefault(step.run_id, {}).setdefault(step.checkpoint_id, []).append(step.step_id)
    for run_id, begun in supersteps.items():
        for checkpoint_id, reached in pairwise([*begun, last[run_id]]):
            if checkpoint_id != reached:
                yield from ((step_id, reached) for step_id in begun[checkpoint_id])


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
