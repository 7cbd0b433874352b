"""The verbs of an engine on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import BackendUnavailableError, IntegrityError
from ..base import (
    Append,
    BranchRow,
    Capabilities,
    LeaseRow,
    ObjectRow,
    Pending,
    RecordRow,
    Rewrite,
    Stale,
    Standing,
    Tail,
    ThreadRow,
    check_indexed,
    lookup,
    name_key,
)
from ..lanes import Lanes
from ..packing import unpack
from .append import OBJECT, RECORD, Appends, flattened
from .connections import Connections
from .leases import CLAIM
from .options import Options, options_of
from .rewrite import Rewrites, standings
from .schema import Sql, made_ready

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.errors import Diagnostic

_T = TypeVar("_T")

_THREAD = (
    "t.name, t.life, l.secret, t.created, t.no, t.lineage, t.epoch, l.epoch, t.current, "
    "coalesce((SELECT max(number) FROM wf.branch WHERE thread = t.no), 0) + 1, t.nested"
)
_TAIL = (
    f"SELECT {_THREAD}, (SELECT max(seq) FROM wf.record WHERE thread = t.no), s.ordinal, s.seal, "
    "(SELECT array_agg(id ORDER BY seq) FROM wf.record WHERE thread = t.no AND seq > coalesce(s.seq, 0)), "
    "(SELECT max(number) FROM wf.object WHERE lineage = t.lineage), b.numbers, b.names, b.bases, b.heads "
    "FROM wf.thread t LEFT JOIN wf.lineage l ON l.no = t.lineage "
    "LEFT JOIN LATERAL (SELECT seq, ordinal, seal FROM wf.record WHERE thread = t.no AND seal IS NOT NULL "
    "ORDER BY seq DESC LIMIT 1) s ON true "
    "LEFT JOIN LATERAL (SELECT array_agg(number ORDER BY number) numbers, array_agg(name ORDER BY number) names, "
    "array_agg(base ORDER BY number) bases, array_agg(head ORDER BY number) heads FROM wf.branch "
    "WHERE thread = t.no) b ON true "
)
_TABLES = ("record", "object", "link", "thread", "lineage", "branch", "life", "deleted_run", "lease", "operation")
_PAGE = 1000


class PostgresBackend:
    """The verbs of `Backend` on one schema of a PostgreSQL database.

    Args:
        source: a URL (`postgresql://...`, with `schema`, `pool_size`, `timeout` and `prepare` among its parameters),
            a `psycopg_pool.ConnectionPool`, or a `psycopg.Connection` in autocommit mode. A pool or connection of the
            caller's stays open when the store is closed.
        schema: the schema that holds the tables; they are made if they are not there.
        pool_size: how many connections at most, for a URL.
        timeout: seconds after which an operation that was not served raises BackendUnavailableError.
        prepare: have connections prepare statements; only without a proxy that pools by the transaction.
        synchronous: "full" (an acknowledged operation survives a crash of the server, as far as the server's
            `synchronous_commit` and replication say) or "normal" (a crash of the server may take the last ones).
        read_only: never write; the tables must be there.

    Raises:
        BackendUnavailableError: the server cannot be reached, or does not let us in.
        IntegrityError: the store's tables are damaged.
        WfStoreError: the extra `postgres` is not installed; the schema is not ours, or of a newer version.
    """

    capabilities = Capabilities("postgres", durable=True, shared=True)

    def __init__(
        self,
        source: Any,
        *,
        schema: str = "wfstore",
        pool_size: int = 16,
        timeout: float = 30.0,
        prepare: bool = False,
        synchronous: str = "full",
        read_only: bool = False,
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous is 'full' or 'normal', not {synchronous!r}")
        options = options_of(source, Options(schema, pool_size, timeout, prepare))
        self.place = options.place
        self._read_only = read_only
        self._sql = Sql(options.schema)
        self._connections = Connections(
            options.source,
            place=options.place,
            pool_size=options.pool_size,
            timeout=options.timeout,
            prepare=options.prepare,
        )
        self._appends = Appends(
            self._sql,
            self._name_key,
            lazy=synchronous == "normal",
            prepare=options.prepare,
            shared=self._connections.shared,
        )
        self._rewrites = Rewrites(self._sql, self._name_key)
        self._lanes = Lanes(self._append, self.place)
        try:
            self.store_secret: bytes = self._connections.first(
                lambda db: made_ready(db, self._sql, read_only, self.place)
            )
        except BaseException:
            self._connections.close()
            raise

    # ------------------------------------------------------------------ reading

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        query = self._sql(statement)
        return self._connections.read(lambda db: db.execute(query, values or None, binary=True).fetchall())

    def find(self, name: bytes) -> Tail | None:
        found = self._rows(f"{_TAIL} WHERE t.name_key = %s", (self._name_key(name),))
        return _tail(found[0]) if found else None

    def row(self, thread: int) -> Tail | None:
        found = self._rows(f"{_TAIL} WHERE t.no = %s", (thread,))
        return _tail(found[0]) if found else None

    def standing(self, row: ThreadRow) -> Standing | None:
        number = row.number or 0
        return self._connections.read(lambda db: standings(db, self._sql, "WHERE t.no = %s", number)).get(number)

    def records(self, thread: int, after: int, limit: int) -> list[RecordRow]:
        return self._records("thread = %s AND seq > %s ORDER BY seq LIMIT %s", (thread, after, limit))

    def anchored(self, thread: int, anchors: Sequence[int]) -> list[RecordRow]:
        return self._records("thread = %s AND anchor = ANY(%s::bigint[]) ORDER BY seq", (thread, [*anchors]))

    def checkpoints(
        self, thread: int, space: int | None, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        sql = ["thread = %s AND kind = 0 AND state = 0"]
        values: list[Any] = [thread]
        if space is not None:
            sql.append("AND space = %s")
            values.append(space)
        if below is not None:
            sql.append("AND position < %s")
            values.append(below)
        check_indexed(where)
        for name, value in where.items():
            sql.append(f"AND {name} = %s")
            values.append(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
        if where.get("source", "loop") != "loop":
            sql.append(r"AND source <> '\x6c6f6f70'")
        sql.append("ORDER BY position DESC LIMIT %s")
        return self._records(" ".join(sql), (*values, limit))

    def runs(self, thread: int) -> list[RecordRow]:
        return self._records("thread = %s AND kind = 5 ORDER BY seq", (thread,))

    def of_runs(self, thread: int, runs: Sequence[int]) -> list[RecordRow]:
        return self._records("thread = %s AND run = ANY(%s::bigint[]) AND kind >= 5 ORDER BY seq", (thread, [*runs]))

    def linked(self, thread: int, links: Sequence[int]) -> list[RecordRow]:
        return self._records(
            "thread = %s AND seq IN (SELECT seq FROM wf.link WHERE thread = %s AND link = ANY(%s::bigint[])) "
            "ORDER BY seq",
            (thread, thread, [*links]),
        )

    def links(self, thread: int) -> set[tuple[int, int]]:
        return set(self._rows("SELECT seq, link FROM wf.link WHERE thread = %s", (thread,)))

    def before(self, thread: int, position: int) -> int | None:
        found: int | None = self._rows(
            "SELECT max(position) FROM wf.record WHERE thread = %s AND kind = 0 AND position < %s", (thread, position)
        )[0][0]
        return found

    def _records(self, where: str, values: Sequence[Any]) -> list[RecordRow]:
        return [_record(row) for row in self._rows(f"SELECT {RECORD} FROM wf.record WHERE {where}", values)]

    def numbered(self, lineage: int, numbers: Sequence[int]) -> list[ObjectRow]:
        found = self._rows(
            f"SELECT {OBJECT} FROM wf.object WHERE lineage = %s AND number = ANY(%s::int[])", (lineage, [*numbers])
        )
        return [_object(row) for row in found]

    def numbers(self, lineage: int, ids: Sequence[bytes]) -> dict[bytes, int]:
        found = self._rows(
            "SELECT id, number FROM wf.object WHERE lineage = %s AND lookup = ANY(%s::bigint[])",
            (lineage, [lookup(name) for name in ids]),
        )
        wanted = set(ids)
        return {name: number for name, number in found if name in wanted}

    def all_objects(self, lineage: int) -> Iterator[ObjectRow]:
        after = 0
        while True:
            found = self._rows(
                f"SELECT {OBJECT} FROM wf.object WHERE lineage = %s AND number > %s ORDER BY number LIMIT %s",
                (lineage, after, _PAGE),
            )
            yield from map(_object, found)
            if len(found) < _PAGE:
                return
            after = found[-1][0]

    def threads(self, after: int, limit: int) -> list[Tail]:
        return [_tail(row) for row in self._rows(f"{_TAIL} WHERE t.no > %s ORDER BY t.no LIMIT %s", (after, limit))]

    def kin(self, lineage: int) -> list[ThreadRow]:
        found = self._rows(
            f"SELECT {_THREAD} FROM wf.thread t JOIN wf.lineage l ON l.no = t.lineage WHERE t.lineage = %s "
            "ORDER BY t.no",
            (lineage,),
        )
        return [_thread(row) for row in found]

    def tombstones(self, name: bytes) -> list[tuple[int, bytes]]:
        return self._rows(
            "SELECT life, hashes FROM wf.life WHERE name_key = %s AND hashes IS NOT NULL ORDER BY life",
            (self._name_key(name),),
        )

    def deleted_runs(self, hashes: Sequence[bytes]) -> set[bytes]:
        found = self._rows("SELECT hash FROM wf.deleted_run WHERE hash = ANY(%s::bytea[])", ([*hashes],))
        return set(flattened(found))

    def threads_of_runs(self, runs: Sequence[int]) -> list[int]:
        found = self._rows(
            "SELECT thread FROM wf.record WHERE run = ANY(%s::bigint[]) "
            "UNION SELECT thread FROM wf.link WHERE link = ANY(%s::bigint[]) ORDER BY 1",
            ([*runs], [*runs]),
        )
        return flattened(found)

    # ------------------------------------------------------------------ writing

    def append(self, batch: Append) -> Pending:
        return self._lanes.put(batch)

    def _append(self, batch: Append) -> bool:
        return self._write(lambda db, again: self._appends.apply(db, batch, again))

    def _write(self, work: Callable[[Connection[Any], bool], _T]) -> _T:
        if self._read_only:
            raise BackendUnavailableError(f"{self.place} is open for reading only; open it without read_only to write")
        return self._connections.write(work)

    def copy(self, tail: Tail, name: bytes, life: int, created: int) -> None:
        operation = secrets.token_bytes(16)
        if not self._write(lambda db, _: self._rewrites.copy(db, operation, tail, name, life, created)):
            raise Stale

    def rewrite(self, change: Rewrite) -> None:
        operation = secrets.token_bytes(16)
        if not self._write(lambda db, _: self._rewrites.rewrite(db, operation, change)):
            raise Stale
        if change.secret is not None and (why := self._vacuum("", "record", "object", "lineage", "link")):
            raise BackendUnavailableError(
                f"the content was removed from the tables of {self.place}, but old versions of their rows are still in "
                f"its files ({why}). Call store.compact() as the owner of the tables"
            )

    def _vacuum(self, how: str, *tables: str) -> str:
        """Remove old versions of rows; gives why that could not be done, if so."""
        names = ", ".join(f"wf.{table}" for table in tables)
        query = self._sql(f"VACUUM {how}{names}")

        def work(db: Connection[Any], _: bool) -> str:
            said: list[str] = []

            def hear(notice: Diagnostic) -> None:
                said.append(notice.message_primary or "")

            db.add_notice_handler(hear)
            try:
                db.execute(query)
            finally:
                db.remove_notice_handler(hear)
            return "; ".join(said)

        return self._write(work)

    def mark_deleted_runs(self, hashes: Sequence[bytes]) -> None:
        self._write(lambda db, _: self._rewrites.mark_deleted_runs(db, [*hashes]))

    def claim(self, name: bytes, holder: bytes, ttl: int) -> LeaseRow:
        values = {"key": self._name_key(name), "holder": holder, "ttl": ttl}
        found = self._write(lambda db, _: db.execute(self._sql(CLAIM), values, binary=True).fetchall())
        return LeaseRow(*found[0])

    def release(self, name: bytes, token: int) -> None:
        query = self._sql("UPDATE wf.lease SET expires = 0 WHERE name_key = %s AND token = %s")
        self._write(lambda db, _: db.execute(query, (self._name_key(name), token)))

    def lease(self, name: bytes) -> LeaseRow | None:
        found = self._rows("SELECT token, holder, expires FROM wf.lease WHERE name_key = %s", (self._name_key(name),))
        return LeaseRow(*found[0]) if found else None

    def setting(self, name: str) -> bytes | None:
        found = self._rows("SELECT value FROM wf.store WHERE name = %s", (f"setting {name}",))
        return found[0][0] if found else None

    def set_setting(self, name: str, value: bytes | None, expect: bytes | None) -> None:
        operation, key = secrets.token_bytes(16), f"setting {name}"
        if not self._write(lambda db, _: self._rewrites.set_setting(db, operation, key, value, expect)):
            raise Stale

    # ------------------------------------------------------------------ the whole store

    def stats(self) -> dict[str, int]:
        counted = self._rows(
            "SELECT (SELECT count(*) FROM wf.thread), r.*, o.*, "
            "(SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = ANY(%s)) FROM "
            "(SELECT count(*) FILTER (WHERE kind = 0), count(*) FILTER (WHERE kind = 1), "
            "count(*) FILTER (WHERE kind = 5), count(*) FILTER (WHERE kind = 6), count(*) FILTER (WHERE kind = 7), "
            "count(*) FILTER (WHERE state <> 0), count(seal), coalesce(sum(length(body)), 0) FROM wf.record) r, "
            "(SELECT count(*) FILTER (WHERE form = 0), count(*) FILTER (WHERE form = 1), "
            "count(*) FILTER (WHERE form = 2), count(*) FILTER (WHERE form = 3), coalesce(sum(length(data)), 0) "
            "FROM wf.object) o",
            (self._sql.schema, [*_TABLES]),
        )[0]
        names_of = (
            "threads checkpoints writes runs steps calls pruned seals record_bytes "
            "objects lists maps redacted object_bytes file_bytes"
        )
        return {**{name: int(n) for name, n in zip(names_of.split(), counted, strict=True)}, "free_bytes": 0}

    def compact(self) -> None:
        old = self._sql("DELETE FROM wf.operation WHERE made < now() - interval '1 day'")
        self._write(lambda db, _: db.execute(old))
        if why := self._vacuum("(FULL, ANALYZE) ", *_TABLES):
            raise BackendUnavailableError(
                f"{self.place} did not compact every table: {why}. The owner of the tables can"
            )

    def close(self) -> None:
        self._lanes.close()
        self._connections.close()

    def _name_key(self, name: bytes) -> bytes:
        return name_key(self.store_secret, name)


def _thread(r: Sequence[Any]) -> ThreadRow:
    if r[2] is None:
        raise IntegrityError("a thread's lineage is not in the store; restore a backup")
    return ThreadRow(*r[:11])


def _tail(r: Sequence[Any]) -> Tail:
    ordinal = -1 if r[12] is None else r[12]
    branches = [*map(BranchRow, *r[16:20])] if r[16] else []
    return Tail(_thread(r), r[11] or 0, ordinal, r[13], tuple(r[14] or ()), r[15] or 0, tuple(branches))


def _record(r: Sequence[Any]) -> RecordRow:
    source = None if r[12] is None else r[12].decode("utf-8", "surrogatepass")
    return RecordRow._make((*r[:4], unpack(r[4]), *r[5:12], source, *r[13:], ()))


def _object(r: Sequence[Any]) -> ObjectRow:
    return ObjectRow(r[0], r[1], r[2], r[3].decode("utf-8", "surrogatepass"), r[4], unpack(r[5]))
