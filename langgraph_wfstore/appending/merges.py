"""What a merge appends besides its checkpoint: the merge record, and the writes that the checkpoint begins with."""

from __future__ import annotations

from collections.abc import Sequence

from ..backends.base import KEPT, MERGE, WRITE, RecordRow
from ..format import merge_body, record_id, write_body
from ..merge.pending import PendingWrites
from ..records import Kind, MergeRecord, Ref, Write, WriteRecord
from ..threads.view import Made, anchor_of
from ..values.lists import pack_numbers
from ..values.objects import Placement
from .inputs import CheckpointInput, Merged


def pending_writes(new: CheckpointInput, task: PendingWrites, placement: Placement) -> tuple[WriteRecord, bytes]:
    """The record of what is pending from the start, and the numbers of the objects that it names, packed."""
    writes = [
        Write(idx, channel, value if isinstance(value, Ref) else placement.ref(value), None)
        for idx, channel, value in task.writes
    ]
    numbers = {**task.numbers, **placement.numbered}
    record = WriteRecord(new.namespace, new.checkpoint_id, task.task_id, task.task_path, tuple(writes))
    return record, pack_numbers([numbers[write.value.id] for write in writes])


def merge_rows(
    new: CheckpointInput, merged: Merged, checkpoint: bytes, seq: int, pending: Sequence[tuple[WriteRecord, bytes]]
) -> list[Made]:
    """The merge record, which follows its checkpoint directly, and the writes that the checkpoint begins with."""
    record = MergeRecord(checkpoint, merged.record, merged.base)
    body = merge_body(record)
    anchor, within = anchor_of(new.namespace, new.checkpoint_id), anchor_of(new.namespace, merged.checkpoint_id)
    index = (None, None, anchor, None, None, None, within, None, None, None)
    made: list[Made] = [(RecordRow(seq + 1, MERGE, record_id(Kind.MERGE, body), KEPT, body, *index), record)]
    for at, (writes, refs) in enumerate(pending, seq + 2):
        body = write_body(writes)
        row = RecordRow(at, WRITE, record_id(Kind.WRITE, body), KEPT, body, None, None, anchor, *(None,) * 7, refs=refs)
        made.append((row, writes))
    return made
