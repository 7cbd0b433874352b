"""A second writer of artifacts, from FORMAT.md, section 15: simple, in memory, and without a look at the exporter.

`contents` reads a thread of an open store; `members`, `manifest_of` and `archive` make a file of what it found, which a
test may have changed meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_wfstore.backends.base import KEPT, LIST, MAP, REDACTED, SKELETON, ObjectRow, RecordRow
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.values.lists import apply_splice, base_of, unpack_numbers
from langgraph_wfstore.values.objects import nonce_for
from langgraph_wfstore.values.reading import map_numbers

KINDS = ("checkpoint", "write", "branch", "removal", "switch", "run", "step", "call", "end", "label", "merge")
REFS = {
    "run": ("description", "input"),
    "step": ("input",),
    "call": ("parameters", "tools", "input"),
    "end": ("output",),
}
README = b"A thread of langgraph_wfstore.\n"
MIMETYPE = b"application/vnd.langgraph-wfstore.thread+zip"
MEMBER = 1048576
Json = Any


def canonical(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def text(value: str) -> Json:
    """A user's text, as records hold it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        wide = value.encode("utf-16-be", "surrogatepass")
        same = wide.decode("utf-16-be", "surrogatepass") == value
        return {"u16": wide.hex()} if same else {"u8": value.encode("utf-8", "surrogatepass").hex()}
    return value


@dataclass
class Contents:
    """The lines of a thread, and what a manifest says besides."""

    records: list[Json]
    objects: list[Json]
    thread: Json
    branches: list[Json]
    current: int


# ---------------------------------------------------------------- from a store


def contents(store: WfStore, thread_id: str, withhold: Callable[[ObjectRow], bool] = lambda row: False) -> Contents:
    """A thread as an artifact has it.

    Args:
        withhold: whether the content of an object is left out.
    """
    tail = store.backend.find(thread_id.encode("utf-8", "surrogatepass"))
    assert tail is not None
    rows = store.backend.records(tail.row.number or 0, 0, 10**9)
    bodies = [json.loads(row.body) for row in rows if row.kind == 0 and row.state != SKELETON]
    metadata = {_named({**body, "channels": [], "extra": None})[0].removeprefix("sha256:") for body in bodies}
    objects = _Objects(store.backend.all_objects(tail.row.lineage or 0), tail.row.secret, withhold, metadata)
    missing: dict[int, list[str]] = {}
    for row in rows:
        for ref, number in zip(_references(row), unpack_numbers(row.refs), strict=True):
            if not (number or objects.is_there(ref)):
                missing.setdefault(row.seq, []).append(f"sha256:{ref}")
            else:
                objects.place(ref)
    branches = [[b.number, b.name, b.base, b.head] for b in tail.branches if b.name] or [
        [0, b"main", None, _head(rows)]
    ]
    ids = {row.seq: "sha256:" + row.id.hex() for row in rows}
    return Contents(
        records=[_line(row, missing.get(row.seq, [])) for row in rows],
        objects=objects.lines,
        thread=text(thread_id),
        branches=[
            [number, text(name.decode("utf-8", "surrogatepass")), ids.get(base or 0), ids.get(head or 0)]
            for number, name, base, head in branches
        ],
        current=tail.row.current,
    )


def _line(row: RecordRow, missing: list[str]) -> Json:
    line: dict[str, Json] = {"id": "sha256:" + row.id.hex()}
    if row.state == SKELETON:
        line |= {"state": "removed", "kind": KINDS[row.kind], "left": json.loads(row.body)}
    else:
        line["body"] = json.loads(row.body)
        line |= {} if row.state == KEPT else {"state": "hidden"}
        line |= {"missing": [*dict.fromkeys(missing)]} if missing else {}
    line |= {"position": row.position} if row.kind == 0 else {}
    return line | ({} if row.seal is None else {"seal": "sha256:" + row.seal.hex()})


def _references(row: RecordRow) -> list[str]:
    """The ids of the values that a record names, in hexadecimal."""
    return [] if row.state == SKELETON else [name.removeprefix("sha256:") for name in _named(json.loads(row.body))]


