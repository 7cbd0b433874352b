"""The order of the lines of values: each value that a record names stands behind what it consists of, and nothing else.

See FORMAT.md, section 15. Only what is new since the value before it is kept, so that a long list costs what it adds.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    seen: set[int] = set()
    for each in _needed(number, block):
        if each in block and each not in seen:
            seen.add(each)
            yield each


def _needed(number: int, block: dict[int, ValueLine]) -> Iterator[int]:
    line = block[number]
    if isinstance(line, MapLine):
        yield line.shell
        for _, each in line.lists:
            if each in block and each != number:
                yield from _needed(each, block)
    elif isinstance(line, ListLine) and line.top:
        levels = [[line.top] if line.top in block else []]
        while levels[-1] and isinstance(block[levels[-1][0]], NodeLine):
            levels.append(_below(levels[-1], block))
        for leaf in levels[-1]:
            found = block[leaf]
            if isinstance(found, LeafLine):
                yield from (item >> FLAG_BITS for item in found.items)
        for level in reversed(levels):
            yield from level
    yield number


def _below(nodes: list[int], block: dict[int, ValueLine]) -> list[int]:
    """What nodes name, as far as it is new, each once."""
    found = (part for each in nodes if isinstance(node := block[each], NodeLine) for part in node.parts)
    return [part for part in dict.fromkeys(found) if part in block]
