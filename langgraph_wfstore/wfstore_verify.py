"""Verifies an artifact of langgraph_wfstore offline: a `.wfz` file that holds one thread, or a proof made from one.

    python3 -I wfstore_verify.py thread.wfz
    python3 -I wfstore_verify.py thread.wfz --expect-head sha256:... --expect-root sha256:... --key signer.pem
    python3 -I wfstore_verify.py thread.wfz --statement head.json --key signer.pem
    python3 -I wfstore_verify.py proof.json --expect-root sha256:...

This one file needs Python 3.9 or newer and nothing else: copy it wherever you like. It was written from FORMAT.md; the
numbers of sections and rules are those of that page. It exits with 0 if what it was given verifies, 1 if it does not,
2 if it was asked wrongly.

How it goes on, which is also the order of this file:

    canonical JSON      a value has one encoding, so that bytes can be hashed and compared                 section 2
    digests             every record, value and list has an id that follows from its content               3, 5, 7, 8
    bodies              what a record of each kind says, field by field                                    6
    records             the rules between the records of a thread: seals, parents, branches, runs, ...     9
    objects             the values: each id recomputed, lists checked without being expanded               5, 9, 15
    Merkle tree         the root over all records                                                          15
    archive             the bytes of the ZIP file, of which each has one value that it may have            15
    artifact            all of the above for one file, compared with what its manifest says                15
    signatures          Ed25519, DSSE envelopes and the statements in them                                 15
    proofs              records that are shown without the thread that they are in                         15
    command line        what a person reads

A file is hostile until the end: all sizes are checked before anything is inflated, and lines are read one by one. What
is kept of a line is an id and a few numbers, so that memory grows with the number of records, pending writes and
objects and with the largest line, never with the file.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO


class Damaged(Exception):
    """Bytes that are not what the format allows."""


# ================================================================ canonical JSON (section 2)

LARGEST = 2**53 - 1
_DECIMAL = re.compile(r"0|-?[1-9][0-9]*")
_MOST_DIGITS = 1000  # of an integer beyond 53 bits
_LONGEST_TIME = 30  # digits
_LONGEST_NAME = 255  # bytes of a branch's name
_LONGEST_THREAD = 10_000  # bytes of a thread's id
_RESERVED = "\0wfstore import "
_DEEPEST_MASK = 64
_STRIDE = 1 << 20  # of positions


def canonical(value: Any) -> bytes:
    """The one encoding of a value that `read_json` gives."""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8")
    except (UnicodeEncodeError, RecursionError) as error:
        raise Damaged("a surrogate in a string, or nested too deep") from error


def read_json(data: bytes) -> Any:
    """The value behind JSON with integers of 53 bits and ASCII keys, each once; Damaged for any other."""
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise Damaged(f"no JSON: {str(error) or 'nested too deep'}") from error


def parse(data: bytes) -> Any:
    """The value behind canonical bytes; Damaged if they are not the encoding of the value they decode to."""
    value = read_json(data)
    if canonical(value) != data:
        raise Damaged("not canonical JSON")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Damaged("a key stands twice in an object")
    if not all(key.isascii() for key in made):
        raise Damaged("a key that is not ASCII")
    return made


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 17 else LARGEST + 1
    if abs(value) > LARGEST:
        raise Damaged("an integer beyond 53 bits")
    return value


def _no_number(text: str) -> Any:
    raise Damaged(f"no integer: {text:.40}")


def same(one: Any, other: Any) -> bool:
    """Whether two values have the same encoding; Python takes true for 1."""
    return canonical(one) == canonical(other)


def utf8(text: str) -> bytes:
    """UTF-8 in which surrogates are encoded like other code points (section 1)."""
    return text.encode("utf-8", "surrogatepass")


def encode_text(text: str) -> Any:
    """A text of a user's, as it stands in a record."""
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    if any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in zip(text, text[1:])):
        return {"u8": utf8(text).hex()}
    return {"u16": text.encode("utf-16-be", "surrogatepass").hex()}


def decode_text(value: Any) -> str:
    """The text behind `encode_text`; Damaged if it is not the one encoding of it."""
    if isinstance(value, str):
        return value
    form, data = _single(value)
    try:
        text = bytes.fromhex(data).decode({"u8": "utf-8", "u16": "utf-16-be"}[form], "surrogatepass")
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged("no text") from error
    if encode_text(text) != value:
        raise Damaged("not the encoding of its text")
    return text


def _single(value: Any) -> tuple[str, Any]:
    """Key and value of an object that has one key."""
    if not isinstance(value, dict) or len(value) != 1:
        raise Damaged(f"not what it has to be: {_say(value)}")
    ((form, data),) = value.items()
    return form, data


def _say(value: Any) -> str:
    """A value in a message: what it is, not all that it holds."""
    return repr(value)[:100] if value is None or isinstance(value, (str, int)) else f"a JSON {type(value).__name__}"


# ================================================================ digests and ids (sections 3, 5, 7, 8)

KEPT, HIDDEN, SKELETON = 0, 1, 2
OBJECT, LIST, MAP, REDACTED, WITHHELD = range(5)
FORMS = ("object", "list", "map")


def digest(kind: str, *parts: bytes) -> bytes:
    """The domain-separated digest."""
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(b"wfstore/1 " + kind.encode("ascii") + b"\0" + framed).digest()


def digest_text(name: bytes) -> str:
    """A digest as it stands in JSON."""
    return "sha256:" + name.hex()


def read_digest(value: Any) -> bytes:
    """The 32 bytes of a digest's text."""
    if isinstance(value, str) and re.fullmatch("sha256:[0-9a-f]{64}", value):
        return bytes.fromhex(value[7:])
    raise Damaged(f"no digest: {_say(value)}")


def read_reference(value: Any) -> tuple[int, bytes]:
    """Form and id of the value that a reference names."""
    if isinstance(value, str):
        return OBJECT, read_digest(value)
    form, name = _single(value)
    if form not in FORMS[1:]:
        raise Damaged(f"no reference: {_say(form)}")
    return FORMS.index(form), read_digest(name)


def object_id(tag: str, nonce: bytes, data: bytes) -> bytes:
    """The id of an object."""
    return digest("object", utf8(tag), nonce, hashlib.sha256(data).digest())


def map_id(shell: bytes, lists: Iterable[tuple[int, bytes]]) -> bytes:
    """The id of a map from its shell's id and its lists' positions and ids."""
    return digest("map", shell, *(part for at, name in lists for part in (at.to_bytes(8, "big"), name)))


def ends_run(length: int, last: bytes) -> bool:
    """The grouping rule of section 5: whether a run of so many strings ends behind this one."""
    return length == 1024 or (length >= 2 and last[-1] % 32 == 0)


def seal_id(ordinal: int, previous: bytes | None, arrived: list[bytes]) -> bytes:
    """The id of a seal from its number, the seal before it, and the ids of the records it names, as they arrived."""
    body = {
        "format": 1,
        "kind": "seal",
        "ordinal": ordinal,
        "previous": None if previous is None else digest_text(previous),
        "records": [digest_text(name) for name in sorted(arrived)],
        "order": digest_text(digest("order", *arrived)),
    }
    return digest("seal", canonical(body))


Part = tuple[bytes, int, int, bytes]


def removed_digest(parts: Iterable[Part]) -> bytes:
    """The digest over what was removed: id, kind, state, remains; of an object id, 255, form, mask."""
    return digest("removed", *(name + bytes([kind, state]) + remains for name, kind, state, remains in sorted(parts)))


# ================================================================ bodies of records (section 6)

KINDS = ("checkpoint", "write", "branch", "removal", "switch", "run", "step", "call", "end", "label", "merge")
# Per kind its keys, each with what it is. "!": it is always there. "?": it is always there and may be null. "0": it is
# left out if it is 0 or "". Any other is left out if it says nothing.
FIELDS = {
    kind: {name: what for name, _, what in (key.partition(":") for key in keys.split())}
    for kind, keys in {
        "checkpoint": "namespace:text! checkpoint_id:text! parent_checkpoint_id:text? parent:digest? "
        "channels:channels! versions_seen:seen! updated_channels:names? v:integer! ts:text! metadata:dict! extra:dict? "
        "source:text? step:integer? run_id:text? parents:parents!",
        "write": "namespace:text! checkpoint_id:text! task_id:text! task_path:text! writes:writes!",
        "branch": "base:digest? current:truth! first:digest? name:name! number:natural!",
        "label": "name:name? number:positive!",
        "switch": "checkpoint:digest! number:natural!",
        "merge": "base:digest? checkpoint:digest! parent:digest!",
        "removal": "digest:digest! reason:text! redacted:natural0 removed:natural!",
        "run": "run_id:text! seq:count0 started:time! name:text0 parent:text checkpoint_id:text checkpoint_source:text "
        "addressed:flag resumes:flag metadata_run_id:text durability:text workflow:text description:ref input:ref",
        "step": "step_id:text! run_id:text! seq:count0 started:time! parent:text namespace:text0 checkpoint_id:text "
        "path:text0 node:text0 task_id:text0 number:count0 attempt:count0 triggers:texts cached:flag send:count "
        "input:ref",
        "call": "call_id:text! run_id:text! seq:count0 started:time! type:text! step:text parent:text name:text0 "
        "provider:text model:text tool_call_id:text parameters:dict tools:ref input:ref content:digest",
        "end": "of:text! id:text! run_id:text! begin:digest! seq:count0 ended:time! status:text! output:ref "
        "content:digest error:error usage:usage cached:flag model:text response_id:text finish:texts first_token:time "
        "messages:texts tool_calls:texts interrupts:texts checkpoint_id:text unattributed:count0 flags:texts",
    }.items()
}
TRACES = ("run", "step", "call", "end")
_STATES = {"checkpoint": (KEPT, HIDDEN, SKELETON), "write": (KEPT, HIDDEN, SKELETON), **dict.fromkeys(TRACES, (0, 2))}


def read_body(kind: str, value: Any) -> dict[str, Any]:
    """The fields that stand in a record's body, each as what it says; Damaged if it is no body of that kind."""
    known = FIELDS[kind]
    if not isinstance(value, dict) or not same([value.get("format"), value.get("kind")], [1, kind]):
        raise Damaged("not a record of its kind, or of an unknown format")
    names = value.keys() - {"format", "kind"}
    if names - known.keys() or {name for name, what in known.items() if what[-1] in "!?"} - names:
        raise Damaged("a key is missing or unknown")
    found = {}
    for name in names:
        try:
            found[name] = _field(known[name], value[name])
        except Damaged as error:
            raise Damaged(f"{name}: {error}") from error
    return found


def _field(what: str, value: Any) -> Any:
    if what[-1] == "?" and value is None:
        return None
    found = _READERS[what.rstrip("!?0")](value)
    if what[-1] == "0" and found in (0, ""):
        raise Damaged("it says nothing and is not left out")
    return found


def _rows(value: Any, width: int) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == width for row in value):
        raise Damaged(f"no rows of {width}")
    return value


def check_names(pairs: list[list[Any]]) -> list[str]:
    """The names in the first column of a map keyed by a user's names; Damaged unless they are in order, each once."""
    names = [decode_text(pair[0]) for pair in pairs]
    keys = [utf8(name) for name in names]
    if any(one >= other for one, other in zip(keys, keys[1:])):
        raise Damaged("names are not in order")
    return names