def _named(body: Json) -> list[str]:
    """The ids of the values that a body names."""
    found = {
        "checkpoint": lambda: [*(channel[2] for channel in body["channels"]), body["metadata"], body["extra"]],
        "write": lambda: [write[2] for write in body["writes"]],
    }.get(body["kind"], lambda: [body.get(name) for name in REFS.get(body["kind"], ())])()
    return [next(iter(ref.values())) if isinstance(ref, dict) else ref for ref in found if ref is not None]


def _head(rows: list[RecordRow]) -> int | None:
    """The last checkpoint of the root namespace, or the nearest ancestor of it that is kept."""
    places = {}
    for row in (row for row in rows if row.kind == 0):
        body = json.loads(row.body)
        namespace, own, parent = (
            body[:3]
            if row.state == SKELETON
            else (body["namespace"], body["checkpoint_id"], body["parent_checkpoint_id"])
        )
        if namespace == "":
            places[str(own)] = (row, str(parent))
    found = next(reversed(places.values()), None)
    while found is not None and found[0].state != KEPT:
        found = places.get(found[1])
    return None if found is None else found[0].seq


class _Objects:
    """The lines of the `objects` members; each value gets one when something names it first."""

    def __init__(
        self, rows: Iterable[ObjectRow], secret: bytes, withhold: Callable[[ObjectRow], bool], metadata: set[str]
    ) -> None:
        self.lines: list[Json] = []
        self._metadata = metadata
        self._secret = secret
        self._withhold = withhold
        self._rows = {row.number: row for row in rows}
        self._by_id = {row.id.hex(): row for row in self._rows.values()}
        self._numbers: dict[Any, int] = {}  # of lines, by id, or by what a leaf or node names

    def is_there(self, name: str) -> bool:
        """Whether a value has a line."""
        return name in self._numbers

    def place(self, name: str) -> int:
        """The number of a value's line, after it and what it consists of have theirs; 0 if it is gone."""
        row = self._by_id.get(name)
        if row is None or name in self._numbers:
            return self._numbers.get(name, 0)
        line: dict[str, Json] = {"id": "sha256:" + name}
        if row.form == LIST:
            items = [(n & 3, self.place(self._rows[n >> 2].id.hex())) for n in self._items(row)]
            line |= {"list": self._tree(items), "count": len(items)}
        elif row.form == MAP:
            shell, lists = map_numbers(row.data)
            self._metadata |= {self._rows[shell].id.hex()} if name in self._metadata else set()
            line["map"] = self.place(self._rows[shell].id.hex())
            line["lists"] = [[at, self.place(self._rows[n].id.hex())] for at, n in lists]
        elif row.form == REDACTED:
            line["mask"] = json.loads(row.data)
        elif self._withhold(row):
            counters = {"counters": []} if name in self._metadata else {}
            line |= {"mask": {"type": "unknown", **counters}, "withheld": len(row.data)}
        else:
            line |= self._content(row)
        return self._add(name, line)

    def _add(self, key: Any, line: Json) -> int:
        if key not in self._numbers:
            self.lines.append(line)
            self._numbers[key] = len(self.lines)
        return self._numbers[key]

    def _content(self, row: ObjectRow) -> Json:
        nonce = row.nonce or nonce_for(self._secret, hashlib.sha256(row.data).digest())
        narrow, wide = row.data.decode("latin-1"), base64.b64encode(row.data).decode()
        short = len(canonical(narrow)) <= len(wide) + 2
        return {"tag": text(row.tag), "nonce": nonce.hex(), **({"latin1": narrow} if short else {"base64": wide})}

    def _items(self, row: ObjectRow) -> list[int]:
        base = base_of(row.data)
        return apply_splice(row.data, self._items(self._rows[base]) if base else [])

    def _tree(self, items: list[tuple[int, int]]) -> int:
        """The number of the line of a tree's top, after all of it has lines, level by level."""
        if not items:
            return 0
        ids = {number: bytes.fromhex(self.lines[number - 1]["id"][7:]) for _, number in items}
        strings = [bytes([flag]) + ids[number] for flag, number in items]
        numbers, kind = [number << 2 | flag for flag, number in items], "leaf"
        while True:
            grouped: list[tuple[bytes, int]] = []
            for run in _runs(strings):
                named, numbers = numbers[: len(run)], numbers[len(run) :]
                grouped.append((_digest(f"list-{kind}", b"".join(run)), self._add((kind, *named), {kind: named})))
            strings, numbers, kind = [name for name, _ in grouped], [number for _, number in grouped], "node"
            if len(grouped) == 1:
                return numbers[0]


