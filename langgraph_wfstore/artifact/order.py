"""The order of the lines of values: each value that a record names stands behind what it consists of, and nothing else.

See FORMAT.md, section 15. Only what is new since the value before it is kept, so that a long list costs what it adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import ArtifactError
from ..values.lists import FLAG_BITS
from .lines import LeafLine, ListLine, MapLine, NodeLine, ValueLine


class Order:
    """Takes the lines of values in their order.

    Attributes:
        known: the ids of the values that have a line.
    """

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self._taken = 0
        self._block: dict[int, ValueLine] = {}  # the lines since the last value that a record names

    def take(self, line: ValueLine) -> None:
        """Take a line."""
        self._taken += 1
        self._block[self._taken] = line
        if not isinstance(line, LeafLine | NodeLine):
            self.known.add(line.id)

    def end(self, name: bytes, where: str) -> None:
        """The lines since the last call are those of one value, which a record names.

        Args:
            where: what to name in an error.

        Raises:
            ArtifactError: they are others, or in another order.
        """
        block, self._block = self._block, {}
        last = block[self._taken]
        if isinstance(last, LeafLine | NodeLine) or last.id != name or [*_lines(self._taken, block)] != [*block]:
            raise ArtifactError(
                f"{where} is not where it has to be, or not all that is before it is part of it. Nothing was imported"
            )


def _lines(number: int, block: dict[int, ValueLine]) -> Iterator[int]:
    """The lines of a block that a value needs, itself last, each once, in the order in which they must stand."""
    line = block[number]
    seen = {number}
    if isinstance(line, MapLine):
        yield from _new([line.shell], block, seen)
        for each in _new((part for _, part in line.lists), block, seen):
            yield from _below_list(block[each], block, seen)
            yield each
    else:
        yield from _below_list(line, block, seen)
    yield number


def _below_list(line: ValueLine, block: dict[int, ValueLine], seen: set[int]) -> Iterator[int]:
    """What a list needs and is not seen yet: its objects, its leaves, and its nodes, level by level."""
    if not isinstance(line, ListLine):
        return
    levels = [[*_new([line.top], block, seen)]]
    while levels[-1]:
        found = (part for each in levels[-1] if isinstance(node := block[each], NodeLine) for part in node.parts)
        levels.append([*_new(found, block, seen)])
    for level in reversed(levels):
        for each in level:
            if isinstance(leaf := block[each], LeafLine):
                yield from _new((item >> FLAG_BITS for item in leaf.items), block, seen)
    for level in reversed(levels):
        yield from level


def _new(numbers: Iterable[int], block: dict[int, ValueLine], seen: set[int]) -> Iterator[int]:
    """Which of these are lines of the block that are not seen yet; they are now."""
    for each in numbers:
        if each in block and each not in seen:
            seen.add(each)
            yield each
