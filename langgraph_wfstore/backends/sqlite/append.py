"""What appends do to the tables of a SQLite file, one by one or many with a few statements."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..base import (
    BRANCH,
    REMOVAL,
    SWITCH,
    Append,
    LeaseRow,
    Standing,
    ThreadRow,
    looked_up,
)
from ..packing import pack

RECORD = "key, kind, id, state, body, ordinal, seal, anchor, space, position, branch, within, source, step, run, refs"
OBJECTS = "key, id, form, tag, nonce, data"
LAST = 0xFFFFFFFF
_STANDINGS_HELD = 4096
_ROWS = 32  # in one statement


@dataclass(slots=True)
class Packed:
    """An append with its rows as they are stored; their keys still lack the numbers of thread and lineage."""

    batch: Append
    records: list[tuple[Any, ...]]
    objects: list[tuple[Any, ...]]
    links: list[tuple[int, int]]

    @property
    def plain(self) -> bool:
        """Whether it only adds records, branches aside, to a thread and to branches that are there."""
        batch = self.batch
        return (
            batch.thread.number is not None
            and batch.records[-1].kind not in (BRANCH, SWITCH, REMOVAL)
            and not (batch.positions or batch.nested or batch.switch is not None or len(batch.branches) > 1)
        )


def packed(batch: Append) -> Packed:
    """The append as it is stored; packing is done by whoever prepared it, not by whoever commits for all."""
    return Packed(
        batch,
        [(*r[:4], pack(r[4]), *r[5:16]) for r in batch.records],
        [(*o[:5], pack(o[5]), looked_up(o)) for o in batch.objects],
        [(link, r.seq) for r in batch.records for link in r.links],
    )


class Appends:
    """Applies appends within the open transaction of the writing connection.

    Args:
        name_key: the stored key of a thread's name.
    """

    def __init__(self, name_key: Callable[[bytes], bytes]) -> None:
        self._name_key = name_key
        self._standings: dict[int, Standing] = {}
        self._version = -1

    def forget(self) -> None:
        """How threads stand must be asked anew: something else was written, or a transaction rolled back."""
        self._standings.clear()

    def apply_together(self, db: sqlite3.Connection, group: Sequence[Packed]) -> list[bool] | None:
        """Apply appends with a few statements for all; per append whether it was as expected. None: not possible.

        Raises:
            sqlite3.IntegrityError: one of them collides; after a rollback, `apply` tells which.
        """
        if not all(one.plain for one in group):
            return None
        version = db.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._standings) > _STANDINGS_HELD:
            self._standings.clear()
            self._version = version
        outcomes = [self._advance(db, one.batch) for one in group]
        good = [one for one, outcome in zip(group, outcomes, strict=True) if outcome]
        _insert(db, "record", 16, [row for one in good for row in _keyed(one.batch.thread.number, one.records)])
        _insert(db, "object", 7, [row for one in good for row in _keyed(one.batch.thread.lineage, one.objects)])
        links = [(one.batch.thread.number, *link) for one in good for link in one.links]
        if links:
            db.executemany(_ADD_LINK, links)
        heads = [(one.batch.thread.number, *head) for one in good for head in one.batch.branches]
        if heads:
            db.executemany(_SET_BRANCH, heads)
        return outcomes

    def _advance(self, db: sqlite3.Connection, batch: Append) -> bool:
        """Whether the thread stands as expected; it is then taken to stand as it will after the append."""
        number = batch.thread.number or 0
        found = self._standings.get(number) or standing(db, number)
        if found is None or found != batch.expect or _run_deleted(db, batch) or self._overtaken(db, batch):
            return False
        last = batch.records[-1]
        self._standings[number] = Standing(found.epoch, found.lineage_epoch, last.seq, last.seal or last.id)
        return True

    def apply(self, db: sqlite3.Connection, one: Packed) -> bool:
        """Apply one append; False if the thread is not as expected."""
        batch = one.batch
        row = batch.thread
        try:
            if row.number is None:
                if batch.expect.last:  # prepared on top of a creation that failed
                    return False
                number, lineage = self._create(db, row)
            else:
                number, lineage = row.number, row.lineage or 0
                self._standings.pop(number, None)
                if standing(db, number) != batch.expect:
                    return False
            if _run_deleted(db, batch) or self._overtaken(db, batch):
                return False
            _insert(db, "record", 16, _keyed(number, one.records))
            _insert(db, "object", 7, _keyed(lineage, one.objects))
            db.executemany(_ADD_LINK, [(number, *link) for link in one.links])
        except sqlite3.IntegrityError:
            return False
        for seq, position in batch.positions:
            db.execute("UPDATE record SET position = ? WHERE key = ?", (position, number << 32 | seq))
        if batch.branches:
            db.executemany(_SET_BRANCH, [(number, *b) for b in batch.branches])
            db.execute(
                "UPDATE thread SET branches = (SELECT max(number) + 1 FROM branch WHERE thread = ?1) WHERE no = ?1",
                (number,),
            )
        if batch.switch is not None:
            db.execute("UPDATE thread SET current = ? WHERE no = ?", (batch.switch, number))
        if batch.nested:
            db.execute("UPDATE thread SET nested = 1 WHERE no = ?", (number,))
        row.number, row.lineage = number, lineage
        return True

    def _overtaken(self, db: sqlite3.Connection, batch: Append) -> bool:
        """Whether somebody else holds the lease under which this append is made."""
        if batch.fence is None:
            return False
        held = lease_of(db, self._name_key(batch.thread.name))
        return held is None or held.token != batch.fence

    def _create(self, db: sqlite3.Connection, row: ThreadRow) -> tuple[int, int]:
        name_key = self._name_key(row.name)
        gone = db.execute("SELECT max(life) FROM tombstone WHERE name_key = ?", (name_key,)).fetchone()[0] or 0
        if row.life != gone + 1:
            raise sqlite3.IntegrityError("the thread was deleted meanwhile")
        lineage = db.execute("INSERT INTO lineage(epoch, secret) VALUES (0, ?)", (row.secret,)).lastrowid
        number = db.execute(INSERT_THREAD, (row.name, name_key, row.life, lineage, 0, 1, 0, row.created)).lastrowid
        assert number is not None and lineage is not None
        return number, lineage


INSERT_THREAD = (
    "INSERT INTO thread(name, name_key, life, lineage, epoch, current, branches, nested, created) "
    "VALUES (?,?,?,?,0,?,?,?,?)"
)
# Who never claims a lease has no such table: files of before leases need no migration.
CREATE_LEASE = (
    "CREATE TABLE IF NOT EXISTS lease(name_key BLOB PRIMARY KEY, token INTEGER NOT NULL, holder BLOB NOT NULL, "
    "expires INTEGER NOT NULL) WITHOUT ROWID"
)
_ADD_LINK = "INSERT OR IGNORE INTO link VALUES (?,?,?)"
_SET_BRANCH = "INSERT OR REPLACE INTO branch VALUES (?,?,?,?,?)"
_COLUMNS = {"record": RECORD, "object": f"{OBJECTS}, lookup"}


def standing(db: sqlite3.Connection, thread: int) -> Standing | None:
    """How a thread stands; None if it is gone."""
    found = db.execute(
        "SELECT t.epoch, l.epoch, r.key, coalesce(r.seal, r.id) FROM thread t JOIN lineage l ON l.no = t.lineage "
        "LEFT JOIN record r ON r.key = (SELECT max(key) FROM record WHERE key BETWEEN ?2 AND ?3) WHERE t.no = ?1",
        (thread, thread << 32, thread << 32 | LAST),
    ).fetchone()
    return None if found is None else Standing(found[0], found[1], (found[2] or 0) & LAST, found[3])


def _run_deleted(db: sqlite3.Connection, batch: Append) -> bool:
    wanted = (batch.run,)
    return bool(batch.run) and db.execute("SELECT 1 FROM deleted_run WHERE hash = ?", wanted).fetchone() is not None


def lease_of(db: sqlite3.Connection, name_key: bytes) -> LeaseRow | None:
    """The lease of a thread id; the table must be there."""
    found = db.execute("SELECT token, holder, expires FROM lease WHERE name_key = ?", (name_key,)).fetchone()
    return None if found is None else LeaseRow(*found)


def _keyed(number: int | None, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    high = (number or 0) << 32
    return [(high | row[0], *row[1:]) for row in rows]


def _insert(db: sqlite3.Connection, table: str, width: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert with few statements: for each one, Python's global lock is given up and must be had again."""
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        db.execute(_insertion(table, width, len(some)), [*chain.from_iterable(some)])


@functools.cache
def _insertion(table: str, width: int, rows: int) -> str:
    values = "(" + ",".join("?" * width) + ")"
    return f"INSERT INTO {table}({_COLUMNS[table]}) VALUES " + ",".join([values] * rows)
