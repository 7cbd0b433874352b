"""Equality that also wants the same types, the same order and the same NaNs: what a round trip has to keep."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from typing import Any

from langgraph.types import Send
from pydantic import BaseModel


def same(a: Any, b: Any) -> bool:
    """Whether nothing tells `a` from `b`, identity apart."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, Decimal):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, dict):
        return _same_dict(a, b)
    if isinstance(a, list | tuple | deque):
        extra = getattr(a, "maxlen", None) == getattr(b, "maxlen", None)
        return extra and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if isinstance(a, BaseModel):
        parts = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
        return all(same(getattr(a, part), getattr(b, part)) for part in parts)
    if isinstance(a, Send):
        return all(same(getattr(a, name), getattr(b, name)) for name in Send.__slots__)
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return bool(a == b) and _same_time(a, b)


def _same_dict(a: dict[Any, Any], b: dict[Any, Any]) -> bool:
    if isinstance(a, defaultdict) and a.default_factory is not b.default_factory:
        return False
    if not isinstance(a, Counter | OrderedDict | dict) or len(a) != len(b):
        return False
    return all(same(x, y) and same(p, q) for (x, p), (y, q) in zip(a.items(), b.items(), strict=True))


def _same_time(a: Any, b: Any) -> bool:
    return all(same(getattr(a, name, None), getattr(b, name, None)) for name in ("fold", "tzinfo") if hasattr(a, name))
