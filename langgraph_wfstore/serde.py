"""The default serializer of the saver: lossless, deterministic, fast, and safe on hostile bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde_jsonplus import read_json, read_msgpack
from langgraph_wfstore.serde_read import read
from langgraph_wfstore.serde_shapes import Policy, allow_names
from langgraph_wfstore.serde_types import Placeholder
from langgraph_wfstore.serde_write import write

__all__ = ["FORMAT", "Placeholder", "WfSerializer"]

FORMAT: Final = "wf1"


class WfSerializer:
    """Turns channel values into bytes and back; implements LangGraph's SerializerProtocol."""

    def __init__(
        self, allow: Iterable[type | tuple[str, ...]] = (), strict: bool = False, placeholders: bool = False
    ) -> None:
        """Make a serializer.

        Args:
            allow: classes, or (module, name) tuples, that may be rebuilt besides the known ones: all of them under
                `strict`; plain objects, subclasses of built-in types, and classes of modules that are not imported
                yet (these are then imported) otherwise.
            strict: rebuild only standard types, LangChain's and LangGraph's own, and what `allow` names. Without it
                also pydantic models, dataclasses, enums and named tuples of modules that are already imported.
            placeholders: give a `Placeholder` for an object that cannot be rebuilt, instead of raising DecodeError.

        Raises:
            TypeError: an entry of `allow` is neither a class nor a tuple of names.
        """
        self._policy: Final = Policy(allow_names(allow), strict, placeholders)

    def with_allowlist(self, extra: Iterable[type | tuple[str, ...]]) -> WfSerializer:
        """A serializer that differs from this one only in allowing `extra` too.

        Args:
            extra: classes, or (module, name) tuples as LangGraph passes them.

        Raises:
            TypeError: an entry is neither a class nor a tuple of names.
        """
        policy = self._policy
        names = policy.allow | allow_names(extra)
        return self if names == policy.allow else type(self)(names, policy.strict, policy.placeholders)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The tag and the bytes of a value.

        Args:
            obj: any value of the kinds in the table above, nested in any way, without reference cycles.

        Returns:
            ("null", b"") for None, ("bytes", the bytes) for bytes, else ("wf1", bytes in the format above).

        Raises:
            UnsupportedValueError: a part of the value could not be read back; the message says which and what to do.
        """
        if obj is None:
            return "null", b""
        if type(obj) is bytes:
            return "bytes", obj
        return FORMAT, write(obj, self._policy)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value that a tag and bytes stand for.

        Args:
            data: what `dumps_typed` gave, or what LangGraph's JsonPlusSerializer gave except its pickles.

        Raises:
            DecodeError: the bytes are damaged, or name a class that may not or cannot be rebuilt here.
        """
        tag, payload = data
        if tag == FORMAT:
            return read(payload, self._policy)
        if tag == "null":
            return None
        if tag == "bytes":
            return payload
        if tag == "bytearray":
            return bytearray(payload)
        if tag == "msgpack":
            return read_msgpack(payload, self._policy)
        if tag == "json":
            return read_json(payload, self._policy)
        raise DecodeError(f"No reader for values tagged {tag!r:.40}; a newer version or another serializer wrote them.")
