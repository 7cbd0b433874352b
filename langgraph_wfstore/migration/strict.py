"""Savers that read with an error what LangGraph's serializer would read as something else.

LangGraph gives the arguments, or None, where a class is gone or not allowed. A migration must not take that for the
state.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection
from typing import Any

from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ..serde import WfSerializer
from ..serde.jsonplus import read_msgpack
from ..serde.shapes import Policy, allow_names
from .remembering import Remembered, RememberingReader


class StrictSerializer:
    """Reads what a JsonPlusSerializer wrote under the rules of `WfSerializer`, and leaves the rest to it.

    Args:
        inner: LangGraph's serializer.
        allow: classes, or (module, name) pairs, that may be restored besides those that are safe by default.
    """

    def __init__(self, inner: JsonPlusSerializer, allow: Collection[Any]) -> None:
        self._inner = inner
        self._reader = WfSerializer(allow=allow)
        self._policy = Policy(allow_names(allow), strict=False, placeholders=False)
        self._make = functools.partial(RememberingReader, Remembered())

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """As the inner one."""
        return self._inner.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value behind a type tag and bytes.

        Raises:
            DecodeError: the bytes are damaged, or name a class that may not or cannot be rebuilt here.
        """
        if data[0] == "msgpack":
            return read_msgpack(data[1], self._policy, self._make)
        return self._reader.loads_typed(data) if data[0] == "json" else self._inner.loads_typed(data)


def strict_saver(saver: Any, allow: Collection[Any]) -> Any:
    """A saver on the same storage that reads strictly; the same one if its serializer is not LangGraph's."""
    serde = _strict(saver.serde, allow)
    if serde is saver.serde:
        return saver
    clone = copy.copy(saver)
    clone.serde = serde
    return clone


def _strict(serde: Any, allow: Collection[Any]) -> Any:
    if type(serde) is EncryptedSerializer:
        inner = _strict(serde.serde, allow)
        return serde if inner is serde.serde else EncryptedSerializer(serde.cipher, inner)
    if type(serde) is JsonPlusSerializer and not getattr(serde, "_custom_unpack_ext_hook", False):
        return StrictSerializer(serde, allow)
    return serde
