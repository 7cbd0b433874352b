"""Restricted canonical JSON and domain-separated digests: the two primitives every record id stands on.

FORMAT.md, sections 2 and 3, specifies both; tests/golden holds vectors that never change.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TypeAlias

import orjson

Json: TypeAlias = bool | int | str | list["Json"] | dict[str, "Json"] | None
Version: TypeAlias = int | str | float

LARGEST_INTEGER = 2**53 - 1
MOST_DIGITS = 1000  # of an integer beyond 53 bits; Python writes and reads none of more than 4300 by itself
_TOO_LARGE = 10**MOST_DIGITS
_PREFIX = b"wfstore/1 "
_LENGTHS = [size.to_bytes(8, "big") for size in range(1024)]
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def digest(kind: str, *parts: bytes) -> bytes:
    """The domain-separated digest of `parts`.

    Args:
        kind: what is hashed ("object", "list", "checkpoint", ...); digests of different kinds never meet.
        parts: byte strings of any length; each is prefixed with its length, so that no two lists of
            parts hash the same bytes.

    Returns:
        32 bytes: SHA-256 over `"wfstore/1 " + kind + NUL + (8-byte big-endian length + part)*`.
    """
    chunks = [_domain(kind)]
    for part in parts:
        size = len(part)
        chunks += (_LENGTHS[size] if size < len(_LENGTHS) else size.to_bytes(8, "big"), part)
    return hashlib.sha256(b"".join(chunks)).digest()


@functools.cache
def _domain(kind: str) -> bytes:
    return _PREFIX + kind.encode("ascii") + b"\0"


def hex_id(value: bytes) -> str:
    """The text form of a digest, `sha256:<64 hex digits>`."""
    return "sha256:" + value.hex()


def from_hex_id(value: str) -> bytes:
    """The 32 bytes behind a digest's text form; ValueError for anything else."""
    if not value.startswith("sha256:") or len(value) != 71:
        raise ValueError(f"not a digest: {value!r}; expected 'sha256:' and 64 hex digits")
    return bytes.fromhex(value[7:])


def encode(value: Json) -> bytes:
    """The canonical bytes of a record's JSON: sorted ASCII keys, no white space, UTF-8.

    Raises:
        TypeError: an integer beyond 53 bits, a lone surrogate or a type that is not JSON.
    """
    return orjson.dumps(value, option=_OPTIONS)


def decode(data: bytes) -> Json:
    """The value behind canonical bytes; ValueError if they are no JSON."""
    value: Json = orjson.loads(data)
    return value


def check(data: bytes) -> None:
    """ValueError if `data` is not the canonical form of any value."""
    value = decode(data)
    _refuse_floats(value)
    if encode(value) != data:
        raise ValueError("not canonical JSON")


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise ValueError("canonical JSON holds no floats")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_floats(item)


def utf8(name: str) -> bytes:
    """A user's name or id as bytes: UTF-8, lone surrogates included."""
    return name.encode("utf-8", "surrogatepass")


def text(value: str) -> Json:
    """A user's text in a record: itself, or `{"u16": hex}` if it holds a lone surrogate.

    UTF-16 cannot tell two surrogates that make a pair from the one character the pair stands for: a text that holds
    such a pair is `{"u8": hex}`.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        wide = value.encode("utf-16-be", "surrogatepass")
        return {"u16": wide.hex()} if wide.decode("utf-16-be", "surrogatepass") == value else {"u8": utf8(value).hex()}
    return value


def from_text(value: Json) -> str:
    """The text behind `text`; ValueError or KeyError for what is not the one encoding of a text."""
    if isinstance(value, dict):
        ((form, data),) = value.items()
        found = bytes.fromhex(str(data)).decode({"u8": "utf-8", "u16": "utf-16-be"}[form], "surrogatepass")
        if text(found) != value:
            raise ValueError(f"not the encoding of its text: {value!r:.100}")
        return found
    if not isinstance(value, str):
        raise ValueError(f"not a text: {value!r}")
    return value


def write_large(value: int) -> str:
    """An integer beyond 53 bits in decimal; TypeError if it has more than `MOST_DIGITS` digits."""
    if abs(value) >= _TOO_LARGE:
        raise TypeError(f"an integer of more than {MOST_DIGITS} digits cannot be stored")
    return str(value)


def read_large(decimal: Json) -> int:
    """The integer behind `write_large`; ValueError for anything else."""
    if not isinstance(decimal, str) or len(decimal) > MOST_DIGITS + 1:
        raise ValueError(f"not an integer of at most {MOST_DIGITS} digits: {decimal!r:.100}")
    value = int(decimal)
    if str(value) != decimal or abs(value) <= LARGEST_INTEGER or abs(value) >= _TOO_LARGE:
        raise ValueError(f"not an integer beyond 53 bits: {decimal!r:.100}")
    return value


def version(value: Version) -> Json:
    """A channel version: an integer, a text, `{"i": decimal}` beyond 53 bits, `{"f": repr}` for a float."""
    if isinstance(value, int) and type(value) is int:
        return value if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else {"i": write_large(value)}
    if isinstance(value, str) and type(value) is str:
        return text(value)
    if type(value) is float:
        return {"f": repr(value)}
    raise TypeError(f"a channel version is an int, a str or a float, not {type(value).__name__}: {value!r}")


def from_version(value: Json) -> Version:
    """The channel version behind `version`."""
    if isinstance(value, dict):
        if "f" in value:
            return float(str(value["f"]))
        return read_large(value["i"]) if "i" in value else from_text(value)
    if type(value) is int or isinstance(value, str):
        return value
    raise ValueError(f"not a channel version: {value!r}")