def _runs(strings: list[bytes]) -> Iterable[list[bytes]]:
    run: list[bytes] = []
    for string in strings:
        run.append(string)
        if len(run) == 1024 or (len(run) > 1 and string[-1] & 31 == 0):
            yield run
            run = []
    if run:
        yield run


def _digest(kind: str, part: bytes) -> bytes:
    return hashlib.sha256(b"wfstore/1 " + kind.encode() + b"\0" + len(part).to_bytes(8, "big") + part).digest()


# ---------------------------------------------------------------- to a file


def members(made: Contents, readme: bytes = README, derived: bytes = b"") -> dict[str, bytes]:
    """Every entry but `mimetype`, `manifest.json` and signatures, in their order."""
    records, objects = _folder("records", made.records), _folder("objects", made.objects)
    index = {"index/records.txt": _index(records), "index/objects.txt": _index(objects)}
    return {"README.txt": readme, **records, **objects, **index, "derived/messages.txt": derived}


def _folder(name: str, lines: list[Json]) -> dict[str, bytes]:
    found: list[bytes] = []
    for line in lines:
        if not found or len(found[-1]) >= MEMBER:
            found.append(b"")
        found[-1] += canonical(line) + b"\n"
    return {f"{name}/{number:06d}.jsonl": data for number, data in enumerate(found, 1)}


def _index(folder: Mapping[str, bytes]) -> bytes:
    found = []
    for number, data in enumerate(folder.values(), 1):
        at = 0
        for line in data.splitlines(keepends=True):
            value = json.loads(line)
            if "id" in value:
                found.append(f"{value['id'][7:]} {number:06d} {at:012d} {len(line) - 1:012d}\n")
            at += len(line)
    return "".join(sorted(found)).encode()


