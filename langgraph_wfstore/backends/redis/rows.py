"""How rows lie in Redis: the bytes of a record and of an object, and what scripts answer as rows.

A record: kind, state, id (32), flags (2), then what the flags name: position (8), space (8), branch (8), step (8), run
(8), within (8), source (2 and text), anchor (8), ordinal (8), seal (32); then the length of the references, they, and
the packed body. The scripts read the first columns at their places, and nothing behind the source.

An object: form, plus 128 if a nonce follows; id (32); nonce (16); the length of the tag, the tag, the packed bytes.
"""

from __future__ import annotations

import struct
from typing import Any

from ...errors import IntegrityError, UnsupportedValueError
from ...values.lists import get_varint, put_varint
from ..base import BranchRow, ObjectRow, RecordRow, Standing, Tail, ThreadRow
from ..packing import pack, unpack

(
    ORDINAL,
    SEAL,
    ANCHOR,
    ROOT,
    SPACE,
    POSITION,
    BRANCH,
    WITHIN,
    STEP,
    RUN,
    SOURCE,
) = (1 << n for n in range(11))
_NONCE = 128
_LARGEST = 512 << 20  # bytes of an argument; `proto-max-bulk-len`
_EXACT = 1 << 53  # the numbers of Lua are doubles
_BUCKETS = 32
_signed = struct.Struct(">q")
_branch = struct.Struct(">qq")
_entry = struct.Struct(">qI")


def column(value: int) -> bytes:
    """A number as the scripts compare it."""
    return _signed.pack(value)


def record_bytes(row: RecordRow) -> bytes:
    """A record as it is stored."""
    if len(row.id) != 32 or (row.seal is not None and len(row.seal) != 32):
        raise ValueError(f"record {row.seq} has an id or a seal that is no digest of 32 bytes")
    if row.position is not None and not 0 <= row.position < _EXACT:
        raise ValueError(f"record {row.seq} has position {row.position}, which scripts cannot count with")
    flags, out = 0, bytearray()
    for flag, value in ((POSITION, row.position), (SPACE, row.space or None), *_middle(row)):
        if value is not None:
            flags |= flag
            out += _signed.pack(value)
    if row.space == 0:
        flags |= ROOT
    if row.source is not None:
        flags |= SOURCE
        source = row.source.encode("utf-8", "surrogatepass")
        out += len(source).to_bytes(2, "big") + source
    for flag, value in ((ANCHOR, row.anchor), (ORDINAL, row.ordinal)):
        if value is not None:
            flags |= flag
            out += _signed.pack(value)
    if row.seal is not None:
        flags |= SEAL
        out += row.seal
    put_varint(out, len(row.refs))
    return b"".join(
        (bytes((row.kind, row.state)), row.id, flags.to_bytes(2, "big"), out, row.refs, pack(row.body)),
    )


def _middle(row: RecordRow) -> tuple[tuple[int, int | None], ...]:
    return (BRANCH, row.branch), (STEP, row.step), (RUN, row.run), (WITHIN, row.within)


def record_of(seq: int, data: bytes) -> RecordRow:
    """A record as it was stored.

    Raises:
        IntegrityError: the bytes are damaged.
    """
    try:
        flags, at = int.from_bytes(data[34:36], "big"), 36
        found: dict[int, Any] = {}
        for flag in (POSITION, SPACE, BRANCH, STEP, RUN, WITHIN):
            if flags & flag:
                found[flag] = _signed.unpack_from(data, at)[0]
                at += 8
        if flags & SOURCE:
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            found[SOURCE] = data[at + 2 : end].decode("utf-8", "surrogatepass")
            at = end
        for flag in (ANCHOR, ORDINAL):
            if flags & flag:
                found[flag] = _signed.unpack_from(data, at)[0]
                at += 8
        if flags & SEAL:
            found[SEAL] = data[at : at + 32]
            at += 32
        size, at = get_varint(data, at)
        body = unpack(data[at + size :])
    except (struct.error, ValueError) as error:
        raise _damaged(f"record {seq}") from error
    get = found.get
    return RecordRow(
        *(seq, data[0], data[2:34], data[1], body, get(ORDINAL), get(SEAL), get(ANCHOR)),
        *(0 if flags & ROOT else get(SPACE), get(POSITION), get(BRANCH), get(WITHIN)),
        *(get(SOURCE), get(STEP), get(RUN), data[at : at + size]),
    )


