"""Sought: the messages that are to be redacted, and how they are known again wherever they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..redacted import is_redacted
from ..tracing.normal import hash_of, message, tool_calls
from ..values.masks import is_message
from .parts import parts

_ROLES = frozenset({"human", "user", "ai", "assistant", "system", "developer", "tool", "function", "chat"})


class Sought:
    """Messages, by their ids, and by what they say where they have none.

    Args:
        ids: ids of messages.

    Attributes:
        texts: what those say that say nothing but a text.
        tool_calls: ids of tool calls, whose results and whose requests are sought.
        hashes: SHA-256 of their bytes, hexadecimal, by which a record may say what it left out.
        met: the ids that were met.
    """

    def __init__(self, ids: Collection[str]) -> None:
        self.ids = set(ids)
        self.texts: set[str] = set()
        self.tool_calls: set[str] = set()
        self.hashes: set[str] = set()
        self.met: set[str] = set()
        self._said: set[bytes] = set()
        self._said_without_id: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self.ids or self.tool_calls or self._said or self._said_without_id)

    def learn(self, values: Iterable[Any], *, all_of_them: bool) -> bool:
        """Know again the messages in these values: all, or those of the ids; whether there was one."""
        found = False
        for value in values:
            for part in parts(value):
                if is_message(part) and not _is_empty(part) and (all_of_them or _id(part) in self.ids):
                    self._add(part)
                    found = True
        return found

    def _add(self, item: Any) -> None:
        name = _id(item)
        said = _said(item)
        if name is not None:
            self.ids.add(name)
            self.met.add(name)
        if said is not None:
            (self._said_without_id if name is None else self._said).add(said)
        if isinstance(item.content, str) and item.content:
            self.texts.add(item.content)

    def in_value(self, value: Any, channels: Collection[str], loose: bool) -> bool:
        """Whether a value is such a message, or holds one.

        Args:
            channels: in these, and under such keys, a plain text is a message.
            loose: whether the value itself is one of these channels'.
        """
        if loose and self._is_text(value):
            return True
        return any(self._is(part, channels) for part in parts(value))

    def _is(self, part: Any, channels: Collection[str]) -> bool:
        if is_message(part):
            return not _is_empty(part) and self._is_message(part)
        if isinstance(part, Mapping):
            return self._is_dict(part) or any(self._is_text(part.get(name)) for name in channels if name in part)
        if isinstance(part, list | tuple) and len(part) == 2:
            return part[0] in _ROLES and self._is_text(part[1]) if isinstance(part[0], str) else False
        return False

    def _is_message(self, item: Any) -> bool:
        name = _id(item)
        answers = getattr(item, "tool_call_id", None)
        if name in self.ids or (isinstance(answers, str) and answers in self.tool_calls):
            self.met |= {name} if name is not None else set()
            return True
        asked = [call.get("id") for call in tool_calls(item)]
        if any(isinstance(own, str) and own in self.tool_calls for own in asked):
            return True
        if name is not None and not self._said_without_id:
            return False
        said = _said(item)
        return said in self._said_without_id or (name is None and said in self._said)

    def _is_dict(self, part: Mapping[Any, Any]) -> bool:
        """Whether this is a message as a dict, or what stands in the place of one that was too large to be recorded."""
        name, key = part.get("id"), part.get("sha256")
        if isinstance(key, str) and key in self.hashes:
            return True
        if "content" not in part:
            return False
        if isinstance(name, str):
            return name in self.ids
        return ("role" in part or "type" in part) and self._is_text(part["content"])

    def _is_text(self, value: Any) -> bool:
        if isinstance(value, list):
            return any(isinstance(item, str) and item in self.texts for item in value)
        return isinstance(value, str) and value in self.texts


def _id(item: Any) -> str | None:
    name = getattr(item, "id", None)
    return name if type(name) is str else None


def _is_empty(item: Any) -> bool:
    """Whether a message has no content to remove: it was removed before, or it says that a message goes."""
    return getattr(item, "type", "") == "remove" or is_redacted(item)


def _said(item: Any) -> bytes | None:
    """What a message says, without its id; None if it says nothing."""
    form = message(item)
    return hash_of(form) if form["parts"] else None
