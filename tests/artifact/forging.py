"""Threads that are what their ids say, and yet cannot be: records are changed, and what hashes them is made anew."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from by_hand import KINDS, Contents, canonical, contents

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.backends.base import LIST, MAP, OBJECT, SKELETON, Backend, ObjectRow, RecordRow
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.testing.material import THREAD, checkpoint_of, config_of, metadata_of
from langgraph_wfstore.values.content import Content
from langgraph_wfstore.values.lists import FLAG_BITS, items_of, list_id
from langgraph_wfstore.values.objects import map_id, nonce_for, object_id
from langgraph_wfstore.values.reading import map_numbers

Body = dict[str, Any]
Other = Callable[[ObjectRow], tuple[str, bytes] | None]


def digest(kind: str, *parts: bytes) -> str:
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return "sha256:" + hashlib.sha256(b"wfstore/1 " + kind.encode() + b"\0" + framed).hexdigest()


def forge(made: Contents, change: Callable[[int, Body, list[str]], None]) -> Contents:
    """Change the bodies of a thread, and compute every id, seal and statement anew.

    Args:
        change: gets the number of each record, from 0, its body, and the new ids of those before it.
    """
    new: dict[str, str] = {}
    ids: list[str] = []
    removals = [n for n, line in enumerate(made.records) if line.get("body", {}).get("kind") == "removal"]
    for number, line in enumerate(made.records):
        if "body" in line:
            line["body"] = _replaced(line["body"], new)
            if number in removals[-1:]:
                _restate(made, number, line["body"])
            change(number, line["body"], ids)
            old, line["id"] = line["id"], digest(line["body"]["kind"], canonical(line["body"]))
            new[old] = line["id"]
        ids.append(line["id"])
    made.branches = _replaced(made.branches, new)
    seal_anew(made)
    return made


def seal_anew(made: Contents) -> None:
    """The chain of seals over the records as they are."""
    previous, ordinal, arrived = None, 0, []
    for line in made.records:
        arrived.append(bytes.fromhex(line["id"][7:]))
        if "seal" in line:
            body = {
                "format": 1,
                "kind": "seal",
                "ordinal": ordinal,
                "previous": previous,
                "records": ["sha256:" + name.hex() for name in sorted(arrived)],
                "order": digest("order", *arrived),
            }
            previous = line["seal"] = digest("seal", canonical(body))
            ordinal, arrived = ordinal + 1, []


def _restate(made: Contents, number: int, body: Body) -> None:
    parts = []
    for line in made.records[:number]:
        kind = line.get("kind") or line["body"]["kind"]
        if "state" in line:
            left = canonical(line["left"]) if "left" in line else b""
            state = 2 if "left" in line else 1
            parts.append(bytes.fromhex(line["id"][7:]) + bytes([KINDS.index(kind), state]) + left)
    parts += [
        bytes.fromhex(line["id"][7:]) + b"\xff\3" + canonical(line["mask"])
        for line in made.objects
        if "mask" in line and "withheld" not in line
    ]
    body["digest"] = digest("removed", *sorted(parts))


def _replaced(value: Any, new: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, new) for item in value]
    return new.get(value, value) if isinstance(value, str) else value


def with_other_content(store: WfStore, thread_id: str, other: Other) -> Contents:
    """A thread with other bytes in some of its objects; all ids, seals and statements are made anew.

    Args:
        other: gets each object, and gives another type tag and other bytes for it; None leaves it as it is.
    """
    tail = store.backend.find(thread_id.encode())
    assert tail is not None
    rows = list(store.backend.all_objects(tail.row.lineage or 0))
    changed = _Renamed(rows, tail.row.secret, other)
    ids = {f"sha256:{row.id.hex()}": f"sha256:{new.id.hex()}" for row, new in zip(rows, changed.rows, strict=True)}
    return forge(contents(_Changed(store.backend, changed.rows, ids), thread_id), lambda *_: None)  # type: ignore[arg-type]


class _Renamed:
    """Objects with other content; the ids of lists and maps follow, the numbers stay."""

    def __init__(self, rows: list[ObjectRow], secret: bytes, other: Other) -> None:
        content = Content({row.number: row for row in rows})
        self.rows: list[ObjectRow] = []
        ids: dict[int, bytes] = {}
        for row in rows:
            new = row
            if row.form == OBJECT and (found := other(row)) is not None:
                key = hashlib.sha256(found[1]).digest()
                name = object_id(found[0], nonce_for(secret, key), key)
                new = ObjectRow(row.number, name, OBJECT, found[0], None, found[1])
            elif row.form == LIST:
                numbers = content.items[row.number]
                names = [ids[number >> FLAG_BITS] for number in numbers]
                new = row._replace(id=list_id(items_of(names, numbers)))
            elif row.form == MAP:
                shell, holes = map_numbers(row.data)
                new = row._replace(id=map_id(ids[shell], [(at, ids[number]) for at, number in holes]))
            ids[row.number] = new.id
            self.rows.append(new)


@dataclass
class _Changed:
    """As much of a store as `contents` reads, with other objects, and records that name them."""

    inner: Backend
    rows: list[ObjectRow]
    ids: dict[str, str]

    @property
    def backend(self) -> _Changed:
        return self

    def find(self, name: bytes) -> Any:
        return self.inner.find(name)

    def all_objects(self, lineage: int) -> list[ObjectRow]:
        return self.rows

    def records(self, number: int, after: int, limit: int) -> list[RecordRow]:
        return [
            row if row.state == SKELETON else row._replace(body=canonical(_replaced(json.loads(row.body), self.ids)))
            for row in self.inner.records(number, after, limit)
        ]


Item = tuple[int, int, str]  # flag, number of the line, id


class Put:
    """Takes the lines of a value that somebody else has thought of.

    Attributes:
        last: the number of the last line.
    """

    def __init__(self, lines: list[Any]) -> None:
        self._lines = lines

    @property
    def last(self) -> int:
        return len(self._lines)

    def object(self, data: bytes, tag: Any = "wf1", encoded: bytes = b"wf1") -> tuple[int, str]:
        """Number and id of an object's line."""
        name = digest("object", encoded, bytes(16), hashlib.sha256(data).digest())
        narrow, wide = data.decode("latin-1"), base64.b64encode(data).decode()
        form = {"latin1": narrow} if len(canonical(narrow)) <= len(wide) + 2 else {"base64": wide}
        self._lines.append({"id": name, "tag": tag, "nonce": "00" * 16, **form})
        return self.last, name

    def mask(self, number: int, mask: Any) -> None:
        """Withhold the object of a line."""
        line = self._lines[number - 1]
        name = line["id"]
        line.clear()
        line |= {"id": name, "mask": mask, "withheld": 1}

    def leaf(self, items: list[Item]) -> bytes:
        """The digest of a leaf."""
        self._lines.append({"leaf": [number << 2 | flag for flag, number, _ in items]})
        return bytes.fromhex(digest("list-leaf", b"".join(bytes([f]) + _raw(name) for f, _, name in items))[7:])

    def list(self, items: list[Item]) -> Any:
        """The reference to a list of one leaf."""
        root = self.leaf(items) if items else b""
        name = digest("list", root, len(items).to_bytes(8, "big"))
        self._lines.append({"id": name, "list": self.last if items else 0, "count": len(items)})
        return {"list": name}

    def map(self, number: int, shell: str, lists: list[tuple[int, int]]) -> Any:
        """The reference to a map; `lists` are positions and numbers."""
        parts = [part for at, n in lists for part in (at.to_bytes(8, "big"), _raw(self._lines[n - 1]["id"]))]
        name = digest("map", _raw(shell), *parts)
        self._lines.append({"id": name, "map": number, "lists": [[*each] for each in lists]})
        return {"map": name}


def _raw(name: str) -> bytes:
    return bytes.fromhex(name[7:])


def one_put(build: Callable[[Put], Any], where: str = "channel") -> Contents:
    """A thread of one checkpoint with a value that somebody else has thought of.

    Args:
        build: puts its lines, and gives the reference; or a list of references, to be those of several channels.
        where: "channel" (called z, z1, ...), "metadata" or "extra".
    """
    with WfStoreSaver(":memory:") as saver:
        values = {"a": 1}
        checkpoint = checkpoint_of(values, {"a": 1})
        saver.put(config_of(), checkpoint, metadata_of(0), checkpoint["channel_versions"])
        made = contents(saver.store, THREAD)
    *before, metadata = made.objects
    behind = {"channel": [metadata], "metadata": [], "extra": []}[where]
    made.objects = before if where != "extra" else [*before, metadata]
    ref = build(Put(made.objects))
    made.objects += behind

    def change(number: int, body: Body, ids: list[str]) -> None:
        if where == "channel":
            refs = ref if isinstance(ref, list) else [ref]
            body["channels"] += [[f"z{n or ''}", 1, each] for n, each in enumerate(refs)]
        else:
            body[where] = ref

    return forge(made, change)
