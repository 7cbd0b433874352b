"""Lists by element: the identity of a list, and its storage as a splice of an earlier one.

The identity (FORMAT.md, section 5) is a hash tree over content-defined runs of items; it depends on the
items alone. The storage is a private matter of a store: literal item numbers and copies from a base list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from ..canonical import digest

_ENDS = re.compile(b"[" + b"".join(re.escape(bytes((n,))) for n in range(0, 256, 32)) + b"]")
_last = itemgetter(-1)
FLAG_BITS = 2  # an item's flag stands in the lowest bits of its object number
FLAGS = 3
LARGEST_GROUP = 1024
SHORT = 16  # items; a list that is no longer is stored complete
# A splice may hold so many literal items before it is based on a shallower list instead, by depth of the base.
LITERALS_AT_DEPTH = (2048, 64)


def list_id(items: Sequence[bytes]) -> bytes:
    """The id of a list.

    Args:
        items: per item its 1-byte flag (see codec.py) and its 32-byte object id.

    Returns:
        digest("list", root of the tree, number of items as 8 bytes big endian).
    """
    level = [digest("list-leaf", b"".join(group)) for group in groups(items)]
    while len(level) > 1:
        level = [digest("list-node", b"".join(group)) for group in groups(level)]
    root = level[0] if level else b""
    return digest("list", root, len(items).to_bytes(8, "big"))


def groups(items: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Runs that end at an item whose last byte has its low 5 bits clear; 2 to 1024 items each, the last may be 1."""
    found: list[Sequence[bytes]] = []
    start = 0
    for end in map(re.Match.end, _ENDS.finditer(bytes(map(_last, items)))):
        while end - start > LARGEST_GROUP:
            found.append(items[start : start + LARGEST_GROUP])
            start += LARGEST_GROUP
        if end - start >= 2:
            found.append(items[start:end])
            start = end
    while len(items) - start > LARGEST_GROUP:
        found.append(items[start : start + LARGEST_GROUP])
        start += LARGEST_GROUP
    if start < len(items):
        found.append(items[start:])
    return found


def items_of(names: Sequence[bytes], numbers: Sequence[int]) -> list[bytes]:
    """The items that `list_id` hashes: flag and object id."""
    return [
        b"\0" + name if not number & FLAGS else bytes((number & FLAGS,)) + name
        for name, number in zip(names, numbers, strict=True)
    ]


class StoredList(NamedTuple):
    """A list as a store knows it.

    Attributes:
        number: the object number of the list's row.
        names: the object id per item.
        numbers: the object number per item, with its flag in the lowest two bits.
        depth: how many rows must be read to resolve the list, less one.
        base: the list that this one is a splice of, None at depth 0.

    Names and numbers are plain tuples because the garbage collector does not look into those again and again.
    """

    number: int
    names: tuple[bytes, ...]
    numbers: tuple[int, ...]
    depth: int
    base: StoredList | None


def splice_for(numbers: Sequence[int], previous: StoredList | None) -> tuple[bytes, StoredList | None]:
    """How to store a list, given an earlier list of the same channel.

    Args:
        numbers: flagged object numbers of the new list.
        previous: the list to splice, if one is known.

    Returns:
        the bytes of the row, and the list they are based on (None: they are complete).
    """
    numbers = tuple(numbers)
    base = previous if len(numbers) > SHORT else None
    while base is not None and base.depth >= len(LITERALS_AT_DEPTH):
        base = base.base
    while base is not None:
        ops, literals = _difference(base.numbers, numbers)
        if literals <= LITERALS_AT_DEPTH[base.depth] and literals <= len(numbers) // 2:
            return _pack(base.number, ops), base
        base = base.base
    return _pack(0, [(None, numbers)] if numbers else []), None


_Op = tuple[int | None, Sequence[int] | int]  # (start, length) copies from the base; (None, numbers) are literal


def _difference(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[list[_Op], int]:
    head = common_prefix(old, new)
    tail = common_prefix(old[head:][::-1], new[head:][::-1])
    ops: list[_Op] = [(0, head)] if head else []
    literals = 0
    at: dict[int, int] = {}
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    if middle_old and middle_new:
        at = {number: i + head for i, number in enumerate(middle_old)}
    run: list[int] = []
    position = 0
    while position < len(middle_new):
        start = at.get(middle_new[position], -1)
        length = 0
        if start >= 0:
            length = common_prefix(old[start : len(old) - tail], middle_new[position:])
        if length >= 2:
            if run:
                ops.append((None, run))
                run = []
            ops.append((start, length))
            position += length
        else:
            run.append(middle_new[position])
            literals += 1
            position += 1
    if run:
        ops.append((None, run))
    if tail:
        ops.append((len(old) - tail, tail))
    return ops, literals


def common_prefix(a: tuple[object, ...], b: tuple[object, ...]) -> int:
    """The length of the common prefix, by bisection on slice equality, which runs in C."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _pack(base: int, ops: list[_Op]) -> bytes:
    out = bytearray()
    put_varint(out, base)
    for start, rest in ops:
        if not isinstance(rest, int):
            put_varint(out, len(rest) << 1 | 1)
            last = 0
            for number in rest:
                put_varint(out, _zigzag(number - last))
                last = number
        else:
            put_varint(out, rest << 1)
            put_varint(out, start or 0)
    return bytes(out)


def base_of(data: bytes) -> int:
    """The object number of the list that a stored splice is based on; 0 for none."""
    return get_varint(data, 0)[0]


def apply_splice(data: bytes, base: Sequence[int]) -> list[int]:
    """The flagged object numbers that a stored splice stands for.

    Raises:
        ValueError: the bytes are not a splice, or copy what the base does not have.
    """
    _, at = get_varint(data, 0)
    numbers: list[int] = []
    while at < len(data):
        header, at = get_varint(data, at)
        length = header >> 1
        if header & 1:
            last = 0
            for _ in range(length):
                value, at = get_varint(data, at)
                last += _unzigzag(value)
                numbers.append(last)
        else:
            start, at = get_varint(data, at)
            if start + length > len(base):
                raise ValueError("a splice copies more than its base has")
            numbers += base[start : start + length]
    return numbers


def pack_numbers(numbers: Iterable[int]) -> bytes:
    """Unsigned integers as bytes."""
    numbers = [*numbers]
    if max(numbers, default=0) < 128:
        return bytes(numbers)
    out = bytearray()
    for number in numbers:
        put_varint(out, number)
    return bytes(out)


def unpack_numbers(data: bytes) -> list[int]:
    """The integers behind `pack_numbers`; ValueError if the bytes are damaged."""
    numbers = []
    at = 0
    while at < len(data):
        number, at = get_varint(data, at)
        numbers.append(number)
    return numbers


def put_varint(out: bytearray, value: int) -> None:
    """Append an unsigned integer, seven bits a byte, lowest first."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def get_varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer and where the next one starts; ValueError if the bytes end before it does."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("truncated number")
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            return value, at


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -(value + 1 >> 1)
