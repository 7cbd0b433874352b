"""The Merkle tree over the records of a thread (RFC 9162, section 2.1): its root, and proofs that a record is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


class Tree:
    """Takes record ids one after the other; in memory are only the roots of complete sub-trees.

    Attributes:
        size: how many entries were taken.
    """

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []  # (number of entries, root), each larger than the next

    def add(self, entry: bytes) -> None:
        """Take the next entry."""
        self.size += 1
        size, root = 1, leaf_hash(entry)
        while self._roots and self._roots[-1][0] == size:
            root = node_hash(self._roots.pop()[1], root)
            size *= 2
        self._roots.append((size, root))

    @property
    def root(self) -> bytes:
        """The root over what was taken up to now."""
        if not self._roots:
            return hashlib.sha256().digest()
        root = self._roots[-1][1]
        for _, left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def root_of(entries: Sequence[bytes]) -> bytes:
    """The root over these entries."""
    tree = Tree()
    for entry in entries:
        tree.add(entry)
    return tree.root


def path_of(entries: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion path of an entry, from its leaf to the root (RFC 9162, section 2.1.3.1).

    Args:
        index: which entry, from 0.
    """
    path: list[bytes] = []
    low, high = 0, len(entries)
    if not low <= index < high:
        raise IndexError(f"there is no entry {index} among {high}")
    while high - low > 1:
        cut = low + (1 << (high - low - 1).bit_length() - 1)
        if index < cut:
            path.append(root_of(entries[cut:high]))
            high = cut
        else:
            path.append(root_of(entries[low:cut]))
            low = cut
    return path[::-1]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two sub-trees."""
    return hashlib.sha256(b"\1" + left + right).digest()
