"""Bytes of format `wf1` to values: the closed table of what stored bytes can be turned into."""

from __future__ import annotations

import datetime
import decimal
import fractions
import ipaddress
import pathlib
import re
import struct
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import SecretBytes, SecretStr

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde import arrays
from langgraph_wfstore.serde.classes import (
    SAFE_FACTORIES,
    Code,
    UnresolvedError,
    find_class,
)
from langgraph_wfstore.serde.reader import Reader, Readers, as_ints, as_list, as_text, read_with
from langgraph_wfstore.serde.rebuild import (
    read_dataclass,
    read_enum,
    read_message,
    read_model,
    read_named_tuple,
    read_object,
    read_slotted,
    read_subclass,
)
from langgraph_wfstore.serde.shapes import Policy


def read(data: bytes, policy: Policy) -> Any:
    """The value that `wf1` bytes stand for.

    Raises:
        DecodeError: the bytes are damaged, or name a class that may not or cannot be rebuilt here.
    """
    return read_with(Reader(policy, _READERS), data)


def _set(reader: Reader, data: bytes) -> Any:
    items = as_list(reader.unpack(data))
    return _same_size(set(items), len(items))


def _frozenset(reader: Reader, data: bytes) -> Any:
    items = as_list(reader.unpack(data))
    return _same_size(frozenset(items), len(items))


def _same_size(found: Any, size: int) -> Any:
    if len(found) != size:
        raise DecodeError("A stored set or dict repeats an element, which is never written.")
    return found


def _dict(reader: Reader, data: bytes) -> dict[Any, Any]:
    return _paired(reader.unpack(data))


