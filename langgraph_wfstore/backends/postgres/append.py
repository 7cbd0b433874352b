"""An append in PostgreSQL: one call of a function, so one round trip and one transaction."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ...errors import UnsupportedValueError, WfStoreError
from ..base import Append, ObjectRow, RecordRow, Standing, looked_up
from ..packing import pack
from .arrays import OIDS, array_of, bigints
from .calling import Call
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
# The types of `append`'s arguments, by OID: those before the arrays, and the arrays.
_SINGLE = [20, 20, 20, 23, 17, 17, 20, 17, 17, 20, 17, 20, 23, 16, 16]
_KINDS = [*_OF_RECORD, *_OF_OBJECT, *_OF_LINK, *_OF_MOVE, *_OF_BRANCH]
_TYPES = [*_SINGLE, *[OIDS[kind][0] for kind in _KINDS]]
_APPEND = f"SELECT wf.append({', '.join(f'${number}' for number in range(1, len(_TYPES) + 1))})"
_LARGEST = (1 << 30) - 1  # bytes of a message to the server, and of a value in it; PQ_LARGE_MESSAGE_LIMIT
_big, _whole = struct.Struct("!q").pack, struct.Struct("!i").pack


class Appends:
    """Applies appends.

    Args:
        sql: of the schema.
        name_key: the stored key of a thread's name.
        lazy: acknowledge every append when it survives a crash of this process, as if it was lazy.
        prepare: have each connection prepare the call, once.
        shared: the connection is the user's, who may use and close it meanwhile.
    """

    def __init__(
        self, sql: Sql, name_key: Callable[[bytes], bytes], *, lazy: bool, prepare: bool, shared: bool
    ) -> None:
        self._name_key = name_key
        self._lazy = lazy
        self._sql = sql
        self._call = Call("wfstore_append", sql(_APPEND), _TYPES, prepare=prepare, shared=shared)

    def apply(self, db: Connection[Any], batch: Append, again: bool) -> bool:
        """Apply one append; False if the thread is not as expected.

        Args:
            again: an earlier try may have applied it.
        """
        if batch.thread.number is None and batch.expect.last:  # prepared on top of a creation that failed
            return False
        values = self._values(batch)
        _check_size(sum(len(value) for value in values if value is not None))
        found = self._call.value(db, values)
        numbers = None if found is None else bigints(found)
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

    def _values(self, batch: Append) -> list[bytes | None]:
        """The arguments of the function `append`, in its order, as they are sent; see schema-2.sql."""
        row, expect = batch.thread, batch.expect
        is_new = row.number is None
        moved = dict(batch.positions)
        records = [r._replace(position=moved.pop(r.seq)) if r.seq in moved else r for r in batch.records]
        return [
            None if row.number is None else _big(row.number),
            _big(expect.epoch),
            _big(expect.lineage_epoch),
            _whole(expect.last),
            expect.end,
            self._name_key(row.name) if is_new or batch.fence is not None else None,
            *((_big(row.life), row.name, row.secret, _big(row.created)) if is_new else (None,) * 4),
            batch.run,
            None if batch.fence is None else _big(batch.fence),
            _whole(batch.switch or 0) if is_new else None if batch.switch is None else _whole(batch.switch),
            b"\1" if batch.nested else b"\0",
            b"\1" if batch.lazy or self._lazy else b"\0",
            *_arrays(_OF_RECORD, [record_values(r) for r in records]),
            *_arrays(_OF_OBJECT, [object_values(item) for item in batch.objects]),
            *_arrays(_OF_LINK, [(link, r.seq) for r in batch.records for link in r.links]),
            *_arrays(_OF_MOVE, [*moved.items()]),
            *_arrays(_OF_BRANCH, [(b.number, b.name, b.base, b.head) for b in batch.branches]),
        ]


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise UnsupportedValueError(
            f"what is stored at once has {size} bytes after compression, PostgreSQL takes at most {_LARGEST} in a "
            "message; nothing was written. Keep large values elsewhere, and their names in the state"
        )


def _arrays(kinds: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[bytes | None]:
    """Rows as one array per column; a column without values is None."""
    return [*map(array_of, kinds, zip(*rows, strict=True))] if rows else [None] * len(kinds)


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
    data = pack(row.data)
    _check_size(len(data))
    return (*row[:3], row.tag.encode("utf-8", "surrogatepass"), row.nonce, data, looked_up(row))


def flattened(found: Sequence[Sequence[Any]]) -> list[Any]:
    """The only column of these rows."""
    return [*chain.from_iterable(found)]
