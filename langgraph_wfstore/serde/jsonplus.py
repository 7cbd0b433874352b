"""Reading what LangGraph's JsonPlusSerializer wrote, under the rules of this package instead of its own.

It stores a class as the arguments of a call, so this is the one place where classes are called: those in the tables
below, and pydantic models that the user allowed by name, whose validators then run. Where its own reader silently gives
a dict or None, this one raises DecodeError. Tuples come back as lists: it wrote them so.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import pathlib
import re
import uuid
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import ormsgpack
from langchain_core.load.load import Reviver
from langchain_core.load.serializable import Serializable
from langgraph import types as lg_types
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.store import base as lg_store
from pydantic import SecretBytes, SecretStr

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde import arrays
from langgraph_wfstore.serde.classes import KNOWN, Code, UnresolvedError, class_attribute
from langgraph_wfstore.serde.read import ADDRESSES, PATHS, read_zone
from langgraph_wfstore.serde.reader import Reader, Readers, read_with
from langgraph_wfstore.serde.rebuild import flag_member, named_tuple, with_fields
from langgraph_wfstore.serde.shapes import Policy, Shape


def read_msgpack(data: bytes, policy: Policy, reader: Callable[[Policy, Readers, int], Reader] = Reader) -> Any:
    """The value behind the tag "msgpack".

    Args:
        reader: makes what reads it.

    Raises:
        DecodeError: the bytes are damaged, or name a class that may not or cannot be rebuilt here.
    """
    # A placeholder of LangGraph's bytes could not be stored again in this format.
    policy = dataclasses.replace(policy, placeholders=False)
    return read_with(reader(policy, _READERS, ormsgpack.OPT_NON_STR_KEYS), data)


def read_json(data: bytes, policy: Policy) -> Any:
    """The value behind the tag "json", which LangGraph wrote before it used msgpack.

    Raises:
        DecodeError: the bytes are damaged, or name a class that may not or cannot be rebuilt here.
    """
    try:
        # Given bytes, json would guess their encoding, and import its codec.
        return json.loads(data.decode(), object_hook=lambda value: _revived(value, policy))
    except DecodeError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise DecodeError(f"The stored bytes are not JSON that LangGraph wrote: {reason}.") from error


def _call_reader(code: int) -> Callable[[Reader, bytes], Any]:
    def read_call(reader: Reader, data: bytes) -> Any:
        module, name, arguments, *_ = reader.parts(data, 3, 4)
        return _constructed(module, name, code, arguments, reader.policy)

    return read_call


_READERS: Final[Readers] = {
    **{code: _call_reader(code) for code in range(6)},
    6: lambda reader, data: arrays.decode_array(reader.parts(data, 4)),
    7: lambda reader, data: _DeltaSnapshot(reader.unpack(data)),
}


def _constructed(module: Any, name: Any, code: int, arguments: Any, policy: Policy) -> Any:
    """What LangGraph's reader would make by calling `name` in `module` in the manner of `code`."""
    if type(module) is not str or type(name) is not str:
        raise DecodeError("A stored object has no well-formed class name.")
    if code in (0, 3):
        return _called(module, name, [arguments], {}, policy)
    if code == 1:
        return _called(module, name, arguments, {}, policy)
    return _called(module, name, [], arguments, policy)


def _revived(value: dict[str, Any], policy: Policy) -> Any:
    if value.get("type") != "constructor" or type(value.get("id")) is not list or value.get("lc") not in (1, 2):
        return value
    if value["lc"] == 1:
        return _reviver()(value)
    *module, name = value["id"]
    return _called(".".join(module), name, value.get("args") or [], value.get("kwargs") or {}, policy)


def _reviver() -> Reviver:
    return Reviver(allowed_objects=[cls for cls in KNOWN.values() if issubclass(cls, Serializable)])


def _called(module: str, name: str, args: Any, kwargs: Any, policy: Policy) -> Any:
    if type(args) not in (list, tuple) or type(kwargs) is not dict:
        raise DecodeError(f"A stored {module}:{name} has no well-formed arguments.")
    call = _CALLS.get((module.removesuffix("._local"), name))
    if call is not None:
        return call(*args, **kwargs)
    shape = policy.resolve(f"{module}:{name}")
    if shape.code == Code.ENUM:
        return _member(shape, *args)
    if shape.code == Code.DATACLASS:
        return with_fields(shape, kwargs)
    if shape.code == Code.NAMEDTUPLE:
        return named_tuple(shape, kwargs)
    return _model(shape, module, name, kwargs, policy)


def _model(shape: Shape, module: str, name: str, kwargs: dict[str, Any], policy: Policy) -> Any:
    ref = f"{module}:{name}"
    if shape.code != Code.MODEL:
        raise UnresolvedError(ref, "LangGraph's serializer does not store such a class")
    if not isinstance(shape.ref, int) and not policy.names(module, name):
        raise UnresolvedError(ref, "LangGraph stored its fields without their types, so its validators have to run")
    cls: Any = shape.cls
    try:
        return cls(**kwargs)
    except Exception as error:
        raise UnresolvedError(ref, f"it does not accept the stored fields: {error}") from error


def _member(shape: Shape, value: Any) -> Enum:
    """The member of that value: LangGraph stores it without the name, and a tuple in it as a list."""
    members: dict[str, Any] = class_attribute(shape.cls, "_member_map_")
    for member in members.values():
        found = member._value_
        if (type(found) is type(value) and found == value) or (type(found) is tuple and list(found) == value):
            result: Enum = member
            return result
    return flag_member(shape, value)


def _send(node: str, arg: Any, timeout: Any = None) -> lg_types.Send:
    return lg_types.Send(node, arg, timeout=timeout)


def _pattern(pattern: str | bytes, flags: int) -> re.Pattern[Any]:
    return re.compile(pattern, flags & ~re.DEBUG)


def _datetime(*args: Any) -> datetime.datetime:
    if len(args) == 1 and type(args[0]) is str:
        return datetime.datetime.fromisoformat(args[0])
    return datetime.datetime(*args)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text)


def _bytearray(text: str) -> bytearray:
    return bytearray.fromhex(text)


_CALLS: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytearray,
    ("collections", "deque"): deque,
    ("datetime", "datetime"): _datetime,
    ("datetime", "date"): datetime.date,
    ("datetime", "time"): datetime.time,
    ("datetime", "timedelta"): datetime.timedelta,
    ("datetime", "timezone"): datetime.timezone,
    ("decimal", "Decimal"): decimal.Decimal,
    ("re", "compile"): _pattern,
    ("uuid", "UUID"): uuid.UUID,
    ("zoneinfo", "ZoneInfo"): read_zone,
    ("pydantic.types", "SecretStr"): SecretStr,
    ("pydantic.types", "SecretBytes"): SecretBytes,
    ("langgraph.types", "Send"): _send,
    ("langgraph.store.base", "Item"): lg_store.Item,
    **{("ipaddress", name): cls for name, cls in ADDRESSES.items()},
    **{("pathlib", name): cls for name, cls in PATHS.items()},
    ("pathlib", "Path"): pathlib.Path,
}
