"""The index columns of a record's row that follow from the record."""

from __future__ import annotations

from typing import Any

from ..format import Record
from ..records import CallRecord, CheckpointRecord, EndRecord, MergeRecord, RunRecord, StepRecord, WriteRecord
from .view import anchor_of, run_of, space_of


def columns_of(record: Record) -> dict[str, Any]:
    """The index columns that follow from a record alone; `position`, `branch` and a merge's are checked elsewhere."""
    if isinstance(record, CheckpointRecord):
        return {
            "anchor": anchor_of(record.namespace, record.checkpoint_id),
            "space": space_of(record.namespace),
            **({"branch": None} if record.namespace else {}),
            "within": None if record.within is None else anchor_of("", record.within),
            "source": record.source,
            "step": record.step,
            "run": None if record.run_id is None else run_of(record.run_id),
        }
    if isinstance(record, RunRecord | StepRecord | CallRecord | EndRecord):
        empty = ("anchor", "space", "position", "branch", "within", "source", "step")
        return {**dict.fromkeys(empty), "run": run_of(record.run_id)}
    names = ("space", "position", "branch", "within", "source", "step", "run")
    if isinstance(record, MergeRecord):
        return {**dict.fromkeys(name for name in names if name != "within"), "refs": b""}
    anchor = anchor_of(record.namespace, record.checkpoint_id) if isinstance(record, WriteRecord) else None
    refs = {} if isinstance(record, WriteRecord) else {"refs": b""}
    return {"anchor": anchor, **dict.fromkeys(names), **refs}
