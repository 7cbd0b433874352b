"""SQLite: one file, any number of threads and processes, group commit."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from ...errors import BackendUnavailableError, IntegrityError
from ..base import (
    Append,
    BranchRow,
    Capabilities,
    LeaseRow,
    ObjectRow,
    RecordRow,
    Rewrite,
    Standing,
    Tail,
    ThreadRow,
    check_indexed,
    claimed,
    lookup,
    name_key,
)
from ..packing import unpack
from .append import (
    CREATE_LEASE,
    LAST,
    OBJECTS,
    RECORD,
    Appends,
    lease_of,
    packed,
    standing,
)
from .connection import Connections
from .queue import WriteQueue
from .rewrite import copied, rewritten

_THREAD = "t.name, t.life, l.secret, t.created, t.no, t.lineage, t.epoch, l.epoch, t.current, t.branches, t.nested"


class SqliteBackend:
    """The verbs of `Backend` on one SQLite file.

    Args:
        path: the file; it is created unless `read_only`.
        synchronous: "full" (an acknowledged operation survives a power cut) or "normal" (it survives a
            crash of the process; a power cut may take the last ones).
        read_only: open an existing file and never write to it.
        timeout: seconds to wait for another process that writes.

    Raises:
        BackendUnavailableError: the file cannot be opened or written.
        IntegrityError: the file is damaged.
        WfStoreError: the file is not ours, or of a newer version.
    """

    capabilities = Capabilities("sqlite", durable=True, shared=True)

    def __init__(self, path: str, *, synchronous: str = "full", read_only: bool = False, timeout: float = 60.0) -> None:
        self.path = os.path.abspath(path)
        schema = files("langgraph_wfstore.backends.sqlite").joinpath("schema.sql").read_text("utf-8")
        self._connections = Connections(self.path, schema, synchronous, read_only, timeout)
        with self._connections.reader() as db:
            secret = db.execute("SELECT value FROM store WHERE name = 'secret'").fetchone()
        if secret is None or not isinstance(secret[0], bytes) or len(secret[0]) != 32:
            self._connections.close()
            raise IntegrityError(f"{self.path} holds no store secret; the file is damaged, restore it from a backup")
        self.store_secret: bytes = secret[0]
        self._queue = WriteQueue(self._connections, Appends(self._name_key))

    # ------------------------------------------------------------------ reading

    def find(self, name: bytes) -> Tail | None:
        return self._tail("t.name_key = ?", self._name_key(name))

    def row(self, thread: int) -> Tail | None:
        return self._tail("t.no = ?", thread)

    def _tail(self, where: str, value: object) -> Tail | None:
        with self._connections.snapshot() as db:
            found = db.execute(
                f"SELECT {_THREAD} FROM thread t LEFT JOIN lineage l ON l.no = t.lineage WHERE {where}", (value,)
            ).fetchone()
            return None if found is None else self._stand(db, _thread(found))

    def _stand(self, db: sqlite3.Connection, row: ThreadRow) -> Tail:
        assert row.number is not None and row.lineage is not None
        low, high = row.number << 32, row.number << 32 | LAST
        last = db.execute("SELECT max(key) FROM record WHERE key BETWEEN ? AND ?", (low, high)).fetchone()[0]
        seal = db.execute(
            "SELECT key, ordinal, seal FROM record WHERE key BETWEEN ? AND ? AND seal IS NOT NULL "
            "ORDER BY key DESC LIMIT 1",
            (low, high),
        ).fetchone() or (low, -1, None)
        unsealed = db.execute(
            "SELECT id FROM record WHERE key > ? AND key <= ? ORDER BY key", (seal[0], high)
        ).fetchall()
        objects = db.execute(
            "SELECT max(key) FROM object WHERE key BETWEEN ? AND ?", (row.lineage << 32, row.lineage << 32 | LAST)
        ).fetchone()[0]
        branches = db.execute(
            "SELECT number, name, base, head FROM branch WHERE thread = ? ORDER BY number", (row.number,)
        ).fetchall()
        return Tail(
            row,
            0 if last is None else last & LAST,
            seal[1],
            seal[2],
            tuple(r[0] for r in unsealed),
            0 if objects is None else objects & LAST,
            tuple(BranchRow(*b) for b in branches),
        )

    def standing(self, row: ThreadRow) -> Standing | None:
        with self._connections.reader() as db:
            return standing(db, row.number or 0)

    def records(self, thread: int, after: int, limit: int) -> list[RecordRow]:
        return self._records(
            f"SELECT {RECORD} FROM record WHERE key > ? AND key <= ? ORDER BY key LIMIT ?",
            (thread << 32 | after, thread << 32 | LAST, limit),
        )

    def anchored(self, thread: int, anchors: Sequence[int]) -> list[RecordRow]:
        return self._records(
            f"SELECT {RECORD} FROM record "
            "WHERE key >> 32 = ? AND anchor IN (SELECT value FROM json_each(?)) ORDER BY key",
            (thread, "[" + ",".join(map(str, anchors)) + "]"),
        )

    def checkpoints(
        self, thread: int, space: int | None, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        sql = [f"SELECT {RECORD} FROM record WHERE key >> 32 = ? AND kind = 0 AND state = 0"]
        values: list[Any] = [thread]
        if space is not None:
            sql.append("AND space = ?")
            values.append(space)
        if below is not None:
            sql.append("AND position < ?")
            values.append(below)
        check_indexed(where)
        for name, value in where.items():
            sql.append(f"AND {name} = ?")
            values.append(value)
        if where.get("source", "loop") != "loop":
            sql.append("AND source <> 'loop'")
        sql.append("ORDER BY position DESC LIMIT ?")
        return self._records(" ".join(sql), (*values, limit))

    def runs(self, thread: int) -> list[RecordRow]:
        return self._records(
            f"SELECT {RECORD} FROM record WHERE key BETWEEN ? AND ? AND kind = 5 ORDER BY key",
            (thread << 32, thread << 32 | LAST),
        )

    def of_runs(self, thread: int, runs: Sequence[int]) -> list[RecordRow]:
        return self._records(
            f"SELECT {RECORD} FROM record WHERE run IN (SELECT value FROM json_each(?)) "
            "AND kind >= 5 AND key BETWEEN ? AND ? ORDER BY key",
            ("[" + ",".join(map(str, runs)) + "]", thread << 32, thread << 32 | LAST),
        )

    def linked(self, thread: int, links: Sequence[int]) -> list[RecordRow]:
        return self._records(
            f"SELECT {RECORD} FROM record WHERE key IN (SELECT thread << 32 | seq FROM link "
            "WHERE thread = ? AND link IN (SELECT value FROM json_each(?))) ORDER BY key",
            (thread, "[" + ",".join(map(str, links)) + "]"),
        )

    def links(self, thread: int) -> set[tuple[int, int]]:
        with self._connections.reader() as db:
            return set(db.execute("SELECT seq, link FROM link WHERE thread = ?", (thread,)).fetchall())

    def before(self, thread: int, position: int) -> int | None:
        with self._connections.reader() as db:
            found: int | None = db.execute(
                "SELECT max(position) FROM record WHERE key >> 32 = ? AND kind = 0 AND position < ?", (thread, position)
            ).fetchone()[0]
        return found

    def _records(self, sql: str, values: tuple[Any, ...]) -> list[RecordRow]:
        with self._connections.reader() as db:
            found = db.execute(sql, values).fetchall()
        return [_record(r) for r in found]

    def numbered(self, lineage: int, numbers: Sequence[int]) -> list[ObjectRow]:
        keys = "[" + ",".join(str(lineage << 32 | n) for n in numbers) + "]"
        with self._connections.reader() as db:
            found = db.execute(
                f"SELECT {OBJECTS} FROM object WHERE key IN (SELECT value FROM json_each(?))", (keys,)
            ).fetchall()
        return [_object(r) for r in found]

    def numbers(self, lineage: int, ids: Sequence[bytes]) -> dict[bytes, int]:
        wanted = set(ids)
        with self._connections.reader() as db:
            found = db.execute(
                "SELECT id, key FROM object WHERE key >> 32 = ? AND lookup IN (SELECT value FROM json_each(?))",
                (lineage, "[" + ",".join(str(lookup(name)) for name in ids) + "]"),
            ).fetchall()
        return {name: key & LAST for name, key in found if name in wanted}

    def all_objects(self, lineage: int) -> Iterator[ObjectRow]:
        after = lineage << 32
        while True:
            with self._connections.reader() as db:
                found = db.execute(
                    f"SELECT {OBJECTS} FROM object WHERE key > ? AND key <= ? ORDER BY key LIMIT 1000",
                    (after, lineage << 32 | LAST),
                ).fetchall()
            yield from map(_object, found)
            if not found:
                return
            after = found[-1][0]

    def threads(self, after: int, limit: int) -> list[Tail]:
        with self._connections.snapshot() as db:
            found = db.execute(
                f"SELECT {_THREAD} FROM thread t JOIN lineage l ON l.no = t.lineage "
                "WHERE t.no > ? ORDER BY t.no LIMIT ?",
                (after, limit),
            ).fetchall()
            return [self._stand(db, _thread(r)) for r in found]

    def kin(self, lineage: int) -> list[ThreadRow]:
        with self._connections.reader() as db:
            found = db.execute(
                f"SELECT {_THREAD} FROM thread t JOIN lineage l ON l.no = t.lineage WHERE t.lineage = ? ORDER BY t.no",
                (lineage,),
            ).fetchall()
        return [_thread(r) for r in found]

    def tombstones(self, name: bytes) -> list[tuple[int, bytes]]:
        with self._connections.reader() as db:
            return db.execute(
                "SELECT life, hashes FROM tombstone WHERE name_key = ? ORDER BY life", (self._name_key(name),)
            ).fetchall()

    def deleted_runs(self, hashes: Sequence[bytes]) -> set[bytes]:
        with self._connections.reader() as db:
            return {h for h in hashes if db.execute("SELECT 1 FROM deleted_run WHERE hash = ?", (h,)).fetchone()}

    def threads_of_runs(self, runs: Sequence[int]) -> list[int]:
        with self._connections.reader() as db:
            found = db.execute(
                "WITH wanted AS (SELECT value FROM json_each(?)) "
                "SELECT key >> 32 FROM record WHERE run IN wanted "
                "UNION SELECT thread FROM link WHERE link IN wanted ORDER BY 1",
                ("[" + ",".join(map(str, runs)) + "]",),
            ).fetchall()
        return [r[0] for r in found]

    # ------------------------------------------------------------------ writing

    def append(self, batch: Append) -> Any:
        return self._queue.put(packed(batch))

    def copy(self, tail: Tail, name: bytes, life: int, created: int) -> None:
        self._queue.run(lambda db: copied(db, tail, name, self._name_key(name), life, created))

    def claim(self, name: bytes, holder: bytes, ttl: int) -> LeaseRow:
        key = self._name_key(name)
        found: list[LeaseRow] = []

        def work(db: sqlite3.Connection) -> bool:
            db.execute(CREATE_LEASE)
            found.append(claimed(lease_of(db, key), holder, time.time_ns(), ttl))
            db.execute("INSERT OR REPLACE INTO lease VALUES (?,?,?,?)", (key, *found[0]))
            return True

        self._queue.run(work)
        return found[0]

    def release(self, name: bytes, token: int) -> None:
        def work(db: sqlite3.Connection) -> bool:
            db.execute("UPDATE lease SET expires = 0 WHERE name_key = ? AND token = ?", (self._name_key(name), token))
            return True

        self._queue.run(work)

    def lease(self, name: bytes) -> LeaseRow | None:
        with self._connections.reader() as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone():
                return None
            return lease_of(db, self._name_key(name))

    def setting(self, name: str) -> bytes | None:
        with self._connections.reader() as db:
            return _setting(db, name)

    def set_setting(self, name: str, value: bytes | None, expect: bytes | None) -> None:
        def work(db: sqlite3.Connection) -> bool:
            if _setting(db, name) != expect:
                return False
            if value is None:
                db.execute("DELETE FROM store WHERE name = ?", (f"setting {name}",))
            else:
                db.execute("INSERT OR REPLACE INTO store VALUES (?, ?)", (f"setting {name}", value))
            return True

        self._queue.run(work)

    def mark_deleted_runs(self, hashes: Sequence[bytes]) -> None:
        def work(db: sqlite3.Connection) -> bool:
            db.executemany("INSERT OR IGNORE INTO deleted_run VALUES (?)", [(h,) for h in hashes])
            return True

        self._queue.run(work)

    def rewrite(self, change: Rewrite) -> None:
        self._queue.run(lambda db: rewritten(db, change), erase=True)
        if change.secret is not None:
            self._leave_nothing_behind()

    def _leave_nothing_behind(self) -> None:
        """Write the file anew: pages that were split, and the write-ahead log, have bytes of what was replaced."""
        try:
            why = None if self._compact() else "somebody else has been reading or writing all the time"
        except BackendUnavailableError as error:
            why = str(error)
        if why is not None:
            raise BackendUnavailableError(
                f"the content was removed from the tables of {self.path}, but old bytes of it may still be in free "
                f"space or in the write-ahead log ({why}). Call store.compact() when nobody else uses the file"
            )

    # ------------------------------------------------------------------ the whole store

    def stats(self) -> dict[str, int]:
        with self._connections.snapshot() as db:
            threads = db.execute("SELECT count(*) FROM thread").fetchone()[0]
            kinds = dict(db.execute("SELECT kind, count(*) FROM record GROUP BY kind").fetchall())
            pruned = db.execute("SELECT count(*) FROM record WHERE state <> 0").fetchone()[0]
            seals, record_bytes = db.execute("SELECT count(seal), total(length(body)) FROM record").fetchone()
            forms = dict(db.execute("SELECT form, count(*) FROM object GROUP BY form").fetchall())
            object_bytes = db.execute("SELECT total(length(data)) FROM object").fetchone()[0]
            pages, size = db.execute("PRAGMA page_count").fetchone()[0], db.execute("PRAGMA page_size").fetchone()[0]
            free = db.execute("PRAGMA freelist_count").fetchone()[0]
        wal = 0
        with contextlib.suppress(OSError):
            wal = os.path.getsize(self.path + "-wal")
        return {
            "threads": threads,
            "checkpoints": kinds.get(0, 0),
            "writes": kinds.get(1, 0),
            "runs": kinds.get(5, 0),
            "steps": kinds.get(6, 0),
            "calls": kinds.get(7, 0),
            "pruned": pruned,
            "seals": seals,
            "record_bytes": int(record_bytes),
            "objects": forms.get(0, 0),
            "lists": forms.get(1, 0),
            "maps": forms.get(2, 0),
            "redacted": forms.get(3, 0),
            "object_bytes": int(object_bytes),
            "file_bytes": pages * size + wal,
            "free_bytes": free * size,
        }

    def compact(self) -> None:
        self._compact()

    def _compact(self) -> bool:
        """Write the file anew; whether the write-ahead log could be emptied too."""
        busy: list[int] = []

        def work(db: sqlite3.Connection) -> None:
            db.execute("VACUUM")
            busy.append(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

        self._queue.outside(work)
        return busy == [0]

    def close(self) -> None:
        self._queue.close()
        self._connections.close()

    def _name_key(self, name: bytes) -> bytes:
        return name_key(self.store_secret, name)


def _setting(db: sqlite3.Connection, name: str) -> bytes | None:
    """The value of a setting: a row of the table `store`, beside the store's own."""
    found = db.execute("SELECT value FROM store WHERE name = ?", (f"setting {name}",)).fetchone()
    if found is not None and not isinstance(found[0], bytes):
        raise IntegrityError(f"setting {name!r} is no byte string but {found[0]!r:.60}; restore a backup")
    return None if found is None else found[0]


