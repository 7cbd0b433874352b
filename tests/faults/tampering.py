"""Tampering with every row and every cell of a store's file, and what `verify` names of it.

`tamper_report.py` prints the table that `test_tamper.py` asserts on.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tampered_store import build

from langgraph_wfstore import IntegrityError, ThreadNotFoundError, WfStore, WfStoreError, WfStoreSaver
from langgraph_wfstore.backends.packing import pack, unpack
from langgraph_wfstore.testing.material import config_of
from langgraph_wfstore.values.lists import unpack_numbers

# ------------------------------------------------------------------ what can be done to it


@dataclass(frozen=True)
class Tamper:
    """One act: `kind` of change to `column` of a row of `table`; `row_kind` says what that row is."""

    table: str
    row_kind: str
    kind: str
    column: str
    statements: tuple[tuple[str, tuple[Any, ...]], ...]
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        changed = f": {_short(self.before)} -> {_short(self.after)}" if self.column != "*" else ""
        return f"{self.table}.{self.column} ({self.row_kind}), {self.kind}{changed}  [{_short(self.statements)}]"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else text[:150] + "..."


KEYS = {
    "store": ("name",),
    "lineage": ("no",),
    "thread": ("no",),
    "branch": ("thread", "number"),
    "record": ("key",),
    "link": ("thread", "link", "seq"),
    "object": ("key",),
    "tombstone": ("name_key", "life"),
    "deleted_run": ("hash",),
    "sqlite_sequence": ("name",),
}
_STATES = ("", "hidden ", "skeleton of ")
_KINDS = ("checkpoint", "write", "branch", "removal", "switch", "run", "step", "call", "end", "label", "merge")


def _row_kind(table: str, row: dict[str, Any]) -> str:
    if table == "store":
        return str(row["name"])
    if table == "branch":
        return "first" if row["number"] == 0 else "other"
    if table == "record":
        place = "" if row["space"] in (0, None) else " below the root"
        sealed = ", ends a seal" if row["seal"] is not None else ""
        return f"{_STATES[row['state']]}{_KINDS[row['kind']]}{place}{sealed}"
    if table == "object":
        return _object_kind(row)
    if table == "thread":
        return ", ".join(w for w, on in [("branched", row["branches"] > 1), ("nested", row["nested"])] if on) or "plain"
    return "row"


def _object_kind(row: dict[str, Any]) -> str:
    if row["form"] == 3:
        return "redacted"
    if row["form"] == 0:
        own = " with a nonce" if row["nonce"] is not None else ""
        return {"pack": "pack", "chunk": "chunk"}.get(row["tag"].split("/")[0], "object") + own
    return "map" if row["form"] == 2 else ("spliced list" if unpack(row["data"])[0] else "list")


@dataclass
class Rows:
    """The rows of a store's tables, and a sample of every kind of them."""

    columns: dict[str, list[str]]
    rows: dict[str, list[dict[str, Any]]]

    def kind_of(self, table: str, row: dict[str, Any]) -> str:
        """What a row is, as far as verify may treat it in another way than its neighbours."""
        if table == "tombstone":
            lives = any(thread["name_key"] == row["name_key"] for thread in self.rows["thread"])
            return "of a thread that lives" if lives else "of a thread that is gone"
        if table == "record" and row["key"] > self._sealed_up_to[row["key"] >> 32]:
            return f"{_row_kind(table, row)}, not sealed"
        return _row_kind(table, row)

    @classmethod
    def read(cls, path: Path) -> Rows:
        db = sqlite3.connect(path)
        columns = {table: [c[1] for c in db.execute(f"PRAGMA table_info({table})")] for table in KEYS}
        rows = {
            table: [dict(zip(columns[table], row, strict=True)) for row in db.execute(f"SELECT * FROM {table}")]
            for table in KEYS
        }
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        db.close()
        assert tables == set(KEYS), f"tables that nobody tampers with: {tables ^ set(KEYS)}"
        return cls(columns, rows)

    @cached_property
    def _sealed_up_to(self) -> dict[int, int]:
        """Per thread the key of the last record that ends a seal."""
        return {r["key"] >> 32: r["key"] for r in sorted(self.rows["record"], key=lambda r: r["key"]) if r["seal"]}

    def sample(self, each: int, chance: random.Random) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
        for table, rows in self.rows.items():
            kinds: dict[str, list[dict[str, Any]]] = {}
            for row in rows:
                kinds.setdefault(self.kind_of(table, row), []).append(row)
            for kind, members in kinds.items():
                yield table, kind, chance.sample(members, min(each, len(members)))


