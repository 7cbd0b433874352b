"""Redacted: what is read in the place of a value whose content was removed by a redaction."""

from __future__ import annotations

from dataclasses import dataclass

from .canonical import utf8

TEXT = "[redacted]"
"""The content of a message that was redacted."""
MARK = "wfstore.redacted"
"""The key in a redacted message's `response_metadata` that says which object it stood in."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """Stands for a value that was redacted; can be put back into the state, and is then read as it is.

    Attributes:
        id: `sha256:...` of the stored object that held the value.
        type: module and qualified name of the value's class; nothing of its content.
    """

    id: str
    type: str

    def __str__(self) -> str:
        return f"{TEXT[:-1]} {self.type}]"


def is_redacted(value: object) -> bool:
    """Whether this stands for a value that was redacted: a `Redacted`, or a message whose content is gone."""
    return isinstance(value, Redacted) or _mark(value) is not None


def redacted_key(value: object) -> bytes | None:
    """What redacted values that stand for the same one have in common; None for what was not redacted."""
    if isinstance(value, Redacted):
        return utf8(value.id)
    mark = _mark(value)
    name = getattr(value, "id", None)
    return None if mark is None else key_of(name if isinstance(name, str) else None, mark)


def key_of(message_id: str | None, object_id: str) -> bytes:
    """The key of a redacted message: its id says more than which object it stood in."""
    return utf8(object_id) if message_id is None else b"message " + utf8(message_id)


def _mark(value: object) -> str | None:
    metadata = getattr(value, "response_metadata", None)
    mark = metadata.get(MARK) if isinstance(metadata, dict) and getattr(value, "content", None) == TEXT else None
    return mark if isinstance(mark, str) else None
