"""Redacted: what is read in the place of a value whose content was removed by a redaction."""

from __future__ import annotations

from dataclasses import dataclass

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
    metadata = getattr(value, "response_metadata", None)
    return isinstance(value, Redacted) or (isinstance(metadata, dict) and MARK in metadata)
