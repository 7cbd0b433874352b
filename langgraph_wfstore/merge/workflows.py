"""Which recorded workflow a checkpoint was made by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..records import EndRecord, RunRecord, StepRecord
from ..threads.ancestry import Ancestry
from ..threads.view import Entry, Made, read_rows
from ..tracing.traces import Traces

if TYPE_CHECKING:
    from ..store import WfStore


def description_of(store: WfStore, thread_id: str, entry: Entry) -> Mapping[str, Any] | None:
    """The description of the workflow whose run put a root checkpoint, or the nearest ancestor that a run put.

    Returns:
        see `workflow.describe`; None if no run is recorded, or runs of several workflows may have put it.
    """
    ancestry = Ancestry(store, thread_id)
    runs = [(row, record) for row, record in read_rows(store.backend.runs(ancestry.number))]
    described: Mapping[str, tuple[Any, RunRecord]]
    described = {r.run_id: (row, r) for row, r in runs if isinstance(r, RunRecord) and r.description is not None}
    if len({record.description for _, record in described.values()}) > 1:
        described = _that_put(store, ancestry, entry, described)
    if len({record.description for _, record in described.values()}) != 1:
        return None
    row, record = next(iter(described.values()))
    assert record.description is not None
    found = Traces(store, thread_id).value(row, record, record.description)
    return found if isinstance(found, Mapping) else None


def _that_put(
    store: WfStore, ancestry: Ancestry, entry: Entry, runs: Mapping[str, tuple[Any, RunRecord]]
) -> Mapping[str, tuple[Any, RunRecord]]:
    """Those of these runs that put a checkpoint, or went on from it; of the nearest ancestor of which that is known."""
    rows = store.backend.of_runs(ancestry.number, [row.run for row, _ in runs.values()])
    by_checkpoint = _by_checkpoint(read_rows(rows))
    name: str | None = entry.checkpoint_id
    while name is not None:
        found = {run_id: runs[run_id] for run_id in by_checkpoint.get(name, ()) if run_id in runs}
        if found:
            return found
        above = ancestry.entry(name)
        name = None if above is None else above.parent
    return {}


def _by_checkpoint(made: Sequence[Made]) -> dict[str, set[str]]:
    """Per root checkpoint the runs that ended with it; of those that no run ended with, the runs with steps at it."""
    ended: dict[str, set[str]] = {}
    worked: dict[str, set[str]] = {}
    for _, record in made:
        if isinstance(record, EndRecord) and record.of == "run" and record.checkpoint_id is not None:
            ended.setdefault(record.checkpoint_id, set()).add(record.run_id)
        elif isinstance(record, StepRecord) and not record.namespace and record.checkpoint_id is not None:
            worked.setdefault(record.checkpoint_id, set()).add(record.run_id)
    return {**worked, **ended}
