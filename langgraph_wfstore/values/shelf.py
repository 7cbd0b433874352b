"""The stored objects that a process holds, with the templates that decoded elements are copied from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from .blocks import SIZE, WORTH, Block
from .elements import Known, Leaf

_NONE: tuple[Sequence[bytes], None] = ((), None)


class Shelf:
    """A bounded cache of stored objects by id: bytes, and where there is one what its element looks like.

    Args:
        capacity: how many bytes of serialized objects to keep.
    """

    def __init__(self, capacity: int = 64 << 20) -> None:
        self._capacity = capacity
        self._held = 0
        self._leaves: OrderedDict[bytes, Leaf] = OrderedDict()
        self.has = self._leaves.__contains__
        self.templates: dict[bytes, Known] = {}
        self._blocks: dict[bytes, tuple[Sequence[bytes], Block | None]] = {}
        self._lock = Lock()

    def get(self, name: bytes) -> Leaf | None:
        """The object of that id, if it is held."""
        return self._leaves.get(name)

    def put(self, name: bytes, leaf: Leaf) -> None:
        """Hold an object; the oldest go when there are too many bytes."""
        size = len(leaf.data) + 200
        with self._lock:
            if name in self._leaves:
                return
            self._leaves[name] = leaf
            if leaf.shape is not None:
                self.templates[name] = Known(leaf.shape, leaf)
            self._held += size
            while self._held > self._capacity and len(self._leaves) > 1:
                old, gone = self._leaves.popitem(last=False)
                self._held -= len(gone.data) + 200
                self.templates.pop(old, None)
                self._blocks.pop(old, None)

    def block(self, names: Sequence[bytes], start: int) -> Block | None:
        """The elements of a list from `start` on, as many as have templates and go into a block; None if too few do.

        Blocks are found by their first element, so that a list whose beginning was cut off falls into step with those
        that are there.
        """
        held, block = self._blocks.get(names[start], _NONE)
        if block is not None:
            end = start + len(held)
            if (len(held) == SIZE or end == len(names)) and names[start:end] == held:
                return block
        elif names[start] not in self.templates:
            return None
        members: list[Known] = []
        for name in names[start : start + SIZE]:
            template = self.templates.get(name)
            if template is None or (len(members) >= WORTH and len(self._blocks.get(name, _NONE)[0]) == SIZE):
                break
            members.append(template)
        if len(members) < WORTH:
            return None
        block = Block(members)
        self._blocks[names[start]] = names[start : start + len(members)], block
        return block

    def unlock(self) -> None:
        """A lock that nobody holds, for a forked child."""
        self._lock = Lock()

    def clear(self) -> None:
        """Forget everything: objects were deleted."""
        with self._lock:
            self._leaves.clear()
            self.templates.clear()
            self._blocks.clear()
            self._held = 0
