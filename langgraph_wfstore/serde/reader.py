"""The engine under the readers: one reading, its depth, its first error, and checks of what is stored.

Whatever a reader raises becomes a DecodeError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import ormsgpack

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde.classes import Placeholder, Refused, UnresolvedError
from langgraph_wfstore.serde.depth import (
    FREE_OBJECTS,
    MAX_DEPTH,
    MAX_OBJECTS,
    container_bytes,
    native_depth,
    surely_whole,
)
from langgraph_wfstore.serde.shapes import Policy

_unpackb: Final = ormsgpack.unpackb

# ormsgpack ignores bytes after the value. So the value is read as the first of two, and the second must come out as
# this mark, which nobody who wrote the bytes can have known.
_MARK: Final = os.urandom(16)
_COSTLY_COPY: Final = 1 << 16
_TAIL: Final = b"\xc4\x10" + _MARK


Readers = Mapping[int, Callable[["Reader", bytes], Any]]


class Reader:
    """One reading of one value: how deep it is, and the first error, which ormsgpack would lose."""

    __slots__ = ("depth", "error", "levels", "options", "policy", "readers")

    def __init__(self, policy: Policy, readers: Readers, options: int = 0) -> None:
        self.policy = policy
        self.readers = readers
        self.options = options
        self.depth = 0
        self.levels = 0
        self.error: BaseException | None = None

    def unpack(self, data: bytes) -> Any:
        """The value that stands in `data`, all of it."""
        if len(data) > _COSTLY_COPY and surely_whole(data):
            return _unpackb(data, ext_hook=self.ext, option=self.options)
        parts = _unpackb(b"\x92" + data + _TAIL, ext_hook=self.ext, option=self.options)
        if parts[1] != _MARK:
            raise DecodeError("There are bytes after the end of a stored value: it is damaged or not ours.")
        return parts[0]

    def parts(self, data: bytes, low: int, high: int | None = None) -> list[Any]:
        """The array in a payload, which must have `low` to `high` items."""
        parts = self.unpack(data)
        if type(parts) is not list or not low <= len(parts) <= (high or low):
            raise DecodeError(f"A stored object does not have {low} parts: it is damaged or not ours.")
        return parts

    def ext(self, code: int, data: bytes) -> Any:
        """The object of that ext code and payload; ormsgpack calls this."""
        if self.depth >= FREE_OBJECTS:
            return self._deep_ext(code, data)
        return self._ext(code, data)

    def _ext(self, code: int, data: bytes) -> Any:
        try:
            self.depth += 1
            read = self.readers.get(code)
            if read is None:
                raise DecodeError(f"The stored value has the unknown type code {code}; is it of a newer version?")
            return read(self, data)
        except UnresolvedError as error:
            if self.policy.placeholders:
                return Placeholder(error.type_name, code, data)
            self.error = self.error or error
            raise
        except BaseException as error:
            self.error = self.error or error
            raise
        finally:
            self.depth -= 1

    def _deep_ext(self, code: int, data: bytes) -> Any:
        room = MAX_DEPTH - self.levels
        levels = 0 if container_bytes(data) <= room else native_depth(data, room)
        if levels > room or self.depth > MAX_OBJECTS:
            self.error = self.error or DecodeError("The stored value is nested more deeply than any that is written.")
            raise self.error
        self.levels += levels
        try:
            return self._ext(code, data)
        finally:
            self.levels -= levels


def read_with(reader: Reader, data: bytes) -> Any:
    """The value that a reader finds in `data`; whatever goes wrong is raised as DecodeError."""
    try:
        return reader.unpack(data)
    except Exception as error:  # noqa: BLE001 - raised again below, as DecodeError unless it stands for more
        cause = reader.error or error
        if isinstance(cause, DecodeError):
            raise cause from None
        if not isinstance(cause, Exception):
            raise cause from None
        reason = "it is nested too deeply" if isinstance(cause, RecursionError) else _reason(cause)
        raise DecodeError(f"The stored bytes are not a whole value of their format: {reason}.") from cause


def _reason(cause: Exception) -> str:
    return f"{cause.reason}" if isinstance(cause, Refused) else f"{type(cause).__name__}: {cause}"


def as_list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise DecodeError(f"A stored object has a {type(value).__name__} where an array belongs.")
    return value


def as_ints(values: list[Any]) -> list[int]:
    if any(type(value) is not int for value in values):
        raise DecodeError("A stored object has something else where integers belong.")
    return values


def as_fields(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise DecodeError(f"A stored object has a {type(value).__name__} where its fields belong.")
    return value


def as_text(value: Any) -> str:
    if type(value) is not str:
        raise DecodeError(f"A stored object has a {type(value).__name__} where text belongs.")
    return value
