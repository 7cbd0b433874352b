"""Columns of rows as PostgreSQL's arrays, in its binary format.

psycopg looks at every element of a list to find its type, which takes several times as long as writing it down. Here
the type is known: the format is that of `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.adapt import PyFormat

_HEAD = struct.Struct("!iiIii").pack  # dimensions, whether there are nulls, type of elements, how many, first index
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
# Per kind: OID of the array, OID of the element; how an integer is written.
_OIDS = {"bytea": (1001, 17), "smallint": (1005, 21), "integer": (1007, 23), "bigint": (1016, 20)}
_WRITERS = {
    "smallint": (2, struct.Struct("!ih").pack),
    "integer": (4, struct.Struct("!ii").pack),
    "bigint": (8, struct.Struct("!iq").pack),
}


class Column:
    """An array that is ready to be sent."""

    __slots__ = ("data", "oid")

    def __init__(self, data: bytes, oid: int) -> None:
        self.data = data
        self.oid = oid


def column(kind: str, values: Sequence[Any]) -> Column | None:
    """An array of these values; None, which `unnest` takes for nulls only, if there is nothing else in it.

    Args:
        kind: "bytea", "smallint", "integer" or "bigint".
        values: bytes or integers, or None for null.

    Raises:
        struct.error: an integer is too large for its kind.
    """
    nulls = values.count(None)
    if nulls == len(values):
        return None
    array, element = _OIDS[kind]
    head = _HEAD(1, nulls > 0, element, len(values), 1)
    if kind == "bytea":
        parts = [_NULL if v is None else _LENGTH(len(v)) + v for v in values]
    else:
        size, write = _WRITERS[kind]
        parts = [_NULL if v is None else write(size, v) for v in values]
    return Column(head + b"".join(parts), array)


def teach(db: Connection[Any]) -> None:
    """Have a connection send columns as they are."""
    if db in _taught:
        return
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class ColumnDumper(Dumper):
        """One for each type of array."""

        format = Format.BINARY

        def dump(self, obj: Column) -> bytes:
            return obj.data

        def get_key(self, obj: Column, format: PyFormat) -> Any:
            return (Column, obj.oid)

        def upgrade(self, obj: Column, format: PyFormat) -> Dumper:
            found = ColumnDumper(Column)
            found.oid = obj.oid
            return found

    db.adapters.register_dumper(Column, ColumnDumper)
    _taught.add(db)


_taught: weakref.WeakSet[Connection[Any]] = weakref.WeakSet()
