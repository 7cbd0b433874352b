"""The default serializer of the saver: lossless, deterministic, fast, and safe on hostile bytes.

`dumps_typed` gives a tag and bytes. Tag "null": None, no bytes. Tag "bytes": a byte string, as it is. Tag "wf1": one
msgpack value, in which nil, bool, int of 64 bits, float (always 64 bits), UTF-8 text, byte strings, lists (arrays)
and dicts with text keys only (maps, in insertion order) stand for themselves, and everything else is an ext. Headers
are the shortest possible. Equal values built alike give equal bytes in every process. A payload is either bytes as
said, or one msgpack value of the same kind, here written in brackets; nothing follows it.

| ext | value | payload |
|-----|-------|---------|
| 16 | int beyond 64 bits | two's complement, big-endian |
| 17 | text with lone surrogates | UTF-8, surrogates encoded like other code points (3 bytes) |
| 18 | bytearray | its bytes |
| 19 | tuple | [item, ...] |
| 20, 21 | set, frozenset | [item, ...] sorted by the bytes of each item |
| 22 | dict with other keys | [key, value, key, value, ...] in insertion order |
| 23 | complex | real and imaginary part, two big-endian 64-bit floats |
| 24 | Decimal | decimal text in ASCII, as Python's str() |
| 25 | Fraction | [numerator, denominator] |
| 26 | datetime | [year, month, day, hour, minute, second, microsecond, fold, nil or 30 or 31] |
| 27 | date | [year, month, day] |
| 28 | time | [hour, minute, second, microsecond, fold, nil or ext 30 or 31] |
| 29 | timedelta | [days, seconds, microseconds], the last two not negative |
| 30 | timezone | [days, seconds, microseconds] of the offset from UTC, and the name if it has one |
| 31 | ZoneInfo | IANA key in ASCII |
| 32 | UUID | 16 bytes, and one more if its origin is known: 00 multiprocessing-safe, FF not |
| 33 | path | [PurePosixPath, PureWindowsPath, PosixPath or WindowsPath; the path as text] |
| 34 | compiled re | [pattern as text or bytes, flags as in Python's re] |
| 35 | IP address | [class name in Python's ipaddress, text] |
| 36, 37 | range, slice | [start, stop, step] |
| 38 | deque | [maxlen or nil, [item, ...]] |
| 39 | defaultdict | [nil, name of a built-in type or `module:qualname`; [key, value, ...]] |
| 40, 41 | Counter, OrderedDict | as 22 |
| 42 | numpy array | [dtype, [size, ...], "C" or "F", data in that order]; dtype: numpy's `str` or `descr` |
| 43 | numpy scalar | [dtype, data], or ["str", text], or ["bytes", bytes] |
| 44 | pydantic SecretStr, SecretBytes | [the text or bytes, in the clear] |
| 48 | enum member | [class, name of the member, or the int of a combination of flags] |
| 49 | dataclass | [class, {field: value}] |
| 50 | named tuple | [class, {field: value}] |
| 51 | pydantic model | [class, {field: value}, fields set, {extra}, {private}], nils at the end left out |
| 52 | LangGraph's Send, Item | [class, {slot: value}] |
| 53 | LangChain message, Document | [class, {field: value}], and fields set (sorted names) if not just these |
| 54 | plain object | [class, {attribute: value}] |
| 55 | subclass of a built-in type | [class, the value as that type, {attribute: value}] |

A class is text, `module:qualname`, or a number of the table `KNOWN` in serde/classes.py. "Fields set" is pydantic's
`model_fields_set`: nil if they are all the fields given, else their sorted names. In ext 53 a field that has the value
of `MESSAGE_FIELDS` in serde/classes.py is left out, there are no private attributes, and pydantic's extra is empty (nil
in a Document). An exception is stored as the text of its repr: the one thing that does not come back as it was, as with
LangGraph's own serializer. Codes 0 to 15 are never used, other codes up to 127 are reserved. Inside the fifth ext and
deeper, arrays and maps nest at most 256 levels in all, and exts at most 100.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde.classes import Placeholder
from langgraph_wfstore.serde.jsonplus import read_json, read_msgpack
from langgraph_wfstore.serde.read import read
from langgraph_wfstore.serde.shapes import Policy, allow_names
from langgraph_wfstore.serde.write import write

__all__ = ["FORMAT", "Placeholder", "WfSerializer"]

FORMAT: Final = "wf1"


class WfSerializer:
    """Turns channel values into bytes and back; implements LangGraph's SerializerProtocol."""

    lossless: Final = True

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
