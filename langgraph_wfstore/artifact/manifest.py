"""The manifest of an artifact: what it holds, and the digest of every member (FORMAT.md, section 15)."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, NamedTuple

from ..arguments import checked_thread_id
from ..backends.base import BranchRow
from ..branching.branches import name_of
from ..canonical import Json, check, decode, encode, from_hex_id, from_text, hex_id, text
from ..errors import ArtifactError
from ..fields import integer
from ..format import FORMAT_VERSION, Record
from ..records import Kind
from .branch_rows import BranchRows, key_of
from .lines import MaskLine, RecordLine, ValueLine
from .merkle import Tree


class Member(NamedTuple):
    """An entry of the archive: its size and SHA-256 as it is uncompressed, and of JSON Lines how many lines."""

    name: str
    size: int
    digest: bytes
    lines: int | None = None


class BranchFact(NamedTuple):
    """A branch: base and head are record ids."""

    number: int
    name: str
    base: bytes | None
    head: bytes | None


class Manifest(NamedTuple):
    """What `manifest.json` says; see FORMAT.md, section 15."""

    thread_id: str
    records: int
    counts: dict[str, int]
    sealed: int
    seals: int
    head: bytes | None
    root: bytes
    branches: tuple[BranchFact, ...]
    current: int
    objects: int
    redacted: int
    withheld: int
    withheld_bytes: int
    members: tuple[Member, ...]

    @property
    def identity(self) -> bytes:
        """SHA-256 of `manifest.json`."""
        return hashlib.sha256(self.encoded()).digest()

    def encoded(self) -> bytes:
        """The bytes of `manifest.json`."""
        members: list[Json] = []
        for member in self.members:
            rest: dict[str, Json] = {} if member.lines is None else {"lines": member.lines}
            members.append({"name": member.name, "size": member.size, "digest": hex_id(member.digest), **rest})
        return encode(
            {
                **statement_of(self),
                "format": FORMAT_VERSION,
                "kind": "artifact",
                "counts": {**self.counts},
                "branches": [[b.number, text(b.name), _maybe(b.base), _maybe(b.head)] for b in self.branches],
                "current": self.current,
                "objects": self.objects,
                "redacted": self.redacted,
                "withheld": self.withheld,
                "withheld_bytes": self.withheld_bytes,
                "members": members,
            }
        )


def statement_of(manifest: Manifest) -> dict[str, Json]:
    """What a signature states of a thread."""
    return {
        "thread": text(manifest.thread_id),
        "records": manifest.records,
        "sealed": manifest.sealed,
        "seals": manifest.seals,
        "head": _maybe(manifest.head),
        "root": hex_id(manifest.root),
    }


def _maybe(name: bytes | None) -> Json:
    return None if name is None else hex_id(name)


def read_manifest(data: bytes) -> Manifest:
    """The manifest behind the bytes of `manifest.json`.

    Raises:
        ArtifactError: they are none.
    """
    try:
        check(data)
        f: Any = decode(data)
        if f["format"] != FORMAT_VERSION or f["kind"] != "artifact":
            raise ValueError(f"it is of kind {f['kind']!r:.40} and format {f['format']!r:.40}")
        found = Manifest(
            thread_id=checked_thread_id(from_text(f["thread"])),
            records=_count(f["records"]),
            counts={Kind(kind).value: _count(count) for kind, count in f["counts"].items()},
            sealed=_count(f["sealed"]),
            seals=_count(f["seals"]),
            head=_digest(f["head"]),
            root=from_hex_id(f["root"]),
            branches=tuple([_branch(*branch) for branch in f["branches"]]),
            current=_count(f["current"]),
            objects=_count(f["objects"]),
            redacted=_count(f["redacted"]),
            withheld=_count(f["withheld"]),
            withheld_bytes=_count(f["withheld_bytes"]),
            members=tuple([_member(member) for member in f["members"]]),
        )
        if found.encoded() != data:
            raise ValueError("it has keys that mean nothing there")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ArtifactError(
            f"manifest.json is none of format {FORMAT_VERSION} ({type(error).__name__}: {error}); the file was "
            "changed, or made by a newer version. Nothing was imported"
        ) from error
    return found


def _member(f: Any) -> Member:
    lines = _count(f["lines"]) if "lines" in f else None
    return Member(f["name"], _count(f["size"]), from_hex_id(f["digest"]), lines)


def _branch(number: Any, name: Any, base: Any, head: Any) -> BranchFact:
    return BranchFact(_count(number), from_text(name), _digest(base), _digest(head))


def _count(value: Any) -> int:
    if integer(value) < 0:
        raise ValueError(f"expected a count, found {value}")
    return int(value)


def _digest(value: Any) -> bytes | None:
    return None if value is None else from_hex_id(value)


class Facts:
    """What a manifest says of the records and values of a thread, counted as they go by.

    Attributes:
        ids: of the records.
        objects: how many lines of values.
        head: the last seal.
    """

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.objects = 0
        self.branches = BranchRows()
        self._tree = Tree()
        self._counts: Counter[str] = Counter()
        self.head: bytes | None = None
        self._sealed = self._seals = 0
        self._redacted = self._withheld = self._withheld_bytes = 0

    def value(self, line: ValueLine) -> None:
        """Count the line of a value."""
        self.objects += 1
        if isinstance(line, MaskLine):
            self._redacted += line.withheld is None
            self._withheld += line.withheld is not None
            self._withheld_bytes += line.withheld or 0

    def record(self, line: RecordLine, record: Record | None) -> int | None:
        """Count a record; of a checkpoint of the root namespace the branch, as `BranchRows.checkpoint` gives it."""
        self._tree.add(line.id)
        self.ids.append(line.id)
        self._counts[line.kind.value] += 1
        if line.seal is not None:
            self.head, self._sealed, self._seals = line.seal, len(self.ids), self._seals + 1
        if line.kind is Kind.CHECKPOINT:
            return self.branches.checkpoint(len(self.ids), line.id, key_of(line, record), line.state)
        self.branches.other(record)
        return None

    def manifest(self, thread_id: str, members: tuple[Member, ...]) -> Manifest:
        """The manifest of what was counted."""
        return Manifest(
            thread_id=thread_id,
            records=len(self.ids),
            counts=dict(self._counts),
            sealed=self._sealed,
            seals=self._seals,
            head=self.head,
            root=self._tree.root,
            branches=tuple([self._fact(row) for row in self.branches.rows() if row.name]),
            current=self.branches.current,
            objects=self.objects,
            redacted=self._redacted,
            withheld=self._withheld,
            withheld_bytes=self._withheld_bytes,
            members=members,
        )

    def _fact(self, row: BranchRow) -> BranchFact:
        return BranchFact(row.number, name_of(row), self._id(row.base), self._id(row.head))

    def _id(self, seq: int | None) -> bytes | None:
        return self.ids[seq - 1] if seq else None
