"""Parts: everything inside a decoded value, whatever it consists of; and dicts and commands by the keys they have."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_PLAIN = (str, bytes, int, float, bool, type(None))


def parts(value: Any) -> Iterator[Any]:
    """The value, and everything in it: items, keys, fields and attributes, at any depth, each object once."""
    todo = [value]
    seen: dict[int, Any] = {}  # the objects too: as long as they are there, nothing else has their identity
    while todo:
        part = todo.pop()
        if type(part) in _PLAIN:
            yield part
        elif id(part) not in seen:
            seen[id(part)] = part
            yield part
            todo += inside(part)


def inside(part: Any) -> Iterator[Any]:
    """What a value directly consists of."""
    if isinstance(part, Mapping):
        for key, item in part.items():
            yield key
            yield item
    elif isinstance(part, list | tuple | set | frozenset | deque):
        yield from part
    if isinstance(part, type):
        return
    for name in ("__dict__", "__pydantic_extra__", "__pydantic_private__"):
        fields = getattr(part, name, None)
        if isinstance(fields, dict):
            yield from fields.values()
    for name in _slots(type(part)):
        if hasattr(part, name):
            yield getattr(part, name)


def _slots(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        if base.__module__ in ("builtins", "collections"):
            continue
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__"):
                yield name


def has_key(value: Any, names: Collection[str]) -> bool:
    """Whether a node's input or output has a value for one of these channels.

    It is a dict, a state class, a `Command` or `Send` with one of these in it, or a list of them.
    """
    if isinstance(value, Mapping):
        return any(key in names for key in value if isinstance(key, str))
    if isinstance(value, list | tuple):
        return any(_is_pair(item, names) or has_key(item, names) for item in value)
    for inner in ("update", "arg"):  # of a Command, of a Send
        if hasattr(value, inner) and (hasattr(value, "goto") or hasattr(value, "node")):
            return has_key(getattr(value, inner), names)
    fields = getattr(type(value), "__dataclass_fields__", None) or getattr(type(value), "model_fields", None)
    return isinstance(fields, Mapping) and any(name in names for name in fields)


def _is_pair(item: Any, names: Collection[str]) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and item[0] in names
