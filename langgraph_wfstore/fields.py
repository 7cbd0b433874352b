"""Fields of records to canonical JSON and back: references, digests, times, texts, rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from .canonical import LARGEST_INTEGER, Json, from_hex_id, from_text, hex_id, read_large, text, write_large
from .records import Ref

_LONGEST_TIME = 30  # digits


class Field(NamedTuple):
    """How one field of a record is written and read."""

    write: Callable[[Any], Json]
    read: Callable[[Any], Any]


def ref(value: Ref) -> Json:
    """A reference to a value."""
    return hex_id(value.id) if value.form == "object" else {value.form: hex_id(value.id)}


def read_ref(value: Json) -> Ref:
    """The reference behind `ref`."""
    if isinstance(value, dict):
        ((form, name),) = value.items()
        if form not in ("list", "map"):
            raise ValueError(f"unknown form of value: {form!r}")
        return Ref(form, from_hex_id(str(name)))
    return Ref("object", from_hex_id(str(value)))


def read_dict_ref(value: Json) -> Ref:
    """The reference behind `ref` where only a dict may stand."""
    found = read_ref(value)
    if found.form == "list":
        raise ValueError("a list stands where only a dict may")
    return found


def rows(value: Json, width: int) -> list[list[Json]]:
    """The rows of a table of that width."""
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == width for row in value):
        raise ValueError(f"expected rows of {width}")
    return value  # type: ignore[return-value]  # checked in the line above


def integer(value: Json) -> int:
    """An integer that canonical JSON holds."""
    if type(value) is not int:
        raise ValueError(f"not an integer: {value!r}")
    return value


def natural(value: Json) -> int:
    """An integer that is not below 0."""
    if integer(value) < 0:
        raise ValueError(f"below 0: {value!r}")
    return integer(value)


def ascending(names: Sequence[str]) -> bool:
    """Whether names stand in the order of their code points, which is that of their UTF-8, each once."""
    return all(one < other for one, other in pairwise(names))


def _wide(value: int) -> Json:
    return value if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else {"i": write_large(value)}


def _read_wide(value: Json) -> int:
    if isinstance(value, dict):
        ((form, decimal),) = value.items()
        if form != "i":
            raise ValueError(f"not an integer: {value!r:.100}")
        return read_large(decimal)
    return integer(value)


def _read_time(value: Json) -> int:
    if not isinstance(value, str) or len(value.removeprefix("-")) > _LONGEST_TIME or str(int(value)) != value:
        raise ValueError(f"not a time in ns: {value!r:.100}")
    return int(value)


def _read_true(value: Json) -> bool:
    if value is not True:
        raise ValueError(f"not true: {value!r}")
    return True


def _several(one: Field) -> Field:
    def read(value: Json) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError(f"not a list with anything in it: {value!r}")
        return tuple(map(one.read, value))

    return Field(lambda values: [one.write(value) for value in values], read)


TEXT = Field(text, from_text)
TEXTS = _several(TEXT)
INTEGER = Field(_wide, _read_wide)
INTEGERS = _several(Field(lambda n: None if n is None else _wide(n), lambda n: None if n is None else _read_wide(n)))
TIME = Field(str, _read_time)
TRUE = Field(bool, _read_true)
DIGEST = Field(hex_id, lambda value: from_hex_id(str(value)))
REF = Field(ref, read_ref)
DICT_REF = Field(ref, read_dict_ref)