_NONE = type(None)
_WHOLE = (int, _NONE)
_BYTES = (bytes, _NONE)
_THREAD_TYPES = (bytes, int, bytes, int, int, int, int, int, int, int, int)
_OBJECT_TYPES = (int, bytes, int, str, _BYTES, bytes)
_RECORD_TYPES = (
    *(int, int, bytes, int, bytes),
    *(_WHOLE, _BYTES, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE, (str, _NONE), _WHOLE, _WHOLE),
    bytes,
)


def _typed(r: tuple[Any, ...], types: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    """The row, if every cell is of the type that was written; SQLite would store any."""
    if all(map(isinstance, r, types)):
        return r
    raise IntegrityError(f"{what} has a cell of another type than was written; run thread.verify(), restore a backup")


def _record(r: tuple[Any, ...]) -> RecordRow:
    _typed(r, _RECORD_TYPES, f"record {r[0] & LAST if isinstance(r[0], int) else r[0]!r}")
    return RecordRow._make((r[0] & LAST, *r[1:4], unpack(r[4]), *r[5:], ()))


def _thread(r: tuple[Any, ...]) -> ThreadRow:
    if r[2] is None:
        raise IntegrityError("a thread's lineage is not in the store; restore a backup")
    _typed(r, _THREAD_TYPES, "a thread")
    nested: Any = bool(r[10]) if r[10] in (0, 1) else r[10]
    return ThreadRow(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], nested)


def _object(r: tuple[Any, ...]) -> ObjectRow:
    _typed(r, _OBJECT_TYPES, f"object {r[0] & LAST}")
    return ObjectRow(r[0] & LAST, r[1], r[2], r[3], r[4], unpack(r[5]))
