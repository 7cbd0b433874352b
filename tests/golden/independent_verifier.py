"""A verifier of langgraph_wfstore's SQLite files, written from FORMAT.md alone; it imports nothing of the package.

    python independent_verifier.py FILE.db [dictionary-1.zdict]

Needs Python's standard library and `zstandard`. The section numbers are FORMAT.md's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import zstandard

DICTIONARY = Path(__file__).parents[2] / "langgraph_wfstore" / "backends" / "dictionary-1.zdict"
KINDS = ("checkpoint", "write", "branch", "removal", "switch", "run", "step", "call", "end", "label", "merge")
KEYS = {
    "checkpoint": "channels checkpoint_id extra format kind metadata namespace parent parent_checkpoint_id "
    "parents run_id source step ts updated_channels v versions_seen",
    "write": "checkpoint_id format kind namespace task_id task_path writes",
    "branch": "base current first format kind name number",
    "removal": "digest format kind reason removed",
    "switch": "checkpoint format kind number",
    "label": "format kind name number",
    "merge": "base checkpoint format kind parent",
}
# Of traces: per key what it is, "!" where it is never left out, and "0" where it is left out if it is 0 or "".
TRACE_KEYS = {
    "run": "run_id:text! seq:count0 started:time! name:text0 parent:text checkpoint_id:text checkpoint_source:text "
    "addressed:flag resumes:flag metadata_run_id:text durability:text workflow:text description:ref input:ref",
    "step": "step_id:text! run_id:text! seq:count0 started:time! parent:text namespace:text0 checkpoint_id:text "
    "path:text0 node:text0 task_id:text0 number:count0 attempt:count0 triggers:texts cached:flag send:count input:ref",
    "call": "call_id:text! run_id:text! seq:count0 started:time! type:text! step:text parent:text name:text0 "
    "provider:text model:text tool_call_id:text parameters:ref tools:ref input:ref content:digest",
    "end": "of:text! id:text! run_id:text! begin:digest! seq:count0 ended:time! status:text! output:ref "
    "content:digest error:error usage:usage cached:flag model:text response_id:text finish:texts first_token:time "
    "messages:texts tool_calls:texts interrupts:texts checkpoint_id:text unattributed:count0 flags:texts",
}
TRACE_FIELDS = {
    kind: {name: what for name, _, what in (key.partition(":") for key in keys.split())}
    for kind, keys in TRACE_KEYS.items()
}
MASK_KEYS = {"type", "id", "tool_call_id", "tool_calls", "items", "fields", "counters"}
KEPT, SKELETON = 0, 2
MERGE = 10
OBJECT, LIST, MAP, REDACTED = 0, 1, 2, 3


class Damaged(Exception):
    """Bytes that are not what the format allows."""


# ---------------------------------------------------------------- section 2: canonical JSON


def canonical(value: Any) -> bytes:
    """The one encoding of a value."""
    _refuse(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _refuse(value: Any) -> None:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if abs(value) > 2**53 - 1:
            raise Damaged("an integer beyond 53 bits")
    elif isinstance(value, list):
        for item in value:
            _refuse(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not key.isascii():
                raise Damaged("a key that is not ASCII")
            _refuse(item)
    else:
        raise Damaged(f"{type(value).__name__} is not allowed")


def parse(body: bytes) -> Any:
    """The value behind canonical bytes; Damaged if they are not canonical."""
    try:
        value = json.loads(body.decode("utf-8"))
        same = canonical(value) == body
    except (ValueError, RecursionError) as error:
        raise Damaged(f"no JSON: {error}") from error
    if not same:
        raise Damaged("not canonical JSON")
    return value


def encode_text(text: str) -> Any:
    """A user's text."""
    if not any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return text
    if any(0xD800 <= ord(a) <= 0xDBFF and 0xDC00 <= ord(b) <= 0xDFFF for a, b in pairwise(text)):
        return {"u8": utf8(text).hex()}
    return {"u16": text.encode("utf-16-be", "surrogatepass").hex()}


def decode_text(value: Any) -> str:
    """The text behind `encode_text`; Damaged if it is not the one encoding of it."""
    try:
        if isinstance(value, str):
            return value
        ((form, data),) = value.items()
        text = bytes.fromhex(data).decode({"u8": "utf-8", "u16": "utf-16-be"}[form], "surrogatepass")
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"no text: {value!r}") from error
    if encode_text(text) != value:
        raise Damaged(f"not the encoding of its text: {value!r}")
    return text


