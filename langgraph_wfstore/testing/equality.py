"""Equality as a user means it: equal, of the same type, all the way down."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from pydantic import BaseModel


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal and of the same types, NaN equal to NaN, in every part."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Enum):
        return left is right
    if isinstance(left, float):
        return _same_float(left, right)
    if isinstance(left, Decimal):
        return bool(left.as_tuple() == right.as_tuple())
    if isinstance(left, Mapping):
        return _same_mapping(left, right)
    if isinstance(left, deque):
        return left.maxlen == right.maxlen and _same_items(left, right)
    if isinstance(left, list | tuple):
        return _same_items(left, right)
    if isinstance(left, set | frozenset):
        return _same_set(left, right)
    if isinstance(left, datetime | time):
        return left == right and left.fold == right.fold and _same_zone(left.tzinfo, right.tzinfo)
    if isinstance(left, BaseModel):
        return _same_model(left, right)
    if dataclasses.is_dataclass(left):
        names = [field.name for field in dataclasses.fields(left)]
        return all(same(getattr(left, name), getattr(right, name)) for name in names)
    return bool(left == right)


def same_channels(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether two sets of channel values are the same; the order of channels means nothing."""
    return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)


def _same_float(left: float, right: float) -> bool:
    if math.isnan(left):
        return math.isnan(right)
    return left == right and math.copysign(1.0, left) == math.copysign(1.0, right)


def _same_items(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def _same_mapping(left: Any, right: Any) -> bool:
    if isinstance(left, defaultdict) and left.default_factory is not right.default_factory:
        return False
    if len(left) != len(right):
        return False
    if isinstance(left, OrderedDict | dict) and not isinstance(left, Counter):
        return all(same(a, b) and same(left[a], right[b]) for a, b in zip(left, right, strict=True))
    return all(key in right and same(left[key], right[key]) for key in left)


def _same_set(left: Any, right: Any) -> bool:
    return bool(left == right) and sorted(map(_typed, left)) == sorted(map(_typed, right))


def _typed(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _same_zone(left: Any, right: Any) -> bool:
    return type(left) is type(right) and str(left) == str(right)


def _same_model(left: BaseModel, right: BaseModel) -> bool:
    return (
        same(left.__dict__, right.__dict__)
        and same(left.__pydantic_extra__, right.__pydantic_extra__)
        and left.__pydantic_fields_set__ == right.__pydantic_fields_set__
    )
