"""Preparing appends: what is put becomes records, objects and a seal. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from ..backends.base import BRANCH, CHECKPOINT, KEPT, SWITCH, WRITE, Append, Backend, BranchRow, RecordRow
from ..branching.branches import Line, line_for, name_of, plain_row
from ..canonical import Version, hex_id
from ..codec import Codec, Encoded, EncodedList
from ..errors import ConflictError, UnsupportedValueError
from ..format import branch_body, checkpoint_body, record_id, refs_of, seal_id, switch_body, write_body
from ..merge.pending import PendingWrites
from ..records import (
    BranchRecord,
    Channel,
    CheckpointRecord,
    Kind,
    Ref,
    SealRecord,
    SwitchRecord,
    Write,
    WriteRecord,
)
from ..threads.order import Arrival, spot_for
from ..threads.view import Entry, Made, ThreadView, anchor_of, run_of, space_of
from ..values.lists import StoredList, pack_numbers
from ..values.objects import Placement
from .inputs import CheckpointInput, WritesInput
from .leases import refuse_overtaken
from .merges import merge_rows, pending_writes
from .refusals import refuse_deleted, run_hash
from .shared import refuse_shared, task_beside

_LARGEST_STEP = 2**53 - 1


class Outdated(Exception):
    """What was encoded inherits values from a checkpoint that is gone: encode it anew."""


class EncodedCheckpoint(NamedTuple):
    """The values of a checkpoint, encoded outside the thread's lock, or inherited from its parent.

    Attributes:
        numbers: the object numbers of what is inherited from elsewhere, by id.
        pending: what is pending at the checkpoint from its start, if it is a merge.
    """

    channels: dict[str, Encoded | Ref]
    metadata: Encoded
    extra: Encoded | None
    numbers: Mapping[bytes, int] = MappingProxyType({})
    pending: tuple[PendingWrites, ...] = ()


@dataclass(slots=True)
class Plan:
    """A prepared append, and what must follow once it is on its way.

    Attributes:
        made: the new rows with their records.
        head: the branch that the new checkpoint is the head of.
    """

    batch: Append
    made: list[Made]
    placement: Placement
    head: BranchRow | None = None
    arrival: Arrival | None = None


def encode_checkpoint(codec: Codec, new: CheckpointInput, parent: Entry | None) -> EncodedCheckpoint:
    """Encode what changed.

    Raises:
        UnsupportedValueError: a value cannot be stored; names the channel.
    """
    _expect_texts(id=new.checkpoint_id, ts=new.ts)
    _expect_names((*new.values, *new.versions))
    channels: dict[str, Encoded | Ref] = {}
    known = parent.channels if parent is not None and parent.shown else {}
    for name, value in new.values.items():
        if name in new.encoded:
            channels[name] = new.encoded[name]
            continue
        if new.inherits and name not in new.new_versions and name in new.versions:
            channel = known.get(name)
            if channel is not None and channel.value is not None and _same(channel.version, new.versions[name]):
                channels[name] = channel.value
                continue
        channels[name] = codec.encode(value, f"channel {name!r}")
    metadata = codec.encode(dict(new.metadata), "the checkpoint's metadata")
    extra = codec.encode(dict(new.extra), "the checkpoint's further keys") if new.extra else None
    return EncodedCheckpoint(channels, metadata, extra)


def encode_writes(codec: Codec, new: WritesInput) -> list[Encoded]:
    """Encode pending writes.

    Raises:
        UnsupportedValueError: a value cannot be stored; names the channel.
    """
    _expect_texts(task_id=new.task_id, task_path=new.task_path)
    _expect_names([channel for _, channel, _ in new.writes])
    return [codec.encode(value, f"a write to channel {channel!r}") for _, channel, value in new.writes]


def _expect_texts(**values: object) -> None:
    """What a record holds as text must be one: anything else would come back as another type."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise UnsupportedValueError(
                f"{name} is a {type(value).__name__}, {value!r:.100}; it must be a str. Nothing was written"
            )