def tampers(rows: Rows, each: int, chance: random.Random) -> Iterator[Tamper]:
    """Every kind of change to every column of `each` rows of every kind, and to those rows as a whole."""
    for table, kind, sampled in rows.sample(each, chance):
        for row in sampled:
            for column in rows.columns[table]:
                yield from _cell(table, kind, row, column, chance)
                yield from _swapped_cells(table, kind, row, rows, column, chance)
            yield from _whole(table, kind, row, rows, chance)


def _where(table: str, row: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    return " AND ".join(f"{c} = ?" for c in KEYS[table]), tuple(row[c] for c in KEYS[table])


def _set(table: str, row: dict[str, Any], **values: Any) -> tuple[str, tuple[Any, ...]]:
    where, keys = _where(table, row)
    return f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in values)} WHERE {where}", (*values.values(), *keys)


def _insert(table: str, row: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    return f"INSERT INTO {table}({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())


def _delete(table: str, row: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    where, keys = _where(table, row)
    return f"DELETE FROM {table} WHERE {where}", keys


def _cell(table: str, row_kind: str, row: dict[str, Any], column: str, chance: random.Random) -> Iterator[Tamper]:
    before = row[column]
    for kind, after in _other_values(before, (table, column) in PACKED, chance):
        if type(after) is type(before) and after == before:
            continue
        yield Tamper(table, row_kind, kind, column, (_set(table, row, **{column: after}),), before, after)


def _other_values(value: Any, packed: bool, chance: random.Random) -> Iterator[tuple[str, Any]]:
    if value is not None:
        yield "NULL", None
    if isinstance(value, bytes):
        yield "empty", b""
        yield "other type", "text"
        yield "other type", 7
        yield from (("flip a byte", _flipped(value, at, chance)) for at in _places(len(value), chance))
        yield "cut", value[:-1]
        yield "append", value + b"\0"
        if packed:
            data = unpack(value)
            yield from (("flip a byte inside", pack(_flipped(data, at, chance))) for at in _places(len(data), chance))
            yield "cut inside", pack(data[:-1])
            yield "append inside", pack(data + b"\0")
    elif isinstance(value, int):
        yield from (("other value", n) for n in (value + 1, value - 1, value ^ 1 << 33, 0))
        yield "other type", "text"
        yield "other type", b"\1"
        yield "empty", ""
    elif isinstance(value, str):
        yield "empty", ""
        yield "other value", value + "x"
        yield "flip a byte", (value[:-1] + chr(ord(value[-1]) ^ 1)) if value else "y"
        yield "other type", b"bytes"
        yield "other type", 7
    else:
        others: list[Any] = [0, 1, "text", b"bytes"]
        yield from (("from NULL", n) for n in chance.sample(others, 2))


def _places(size: int, chance: random.Random) -> list[int]:
    """The first and last byte and two between."""
    return sorted({0, size - 1, *(chance.randrange(size) for _ in range(2))}) if size else []


def _flipped(value: bytes, at: int, chance: random.Random) -> bytes:
    return value[:at] + bytes((value[at] ^ 1 << chance.randrange(8),)) + value[at + 1 :]


def _others(table: str, row: dict[str, Any], rows: Rows, chance: random.Random) -> list[dict[str, Any]]:
    """Another row of the same kind, and one of any kind."""
    same = [r for r in rows.rows[table] if r is not row and rows.kind_of(table, r) == rows.kind_of(table, row)]
    near = [r for r in rows.rows[table] if r is not row]
    return [chance.choice(choice) for choice in (same, near) if choice]


def _swapped_cells(
    table: str, row_kind: str, row: dict[str, Any], rows: Rows, column: str, chance: random.Random
) -> Iterator[Tamper]:
    if column in KEYS[table]:
        return
    for other in _others(table, row, rows, chance):
        mine, theirs = row[column], other[column]
        if (type(mine), mine) == (type(theirs), theirs):
            continue
        free = () if (table, column) != ("thread", "name_key") else (_set(table, row, name_key=b"free"),)
        statements = (*free, _set(table, other, **{column: mine}), _set(table, row, **{column: theirs}))
        yield Tamper(table, row_kind, "swap cells", column, statements, mine, theirs)


def _whole(table: str, row_kind: str, row: dict[str, Any], rows: Rows, chance: random.Random) -> Iterator[Tamper]:
    key = KEYS[table][-1]
    yield Tamper(table, row_kind, "drop the row", "*", (_delete(table, row),), row)
    for duplicate in _free_keys(table, row, rows, chance):
        yield Tamper(table, row_kind, "duplicate the row", "*", (_insert(table, duplicate),), row, duplicate)
    for other in _others(table, row, rows, chance):
        moved = {**other, **{c: row[c] for c in KEYS[table]}}, {**row, **{c: other[c] for c in KEYS[table]}}
        drops = _delete(table, row), _delete(table, other)
        if moved[0] != row:
            yield Tamper(
                table, row_kind, "swap the rows", "*", (*drops, *(_insert(table, m) for m in moved)), row, other
            )
            statements = (drops[0], _insert(table, moved[0]))
            yield Tamper(table, row_kind, "put a copy in its place", "*", statements, row, other)
    neighbours = sorted((r for r in rows.rows[table] if isinstance(r[key], int)), key=lambda r: r[key])
    if row in neighbours and neighbours.index(row) + 2 < len(neighbours) and len(KEYS[table]) == 1:
        three = neighbours[neighbours.index(row) :][:3]
        turned = [{**a, key: b[key]} for a, b in zip(three, (*three[1:], three[0]), strict=True)]
        statements = (*(_delete(table, r) for r in three), *(_insert(table, r) for r in turned))
        yield Tamper(table, row_kind, "reorder the rows", "*", statements, row, three[1:])


def _free_keys(table: str, row: dict[str, Any], rows: Rows, chance: random.Random) -> Iterator[dict[str, Any]]:
    """The row again under other keys: behind the last of its thread or lineage, and in another one's range."""
    key = KEYS[table][-1]
    value = row[key]
    if table in ("record", "object"):
        ends: dict[int, int] = {}
        for other in rows.rows[table]:
            ends[other["key"] >> 32] = max(ends.get(other["key"] >> 32, 0), other["key"])
        own = value >> 32
        foreign = chance.choice([place for place in ends if place != own])
        yield from ({**row, "key": ends[place] + 1} for place in (own, foreign))
    elif table == "thread":
        yield {**row, "no": max(r["no"] for r in rows.rows[table]) + 1, "name_key": b"another"}
        yield {**row, "no": max(r["no"] for r in rows.rows[table]) + 1, "name_key": b"another", "name": b"another"}
    elif isinstance(value, int):
        yield {**row, key: max(r[key] for r in rows.rows[table]) + 1}
    else:
        yield {**row, key: value + ("x" if isinstance(value, str) else b"x")}


PACKED = {("record", "body"), ("object", "data")}


# ------------------------------------------------------------------ what the reader of the store says


@dataclass
class Judge:
    """Verifies a store against what was known of it before: its threads, and the heads that somebody kept."""

    heads: dict[str, str | None]
    contents: dict[str, Any]

    @classmethod
    def of(cls, path: Path) -> Judge:
        with WfStore.open(path) as store:
            names = [info.thread_id for info in store.threads(limit=1000)]
            for name in names:
                report = store.thread(name).verify()
                assert report.ok, f"{name} does not verify before anything was done to it: {report.problems}"
            heads = {name: store.thread(name).head for name in names}
        return cls(heads, contents(path))

    def named(self, path: Path, first: Sequence[str]) -> str:
        """What names a problem: verify "alone", or only "by its head" that somebody kept; "" if nothing does."""
        try:
            store = WfStore.open(path)
        except WfStoreError:
            return "alone"
        with store:
            names = sorted(self.heads, key=lambda name: (name not in first, name))
            by_head = False
            for name in names:
                places = _named_places(store, name, self.heads[name])
                if places - {"head"}:
                    return "alone"
                by_head = by_head or bool(places)
            listed = {info.thread_id for info in store.threads(limit=1000)} - set(names)
            if any(_named_places(store, name, None) for name in listed):
                return "alone"
            return "by its head" if by_head else ""


def _named_places(store: WfStore, name: str, head: str | None) -> set[str]:
    """Where verify finds something wrong; "head" is what only a kept head tells."""
    try:
        return {problem.where for problem in store.thread(name).verify(expect_head=head).problems}
    except (ThreadNotFoundError, IntegrityError):
        return {"thread"}


def contents(path: Path) -> dict[str, Any]:
    """All that anybody can read of the store, without the order of its checkpoints."""
    with WfStoreSaver(path) as saver:
        found: dict[str, Any] = {}
        for info in saver.store.threads(limit=1000):
            tuples = [*saver.list({"configurable": {"thread_id": info.thread_id}})]
            latest = saver.get_tuple(config_of(info.thread_id))
            found[info.thread_id] = (
                sorted(map(repr, tuples)),
                None if latest is None else latest.config["configurable"]["checkpoint_id"],
            )
        return found


# ------------------------------------------------------------------ what is exempt, and why


@dataclass(frozen=True)
class Exemption:
    """Why a change goes unnamed; `holds` tells the changes it is about, by default all of the column.

    `harmless` says that nobody who reads the store gets anything else than before; `certain` that the sample of
    `report` always holds such a change.
    """

    reason: str
    holds: Callable[[Tamper], bool] = lambda tamper: True
    harmless: bool = True
    certain: bool = True


def _still_a_number(tamper: Tamper) -> bool:
    return type(tamper.after) is int


def _of_the_gone(tamper: Tamper) -> bool:
    return tamper.row_kind == "of a thread that is gone"


def _other_hashes(tamper: Tamper) -> bool:
    """Rows that swap all but their key swap their hashes."""
    return _of_the_gone(tamper) or tamper.kind in ("swap the rows", "put a copy in its place")


def _created(tamper: Tamper) -> bool:
    return tamper.row_kind == "created" or tamper.kind == "duplicate the row"


_OF_ROWS = ("drop the row", "swap the rows", "reorder the rows")


def _unsealed_and_moved(tamper: Tamper) -> bool:
    """A row is gone from its thread if it is dropped, or if its key becomes that of another thread; or has moved."""
    moved = tamper.column == "key" and isinstance(tamper.after, int) and tamper.after >> 32 != tamper.before >> 32
    return tamper.row_kind.endswith(", not sealed") and (moved or tamper.kind in _OF_ROWS)


def _same_when_unpacked(tamper: Tamper) -> bool:
    try:
        return bool(unpack(tamper.after) == unpack(tamper.before))
    except (WfStoreError, TypeError):
        return False


def _forgotten(tamper: Tamper) -> bool:
    if not tamper.row_kind.startswith("hidden") or not isinstance(tamper.after, bytes):
        return False
    try:
        pairs = zip(unpack_numbers(tamper.before), unpack_numbers(tamper.after), strict=True)
        return all(after in (before, 0) for before, after in pairs)
    except (WfStoreError, ValueError, IndexError):
        return False


_GONE = "0 is where a hidden record's value is gone, which nobody reads; that an equal one is there proves nothing"
_UNSEALED = "the end of a thread that is not sealed yet: nothing vouches for it but the count of what is not sealed"
_PACKING = "other compressed bytes of the same content: ids are of the content"
_TIME = "the time of creation; nothing reads it"
_LATE = "refuses what deleted threads and runs still put, of which nothing else is left to compare it with"
EXEMPT: dict[tuple[str, str], Exemption] = {
    ("record", "position"): Exemption("any order that is causal will do; verify checks that it is", _still_a_number),
    ("thread", "created"): Exemption("a time for listings; no record holds it"),
    ("thread", "epoch"): Exemption("counts removals, so that writers notice them; says nothing of the content"),
    ("lineage", "epoch"): Exemption("as thread.epoch"),
    ("store", "value"): Exemption(_TIME, _created),
    ("store", "name"): Exemption(_TIME, _created),
    ("store", "*"): Exemption("the time of creation, and names that nothing reads", _created),
    ("lineage", "*"): Exemption("a lineage that no thread has", lambda tamper: tamper.kind == "duplicate the row"),
    ("record", "key"): Exemption(_UNSEALED, _unsealed_and_moved, harmless=False, certain=False),
    ("record", "*"): Exemption(_UNSEALED, _unsealed_and_moved, harmless=False, certain=False),
    ("record", "body"): Exemption(_PACKING, _same_when_unpacked, certain=False),
    ("record", "refs"): Exemption(_GONE, _forgotten, certain=False),
    ("object", "data"): Exemption(_PACKING, _same_when_unpacked, certain=False),
    ("object", "lookup"): Exemption("an index by which equal objects are found again; their ids are compared"),
    ("tombstone", "name_key"): Exemption(_LATE, _of_the_gone),
    ("tombstone", "life"): Exemption(_LATE, _of_the_gone),
    ("tombstone", "hashes"): Exemption(_LATE),
    ("tombstone", "*"): Exemption(_LATE, _other_hashes),
    ("deleted_run", "hash"): Exemption(_LATE),
    ("deleted_run", "*"): Exemption(_LATE),
    ("sqlite_sequence", "name"): Exemption("SQLite's bookkeeping: the next number of a thread or lineage"),
    ("sqlite_sequence", "seq"): Exemption("SQLite's bookkeeping"),
    ("sqlite_sequence", "*"): Exemption("SQLite's bookkeeping"),
}


def needs_a_head(tamper: Tamper) -> bool:
    """Whether a change leaves a store that could be as it is: only a kept head tells that it was another.

    Whole threads in each other's place; and a thread without the end of its last run, which holds no values that would
    be left over: so it was before that run ended, and so it stays if the process is killed.
    """
    if (tamper.table, tamper.column) == ("thread", "*"):
        return True
    at_the_end = tamper.table == "record" and tamper.row_kind == "end, ends a seal"
    return at_the_end and (tamper.column == "key" or tamper.kind == "drop the row")


def exemption(tamper: Tamper) -> Exemption | None:
    """The exemption that covers a change, if one does."""
    found = EXEMPT.get((tamper.table, tamper.column))
    return found if found is not None and found.holds(tamper) else None


# ------------------------------------------------------------------ the report


@dataclass
class Report:
    """How many changes were tried and named, and which were not."""

    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    named: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_head: list[Tamper] = field(default_factory=list)
    exempt: list[tuple[Tamper, bool]] = field(default_factory=list)
    unnamed: list[Tamper] = field(default_factory=list)
    refused: list[Tamper] = field(default_factory=list)
    raised: list[tuple[Tamper, BaseException]] = field(default_factory=list)
    idle: set[tuple[str, str]] = field(default_factory=lambda: {at for at, each in EXEMPT.items() if each.certain})
    touched: set[tuple[str, str]] = field(default_factory=set)
    row_kinds: set[tuple[str, str]] = field(default_factory=set)

    def __str__(self) -> str:
        kinds = [*dict.fromkeys(kind for kind, _ in self.tried)]
        tables = [*dict.fromkeys(table for _, table in self.tried)]
        lines = ["kind of change".ljust(26) + "".join(t.rjust(16) for t in (*tables, "all"))]
        for kind in (*kinds, "all"):
            cells = []
            for table in (*tables, "all"):
                keys = [k for k in self.tried if kind in (k[0], "all") and table in (k[1], "all")]
                tried, named = sum(self.tried[k] for k in keys), sum(self.named[k] for k in keys)
                cells.append((f"{named} / {tried}" if tried else "").rjust(16))
            lines.append(kind.ljust(26) + "".join(cells))
        counts = Counter((t.table, t.column) for t, _ in self.exempt)
        lines += ["", f"(named / tried.) Exempt, and not named: {len(self.exempt)}"]
        lines += [f"  {n:4} {'.'.join(place)}: {EXEMPT[place].reason}" for place, n in counts.items()]
        lines += [f"named only against a kept head: {len(self.by_head)}", *(f"  {t}" for t in self.by_head)]
        lines += [f"not named: {len(self.unnamed)}", *(f"  {t}" for t in self.unnamed)]
        lines += [f"raised something unclear: {len(self.raised)}", *(f"  {t}: {e!r}" for t, e in self.raised)]
        return "\n".join([*lines, f"refused by SQLite: {len(self.refused)}"])


def report(folder: Path, each: int = 1, seed: int = 2) -> Report:
    """Tampers with a copy of the store at a time.

    Args:
        each: how many rows of every kind.
    """
    base, copy = folder / "base.db", folder / "copy.db"
    build(base)
    judge, rows, found = Judge.of(base), Rows.read(base), Report()
    threads = {row["no"]: row["name"].decode() for row in rows.rows["thread"]}
    lineages = {row["lineage"]: [threads[r["no"]] for r in rows.rows["thread"] if r["lineage"] == row["lineage"]]
                for row in rows.rows["thread"]}  # fmt: skip
    for tamper in tampers(rows, each, random.Random(seed)):
        shutil.copyfile(base, copy)
        for left in ("-wal", "-shm", "-journal"):
            (folder / f"copy.db{left}").unlink(missing_ok=True)
        if not _apply(copy, tamper):
            found.refused.append(tamper)
            continue
        found.touched.add((tamper.table, tamper.column))
        found.row_kinds.add((tamper.table, tamper.row_kind))
        first = _concerned(tamper, threads, lineages)
        try:
            how = judge.named(copy, first)
        except Exception as error:  # noqa: BLE001  # it is counted, and the test fails for it
            found.raised.append((tamper, error))
            continue
        _count(found, tamper, how, lambda: contents(copy) == judge.contents)
    return found


def _count(found: Report, tamper: Tamper, how: str, harmless: Callable[[], bool]) -> None:
    covered = exemption(tamper)
    if not how and covered is not None:
        found.exempt.append((tamper, harmless() or not covered.harmless))
        found.idle.discard((tamper.table, tamper.column))
        return
    found.tried[tamper.kind, tamper.table] += 1
    found.named[tamper.kind, tamper.table] += bool(how)
    if how == "by its head":
        found.by_head.append(tamper)
    elif not how:
        found.unnamed.append(tamper)


def _apply(path: Path, tamper: Tamper) -> bool:
    """False if SQLite itself refuses."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("BEGIN")
        for statement, values in tamper.statements:
            db.execute(statement, values)
        db.execute("COMMIT")
    except (sqlite3.IntegrityError, OverflowError):
        return False
    finally:
        db.close()
    return True


def _concerned(tamper: Tamper, threads: dict[int, str], lineages: dict[int, list[str]]) -> list[str]:
    """The threads to verify first, since they should name it."""
    rows = [r for r in (tamper.before, tamper.after) if isinstance(r, dict)]
    ends = -max(2, len(KEYS[tamper.table]))
    keys = [v for _, values in tamper.statements for v in values[ends:] if isinstance(v, int)]
    keys += [v for row in rows for v in (row.get("key"), row.get("no"), row.get("thread")) if isinstance(v, int)]
    numbers = [key >> 32 if key >> 32 else key for key in keys]
    if tamper.table in ("object", "lineage"):
        return [name for number in numbers for name in lineages.get(number, [])[:2]]
    return [threads[number] for number in numbers if number in threads]
