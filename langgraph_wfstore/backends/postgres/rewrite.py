"""Removal of content, and copies, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base import RUN, SKELETON, Rewrite, Standing, Tail
from .append import OBJECT, RECORD, columns, object_values, record_values, standing_values
from .schema import Sql

if TYPE_CHECKING:
    from psycopg import Connection

_STANDING = (
    "SELECT t.no, t.epoch, l.epoch, coalesce(last.seq, 0), last.coalesce FROM wf.thread t "
    "JOIN wf.lineage l ON l.no = t.lineage LEFT JOIN LATERAL (SELECT r.seq, coalesce(r.seal, r.id) FROM wf.record r "
    "WHERE r.thread = t.no ORDER BY r.seq DESC LIMIT 1) last ON true "
)
# The thread, if it is as expected, and the lineage, held until this transaction has ended.
_STANDS = (
    "held AS (SELECT t.no, t.lineage FROM wf.thread t JOIN wf.lineage l ON l.no = t.lineage "
    "WHERE t.no = %s AND t.epoch = %s AND l.epoch = %s FOR NO KEY UPDATE OF t FOR SHARE OF l), "
    "good AS (SELECT held.no, held.lineage FROM held LEFT JOIN LATERAL (SELECT r.seq, coalesce(r.seal, r.id) "
    "FROM wf.record r WHERE r.thread = held.no ORDER BY r.seq DESC LIMIT 1) last "
    "ON true WHERE coalesce(last.seq, 0) = %s AND last.coalesce IS NOT DISTINCT FROM %s)"
)
_SET_RECORD = ", ".join(f"{name} = excluded.{name}" for name in RECORD.split(", ")[1:])
_OBJECT_NAMES = (*OBJECT.split(", ")[1:], "lookup")


def standings(db: Connection[Any], sql: Sql, where: str, value: int) -> dict[int, Standing]:
    """How threads stand, by number.

    Args:
        where: which, as SQL with one parameter.
    """
    found = db.execute(sql(_STANDING + where), (value,), binary=True).fetchall()
    return {row[0]: Standing(*row[1:]) for row in found}


class Rewrites:
    """Applies what is more than an append, each in one transaction.

    Args:
        sql: of the schema.
        name_key: the stored key of a thread's name.
    """

    def __init__(self, sql: Sql, name_key: Callable[[bytes], bytes]) -> None:
        self._sql = sql
        self._name_key = name_key

    def once(self, db: Connection[Any], operation: bytes) -> bool:
        """Note an operation's number within its transaction; False if it was applied before."""
        found = db.execute(
            self._sql("INSERT INTO wf.operation (id) VALUES (%s) ON CONFLICT DO NOTHING RETURNING true"), (operation,)
        )
        return found.fetchone() is not None

    def copy(self, db: Connection[Any], operation: bytes, tail: Tail, name: bytes, life: int, created: int) -> bool:
        """See `Backend.copy`; False if it is stale."""
        from psycopg import errors

        source, key = tail.row, self._name_key(name)
        number = source.number or 0
        statement = (
            f"WITH {_STANDS}, "
            "lives AS (INSERT INTO wf.life (name_key, life) SELECT %s, %s FROM good), "
            "made AS (INSERT INTO wf.thread (name, name_key, life, lineage, epoch, current, nested, created) "
            "SELECT %s, %s, %s, lineage, 0, %s, %s, %s FROM good RETURNING no), "
            f"records AS (INSERT INTO wf.record (thread, {RECORD}) SELECT made.no, {RECORD} FROM made, wf.record "
            "WHERE thread = %s), "
            "branches AS (INSERT INTO wf.branch SELECT made.no, b.number, b.name, b.base, b.head "
            "FROM made, wf.branch b WHERE b.thread = %s), "
            "links AS (INSERT INTO wf.link SELECT made.no, x.link, x.seq FROM made, wf.link x WHERE x.thread = %s) "
            "SELECT no FROM made"
        )
        values = [*standing_values(number, tail.standing), key, life, name, key, life]
        values += [source.current, source.nested, created, number, number, number]
        try:
            with db.transaction():
                if not self.once(db, operation):
                    return True
                return db.execute(self._sql(statement), values).fetchone() is not None or _undo()
        except (errors.UniqueViolation, _Undone):
            return False

    def rewrite(self, db: Connection[Any], operation: bytes, change: Rewrite) -> bool:
        """See `Backend.rewrite`; False if it is stale."""
        try:
            with db.transaction():
                if not self.once(db, operation):
                    return True
                if not self._stands(db, change):
                    _undo()
                self._rewrite(db, change)
        except _Undone:
            return False
        return True

    def _stands(self, db: Connection[Any], change: Rewrite) -> bool:
        """Hold the lineage and its threads, threads first as appends do; whether they are as expected."""
        db.execute(
            self._sql("SELECT no FROM wf.thread WHERE lineage = %s ORDER BY no FOR UPDATE"), (change.lineage,)
        ).fetchall()
        db.execute(self._sql("SELECT no FROM wf.lineage WHERE no = %s FOR UPDATE"), (change.lineage,)).fetchall()
        return standings(db, self._sql, "WHERE t.lineage = %s", change.lineage) == change.expect

    def _rewrite(self, db: Connection[Any], change: Rewrite) -> None:
        many = db.cursor().executemany
        names = f"thread, {RECORD}"
        many(
            self._sql(
                f"INSERT INTO wf.record ({names}) VALUES ({', '.join(['%s'] * 17)}) "
                f"ON CONFLICT (thread, seq) DO UPDATE SET {_SET_RECORD}"
            ),
            [(thread, *record_values(row)) for thread, row in change.records],
        )
        emptied = [(thread, row.seq) for thread, row in change.records if row.kind >= RUN and row.state == SKELETON]
        many(self._sql("DELETE FROM wf.link WHERE thread = %s AND seq = %s"), emptied)
        self._objects(db, change)
        if change.secret is not None:
            db.execute(self._sql("UPDATE wf.lineage SET secret = %s WHERE no = %s"), (change.secret, change.lineage))
        many(
            self._sql(
                "INSERT INTO wf.branch (thread, number, name, base, head) VALUES (%s, %s, %s, %s, %s) ON CONFLICT "
                "(thread, number) DO UPDATE SET name = excluded.name, base = excluded.base, head = excluded.head"
            ),
            [(thread, *row) for thread, rows in change.heads.items() for row in rows],
        )
        if change.drop_thread is not None:
            self._drop(db, change.drop_thread, change.tombstone)
        db.execute(self._sql("UPDATE wf.thread SET epoch = epoch + 1 WHERE lineage = %s"), (change.lineage,))
        db.execute(self._sql("UPDATE wf.lineage SET epoch = epoch + 1 WHERE no = %s"), (change.lineage,))
        unused = "NOT EXISTS (SELECT FROM wf.thread WHERE lineage = %s)"
        for table, column in (("object", "lineage"), ("lineage", "no")):
            db.execute(
                self._sql(f"DELETE FROM wf.{table} WHERE {column} = %s AND {unused}"), (change.lineage, change.lineage)
            )

    def _objects(self, db: Connection[Any], change: Rewrite) -> None:
        db.execute(
            self._sql("DELETE FROM wf.object WHERE lineage = %s AND number = ANY(%s::int[])"),
            (change.lineage, change.drop_objects),
        )
        if change.replace_objects:
            arrays = "%s::int[], %s::bytea[], %s::smallint[], %s::bytea[], %s::bytea[], %s::bytea[], %s::bigint[]"
            db.execute(
                self._sql(
                    f"UPDATE wf.object o SET {', '.join(f'{name} = n.{name}' for name in _OBJECT_NAMES)} "
                    f"FROM unnest({arrays}) AS n({OBJECT}, lookup) WHERE o.lineage = %s AND o.number = n.number"
                ),
                [*columns([object_values(row) for row in change.replace_objects]), change.lineage],
            )
        if change.nonces:
            db.execute(
                self._sql(
                    "UPDATE wf.object o SET nonce = n.nonce FROM unnest(%s::int[], %s::bytea[]) AS n(number, nonce) "
                    "WHERE o.lineage = %s AND o.number = n.number"
                ),
                [*columns(change.nonces), change.lineage],
            )

    def _drop(self, db: Connection[Any], thread: int, tombstone: tuple[bytes, int, bytes] | None) -> None:
        for table in ("record", "branch", "link"):
            db.execute(self._sql(f"DELETE FROM wf.{table} WHERE thread = %s"), (thread,))
        if tombstone is not None:
            name, life, hashes = tombstone
            db.execute(
                self._sql("UPDATE wf.life SET hashes = %s WHERE name_key = %s AND life = %s"),
                (hashes, self._name_key(name), life),
            )
        db.execute(self._sql("DELETE FROM wf.thread WHERE no = %s"), (thread,))

    def mark_deleted_runs(self, db: Connection[Any], hashes: list[bytes]) -> None:
        """See `Backend.mark_deleted_runs`; what was being appended meanwhile is there afterwards, or stale."""
        with db.transaction():
            # Waits for appends that are under way and may not have seen the mark, and lets those after it see it.
            # The row is for those at an isolation level at which what is seen is older than the lock.
            db.execute(self._sql("UPDATE wf.store SET value = value WHERE name = 'deleted runs'"))
            db.execute(self._sql("LOCK TABLE wf.record IN SHARE MODE"))
            db.execute(
                self._sql("INSERT INTO wf.deleted_run SELECT unnest(%s::bytea[]) ON CONFLICT DO NOTHING"), (hashes,)
            )

    def set_setting(
        self, db: Connection[Any], operation: bytes, name: str, value: bytes | None, expect: bytes | None
    ) -> bool:
        """See `Backend.set_setting`; `name` is the row's. False if it is stale."""
        if expect is None:
            change, values = "INSERT INTO wf.store VALUES (%s, %s) ON CONFLICT DO NOTHING", [name, value]
        elif value is None:
            change, values = "DELETE FROM wf.store WHERE name = %s AND value = %s", [name, expect]
        else:
            change = "UPDATE wf.store SET value = %s WHERE name = %s AND value = %s"
            values = [value, name, expect]
        if value is None and expect is None:
            return db.execute(self._sql("SELECT FROM wf.store WHERE name = %s"), (name,)).fetchone() is None
        try:
            with db.transaction():
                if not self.once(db, operation):
                    return True
                return bool(db.execute(self._sql(change), values).rowcount) or _undo()
        except _Undone:
            return False


class _Undone(Exception):
    """The transaction is to be rolled back: the thread is not as expected."""


def _undo() -> bool:
    raise _Undone
