"""Values to bytes of format `wf1`: a fast path in C, and a slow one in Python for what the C encoder would bend.

`ormsgpack` writes most values; whatever it would flatten (subclasses, tuples, big integers, ...) comes to the hook.
What it cannot write losslessly, or at all, makes it fail, and then the slow path writes the same bytes by other means,
or finds where in the value the unsupported part is.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import ormsgpack

from langgraph_wfstore.errors import UnsupportedValueError
from langgraph_wfstore.serde.classes import (
    Code,
    Refused,
    class_name,
)
from langgraph_wfstore.serde.depth import FREE_OBJECTS, MAX_DEPTH, MAX_OBJECTS, container_bytes
from langgraph_wfstore.serde.encode import ENCODERS, INLINE, encode_int, encoder_for
from langgraph_wfstore.serde.shapes import Policy

# Every option that hands a value to the hook instead of flattening it; OPT_NON_STR_KEYS is left out on purpose, since
# with it enum, uuid and subclass keys would silently become plain ones.
_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
# Deeper values are rare, and a cycle is found sooner: the slow path takes over.
MAX_FAST_OBJECTS: Final = 16
_packb: Final = ormsgpack.packb
_Ext: Final = ormsgpack.Ext


class _Writer:
    """One fast attempt at one value; any exception means: use the slow path."""

    __slots__ = ("depth", "policy")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.depth = 0

    def pack(self, value: Any) -> bytes:
        data = _packb(value, self.hook, _OPTIONS)
        # ormsgpack writes a bytearray like bytes and asks nobody. 0xc4 to 0xc6 start every msgpack byte string.
        if (0xC4 in data or 0xC5 in data or 0xC6 in data) and _holds_buffer(value):
            raise TypeError("a bytearray or memoryview")
        return data

    def hook(self, value: Any) -> Any:
        encode = ENCODERS.get(type(value)) or encoder_for(type(value))
        code, payload = encode(value, self.policy)
        if code == INLINE:
            return payload
        if type(payload) is not bytes:
            self.depth += 1
            if self.depth > MAX_FAST_OBJECTS:
                raise RecursionError
            if code == Code.SET or code == Code.FROZENSET:
                pack = _packb if set(map(type, payload)) <= _ATOMS else self.pack
                payload = _sorted_array(list(map(pack, payload)))
            else:
                payload = self.pack(payload)
            if self.depth == FREE_OBJECTS + 1 and container_bytes(payload) > MAX_DEPTH:
                raise RecursionError
            self.depth -= 1
        return _Ext(code, payload)


_CONTAINERS: Final = frozenset((list, dict))
_BUFFERS: Final = frozenset((bytearray, memoryview))


def _holds_buffer(value: Any) -> bool:
    if type(value) is dict:
        value = value.values()
    elif type(value) is not list:
        return type(value) in _BUFFERS
    kinds = set(map(type, value))
    if not kinds.isdisjoint(_BUFFERS):
        return True
    if kinds.isdisjoint(_CONTAINERS):
        return False
    return any(_holds_buffer(item) for item in value if type(item) in _CONTAINERS)


_STEPS_SHOWN: Final = 12
# The way to a part of the value, for errors: the way before it, the kind of step, and the key, index or name.
Path = tuple[Any, str, Any] | None


class _SlowWriter:
    """Writes one value in Python, container by container, knowing the path to where it is."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.open: set[int] = set()
        self.objects = 0

    def pack(self, value: Any, path: Path) -> bytes:
        kind = type(value)
        if kind in _ATOMS:
            return self._atom(value)
        if id(value) in self.open:
            raise _refusal(path, kind, "it contains itself", "Store an id instead of the reference back.")
        if len(self.open) >= MAX_DEPTH or self.objects >= MAX_OBJECTS:
            raise _refusal(path, kind, "it is nested too deeply", f"At most {MAX_DEPTH} levels can be stored.")
        self.open.add(id(value))
        try:
            return self._container(value, kind, path)
        finally:
            self.open.discard(id(value))

    def _atom(self, value: Any) -> bytes:
        try:
            return _packb(value)
        except TypeError:
            if type(value) is str:
                return _packb(_Ext(Code.RAW_STR, value.encode("utf-8", "surrogatepass")))
            return _packb(_Ext(*encode_int(value)))

    def _container(self, value: Any, kind: type, path: Path) -> bytes:
        if kind is list:
            if set(map(type, value)) <= _ATOMS:
                return self._atoms(value)
            return _array([self.pack(item, (path, "[", i)) for i, item in enumerate(value)])
        if kind is dict and all(map(_is_utf8, value)):
            return _map([_packb(k) + self.pack(v, (path, "[", k)) for k, v in value.items()], len(value))
        return self._object(value, kind, path)

    def _atoms(self, value: list[Any]) -> bytes:
        try:
            return _packb(value)
        except TypeError:
            return _array([self._atom(item) for item in value])

    def _object(self, value: Any, kind: type, path: Path) -> bytes:
        try:
            code, payload = (ENCODERS.get(kind) or encoder_for(kind))(value, self.policy)
        except Refused as refused:
            raise _refusal(path, kind, refused.reason, refused.advice) from None
        if code == INLINE:
            return self.pack(payload, path)
        if type(payload) is not bytes:
            self.objects += 1
            payload = self._payload(code, payload, path)
            self.objects -= 1
        return _packb(_Ext(code, payload))

    def _payload(self, code: int, payload: Any, path: Path) -> bytes:
        if code in (Code.SET, Code.FROZENSET):
            return _sorted_array([self.pack(item, (path, " element ", item)) for item in payload])
        if code in (Code.TUPLE, Code.DICT, Code.COUNTER, Code.ORDEREDDICT):
            if set(map(type, payload)) <= _ATOMS:
                return self._atoms(payload)
            names = range(len(payload)) if code == Code.TUPLE else [key for key in payload[::2] for _ in range(2)]
            return _array([self.pack(item, (path, "[", name)) for name, item in zip(names, payload, strict=True)])
        if code in (Code.DEQUE, Code.DEFAULTDICT):
            inner = self._payload(Code.TUPLE if code == Code.DEQUE else Code.DICT, payload[1], path)
            return _array([self.pack(payload[0], path), inner])
        return _array([self._part(part, path) for part in payload])

    def _part(self, part: Any, path: Path) -> bytes:
        if type(part) is dict and all(_is_utf8(key) for key in part):
            return _map([_packb(k) + self.pack(v, (path, ".", k)) for k, v in part.items()], len(part))
        return self.pack(part, path)


