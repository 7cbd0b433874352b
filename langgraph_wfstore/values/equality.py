"""Equality as a user means it: equal, of the same type, all the way down."""

from __future__ import annotations

import dataclasses
import marshal
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
from pydantic import BaseModel

from .elements import MARSHAL_VERSION

_PLAIN = frozenset({str, int, bool, bytes, type(None)})
_SEQUENCES = frozenset({list, tuple})
_BARE = frozenset({"builtins", "collections"})  # modules whose classes have no attributes in their instances


def same(left: Any, right: Any, *, as_langgraph: bool = False) -> bool:
    """Whether two values are equal and of the same types, NaN equal to NaN, in every part.

    Args:
        left, right: any values without reference cycles.
        as_langgraph: as far as LangGraph's own serializer keeps values: a tuple is the same as a list of the same
            items, and which fields of a pydantic model were set means nothing.
    """
    return (_ALIKE if as_langgraph else _EXACT).same(left, right)


def same_channels(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two sets of channel values are the same; the order of channels means nothing."""
    return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)


class _Equality:
    """One notion of equality; see `same`."""

    def __init__(self, as_langgraph: bool) -> None:
        self._loose = as_langgraph

    def same(self, left: Any, right: Any) -> bool:
        kind = type(left)
        if kind is not type(right):
            return self._loose and {kind, type(right)} == _SEQUENCES and self._items(left, right)
        if kind in _PLAIN:
            return bool(left == right)
        if kind is list or kind is tuple:
            return self._items(left, right)
        if kind is dict:
            return len(left) == len(right) and self._in_order(left, right)
        if isinstance(left, Enum):
            return left is right
        if isinstance(left, float):
            return _same_float(left, right)
        if isinstance(left, complex):
            return _same_float(left.real, right.real) and _same_float(left.imag, right.imag)
        if isinstance(left, Decimal):
            return bool(left.as_tuple() == right.as_tuple())
        if isinstance(left, Mapping):
            return self._mapping(left, right) and self._attributes(left, right)
        if isinstance(left, deque):
            return left.maxlen == right.maxlen and self._items(left, right) and self._attributes(left, right)
        if isinstance(left, list | tuple):
            return self._items(left, right) and self._attributes(left, right)
        if isinstance(left, set | frozenset):
            return self._set(left, right) and self._attributes(left, right)
        if isinstance(left, datetime | time):
            return bool(left == right) and left.fold == right.fold and _same_zone(left.tzinfo, right.tzinfo)
        if isinstance(left, BaseModel):
            return self._model(left, right)
        if dataclasses.is_dataclass(left):
            names = [field.name for field in dataclasses.fields(left)]
            return all(self.same(getattr(left, name), getattr(right, name)) for name in names)
        if kind.__module__.partition(".")[0] == "numpy" and hasattr(left, "tobytes"):
            return self._array(left, right)
        equals: Any = kind.__eq__
        if equals is object.__eq__:
            return self._attributes(left, right)
        return bool(left == right)

    def _items(self, left: Any, right: Any) -> bool:
        return len(left) == len(right) and all(map(self.same, left, right))

    def _mapping(self, left: Any, right: Any) -> bool:
        if isinstance(left, defaultdict) and left.default_factory is not right.default_factory:
            return False
        if len(left) != len(right):
            return False
        if isinstance(left, OrderedDict | dict) and not isinstance(left, Counter):
            return self._in_order(left, right)
        return all(key in right and self.same(left[key], right[key]) for key in left)

    def _in_order(self, left: dict[Any, Any], right: dict[Any, Any]) -> bool:
        return all(self.same(a, b) and self.same(left[a], right[b]) for a, b in zip(left, right, strict=True))

    def _set(self, left: Any, right: Any) -> bool:
        if left == right and sorted(map(_typed, left)) == sorted(map(_typed, right)):
            return True
        return len(left) == len(right) and all(any(self.same(a, b) for b in right) for a in left)

    def _model(self, left: BaseModel, right: BaseModel) -> bool:
        return (
            (_surely_same(left.__dict__, right.__dict__) or self.same(left.__dict__, right.__dict__))
            and self.same(left.__pydantic_extra__, right.__pydantic_extra__)
            and (self._loose or left.__pydantic_fields_set__ == right.__pydantic_fields_set__)
            and self.same(left.__pydantic_private__ or {}, right.__pydantic_private__ or {})
        )

    def _array(self, left: Any, right: Any) -> bool:
        """Arrays and scalars of numpy, which this package does not need to be installed."""
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        return self.same(left.tolist(), right.tolist()) if left.dtype.hasobject else left.tobytes() == right.tobytes()

    def _attributes(self, left: Any, right: Any) -> bool:
        """The attributes that instances of a class may have besides what it derives from."""
        return type(left).__module__ in _BARE or self._mapping(_attributes_of(left), _attributes_of(right))


def _surely_same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether two models' fields are the same plain data; False also says that this does not tell.

    It compares in one step what `same` does in one for each part. Equal bytes of `marshal` mean equal types and order,
    but for bytes and buffers, which it writes alike, and orjson refuses.
    """
    try:
        orjson.dumps(left)
        return marshal.dumps(left, MARSHAL_VERSION) == marshal.dumps(right, MARSHAL_VERSION)
    except (TypeError, ValueError):
        return False


_EXACT, _ALIKE = _Equality(False), _Equality(True)


def _attributes_of(value: Any) -> dict[str, Any]:
    names = {name for base in type(value).__mro__ for name in _slots(base)}
    slotted = {name: getattr(value, name) for name in sorted(names) if hasattr(value, name)}
    return {**slotted, **getattr(value, "__dict__", {})}


def _slots(cls: type) -> tuple[str, ...]:
    if cls.__module__ in _BARE:
        return ()
    slots = cls.__dict__.get("__slots__", ())
    return tuple(name for name in ((slots,) if isinstance(slots, str) else slots) if not name.startswith("__"))


def _same_float(left: float, right: float) -> bool:
    if math.isnan(left):
        return math.isnan(right)
    return left == right and math.copysign(1.0, left) == math.copysign(1.0, right)


def _typed(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _same_zone(left: Any, right: Any) -> bool:
    return type(left) is type(right) and str(left) == str(right)
