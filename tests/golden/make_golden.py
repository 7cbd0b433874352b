"""Makes the golden files: `vectors.json` and `thread-v1.db`. They are made once; after a release they never change.

python tests/golden/make_golden.py          # refuses to replace what is there
python tests/golden/make_golden.py --anew   # before the first release only
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_wfstore import canonical, format, lists, objects, view
from langgraph_wfstore.backends import packing
from langgraph_wfstore.putting import CheckpointInput, WritesInput
from langgraph_wfstore.records import (
    BranchRecord,
    Channel,
    CheckpointRecord,
    Kind,
    Ref,
    RemovalRecord,
    SealRecord,
    SwitchRecord,
    Write,
    WriteRecord,
)
from langgraph_wfstore.store import WfStore

HERE = Path(__file__).parent
VECTORS, FILE = HERE / "vectors.json", HERE / "thread-v1.db"
SECRET = bytes(range(32))
PAIR = "\ud83d" + "\ude00"  # two code points, not one character


# ---------------------------------------------------------------- the file


def secrets() -> Iterator[bytes]:
    """The lineage secrets of the golden threads, in the order of their start."""
    for number in range(1, 100):
        yield bytes([number]) * 32


def build(store: WfStore) -> None:
    """Every operation behind the golden file: plain data in the thread "plain", messages in the thread "chat"."""
    _plain(store)
    _chat(store)
    store.copy_thread("plain", "copy of plain")


def _put(
    store: WfStore,
    thread: str,
    number: int,
    parent: int | None,
    values: dict[str, Any],
    namespace: str = "",
    **metadata: Any,
) -> None:
    new = CheckpointInput(
        namespace=namespace,
        checkpoint_id=f"c{number:04d}",
        parent=None if parent is None else f"c{parent:04d}",
        values=values,
        versions={
            **dict.fromkeys(values, number),
            "größe": float(number),
            "text": f"{number:05d}.x",
            "big": 2**70 + number,
        },
        new_versions=list(values),
        versions_seen={"agent": dict.fromkeys(values, number - 1), "z" + PAIR: {"\ud800": 1}},
        updated_channels=sorted(values),
        v=4,
        ts=f"2026-01-01T00:00:{number:02d}+00:00",
        metadata={"source": "loop", "step": number, "run_id": f"run-{number // 8}", **metadata},
        extra={"pending_sends": []} if number % 5 == 0 else {},
    )
    store.put_checkpoint(thread, new, store.codec)


def _write(
    store: WfStore, thread: str, number: int, task: str, *writes: tuple[int, str, Any], ends: bool = False
) -> None:
    new = WritesInput("", f"c{number:04d}", task, f"~__pregel_pull, {task}", writes, ends_run=ends)
    store.put_writes(thread, new, store.codec)


def _plain(store: WfStore) -> None:
    rows: list[Any] = []
    for number in range(1, 21):
        rows.append({"row": number, "text": f"a line of some length, number {number}, " * (1 + number % 3)})
        values = {
            "rows": list(rows),
            "numbers": list(range(400 + number)),
            "small": [{"n": n} for n in range(30 + number)],
            "state": {
                "name": "größe \ud800 " + PAIR,
                "plan": [f"step {n} of the plan: " + "x" * 40 for n in range(number)],
            },
            "none": None,
            "empty": b"",
        }
        delta = {"counters_since_delta_snapshot": {"log": [number % 4, 1]}}
        if number % 4 == 0:
            values["log"] = [f"entry {n}" for n in range(number)]
        _write(store, "plain", number - 1, f"task-{number}", (0, "log", [f"entry {number}"]), (1, "other", number))
        _put(store, "plain", number, number - 1 if number > 1 else None, values, **delta)
        if number in (10, 20):
            _put(store, "plain", number + 50, None, {"inner": number}, "child:1", parents={"": f"c{number:04d}"})
    _put(store, "plain", 30, 7, {"none": "a fork"}, source="fork")
    store.prune(["plain"])
    for number in (21, 22, 23):
        _put(store, "plain", number, number - 1, {"rows": rows[:number], "log": list(range(number))})
    _put(store, "plain", 31, 21, {"none": "a fork of what is kept"}, source="update")
    _write(store, "plain", 23, "late", (0, "log", ["not yet sealed"]))


def _chat(store: WfStore) -> None:
    messages: list[BaseMessage] = []
    for number in range(1, 13):
        messages.append(HumanMessage(f"Question {number}: what is {number} times {number}?", id=f"h{number}"))
        messages.append(AIMessage(f"It is {number * number}.", id=f"a{number}", response_metadata={"model": "m"}))
        _put(store, "chat", number, number - 1 if number > 1 else None, {"messages": list(messages), "turns": number})
    _write(store, "chat", 12, "ask", (-3, "__interrupt__", [{"value": "go on?", "id": "i1"}]), ends=True)
    _write(store, "chat", 12, "ask", (-4, "__resume__", ["no"]))
    _write(store, "chat", 12, "ask", (-4, "__resume__", ["no", "yes"]))
    _write(store, "chat", 12, "ask", (0, "messages", messages[-1:]))
    _put(store, "chat", 13, 12, {"messages": messages[4:], "turns": 13})
    _put(store, "chat", 40, 6, {"messages": messages[:6], "turns": 4}, source="fork")
    store.delete_for_runs(["run-0"])
    _put(store, "chat", 41, 40, {"messages": messages[:8], "turns": 5})


def make_file() -> None:
    """Write `thread-v1.db`."""
    FILE.unlink(missing_ok=True)
    with WfStore.open(FILE, lineage_secret=secrets().__next__) as store:
        build(store)
        store.compact()


# ---------------------------------------------------------------- the vectors

ID = [hashlib.sha256(b"golden id %d" % number).digest() for number in range(10)]
CHECKPOINT = CheckpointRecord(
    namespace="parent:1|child:2",
    checkpoint_id="1f0" + PAIR,
    parent=ID[0],
    parent_checkpoint_id="1ef",
    channels=(
        Channel("a", 1, Ref("object", ID[1])),
        Channel("größe", 2.5, Ref("list", ID[2])),
        Channel("\ud800", 2**60, Ref("map", ID[3])),
        Channel("\U0001f600", "00002.0.5", None),
        Channel("\U0001f601", None, Ref("object", ID[4])),
    ),
    versions_seen=(("__input__", ()), ("agent", (("a", 1), ("b", "x")))),
    updated_channels=("b", "a"),
    v=4,
    ts="2026-01-01T00:00:00.000001+00:00",
    metadata=Ref("map", ID[5]),
    extra=Ref("object", ID[6]),
    source="loop",
    step=-1,
    run_id="run",
    parents=(("", "1e0"),),
)
FIRST = CheckpointRecord("", "1", None, None, (), (), None, 1, "", Ref("object", ID[7]), None, None, None, None, ())
RECORDS: list[tuple[Kind, Any]] = [
    (Kind.CHECKPOINT, CHECKPOINT),
    (Kind.CHECKPOINT, FIRST),
    (
        Kind.WRITE,
        WriteRecord(
            "",
            "1",
            "task",
            "~__pregel_pull, größe",
            (Write(-4, "__resume__", Ref("object", ID[1]), ID[2]), Write(0, "a", Ref("list", ID[3]), None)),
        ),
    ),
    (Kind.BRANCH, BranchRecord(1, "fork-1", ID[0], ID[1], True)),
    (Kind.BRANCH, BranchRecord(2, "\ud800", None, ID[2], False)),
    (Kind.REMOVAL, RemovalRecord("prune", 12, ID[3])),
    (Kind.SWITCH, SwitchRecord(1, ID[4])),
]
BODIES = {
    Kind.CHECKPOINT: format.checkpoint_body,
    Kind.WRITE: format.write_body,
    Kind.BRANCH: format.branch_body,
    Kind.REMOVAL: format.removal_body,
    Kind.SWITCH: format.switch_body,
}
TEXTS = [
    "",
    "a",
    "größe",
    "\U0001f600",
    '"\\/\b\t\n\f\r\0\x1f\x7f\u2028',
    "\ud800",
    "a\udc00\ud800b",
    PAIR,
    PAIR + "\ud800",
]
TEXTS += ["\U0001f600\ud800", "\ud800\U0001f600"]
VERSIONS: list[Any] = [0, 1, -1, 2**53 - 1, 2**53, -(2**53), 10**30, "", "00002.0.5", "\ud800", 1.0, -0.0, 0.1, 1e-05]
VERSIONS += [0.0001, 1e16, 123456789012345.0, 1e22, 5e-324, float("inf"), float("-inf"), float("nan")]
CANONICAL: list[Any] = [
    None,
    True,
    [],
    {},
    {"b": 1, "a": [False, -5, ""]},
    {"a": {"c": None, "B": "\x00é\U0001f600\x7f"}},
]
REFUSED = [
    '{"b":1,"a":2}',
    "[1, 2]",
    "1.0",
    "1e3",
    "-0",
    "9007199254740992",
    '"\\u00e9"',
    '{"a":1,"a":1}',
    "[1]\n",
    '"\\/"',
    "01",
]
DIGESTS: list[tuple[str, list[bytes]]] = [
    ("object", []),
    ("object", [b""]),
    ("object", [b"", b""]),
    ("list", [b"ab", b"c"]),
]
DIGESTS += [("list", [b"a", b"bc"]), ("seal", [bytes(300)])]
LISTS = {"seeded": [0, 1, 2, 33, 1024, 1025, 5000], "never": [1, 1024, 1025, 2049], "always": [1, 2, 3, 5, 100]}
SPLICES: list[tuple[list[int], list[int]]] = [
    ([], [4, 8, 12]),
    (list(range(4, 4000, 4)), [*range(4, 2000, 4), 9001, 3, *range(2000, 4000, 4)]),
    ([4, 8, 12, 16], [16, 12, 8, 4]),
]


def items_of(kind: str, count: int) -> list[bytes]:
    """Items of a list vector: flags 0, 1, 2 by turns, and ids that end a run now and then, never, or always."""
    ids = [hashlib.sha256(b"golden item %d" % number).digest() for number in range(count)]
    last = {"never": b"\1", "always": b"\0"}.get(kind)
    return [bytes((number % 3,)) + (name if last is None else name[:-1] + last) for number, name in enumerate(ids)]


def vectors() -> dict[str, Any]:
    """All vectors, as the package computes them now."""
    seals: list[Any] = []
    previous = None
    for ordinal, ids in enumerate([[ID[3], ID[1], ID[2]], [ID[9]], [ID[4], ID[5]]]):
        seal = SealRecord(ordinal, previous, tuple(ids))
        previous = format.seal_id(seal)
        body = format.seal_body(seal)
        seals.append({"records": [i.hex() for i in ids], "body": body.decode(), "id": previous.hex()})
    removed = [(ID[2], 0, 2, format.skeleton_body("", "c\ud800", None, True)), (ID[1], 1, 1, b"")]
    objects_ = [("wf1", b""), ("bytes", b""), ("null", b""), ("wf1", b"\xa5hello"), ("tag é", bytes(1000))]
    packed = [(b"", 1), (b"short", 1), (b"to be packed with the dictionary, ", 4), (bytes(range(256)), 100)]
    return {
        "format": 1,
        "dictionary-1 sha256": hashlib.sha256(
            files("langgraph_wfstore.backends").joinpath("dictionary-1.zdict").read_bytes()
        ).hexdigest(),
        "digests": [
            {"kind": k, "parts": [p.hex() for p in ps], "digest": canonical.digest(k, *ps).hex()} for k, ps in DIGESTS
        ],
        "canonical": [{"value": v, "bytes": canonical.encode(v).hex()} for v in CANONICAL],
        "refused": REFUSED,
        "texts": [{"code points": [ord(c) for c in t], "json": canonical.text(t)} for t in TEXTS],
        "order of names": [canonical.text(t) for t in sorted(TEXTS, key=canonical.utf8)],
        "versions": [{"type": type(v).__name__, "text": _spelled(v), "json": canonical.version(v)} for v in VERSIONS],
        "objects": [
            {"secret": SECRET.hex(), "tag": tag, "bytes": data.hex(), **_object(tag, data)} for tag, data in objects_
        ],
        "lists": [
            {"items": kind, "count": count, "id": lists.list_id(items_of(kind, count)).hex()}
            for kind, counts in LISTS.items()
            for count in counts
        ],
        "maps": [
            {
                "shell": ID[0].hex(),
                "lists": [[at, name.hex()] for at, name in holes],
                "id": objects.map_id(ID[0], holes).hex(),
            }
            for holes in ([(0, ID[1])], [(1, ID[1]), (300, ID[2])])
        ],
        "records": [
            {"kind": k.value, "body": BODIES[k](r).decode(), "id": format.record_id(k, BODIES[k](r)).hex()}
            for k, r in RECORDS
        ],
        "seals": seals,
        "removed": {
            "parts": [[name.hex(), kind, state, remains.hex()] for name, kind, state, remains in removed],
            "digest": format.removed_digest(removed).hex(),
        },
        "index": {
            "anchor": view.anchor_of("ns\ud800", "id"),
            "namespace": view.space_of("ns\ud800"),
            "root": view.space_of(""),
            "run": view.run_of("run"),
        },
        "packed": [{"stored": packing.pack(unit * n).hex(), "bytes": unit.hex(), "times": n} for unit, n in packed],
        "stored lists": [_splice(base, numbers) for base, numbers in SPLICES],
        "values": [{"value": name, **_form(value)} for name, value in values().items()],
    }


def _spelled(version: Any) -> list[int] | str:
    return [ord(c) for c in version] if isinstance(version, str) else repr(version)


def _object(tag: str, data: bytes) -> dict[str, str]:
    key = hashlib.sha256(data).digest()
    nonce = objects.nonce_for(SECRET, key)
    return {"key": key.hex(), "nonce": nonce.hex(), "id": objects.object_id(tag, nonce, key).hex()}


def _splice(base: list[int], numbers: list[int]) -> dict[str, Any]:
    previous = lists.StoredList(7, (), tuple(base), 0, None) if base else None
    data, _ = lists.splice_for(numbers, previous)
    return {"base": base, "stored": data.hex(), "numbers": numbers}


def values() -> dict[str, Any]:
    """Values by name, for the rules that say what is an object, a list or a map."""
    return {
        "400 integers": list(range(400)),
        "300 integers": list(range(300)),
        "10000 zeros": [0] * 10_000,
        "2000 short texts": [f"text {n}" for n in range(2000)],
        "text of 48, 40 times": ["é" * 48] * 40,
        "text of 49, 40 times": ["é" * 49] * 40,
        "8 empty dicts": [{}] * 8,
        "7 empty dicts": [{}] * 7,
        "200 small dicts": [{"n": n} for n in range(200)],
        "small and large": [{"n": "x" * (n * 7 % 130)} for n in range(60)],
        "dict with lists": {"a": 1, "b": list(range(400)), "c": [], "d": ["x"], "e": [{"n": n} for n in range(9)]},
        "dict without": {"a": [1, 2, 3], "b": {"c": list(range(400))}},
        "tuple": tuple(range(400)),
    }


def _form(value: Any) -> dict[str, Any]:
    """Form and id of a value in a thread whose secret is SECRET, and its lists' items: "flag length SHA-256"."""
    from langgraph_wfstore.codec import Codec, EncodedList, EncodedMap
    from langgraph_wfstore.memo import Memo
    from langgraph_wfstore.serde import WfSerializer

    encoded = Codec(WfSerializer(), Memo()).encode(value, "a value")
    placement = objects.Placement(objects.Lineage(SECRET, 0, complete=True), lambda ids: {})
    placement.prepare([encoded])
    ref = placement.ref(encoded)

    def items(found: EncodedList) -> list[Any]:
        pairs = zip(found.flags, found.leaves, strict=True)
        return [f"{flag} {len(leaf.data)} {leaf.key.hex()[:12]}" for flag, leaf in pairs]

    out: dict[str, Any] = {"form": ref.form, "id": ref.id.hex()}
    if isinstance(encoded, EncodedList):
        out["items"] = items(encoded)
    elif isinstance(encoded, EncodedMap):
        out["lists"] = [[at, items(found)] for at, found in encoded.holes]
    return out


def main() -> None:
    """Write both files."""
    if "--anew" not in sys.argv and (VECTORS.exists() or FILE.exists()):
        sys.exit("the golden files are there and do not change; see the first lines of this script")
    make_file()
    found = vectors()
    with TemporaryDirectory() as folder, WfStore.open(shutil.copy(FILE, folder)) as store:
        found["file"] = {
            i.thread_id: {"records": i.records, "head": store.thread(i.thread_id).head} for i in store.threads()
        }
    VECTORS.write_text(json.dumps(found, indent=1, ensure_ascii=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