def check_version(value: Any) -> None:
    """Damaged if this is no channel version."""
    if type(value) is int or isinstance(value, str) or (isinstance(value, dict) and set(value) & {"u8", "u16"}):
        return
    ((form, text),) = value.items()
    right = str(int(text)) == text and abs(int(text)) >= 2**53 if form == "i" else repr(float(text)) == text
    if form not in ("i", "f") or not right:
        raise Damaged(f"no version: {value!r}")


def utf8(text: str) -> bytes:
    """UTF-8 with surrogates."""
    return text.encode("utf-8", "surrogatepass")


def check_names(pairs: list[Any]) -> None:
    """Damaged unless the first columns are texts in ascending order, each once."""
    names = [utf8(decode_text(pair[0])) for pair in pairs]
    if names != sorted(set(names)):
        raise Damaged("names are not in order")


# ---------------------------------------------------------------- sections 3 and 5: digests and ids


def digest(kind: str, *parts: bytes) -> bytes:
    """The domain-separated digest."""
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(b"wfstore/1 " + kind.encode("ascii") + b"\0" + framed).digest()


def object_id(secret: bytes, tag: str, data: bytes, nonce: bytes | None = None) -> bytes:
    """The id of an object."""
    key = hashlib.sha256(data).digest()
    if nonce is None:
        nonce = hmac.new(secret, key, hashlib.sha256).digest()[:16]
    return digest("object", utf8(tag), nonce, key)


def runs(strings: list[bytes]) -> list[bytes]:
    """The runs of a sequence, each concatenated."""
    found: list[bytes] = []
    run: list[bytes] = []
    for string in strings:
        run.append(string)
        if len(run) == 1024 or (len(run) >= 2 and string[-1] % 32 == 0):
            found.append(b"".join(run))
            run = []
    if run:
        found.append(b"".join(run))
    return found


def list_id(items: list[bytes]) -> bytes:
    """The id of a list from its items, 33 bytes each."""
    level = [digest("list-leaf", run) for run in runs(items)]
    while len(level) > 1:
        level = [digest("list-node", run) for run in runs(level)]
    return digest("list", level[0] if level else b"", len(items).to_bytes(8, "big"))


def map_id(shell: bytes, lists: list[tuple[int, bytes]]) -> bytes:
    """The id of a map from its shell's id and its lists' positions and ids."""
    return digest("map", shell, *(part for at, name in lists for part in (at.to_bytes(8, "big"), name)))


def index(kind: str, *parts: bytes) -> int:
    """The signed number of an index column (section 11)."""
    return int.from_bytes(digest(kind, *parts)[:8], "big", signed=True)


def seal_id(ordinal: int, previous: bytes | None, arrived: list[bytes]) -> bytes:
    """The id of a seal (section 7)."""
    body = {
        "format": 1,
        "kind": "seal",
        "ordinal": ordinal,
        "previous": None if previous is None else _text_of(previous),
        "records": [_text_of(name) for name in sorted(arrived)],
        "order": _text_of(digest("order", *arrived)),
    }
    return digest("seal", canonical(body))


def removed_digest(parts: list[tuple[bytes, int, int, bytes]]) -> bytes:
    """The digest over what was removed (section 8): id, kind, state, remains; of an object id, 255, form, mask."""
    return digest("removed", *(name + bytes([kind, state]) + remains for name, kind, state, remains in sorted(parts)))


def _text_of(name: bytes) -> str:
    return "sha256:" + name.hex()


def read_digest(value: Any) -> bytes:
    """The 32 bytes of a digest's text."""
    if isinstance(value, str) and value.startswith("sha256:") and len(value) == 71:
        data = bytes.fromhex(value[7:])
        if _text_of(data) == value:
            return data
    raise Damaged(f"no digest: {value!r}")


def read_reference(value: Any) -> tuple[int, bytes]:
    """Form and id that a reference names."""
    if isinstance(value, dict):
        ((form, name),) = value.items()
        if form not in ("list", "map"):
            raise Damaged(f"no reference: {value!r}")
        return (LIST if form == "list" else MAP), read_digest(name)
    return OBJECT, read_digest(value)


# ---------------------------------------------------------------- sections 3 and 6: traces


def read_trace(kind: str, value: Any) -> dict[str, Any]:
    """The fields of the body of a run, step, call or end, those that stand in it; Damaged if it is none."""
    known = TRACE_FIELDS[kind]
    if not isinstance(value, dict) or (value.get("format"), value.get("kind")) != (1, kind):
        raise Damaged("not a record of its kind, or of an unknown format")
    names = set(value) - {"format", "kind"}
    if names - set(known) or {name for name, what in known.items() if what.endswith("!")} - names:
        raise Damaged("a key is missing or unknown")
    try:
        return {name: _field(known[name], value[name]) for name in names}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise Damaged(f"a field cannot be read: {error}") from error