def _expect_names(channels: Collection[object]) -> None:
    for name in channels:
        if not isinstance(name, str):
            raise UnsupportedValueError(
                f"a channel is named {name!r:.100}, a {type(name).__name__}; it must be a str. Nothing was written"
            )


def _same(a: Version | None, b: Version) -> bool:
    return type(a) is type(b) and a == b


def plan_checkpoint(
    view: ThreadView, backend: Backend, new: CheckpointInput, encoded: EncodedCheckpoint
) -> Plan | None:
    """Prepare a put. None if the same checkpoint is stored already.

    Raises:
        ThreadDeletedError: it belongs to a life or a run that was deleted.
        ConflictError: another content is stored under its id, it would fork and must not, or its lease was lost.
    """
    own = (new.namespace, new.checkpoint_id)
    existing = view.entry(backend, *own)
    named: list[tuple[tuple[str, str], Entry | None]] = [(own, existing)]
    parent = None
    if new.parent is not None:
        parent = view.entry(backend, new.namespace, new.parent)
        named.append(((new.namespace, new.parent), parent))
    run_id = _run_id(new)
    refuse_deleted(view, backend, new.run, run_id, named)
    refuse_overtaken(view, backend, new.fence)
    placement = Placement(view.lineage, lookup_numbers(view, backend))
    pending = [value for task in encoded.pending for _, _, value in task.writes]
    values = (*encoded.channels.values(), encoded.metadata, encoded.extra, *pending)
    placement.prepare([value for value in values if value is not None and not isinstance(value, Ref)])
    parents = new.parents
    record = CheckpointRecord(
        namespace=new.namespace,
        checkpoint_id=new.checkpoint_id,
        parent=_parent_id(existing, new.parent, parent),
        parent_checkpoint_id=new.parent,
        channels=_channels(view, new, encoded, placement, parent),
        versions_seen=tuple([(node, tuple(sorted(seen.items()))) for node, seen in sorted(new.versions_seen.items())]),
        updated_channels=None if new.updated_channels is None else tuple(new.updated_channels),
        v=new.v,
        ts=new.ts,
        metadata=placement.ref(encoded.metadata),
        extra=None if encoded.extra is None else placement.ref(encoded.extra),
        source=_text(new.metadata.get("source")),
        step=_step(new.metadata.get("step")),
        run_id=run_id,
        parents=tuple(sorted(parents.items())),
    )
    body = checkpoint_body(record)
    name = record_id(Kind.CHECKPOINT, body)
    if existing is not None and existing.row is not None:
        if existing.row.id == name:
            return None
        raise ConflictError(
            f"checkpoint {new.checkpoint_id!r} (namespace {new.namespace!r}) is stored with another content, as "
            f"{hex_id(existing.row.id)}; what was put now is {hex_id(name)}. Nothing was written: give a changed state "
            "a checkpoint id of its own"
        )
    if new.namespace:
        refuse_shared(view, backend, new, record.within)
    numbers = placement.numbered
    inherited = [value.id for value in encoded.channels.values() if type(value) is Ref]
    if inherited:
        known = {**(parent.numbers() if parent is not None and parent.shown else {}), **encoded.numbers}
        if any(name not in known for name in inherited):
            raise Outdated
        numbers = {**known, **numbers}
    refs = pack_numbers([numbers[ref.id] for ref in refs_of(record)])
    more = [pending_writes(new, task, placement) for task in encoded.pending]
    return _checkpoint_plan(view, backend, new, parents, record, body, name, refs, placement, more)


def _parent_id(existing: Entry | None, parent_checkpoint_id: str | None, parent: Entry | None) -> bytes | None:
    """The parent's record id; for what is stored already the one it was stored with, which may have come later."""
    stored = None if existing is None else existing.record
    if stored is not None and stored.parent_checkpoint_id == parent_checkpoint_id:
        return stored.parent
    return parent.row.id if parent is not None and parent.row is not None else None


