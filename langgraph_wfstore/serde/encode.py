"""What is written for each type: an ext code, and a payload of simpler values."""

from __future__ import annotations

import datetime
import decimal
import fractions
import ipaddress
import pathlib
import re
import struct
import sys
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, Final

from pydantic import SecretBytes, SecretStr

from langgraph_wfstore.serde.classes import (
    PLACEHOLDER_CODES,
    SAFE_FACTORIES,
    Code,
    Placeholder,
    Refused,
    class_name,
    find_class,
)
from langgraph_wfstore.serde.shapes import Policy, shape_of
from langgraph_wfstore.serde.take import bind

Payload = Any
Encoded = tuple[int, Payload]
Encoder = Callable[[Any, Policy], Encoded]

INLINE: Final = -1
"""Instead of a code: the payload stands for the value itself."""


def encode_int(value: int, policy: Policy | None = None) -> Encoded:
    return Code.BIG_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _encode_datetime(value: datetime.datetime, policy: Policy) -> Encoded:
    parts = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
    return Code.DATETIME, [*parts, value.fold, _checked_zone(value.tzinfo)]


def _encode_time(value: datetime.time, policy: Policy) -> Encoded:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return Code.TIME, [*parts, _checked_zone(value.tzinfo)]


def _checked_zone(zone: datetime.tzinfo | None) -> datetime.tzinfo | None:
    if zone is None or type(zone) in (datetime.timezone, zoneinfo.ZoneInfo):
        return zone
    name = f"{type(zone).__module__}.{type(zone).__name__}"
    raise Refused(f"its time zone is a {name}", "Use datetime.timezone or zoneinfo.ZoneInfo.")


def _encode_timezone(value: datetime.timezone, policy: Policy) -> Encoded:
    arguments: tuple[Any, ...] = value.__reduce__()[1]  # type: ignore[assignment]  # typeshed knows no more than object
    offset, *name = arguments
    return Code.TIMEZONE, [offset.days, offset.seconds, offset.microseconds, *name]


def _encode_zoneinfo(value: zoneinfo.ZoneInfo, policy: Policy) -> Encoded:
    if value.key is None:
        raise Refused("it is a ZoneInfo without a key", "Make it with ZoneInfo(key).")
    return Code.ZONEINFO, value.key.encode()


def _encode_uuid(value: uuid.UUID, policy: Policy) -> Encoded:
    safe = value.is_safe.value
    return Code.UUID, value.bytes if safe is None else value.bytes + bytes((safe & 0xFF,))


def _encode_pattern(value: re.Pattern[Any], policy: Policy) -> Encoded:
    if type(value.pattern) not in (str, bytes):
        raise Refused("its pattern is neither str nor bytes")
    if value.flags & re.DEBUG:
        raise Refused("it was compiled with re.DEBUG and would print when it is read", "Compile it without.")
    return Code.PATTERN, [value.pattern, int(value.flags)]


def _encode_counter(value: Counter[Any], policy: Policy) -> Encoded:
    return Code.COUNTER, _flat_pairs(value)


def _encode_ordered_dict(value: OrderedDict[Any, Any], policy: Policy) -> Encoded:
    return Code.ORDEREDDICT, _flat_pairs(value)


def _flat_pairs(value: Any) -> list[Any]:
    if getattr(value, "__dict__", None):
        raise Refused("it has attributes of its own", "Use a dataclass.")
    return [part for pair in dict.items(value) for part in pair]


def _encode_default_dict(value: defaultdict[Any, Any], policy: Policy) -> Encoded:
    factory = value.default_factory
    pairs = [part for pair in value.items() for part in pair]
    if factory is None:
        return Code.DEFAULTDICT, [None, pairs]
    if issubclass(type(factory), type):
        name = class_name(factory)  # type: ignore[arg-type]  # a class, by the line above
        if SAFE_FACTORIES.get(name[1]) is factory:
            return Code.DEFAULTDICT, [name[1], pairs]
        if policy.names(*name) and find_class(*name) is factory:
            return Code.DEFAULTDICT, [f"{name[0]}:{name[1]}", pairs]
    raise Refused(f"its default_factory is {factory!r:.60}", "Use None, a built-in type, or a class in allow=[...].")


def _encode_exception(value: BaseException, policy: Policy) -> Encoded:
    return INLINE, str.__str__(repr(value))


def _encode_placeholder(value: Placeholder, policy: Policy) -> Encoded:
    if value.code not in PLACEHOLDER_CODES or type(value.payload) is not bytes:
        raise Refused("it is a Placeholder that no reader made")
    return value.code, value.payload


def _encode_secret(value: SecretStr | SecretBytes, policy: Policy) -> Encoded:
    return Code.SECRET, [value.get_secret_value()]


ENCODERS: Final[dict[type, Encoder]] = {
    int: encode_int,
    # Only a dict with other keys than UTF-8 text comes here; the others are msgpack maps.
    dict: lambda v, _: (Code.DICT, [part for pair in v.items() for part in pair]),
    bytearray: lambda v, _: (Code.BYTEARRAY, bytes(v)),
    tuple: lambda v, _: (Code.TUPLE, list(v)),
    set: lambda v, _: (Code.SET, list(v)),
    frozenset: lambda v, _: (Code.FROZENSET, list(v)),
    complex: lambda v, _: (Code.COMPLEX, struct.pack(">dd", v.real, v.imag)),
    decimal.Decimal: lambda v, _: (Code.DECIMAL, str(v).encode()),
    fractions.Fraction: lambda v, _: (Code.FRACTION, [v.numerator, v.denominator]),
    datetime.datetime: _encode_datetime,
    datetime.date: lambda v, _: (Code.DATE, [v.year, v.month, v.day]),
    datetime.time: _encode_time,
    datetime.timedelta: lambda v, _: (Code.TIMEDELTA, [v.days, v.seconds, v.microseconds]),
    datetime.timezone: _encode_timezone,
    zoneinfo.ZoneInfo: _encode_zoneinfo,
    uuid.UUID: _encode_uuid,
    re.Pattern: _encode_pattern,
    range: lambda v, _: (Code.RANGE, [v.start, v.stop, v.step]),
    slice: lambda v, _: (Code.SLICE, [v.start, v.stop, v.step]),
    deque: lambda v, _: (Code.DEQUE, [v.maxlen, list(v)]),
    Counter: _encode_counter,
    OrderedDict: _encode_ordered_dict,
    defaultdict: _encode_default_dict,
    Placeholder: _encode_placeholder,
    SecretStr: _encode_secret,
    SecretBytes: _encode_secret,
}
for _path in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath):
    ENCODERS[_path] = lambda v, _: (Code.PATH, [type(v).__name__, str(v)])
for _address in ("Address", "Interface", "Network"):
    for _family in ("IPv4", "IPv6"):
        ENCODERS[getattr(ipaddress, _family + _address)] = lambda v, _: (Code.IPADDRESS, [type(v).__name__, str(v)])


def encoder_for(cls: type) -> Encoder:
    """The encoder of a class that has none in the table; remembered if the class can be found again by its name."""
    if issubclass(cls, BaseException):
        return _encode_exception
    if _is_numpy(cls):
        from langgraph_wfstore.serde import arrays

        ENCODERS[cls] = arrays.encode
        return arrays.encode
    shape = shape_of(cls)
    encoder = bind(shape)
    if type(shape.ref) is int or find_class(*class_name(cls)) is cls:
        ENCODERS[cls] = encoder
    return encoder


def _is_numpy(cls: type) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    return cls is numpy.ndarray or (issubclass(cls, numpy.generic) and cls.__module__ == "numpy")