def _paired(flat: Any) -> dict[Any, Any]:
    if len(as_list(flat)) % 2:
        raise DecodeError("A stored dict has a key without a value.")
    keys = iter(flat)
    pairs: dict[Any, Any] = _same_size(dict(zip(keys, keys, strict=True)), len(flat) // 2)
    return pairs


def _counter(reader: Reader, data: bytes) -> Counter[Any]:
    counter: Counter[Any] = Counter()
    dict.update(counter, _dict(reader, data))
    return counter


def _default_dict(reader: Reader, data: bytes) -> defaultdict[Any, Any]:
    name, flat = reader.parts(data, 2)
    return defaultdict(None if name is None else _factory(as_text(name), reader.policy), _paired(flat))


def _factory(name: str, policy: Policy) -> type:
    if name in SAFE_FACTORIES:
        return SAFE_FACTORIES[name]
    module, _, qualname = name.partition(":")
    if not policy.names(module, qualname):
        raise UnresolvedError(name, "a defaultdict makes it, and it is not in the allow list")
    found = find_class(module, qualname)
    if isinstance(found, str):
        raise UnresolvedError(name, found)
    return found


def _deque(reader: Reader, data: bytes) -> deque[Any]:
    maxlen, items = reader.parts(data, 2)
    if maxlen is not None and len(as_list(items)) > as_ints([maxlen])[0]:
        raise DecodeError("A stored deque is longer than its maxlen.")
    return deque(as_list(items), maxlen)


def _complex(reader: Reader, data: bytes) -> complex:
    return complex(*struct.unpack(">dd", data))


def _fraction(reader: Reader, data: bytes) -> fractions.Fraction:
    return fractions.Fraction(*as_ints(reader.parts(data, 2)))


def _zone(value: Any) -> datetime.tzinfo | None:
    if value is not None and type(value) not in (datetime.timezone, zoneinfo.ZoneInfo):
        raise DecodeError("A stored time has something else where its time zone belongs.")
    zone: datetime.tzinfo | None = value
    return zone


def _datetime(reader: Reader, data: bytes) -> datetime.datetime:
    *numbers, fold, zone = reader.parts(data, 9)
    return datetime.datetime(*as_ints(numbers), tzinfo=_zone(zone), fold=as_ints([fold])[0])  # type: ignore[misc, arg-type]  # *ints


def _date(reader: Reader, data: bytes) -> datetime.date:
    return datetime.date(*as_ints(reader.parts(data, 3)))


def _time(reader: Reader, data: bytes) -> datetime.time:
    *numbers, fold, zone = reader.parts(data, 6)
    return datetime.time(*as_ints(numbers), tzinfo=_zone(zone), fold=as_ints([fold])[0])  # type: ignore[misc, arg-type]  # *ints


def _timedelta(reader: Reader, data: bytes) -> datetime.timedelta:
    return datetime.timedelta(*as_ints(reader.parts(data, 3)))


def _timezone(reader: Reader, data: bytes) -> datetime.timezone:
    *offset, name = [*reader.parts(data, 3, 4), None][:4]
    delta = datetime.timedelta(*as_ints(offset))
    return datetime.timezone(delta) if name is None else datetime.timezone(delta, as_text(name))


def read_zone(key: str) -> zoneinfo.ZoneInfo:
    """The zone of that key; looking up an odd one would have zoneinfo import packages below `tzdata.zoneinfo`."""
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", key):
        raise DecodeError(f"A stored ZoneInfo has the impossible key {key!r:.80}.")
    return zoneinfo.ZoneInfo(key)


def _uuid(reader: Reader, data: bytes) -> uuid.UUID:
    safety = {b"": uuid.SafeUUID.unknown, b"\x00": uuid.SafeUUID.safe, b"\xff": uuid.SafeUUID.unsafe}
    return uuid.UUID(bytes=data[:16], is_safe=safety[data[16:]])


PATHS: Final = {
    cls.__name__: cls
    for cls in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
}
ADDRESSES: Final = {
    cls.__name__: cls
    for cls in (
        ipaddress.IPv4Address,
        ipaddress.IPv4Interface,
        ipaddress.IPv4Network,
        ipaddress.IPv6Address,
        ipaddress.IPv6Interface,
        ipaddress.IPv6Network,
    )
}


def _named(table: Mapping[str, Callable[[str], Any]]) -> Callable[[Reader, bytes], Any]:
    def read_named(reader: Reader, data: bytes) -> Any:
        name, text = reader.parts(data, 2)
        return table[as_text(name)](as_text(text))

    return read_named


def _pattern(reader: Reader, data: bytes) -> re.Pattern[Any]:
    pattern, flags = reader.parts(data, 2)
    if type(pattern) not in (str, bytes) or as_ints([flags])[0] & re.DEBUG:
        raise DecodeError("A stored pattern is neither text nor bytes, or would print when compiled.")
    return re.compile(pattern, flags)


def _range(reader: Reader, data: bytes) -> range:
    return range(*as_ints(reader.parts(data, 3)))


def _secret(reader: Reader, data: bytes) -> SecretStr | SecretBytes:
    (secret,) = reader.parts(data, 1)
    return SecretBytes(secret) if type(secret) is bytes else SecretStr(as_text(secret))


_READERS: Final[Readers] = {
    Code.BIG_INT: lambda _, data: int.from_bytes(data, "big", signed=True),
    Code.RAW_STR: lambda _, data: data.decode("utf-8", "surrogatepass"),
    Code.BYTEARRAY: lambda _, data: bytearray(data),
    Code.TUPLE: lambda reader, data: tuple(as_list(reader.unpack(data))),
    Code.SET: _set,
    Code.FROZENSET: _frozenset,
    Code.DICT: _dict,
    Code.COMPLEX: _complex,
    Code.DECIMAL: lambda _, data: decimal.Decimal(data.decode("ascii")),
    Code.FRACTION: _fraction,
    Code.DATETIME: _datetime,
    Code.DATE: _date,
    Code.TIME: _time,
    Code.TIMEDELTA: _timedelta,
    Code.TIMEZONE: _timezone,
    Code.ZONEINFO: lambda _, data: read_zone(data.decode("ascii")),
    Code.UUID: _uuid,
    Code.PATH: _named(PATHS),
    Code.PATTERN: _pattern,
    Code.IPADDRESS: _named(ADDRESSES),
    Code.RANGE: _range,
    Code.SLICE: lambda reader, data: slice(*reader.parts(data, 3)),
    Code.DEQUE: _deque,
    Code.DEFAULTDICT: _default_dict,
    Code.COUNTER: _counter,
    Code.ORDEREDDICT: lambda reader, data: OrderedDict(_dict(reader, data)),
    Code.NDARRAY: lambda reader, data: arrays.decode_array(reader.parts(data, 4)),
    Code.NUMPY_SCALAR: lambda reader, data: arrays.decode_scalar(reader.parts(data, 2)),
    Code.SECRET: _secret,
    Code.ENUM: read_enum,
    Code.DATACLASS: read_dataclass,
    Code.NAMEDTUPLE: read_named_tuple,
    Code.MODEL: read_model,
    Code.SLOTTED: read_slotted,
    Code.MESSAGE: read_message,
    Code.OBJECT: read_object,
    Code.SUBCLASS: read_subclass,
}
