"""Columns of rows as PostgreSQL's arrays, in its binary format.

psycopg looks at every element of a list to find its type, which takes several times as long as writing it down. Here
the type is known: the format is that of `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

_HEAD = struct.Struct("!iiIii").pack  # dimensions, whether there are nulls, type of elements, how many, first index
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
# Per kind: OID of the array, OID of the element; how an integer is written.
OIDS = {"bytea": (1001, 17), "smallint": (1005, 21), "integer": (1007, 23), "bigint": (1016, 20)}
_WRITERS = {
    "smallint": (2, struct.Struct("!ih").pack),
    "integer": (4, struct.Struct("!ii").pack),
    "bigint": (8, struct.Struct("!iq").pack),
}


def array_of(kind: str, values: Sequence[Any]) -> bytes | None:
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
    head = _HEAD(1, nulls > 0, OIDS[kind][1], len(values), 1)
    if kind == "bytea":
        parts = [_NULL if v is None else _LENGTH(len(v)) + v for v in values]
    else:
        size, write = _WRITERS[kind]
        parts = [_NULL if v is None else write(size, v) for v in values]
    return head + b"".join(parts)


def bigints(data: bytes) -> tuple[int, ...]:
    """The numbers of an array of bigint without nulls."""
    _, _, _, count, _ = struct.unpack_from("!iiIii", data)
    return struct.unpack_from("!" + "4xq" * count, data, 20)
