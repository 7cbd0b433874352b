"""Content: every object of a lineage in memory, with what lists and maps are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

from ..backends.base import LIST, MAP, REDACTED, Backend, ObjectRow
from .lists import FLAG_BITS, apply_splice, base_of
from .reading import map_numbers


class Content:
    """The objects of a lineage.

    Args:
        rows: all of them, by number.
    """

    def __init__(self, rows: dict[int, ObjectRow]) -> None:
        self.rows = rows

    @classmethod
    def of(cls, backend: Backend, lineage: int) -> Content:
        """All objects of a lineage."""
        return cls({row.number: row for row in backend.all_objects(lineage)})

    @cached_property
    def items(self) -> dict[int, list[int]]:
        """The flagged numbers of every list; bases have smaller numbers than the lists that copy from them."""
        items: dict[int, list[int]] = {}
        for number in sorted(self.rows):
            if self.rows[number].form == LIST:
                data = self.rows[number].data
                items[number] = apply_splice(data, items[base_of(data)] if base_of(data) else [])
        return items

    def parts(self, number: int) -> list[int]:
        """What a list or a map consists of; nothing of an object."""
        row = self.rows[number]
        if row.form == LIST:
            return [n >> FLAG_BITS for n in self.items[number]]
        if row.form == MAP:
            shell, holes = map_numbers(row.data)
            return [shell, *(n for _, n in holes)]
        return []

    def reached(self, wanted: Iterable[int]) -> set[int]:
        """These objects, as far as they are there, with all that they consist of."""
        todo = [number for number in wanted if number in self.rows]
        found: set[int] = set()
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo += self.parts(number)
        return found

    def leaves(self, wanted: Iterable[int]) -> set[int]:
        """Of what `reached` gives, the objects that hold bytes of values, redacted ones not counted."""
        return {n for n in self.reached(wanted) if self.rows[n].form not in (LIST, MAP, REDACTED)}

    @cached_property
    def redacted(self) -> frozenset[int]:
        """The numbers of the redacted objects."""
        return frozenset(number for number, row in self.rows.items() if row.form == REDACTED)

    def without(self, numbers: Collection[int]) -> Content:
        """What is left when these are dropped."""
        left = Content({number: row for number, row in self.rows.items() if number not in numbers})
        left.items = {number: items for number, items in self.items.items() if number not in numbers}
        return left