def _field(what: str, value: Any) -> Any:
    """One field; Damaged if it is not what it has to be, or should have been left out."""
    found = _FIELDS[what.rstrip("!0")](value)
    if what.endswith("0") and found in (0, ""):
        raise Damaged("it says nothing and is not left out")
    return found


def _count(value: Any) -> int:
    if type(value) is int:
        return value
    ((form, text),) = value.items()
    if form != "i" or str(int(text)) != text or abs(int(text)) < 2**53:
        raise Damaged(f"no count: {value!r}")
    return int(text)


def _time(value: Any) -> int:
    if not isinstance(value, str) or str(int(value)) != value:
        raise Damaged(f"no time: {value!r}")
    return int(value)


def _flag(value: Any) -> bool:
    if value is not True:
        raise Damaged(f"no flag: {value!r}")
    return True


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise Damaged(f"no texts: {value!r}")
    return [decode_text(text) for text in value]


def _error(value: Any) -> list[str]:
    if len(_texts(value)) != 2:
        raise Damaged(f"no error: {value!r}")
    return _texts(value)


def _usage(value: Any) -> list[int | None]:
    if not isinstance(value, list) or len(value) != 8:
        raise Damaged(f"no usage: {value!r}")
    return [None if count is None else _count(count) for count in value]


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "text": decode_text,
    "texts": _texts,
    "count": _count,
    "time": _time,
    "flag": _flag,
    "digest": read_digest,
    "ref": read_reference,
    "error": _error,
    "usage": _usage,
}


def links_of(kind: str, fields: dict[str, Any]) -> set[int]:
    """What the table `link` says of a record (section 11)."""
    found = {
        "run": [("run", fields.get("parent"))],
        "step": [],
        "call": [("call", fields.get("call_id")), ("tool", fields.get("tool_call_id"))],
        "end": [("message", name) for name in fields.get("messages", [])]
        + [("tool", name) for name in fields.get("tool_calls", [])],
    }[kind]
    links = {index("link", what.encode("ascii"), utf8(name)) for what, name in found if name is not None}
    if fields.get("metadata_run_id") is not None:
        links.add(index("run", utf8(fields["metadata_run_id"])))
    return links


def content_key(form: Any, messages: bool) -> bytes:
    """The key behind the keyed digest of a content, from its form; `messages`: the form is that of a list of them."""
    if messages:
        return hashlib.sha256(b"".join(hashlib.sha256(_json(item)).digest() for item in form)).digest()
    return hashlib.sha256(_json(form)).digest()