def check_version(value: Any) -> None:
    """Damaged if this is no version of a channel."""
    if type(value) is int or isinstance(value, str):
        return
    form, text = _single(value)
    if form not in ("i", "f"):
        decode_text(value)
    elif not isinstance(text, str) or not (_is_large(text) if form == "i" else _is_float(text)):
        raise Damaged(f"no version: {_say(text)}")


def _is_large(text: str) -> bool:
    """Whether this is an integer beyond 53 bits, in decimal."""
    if len(text) > _MOST_DIGITS + 1 or not _DECIMAL.fullmatch(text) or len(text.lstrip("-")) > _MOST_DIGITS:
        return False
    return abs(int(text)) > LARGEST


def _is_float(text: str) -> bool:
    try:
        return len(text) < 30 and repr(float(text)) == text
    except ValueError:
        return False


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Damaged(f"no integer: {_say(value)}")
    return value


def _natural(value: Any) -> int:
    if _whole(value) < 0:
        raise Damaged(f"below 0: {value}")
    return _whole(value)


def _positive(value: Any) -> int:
    if _natural(value) == 0:
        raise Damaged("0")
    return _whole(value)


def _branch_name(value: Any) -> str:
    name = decode_text(value)
    if not 1 <= len(utf8(name)) <= _LONGEST_NAME:
        raise Damaged(f"the name of a branch has 1 to {_LONGEST_NAME} bytes, not {len(utf8(name))}")
    return name


def _dict(value: Any) -> tuple[int, bytes]:
    """A reference to a value that is a dict."""
    form, name = read_reference(value)
    if form == LIST:
        raise Damaged("a list where only a dict may be")
    return form, name


def _count(value: Any) -> int:
    if type(value) is int:
        return value
    form, text = _single(value)
    if form != "i" or not isinstance(text, str) or not _is_large(text):
        raise Damaged(f"no count: {_say(text)}")
    return int(text)


def _time(value: Any) -> int:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or len(value.lstrip("-")) > _LONGEST_TIME:
        raise Damaged(f"no time: {_say(value)}")
    return int(value)


def _flag(value: Any) -> bool:
    if value is not True:
        raise Damaged(f"not true: {_say(value)}")
    return True


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise Damaged(f"neither true nor false: {_say(value)}")
    return value


