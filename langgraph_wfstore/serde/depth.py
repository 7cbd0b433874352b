"""How deep msgpack bytes nest and where they end, told without decoding them.

ormsgpack recurses on the C stack, 0.7 kB a level, and allows 1024 levels to each call. Objects inside objects make a
new call each, so bytes of some kB could exhaust a thread's stack and end the process. Therefore everything inside the
fourth object may have `MAX_DEPTH` levels of arrays and maps in all.
"""

from __future__ import annotations

from typing import Final

FREE_OBJECTS: Final = 4
MAX_DEPTH: Final = 256
MAX_OBJECTS: Final = 100

_CONTAINERS: Final = bytes((*range(0x81, 0x90), *range(0x91, 0xA0), *range(0xDC, 0xE0)))


def container_bytes(data: bytes) -> int:
    """At least the levels in `data`, those inside ext payloads included: the bytes that could start a container."""
    if len(data) <= MAX_DEPTH:
        return len(data)
    return len(data) - len(data.translate(None, _CONTAINERS))


# How many bytes follow a type byte; of strings, byte strings and exts: how many hold the length, and how many more.
_FIXED: Final = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8} | {
    0xD4: 2,
    0xD5: 3,
    0xD6: 5,
    0xD7: 9,
    0xD8: 17,
}
_SIZED: Final = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xD9: (1, 0), 0xDA: (2, 0), 0xDB: (4, 0)} | {
    0xC7: (1, 1),
    0xC8: (2, 1),
    0xC9: (4, 1),
}
_COUNTED: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def native_depth(data: bytes, limit: int) -> int:
    """The levels of arrays and maps in `data`, ext payloads not entered; counting ends beyond `limit`."""
    deepest, at, left = 0, 0, [1]
    while at < len(data) and left and len(left) <= limit + 1:
        left[-1] -= 1
        at, children = _step(data, at)
        if children:
            left.append(children)
            deepest = max(deepest, len(left) - 1)
        while left and not left[-1]:
            left.pop()
    return deepest


def surely_whole(data: bytes) -> bool:
    """Whether `data` is one value of few parts and nothing after it; False: not known."""
    at, left = 0, 1
    for _ in range(32):
        if at >= len(data) or not left:
            break
        at, children = _step(data, at)
        left += children - 1
    return at == len(data) and not left


def _step(data: bytes, at: int) -> tuple[int, int]:
    """Where the item at `at` ends, or its first child starts; and how many children it has."""
    kind = data[at]
    at += 1
    if 0x80 <= kind <= 0x9F:
        return at, (kind & 0x0F) * (2 if kind < 0x90 else 1)
    if 0xA0 <= kind <= 0xBF:
        return at + (kind & 0x1F), 0
    if kind in _COUNTED:
        width, each = _COUNTED[kind]
        return at + width, int.from_bytes(data[at : at + width], "big") * each
    if kind in _SIZED:
        width, more = _SIZED[kind]
        return at + width + more + int.from_bytes(data[at : at + width], "big"), 0
    return at + _FIXED.get(kind, 0), 0
