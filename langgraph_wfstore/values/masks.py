"""Masks: what is stored in the place of a redacted object. They say of what class it was and hold none of its content.

Ids of messages, of the tool calls they ask for, and of interrupts stay, so that a graph can go on; they stand in
records as well. See FORMAT.md, section 8.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..canonical import LARGEST_INTEGER, Json, check, decode, encode, from_text, text
from ..fields import rows

COUNTERS = "counters_since_delta_snapshot"
_DEEPEST = 8  # lists in lists, and dicts in them
_KNOWN = ("langchain_core.messages.", "langgraph.types.")
_INTERRUPT = "langgraph.types.Interrupt"
SNAPSHOT = "langgraph.checkpoint.serde.types._DeltaSnapshot"
_KEYS = {"type", "id", "tool_call_id", "tool_calls", "items", "fields", "counters"}
_DEEPEST_READ = 64  # masks in masks


def mask_of(value: Any, names: Collection[str], depth: int = 0) -> dict[str, Json]:
    """The mask of a value.

    Args:
        names: the names of channels, which records hold anyway: a dict with no other keys keeps them.
    """
    kind = type(value)
    mask: dict[str, Json] = {"type": text(type_of(value))}
    if is_message(value) or type_of(value) == _INTERRUPT:
        return {**mask, **_ids(value)}
    if depth >= _DEEPEST:
        return mask
    if type_of(value) == SNAPSHOT:
        return {**mask, "items": [mask_of(value.value, names, depth + 1)]}
    if kind in (list, tuple):
        items = [mask_of(item, names, depth + 1) for item in value]
        if any(len(item) > 1 for item in items):
            mask["items"] = [*items]
    elif kind is dict and value and all(type(key) is str and key in names for key in value):
        mask["fields"] = [[text(key), mask_of(item, names, depth + 1)] for key, item in value.items()]
    return mask


def pack_mask(values: Sequence[Any], names: Collection[str]) -> dict[str, Json]:
    """The mask of several small elements that share an object."""
    return {**mask_of(list(values), names), "type": "pack"}


def metadata_mask(metadata: Any) -> dict[str, Json]:
    """The mask of a checkpoint's metadata, with what its delta channels are found by: names and counts."""
    counters = metadata.get(COUNTERS) if isinstance(metadata, Mapping) else None
    items = counters.items() if isinstance(counters, Mapping) else ()
    kept: list[Json] = [
        [text(name), [count for count in counts if type(count) is int and abs(count) <= LARGEST_INTEGER]]
        for name, counts in items
        if isinstance(name, str) and isinstance(counts, list | tuple)
    ]
    return {"type": text(type_of(metadata)), "counters": kept}


def is_message(value: Any) -> bool:
    """Whether this is a message of LangChain's."""
    return hasattr(value, "additional_kwargs") and hasattr(value, "content")


def type_of(value: Any) -> str:
    """Module and qualified name of a value's class; of a message, those of LangChain's class that it derives from."""
    if isinstance(stored := getattr(value, "type_name", None), str) and hasattr(value, "payload"):
        return stored.replace(":", ".")  # a placeholder of the serializer's
    cls = type(value)
    known = (c for c in cls.__mro__ if is_message(value) and f"{c.__module__}.".startswith(_KNOWN))
    found = next(known, cls)
    return f"{found.__module__}.{found.__qualname__}"


def _ids(value: Any) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in ("id", "tool_call_id"):
        if type(own := getattr(value, name, None)) is str:
            found[name] = text(own)
    calls = getattr(value, "tool_calls", None)
    asked: Iterable[Any] = calls if isinstance(calls, list) else ()
    ids = [call["id"] for call in asked if isinstance(call, dict) and type(call.get("id")) is str]
    if ids:
        found["tool_calls"] = [text(own) for own in ids]
    return found


def write_mask(mask: dict[str, Json]) -> bytes:
    """A mask as it is stored: canonical JSON."""
    return encode(mask)


def read_mask(data: bytes) -> dict[str, Any]:
    """The mask behind `write_mask`; ValueError for bytes that are none."""
    check(data)
    mask = decode(data)
    _check(mask)
    assert isinstance(mask, dict)
    return mask


def _check(mask: Any, depth: int = 0) -> None:
    if depth > _DEEPEST_READ or not isinstance(mask, dict) or "type" not in mask or not mask.keys() <= _KEYS:
        raise ValueError("what stands in the place of a redacted object is no mask, or one that is nested too deep")
    for name in ("type", "id", "tool_call_id"):
        from_text(mask.get(name, ""))
    for own in _listed(mask, "tool_calls"):
        from_text(own)
    for item in _listed(mask, "items"):
        _check(item, depth + 1)
    for key, item in rows(_listed(mask, "fields"), 2):
        from_text(key)
        _check(item, depth + 1)
    for key, counts in rows(_listed(mask, "counters"), 2):
        from_text(key)
        if not isinstance(counts, list) or any(type(count) is not int for count in counts):
            raise ValueError("the counters in a mask are not integers")


def _listed(mask: dict[str, Any], key: str) -> list[Any]:
    found = mask.get(key, [])
    if not isinstance(found, list):
        raise ValueError(f"{key} in a mask are no array")
    return found


def kept_counters(mask: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of redacted metadata: the counters, if there are any."""
    if not mask["counters"]:
        return {}
    return {COUNTERS: {from_text(name): tuple(counts) for name, counts in mask["counters"]}}
