"""A verifier of langgraph_wfstore's SQLite files, written from FORMAT.md alone.

    python independent_verifier.py FILE.db [dictionary-1.zdict]

The rules of records and values stand in `wfstore_verify.py`, which verifies artifacts, was written from FORMAT.md too
and imports nothing of the package. Here is what a SQLite file has besides: rows, index columns, packing, stored lists
and maps. Needs `zstandard`. The section numbers are FORMAT.md's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from langgraph_wfstore import wfstore_verify as rules
from langgraph_wfstore.wfstore_verify import (
    FORMS,
    KEPT,
    KINDS,
    LIST,
    OBJECT,
    REDACTED,
    SKELETON,
    TRACES,
    Damaged,
    check_mask,
    digest,
    digest_text,
    ends_run,
    map_id,
    parse,
    utf8,
)

DICTIONARY = Path(__file__).parents[2] / "langgraph_wfstore" / "backends" / "dictionary-1.zdict"


# ---------------------------------------------------------------- sections 3, 5 and 11: ids of values, index columns


def object_id(secret: bytes, tag: str, data: bytes, nonce: bytes | None = None) -> bytes:
    """The id of an object; without a nonce, the lineage's secret gives it."""
    key = hashlib.sha256(data).digest()
    return rules.object_id(tag, hmac.digest(secret, key, "sha256")[:16] if nonce is None else nonce, data)


def runs(strings: list[bytes]) -> list[bytes]:
    """The runs of a sequence, each concatenated."""
    found: list[bytes] = []
    run: list[bytes] = []
    for string in strings:
        run.append(string)
        if ends_run(len(run), string):
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


def index(kind: str, *parts: bytes) -> int:
    """The signed number of an index column (section 11)."""
    return int.from_bytes(digest(kind, *parts)[:8], "big", signed=True)


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
    """One record as stored: what the rules keep of it, and what only a row has."""

    record: rules.Record
    ordinal: int | None
    columns: tuple[Any, ...]
    refs: bytes
    fields: dict[str, Any] = field(default_factory=dict)  # of a record that is no skeleton


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
        self.counts = dict.fromkeys(FORMS, 0)
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
        check_mask(parse(data))

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