def merkle_root(ids: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, as it is written there."""
    if len(ids) < 2:
        return hashlib.sha256(b"\0" + ids[0] if ids else b"").digest()
    left = 1
    while left * 2 < len(ids):
        left *= 2
    return hashlib.sha256(b"\1" + merkle_root(ids[:left]) + merkle_root(ids[left:])).digest()


def inclusion_path(index: int, ids: list[bytes]) -> list[bytes]:
    """RFC 9162, section 2.1.3.1."""
    if len(ids) == 1:
        return []
    left = 1
    while left * 2 < len(ids):
        left *= 2
    if index < left:
        return [*inclusion_path(index, ids[:left]), merkle_root(ids[left:])]
    return [*inclusion_path(index - left, ids[left:]), merkle_root(ids[:left])]


def ids_of(made: Contents) -> list[bytes]:
    return [bytes.fromhex(line["id"][7:]) for line in made.records]


def manifest_of(made: Contents, files: Mapping[str, bytes], **changes: Json) -> Json:
    """The manifest of a thread whose members are these."""
    sealed = [number for number, line in enumerate(made.records, 1) if "seal" in line]
    stated: dict[str, Json] = {
        "format": 1,
        "kind": "artifact",
        "thread": made.thread,
        "records": len(made.records),
        "counts": Counter(line["kind"] if "left" in line else line["body"]["kind"] for line in made.records),
        "sealed": max(sealed, default=0),
        "seals": len(sealed),
        "head": made.records[sealed[-1] - 1]["seal"] if sealed else None,
        "root": "sha256:" + merkle_root(ids_of(made)).hex(),
        "branches": made.branches,
        "current": made.current,
        "objects": len(made.objects),
        "redacted": sum("mask" in line and "withheld" not in line for line in made.objects),
        "withheld": sum("withheld" in line for line in made.objects),
        "withheld_bytes": sum(line.get("withheld", 0) for line in made.objects),
        "members": [
            {"name": name, "size": len(data), "digest": sha256(data)}
            | ({"lines": data.count(b"\n")} if name.endswith(".jsonl") else {})
            for name, data in files.items()
        ],
    }
    return stated | changes


def entries(made: Contents, signatures: Mapping[str, bytes] | None = None, **changes: Json) -> dict[str, bytes]:
    """All entries of an artifact, in their order."""
    files = members(made)
    manifest = canonical(manifest_of(made, files, **changes))
    signed = {f"signatures/{name}.json": data for name, data in sorted((signatures or {}).items())}
    return {"mimetype": MIMETYPE, "manifest.json": manifest, **files, **signed}


def archive(files: Mapping[str, bytes] | Iterable[tuple[str, bytes]], deflate: Collection[str] = ()) -> bytes:
    """The ZIP archive of these entries.

    Args:
        deflate: the names of those that are deflated.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in files.items() if isinstance(files, Mapping) else files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED if name in deflate else zipfile.ZIP_STORED
            file.writestr(info, data)
    return out.getvalue()


def artifact(store: WfStore, thread_id: str, deflate: bool = False, **options: Any) -> bytes:
    """The artifact of a thread."""
    files = entries(contents(store, thread_id, **options))
    return archive(files, [name for name in files if name != "mimetype"] if deflate else ())


# ---------------------------------------------------------------- a proof


def proof(made: Contents, indexes: list[int], values: bool = True) -> Json:
    """A proof that these records, by their place from 0, are in the thread."""
    ids = ids_of(made)
    lines = [made.records[index] for index in indexes]
    return {
        "format": 1,
        "kind": "proof",
        "thread": made.thread,
        "root": "sha256:" + merkle_root(ids).hex(),
        "size": len(ids),
        "records": [
            {"index": index, "path": ["sha256:" + part.hex() for part in inclusion_path(index, ids)], "record": line}
            for index, line in zip(indexes, lines, strict=True)
        ],
        "objects": _Chosen(made.objects).lines_for(lines) if values else [],
    }


class _Chosen:
    """The lines of some values out of those of a thread, numbered anew."""

    def __init__(self, lines: list[Json]) -> None:
        self._old = lines
        self._numbers = {line["id"]: number for number, line in enumerate(lines, 1) if "id" in line}
        self._new: dict[int, int] = {}
        self._lines: list[Json] = []

    def lines_for(self, records: list[Json]) -> list[Json]:
        for line in records:
            for name in _named(line["body"]) if "body" in line else []:
                if name in self._numbers:
                    self._place(self._numbers[name])
        return self._lines

    def _place(self, number: int) -> int:
        line = dict(self._old[number - 1])
        if number not in self._new:
            if "map" in line:
                line["map"], line["lists"] = self._place(line["map"]), [[at, self._place(n)] for at, n in line["lists"]]
            elif line.get("list"):
                levels = [[line["list"]]]
                while "node" in self._old[levels[0][0] - 1]:
                    levels.insert(0, [n for parent in levels[0] for n in self._old[parent - 1]["node"]])
                for item in (n >> 2 for leaf in levels[0] for n in self._old[leaf - 1]["leaf"]):
                    self._place(item)
                for part in (n for level in levels for n in level):
                    self._place(part)
                line["list"] = self._new[line["list"]]
            elif "leaf" in line:
                line["leaf"] = [self._new[n >> 2] << 2 | n & 3 for n in line["leaf"]]
            elif "node" in line:
                line["node"] = [self._new[n] for n in line["node"]]
            self._lines.append(line)
            self._new[number] = len(self._lines)
        return self._new[number]