def _checkpoint_plan(
    view: ThreadView,
    backend: Backend,
    new: CheckpointInput,
    parents: Mapping[str, str],
    record: CheckpointRecord,
    body: bytes,
    name: bytes,
    refs: bytes,
    placement: Placement,
    pending: Sequence[tuple[WriteRecord, bytes]],
) -> Plan:
    assert view.row is not None
    if new.merged is not None:
        parents = {**parents, new.namespace: new.merged.checkpoint_id}  # it stands behind both of its parents
    arrival = Arrival(
        namespace=new.namespace,
        checkpoint_id=new.checkpoint_id,
        parent=new.parent,
        parents=parents,
        read=None if new.run is None else new.run.last,
        source=record.source,
        addressed=new.addressed,
        branch=new.branch,
        isolated=new.isolated,
        exclusive=new.exclusive,
    )
    seq = view.last + 1
    spot = spot_for(view, backend, arrival, seq)
    line = None if new.namespace else line_for(view, backend, arrival, seq)
    row = RecordRow(
        seq=seq,
        kind=CHECKPOINT,
        id=name,
        state=KEPT,
        body=body,
        ordinal=None,
        seal=None,
        anchor=anchor_of(new.namespace, new.checkpoint_id),
        space=space_of(new.namespace),
        position=spot.position,
        branch=None if line is None else line.branch.number,
        within=None if record.within is None else anchor_of("", record.within),
        source=record.source,
        step=record.step,
        run=None if record.run_id is None else run_of(record.run_id),
        refs=refs,
    )
    made: list[Made] = [(row, record)]
    branches = []
    switch = None
    if line is not None and (line.started or view.row.branches > 1):
        branches.append(line.branch)
        if line.stated:
            made.append(_start(line, name, record, seq + 1))
            branches += [view.heads[0]] if view.row.branches == 1 else []
        elif line.becomes_current:
            made.append(_switch(line, name, seq + 1))
        switch = line.branch.number if line.becomes_current else None
    if new.merged is not None:
        if len(made) > 1:
            raise ConflictError(
                f"checkpoint {new.checkpoint_id!r} merges {new.merged.checkpoint_id!r} into {new.parent!r}, which is "
                "the head of no branch that it names; nothing was written. Merge into a branch's head: thread.merge"
            )
        made += merge_rows(new, new.merged, name, seq, pending)
    rows = sealed(view, made)
    batch = append_of(view, backend, placement, rows, record.run_id)
    batch.fence = new.fence
    batch.positions = spot.moved
    batch.branches = branches
    batch.switch = switch
    batch.nested = bool(new.namespace) and not view.row.nested
    made = [(sealed, of) for sealed, (_, of) in zip(rows, made, strict=True)]
    return Plan(batch, made, placement, None if line is None else line.branch, arrival)


def _start(line: Line, first: bytes, record: CheckpointRecord, seq: int) -> Made:
    start = BranchRecord(line.branch.number, name_of(line.branch), record.parent, first, line.becomes_current)
    return plain_row(BRANCH, Kind.BRANCH, branch_body(start), seq), start


def _switch(line: Line, checkpoint: bytes, seq: int) -> Made:
    record = SwitchRecord(line.branch.number, checkpoint)
    return plain_row(SWITCH, Kind.SWITCH, switch_body(record), seq), record


