"""What was read of one object need not be read again: the states of a chat hold the same messages over and over.

All bytes of a state are still fetched and gone through. Only that an object of the same bytes is built anew is left
out. So one object may stand in many states; a migration changes none of them.
"""

from __future__ import annotations

import copy
from threading import Lock
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ..serde.reader import Reader, Readers
from ..serde.shapes import Policy
from ..values.blocks import Block
from ..values.elements import Known
from ..values.memo import Memo

_SMALL = 64  # bytes; building less costs no more than looking for it
_HELD = 8 << 20  # bytes of serialized objects
_LARGE = _HELD >> 4
_MODELS = 5_000  # of each half

Name = tuple[int, bytes]
"""The type code of an object within msgpack, and its bytes."""


class Remembered:
    """The objects that serialized ones were read as; the older half goes when there are too many. For any threads."""

    def __init__(self) -> None:
        self._objects: dict[Name, Any] = {}
        self._before: dict[Name, Any] = {}
        self._held = 0
        self._lock = Lock()

    def get(self, name: Name) -> Any:
        """The object, or None."""
        found = self._objects.get(name)
        return self._before.get(name) if found is None else found

    def put(self, name: Name, found: Any) -> None:
        """Remember an object, if it is worth it."""
        if not _SMALL <= len(name[1]) <= _LARGE:
            return
        with self._lock:
            self._held += len(name[1])
            if self._held > _HELD // 2:
                self._before, self._objects, self._held = self._objects, {}, len(name[1])
            self._objects[name] = found


class RememberingReader(Reader):
    """Reads what LangGraph wrote; an object that stands in no other one is built once.

    Args:
        memory: what was read before, under the same policy.
    """

    __slots__ = ("_memory",)

    def __init__(self, memory: Remembered, policy: Policy, readers: Readers, options: int = 0) -> None:
        super().__init__(policy, readers, options)
        self._memory = memory

    def ext(self, code: int, data: bytes) -> Any:
        """See `Reader.ext`."""
        if self.depth:  # how deep it may be depends on what it stands in
            return super().ext(code, data)
        found = self._memory.get((code, data))
        if found is None:
            found = super().ext(code, data)
            self._memory.put((code, data), found)
        return found


class OneOfEach(Memo):
    """Gives the same model again in the place of a copy: for what only reads."""

    def clear(self) -> None:
        """See `Memo.clear`."""
        super().clear()
        self._made: dict[int, tuple[Known, Any]] = {}
        self._made_before: dict[int, tuple[Known, Any]] = {}

    def copy(self, known: Known) -> Any:
        """See `Memo.copy`."""
        made = self._made.get(id(known)) or self._made_before.get(id(known))
        if made is None:
            if len(self._made) >= _MODELS:
                self._made_before, self._made = self._made, {}
            made = self._made[id(known)] = (known, known.shape.copy())
        return made[1]

    def copies(self, block: Block) -> list[Any]:
        """See `Memo.copies`."""
        return [self.copy(known) for known in block.members]


def remembering_saver(saver: Any) -> Any:
    """A saver on the same storage whose reading remembers; the same one if it or its serializer is not LangGraph's."""
    serde = saver.serde
    inner = getattr(serde, "_unpack_ext_hook", None)
    theirs = type(saver).__module__.startswith("langgraph.checkpoint.") and type(serde) is JsonPlusSerializer
    if not theirs or inner is None or getattr(serde, "_custom_unpack_ext_hook", False):
        return saver
    memory = Remembered()

    def read(code: int, data: bytes) -> Any:
        found = memory.get((code, data))
        if found is None:
            found = inner(code, data)
            memory.put((code, data), found)
        return found

    clone = copy.copy(saver)
    clone.serde = copy.copy(serde)
    clone.serde._unpack_ext_hook = read
    return clone