def object_bytes(row: ObjectRow) -> bytes:
    """An object as it is stored."""
    if len(row.id) != 32 or (row.nonce is not None and len(row.nonce) != 16):
        raise ValueError(f"object {row.number} has an id that is not of 32 bytes, or a nonce that is not of 16")
    out = bytearray((row.form | (0 if row.nonce is None else _NONCE),))
    out += row.id + (row.nonce or b"")
    tag = row.tag.encode("utf-8", "surrogatepass")
    put_varint(out, len(tag))
    stored = bytes(out) + tag + pack(row.data)
    if len(stored) > _LARGEST:
        raise UnsupportedValueError(
            f"an object has {len(stored)} bytes after compression, Redis takes at most {_LARGEST}; nothing was "
            "written. Keep large values elsewhere, and their names in the state"
        )
    return stored


def object_of(number: int, data: bytes) -> ObjectRow:
    """An object as it was stored.

    Raises:
        IntegrityError: the bytes are damaged.
    """
    try:
        at = 33 if data[0] < _NONCE else 49
        size, end = get_varint(data, at)
        tag = data[end : end + size].decode("utf-8", "surrogatepass")
        nonce = data[33:49] if at == 49 else None
        return ObjectRow(number, data[1:33], data[0] % _NONCE, tag, nonce, unpack(data[end + size :]))
    except (IndexError, ValueError) as error:
        raise _damaged(f"object {number}") from error


def branch_bytes(row: BranchRow) -> bytes:
    """A branch as it is stored, without its number."""
    return _branch.pack(-1 if row.base is None else row.base, row.head) + row.name


def tail_of(found: list[Any]) -> Tail:
    """Where a thread stands, as the scripts say it.

    Raises:
        IntegrityError: a part of the thread is not there.
    """
    number, lineage, name, life, secret, created, epoch, lineage_epoch, current, branches, nested = found[:11]
    last, ordinal, seal, ids, objects, rows = found[11:]
    if not lineage_epoch or len(secret) == 0:
        raise IntegrityError(f"the lineage of thread {number.decode()} is not in the store; restore a backup")
    row = ThreadRow(
        *(name, int(life), secret, int(created), int(number), int(lineage), int(epoch), int(lineage_epoch)),
        *(int(current), int(branches), nested == b"1"),
    )
    return Tail(
        row,
        int(last),
        int(ordinal),
        seal or None,
        tuple(ids[at : at + 32] for at in range(0, len(ids), 32)),
        int(objects),
        tuple(sorted(_branch_of(*rows[at : at + 2]) for at in range(0, len(rows), 2))),
    )


def _branch_of(number: bytes, data: bytes) -> BranchRow:
    base, head = _branch.unpack_from(data)
    return BranchRow(int(number), data[16:], None if base == -1 else base, head)


def standing_of(found: list[bytes] | None) -> Standing | None:
    """How a thread stands, as the scripts say it."""
    if found is None:
        return None
    return Standing(int(found[0]), int(found[1] or -1), int(found[2]), found[3] or None)


def standing_bytes(standing: Standing) -> list[bytes]:
    """How a thread must stand, as the scripts compare it."""
    numbers = (standing.epoch, standing.lineage_epoch, standing.last)
    return [*(b"%d" % number for number in numbers), standing.end or b""]


ANCHORS, RUNS, LINKS, WITHINS, TRACES = b"a", b"r", b"l", b"w", b"u"
# RUN records are found by this key: there is one list of them.
EVERY = bytes(8)


def index_of(rows: list[RecordRow], run_kind: int) -> list[list[bytes]]:
    """What the index of a thread gets for these records: (field, entries)."""
    fields: dict[bytes, bytearray] = {}

    def add(kind: bytes, value: int, seq: int) -> None:
        field = kind + bytes(((value & 0xFF) % _BUCKETS,))
        fields.setdefault(field, bytearray()).extend(_entry.pack(value, seq))

    for row in rows:
        for kind, value in ((ANCHORS, row.anchor), (RUNS, row.run), (WITHINS, row.within)):
            if value is not None:
                add(kind, value, row.seq)
        for link in set(row.links):
            add(LINKS, link, row.seq)
        if row.kind == run_kind:
            add(TRACES, 0, row.seq)
    return [[field, bytes(entries)] for field, entries in fields.items()]


def entries_of(entries: bytes) -> list[tuple[int, int]]:
    """(value, record number) of each entry of an index field."""
    return [_entry.unpack_from(entries, at) for at in range(0, len(entries), _entry.size)]


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(f"the stored bytes of {what} are damaged; run thread.verify(), and restore a backup")