_ATOMS: Final = frozenset((str, int, float, bool, type(None), bytes))


def _is_utf8(key: Any) -> bool:
    if type(key) is not str:
        return False
    if key.isascii():
        return True
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _step(step: str, name: Any) -> str:
    return f".{name}" if step == "." else f"{step}{_short(name)}{']' if step == '[' else ''}"


def _short(value: Any) -> str:
    try:
        return f"{value!r:.40}"
    except Exception:  # noqa: BLE001 - a failing repr must not hide the error that this text is for
        return f"<{type(value).__name__}>"


def _array(parts: list[bytes]) -> bytes:
    return _header(len(parts), 0x90, b"\xdc", b"\xdd") + b"".join(parts)


def _sorted_array(parts: list[bytes]) -> bytes:
    parts.sort()
    return _array(parts)


def _map(parts: list[bytes], count: int) -> bytes:
    return _header(count, 0x80, b"\xde", b"\xdf") + b"".join(parts)


def _header(count: int, small: int, medium: bytes, large: bytes) -> bytes:
    if count < 16:
        return bytes((small | count,))
    return medium + struct.pack(">H", count) if count < 1 << 16 else large + struct.pack(">I", count)


def _refusal(path: Path, kind: type, reason: str, advice: str) -> UnsupportedValueError:
    place = ""
    steps = 0
    while path is not None:
        path, step, name = path
        steps += 1
        if steps <= _STEPS_SHOWN:
            place = _step(step, name) + place
    if steps > _STEPS_SHOWN:
        place = f" ({steps - _STEPS_SHOWN} steps) ... {place}"
    module, qualname = class_name(kind)
    name = qualname if module == "builtins" else f"{module}.{qualname}"
    return UnsupportedValueError(
        f"Cannot store the {name} at {f'value{place}' if place else 'the top of the value'}: {reason}. "
        f"{advice or 'Keep it out of the state, or convert it to plain data.'}"
    )


def write(value: Any, policy: Policy) -> bytes:
    """The `wf1` bytes of a value.

    Raises:
        UnsupportedValueError: a part of the value could not be read back; says which, and what to do.
    """
    try:
        return _Writer(policy).pack(value)
    except Exception:  # noqa: BLE001 - not swallowed: the slow path succeeds, or raises with the place
        return _write_slowly(value, policy)


def _write_slowly(value: Any, policy: Policy) -> bytes:
    try:
        return _SlowWriter(policy).pack(value, None)
    except UnsupportedValueError:
        raise
    except RecursionError:
        raise _refusal(None, type(value), "it is nested too deeply", "Make it flatter.") from None
    except Exception as error:
        raise _refusal(None, type(value), f"reading it failed with {error!r}", "") from error
