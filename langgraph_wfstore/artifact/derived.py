"""The readable view of an artifact: the messages at the head of each branch. It is derived, and proves nothing.

It is made from the lines of the artifact alone, with standard types and those of LangChain and LangGraph, so that it is
the same wherever it is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ..codec import ELEMENT, PACK, Codec, unpack
from ..errors import DecodeError
from ..format import read_record
from ..records import CheckpointRecord
from ..tracing.normal import tool_calls
from ..values.elements import Leaf
from ..values.lists import FLAG_BITS, FLAGS
from ..values.masks import is_message
from ..values.memo import Memo
from .lines import LeafLine, ListLine, MaskLine, NodeLine, ObjectLine, RecordLine, ValueLine
from .manifest import Manifest

_LONGEST = 2000  # characters of what is no text
_HEADER = """DERIVED: these messages were made from the values in this file, to be read. They prove nothing: the records
and objects do. They are what the last checkpoint of each branch holds.

"""
# Not what Python calls printable: that differs between its versions.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_READABLE = frozenset({"wf1", "null", "bytes"})
_UNREADABLE = "(not readable with standard types)"


def messages(
    manifest: Manifest,
    record: Callable[[bytes], RecordLine],
    number_of: Callable[[bytes], int],
    value: Callable[[int], ValueLine],
) -> Iterator[str]:
    """The text of `derived/messages.txt`, piece by piece.

    Args:
        record: gives a record by its id.
        number_of: gives the number of a value's line by the value's id.
        value: gives the line of a number.
    """
    from ..serde import WfSerializer

    view = _View(value, Codec(WfSerializer(strict=True, placeholders=True), Memo()))
    yield _HEADER
    for branch in manifest.branches:
        current = ", the current one" if branch.number == manifest.current else ""
        yield f"== branch {_shown(branch.name)}{current}\n\n"
        if branch.head is None:
            yield "(it has no checkpoint)\n\n"
            continue
        line = record(branch.head)
        head = read_record(line.kind, line.body)
        assert isinstance(head, CheckpointRecord)
        for channel in head.channels:
            if channel.value is not None and channel.value.form == "list":
                yield from view.channel(channel.name, number_of(channel.value.id))


class _View:
    def __init__(self, value: Callable[[int], ValueLine], codec: Codec) -> None:
        self._value = value
        self._codec = codec

    def channel(self, name: str, number: int) -> Iterator[str]:
        """The messages of a channel; nothing if its first item is none."""
        found = self._items(number)
        first = next(found, None)
        if first is None or not _may_be_message(first):
            return
        yield f"-- channel {_shown(name)}\n\n"
        at = 0
        while first is not None:
            at += 1
            yield f"[{at}] {_said(first)}\n\n"
            first = next(found, None)

    def _items(self, number: int) -> Iterator[Any]:
        """The values of a list's items; a mask line, or a text that says why, in the place of what is not readable."""
        line = self._value(number)
        assert isinstance(line, ListLine)
        for flagged in self._leaves(line.top) if line.top else ():
            item = self._value(flagged >> FLAG_BITS)
            if isinstance(item, MaskLine):
                yield item
            elif isinstance(item, ObjectLine) and flagged & FLAGS in (ELEMENT, PACK):
                yield from self._values(item, is_pack=flagged & FLAGS == PACK)
            else:
                return  # a piece of a long list of scalars

    def _leaves(self, number: int) -> Iterator[int]:
        line = self._value(number)
        if isinstance(line, LeafLine):
            yield from line.items
        elif isinstance(line, NodeLine):
            for part in line.parts:
                yield from self._leaves(part)

    def _values(self, item: ObjectLine, *, is_pack: bool) -> list[Any]:
        try:
            leaves = unpack(item.data) if is_pack else [Leaf(item.tag, item.data, b"")]
        except DecodeError:
            return [_UNREADABLE]
        return [*map(self._decoded, leaves)]

    def _decoded(self, leaf: Leaf) -> Any:
        if leaf.tag not in _READABLE:
            return f"(written by another serializer, with the tag {_shown(leaf.tag)})"
        try:
            return self._codec.decode(leaf)
        except DecodeError:
            return _UNREADABLE


def _may_be_message(item: Any) -> bool:
    if isinstance(item, MaskLine):
        return b"langchain_core.messages" in item.mask
    return is_message(item)


def _said(item: Any) -> str:
    if isinstance(item, MaskLine):
        return "(redacted)" if item.withheld is None else f"(withheld, {item.withheld} bytes)"
    if not is_message(item):
        return _cut(item if isinstance(item, str) else _other(item))
    parts = [_heading(item), *map(_part, item.content if isinstance(item.content, list) else [item.content])]
    parts += [
        f"-> {_shown(call.get('name'))}({_cut(_other(call.get('args')))}) id {_shown(call.get('id'))}"
        for call in tool_calls(item)
    ]
    return "\n".join(part for part in parts if part)


def _heading(message: Any) -> str:
    known = (("name", message.name), ("id", message.id), ("answers", getattr(message, "tool_call_id", None)))
    said = ", ".join(f"{what} {_shown(value)}" for what, value in known if value)
    return f"{message.type}{f' ({said})' if said else ''}:"


def _part(part: Any) -> str:
    if isinstance(part, str):
        return _shown(part)
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return _shown(part["text"])
    return _cut(_other(part))


def _other(value: Any) -> str:
    """What is no text: as JSON, what is none of JSON's by the name of its class."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=lambda other: f"({type(other).__name__})")
    except (TypeError, ValueError):
        return f"({type(value).__name__})"


def _cut(said: str) -> str:
    said = _shown(said)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}… ({len(said)} characters)"


def _shown(said: object) -> str:
    """A text without what would steer a terminal or turn the direction of writing, and without surrogates."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", str(said))