def _json(form: Any) -> bytes:
    text = json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        if not _has_large(form):
            return text.encode("utf-8")
    except UnicodeEncodeError:
        pass
    return json.dumps(form, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode("ascii")


def _has_large(form: Any) -> bool:
    if isinstance(form, dict | list):
        return any(map(_has_large, form.values() if isinstance(form, dict) else form))
    return type(form) is int and not -(2**63) <= form < 2**64


def content(secret: bytes, key: bytes) -> bytes:
    """The keyed digest of a content."""
    return hmac.new(secret, b"content " + key, hashlib.sha256).digest()


# ---------------------------------------------------------------- section 12: packing, lists, maps


class Unpacker:
    """Reads packed bytes."""

    def __init__(self, dictionary: bytes) -> None:
        kind = zstandard.FORMAT_ZSTD1_MAGICLESS
        self._plain = zstandard.ZstdDecompressor(format=kind)
        self._trained = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(dictionary), format=kind)

    def unpack(self, stored: bytes) -> bytes:
        """The bytes that were packed."""
        if not stored or stored[0] > 2:
            raise Damaged("packed in an unknown way")
        if stored[0] == 0:
            return stored[1:]
        size, at = varint(stored, 1)
        reader = self._plain if stored[0] == 1 else self._trained
        try:
            data = reader.decompress(stored[at:], max_output_size=size, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise Damaged(f"packed bytes: {error}") from error
        if len(data) != size:
            raise Damaged("packed bytes of another size")
        return data


def varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer and where the next one starts."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Damaged("no number")


def stored_list(data: bytes, known: dict[int, list[int]]) -> tuple[int, list[int]]:
    """Base and flagged numbers of a stored list; `known` are those of the lists before it."""
    base, at = varint(data, 0)
    if base and base not in known:
        raise Damaged(f"its base {base} is not there")
    below = known[base] if base else []
    numbers: list[int] = []
    while at < len(data):
        header, at = varint(data, at)
        count = header >> 1
        if header & 1:
            last = 0
            for _ in range(count):
                zigzag, at = varint(data, at)
                last += zigzag >> 1 if zigzag % 2 == 0 else -((zigzag + 1) >> 1)
                numbers.append(last)
        else:
            start, at = varint(data, at)
            if start + count > len(below):
                raise Damaged("copies more than its base has")
            numbers += below[start : start + count]
    return base, numbers


def stored_map(data: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Shell's number, and (position, list's number)."""
    shell, at = varint(data, 0)
    lists = []
    while at < len(data):
        position, at = varint(data, at)
        number, at = varint(data, at)
        lists.append((position, number))
    return shell, lists


# ---------------------------------------------------------------- section 9: verification


@dataclass
class Row:
    """One record as stored, its body unpacked and parsed."""

    number: int
    kind: int
    id: bytes
    state: int
    ordinal: int | None
    seal: bytes | None
    columns: tuple[Any, ...]
    refs: bytes
    body: bytes = b""
    value: Any = None
    fields: dict[str, Any] = field(default_factory=dict)  # of a trace that is no skeleton


@dataclass
class Report:
    """What was found in one thread."""

    problems: list[str] = field(default_factory=list)
    records: int = 0
    sealed: int = 0
    unsealed: int = 0
    pruned: int = 0
    redacted: int = 0
    head: str | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Lineage:
    """All objects of a lineage, with their recomputed ids."""

    def __init__(self, db: sqlite3.Connection, number: int, secret: bytes, unpacker: Unpacker) -> None:
        self.problems: list[str] = []
        self.forms: dict[int, int] = {}
        self.counts = {"object": 0, "list": 0, "map": 0}
        self.masks: dict[int, bytes] = {}
        self.ids: dict[int, bytes] = {}
        self._lists: dict[int, list[int]] = {}
        self.parts: dict[int, set[int]] = {}
        self.bases: dict[int, int] = {}
        rows = db.execute(
            "SELECT key, id, form, tag, nonce, data FROM object WHERE key BETWEEN ? AND ? ORDER BY key",
            (number << 32, number << 32 | 0xFFFFFFFF),
        ).fetchall()
        for key, name, *_ in rows:
            self.ids[key & 0xFFFFFFFF] = name
        for key, name, form, tag, nonce, packed in rows:
            own = key & 0xFFFFFFFF
            try:
                if form == REDACTED:
                    self._redacted(own, tag, nonce, unpacker.unpack(packed))
                elif self._identify(own, form, tag, nonce, unpacker.unpack(packed), secret) != name:
                    raise Damaged("does not match its id")
            except (Damaged, KeyError, TypeError) as error:
                self.problems.append(f"object {own}: {error}")
            self.forms[own] = form

    def _redacted(self, own: int, tag: str, nonce: bytes | None, data: bytes) -> None:
        """A mask: nothing gives its object's id, and a removal record states it."""
        self.parts[own] = set()
        self.masks[own] = data
        if tag != "" or nonce is not None:
            raise Damaged("a redacted object with a tag or nonce")
        _check_mask(parse(data))

    def _identify(self, own: int, form: int, tag: str, nonce: bytes | None, data: bytes, secret: bytes) -> bytes:
        if form == OBJECT:
            self.counts["object"] += 1
            self.parts[own] = set()
            return object_id(secret, tag, data, nonce)
        if tag != "" or nonce is not None:
            raise Damaged("a list or map with a tag or nonce")
        if form == LIST:
            self.counts["list"] += 1
            base, flagged = stored_list(data, self._lists)
            self._lists[own] = flagged
            self.parts[own] = {n >> 2 for n in flagged}
            self.bases[own] = base
            return list_id([bytes([n & 3]) + self.ids[n >> 2] for n in flagged])
        self.counts["map"] += 1
        shell, lists = stored_map(data)
        self.parts[own] = {shell, *(n for _, n in lists)}
        return map_id(self.ids[shell], [(at, self.ids[n]) for at, n in lists])

    def unreached(self, needed: set[int]) -> list[int]:
        """Numbers of the objects that nothing needs."""
        return sorted(set(self.ids) - self._reached(needed, bases=True))

    def redacted(self, needed: set[int]) -> set[tuple[bytes, int, int, bytes]]:
        """The parts of a removal's digest for the redacted objects that these are, or consist of."""
        reached = self._reached(needed, bases=False)
        return {(self.ids[n], 255, REDACTED, self.masks[n]) for n in reached if n in self.masks}

    def _reached(self, needed: set[int], bases: bool) -> set[int]:
        todo = list(needed)
        reached: set[int] = set()
        while todo:
            number = todo.pop()
            if number not in reached:
                reached.add(number)
                todo += self.parts.get(number, ())
                todo += [self.bases[number]] if bases and self.bases.get(number) else []
        return reached


def _check_mask(mask: Any) -> None:
    """Damaged if this is no mask (section 8)."""
    if not isinstance(mask, dict) or "type" not in mask or set(mask) - MASK_KEYS:
        raise Damaged("no mask")
    for name in [mask[key] for key in ("type", "id", "tool_call_id") if key in mask] + mask.get("tool_calls", []):
        decode_text(name)
    for item in mask.get("items", []):
        _check_mask(item)
    for name, item in mask.get("fields", []):
        decode_text(name)
        _check_mask(item)
    for name, counts in mask.get("counters", []):
        decode_text(name)
        if any(type(count) is not int for count in counts):
            raise Damaged("no counters")


class Thread:
    """The records of a thread, and what is wrong with them."""

    def __init__(self, db: sqlite3.Connection, row: tuple[Any, ...], unpacker: Unpacker) -> None:
        self.number, self.current, self.branches, self.nested = row
        self.report = Report()
        self.rows: list[Row] = []
        self.named: list[tuple[Row, int, int, bytes]] = []
        found = db.execute(
            "SELECT key, kind, id, state, body, ordinal, seal, anchor, space, position, branch, within, source, step, "
            "run, refs FROM record WHERE key BETWEEN ? AND ? ORDER BY key",
            (self.number << 32, self.number << 32 | 0xFFFFFFFF),
        ).fetchall()
        self.branch_rows = db.execute(
            "SELECT number, name, base FROM branch WHERE thread = ? ORDER BY number", (self.number,)
        ).fetchall()
        self.links = set(db.execute("SELECT seq, link FROM link WHERE thread = ?", (self.number,)).fetchall())
        for place, (key, kind, name, state, packed, ordinal, seal, *columns, refs) in enumerate(found, 1):
            record = Row(key & 0xFFFFFFFF, kind, name, state, ordinal, seal, tuple(columns), refs)
            self.rows.append(record)
            try:
                if record.number != place:
                    raise Damaged("its number is out of order")
                record.body = unpacker.unpack(packed)
                record.value = parse(record.body)
                self._read(record)
            except (Damaged, ValueError, KeyError, TypeError, IndexError) as error:
                self.problem(record, f"{type(error).__name__}: {error}")

    def problem(self, row: Row, what: str) -> None:
        self.report.problems.append(f"record {row.number}: {what}")

    def _read(self, row: Row) -> None:
        value = row.value
        if row.state == SKELETON:
            if len(value) != 4 or type(value[3]) is not bool or row.refs or row.kind in (2, 3, 4, 9, MERGE):
                raise Damaged("not what a removed record leaves")
            if row.kind >= 5:
                decode_text(value[1])
                if value != ["", value[1], None, True] or any(column is not None for column in row.columns):
                    raise Damaged("not what a removed run, step, call or end leaves")
                return
            namespace, name, _ = self._place(row)
            self._columns(row, utf8(namespace), utf8(name), (None,) * 3)
            return
        kind = KINDS[row.kind]
        if row.state not in ((0, 1) if row.kind <= 1 else (0,)):
            raise Damaged("its state is none that it can have")
        if digest(kind, row.body) != row.id:
            raise Damaged("its content does not match its id")
        if kind in TRACE_KEYS:
            row.fields = read_trace(kind, value)
            order = [name for name, what in TRACE_FIELDS[kind].items() if what == "ref"]
            self._named(row, [value.get(name) for name in order])
            if row.columns != (*(None,) * 7, index("run", utf8(row.fields["run_id"]))):
                raise Damaged("its columns are not those of its kind")
            return
        keys = sorted(set(value) - {"redacted"} if kind == "removal" and value.get("redacted", 0) > 0 else value)
        if keys != KEYS[kind].split() or (value["format"], value["kind"]) != (1, kind):
            raise Damaged("not a record of its kind, or of an unknown format")
        if kind in ("checkpoint", "write"):
            self._names(row, value)
            run = (
                None if kind == "write" or value["run_id"] is None else index("run", utf8(decode_text(value["run_id"])))
            )
            rest = (value.get("source"), value.get("step"), run)
            self._columns(row, utf8(decode_text(value["namespace"])), utf8(decode_text(value["checkpoint_id"])), rest)
        elif row.refs or any(
            column is not None for column in (row.columns[1:4] + row.columns[5:] if kind == "merge" else row.columns)
        ):
            raise Damaged("it has index values")

    def _names(self, row: Row, value: Any) -> None:
        if row.kind == 1:
            if [w[0] for w in value["writes"]] != sorted({w[0] for w in value["writes"]}):
                raise Damaged("writes are not in order")
            self._named(row, [w[2] for w in value["writes"]])
            return
        check_names(value["channels"])
        check_names(value["versions_seen"])
        check_names(value["parents"])
        for _, seen in value["versions_seen"]:
            check_names(seen)
        for version in [v for _, v, _ in value["channels"] if v is not None]:
            check_version(version)
        self._named(row, [*(r for _, _, r in value["channels"]), value["metadata"], value["extra"]])

    def _named(self, row: Row, references: list[Any]) -> None:
        numbers, at = [], 0
        while at < len(row.refs):
            number, at = varint(row.refs, at)
            numbers.append(number)
        found = [read_reference(reference) for reference in references if reference is not None]
        if len(numbers) != len(found):
            raise Damaged(f"it names {len(found)} values and has {len(numbers)} refs")
        self.named += [(row, number, *reference) for number, reference in zip(numbers, found, strict=True)]

    def _columns(self, row: Row, namespace: bytes, name: bytes, rest: tuple[Any, ...]) -> None:
        anchor, space, _, _, within, *stored = row.columns
        if anchor != index("anchor", namespace, name):
            raise Damaged("column anchor")
        if space != (None if row.kind else index("namespace", namespace) if namespace else 0):
            raise Damaged("column space")
        root = None
        if not row.kind and row.state != SKELETON and namespace:
            above = {utf8(decode_text(space)): checkpoint for space, checkpoint in row.value["parents"]}
            root = above.get(b"")
        if within != (None if root is None else index("anchor", b"", utf8(decode_text(root)))):
            raise Damaged("column within")
        if tuple(stored) != rest:
            raise Damaged("columns source, step, run")

    def run(self, lineage: Lineage) -> Report:
        report = self.report
        report.records = len(self.rows)
        self._seals()
        own = {number for _, number, _, _ in self.named if number}
        self._removals(lineage.redacted(own))
        self._structure()
        self._traces()
        for row, number, form, name in self.named:
            if number == 0 and row.state != KEPT:
                continue
            found = lineage.forms.get(number)
            if lineage.ids.get(number) != name or (OBJECT if found == REDACTED else found) != form:
                self.problem(row, f"its value {name.hex()} is not object {number}")
        report.problems += lineage.problems
        report.counts = dict(lineage.counts)
        return report

    def _seals(self) -> None:
        report, previous, ordinal, arrived = self.report, None, 0, []
        for row in self.rows:
            arrived.append(row.id)
            if row.seal is None and row.ordinal is None:
                continue
            if row.seal != seal_id(ordinal, previous, arrived) or row.ordinal != ordinal:
                self.problem(row, f"seal {ordinal} does not match")
            previous, ordinal, arrived = row.seal, ordinal + 1, []
        report.unsealed = len(arrived)
        report.sealed = len(self.rows) - len(arrived)
        report.head = None if previous is None else _text_of(previous)

    def _removals(self, redacted: set[tuple[bytes, int, int, bytes]]) -> None:
        gone = [(r.id, r.kind, r.state, r.body if r.state == SKELETON else b"") for r in self.rows if r.state != KEPT]
        self.report.pruned, self.report.redacted = len(gone), len(redacted)
        stated = [r.value for r in self.rows if r.kind == 3 and r.value]
        if not stated:
            if gone or redacted:
                self.report.problems.append("removals: nothing states what was removed")
            return
        counts = (stated[-1]["removed"], stated[-1].get("redacted", 0))
        expected = _text_of(removed_digest([*gone, *redacted]))
        if (*counts, stated[-1]["digest"]) != (len(gone), len(redacted), expected):
            self.report.problems.append("removals: the last removal record states others")

    def _structure(self) -> None:
        """Parents, replaced writes, branches, merges."""
        found: dict[tuple[str, str], Row] = {}
        for row in self.rows:
            if row.kind == 0 and row.value:
                namespace, name, _ = self._place(row)
                if (namespace, name) in found:
                    self.problem(row, "a second record of its checkpoint")
                found.setdefault((namespace, name), row)
        by_id = {row.id: row for row in self.rows}
        starts = [r for r in self.rows if r.kind == 2 and r.value]
        begins = {read_digest(r.value["first"]): r.value["number"] for r in starts if r.value["first"] is not None}
        latest: dict[tuple[Any, ...], bytes] = {}
        for row in self.rows:
            if not row.value:
                continue
            if row.kind == 0:
                namespace, _, above = self._place(row)
                parent = None if above is None else found.get((namespace, above))
                earlier = parent if parent is not None and parent.number < row.number else None
                if row.state != SKELETON and row.value["parent"] != (earlier and _text_of(earlier.id)):
                    self.problem(row, "its parent is another record")
                position, branch = row.columns[2:4]
                if parent is not None and parent.columns[2] >= position:
                    self.problem(row, "it is not listed behind its parent")
                expected = begins.get(row.id, earlier.columns[3] if earlier is not None else 0)
                if branch != (None if namespace else expected):
                    self.problem(row, "it is on another branch")
            elif row.kind == 1 and row.state != SKELETON:
                self._replaced(row, latest, found)
        self._branches(by_id)
        self._merges(found, by_id)

    def _merges(self, found: dict[tuple[str, str], Row], by_id: dict[bytes, Row]) -> None:
        """Second parents: earlier ones, that go back to the base as the first ones do."""
        above: dict[int, list[Row]] = {}
        for row in self.rows:
            if row.kind == 0 and row.value:
                namespace, _, name = self._place(row)
                parent = None if name is None else found.get((namespace, name))
                above[row.number] = [] if parent is None else [parent]
        roots = {name: row for name, row in by_id.items() if row.kind == 0 and row.value and not self._place(row)[0]}
        for row in (r for r in self.rows if r.kind == MERGE and r.value):
            checkpoint, other = (roots.get(read_digest(row.value[key])) for key in ("checkpoint", "parent"))
            if checkpoint is None or other is None or not above[checkpoint.number]:
                self.problem(row, "its checkpoint has no two parents")
                continue
            first = above[checkpoint.number][0]
            if checkpoint.number != row.number - 1 or max(first.number, other.number) >= checkpoint.number:
                self.problem(row, "its checkpoint does not follow its parents, or is not directly before it")
            places = [index("anchor", b"", utf8(self._place(each)[1])) for each in (checkpoint, other)]
            if row.columns[:5] != (places[0], None, None, None, places[1]):
                self.problem(row, "its columns are not those of its checkpoint and of what it merges")
            if (other.columns[2] or 0) >= (checkpoint.columns[2] or 0):
                self.problem(row, "its checkpoint is not listed behind what it merges")
            if row.value["base"] is not None:
                base = roots.get(read_digest(row.value["base"]))
                if base is None or not all(self._goes_back(each, base, above) for each in (first, other)):
                    self.problem(row, "its base is not where its parents come from")
            above[checkpoint.number].append(other)

    @staticmethod
    def _goes_back(start: Row, to: Row, above: dict[int, list[Row]]) -> bool:
        seen: set[int] = set()
        todo = [start]
        while todo:
            row = todo.pop()
            if row.number not in seen:
                seen.add(row.number)
                todo += above[row.number]
        return to.number in seen

    def _traces(self) -> None:
        """Runs that start once, with what belongs to them; ends of what started before; links."""
        runs: set[str] = set()
        begun: dict[bytes, tuple[str, str, str]] = {}
        ended: set[bytes] = set()
        links: set[tuple[int, int]] = set()
        for row in (r for r in self.rows if r.fields):
            kind, fields = KINDS[row.kind], row.fields
            run = fields["run_id"]
            links |= {(row.number, link) for link in links_of(kind, fields)}
            if (run in runs) == (kind == "run"):
                self.problem(
                    row, "its run starts a second time" if kind == "run" else "its run did not start before it"
                )
            runs |= {run} if kind == "run" else set()
            if kind != "end":
                begun[row.id] = (kind, fields[f"{kind}_id"], run)
                continue
            begin = fields["begin"]
            if begun.get(begin) != (fields["of"], fields["id"], run) or begin in ended:
                self.problem(row, "what it ends did not start before it, or ended before")
            ended.add(begin)
        for number, _ in links ^ self.links:
            self.report.problems.append(f"record {number}: a link of it is missing, or there is one too many")

    @staticmethod
    def _place(row: Row) -> tuple[str, str, str | None]:
        value = row.value
        parts = (
            value[:3]
            if row.state == SKELETON
            else [value[k] for k in ("namespace", "checkpoint_id", "parent_checkpoint_id")]
        )
        namespace, name, above = (None if part is None else decode_text(part) for part in parts)
        return namespace or "", name or "", above

    def _replaced(self, row: Row, latest: dict[tuple[Any, ...], bytes], found: dict[tuple[str, str], Row]) -> None:
        value = row.value
        namespace, name, task = (decode_text(value[k]) for k in ("namespace", "checkpoint_id", "task_id"))
        checkpoint = found.get((namespace, name))
        for at, _, _, replaces in value["writes"]:
            key = (namespace, name, task, at)
            old = latest.get(key)
            if (checkpoint is None or checkpoint.state == KEPT) and replaces != (old and _text_of(old)):
                self.problem(row, f"write {at} replaces another one")
            latest[key] = row.id

    def _branches(self, by_id: dict[bytes, Row]) -> None:
        """Which branches there are, how they are called and where they start, and which one is current."""
        current = 0
        found: dict[int, tuple[bytes, int | None]] = {0: (b"main", None)}
        for row in (r for r in self.rows if r.value and r.kind in (2, 4, 9)):
            value, number = row.value, row.value["number"]
            if row.kind == 2:
                self._begun(row, found, by_id)
                current = number if value["current"] else current
            elif row.kind == 9:
                if number not in found or not number or not found[number][0]:
                    self.problem(row, "it names no branch that could be named")
                else:
                    name = b"" if value["name"] is None else utf8(decode_text(value["name"]))
                    found[number] = (name, found[number][1])
            else:
                current = number
                if read_digest(value["checkpoint"]) not in by_id:
                    self.problem(row, "its checkpoint is not there")
        if self.branch_rows != [(number, *found[number]) for number in sorted(found) if len(found) > 1]:
            self.report.problems.append("branches: the table says something else than the records")
        nested = any(r.kind == 0 and r.columns[1] != 0 for r in self.rows)
        if (self.current, self.branches, self.nested) != (current, len(found), nested):
            self.report.problems.append("thread: its columns say something else than the records")

    def _begun(self, row: Row, found: dict[int, tuple[bytes, int | None]], by_id: dict[bytes, Row]) -> None:
        value, name = row.value, utf8(decode_text(row.value["name"]))
        base = None if value["base"] is None else by_id.get(read_digest(value["base"]))
        if value["first"] is not None:
            first = by_id.get(read_digest(value["first"]))
            if first is None or first.number != row.number - 1 or first.kind != 0:
                self.problem(row, "it does not follow its first checkpoint")
        elif base is None or base.kind != 0 or value["number"] in found:
            self.problem(row, "it starts a branch from nothing")
        if value["number"] in found:
            if found[value["number"]][0] != name:
                self.problem(row, "its branch is called otherwise")
        elif value["number"] != len(found):
            self.problem(row, "it does not start the next branch")
        found.setdefault(value["number"], (name, None if base is None else base.number))


def verify(path: str | Path, dictionary: str | Path = DICTIONARY) -> dict[str, Report]:
    """A report per thread of a file, by thread id."""
    db = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        pragmas = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if pragmas != [0x57665374, 1]:
            raise Damaged(f"not a store of layout 1: {pragmas}")
        unpacker = Unpacker(Path(dictionary).read_bytes())
        reports: dict[str, Report] = {}
        for number, secret in db.execute("SELECT no, secret FROM lineage ORDER BY no").fetchall():
            lineage = Lineage(db, number, secret, unpacker)
            rows = db.execute(
                "SELECT no, current, branches, nested, name FROM thread WHERE lineage = ? ORDER BY no", (number,)
            ).fetchall()
            threads = {name.decode("utf-8", "surrogatepass"): Thread(db, tuple(row), unpacker) for *row, name in rows}
            unreached = lineage.unreached({number for t in threads.values() for _, number, _, _ in t.named if number})
            lineage.problems += [f"object {n}: no record names it" for n in unreached]
            reports |= {name: thread.run(lineage) for name, thread in threads.items()}
        return reports
    finally:
        db.close()


def main(arguments: list[str]) -> int:
    """Print a report per thread; 0 if all are sound."""
    reports = verify(*arguments)
    for name, report in reports.items():
        state = "ok" if report.ok else f"{len(report.problems)} PROBLEMS"
        print(
            f"{name!r}: {state}; {report.sealed} sealed, {report.unsealed} unsealed, {report.pruned} removed, "
            f"{report.redacted} redacted"
        )
        print(f"  head {report.head}; " + ", ".join(f"{n} {what}s" for what, n in report.counts.items()))
        for problem in report.problems:
            print(f"  {problem}")
    return 0 if all(report.ok for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
