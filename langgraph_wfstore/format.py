"""Records to canonical bytes and back, and the ids that follow: the record part of FORMAT.md in code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from .arguments import checked_branch_name
from .canonical import (
    LARGEST_INTEGER,
    Json,
    Version,
    decode,
    digest,
    encode,
    from_hex_id,
    from_text,
    from_version,
    hex_id,
    text,
    version,
)
from .errors import IntegrityError
from .fields import ascending, integer, natural, read_dict_ref, read_ref, ref, rows
from .records import (
    BranchRecord,
    Channel,
    CheckpointRecord,
    Kind,
    LabelRecord,
    MergeRecord,
    Ref,
    RemovalRecord,
    SealRecord,
    SwitchRecord,
    Write,
    WriteRecord,
)
from .trace_format import KIND_OF, TraceRecord, read_trace, trace_body, trace_refs

FORMAT_VERSION = 1
OF_OBJECT = 0xFF  # in the place of a record's kind
TRACE_KINDS = (Kind.RUN, Kind.STEP, Kind.CALL, Kind.END)
Record = (
    CheckpointRecord
    | WriteRecord
    | BranchRecord
    | LabelRecord
    | SwitchRecord
    | MergeRecord
    | RemovalRecord
    | TraceRecord
)


def record_id(kind: Kind, body: bytes) -> bytes:
    """A record's id: the digest of its exact canonical bytes, in its kind's domain."""
    return digest(kind.value, body)


def checkpoint_body(record: CheckpointRecord) -> bytes:
    """The canonical bytes of a checkpoint record."""
    return _encoded(_checkpoint_fields, record)


def write_body(record: WriteRecord) -> bytes:
    """The canonical bytes of a write record."""
    return _encoded(_write_fields, record)


def _encoded(fields: Callable[[Any, Callable[[str], Json]], Json], record: Record) -> bytes:
    """Encode with texts as they are, which nearly always works, and else with lone surrogates spelled out."""
    try:
        return encode(fields(record, str))
    except TypeError:
        return encode(fields(record, text))


def _checkpoint_fields(record: CheckpointRecord, text: Callable[[str], Json]) -> Json:
    seen: list[Json] = [
        [text(node), [[text(name), _version(ver, text)] for name, ver in versions]]
        for node, versions in record.versions_seen
    ]
    return {
        "format": FORMAT_VERSION,
        "kind": "checkpoint",
        "namespace": text(record.namespace),
        "checkpoint_id": text(record.checkpoint_id),
        "parent": None if record.parent is None else hex_id(record.parent),
        "parent_checkpoint_id": None if record.parent_checkpoint_id is None else text(record.parent_checkpoint_id),
        "channels": [
            [text(name), None if ver is None else _version(ver, text), None if value is None else ref(value)]
            for name, ver, value in record.channels
        ],
        "versions_seen": seen,
        "updated_channels": None if record.updated_channels is None else [text(c) for c in record.updated_channels],
        "v": integer(record.v),
        "ts": text(record.ts),
        "metadata": ref(record.metadata),
        "extra": None if record.extra is None else ref(record.extra),
        "source": None if record.source is None else text(record.source),
        "step": record.step,
        "run_id": None if record.run_id is None else text(record.run_id),
        "parents": [[text(namespace), text(checkpoint_id)] for namespace, checkpoint_id in record.parents],
    }


def _write_fields(record: WriteRecord, text: Callable[[str], Json]) -> Json:
    return {
        "format": FORMAT_VERSION,
        "kind": "write",
        "namespace": text(record.namespace),
        "checkpoint_id": text(record.checkpoint_id),
        "task_id": text(record.task_id),
        "task_path": text(record.task_path),
        "writes": [
            [w.idx, text(w.channel), ref(w.value), None if w.replaces is None else hex_id(w.replaces)]
            for w in record.writes
        ],
    }


def _version(value: Version, text: Callable[[str], Json]) -> Json:
    if type(value) is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    return text(value) if isinstance(value, str) and type(value) is str else version(value)


def branch_body(record: BranchRecord) -> bytes:
    """The canonical bytes of a branch record."""
    return encode(
        {
            "format": FORMAT_VERSION,
            "kind": "branch",
            "number": record.number,
            "name": text(checked_branch_name(record.name)),
            "base": None if record.base is None else hex_id(record.base),
            "first": None if record.first is None else hex_id(record.first),
            "current": record.current,
        }
    )


def label_body(record: LabelRecord) -> bytes:
    """The canonical bytes of a label record."""
    fields: dict[str, Json] = {"format": FORMAT_VERSION, "kind": "label", "number": record.number}
    return encode({**fields, "name": None if record.name is None else text(checked_branch_name(record.name))})


def switch_body(record: SwitchRecord) -> bytes:
    """The canonical bytes of a switch record."""
    fields: dict[str, Json] = {"format": FORMAT_VERSION, "kind": "switch", "number": record.number}
    return encode({**fields, "checkpoint": hex_id(record.checkpoint)})


def merge_body(record: MergeRecord) -> bytes:
    """The canonical bytes of a merge record."""
    return encode(
        {
            "format": FORMAT_VERSION,
            "kind": "merge",
            "checkpoint": hex_id(record.checkpoint),
            "parent": hex_id(record.parent),
            "base": None if record.base is None else hex_id(record.base),
        }
    )


def trace_record_body(record: TraceRecord) -> bytes:
    """The canonical bytes of a run, step, call or end record."""
    return trace_body(record, FORMAT_VERSION)


def removal_body(record: RemovalRecord) -> bytes:
    """The canonical bytes of a removal record."""
    fields: dict[str, Json] = {
        "format": FORMAT_VERSION,
        "kind": "removal",
        "reason": text(record.reason),
        "removed": record.removed,
        "digest": hex_id(record.digest),
    }
    return encode({**fields, "redacted": record.redacted} if record.redacted else fields)


def body_of(record: Record) -> bytes:
    """The canonical bytes of a record of any kind."""
    body = _BODIES.get(type(record), trace_record_body)
    return body(record)


def in_order(record: Record) -> bool:
    """Whether what a body holds in ascending order stands so, each once: maps keyed by names, and writes."""
    if isinstance(record, WriteRecord):
        indexes = [write.idx for write in record.writes]
        return all(one < other for one, other in pairwise(indexes))
    if not isinstance(record, CheckpointRecord):
        return True
    seen = record.versions_seen
    maps = ([channel.name for channel in record.channels], [node for node, _ in seen], [n for n, _ in record.parents])
    return all(map(ascending, maps)) and all(ascending([name for name, _ in versions]) for _, versions in seen)


def removed_digest(removed: Iterable[tuple[bytes, int, int, bytes]]) -> bytes:
    """The digest over what is left of the records and objects that lost their content, sorted by id.

    Args:
        removed: record id, kind, state, and the bytes of `skeleton_body`; none for a record that is only hidden. Of a
            redacted object its id, OF_OBJECT, its form, and the mask.
    """
    parts = [name + bytes((kind, state)) + remains for name, kind, state, remains in sorted(removed)]
    return digest("removed", *parts)


def seal_body(record: SealRecord) -> bytes:
    """The canonical bytes of a seal record: the ids sorted, and a digest over them in the order of arrival."""
    return encode(
        {
            "format": FORMAT_VERSION,
            "kind": "seal",
            "ordinal": record.ordinal,
            "previous": None if record.previous is None else hex_id(record.previous),
            "records": [hex_id(r) for r in sorted(record.records)],
            "order": hex_id(digest("order", *record.records)),
        }
    )


def seal_id(record: SealRecord) -> bytes:
    """The id of a seal record."""
    return record_id(Kind.SEAL, seal_body(record))


def refs_of(record: Record) -> list[Ref]:
    """Every value that a record names: of channels or writes in their order, then metadata and further keys; of a run,
    step, call or end in the order of its fields."""
    if isinstance(record, CheckpointRecord):
        refs = [channel.value for channel in record.channels if channel.value is not None]
        return [*refs, record.metadata, *([] if record.extra is None else [record.extra])]
    if isinstance(record, WriteRecord):
        return [write.value for write in record.writes]
    return trace_refs(record) if type(record) in KIND_OF else []  # type: ignore[arg-type]  # by the line's own test


def skeleton_body(namespace: str, checkpoint_id: str, parent_checkpoint_id: str | None, deleted: bool) -> bytes:
    """What a removed record leaves behind beside its id.

    Args:
        namespace, checkpoint_id: which checkpoint it was, or was anchored at; of a run, step, call or end "" and the
            run's id.
        deleted: whether it went with its run, so that what the run puts late is refused.
    """
    parent = None if parent_checkpoint_id is None else text(parent_checkpoint_id)
    return encode([text(namespace), text(checkpoint_id), parent, deleted])


def read_skeleton(body: bytes) -> tuple[str, str, str | None, bool]:
    """Namespace, checkpoint id, parent checkpoint id and whether it was deleted, behind `skeleton_body`."""
    try:
        namespace, checkpoint_id, parent, deleted = rows([decode(body)], 4)[0]
        above = None if parent is None else from_text(parent)
        return from_text(namespace), from_text(checkpoint_id), above, bool(deleted)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"the remains of a removed record cannot be read ({error}); run thread.verify()"
        ) from error


def read_record(kind: Kind, body: bytes) -> Record:
    """The record behind canonical bytes.

    Raises:
        IntegrityError: the bytes are not a canonical record of that kind and of a known format version.
    """
    try:
        fields = decode(body)
        if not isinstance(fields, dict) or fields.get("kind") != kind.value or fields.get("format") != FORMAT_VERSION:
            raise ValueError(f"expected a {kind.value} record of format {FORMAT_VERSION}")
        return read_trace(kind, fields) if kind in TRACE_KINDS else _READERS[kind](fields)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise IntegrityError(
            f"a stored {kind.value} record cannot be read ({error}); found {body[:80]!r}...; "
            "run thread.verify() to see which records are damaged, and restore them from a backup"
        ) from error


def _read_checkpoint(f: dict[str, Json]) -> CheckpointRecord:
    updated = f["updated_channels"]
    return CheckpointRecord(
        namespace=from_text(f["namespace"]),
        checkpoint_id=from_text(f["checkpoint_id"]),
        parent=None if f["parent"] is None else from_hex_id(str(f["parent"])),
        parent_checkpoint_id=None if f["parent_checkpoint_id"] is None else from_text(f["parent_checkpoint_id"]),
        channels=tuple(
            Channel(from_text(name), None if ver is None else from_version(ver), None if ref is None else read_ref(ref))
            for name, ver, ref in rows(f["channels"], 3)
        ),
        versions_seen=tuple(
            (from_text(node), tuple((from_text(name), from_version(ver)) for name, ver in rows(seen, 2)))
            for node, seen in rows(f["versions_seen"], 2)
        ),
        updated_channels=tuple(from_text(c) for c in updated) if isinstance(updated, list) else None,
        v=integer(f["v"]),
        ts=from_text(f["ts"]),
        metadata=read_dict_ref(f["metadata"]),
        extra=None if f["extra"] is None else read_dict_ref(f["extra"]),
        source=None if f["source"] is None else from_text(f["source"]),
        step=None if f["step"] is None else integer(f["step"]),
        run_id=None if f["run_id"] is None else from_text(f["run_id"]),
        parents=tuple((from_text(namespace), from_text(name)) for namespace, name in rows(f["parents"], 2)),
    )


def _read_write(f: dict[str, Json]) -> WriteRecord:
    return WriteRecord(
        namespace=from_text(f["namespace"]),
        checkpoint_id=from_text(f["checkpoint_id"]),
        task_id=from_text(f["task_id"]),
        task_path=from_text(f["task_path"]),
        writes=tuple(
            Write(integer(idx), from_text(name), read_ref(ref), None if old is None else from_hex_id(str(old)))
            for idx, name, ref, old in rows(f["writes"], 4)
        ),
    )


def _read_branch(f: dict[str, Json]) -> BranchRecord:
    return BranchRecord(
        number=natural(f["number"]),
        name=checked_branch_name(from_text(f["name"])),
        base=None if f["base"] is None else from_hex_id(str(f["base"])),
        first=None if f["first"] is None else from_hex_id(str(f["first"])),
        current=bool(f["current"]),
    )


def _read_label(f: dict[str, Json]) -> LabelRecord:
    return LabelRecord(natural(f["number"]), None if f["name"] is None else checked_branch_name(from_text(f["name"])))


def _read_removal(f: dict[str, Json]) -> RemovalRecord:
    redacted = integer(f.get("redacted", 0))
    if redacted < 1 and "redacted" in f:
        raise ValueError("it counts redacted objects where there are none")
    return RemovalRecord(from_text(f["reason"]), natural(f["removed"]), from_hex_id(str(f["digest"])), redacted)


def _read_switch(f: dict[str, Json]) -> SwitchRecord:
    return SwitchRecord(natural(f["number"]), from_hex_id(str(f["checkpoint"])))


def _read_merge(f: dict[str, Json]) -> MergeRecord:
    base = None if f["base"] is None else from_hex_id(str(f["base"]))
    return MergeRecord(from_hex_id(str(f["checkpoint"])), from_hex_id(str(f["parent"])), base)


_BODIES: dict[type, Callable[[Any], bytes]] = {
    CheckpointRecord: checkpoint_body,
    WriteRecord: write_body,
    BranchRecord: branch_body,
    LabelRecord: label_body,
    SwitchRecord: switch_body,
    RemovalRecord: removal_body,
    MergeRecord: merge_body,
}
_READERS: dict[Kind, Callable[[dict[str, Json]], Record]] = {
    Kind.CHECKPOINT: _read_checkpoint,
    Kind.WRITE: _read_write,
    Kind.BRANCH: _read_branch,
    Kind.LABEL: _read_label,
    Kind.REMOVAL: _read_removal,
    Kind.SWITCH: _read_switch,
    Kind.MERGE: _read_merge,
}
