"""Proofs that records are in a thread, without the rest of it (FORMAT.md, section 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.base import SKELETON, RecordRow, Tail
from ..canonical import Json, decode, from_hex_id, hex_id, text
from ..errors import WfStoreError
from ..format import FORMAT_VERSION, read_record
from ..records import CallRecord, EndRecord, RunRecord, StepRecord
from ..threads.view import KINDS, read_rows, run_of
from .exporting import settled
from .lines import RecordLine, write_record, write_value
from .merkle import path_of, root_of
from .source import Source, pages

if TYPE_CHECKING:
    from ..store import WfStore


def prove(store: WfStore, thread_id: str, record_id: str, values: bool) -> dict[str, Any]:
    """See `Thread.prove`."""
    wanted = from_hex_id(record_id)

    def read(tail: Tail) -> dict[str, Any]:
        rows = {}
        ids: list[bytes] = []
        for page in pages(store.backend, tail, tail.last):
            rows.update({row.seq: row for row in page if row.id == wanted and wanted not in ids})
            ids += [row.id for row in page]
        if not rows:
            raise WfStoreError(
                f"thread {thread_id!r} has no record {record_id}; thread.checkpoints() and thread.calls() give the "
                "ids of those that it has"
            )
        first = min(rows)
        proven = [rows[first], *_end_of(store, tail, rows[first])]
        return _proof(store, thread_id, tail, ids, proven, values)

    return settled(store, thread_id, read)


def _end_of(store: WfStore, tail: Tail, row: RecordRow) -> list[RecordRow]:
    """The end record of a run, step or call, if it has one."""
    if row.state == SKELETON:
        return []
    record = read_record(KINDS[row.kind], row.body)
    if not isinstance(record, RunRecord | StepRecord | CallRecord):
        return []
    rows = store.backend.of_runs(tail.row.number or 0, [run_of(record.run_id)])
    made = read_rows(each for each in rows if each.seq <= tail.last)
    return [each for each, end in made if isinstance(end, EndRecord) and end.begin == row.id]


def _proof(
    store: WfStore, thread_id: str, tail: Tail, ids: list[bytes], rows: list[RecordRow], values: bool
) -> dict[str, Any]:
    records: list[Json] = []
    objects: list[Json] = []
    for line in Source(store.backend, tail).lines_of(rows):
        if isinstance(line, RecordLine):
            index = rows[len(records)].seq - 1
            path: list[Json] = [hex_id(name) for name in path_of(ids, index)]
            records.append({"index": index, "path": path, "record": decode(write_record(line))})
        elif values:
            objects.append(decode(write_value(line)))
    return {
        "format": FORMAT_VERSION,
        "kind": "proof",
        "thread": text(thread_id),
        "size": len(ids),
        "root": hex_id(root_of(ids)),
        "records": records,
        "objects": objects,
    }
