"""MessagePack as the scripts of every server version read it: bytes are texts to Lua, and older ones know no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def packed_map(values: Mapping[str, Any]) -> bytes:
    """A map of text keys, with texts, bytes, whole numbers, booleans, lists and maps in it."""
    out = bytearray()
    _put(out, values)
    return bytes(out)


def _put(out: bytearray, value: Any) -> None:
    if value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        out.append(0xD3)
        out += value.to_bytes(8, "big", signed=True)
    elif isinstance(value, bytes | str):
        data = value.encode() if isinstance(value, str) else value
        _head(out, len(data), 0xA0, 32, 0xDA, 0xDB)
        out += data
    elif isinstance(value, Mapping):
        _head(out, len(value), 0x80, 16, 0xDE, 0xDF)
        for name, item in value.items():
            _put(out, name)
            _put(out, item)
    elif isinstance(value, Sequence):
        _head(out, len(value), 0x90, 16, 0xDC, 0xDD)
        for item in value:
            _put(out, item)
    else:
        raise TypeError(f"a script cannot be given a {type(value).__name__}")


def _head(out: bytearray, size: int, short: int, below: int, middle: int, long: int) -> None:
    if size < below:
        out.append(short | size)
    elif size < 1 << 16:
        out.append(middle)
        out += size.to_bytes(2, "big")
    else:
        out.append(long)
        out += size.to_bytes(4, "big")