def _names(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Damaged(f"no texts: {_say(value)}")
    return [decode_text(text) for text in value]


def _texts(value: Any) -> list[str]:
    if not _names(value):
        raise Damaged("no texts")
    return _names(value)


def _error(value: Any) -> list[str]:
    if len(_texts(value)) != 2:
        raise Damaged("not two texts")
    return _texts(value)


def _usage(value: Any) -> list[int | None]:
    if not isinstance(value, list) or len(value) != 8:
        raise Damaged("not eight counts")
    return [None if count is None else _count(count) for count in value]


def _channels(value: Any) -> list[tuple[str, tuple[int, bytes] | None]]:
    """Name and reference of each channel."""
    rows = _rows(value, 3)
    for _, version, _ in rows:
        if version is not None:
            check_version(version)
    references = [None if reference is None else read_reference(reference) for _, _, reference in rows]
    return list(zip(check_names(rows), references))


def _seen(value: Any) -> None:
    check_names(_rows(value, 2))
    for _, versions in value:
        check_names(_rows(versions, 2))
        for _, version in versions:
            check_version(version)


def _parents(value: Any) -> dict[str, str]:
    return dict(zip(check_names(_rows(value, 2)), [decode_text(name) for _, name in value]))


def _writes(value: Any) -> list[tuple[int, tuple[int, bytes], bytes | None]]:
    """Index, reference and the record whose write is replaced, of each pending write."""
    rows = _rows(value, 4)
    indexes = [_whole(index) for index, *_ in rows]
    if any(one >= other for one, other in zip(indexes, indexes[1:])):
        raise Damaged("writes are not in order")
    for _, channel, _, _ in rows:
        decode_text(channel)
    return [(at, read_reference(ref), None if old is None else read_digest(old)) for at, _, ref, old in rows]


_READERS: dict[str, Callable[[Any], Any]] = {
    "text": decode_text,
    "texts": _texts,
    "names": _names,
    "integer": _whole,
    "natural": _natural,
    "positive": _positive,
    "count": _count,
    "time": _time,
    "flag": _flag,
    "truth": _truth,
    "digest": read_digest,
    "ref": read_reference,
    "dict": _dict,
    "name": _branch_name,
    "error": _error,
    "usage": _usage,
    "channels": _channels,
    "seen": _seen,
    "parents": _parents,
    "writes": _writes,
}


def references_of(kind: str, fields: dict[str, Any]) -> list[tuple[int, bytes]]:
    """Form and id of each value that a record names, in the order of its body; of a trace as section 11 says."""
    if kind == "checkpoint":
        found = [reference for _, reference in fields["channels"]] + [fields["metadata"], fields["extra"]]
    elif kind == "write":
        found = [reference for _, reference, _ in fields["writes"]]
    else:
        found = [fields.get(name) for name, what in FIELDS[kind].items() if what in ("ref", "dict")]
    return [reference for reference in found if reference is not None]


def check_mask(mask: Any, depth: int = 0) -> None:
    """Damaged if this is not what a redacted object leaves (section 8)."""
    known = {"type", "id", "tool_call_id", "tool_calls", "items", "fields", "counters"}
    if depth > _DEEPEST_MASK or not isinstance(mask, dict) or "type" not in mask or mask.keys() - known:
        raise Damaged("no mask")
    for name in ("type", "id", "tool_call_id"):
        decode_text(mask.get(name, ""))
    _names(mask.get("tool_calls", []))
    if not isinstance(mask.get("items", []), list):
        raise Damaged("no mask")
    for item in mask.get("items", []):
        check_mask(item, depth + 1)
    for name, item in _rows(mask.get("fields", []), 2):
        decode_text(name)
        check_mask(item, depth + 1)
    for name, counts in _rows(mask.get("counters", []), 2):
        decode_text(name)
        if not isinstance(counts, list) or any(type(count) is not int for count in counts):
            raise Damaged("no counters")


# ================================================================ the records of a thread (section 9)


@dataclass
class Record:
    """What is kept of a record: what others are compared with, and none of its content.

    Attributes:
        number: its place in the thread, from 1.
        position: of a checkpoint, its place in the order in which they are listed.
        left: what is left of a SKELETON, canonical JSON.
        missing: of a HIDDEN record, ids of the values that it names and that are gone.
        facts: some of its fields; empty if it is damaged.
    """

    number: int
    kind: str
    id: bytes
    state: int
    seal: bytes | None = None
    position: int | None = None
    left: bytes = b""
    missing: frozenset[bytes] = frozenset()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and checkpoint id."""
        return self.facts["namespace"], self.facts["checkpoint_id"]


_FACTS = {
    "checkpoint": ("namespace", "checkpoint_id", "parent_checkpoint_id", "parent"),
    "write": ("namespace", "checkpoint_id", "task_id", "writes"),
    "run": ("run_id",),
    "step": ("run_id", "step_id"),
    "call": ("run_id", "call_id"),
    "end": ("run_id", "of", "id", "begin"),
}


def read_record(record: Record, value: Any, data: bytes) -> tuple[dict[str, Any], list[tuple[int, bytes]]]:
    """Check a record by itself, and give it its facts.

    Args:
        value, data: its body, or what is left of it, and the canonical bytes of that.

    Returns:
        its fields, and the references to the values that it names; both empty for a SKELETON.
    """
    if record.state not in _STATES.get(record.kind, (KEPT,)):
        raise Damaged("its state is none that it can have")
    if record.state == SKELETON:
        record.left = data
        record.facts = _read_left(record.kind, value)
        return {}, []
    if digest(record.kind, data) != record.id:
        raise Damaged("its content does not match its id")
    fields = read_body(record.kind, value)
    record.facts = {name: fields[name] for name in _FACTS.get(record.kind, fields)}
    if record.kind == "write":
        record.facts["writes"] = [(index, old) for index, _, old in fields["writes"]]
    return fields, references_of(record.kind, fields)


def _read_left(kind: str, value: Any) -> dict[str, Any]:
    """What is left of a SKELETON."""
    if not isinstance(value, list) or len(value) != 4 or type(value[3]) is not bool:
        raise Damaged("not what a removed record leaves")
    names = ("namespace", "checkpoint_id", "parent_checkpoint_id")
    found = {name: None if text is None else decode_text(text) for name, text in zip(names, value)}
    if kind in TRACES:
        if value[0] != "" or found["checkpoint_id"] is None or value[2] is not None or not value[3]:
            raise Damaged("not what a removed run, step, call or end leaves")
        return {}
    if None in (found["namespace"], found["checkpoint_id"]) or (kind == "write" and value[2] is not None):
        raise Damaged("not what a removed checkpoint or write leaves")
    return found


@dataclass
class Branch:
    """A branch as the records say: `name` is None if it was deleted, `head` None if nothing of it is shown."""

    name: str | None
    base: Record | None
    head: Record | None = None


class Thread:
    """The records of a thread, in their order, and the rules between them. What is wrong goes to `problems`.

    Attributes:
        seals, sealed: the seals, and how many records each covers with those before it.
        unsealed: the ids of the records behind the last seal.
        branch_of: the branch of each checkpoint of the root namespace, by record number.
        branches, current: by number, and which one is read by default.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.records: list[Record] = []
        self.seals: list[bytes] = []
        self.sealed: list[int] = []
        self.unsealed: list[bytes] = []
        self.by_id: dict[bytes, Record] = {}
        self.branch_of: dict[int, int] = {}
        self.branches: dict[int, Branch] = {0: Branch("main", None)}
        self.current = 0
        self._places: dict[tuple[str, str], Record] = {}
        self._parents: dict[int, list[Record]] = {}

    def problem(self, record: Record, what: str) -> None:
        """Note what is wrong with a record."""
        self.problems.append(f"record {record.number}: {what}")

    @property
    def pruned(self) -> int:
        """How many records are not KEPT."""
        return sum(record.state != KEPT for record in self.records)

    def add(self, record: Record) -> None:
        """Take the next record, and check the seal that ends with it (rule 3)."""
        self.records.append(record)
        self.by_id[record.id] = record
        self.unsealed.append(record.id)
        if record.seal is not None:
            previous = self.seals[-1] if self.seals else None
            if record.seal != seal_id(len(self.seals), previous, self.unsealed):
                self.problem(record, f"seal {len(self.seals)} does not match the records it ends")
            self.seals.append(record.seal)
            self.sealed.append(len(self.records))
            self.unsealed = []

    def finish(self, redacted: Iterable[Part]) -> None:
        """Check what needs all records.

        Args:
            redacted: the parts of a removal's digest for the redacted objects that the records reach.
        """
        self._check_removals(list(redacted))
        self._check_checkpoints()
        self._check_writes()
        self._check_branches()
        self._check_merges()
        self._check_traces()

    def _of(self, *kinds: str) -> Iterator[Record]:
        """The records of these kinds that are not damaged."""
        return (record for record in self.records if record.kind in kinds and record.facts)

    def _check_removals(self, redacted: list[Part]) -> None:
        """Rule 4: the last removal record states exactly what has lost its content."""
        gone = [r for r in self.records if r.state != KEPT and r.kind in KINDS]
        parts = [(r.id, KINDS.index(r.kind), r.state, r.left) for r in gone]
        statements = [record.facts for record in self._of("removal")]
        if not statements:
            if gone or redacted:
                self.problems.append("removals: nothing states what was removed")
            return
        last = statements[-1]
        stated = (last["removed"], last.get("redacted", 0), last["digest"])
        if stated != (len(gone), len(redacted), removed_digest([*parts, *redacted])):
            self.problems.append("removals: the last removal record states others")

    def _check_checkpoints(self) -> None:
        """Rules 5 and 19: parents stand where they have to."""
        for record in self._of("checkpoint"):
            if record.place in self._places:
                self.problem(record, "a second record of its checkpoint")
            self._places.setdefault(record.place, record)
        highest = max((r.position for r in self._of("checkpoint") if r.position is not None), default=0)
        if highest > _STRIDE * len(self.records):
            self.problems.append(f"position {highest}: too large for {len(self.records)} records")
        for record in self._of("checkpoint"):
            parent = self._parent(record)
            self._parents[record.number] = [] if parent is None else [parent]
            earlier = self._earlier(record)
            if record.state != SKELETON and record.facts["parent"] != (earlier and earlier.id):
                self.problem(record, "its parent is another record")
            if record.position is None:
                self.problem(record, "it has no position")
            elif parent is not None and parent.position is not None and parent.position >= record.position:
                self.problem(record, "it is not listed behind its parent")

    def _parent(self, record: Record) -> Record | None:
        above = record.facts["parent_checkpoint_id"]
        return None if above is None else self._places.get((record.facts["namespace"], above))

    def _earlier(self, record: Record) -> Record | None:
        """The parent, if it was there when the checkpoint arrived."""
        parent = self._parent(record)
        return parent if parent is not None and parent.number < record.number else None

    def _check_writes(self) -> None:
        """Rule 6: a write names the one that it replaces."""
        latest: dict[tuple[str, str, str, int], bytes] = {}
        for record in self._of("write"):
            if record.state == SKELETON:
                continue
            checkpoint = self._places.get(record.place)
            for index, replaces in record.facts["writes"]:
                key = (*record.place, record.facts["task_id"], index)
                if (checkpoint is None or checkpoint.state == KEPT) and replaces != latest.get(key):
                    self.problem(record, f"write {index} replaces another one")
                latest[key] = record.id

    def _check_branches(self) -> None:
        """Rule 7: which branches there are, how they are called, where they start and end, and which is current."""
        begins: dict[bytes, int] = {}
        for record in self._of("branch", "label", "switch"):
            number = record.facts["number"]
            known = self.branches.get(number)
            if record.kind == "branch":
                self._check_branch(record)
                if record.facts["first"] is not None:
                    begins[record.facts["first"]] = number
                self.current = number if record.facts["current"] else self.current
            elif record.kind == "label":
                if known is None or known.name is None:
                    self.problem(record, "it names no branch that could be named")
                else:
                    known.name = record.facts["name"]
            else:
                self.current = number
                switched = self.by_id.get(record.facts["checkpoint"])
                there = switched is not None and self._is_root(switched) and switched.number < record.number
                if not there or known is None:
                    self.problem(record, "its checkpoint or branch is not there before it")
        last: dict[int, Record] = {}
        for record in self._of("checkpoint"):
            if not record.facts["namespace"]:
                earlier = self._earlier(record)
                inherited = 0 if earlier is None else self.branch_of.get(earlier.number, 0)
                self.branch_of[record.number] = begins.get(record.id, inherited)
                last[self.branch_of[record.number]] = record
        self._find_heads(last)

    def _check_branch(self, record: Record) -> None:
        number, name, first_id, base_id = (record.facts[key] for key in ("number", "name", "first", "base"))
        known = self.branches.get(number)
        base = None if base_id is None else self.by_id.get(base_id)
        if first_id is not None:
            first = self.by_id.get(first_id)
            if first is None or first.number != record.number - 1 or not self._is_root(first):
                self.problem(record, "it does not follow its first checkpoint")
            else:
                earlier = self._earlier(first)
                if base_id != (earlier and earlier.id):
                    self.problem(record, "its base is not the parent of its first checkpoint")
        elif base is None or not self._is_root(base) or known is not None:
            self.problem(record, "it starts a branch from nothing")
        if known is None and number != len(self.branches):
            self.problem(record, "it does not start the next branch")
        if known is not None and known.name != name:
            self.problem(record, "its branch is called otherwise")
        self.branches.setdefault(number, Branch(name, base))

    @staticmethod
    def _is_root(record: Record) -> bool:
        """Whether this is a checkpoint of the root namespace."""
        return record.kind == "checkpoint" and record.facts.get("namespace") == ""

    def _find_heads(self, last: dict[int, Record]) -> None:
        """The nearest KEPT ancestor of each branch's last checkpoint, or of its base. No line is walked twice."""
        shown: dict[int, Record | None] = {}
        for number, branch in self.branches.items():
            record = last.get(number, branch.base)
            walked = []
            while record is not None and record.number not in shown and record.state != KEPT:
                shown[record.number] = None  # of a circle nothing is shown
                walked.append(record.number)
                record = next(iter(self._parents.get(record.number, [])), None)
            if record is not None:
                branch.head = shown.get(record.number, record if record.state == KEPT else None)
            shown.update(dict.fromkeys(walked, branch.head))

    def _check_merges(self) -> None:
        """Rule 16: second parents are earlier ones, and go back to the base as the first ones do."""
        steps = 1000 * len(self.records)
        for record in self._of("merge"):
            checkpoint, other = (self.by_id.get(record.facts[key]) for key in ("checkpoint", "parent"))
            parents = [] if checkpoint is None else self._parents.get(checkpoint.number, [])
            if checkpoint is None or other is None or not parents:
                self.problem(record, "its checkpoint has no two parents")
                continue
            if not self._is_root(checkpoint) or not self._is_root(other):
                self.problem(record, "its checkpoint or what it merges is not of the root namespace")
                continue
            first = parents[0]
            if checkpoint.number != record.number - 1 or max(first.number, other.number) >= checkpoint.number:
                self.problem(record, "its checkpoint does not follow its parents, or is not directly before it")
            if (other.position or 0) >= (checkpoint.position or 0):
                self.problem(record, "its checkpoint is not listed behind what it merges")
            if record.facts["base"] is not None:
                base = self.by_id.get(record.facts["base"])
                found = base is not None and self._is_root(base)
                for start in (first, other):
                    if found and base is not None:
                        found, steps = self._goes_back(start, base, steps)
                if not found:
                    self.problem(record, "its base is not where its parents come from")
            parents.append(other)

    def _goes_back(self, start: Record, base: Record, steps: int) -> tuple[bool, int]:
        """Whether `start` is `base` or descends from it, by parents that are listed behind it; and the steps left."""
        seen = {start.number}
        todo = [start]
        while todo and steps > 0:
            steps -= 1
            record = todo.pop()
            if record is base:
                return True, steps
            for parent in self._parents.get(record.number, []):
                if parent.number not in seen and (parent.position or 0) >= (base.position or 0):
                    seen.add(parent.number)
                    todo.append(parent)
        return False, steps

    def _check_traces(self) -> None:
        """Rules 13 and 14: runs start once, and before what belongs to them; what ends began before, and ends once."""
        runs: set[str] = set()
        begun: dict[bytes, tuple[str, str, str]] = {}
        ended: set[bytes] = set()
        for record in self._of(*TRACES):
            run = record.facts["run_id"]
            if record.kind == "run" and run in runs:
                self.problem(record, "its run starts a second time")
            elif record.kind != "run" and run not in runs:
                self.problem(record, "its run did not start before it")
            runs |= {run} if record.kind == "run" else set()
            if record.kind != "end":
                if record.kind != "run" and record.id in begun:
                    self.problem(record, "it starts a second time")
                begun[record.id] = (record.kind, record.facts[f"{record.kind}_id"], run)
                continue
            begin = record.facts["begin"]
            if begun.get(begin) != (record.facts["of"], record.facts["id"], run) or begin in ended:
                self.problem(record, "what it ends did not start before it, or ended before")
            ended.add(begin)


# ================================================================ objects, lists and maps (sections 5, 9, 15)

_LINES = {
    frozenset(keys.split()): kind
    for kind, keys in {
        "latin1": "id tag nonce latin1",
        "base64": "id tag nonce base64",
        "leaf": "leaf",
        "node": "node",
        "list": "id list count",
        "map": "id map lists",
        "redacted": "id mask",
        "withheld": "id mask withheld",
    }.items()
}


@dataclass
class Line:
    """What is kept of a line of `objects`.

    Attributes:
        form: OBJECT, LIST, MAP, REDACTED or WITHHELD; None of a leaf or node of a list.
        id: its id; of a leaf or node its digest.
        level: 0 of a leaf, 1 and more of a node, -1 of anything else.
        count: how many items a list, or what is below a leaf or node, has.
        closed: whether the run that it is, and the last run of each level below it, end where a run must end.
        single: whether it is a node that names one line only.
    """

    form: int | None
    id: bytes
    level: int = -1
    count: int = 0
    closed: bool = False
    single: bool = False


class Objects:
    """The lines of the `objects` members, taken one by one, each in time that its own length bounds.

    Args:
        named: form and id of the values that records name, in their order, those that have a line.

    Attributes:
        lines: what is kept of each; None if it is damaged.
        forms: OBJECT, LIST or MAP per id that a line says it has.
        own: the id that the last line says it has.
        redacted: of each redacted object its part of a removal's digest.
        without_counters: ids of redacted and withheld objects that cannot be metadata, and of maps with such a shell.
    """

    def __init__(self, named: Iterable[tuple[int, bytes]]) -> None:
        self.lines: list[Line | None] = []
        self.forms: dict[bytes, int] = {}
        self.own: bytes | None = None
        self.redacted: set[Part] = set()
        self.withheld = self.withheld_bytes = 0
        self.without_counters: set[bytes] = set()
        self._digests: set[bytes] = set()
        self._order = Order(named, self.forms)

    def add_line(self, data: bytes) -> None:
        """Take the next line; Damaged if it is not what it has to be. It counts nevertheless."""
        self.lines.append(None)
        self.own = None
        self._take(parse(data))

    def add(self, value: Any) -> None:
        """As `add_line`, of a line that was JSON in a larger document."""
        self.lines.append(None)
        self.own = None
        self._take(value)

    def finish(self) -> list[str]:
        """What is wrong with the order of the lines, if anything is."""
        return self._order.finish()

    def _take(self, value: Any) -> None:
        kind = _LINES.get(frozenset(value)) if isinstance(value, dict) else None
        if kind is None:
            raise Damaged("it has the keys of no line")
        if "id" in value:
            self.own = read_digest(value["id"])
            if self.own in self.forms:
                raise Damaged("its id stands there a second time")
            self.forms[self.own] = {"list": LIST, "map": MAP}.get(kind, OBJECT)
        line, parts = self._read(kind, value)
        if line.id in self._digests:
            raise Damaged("it stands there a second time")
        if line.form is None:
            self._digests.add(line.id)
        self.lines[-1] = line
        self._order.take(len(self.lines), line, parts)

    def _read(self, kind: str, value: dict[str, Any]) -> tuple[Line, list[int]]:
        """A line, and the numbers of those that it names."""
        if kind == "leaf":
            return self._run("list-leaf", 0, value["leaf"])
        if kind == "node":
            return self._run("list-node", 1, value["node"])
        own = read_digest(value["id"])
        if kind in ("redacted", "withheld"):
            check_mask(value["mask"])
            self.without_counters |= set() if "counters" in value["mask"] else {own}
            if kind == "withheld":
                self.withheld += 1
                self.withheld_bytes += _natural(value["withheld"])
                return Line(WITHHELD, own), []
            self.redacted.add((own, 255, REDACTED, canonical(value["mask"])))
            return Line(REDACTED, own), []
        if kind == "list":
            line, parts = self._list(value)
        elif kind == "map":
            line, parts = self._map(own, value)
        else:
            line, parts = Line(OBJECT, self._object(kind, value)), []
        if line.id != own:
            raise Damaged("its content does not match its id")
        return line, parts

    @staticmethod
    def _object(kind: str, value: dict[str, Any]) -> bytes:
        if not isinstance(value["nonce"], str) or not re.fullmatch("[0-9a-f]{32}", value["nonce"]):
            raise Damaged("its nonce is not 16 bytes")
        if not isinstance(value["tag"], str):
            raise Damaged("its tag is no text without surrogates")
        return object_id(value["tag"], bytes.fromhex(value["nonce"]), read_bytes(kind, value[kind]))

    def _named(self, number: Any, *forms: int | None) -> Line:
        """The line of a number, which is smaller than the own one."""
        if not 0 < _whole(number) < len(self.lines):
            raise Damaged(f"it names line {number}, which is not before it")
        line: Line | None = self.lines[number - 1]
        if line is None or line.form not in forms:
            raise Damaged(f"it names line {number}, which is damaged or something else")
        return line

    def _run(self, kind: str, lowest: int, value: Any) -> tuple[Line, list[int]]:
        """A leaf or node: one run of the grouping of section 5."""
        if not isinstance(value, list) or not 1 <= len(value) <= 1024:
            raise Damaged("not 1 to 1024 numbers")
        strings, numbers, below, count = [], [], [], 0
        for number in map(_whole, value):
            if lowest == 0:
                line = self._named(number >> 2, OBJECT, REDACTED, WITHHELD)
                if number & 3 == 3:
                    raise Damaged("an item with an unknown flag")
                strings.append(bytes([number & 3]) + line.id)
                numbers.append(number >> 2)
                count += 1
            else:
                line = self._named(number, None)
                strings.append(line.id)
                numbers.append(number)
                below.append(line)
                count += line.count
        if any(ends_run(length, string) for length, string in enumerate(strings[:-1], 1)):
            raise Damaged("it goes on where a run ends")
        if len({line.level for line in below}) > 1:
            raise Damaged("what it names is not of one level")
        if not all(line.closed for line in below[:-1]):
            raise Damaged("a run below it ends where none may end")
        if count > LARGEST:
            raise Damaged("more items than a list can have")
        closed = ends_run(len(strings), strings[-1]) and all(line.closed for line in below)
        level = below[0].level + 1 if below else 0
        single = level > 0 and len(below) == 1
        return Line(None, digest(kind, b"".join(strings)), level, count, closed, single), numbers

    def _list(self, value: dict[str, Any]) -> tuple[Line, list[int]]:
        top, count = _natural(value["list"]), _natural(value["count"])
        tree = self._named(top, None) if top else Line(None, b"")
        if tree.count != count:
            raise Damaged(f"it has {tree.count} items and says {count}")
        if tree.single:
            raise Damaged("its top names one line only")
        return Line(LIST, digest("list", tree.id, count.to_bytes(8, "big")), count=count), [top] if top else []

    def _map(self, own: bytes, value: dict[str, Any]) -> tuple[Line, list[int]]:
        shell = self._named(value["map"], OBJECT, REDACTED, WITHHELD)
        rows = _rows(value["lists"], 2)
        positions = [_natural(at) for at, _ in rows]
        if any(one >= other for one, other in zip(positions, positions[1:])):
            raise Damaged("its lists are not in order")
        lists = [self._named(number, LIST).id for _, number in rows]
        if not lists:
            raise Damaged("a map without lists")
        self.without_counters |= {own} if shell.id in self.without_counters else set()
        return Line(MAP, map_id(shell.id, zip(positions, lists))), [value["map"], *(number for _, number in rows)]


def read_bytes(form: str, value: Any) -> bytes:
    """An object's bytes, from the shorter of the two forms that they can have in a line."""
    if not isinstance(value, str):
        raise Damaged("its bytes are no string")
    try:
        data = value.encode("latin-1") if form == "latin1" else base64.b64decode(value.encode("ascii"), validate=True)
    except ValueError as error:
        raise Damaged(f"its bytes are no {form}") from error
    if form == "base64" and base64.b64encode(data).decode("ascii") != value:
        raise Damaged("its bytes are not the base64 of what they decode to")
    as_latin1, as_base64 = len(canonical(data.decode("latin-1"))), 4 * ((len(data) + 2) // 3) + 2
    if form != ("latin1" if as_latin1 <= as_base64 else "base64"):
        raise Damaged("its bytes stand there in the longer form")
    return data


class Order:
    """Whether lines of objects are in the order of the records that name them, and none is there that none names.

    The lines go into blocks. Each ends with a value that a record names, and consists of what of that value has no line
    before: of a list the items, the leaves, and the nodes level by level; of a map the shell, and then its lists. Each
    line of a block must be used by one behind it, the first uses in the order of the lines. So what is kept is which
    line is used next.

    Args:
        named: form and id of what records name, in their order; only what has a line.
        known: the ids that have a line; others add to it.
    """

    def __init__(self, named: Iterable[tuple[int, bytes]], known: dict[bytes, int]) -> None:
        self._named = iter(named)
        self._known = known
        self._taken = 0
        self._ended = False
        self._problem: str | None = None
        self._next_block()

    def take(self, number: int, line: Line, parts: list[int]) -> None:
        """Take the next line and the numbers that it names. The first one that is out of order ends the check."""
        if number != self._taken + 1:
            self._ended = True  # a line that could not be read is a problem already
        self._taken = number
        if not self._ended and not self._fits(number, line, parts):
            self._ended = True
            self._problem = f"objects, line {number}: no record names it, or it is not where it has to be"

    def finish(self) -> list[str]:
        """What is wrong, if anything is."""
        if not self._ended and self._root is not None:
            return [f"objects, line {self._taken + 1}: missing, with {digest_text(self._root[1])}"]
        return [] if self._problem is None else [self._problem]

    def _next_block(self) -> None:
        self._root = next((ref for ref in self._named if ref[1] not in self._known), None)
        self._block = self._taken + 1
        self._made: list[int] = []  # lists of the map that the block is for
        self._shell: int | None = None
        self._next_list()

    def _next_list(self) -> None:
        self._level = -1  # of the lines that are coming: items, leaves, nodes
        self._low, self._high = self._taken + 1, self._taken  # those of this level
        self._next, self._last = 1, 0  # those of the level below that nothing uses yet

    def _fits(self, number: int, line: Line, parts: list[int]) -> bool:
        if self._root is None:
            return False
        form, name = self._root
        if line.form == LIST and form == MAP:
            fits = self._ends_list(parts)
            self._made.append(number)
            self._next_list()
            return fits
        if line.form in (OBJECT, REDACTED, WITHHELD) and form != OBJECT:
            self._high = number
            return self._level == -1
        if line.form is None:
            return form != OBJECT and self._fits_level(number, line.level, parts)
        fits = line.id == name and (form == OBJECT or (self._ends_list if form == LIST else self._ends_map)(parts))
        self._next_block()
        return fits

    def _fits_level(self, number: int, level: int, parts: list[int]) -> bool:
        """Whether this leaf or node follows, and what it names is used in order."""
        if level != self._level:
            if level < self._level or not self._used_up():
                return False
            self._next, self._last = self._low, self._high
            self._level, self._low = level, number
        self._high = number
        for part in parts:
            if part > self._next and self._may_be_shell() and part == self._next + 1:
                self._shell = self._block
                self._next += 1
            if part > self._next:
                return False
            self._next += part == self._next
        return True

    def _may_be_shell(self) -> bool:
        """Whether the line that is to be used next is an object at the start of a map's block."""
        first = self._root is not None and self._root[0] == MAP and not self._made and self._shell is None
        return first and self._level == 0 and self._next == self._block <= self._last

    def _used_up(self) -> bool:
        if self._may_be_shell() and self._next == self._last:
            self._shell = self._block
            self._next += 1
        return self._next > self._last

    def _only_shell(self) -> bool:
        """Whether the objects since the last list are none, or a map's shell alone."""
        if self._high == self._low == self._block and not self._made and self._root and self._root[0] == MAP:
            self._shell = self._block
            return True
        return self._high < self._low

    def _ends_list(self, parts: list[int]) -> bool:
        if self._level == -1:
            return self._only_shell()
        return self._used_up() and [self._low] == [self._high] == parts

    def _ends_map(self, parts: list[int]) -> bool:
        shell, lists = parts[0], dict.fromkeys(parts[1:])
        fits = self._level == -1 and self._only_shell() and [n for n in lists if n >= self._block] == self._made
        return fits and (shell <= self._block if self._shell is None else shell == self._shell)


# ================================================================ the Merkle tree (RFC 9162, section 2.1.1)


def leaf_hash(name: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\0" + name).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what is above two others."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The tree over the entries so far: of each full part of it the size and the root, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[tuple[int, bytes]] = []

    def add(self, name: bytes) -> None:
        """Take the next entry."""
        size, root = 1, leaf_hash(name)
        while self._parts and self._parts[-1][0] == size:
            root = node_hash(self._parts.pop()[1], root)
            size *= 2
        self._parts.append((size, root))
        self.size += 1

    def root(self) -> bytes:
        """The root over the entries so far."""
        if not self._parts:
            return hashlib.sha256().digest()
        root = self._parts[-1][1]
        for _, left in reversed(self._parts[:-1]):
            root = node_hash(left, root)
        return root


def root_of_path(name: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, section 2.1.3.2); Damaged if it is too long or short."""
    at, last, root = index, size - 1, leaf_hash(name)
    for other in path:
        if last == 0:
            raise Damaged("its path is too long")
        if at % 2 or at == last:
            root = node_hash(other, root)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, other)
        at, last = at >> 1, last >> 1
    if last:
        raise Damaged("its path is too short")
    return root


# ================================================================ the archive (section 15, "The archive")

MIMETYPE = b"application/vnd.langgraph-wfstore.thread+zip"
MEMBER = 1 << 20  # a member ends behind the line with which it has so many bytes
_PIECE = 1 << 16
_SMALL = 1 << 20  # README, a signature
_DEFLATE_RATIO = 1032  # no deflated bytes give more
_INFLATED, _RATIO = 1 << 30, 100  # an archive may inflate to so much, or to so many times its size
_STORED, _DEFLATED = 0, 8
_MANY16, _MANY32 = 0xFFFF, 0xFFFFFFFF  # what is as large stands in a Zip64 field
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_UNIX, _DATE, _MODE = 3 << 8, 1 << 5 | 1, 0o100644 << 16  # 1980-01-01
_SIGNATURE_NAME = re.compile(r"signatures/[A-Za-z0-9_-][A-Za-z0-9._-]*\.json")


@dataclass
class Entry:
    """An entry of the archive: what its headers say, and where its first header and its bytes begin."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    start: int = 0

    @property
    def _wide(self) -> bool:
        return max(self.packed, self.size) >= _MANY32

    def local_header(self) -> bytes:
        """The bytes that must stand before its content."""
        sizes = (_MANY32, _MANY32) if self._wide else (self.packed, self.size)
        extra = struct.pack("<2H2Q", 1, 16, self.size, self.packed) if self._wide else b""
        needed = 45 if extra else 20
        head = (b"PK\3\4", needed, 0, self.method, 0, _DATE, self.crc, *sizes, len(self.name), len(extra))
        return _LOCAL.pack(*head) + self.name.encode("ascii") + extra

    def central_header(self) -> bytes:
        """The bytes that must stand for it in the central directory."""
        sizes = (_MANY32, _MANY32) if self._wide else (self.packed, self.size)
        fields = [self.size, self.packed] if self._wide else []
        fields += [self.offset] if self.offset >= _MANY32 else []
        extra = struct.pack(f"<2H{len(fields)}Q", 1, 8 * len(fields), *fields) if fields else b""
        needed = 45 if extra else 20
        head = (b"PK\1\2", _UNIX | needed, needed, 0, self.method, 0, _DATE, self.crc, *sizes)
        tail = (len(self.name), len(extra), 0, 0, 0, _MODE, min(self.offset, _MANY32))
        return _CENTRAL.pack(*head, *tail) + self.name.encode("ascii") + extra


def end_of_archive(count: int, size: int, offset: int) -> bytes:
    """The bytes that must stand behind a central directory of so many entries and bytes, at that offset."""
    wide = b""
    if count >= _MANY16 or max(size, offset) >= _MANY32:
        wide = _END64.pack(b"PK\6\6", 44, _UNIX | 45, 45, 0, 0, count, count, size, offset)
        wide += _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    narrow = (min(count, _MANY16), min(count, _MANY16), min(size, _MANY32), min(offset, _MANY32), 0)
    return wide + _END.pack(b"PK\5\6", 0, 0, *narrow)


class Archive:
    """The entries of an archive that has the bytes that section 15 gives it, but for the content of the entries.

    Raises:
        Damaged: it has others.
    """

    def __init__(self, file: BinaryIO, max_inflated: int | None = None) -> None:
        self._file = file
        self.length = file.seek(0, os.SEEK_END)
        self.entries = self._directory()
        self._check_names()
        self._check_sizes(max_inflated)
        self._check_layout()

    def _read(self, offset: int, size: int) -> bytes:
        if not 0 <= offset <= self.length - size:
            raise Damaged(f"archive: it ends before byte {offset + size}")
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise Damaged("archive: it was cut while it was read")
        return data

    def _directory(self) -> list[Entry]:
        """The central directory, whose bytes are those that its entries must have."""
        last = _END.unpack(self._read(self.length - _END.size, _END.size))
        if last[0] != b"PK\5\6":
            raise Damaged("archive: it is no ZIP archive, or something stands behind its end")
        count, size, offset = last[4], last[5], last[6]
        if count == _MANY16 or _MANY32 in (size, offset):
            at = self.length - _END.size - _LOCATOR.size - _END64.size
            count, size, offset = _END64.unpack(self._read(at, _END64.size))[7:]
        end = end_of_archive(count, size, offset)
        if offset + size + len(end) != self.length or self._read(offset + size, len(end)) != end:
            raise Damaged("archive: its end is not what it must be, or something stands before or behind it")
        if count * _CENTRAL.size > size:
            raise Damaged("archive: its directory is too small for its entries")
        entries = []
        at = offset
        for number in range(1, count + 1):
            entry, length = self._central(at, offset + size)
            if entry.central_header() != self._read(at, length):
                raise Damaged(f"archive: entry {number} of the directory has other fields than it must have")
            entries.append(entry)
            at += length
        if at != offset + size:
            raise Damaged("archive: something stands behind the last entry of the directory")
        self._directory_at = offset
        return entries

    def _central(self, at: int, end: int) -> tuple[Entry, int]:
        """The entry of the directory that begins there, and how long it is."""
        head = _CENTRAL.unpack(self._read(at, _CENTRAL.size))
        method, crc, packed, size = head[4], *head[7:10]
        names, extras, offset = head[10], head[11], head[16]
        length = _CENTRAL.size + names + extras
        if head[0] != b"PK\1\2" or at + length > end:
            raise Damaged("archive: an entry of the directory is not where it must be")
        rest = self._read(at + _CENTRAL.size, names + extras)
        try:
            name = rest[:names].decode("ascii")
        except UnicodeDecodeError as error:
            raise Damaged("archive: an entry's name is not ASCII") from error
        wide = list(struct.unpack(f"<{(extras - 4) // 8}Q", rest[names + 4 :])) if extras in (12, 20, 28) else []
        if len(wide) >= 2 and (packed, size) == (_MANY32, _MANY32):
            size, packed = wide.pop(0), wide.pop(0)
        if wide and offset == _MANY32:
            offset = wide.pop(0)
        return Entry(name, method, crc, packed, size, offset), length

    def _check_names(self) -> None:
        """The entries are those that there must be, in their order."""
        names = [entry.name for entry in self.entries]
        expected = ["mimetype", "manifest.json", "README.txt"]
        for folder in ("records", "objects"):
            count = sum(name.startswith(f"{folder}/") for name in names)
            expected += [f"{folder}/{number:06d}.jsonl" for number in range(1, min(count, 999_999) + 1)]
        expected += ["index/records.txt", "index/objects.txt", "derived/messages.txt"]
        signatures = names[len(expected) :]
        for number, name in enumerate(expected):
            if number >= len(names) or names[number] != name:
                found = names[number] if number < len(names) else "nothing"
                raise Damaged(f"archive: entry {number + 1} is {found:.100}, expected {name}")
        for name in signatures:
            if len(name) > 200 or not _SIGNATURE_NAME.fullmatch(name):
                raise Damaged(f"archive: it has an entry {name:.100}, which no artifact has")
        if any(one >= other for one, other in zip(signatures, signatures[1:])):
            raise Damaged("archive: its signatures are not in the order of their names")

    def _check_sizes(self, max_inflated: int | None) -> None:
        """Nothing is inflated whose size could not be true, or is out of proportion."""
        for entry in self.entries:
            if entry.method not in (_STORED, _DEFLATED):
                raise Damaged(f"archive: {entry.name} is packed in a way that no artifact uses")
            if entry.packed != entry.size if entry.method == _STORED else entry.size > _DEFLATE_RATIO * entry.packed:
                raise Damaged(f"archive: {entry.name} cannot have the size that it says")
        sizes = {entry.name: entry.size for entry in self.entries}
        if self.entries[0].method != _STORED or sizes["mimetype"] != len(MIMETYPE):
            raise Damaged("archive: its mimetype is not that of an artifact, or not stored")
        lines = sum(size for name, size in sizes.items() if name.endswith(".jsonl"))
        too_large = [name for name in sizes if name == "README.txt" or name.startswith("signatures/")]
        too_large = [name for name in too_large if sizes[name] > _SMALL]
        too_large += ["manifest.json"] if sizes["manifest.json"] > _SMALL + 512 * len(sizes) + lines else []
        too_large += [name for name in ("index/records.txt", "index/objects.txt") if sizes[name] > 2 * lines]
        if too_large:
            raise Damaged(f"archive: {too_large[0]} is too large for what is in it")
        limit = max(_INFLATED, _RATIO * self.length) if max_inflated is None else max_inflated
        if sum(sizes.values()) > limit:
            raise Damaged(
                f"archive: it would inflate to {sum(sizes.values())} bytes, more than {limit}; if you know who made "
                "it, allow so many (--max-inflated)"
            )

    def _check_layout(self) -> None:
        """The entries follow each other from the first byte to the directory, each behind the header it must have."""
        at = 0
        for entry in self.entries:
            header = entry.local_header()
            if entry.offset != at or self._read(at, len(header)) != header:
                raise Damaged(f"archive: the header of {entry.name}, at byte {at}, is not what or where it must be")
            entry.start = at + len(header)
            at = entry.start + entry.packed
        if at != self._directory_at:
            raise Damaged(f"archive: something stands between its last entry and its directory, at byte {at}")

    def pieces(self, entry: Entry) -> Iterator[bytes]:
        """The content of an entry, piece by piece; Damaged behind the last one if size or CRC-32 are wrong."""
        size = crc = 0
        for piece in self._stored(entry) if entry.method == _STORED else self._inflated(entry):
            size += len(piece)
            if size > entry.size:
                break
            crc = zlib.crc32(piece, crc)
            yield piece
        if (size, crc) != (entry.size, entry.crc):
            raise Damaged("its size or CRC-32 is not what its header says")

    def _stored(self, entry: Entry) -> Iterator[bytes]:
        for at in range(0, entry.packed, _PIECE):
            yield self._read(entry.start + at, min(_PIECE, entry.packed - at))

    def _inflated(self, entry: Entry) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for piece in self._stored(entry):
                rest = piece
                while rest and not inflater.eof:
                    yield inflater.decompress(rest, 4 * _PIECE)
                    rest = inflater.unconsumed_tail
                if rest or inflater.unused_data:
                    raise Damaged("something stands behind its deflated bytes")
            while not inflater.eof and (data := inflater.decompress(inflater.unconsumed_tail, 4 * _PIECE)):
                yield data
        except zlib.error as error:
            raise Damaged(f"its deflated bytes cannot be read ({error})") from error
        if not inflater.eof:
            raise Damaged("its deflated bytes end too early")


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a content, without their line feeds."""
    begun: list[bytes] = []
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for line in ended:
            yield b"".join([*begun, line])
            begun = []
        begun += [rest] if rest else []
    if begun:
        raise Damaged("its last line has no line feed")


# ================================================================ the artifact (section 15)


@dataclass
class Report:
    """What was found in an artifact. It verifies if there are no problems.

    Attributes:
        problems: what is wrong, each with its place.
        identity: SHA-256 of manifest.json.
        head, root: the last seal, and the root of the Merkle tree over all records.
        counts: how many records of each kind there are.
        branches: number, name and head (a record id) of each branch that was not deleted.
        pruned, redacted: records that are not KEPT, and objects without content, which a removal record states.
        withheld, withheld_bytes: objects whose content was left out of the artifact, and how many bytes that has.
        signatures: what was found of each signature; only if a key was given.
        signed: whether one of them is good under that key.
        statement: the predicate of the head statement that was checked.
    """

    problems: list[str] = field(default_factory=list)
    thread: str | None = None
    identity: str | None = None
    head: str | None = None
    root: str | None = None
    records: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    sealed: int = 0
    seals: int = 0
    unsealed: int = 0
    branches: list[tuple[int, str, str | None]] = field(default_factory=list)
    current: int = 0
    pruned: int = 0
    objects: int = 0
    redacted: int = 0
    withheld: int = 0
    withheld_bytes: int = 0
    signatures: list[str] = field(default_factory=list)
    signed: bool = False
    statement: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_file(
    path: str | Path,
    *,
    expect_head: str | None = None,
    expect_root: str | None = None,
    key: bytes | None = None,
    statement: bytes | None = None,
    max_inflated: int | None = None,
) -> Report:
    """Verify an artifact.

    Args:
        path: the `.wfz` file.
        expect_head: a head kept elsewhere, `sha256:...`; it must be one of the seals.
        expect_root: a root kept elsewhere; it must be that of the artifact.
        key: the 32 bytes of an Ed25519 public key; one of the file's signatures must be good under it.
        statement: the bytes of a head statement's envelope, signed with that key; the thread must go on from it.
        max_inflated: how many bytes the entries may have together; None: 1 GiB, or 100 times the file's size.

    Returns:
        what was found; no bytes of the file make it raise.

    Raises:
        OSError: the file cannot be read.
        ValueError: a statement without a key.
    """
    if statement is not None and key is None:
        raise ValueError("a head statement is checked with a public key, and none was given; pass one as `key`")
    report = Report()
    with open(path, "rb") as file:
        try:
            stated = None if statement is None or key is None else read_head_statement(statement, key)
            artifact = Artifact(Archive(file, max_inflated), report)
            artifact.verify(stated)
            artifact.compare(expect_head, expect_root, stated, key)
        except Damaged as error:
            report.problems.append(str(error))
    return report


def read_line(value: Any, record: Record) -> tuple[dict[str, Any], list[tuple[int, bytes]]]:
    """Give a record what its line says; see `read_record` for what is returned."""
    if not isinstance(value, dict):
        raise Damaged("no record")
    record.id = read_digest(value.get("id"))
    record.seal = read_digest(value["seal"]) if "seal" in value else None
    state = value.get("state")
    if state not in (None, "hidden", "removed") or ("state" in value and state is None):
        raise Damaged("an unknown state")
    removed = state == "removed"
    record.state = SKELETON if removed else HIDDEN if state else KEPT
    content = value.get("left" if removed else "body")
    kind = value.get("kind") if removed else content.get("kind") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise Damaged("an unknown kind of record")
    record.kind = kind
    keys = {"id", "left", "kind"} if removed else {"id", "body"}
    keys |= {"position"} if kind == "checkpoint" else set()
    optional = {"seal", "state", "missing"} if record.state == HIDDEN else {"seal", "state"}
    if value.keys() - optional != keys:
        raise Damaged("a key of its line is missing or unknown")
    record.position = _whole(value["position"]) if kind == "checkpoint" else None
    fields, references = read_record(record, content, canonical(content))
    if "missing" in value:
        record.missing = _missing(value["missing"], references)
    return fields, [reference for reference in references if reference[1] not in record.missing]


def _missing(value: Any, references: list[tuple[int, bytes]]) -> frozenset[bytes]:
    """The ids of the values that a hidden record names and that are gone."""
    found = [read_digest(name) for name in value] if isinstance(value, list) else []
    if not found or found != list(dict.fromkeys(name for _, name in references if name in found)):
        raise Damaged("what it says to be missing is none of its values, or not in their order")
    return frozenset(found)


class Named:
    """The values that records name, each with the first record that does; and those that are said to be gone."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, bytes], int] = {}
        self._gone: dict[bytes, int] = {}

    def add(self, record: Record, references: Iterable[tuple[int, bytes]]) -> None:
        """Take what the next record names."""
        for reference in references:
            self._first.setdefault(reference, record.number)
        self._gone.update(dict.fromkeys(record.missing, record.number))

    def those_in(self, ids: set[str]) -> Iterator[tuple[int, bytes]]:
        """The references whose ids are among these, in hexadecimal."""
        return (reference for reference in self._first if reference[1].hex() in ids)

    def missing(self, forms: dict[bytes, int]) -> Iterator[str]:
        """What is wrong if these are the values that there are, by id."""
        for (form, name), first in self._first.items():
            if first <= self._gone.get(name, 0):
                yield f"record {self._gone[name]}: its value {digest_text(name)} is there, and said to be missing"
            elif name not in forms:
                yield f"record {first}: its value {digest_text(name)} is not there"
            elif forms.get(name, form) != form:
                yield f"record {first}: its value {digest_text(name)} is no {FORMS[form]}"


class Artifact:
    """One artifact under verification: everything is read entry by entry, line by line, and goes into the report."""

    def __init__(self, archive: Archive, report: Report) -> None:
        self._archive = archive
        self._report = report
        self._entries = {entry.name: entry for entry in archive.entries}
        self._members: dict[str, dict[str, Any]] = {}
        self._thread = Thread(report.problems)
        self._named = Named()
        self._objects = Objects([])
        self._metadata: dict[bytes, Record] = {}
        self._tree = Tree()
        self._stated_root: bytes | None = None

    def verify(self, stated: dict[str, Any] | None) -> None:
        """Read everything, and fill the report. `stated` is the predicate of a head statement that will be compared."""
        manifest = self._read_manifest()
        self._read_records(None if stated is None else stated["records"])
        self._read_objects()
        self._thread.finish(self._objects.redacted)
        for name in ("README.txt", "derived/messages.txt"):
            for _ in self._pieces(self._entries[name]):
                pass  # for its digest
        self._fill_report()
        self._compare_manifest(manifest)

    def compare(self, head: str | None, root: str | None, stated: dict[str, Any] | None, key: bytes | None) -> None:
        """Compare what was found with what the caller has from elsewhere; None is not compared."""
        if head is not None and head not in map(digest_text, self._thread.seals):
            self._problem("head", f"the expected one, {head}, is not in the chain")
        if root is not None and root != self._report.root:
            self._problem("root", f"it is {self._report.root}, expected {root}")
        if stated is not None:
            self._check_statement(stated)
        signed = any(entry.name.startswith("signatures/") for entry in self._archive.entries)
        if key is not None and (signed or stated is None):  # a statement speaks for a file without signatures
            self._check_signatures(key)

    def _problem(self, where: str, what: object) -> None:
        self._report.problems.append(f"{where}: {what}")

    def _pieces(self, entry: Entry) -> Iterator[bytes]:
        """The content of a member; behind it, what the manifest must say of it is known."""
        hashed = hashlib.sha256()
        try:
            for piece in self._archive.pieces(entry):
                hashed.update(piece)
                yield piece
        except Damaged as error:
            self._problem(entry.name, error)
        known = {"digest": digest_text(hashed.digest()), "name": entry.name, "size": entry.size}
        self._members[entry.name] = known

    def _json_lines(self, folder: str) -> Iterator[tuple[int, int, bytes]]:
        """Number of the member, offset in it, and bytes of each line of a folder's members."""
        entries = [entry for entry in self._archive.entries if entry.name.startswith(f"{folder}/")]
        for number, entry in enumerate(entries, 1):
            count = offset = last = 0
            try:
                for line in lines_of(self._pieces(entry)):
                    last = offset
                    yield number, offset, line
                    offset += len(line) + 1
                    count += 1
            except Damaged as error:
                self._problem(entry.name, error)
            if last >= MEMBER or not count or (number < len(entries) and offset < MEMBER):
                self._problem(entry.name, f"it does not end behind the line with which it has {MEMBER} bytes")
            self._members[entry.name]["lines"] = count

    def _read_manifest(self) -> dict[str, Any]:
        """The manifest; empty if it cannot be read."""
        try:
            if b"".join(self._archive.pieces(self._entries["mimetype"])) != MIMETYPE:
                self._problem("mimetype", "it is not that of an artifact")
            data = b"".join(self._archive.pieces(self._entries["manifest.json"]))
            self._report.identity = digest_text(hashlib.sha256(data).digest())
            found = parse(data)
            if not isinstance(found, dict):
                raise Damaged("no object")
            self._report.thread = decode_text(found.get("thread"))
            if len(utf8(self._report.thread)) > _LONGEST_THREAD or self._report.thread.startswith(_RESERVED):
                self._problem("manifest.json", "thread is no id that a thread can have")
        except Damaged as error:
            self._problem("mimetype or manifest.json", error)
            return {}
        return found

    def _read_records(self, stated: int | None) -> None:
        """All records, and the root over as many of them as a statement names."""
        index = []
        for member, offset, line in self._json_lines("records"):
            record = Record(len(self._thread.records) + 1, "", b"", KEPT)
            try:
                fields, references = read_line(parse(line), record)
                self._named.add(record, references)
                if "metadata" in fields:
                    self._metadata.setdefault(fields["metadata"][1], record)
            except Damaged as error:
                self._thread.problem(record, str(error))
            self._thread.add(record)
            self._tree.add(record.id)
            if self._tree.size == stated:
                self._stated_root = self._tree.root()
            index.append(index_line(record.id, member, offset, len(line)))
        if not index:
            self._problem("records", "there are none")
        self._check_index("index/records.txt", index)

    def _read_objects(self) -> None:
        """All objects, and which of the values that hidden records name are gone: the index lists the others."""
        self._objects = Objects(self._named.those_in(self._listed()))
        index = []
        for member, offset, line in self._json_lines("objects"):
            try:
                self._objects.add_line(line)
            except Damaged as error:
                self._problem(f"objects, line {len(self._objects.lines)}", error)
            if self._objects.own is not None:
                index.append(index_line(self._objects.own, member, offset, len(line)))
        for name, record in self._metadata.items():
            if name in self._objects.without_counters:
                self._thread.problem(record, "what stands in the place of its redacted metadata has no counters")
        self._report.problems += self._objects.finish()
        self._report.problems += self._named.missing(self._objects.forms)
        self._check_index("index/objects.txt", index)

    def _listed(self) -> set[str]:
        """The ids, in hexadecimal, that the lines of the index of objects begin with."""
        found = set()
        try:
            for line in lines_of(self._archive.pieces(self._entries["index/objects.txt"])):
                found.add(line[:64].decode("ascii", "replace"))
        except Damaged:
            return found  # the check of the index reads it again, and says so
        return found

    def _check_index(self, name: str, expected: list[bytes]) -> None:
        """An index has exactly these lines, in ascending order."""
        expected.sort()
        count, wrong = 0, None
        try:
            for line in lines_of(self._pieces(self._entries[name])):
                if wrong is None and (count >= len(expected) or line != expected[count]):
                    wrong = count
                count += 1
        except Damaged as error:
            self._problem(name, error)
        if wrong is None and count < len(expected):
            wrong = count
        if wrong is not None:
            self._problem(f"{name}, line {wrong + 1}", "it is missing, added, or not what it must be")

    def _fill_report(self) -> None:
        """What the records and objects say."""
        report, thread, objects = self._report, self._thread, self._objects
        report.records = len(thread.records)
        report.counts = dict(Counter(record.kind for record in thread.records if record.kind))
        report.sealed, report.seals = sum(thread.sealed[-1:]), len(thread.seals)
        report.unsealed = len(thread.unsealed)
        report.head = digest_text(thread.seals[-1]) if thread.seals else None
        report.root = digest_text(self._tree.root())
        report.current, report.pruned = thread.current, thread.pruned
        report.branches = [
            (number, branch.name, None if branch.head is None else digest_text(branch.head.id))
            for number, branch in sorted(thread.branches.items())
            if branch.name is not None
        ]
        report.objects, report.redacted = len(objects.lines), len(objects.redacted)
        report.withheld, report.withheld_bytes = objects.withheld, objects.withheld_bytes

    def _compare_manifest(self, manifest: dict[str, Any]) -> None:
        """Rule 18: the manifest says what the records and objects say; of the thread's id they say nothing."""
        if not manifest:
            return
        report, branches = self._report, self._thread.branches
        bases = {n: None if branch.base is None else digest_text(branch.base.id) for n, branch in branches.items()}
        names = ("counts", "current", "head", "objects", "records", "redacted", "root", "sealed", "seals", "thread")
        expected = {name: getattr(report, name) for name in (*names, "withheld", "withheld_bytes")}
        expected["thread"] = manifest.get("thread")
        expected |= {"format": 1, "kind": "artifact"}
        expected["branches"] = [
            [number, encode_text(name), bases[number], head] for number, name, head in report.branches
        ]
        expected["members"] = [self._members[name] for name in self._entries if name in self._members]
        for name in sorted(expected.keys() | manifest.keys()):
            if name not in expected or name not in manifest:
                self._problem("manifest.json", f"{name} is missing, or no key of a manifest")
            elif not same(manifest[name], expected[name]):
                self._problem(
                    "manifest.json", f"{name} is not what the file says{self._where(manifest, expected, name)}"
                )

    @staticmethod
    def _where(manifest: dict[str, Any], expected: dict[str, Any], name: str) -> str:
        """Which one of several differs, or what was expected."""
        stated, found = manifest[name], expected[name]
        if not isinstance(found, list):
            return "" if isinstance(found, dict) else f": it is {_say(stated)}, expected {_say(found)}"
        if not isinstance(stated, list):
            return ""
        wrong = next((n for n, (one, other) in enumerate(zip(stated, found)) if not same(one, other)), None)
        if wrong is None:
            return f": it has {len(stated)}, expected {len(found)}"
        return f": {found[wrong]['name']} was changed" if name == "members" else f": number {wrong + 1}"

    def _check_statement(self, stated: dict[str, Any]) -> None:
        """The chain goes on from a head statement, and its first records are those that were stated."""
        thread, records = self._thread, stated["records"]
        self._report.statement = stated
        head = None if stated["head"] is None else read_digest(stated["head"])
        if head is not None and head not in thread.seals:
            self._problem("statement", f"its head {stated['head']} is not in the chain")
        elif head is not None and [stated["seals"], stated["sealed"]] not in [
            [number, sealed] for number, sealed in enumerate(thread.sealed, 1) if thread.seals[number - 1] == head
        ]:
            self._problem("statement", "its head is another seal of the chain than it says")
        root = Tree().root() if records == 0 else self._stated_root
        if root is None:
            self._problem("statement", f"it is about {records} records, and here are {len(thread.records)}")
        elif digest_text(root) != stated["root"]:
            self._problem("statement", f"the first {records} records are not those that it is about")

    def _check_signatures(self, key: bytes) -> None:
        """At least one signature is good, under the key of the caller's, and about this artifact."""
        report = self._report
        for name in (name for name in self._entries if name.startswith("signatures/")):
            try:
                statement = verify_envelope(b"".join(self._archive.pieces(self._entries[name])), key)
                predicate = read_statement(statement, ARTIFACT, "manifest.json", report.identity)
                if not same(predicate, {name: getattr(report, name) for name in _PREDICATE}):
                    raise Damaged("it is about an artifact that says something else")
                report.signatures.append(f"{name}: good")
                report.signed = True
            except Damaged as error:
                report.signatures.append(f"{name}: not good: {error}")
        if not report.signed:
            self._problem("signatures", f"none of {len(report.signatures)} is good under the key that was given")


def index_line(name: bytes, member: int, offset: int, length: int) -> bytes:
    """A line of an index, without its line feed."""
    return b"%s %06d %012d %012d" % (name.hex().encode("ascii"), member, offset, length)


# ================================================================ signatures (section 15, "Signatures")

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]  # X, Y, Z, T: x = X/Z, y = Y/Z, x * y = T/Z
_ZERO: Point = (0, 1, 1, 0)


def _add(p: Point, q: Point) -> Point:
    """The sum of two points (RFC 8032, section 5.1.4)."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * _D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(number: int, p: Point) -> Point:
    total = _ZERO
    while number:
        total = _add(total, p) if number & 1 else total
        p = _add(p, p)
        number >>= 1
    return total


def _encode(p: Point) -> bytes:
    """The one encoding of a point: y, and the lowest bit of x in its highest bit (section 5.1.2)."""
    inverse = pow(p[2], _P - 2, _P)
    x, y = p[0] * inverse % _P, p[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> Point:
    """The point of an encoding; Damaged if it is that of none (section 5.1.3)."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if y >= _P or v * x * x % _P != u or (x == 0 and sign):
        raise Damaged("32 bytes that are no point of the curve")
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


_BASE = _decode((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def check_key(key: bytes) -> None:
    """Damaged if these bytes are no public key, or one under which anybody can sign."""
    if len(key) != 32 or _encode(_times(8, _decode(key))) == _encode(_ZERO):
        raise Damaged("no public key of Ed25519")


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is good (RFC 8032, section 5.1.7, without cofactor). It has one encoding."""
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= _L:
        return False
    x, y, z, t = _decode(key)
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _L
    return _encode(_add(_times(s, _BASE), _times(k, (-x % _P, y, z, -t % _P)))) == signature[:32]


PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
ARTIFACT, HEAD = "urn:x-langgraph-wfstore:artifact:1", "urn:x-langgraph-wfstore:head:1"
_PREDICATE = ("head", "records", "root", "sealed", "seals", "thread")
_SPKI = bytes.fromhex("302a300506032b6570032100")  # what a SubjectPublicKeyInfo of Ed25519 begins with (RFC 8410)


def verify_envelope(envelope: bytes, public_key: bytes) -> dict[str, Any]:
    """The statement in a DSSE envelope.

    Args:
        envelope: JSON.
        public_key: 32 bytes, from elsewhere; the envelope's `keyid` is only a hint, and is not looked at.

    Raises:
        Damaged: it is no envelope of a statement, or none of its signatures is good under that key.
    """
    check_key(public_key)
    found = read_json(envelope)
    signatures = found.get("signatures") if isinstance(found, dict) else None
    if not isinstance(found, dict) or found.get("payloadType") != PAYLOAD_TYPE or not isinstance(signatures, list):
        raise Damaged("no DSSE envelope of an in-toto statement")
    payload = _base64(found.get("payload"))
    kind = PAYLOAD_TYPE.encode("ascii")
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    stated = [_base64(signature.get("sig")) for signature in signatures if isinstance(signature, dict)]
    if not any(is_signed(public_key, signed, signature) for signature in stated[:100]):
        raise Damaged("no signature of that key")
    statement = read_json(payload)
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT:
        raise Damaged("no in-toto statement, version 1")
    return statement


def _base64(value: Any) -> bytes:
    """The bytes behind base64, of the standard alphabet or that for URLs: DSSE allows both."""
    try:
        return base64.b64decode(value.translate(str.maketrans("-_", "+/")).encode("ascii"), validate=True)
    except (AttributeError, ValueError) as error:
        raise Damaged("no base64") from error


def read_statement(statement: dict[str, Any], kind: str, name: str, subject: str | None) -> dict[str, Any]:
    """The predicate of a statement; Damaged if it is none of that kind, about that subject (a digest)."""
    predicate = statement.get("predicate")
    if statement.get("predicateType") != kind or not isinstance(predicate, dict) or set(predicate) != set(_PREDICATE):
        raise Damaged(f"no statement of the type {kind}")
    if subject is None or not same(statement.get("subject"), [{"digest": {"sha256": subject[7:]}, "name": name}]):
        raise Damaged("its subject is another one")
    return predicate


def read_head_statement(envelope: bytes, public_key: bytes) -> dict[str, Any]:
    """The predicate of a head statement that was signed with this key; Damaged, which says so, if it is none."""
    try:
        statement = verify_envelope(envelope, public_key)
        predicate = statement.get("predicate")
        stated = predicate if isinstance(predicate, dict) else {}
        subject = digest_text(read_digest(stated.get("root") if stated.get("head") is None else stated["head"]))
        read_digest(stated.get("root"))
        for name in ("records", "sealed", "seals"):
            _natural(stated.get(name))
        decode_text(stated.get("thread"))
        return read_statement(statement, HEAD, "head", subject)
    except Damaged as error:
        raise Damaged(f"statement: {error}") from error


def read_key(given: str) -> bytes:
    """An Ed25519 public key, from 64 hexadecimal digits or a PEM file; Damaged if it is none."""
    if re.fullmatch("[0-9a-fA-F]{64}", given):
        key = bytes.fromhex(given)
    else:
        text = Path(given).read_bytes()[:_SMALL].decode("ascii", "replace")
        pem = re.fullmatch(r"\s*-----BEGIN PUBLIC KEY-----([\sA-Za-z0-9+/=]*)-----END PUBLIC KEY-----\s*", text)
        der = _base64("".join(pem[1].split())) if pem else b""
        if not der.startswith(_SPKI):
            raise Damaged(f"{given} is no PEM file of an Ed25519 public key, nor 64 hexadecimal digits")
        key = der[len(_SPKI) :]
    check_key(key)
    return key


# ================================================================ proofs (section 15, "Proofs")


@dataclass
class Proven:
    """A record that was shown to be in a thread.

    Attributes:
        index: its place, from 0, as the proof says.
        kind: what it is; "" if only its id was shown.
        removed: whether only its id was shown: the proof says that its content was removed, which nothing vouches for.
        fields: what its body says.
        values: per value that it names and that is given its id, and its content as text.
    """

    index: int
    id: str
    kind: str
    removed: bool
    fields: dict[str, Any] = field(default_factory=dict)
    values: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Proof:
    """What a proof shows. It verifies if there are no problems."""

    problems: list[str] = field(default_factory=list)
    thread: str | None = None
    root: str | None = None
    size: int = 0
    records: list[Proven] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_proof(data: bytes, root: str) -> Proof:
    """Verify a proof.

    Args:
        data: the JSON document.
        root: the root of the thread, `sha256:...`, from somewhere that the caller trusts.

    Returns:
        what it shows; no bytes make it raise.
    """
    report = Proof()
    try:
        document = read_json(data)
        canonical(document)
        keys = {"format", "kind", "objects", "records", "root", "size", "thread"}
        if not isinstance(document, dict) or document.keys() != keys:
            raise Damaged("no proof: a key is missing or unknown")
        if not same([document["format"], document["kind"]], [1, "proof"]):
            raise Damaged("no proof, or one of an unknown format")
        if not isinstance(document["objects"], list) or not isinstance(document["records"], list):
            raise Damaged("no proof: its records or objects are no arrays")
        report.thread = decode_text(document["thread"])
        report.root = digest_text(read_digest(document["root"]))
        report.size = _natural(document["size"])
    except Damaged as error:
        report.problems.append(f"proof: {error}")
        return report
    if report.root != root:
        report.problems.append(f"proof: its root is {report.root}, expected {root}")
    _prove(document, report)
    return report


def _prove(document: dict[str, Any], report: Proof) -> None:
    """Check the records of a proof, and then the objects that are given with them."""
    named = Named()
    references: list[list[tuple[int, bytes]]] = []
    last = -1
    for number, row in enumerate(document["records"], 1):
        record = Record(number, "", b"", KEPT)
        fields: dict[str, Any] = {}
        found: list[tuple[int, bytes]] = []
        index = -1
        try:
            if (
                not isinstance(row, dict)
                or row.keys() != {"index", "path", "record"}
                or not isinstance(row["path"], list)
            ):
                raise Damaged("a key is missing or unknown")
            index = _natural(row["index"])
            if not last < index < report.size:
                raise Damaged("its index is not behind the one before, or not below the size")
            last = index
            fields, found = read_line(row["record"], record)
            if root_of_path(record.id, index, report.size, [read_digest(one) for one in row["path"]]) != read_digest(
                document["root"]
            ):
                raise Damaged("its path does not lead to the root")
            named.add(record, found)
        except Damaged as error:
            report.problems.append(f"record {number} of the proof: {error}")
        removed = record.state == SKELETON
        kind = "" if removed else record.kind
        report.records.append(Proven(index, digest_text(record.id), kind, removed, fields))
        references.append(found)
    if not report.records:
        report.problems.append("proof: it is about no record")
    if document["objects"]:
        texts = _prove_objects(document["objects"], named, report)
        for proven, found in zip(report.records, references):
            proven.values = [(digest_text(name), texts[name]) for _, name in found if name in texts]


def _prove_objects(values: list[Any], named: Named, report: Proof) -> dict[bytes, str]:
    """The text of each value of a proof, by id."""
    given = {value["id"] for value in values if isinstance(value, dict) and isinstance(value.get("id"), str)}
    objects = Objects(named.those_in({name[7:] for name in given}))
    for value in values:
        try:
            objects.add(value)
        except Damaged as error:
            report.problems.append(f"objects, line {len(objects.lines)}: {error}")
    report.problems += objects.finish()
    report.problems += named.missing(objects.forms)
    numbers = {line.id: number for number, line in enumerate(objects.lines, 1) if line is not None}
    return {name: as_text(values, numbers[name]) for name in objects.forms if name in numbers}


_SHOWN = 100  # items of a list in a proof that are shown
_SHOWN_TEXT = 4000


def as_text(values: list[dict[str, Any]], number: int) -> str:
    """The content of the value on a line of a proof, as far as it is text. All that it consists of is sound."""
    value = values[number - 1]
    if "mask" in value:
        return f"withheld, {value['withheld']} bytes" if "withheld" in value else "redacted"
    if "map" in value:
        lists = (f"at {position}: {as_text(values, part)}" for position, part in value["lists"])
        return "\n".join([as_text(values, value["map"]), *lists])
    if "list" in value:
        items = [as_text(values, item >> 2) for item in _first_items(values, value["list"])]
        left = [f"... of {value['count']} items"] if value["count"] > len(items) else []
        return "\n".join([*items, *left])
    form = "latin1" if "latin1" in value else "base64"
    return readable(decode_text(value["tag"]), read_bytes(form, value[form]))


def _first_items(values: list[dict[str, Any]], top: int) -> list[int]:
    """The first items of a list, as they stand in its leaves."""
    todo = [top] if top else []
    found: list[int] = []
    while todo and len(found) < _SHOWN:
        line = values[todo.pop() - 1]
        if "leaf" in line:
            found += line["leaf"]
        else:
            todo += reversed(line["node"])
    return found[:_SHOWN]


def readable(tag: str, data: bytes) -> str:
    """Bytes as text: of a string of the default serializer's (MessagePack) what it says, of others what can be read."""
    if tag == "wf1" and data:
        first, wide = data[0], {0xD9: 1, 0xDA: 2, 0xDB: 4}.get(data[0], 0)
        size = int.from_bytes(data[1 : 1 + wide], "big") if wide else first & 31
        if (wide or 0xA0 <= first <= 0xBF) and len(data) == 1 + wide + size:
            data = data[1 + wide :]
    text = data[:_SHOWN_TEXT].decode("utf-8", "replace").replace("\ufffd", "·")
    more = f" ... of {len(data)} bytes" if len(data) > _SHOWN_TEXT else ""
    return "".join(c if c.isprintable() or c in "\n\t" else "·" for c in text) + more


# ================================================================ the command line

_USAGE = 2
_MOST_PROBLEMS = 200  # that are printed


def shown(text: str, most: int = 300) -> str:
    """A text of a file's on one line of a terminal: nothing in it can move the cursor or look like the verdict."""
    said = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[:most])
    return said + " ..." * (len(text) > most)


def describe(report: Report) -> list[str]:
    """What a person reads of an artifact, without the verdict."""
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts.items()))
    said = [
        f"thread      {shown(report.thread or '')!r}" if report.thread is not None else "thread      unknown",
        f"identity    {report.identity}",
        f"head        {report.head}",
        f"root        {report.root}",
        f"records     {report.records} ({counts})",
        f"seals       {report.seals}, over {report.sealed} records; unsealed: {report.unsealed}",
        f"objects     {report.objects} lines",
        f"removed     {report.pruned} records pruned or hidden, {report.redacted} objects redacted",
        f"withheld    {report.withheld} objects, {report.withheld_bytes} bytes",
    ]
    for number, name, head in report.branches:
        current = ", current" if number == report.current else ""
        said.append(f"branch {number:<4} {shown(name)}{current}: {head or 'nothing of it is shown'}")
    said += [f"signature   {line}" for line in report.signatures]
    if report.statement is not None:
        stated = report.statement
        said.append(f"statement   of {stated['records']} records of {shown(decode_text(stated['thread']))!r}")
    return said


def not_shown(report: Report, expected: bool) -> list[str]:
    """What the verification of an artifact does not show."""
    said = ["This does not show:"]
    if not report.signed and report.statement is None:
        said.append("- who made the file. No signature was checked (--key)")
    if not expected and not report.signed and report.statement is None:
        said.append(
            "- that nothing was cut off behind the last seal, or that it is not another thread: compare the head or"
        )
        said.append("  root with one that you have from elsewhere (--expect-head, --expect-root, --statement)")
    said.append("- that the thread had this id; no record holds it")
    if report.unsealed:
        said.append(f"- that the last {report.unsealed} records are all that came: no seal covers them")
    if report.withheld:
        said.append(f"- anything about the content of {report.withheld} withheld objects")
    if report.pruned or report.redacted:
        said.append("- what the removed records and redacted objects held; only that their removal is stated")
    said.append("- that derived/ and README.txt say the truth: they are no evidence")
    return said


def describe_proof(proof: Proof) -> list[str]:
    """What a person reads of a proof, without the verdict."""
    said = [f"thread      {shown(proof.thread or '')!r}", f"root        {proof.root}"]
    names = ("checkpoint_id", "namespace", "run_id", "step_id", "call_id", "of", "id", "node", "type", "name", "model")
    for proven in proof.records:
        kind = "" if proven.removed else f"{proven.kind or 'unknown'} "
        said.append(f"record      {proven.index + 1} of {proof.size}: {kind}{proven.id}")
        if proven.removed:
            said.append("            only that this id is in the tree is shown, not what record it is of or was")
        found = [(name, proven.fields[name]) for name in (*names, "status") if isinstance(proven.fields.get(name), str)]
        said += [f"  {name:<14}{shown(text)}" for name, text in found if text]
        for name, text in proven.values:
            said.append(f"  value       {name}")
            said += [f"    | {shown(line, _SHOWN_TEXT)}" for line in text.splitlines()]
    said.append("This does not show:")
    said.append("- that the thread had this id, nor who made it; the root is one that you trust")
    said.append("- at which place the records stand, how many there are, or which of them was hidden or sealed")
    if any(proven.removed for proven in proof.records):
        said.append("- what the record was of which only the id is given, nor that its content was removed")
    return said


def verdict(ok: bool, problems: list[str], said: list[str], quiet: bool) -> int:
    """Print what was found, and the verdict; the exit code."""
    if not quiet:
        print("\n".join(said))
        for problem in problems[:_MOST_PROBLEMS]:
            print(f"problem     {shown(problem)}")
        if len(problems) > _MOST_PROBLEMS:
            print(f"problem     ... and {len(problems) - _MOST_PROBLEMS} more")
    print("VERIFIED" if ok else "NOT VERIFIED")
    return 0 if ok else 1


_INFLATED_HELP = "of all entries together; default: 1 GiB, or 100 times the size of the file if that is more"


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="wfstore_verify.py", description="Verify a .wfz artifact, or a proof, offline."
    )
    parser.add_argument("file", help="a .wfz file, or the JSON of a proof")
    parser.add_argument(
        "--expect-head", metavar="DIGEST", help="a head kept elsewhere, sha256:...; must be in the chain"
    )
    parser.add_argument("--expect-root", metavar="DIGEST", help="a root kept elsewhere, sha256:...; needed for a proof")
    parser.add_argument("--statement", metavar="FILE", help="a signed head statement that the thread goes on from")
    parser.add_argument("--key", help="the signer's Ed25519 public key: a PEM file, or 64 hexadecimal digits")
    parser.add_argument("--max-inflated", metavar="BYTES", type=int, help=_INFLATED_HELP)
    parser.add_argument("--quiet", action="store_true", help="print the verdict only")
    found = parser.parse_args(arguments)
    for name in ("expect_head", "expect_root"):
        given = getattr(found, name)
        if given is not None and not re.fullmatch("sha256:[0-9a-f]{64}", given):
            parser.error(f"--{name.replace('_', '-')} is a digest: sha256: and 64 hexadecimal digits, in lower case")
    if found.statement is not None and found.key is None:
        parser.error("--statement needs --key, the key that it was signed with")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Verify what the command line names, and print what was found; the exit code."""
    asked = _arguments(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        key = None if asked.key is None else read_key(asked.key)
        with open(asked.file, "rb") as file:
            begin = file.read(4).lstrip()
        if begin[:1] == b"{":
            return _main_proof(asked)
        statement = None if asked.statement is None else Path(asked.statement).read_bytes()
        report = verify_file(
            asked.file,
            expect_head=asked.expect_head,
            expect_root=asked.expect_root,
            key=key,
            statement=statement,
            max_inflated=asked.max_inflated,
        )
    except (OSError, Damaged) as error:
        print(f"wfstore_verify.py: {error}", file=sys.stderr)
        return _USAGE
    expected = asked.expect_head is not None or asked.expect_root is not None
    said = describe(report) + not_shown(report, expected)
    return verdict(report.ok, report.problems, said, asked.quiet)


def _main_proof(asked: argparse.Namespace) -> int:
    if asked.expect_root is None or asked.expect_head or asked.statement or asked.key:
        raise Damaged(
            "a proof is verified against --expect-root, a root that you have from elsewhere, and nothing else"
        )
    proof = verify_proof(Path(asked.file).read_bytes(), asked.expect_root)
    return verdict(proof.ok, proof.problems, describe_proof(proof), asked.quiet)


if __name__ == "__main__":
    sys.exit(main())