def plan_writes(view: ThreadView, backend: Backend, new: WritesInput, values: Sequence[Encoded]) -> Plan | None:
    """Prepare pending writes. None if they are all stored already.

    An ordinary write whose task and index are stored stays as it was; a special one (index below 0) replaces
    what it finds, in a record of its own (LangGraph's WRITES_IDX_MAP).

    Raises:
        ThreadDeletedError: they belong to a life of the thread that was deleted.
        ConflictError: their lease was lost, or another branch would take them for its own.
    """
    entry = view.entry(backend, new.namespace, new.checkpoint_id)
    refuse_deleted(view, backend, new.run, new.run_id, [((new.namespace, new.checkpoint_id), entry)])
    refuse_overtaken(view, backend, new.fence)
    new = new._replace(task_id=task_beside(view, backend, new, entry))
    stored = entry.effective() if entry is not None else {}
    # Of several writes of one index in a batch the last one counts.
    latest = {idx: (channel, value) for (idx, channel, _), value in zip(new.writes, values, strict=True)}
    asked = {idx: write for idx, write in latest.items() if idx < 0 or (new.task_id, idx) not in stored}
    placement = Placement(view.lineage, lookup_numbers(view, backend))
    placement.prepare(value for _, value in asked.values())
    accepted: list[Write] = []
    for idx, (channel, value) in asked.items():
        old = stored.get((new.task_id, idx))
        ref = placement.ref(value)
        if old is None or (old[0].value, old[0].channel) != (ref, channel):
            accepted.append(Write(idx, channel, ref, None if old is None else old[2].id))
    if not accepted:
        return None
    refuse_shared(view, backend, new, _root_of(new, entry), new.task_path)
    record = WriteRecord(
        new.namespace, new.checkpoint_id, new.task_id, new.task_path, tuple(sorted(accepted, key=lambda w: w.idx))
    )
    body = write_body(record)
    anchor = anchor_of(new.namespace, new.checkpoint_id)
    refs = pack_numbers(placement.numbered[ref.id] for ref in refs_of(record))
    name = record_id(Kind.WRITE, body)
    row = RecordRow(view.last + 1, WRITE, name, KEPT, body, None, None, anchor, *(None,) * 7, refs=refs)
    made: list[Made] = [(row, record)]
    batch = append_of(view, backend, placement, sealed(view, made) if new.ends_run else [row], new.run_id)
    batch.fence = new.fence
    return Plan(batch, [(batch.records[0], record)], placement)


def _root_of(new: WritesInput, entry: Entry | None) -> str | None:
    """The root checkpoint whose superstep writes belong to, if it is known."""
    if not new.namespace:
        return new.checkpoint_id
    return None if entry is None or entry.record is None else entry.record.within


def _channels(
    view: ThreadView, new: CheckpointInput, encoded: EncodedCheckpoint, placement: Placement, parent: Entry | None
) -> tuple[Channel, ...]:
    known = parent.channels if parent is not None else {}
    out = []
    for name in sorted({*new.versions, *encoded.channels}):  # code points sort as their UTF-8 bytes do
        value = encoded.channels.get(name)
        if value is not None and not isinstance(value, Ref):
            value = placement.ref(value, _previous(view, known.get(name)) if isinstance(value, EncodedList) else None)
        out.append(Channel(name, new.versions.get(name), value))
    return tuple(out)


def _previous(view: ThreadView, channel: Channel | None) -> StoredList | None:
    if channel is None or channel.value is None or channel.value.form != "list":
        return None
    return view.lineage.list(channel.value.id)


def lookup_numbers(view: ThreadView, backend: Backend) -> Callable[[list[bytes]], dict[bytes, int]]:
    """The numbers of those of these ids that the engine finds in the thread's lineage."""
    return lambda ids: backend.numbers(view.row.lineage, ids) if view.row is not None and view.row.lineage else {}


def sealed(view: ThreadView, made: list[Made]) -> list[RecordRow]:
    """The rows, the last of them with the seal over everything that is not sealed yet."""
    rows = [row for row, _ in made]
    seal = SealRecord(view.ordinal + 1, view.seal, (*view.unsealed, *[row.id for row in rows]))
    rows[-1] = RecordRow._make((*rows[-1][:5], seal.ordinal, seal_id(seal), *rows[-1][7:]))
    return rows


def append_of(
    view: ThreadView, backend: Backend, placement: Placement, rows: list[RecordRow], run_id: str | None
) -> Append:
    """The append of these rows, with the objects that were placed."""
    assert view.row is not None
    run = None if run_id is None else run_hash(backend.store_secret, run_id)
    return Append(view.row, view.standing, rows, placement.rows, run=run)


def _text(value: object) -> str | None:
    return value if type(value) is str else None


def _step(value: object) -> int | None:
    return value if type(value) is int and abs(value) <= _LARGEST_STEP else None


def _run_id(new: CheckpointInput) -> str | None:
    value = new.metadata.get("run_id")
    return None if value is None else str(value)
