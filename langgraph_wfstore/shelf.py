"""The stored objects that a process holds, with the templates that decoded elements are copied from."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from .elements import Leaf, Template


class Shelf:
    """A bounded cache of stored objects by id: bytes, and a template where there is one.

    Args:
        capacity: how many bytes of serialized objects to keep.
    """

    def __init__(self, capacity: int = 64 << 20) -> None:
        self._capacity = capacity
        self._held = 0
        self._leaves: OrderedDict[bytes, Leaf] = OrderedDict()
        self.has = self._leaves.__contains__
        self.templates: dict[bytes, Template] = {}
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
            self._held += size
            while self._held > self._capacity and len(self._leaves) > 1:
                old, gone = self._leaves.popitem(last=False)
                self._held -= len(gone.data) + 200
                self.templates.pop(old, None)

    def unlock(self) -> None:
        """A lock that nobody holds, for a forked child."""
        self._lock = Lock()

    def clear(self) -> None:
        """Forget everything: objects were deleted."""
        with self._lock:
            self._leaves.clear()
            self.templates.clear()
            self._held = 0
