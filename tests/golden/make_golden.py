"""Makes the golden files: `vectors.json` and `thread-v1.db`. They are made once; after a release they never change.

python tests/golden/make_golden.py          # refuses to replace what is there
python tests/golden/make_golden.py --anew   # before the first release only
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from golden_threads import BEGAN, PAIR, build, build_merged, call_record, run_record, secrets, step_record
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langgraph_wfstore import canonical, format
from langgraph_wfstore.appending import trace
from langgraph_wfstore.backends import packing
from langgraph_wfstore.records import (
    BranchRecord,
    Channel,
    CheckpointRecord,
    EndRecord,
    Kind,
    LabelRecord,
    MergeRecord,
    Ref,
    RemovalRecord,
    SealRecord,
    SwitchRecord,
    Usage,
    Write,
    WriteRecord,
)
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.threads import view
from langgraph_wfstore.tracing import normal
from langgraph_wfstore.values import lists, objects

HERE = Path(__file__).parent
VECTORS, FILE = HERE / "vectors.json", HERE / "thread-v1.db"
SECRET = bytes(range(32))


# ---------------------------------------------------------------- the file


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
FULL_RUN: dict[str, Any] = {
    "seq": 2**53,
    "started": BEGAN,
    "name": "größe",
    "parent": "step" + PAIR,
    "checkpoint_id": "",
    "checkpoint_source": "fork",
    "addressed": True,
    "resumes": True,
    "metadata_run_id": "m",
    "durability": "exit",
    "workflow": "sha256:" + "0" * 64,
    "description": Ref("map", ID[0]),
    "input": Ref("object", ID[1]),
}
FULL_STEP: dict[str, Any] = {
    "started": BEGAN + 1,
    "parent": "above",
    "namespace": "parent:1|child:2",
    "checkpoint_id": "1f0" + PAIR,
    "path": "parent:1|child:2|node\udfff:t",
    "node": "node\udfff",
    "task_id": "t",
    "number": -1,
    "attempt": 2**60,
    "triggers": ("", "b", "a", "\ud800"),
    "cached": True,
    "send": 0,
    "input": Ref("list", ID[2]),
}
FULL_CALL: dict[str, Any] = {
    "started": BEGAN,
    "type": "model",
    "step": "",
    "parent": "above",
    "name": "Model" + PAIR,
    "provider": "p",
    "model": "m\udc00",
    "tool_call_id": "tc",
    "parameters": Ref("object", ID[5]),
    "tools": Ref("list", ID[4]),
    "input": Ref("list", ID[3]),
    "content": ID[6],
}
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
    (Kind.BRANCH, BranchRecord(3, "created", ID[0], None, False)),
    (Kind.LABEL, LabelRecord(2, "plan " + PAIR)),
    (Kind.LABEL, LabelRecord(1, None)),
    (Kind.RUN, run_record("", started=0)),
    (Kind.RUN, run_record("run \ud800", **FULL_RUN)),
    (Kind.STEP, step_record("r", "", 0)),
    (Kind.STEP, step_record("run \ud800", "s", 1, **FULL_STEP)),
    (Kind.CALL, call_record("", "c", 0)),
    (Kind.CALL, call_record("r", "c\ud800", 2**53 - 1, **FULL_CALL)),
    (Kind.END, EndRecord("run", "", "r", ID[0], 0, 0, "cancelled")),
    (
        Kind.END,
        EndRecord(
            of="call",
            id="c\ud800",
            run_id="r",
            begin=ID[7],
            seq=4,
            ended=2**70,
            status="error",
            output=Ref("map", ID[8]),
            content=ID[9],
            error=("", "what\udc00" + PAIR),
            usage=Usage(2**60, 0, None, 1, None, -(2**53)),
            cached=True,
            model="",
            response_id="\ud800",
            finish=("stop", "stop"),
            first_token=BEGAN,
            messages=("b", "a"),
            tool_calls=(PAIR,),
            interrupts=("i",),
            checkpoint_id="1f0",
            unattributed=3,
            flags=("a flag",),
        ),
    ),
    (Kind.END, EndRecord("step", "s", "r", ID[0], 0, 1, "ok", usage=Usage(None, None))),
    (Kind.MERGE, MergeRecord(ID[1], ID[2], ID[3])),
    (Kind.MERGE, MergeRecord(ID[4], ID[5], None)),
]
BODIES = {
    Kind.CHECKPOINT: format.checkpoint_body,
    Kind.WRITE: format.write_body,
    Kind.BRANCH: format.branch_body,
    Kind.REMOVAL: format.removal_body,
    Kind.SWITCH: format.switch_body,
    Kind.LABEL: format.label_body,
    Kind.MERGE: format.merge_body,
    **dict.fromkeys(format.TRACE_KINDS, format.trace_record_body),
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
LINKS = [("run", "a step"), ("call", "\ud800"), ("tool", ""), ("message", PAIR)]
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
    removed.append((ID[0], 8, 2, format.skeleton_body("", "run", None, True)))
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
        "links": [{"what": what, "id": canonical.text(name), "link": trace.link(what, name)} for what, name in LINKS],
        "contents": [{"value": name, **_content(value)} for name, value in contents().items()],
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


def contents() -> dict[str, Any]:
    """Contents by name, for what a keyed digest is made of."""
    called = AIMessage("Größe?", tool_calls=[{"name": "look", "args": {"b": 1, "a": [2.5, None]}, "id": "t1"}], id="a")
    blocks = [{"type": "text", "text": "see"}, {"type": "image", "url": "https://example.org/a.png"}]
    return {
        "a text": "größe \U0001f600\n",
        "a text that is JSON": '{"b": 1, "a": [true, null]}',
        "arguments": {"path": ("a", "b"), "n": 2**64 - 1, "data": b"\0\1"},
        "a surrogate": {"größe": "\ud800"},
        "a large integer": {"größe": 2**70},
        "one message": HumanMessage(blocks, id="h"),
        "messages": [HumanMessage("hello", name="somebody"), called, ToolMessage('[{"x": "é"}]', tool_call_id="t1")],
        "a list": [],
    }


def _content(value: Any) -> dict[str, Any]:
    """Form, key and keyed digest of a content in a thread whose secret is SECRET."""
    key = normal.content_key(value)
    messages = isinstance(value, list) and bool(value)
    found = trace.keyed(objects.Lineage(SECRET, 0, complete=True), key)
    form = normal.normalised(value)
    return {"messages": messages, "form": form, "key": key.hex(), "content": found.hex()}


def _form(value: Any) -> dict[str, Any]:
    """Form and id of a value in a thread whose secret is SECRET, and its lists' items: "flag length SHA-256"."""
    from langgraph_wfstore.codec import Codec, EncodedList, EncodedMap
    from langgraph_wfstore.serde import WfSerializer
    from langgraph_wfstore.values.memo import Memo

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
    with WfStore.open(":memory:", lineage_secret=secrets().__next__) as store:
        build_merged(store)
        found["merged"] = {"records": store.threads()[0].records, "head": store.thread("merged").head}
    VECTORS.write_text(json.dumps(found, indent=1, ensure_ascii=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
