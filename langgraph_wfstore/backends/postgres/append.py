"""An append in PostgreSQL: one call of a function, so one round trip and one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ...errors import WfStoreError
from ..base import Append, ObjectRow, RecordRow, Standing, looked_up
from ..packing import pack
from .arrays import Column, column, teach
from .schema import Sql

if TYPE_CHECKING:
    from psycopg import Connection

_BYTES, _SMALL, _WHOLE, _BIG = "bytea", "smallint", "integer", "bigint"
# In the order of RecordRow, and what each is in PostgreSQL.
RECORD = "seq, kind, id, state, body, ordinal, seal, anchor, space, position, branch, within, source, step, run, refs"
_OF_RECORD = [_WHOLE, _SMALL, _BYTES, _SMALL, _BYTES, _WHOLE, _BYTES, _BIG, _BIG, _BIG, _WHOLE, _BIG, _BYTES, _BIG]
_OF_RECORD += [_BIG, _BYTES]
OBJECT = "number, id, form, tag, nonce, data"
_OF_OBJECT = [_WHOLE, _BYTES, _SMALL, _BYTES, _BYTES, _BYTES, _BIG]  # the last is what it is found by
_OF_LINK, _OF_MOVE, _OF_BRANCH = [_BIG, _WHOLE], [_WHOLE, _BIG], [_WHOLE, _BYTES, _BIG, _BIG]
_SINGLE = 15  # arguments of `append` before the arrays
_ARRAYS = len(_OF_RECORD) + len(_OF_OBJECT) + len(_OF_LINK) + len(_OF_MOVE) + len(_OF_BRANCH)
# Without casts: the function's own types decide, and there is less to parse.
_APPEND = f"SELECT wf.append({', '.join(['%b'] * (_SINGLE + _ARRAYS))})"


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
        teach(db)
        try:
            found = db.execute(self._sql(_APPEND), self._values(batch), binary=True).fetchone()
        except errors.UniqueViolation:  # somebody created the thread at the same time
            found = None
        numbers = None if found is None else found[0]
        if numbers is None and again:
            numbers = self._applied(db, batch)
        if numbers is None:
            return False
        batch.thread.number, batch.thread.lineage = numbers
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

    def _values(self, batch: Append) -> list[Any]:
        """The arguments of the function `append`, in its order; see schema-2.sql."""
        row, expect = batch.thread, batch.expect
        is_new = row.number is None
        moved = dict(batch.positions)
        records = [r._replace(position=moved.pop(r.seq)) if r.seq in moved else r for r in batch.records]
        return [
            *standing_values(row.number, expect),
            self._name_key(row.name) if is_new or batch.fence is not None else None,
            *((row.life, row.name, row.secret, row.created) if is_new else (None,) * 4),
            batch.run,
            batch.fence,
            (batch.switch or 0) if is_new else batch.switch,
            batch.nested,
            batch.lazy or self._lazy,
            *_arrays(_OF_RECORD, [record_values(r) for r in records]),
            *_arrays(_OF_OBJECT, [object_values(item) for item in batch.objects]),
            *_arrays(_OF_LINK, [(link, r.seq) for r in batch.records for link in r.links]),
            *_arrays(_OF_MOVE, [*moved.items()]),
            *_arrays(_OF_BRANCH, [(b.number, b.name, b.base, b.head) for b in batch.branches]),
        ]


def _arrays(kinds: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Column | None]:
    """Rows as one array per column; a column without values is None."""
    return [*map(column, kinds, zip(*rows, strict=True))] if rows else [None] * len(kinds)


def standing_values(number: int | None, expect: Standing) -> list[Any]:
    """Which thread, and how it must stand: epochs, number and end of the last record."""
    return [number, expect.epoch, expect.lineage_epoch, expect.last, expect.end]


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as one list per column."""
    return [list(column) for column in zip(*rows, strict=True)]


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
