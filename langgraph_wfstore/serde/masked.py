"""Values in the place of redacted ones: messages of the same class and id, interrupts, lists, else a `Redacted`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Interrupt

from langgraph_wfstore.canonical import from_text
from langgraph_wfstore.redacted import MARK, TEXT, Redacted
from langgraph_wfstore.serde.classes import KNOWN
from langgraph_wfstore.values.masks import SNAPSHOT, kept_counters

_MESSAGES: Final = {
    f"{cls.__module__}.{cls.__qualname__}": cls for cls in KNOWN.values() if issubclass(cls, BaseMessage)
}
_INTERRUPT: Final = f"{Interrupt.__module__}.{Interrupt.__qualname__}"
_CONTAINERS: Final[Mapping[str, type]] = {"builtins.list": list, "builtins.tuple": tuple, "pack": list}


def value_for(mask: Mapping[str, Any], name: str) -> Any:
    """What is read in the place of a redacted value.

    Args:
        mask: as `masks.read_mask` gives it.
        name: `sha256:...` of the object that it stood in.
    """
    kind = from_text(mask["type"])
    if "counters" in mask:
        return kept_counters(mask)
    if kind in _MESSAGES:
        return _message(_MESSAGES[kind], mask, name)
    if kind == _INTERRUPT and "id" in mask:
        return Interrupt(value=TEXT, id=from_text(mask["id"]))
    if kind == SNAPSHOT and len(mask.get("items", ())) == 1:
        return _DeltaSnapshot(value_for(mask["items"][0], name))
    if kind in _CONTAINERS:
        items = [value_for(item, name) for item in mask.get("items", ())]
        return _CONTAINERS[kind](items or [Redacted(name, kind)])
    if "fields" in mask:
        return {from_text(key): value_for(item, name) for key, item in mask["fields"]}
    return Redacted(name, kind)


def _message(cls: type[BaseMessage], mask: Mapping[str, Any], name: str) -> BaseMessage:
    if issubclass(cls, RemoveMessage):  # it has no content
        return cls(id=from_text(mask.get("id", "")))
    fields: dict[str, Any] = {"content": TEXT, "response_metadata": {MARK: name}}
    if "id" in mask:
        fields["id"] = from_text(mask["id"])
    if "tool_call_id" in cls.model_fields:
        fields["tool_call_id"] = from_text(mask.get("tool_call_id", ""))
    if "tool_calls" in mask:
        fields["tool_calls"] = [
            {"name": "redacted", "args": {}, "id": from_text(own), "type": "tool_call"} for own in mask["tool_calls"]
        ]
    if "role" in cls.model_fields:
        fields["role"] = "redacted"
    if cls.model_fields["name"].is_required():
        fields["name"] = "redacted"
    return cls(**fields)
