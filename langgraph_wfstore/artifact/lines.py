"""The lines of an artifact: records and values as canonical JSON, and back (FORMAT.md, section 15)."""

from __future__ import annotations

import base64
import binascii
from itertools import pairwise
from typing import Any, NamedTuple

from ..backends.base import HIDDEN, KEPT, SKELETON
from ..canonical import LARGEST_INTEGER, Json, check, decode, encode, from_hex_id, from_text, hex_id, text
from ..errors import ArtifactError
from ..fields import integer
from ..records import Kind
from ..values.masks import read_mask

STATES = {HIDDEN: "hidden", SKELETON: "removed"}
_STATE_OF = {name: state for state, name in STATES.items()}
_NONCE = 16


class RecordLine(NamedTuple):
    """A record.

    Attributes:
        state: KEPT, HIDDEN or SKELETON.
        body: its canonical bytes; of a skeleton what is left of it.
        position: of a checkpoint, in the order in which they are listed.
        seal: the id of the seal that it ends, if it ends one.
        missing: of a hidden record the ids of the values that are gone.
    """

    id: bytes
    kind: Kind
    state: int
    body: bytes
    position: int | None
    seal: bytes | None
    missing: tuple[bytes, ...] = ()


class ObjectLine(NamedTuple):
    """An object: what its id is made of."""

    id: bytes
    tag: str
    nonce: bytes
    data: bytes


class LeafLine(NamedTuple):
    """A leaf of a list's tree: the numbers of its items' lines, with their flags in the lowest two bits."""

    items: tuple[int, ...]


class NodeLine(NamedTuple):
    """A node of a list's tree: the numbers of the lines of leaves, or of nodes."""

    parts: tuple[int, ...]


class ListLine(NamedTuple):
    """A list: the number of its tree's top, 0 if it has no items, and how many items it has."""

    id: bytes
    top: int
    length: int


class MapLine(NamedTuple):
    """A map: the number of its shell, and (position, number) of its lists."""

    id: bytes
    shell: int
    lists: tuple[tuple[int, int], ...]


class MaskLine(NamedTuple):
    """A redacted object, or one that was withheld at export: then `withheld` is the number of its bytes."""

    id: bytes
    mask: bytes
    withheld: int | None = None


ValueLine = ObjectLine | LeafLine | NodeLine | ListLine | MapLine | MaskLine
Line = RecordLine | ValueLine


def write_record(line: RecordLine) -> bytes:
    """The canonical bytes of a record's line, without line feed."""
    rest: dict[str, Json] = {"id": hex_id(line.id)}
    if line.missing:
        rest["missing"] = [hex_id(name) for name in line.missing]
    if line.position is not None:
        rest["position"] = line.position
    if line.seal is not None:
        rest["seal"] = hex_id(line.seal)
    if line.state != KEPT:
        rest["state"] = STATES[line.state]
    if line.state == SKELETON:
        return encode({**rest, "kind": line.kind.value, "left": decode(line.body)})
    return b'{"body":' + line.body + b"," + encode(rest)[1:]  # "body" comes before all other keys


def write_value(line: ValueLine) -> bytes:
    """The canonical bytes of a value's line, without line feed."""
    if isinstance(line, ObjectLine):
        return _write_object(line)
    if isinstance(line, LeafLine):
        return encode({"leaf": [*line.items]})
    if isinstance(line, NodeLine):
        return encode({"node": [*line.parts]})
    if isinstance(line, ListLine):
        return encode({"id": hex_id(line.id), "list": line.top, "count": line.length})
    if isinstance(line, MapLine):
        return encode({"id": hex_id(line.id), "map": line.shell, "lists": [[*each] for each in line.lists]})
    rest: dict[str, Json] = {} if line.withheld is None else {"withheld": line.withheld}
    return encode({"id": hex_id(line.id), "mask": decode(line.mask), **rest})


