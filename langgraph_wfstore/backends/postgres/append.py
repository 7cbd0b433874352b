"""What an append does to the tables in PostgreSQL: one statement, so one round trip and one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ...errors import WfStoreError
from ..base import Append, ObjectRow, RecordRow, Standing, looked_up
from ..packing import pack
from .schema import Sql

if TYPE_CHECKING:
    from psycopg import Connection

# In the order of RecordRow, and how each is given to the server.
RECORD = "seq, kind, id, state, body, ordinal, seal, anchor, space, position, branch, within, source, step, run, refs"
_BYTES, _SMALL, _WHOLE, _BIG = "bytea[]", "smallint[]", "int[]", "bigint[]"
_RECORD_ARRAYS = [
    _WHOLE,
    _SMALL,
    _BYTES,
    _SMALL,
    _BYTES,
    _WHOLE,
    _BYTES,
    *[_BIG] * 3,
    _WHOLE,
    _BIG,
    _BYTES,
    _BIG,
    _BIG,
    _BYTES,
]
OBJECT = "number, id, form, tag, nonce, data"
_OBJECT_ARRAYS = [_WHOLE, _BYTES, _SMALL, _BYTES, _BYTES, _BYTES, _BIG]

# The end of a thread, or nothing; `t` is the thread.
_LAST = "SELECT r.seq, coalesce(r.seal, r.id) FROM wf.record r WHERE r.thread = {} ORDER BY r.seq DESC LIMIT 1"
# Until this statement has ended no other appends to the thread, and no removal changes it or its lineage: whoever has
# waited looks again at the epochs. What was appended meanwhile it does not see; then its records collide on the key.
_HELD = (
    "held AS (SELECT t.no, t.lineage FROM wf.thread t JOIN wf.lineage l ON l.no = t.lineage "
    "WHERE t.no = %s AND t.epoch = %s AND l.epoch = %s FOR NO KEY UPDATE OF t FOR SHARE OF l)"
)
STANDS = (
    f"{_HELD}, good AS (SELECT held.no, held.lineage FROM held LEFT JOIN LATERAL ({_LAST.format('held.no')}) last "
    "ON true WHERE coalesce(last.seq, 0) = %s AND last.coalesce IS NOT DISTINCT FROM %s{})"
)
_NEW = (
    "started AS (INSERT INTO wf.lineage (epoch, secret) SELECT 0, %s WHERE coalesce((SELECT max(life) FROM wf.life "
    "WHERE name_key = %s), 0) + 1 = %s{} RETURNING no), "
    "lives AS (INSERT INTO wf.life (name_key, life) SELECT %s, %s FROM started), "
    "good AS (INSERT INTO wf.thread (name, name_key, life, lineage, epoch, current, nested, created) "
    "SELECT %s, %s, %s, started.no, 0, %s, %s, %s FROM started RETURNING no, lineage)"
)
_RUN = " AND NOT EXISTS (SELECT FROM wf.deleted_run WHERE hash = %s)"
_LEASE = "leased AS (SELECT FROM wf.lease WHERE name_key = %s AND token = %s FOR SHARE), "
_LEASED = " AND EXISTS (SELECT FROM leased)"
_RECORDS = (
    f", records AS (INSERT INTO wf.record (thread, {RECORD}) SELECT good.no, r.* FROM good, "
    f"unnest({', '.join(f'%s::{kind}' for kind in _RECORD_ARRAYS)}) AS r)"
)
_OBJECTS = (
    f", objects AS (INSERT INTO wf.object (lineage, {OBJECT}, lookup) SELECT good.lineage, o.* FROM good, "
    f"unnest({', '.join(f'%s::{kind}' for kind in _OBJECT_ARRAYS)}) AS o)"
)
_LINKS = (
    ", links AS (INSERT INTO wf.link (thread, link, seq) SELECT good.no, x.* FROM good, "
    "unnest(%s::bigint[], %s::int[]) AS x ON CONFLICT DO NOTHING)"
)
_MOVES = (
    ", moves AS (UPDATE wf.record r SET position = m.position FROM good, "
    "unnest(%s::int[], %s::bigint[]) AS m(seq, position) WHERE r.thread = good.no AND r.seq = m.seq)"
)
_BRANCHES = (
    ", branches AS (INSERT INTO wf.branch (thread, number, name, base, head) SELECT good.no, b.* FROM good, "
    "unnest(%s::int[], %s::bytea[], %s::bigint[], %s::bigint[]) AS b ON CONFLICT (thread, number) "
    "DO UPDATE SET name = excluded.name, base = excluded.base, head = excluded.head)"
)
_THREAD = (
    ", turned AS (UPDATE wf.thread t SET current = coalesce(%s, t.current), nested = t.nested OR %s FROM good "
    "WHERE t.no = good.no)"
)
_LAZILY = ", lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"


class Appends:
    """Applies appends.

    Args:
        sql: of the schema.
        name_key: the stored key of a thread's name.
        lazy: acknowledge every append when it survives a crash of this process, as if it was lazy.
    """

    def __init__(self, sql: Sql, name_key: Callable[[bytes], bytes], lazy: bool) -> None:
        self._sql = sql
        self._name_key = name_key
        self._lazy = lazy

    def apply(self, db: Connection[Any], batch: Append, again: bool) -> bool:
        """Apply one append; False if the thread is not as expected.

        Args:
            again: an earlier try may have applied it.
        """
        from psycopg import errors

        if batch.thread.number is None and batch.expect.last:  # prepared on top of a creation that failed
            return False
        statement, values = self._statement(batch)
        try:
            found = db.execute(self._sql(statement), values, binary=True).fetchone()
        except errors.UniqueViolation:  # somebody appended, or created the thread, at the same time
            found = None
        if found is None and again:
            found = self._applied(db, batch)
        if found is None:
            return False
        batch.thread.number, batch.thread.lineage = found
        return True

    def _applied(self, db: Connection[Any], batch: Append) -> tuple[int, int] | None:
        """Thread and lineage, if an earlier try did apply this: its last record is there."""
        row, last = batch.thread, batch.records[-1]
        return db.execute(
            self._sql(
                "SELECT t.no, t.lineage FROM wf.thread t JOIN wf.record r ON r.thread = t.no "
                "WHERE t.name_key = %s AND t.life = %s AND r.seq = %s AND r.id = %s"
            ),
            (self._name_key(row.name), row.life, last.seq, last.id),
        ).fetchone()

    def _statement(self, batch: Append) -> tuple[str, list[Any]]:
        row, expect = batch.thread, batch.expect
        conditions, given = "", []
        statement, values = "WITH ", []
        if batch.fence is not None:
            statement += _LEASE
            values += [self._name_key(row.name), batch.fence]
            conditions += _LEASED
        if batch.run is not None:
            conditions += _RUN
            given = [batch.run]
        if row.number is None:
            key = self._name_key(row.name)
            statement += _NEW.format(conditions)
            values += [row.secret, key, row.life, *given, key, row.life, row.name, key, row.life]
            values += [batch.switch or 0, batch.nested, row.created]
        else:
            statement += STANDS.format(conditions)
            values += [*standing_values(row.number, expect), *given]
        moved = dict(batch.positions)
        records = [r._replace(position=moved.pop(r.seq)) if r.seq in moved else r for r in batch.records]
        statement += _RECORDS
        values += record_columns(records)
        links = [(link, r.seq) for r in batch.records for link in r.links]
        branch_rows = [(b.number, b.name, b.base, b.head) for b in batch.branches]
        for part, rows in (
            (_OBJECTS, [object_values(item) for item in batch.objects]),
            (_LINKS, links),
            (_MOVES, [*moved.items()]),
            (_BRANCHES, branch_rows),
        ):
            if rows:
                statement += part
                values += columns(rows)
        if row.number is not None and (batch.switch is not None or batch.nested):
            statement += _THREAD
            values += [batch.switch, batch.nested]
        if batch.lazy or self._lazy:
            return f"{statement}{_LAZILY} SELECT good.no, good.lineage FROM good, lazily", values
        return f"{statement} SELECT no, lineage FROM good", values


def standing_values(number: int, expect: Standing) -> list[Any]:
    """What `STANDS` asks for: thread, epochs, number and end of the last record."""
    return [number, expect.epoch, expect.lineage_epoch, expect.last, expect.end]


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as one list per column."""
    return [list(column) for column in zip(*rows, strict=True)]


def record_columns(rows: Sequence[RecordRow]) -> list[list[Any]]:
    """Records as one list per column of RECORD."""
    return columns([record_values(row) for row in rows])


def record_values(row: RecordRow) -> tuple[Any, ...]:
    """A record in the order of RECORD."""
    source = None if row.source is None else row.source.encode("utf-8", "surrogatepass")
    return (*row[:4], pack(row.body), *row[5:12], source, *row[13:16])


def object_values(row: ObjectRow) -> tuple[Any, ...]:
    """An object in the order of OBJECT, and what it is found by."""
    if row.number >= 1 << 31:
        raise WfStoreError(f"a thread has at most {(1 << 31) - 1} objects; copy it to a new one")
    return (*row[:3], row.tag.encode("utf-8", "surrogatepass"), row.nonce, pack(row.data), looked_up(row))


def flattened(found: Sequence[Sequence[Any]]) -> list[Any]:
    """The only column of these rows."""
    return [*chain.from_iterable(found)]