class Thread:
    """The rows of a thread, and what is wrong with them."""

    def __init__(self, db: sqlite3.Connection, row: tuple[Any, ...], unpacker: Unpacker) -> None:
        self.number, self.current, self.branches, self.nested = row
        self.report = Report()
        self.rules = rules.Thread(self.report.problems)
        self.rows: list[Row] = []
        self.named: list[tuple[rules.Record, int, int, bytes]] = []
        found = db.execute(
            "SELECT key, kind, id, state, body, ordinal, seal, anchor, space, position, branch, within, source, step, "
            "run, refs FROM record WHERE key BETWEEN ? AND ? ORDER BY key",
            (self.number << 32, self.number << 32 | 0xFFFFFFFF),
        ).fetchall()
        self.branch_rows = db.execute(
            "SELECT number, name, base, head FROM branch WHERE thread = ? ORDER BY number", (self.number,)
        ).fetchall()
        self.links = set(db.execute("SELECT seq, link FROM link WHERE thread = ?", (self.number,)).fetchall())
        for place, (key, kind, name, state, packed, ordinal, seal, *columns, refs) in enumerate(found, 1):
            record = rules.Record(key & 0xFFFFFFFF, dict(enumerate(KINDS)).get(kind, ""), name, state, seal, columns[2])
            row_ = Row(record, ordinal, tuple(columns), refs)
            self.rows.append(row_)
            try:
                if record.number != place:
                    raise Damaged("its number is out of order")
                self._read(row_, unpacker.unpack(packed))
            except (Damaged, ValueError, KeyError, TypeError, IndexError) as error:
                self.rules.problem(record, f"{type(error).__name__}: {error}")
            if ordinal != (None if seal is None else len(self.rules.seals)):
                self.rules.problem(record, "the number of its seal is another one")
            self.rules.add(record)

    def _read(self, row: Row, body: bytes) -> None:
        """Check a record by itself, and what its row repeats of it."""
        record = row.record
        row.fields, references = rules.read_record(record, parse(body), body)
        numbers, at = [], 0
        while at < len(row.refs):
            number, at = varint(row.refs, at)
            numbers.append(number)
        if len(numbers) != len(references):
            raise Damaged(f"it names {len(references)} values and has {len(numbers)} refs")
        self.named += [(record, number, *reference) for number, reference in zip(numbers, references, strict=True)]
        if record.kind in ("checkpoint", "write"):
            self._columns(row)
        elif record.kind in TRACES:
            run = None if record.state == SKELETON else index("run", utf8(row.fields["run_id"]))
            if row.columns != (*(None,) * 7, run):
                raise Damaged("its columns are not those of its kind")
        elif any(
            column is not None for at, column in enumerate(row.columns) if record.kind != "merge" or at not in (0, 4)
        ):
            raise Damaged("it has index values")

    @staticmethod
    def _columns(row: Row) -> None:
        """The columns of a checkpoint or write."""
        record, fields = row.record, row.fields
        namespace, name = map(utf8, record.place)
        anchor, space, _, _, within, *rest = row.columns
        if anchor != index("anchor", namespace, name):
            raise Damaged("column anchor")
        is_checkpoint = record.kind == "checkpoint"
        if space != ((index("namespace", namespace) if namespace else 0) if is_checkpoint else None):
            raise Damaged("column space")
        root = fields.get("parents", {}).get("") if namespace else None
        if within != (None if root is None else index("anchor", b"", utf8(root))):
            raise Damaged("column within")
        run = fields.get("run_id")
        if rest != [fields.get("source"), fields.get("step"), None if run is None else index("run", utf8(run))]:
            raise Damaged("columns source, step, run")

    def run(self, lineage: Lineage) -> Report:
        report, found = self.report, self.rules
        redacted = lineage.redacted({number for _, number, _, _ in self.named if number})
        found.finish(redacted)
        self._structure()
        self._links()
        for record, number, form, name in self.named:
            if number == 0 and record.state != KEPT:
                continue
            stored = lineage.forms.get(number)
            if lineage.ids.get(number) != name or (OBJECT if stored == REDACTED else stored) != form:
                found.problem(record, f"its value {name.hex()} is not object {number}")
        report.problems += lineage.problems
        report.counts = dict(lineage.counts)
        report.records, report.unsealed = len(self.rows), len(found.unsealed)
        report.sealed = report.records - report.unsealed
        report.pruned, report.redacted = found.pruned, len(redacted)
        report.head = digest_text(found.seals[-1]) if found.seals else None
        return report

    def _structure(self) -> None:
        """What the rows and the thread say of branches, and of merges."""
        found = self.rules
        for row in self.rows:
            record = row.record
            if record.kind == "checkpoint" and record.facts and row.columns[3] != found.branch_of.get(record.number):
                found.problem(record, "it is on another branch")
            if record.kind == "merge" and record.facts:
                pair = [found.by_id.get(record.facts[key]) for key in ("checkpoint", "parent")]
                places = [index("anchor", *map(utf8, each.place)) for each in pair if each is not None and each.facts]
                if [row.columns[0], row.columns[4]] != places:
                    found.problem(record, "its columns are not those of its checkpoint and of what it merges")
        said = [
            (
                number,
                utf8(branch.name or ""),
                branch.base and branch.base.number,
                branch.head.number if branch.head else 0,
            )
            for number, branch in sorted(found.branches.items())
        ]
        said = [(*row[:3], row[3] if row[1] else 0) for row in said]
        if self.branch_rows != (said if len(said) > 1 else []):
            found.problems.append("branches: the table says something else than the records")
        nested = any(row.record.kind == "checkpoint" and row.columns[1] != 0 for row in self.rows)
        if (self.current, self.branches, self.nested) != (found.current, len(found.branches), nested):
            found.problems.append("thread: its columns say something else than the records")

    def _links(self) -> None:
        links = {
            (row.record.number, link)
            for row in self.rows
            if row.record.kind in TRACES and row.fields
            for link in links_of(row.record.kind, row.fields)
        }
        for number, _ in links ^ self.links:
            self.report.problems.append(f"record {number}: a link of it is missing, or there is one too many")


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