def _write_object(line: ObjectLine) -> bytes:
    plain = line.data.decode("latin-1")
    name, said = "latin1", plain
    if len(plain) > 0 and len(encode(plain)) > 4 * ((len(plain) + 2) // 3) + 2:
        name, said = "base64", base64.b64encode(line.data).decode("ascii")
    return encode({"id": hex_id(line.id), "tag": text(line.tag), "nonce": line.nonce.hex(), name: said})


def read_record(data: bytes, where: str) -> RecordLine:
    """The record behind a line.

    Args:
        where: what to name in an error.

    Raises:
        ArtifactError: it is no line of a record.
    """
    try:
        fields = _fields(data)
        state = KEPT if "state" not in fields else _STATE_OF[_str(fields.pop("state"))]
        if state == SKELETON:
            kind, body = Kind(_str(fields.pop("kind"))), encode(fields.pop("left"))
        else:
            said = fields.pop("body")
            kind, body = Kind(_str(said["kind"])), encode(said)
        line = RecordLine(
            id=from_hex_id(_str(fields.pop("id"))),
            kind=kind,
            state=state,
            body=body,
            position=_position(fields.pop("position")) if kind is Kind.CHECKPOINT else None,
            seal=from_hex_id(_str(fields.pop("seal"))) if "seal" in fields else None,
            missing=tuple([from_hex_id(_str(name)) for name in fields.pop("missing", ())]),
        )
        if write_record(line) != data:
            raise ValueError("it is not written as it must be")
        if fields or (line.missing and state != HIDDEN) or kind is Kind.SEAL:
            raise ValueError(f"it has keys that mean nothing there: {sorted(fields)}, or a kind that is none")
    except _BROKEN as error:
        raise _no_line(where, "record", data, error) from error
    return line


def read_value(data: bytes, where: str) -> ValueLine:
    """The value, or the part of a list, behind a line.

    Raises:
        ArtifactError: it is no line of a value.
    """
    try:
        fields = _fields(data)
        keys = " ".join(sorted(fields))
        if keys not in _READERS:
            raise ValueError(f"its keys are {keys}")
        line: ValueLine = _READERS[keys](fields)
        if write_value(line) != data:
            raise ValueError("it is not written as it must be")
    except _BROKEN as error:
        raise _no_line(where, "value", data, error) from error
    return line


_BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError, ArtifactError)


def _no_line(where: str, what: str, data: bytes, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{where} is no line of a {what} ({type(error).__name__}: {error}); found {data[:80]!r}. The file was "
        "changed, or made by a newer version; nothing was imported"
    )


def _fields(data: bytes) -> dict[str, Any]:
    check(data)
    found = decode(data)
    if not isinstance(found, dict):
        raise TypeError("it is no object of JSON")
    return found


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r:.100}")
    return value


def _position(value: Any) -> int:
    found = integer(value)
    if abs(found) > LARGEST_INTEGER:
        raise ValueError(f"the position {found} is too large")
    return found


def _number(value: object, least: int = 1) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"expected a number of at least {least}, found {value!r:.100}")
    return value


def _bytes_of(said: str) -> bytes:
    if not said.isascii():
        raise ValueError("its base64 is damaged")
    try:
        return base64.b64decode(said, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 is damaged ({error})") from error


def _object(fields: dict[str, Any]) -> ObjectLine:
    nonce = bytes.fromhex(_str(fields["nonce"]))
    if len(nonce) != _NONCE:
        raise ValueError(f"its nonce has {len(nonce)} bytes, not {_NONCE}")
    data = fields["latin1"].encode("latin-1") if "latin1" in fields else _bytes_of(_str(fields["base64"]))
    return ObjectLine(from_hex_id(_str(fields["id"])), from_text(fields["tag"]), nonce, data)


def _numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, list) or not values:
        raise ValueError("it has no parts")
    return tuple([_number(value) for value in values])


def _map(fields: dict[str, Any]) -> MapLine:
    lists = tuple([(_number(position, 0), _number(number)) for position, number in fields["lists"]])
    if not lists or any(a[0] >= b[0] for a, b in pairwise(lists)):
        raise ValueError("its lists are none, or not in order")
    return MapLine(from_hex_id(_str(fields["id"])), _number(fields["map"]), lists)


def _mask(fields: dict[str, Any]) -> MaskLine:
    mask = encode(fields["mask"])
    read_mask(mask)
    withheld = _number(fields["withheld"], 0) if "withheld" in fields else None
    return MaskLine(from_hex_id(_str(fields["id"])), mask, withheld)


_READERS: dict[str, Any] = {
    "id latin1 nonce tag": _object,
    "base64 id nonce tag": _object,
    "leaf": lambda fields: LeafLine(_numbers(fields["leaf"])),
    "node": lambda fields: NodeLine(_numbers(fields["node"])),
    "count id list": lambda f: ListLine(from_hex_id(_str(f["id"])), _number(f["list"], 0), _number(f["count"], 0)),
    "id lists map": _map,
    "id mask": _mask,
    "id mask withheld": _mask,
}
