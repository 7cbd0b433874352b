"""From the lines of values to the rows of objects, lists and maps: every id is recomputed before there is a row."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from typing import NoReturn

from ..backends.base import LIST, MAP, OBJECT, REDACTED, ObjectRow
from ..canonical import digest, hex_id
from ..errors import ArtifactError, IntegrityError
from ..format import OF_OBJECT
from ..retention.statement import Part
from ..values.lists import FLAG_BITS, FLAGS, StoredList, pack_numbers, splice_for
from ..values.objects import map_id, object_id
from .lines import LeafLine, ListLine, MapLine, MaskLine, NodeLine, ObjectLine, ValueLine
from .opening import Limits

_ID = 32
_DEEPEST = 64  # levels of a list's tree
_BASES_HELD = 400_000  # items of lists that later ones may be based on


class ValueRows:
    """Takes the lines of values in their order.

    Attributes:
        numbers: object numbers of what has an id, by id.
        rows: those that were made since they were taken away the last time; `size` is how many bytes they hold.
        masked: what a removal record states of the redacted and withheld objects.
        withheld: how many of them were withheld.
    """

    def __init__(self, limits: Limits) -> None:
        self.numbers: dict[bytes, int] = {}
        self.rows: list[ObjectRow] = []
        self.size = 0
        self.masked: set[Part] = set()
        self.withheld = 0
        self._limits = limits
        self._items_left = limits.items
        self._made = 0
        self._ids = bytearray(_ID)  # of each line; a leaf's or node's digest
        self._objects = array("Q", [0])  # the object number of each line; 0 for leaves and nodes
        self._lengths = array("Q", [0])  # the items below each leaf or node
        self._levels = bytearray(1)  # 1 for a leaf, more for nodes; 0 for what has an id
        self._leaves: dict[int, tuple[int, ...]] = {}  # flagged object numbers
        self._nodes: dict[int, tuple[int, ...]] = {}
        self._used = bytearray(1)
        self._trees: set[bytes] = set()  # digests of leaves and nodes
        self._bases: OrderedDict[int, StoredList] = OrderedDict()  # by the first item
        self._bases_size = 0
        self._lists: set[int] = set()  # lines
        self._maps: set[int] = set()  # lines
        self._where = ""

    def take(self, line: ValueLine, where: str) -> None:
        """Take a line.

        Args:
            where: what to name in an error.

        Raises:
            ArtifactError: it does not fit to those before it.
            IntegrityError: its id is not that of its content.
        """
        self._where = where
        self._levels.append(0)
        self._used.append(0)
        self._lengths.append(0)
        if isinstance(line, LeafLine):
            self._leaf(line)
        elif isinstance(line, NodeLine):
            self._node(line)
        elif isinstance(line, ListLine):
            self._list(line)
        elif isinstance(line, MapLine):
            self._map(line)
        elif isinstance(line, MaskLine):
            self.masked.add((line.id, OF_OBJECT, REDACTED, line.mask))
            self.withheld += line.withheld is not None
            self._row(line.id, REDACTED, "", None, line.mask)
        else:
            self._object(line)
        if not self._levels[-1]:
            self._used[-1] = 1

    def finish(self) -> None:
        """There are no more lines. ArtifactError if a part of a list belongs to no list."""
        unused = self._used.find(0, 1)
        if unused >= 0:
            raise ArtifactError(f"line {unused} of the objects is a part of no list; nothing was imported")

    # ------------------------------------------------------------------ lines

    def _object(self, line: ObjectLine) -> None:
        if any("\ud800" <= c <= "\udfff" for c in line.tag):
            self._refuse("its tag holds a surrogate, which no serializer's does")
        if object_id(line.tag, line.nonce, hashlib.sha256(line.data).digest()) != line.id:
            self._wrong(line.id)
        self._row(line.id, OBJECT, line.tag, line.nonce, line.data)

    def _leaf(self, line: LeafLine) -> None:
        parts, numbers = [], []
        for item in line.items:
            number = item >> FLAG_BITS
            if not 0 < number < len(self._ids) // _ID or not self._is_object(number):
                self._refuse(f"it names line {number}, which is no object before it")
            if item & FLAGS == FLAGS:
                self._refuse("an item has a flag that no item has")
            parts.append(bytes((item & FLAGS,)) + self._id(number))
            numbers.append(self._objects[number] << FLAG_BITS | item & FLAGS)
        self._leaves[len(self._objects)] = tuple(numbers)
        self._part(digest("list-leaf", b"".join(parts)), 1, len(numbers))

    def _node(self, line: NodeLine) -> None:
        levels = {self._levels[number] if 0 < number < len(self._objects) else 0 for number in line.parts}
        if len(levels) != 1 or 0 in levels or (level := levels.pop()) >= _DEEPEST:
            self._refuse("what it consists of are not leaves, or nodes of one level, before it")
        for number in line.parts:
            self._used[number] = 1
        length = sum(self._lengths[number] for number in line.parts)
        if length > self._limits.list_items:
            self._refuse(f"a list of more than {self._limits.list_items} items, the limit, would be made of it")
        self._nodes[len(self._objects)] = line.parts
        self._part(digest("list-node", b"".join(map(self._id, line.parts))), level + 1, length)

    def _part(self, name: bytes, level: int, length: int) -> None:
        if name in self._trees:
            self._refuse("this part of a list has a line before it")
        self._trees.add(name)
        self._levels[-1] = level
        self._lengths[-1] = length
        self._ids += name
        self._objects.append(0)

    def _list(self, line: ListLine) -> None:
        if line.top >= len(self._objects) or (line.top and not self._levels[line.top]):
            self._refuse(f"its tree begins at line {line.top}, which is no part of a list before it")
        if self._lengths[line.top] != line.length:
            self._refuse(f"it has {self._lengths[line.top]} items, and says {line.length}")
        self._items_left -= line.length
        if self._items_left < 0:
            self._refuse(f"its lists have more than {self._limits.items} items, the limit")
        root = self._id(line.top) if line.top else b""
        if digest("list", root, line.length.to_bytes(8, "big")) != line.id:
            self._wrong(line.id)
        self._used[line.top] = 1
        numbers: list[int] = []
        if line.top:
            self._collect(line.top, numbers)
        first = numbers[0] if numbers else 0
        data, base = splice_for(numbers, self._bases.get(first) or next(reversed(self._bases.values()), None))
        self._lists.add(len(self._objects))
        number = self._row(line.id, LIST, "", None, data)
        if numbers:
            depth = 0 if base is None else base.depth + 1
            self._hold(first, StoredList(number, (), tuple(numbers), depth, base))

    def _collect(self, number: int, into: list[int]) -> None:
        items = self._leaves.get(number)
        if items is not None:
            into += items
            return
        for part in self._nodes[number]:
            self._collect(part, into)

    def _hold(self, first: int, stored: StoredList) -> None:
        before = self._bases.pop(first, None)
        self._bases[first] = stored
        self._bases_size += len(stored.numbers) - (0 if before is None else len(before.numbers))
        while len(self._bases) > 1 and self._bases_size > _BASES_HELD:
            self._bases_size -= len(self._bases.popitem(last=False)[1].numbers)

    def _map(self, line: MapLine) -> None:
        last = len(self._objects)
        bad = line.shell >= last or not self._is_object(line.shell)
        if bad or not all(number in self._lists for _, number in line.lists):
            self._refuse("its shell is no object before it, or a list is none")
        if map_id(self._id(line.shell), [(at, self._id(number)) for at, number in line.lists]) != line.id:
            self._wrong(line.id)
        parts = [self._objects[line.shell]]
        for at, number in line.lists:
            parts += (at, self._objects[number])
        self._maps.add(last)
        self._row(line.id, MAP, "", None, pack_numbers(parts))

    def _is_object(self, line: int) -> bool:
        """Whether a line before this one is an object, redacted or not: no part of a list, no list and no map."""
        return not self._levels[line] and line not in self._lists and line not in self._maps

    def _row(self, name: bytes, form: int, tag: str, nonce: bytes | None, data: bytes) -> int:
        if name in self.numbers:
            self._refuse(f"the value {hex_id(name)} has a line before it")
        self._made += 1
        self.numbers[name] = self._made
        self._ids += name
        self._objects.append(self._made)
        self.rows.append(ObjectRow(self._made, name, form, tag, nonce, data))
        self.size += len(data) + 100
        return self._made

    def _id(self, line: int) -> bytes:
        return bytes(self._ids[line * _ID : line * _ID + _ID])

    def _refuse(self, what: str) -> NoReturn:
        raise ArtifactError(f"{self._where} does not fit to the lines before it: {what}. Nothing was imported")

    def _wrong(self, name: bytes) -> NoReturn:
        raise IntegrityError(
            f"{self._where} is not the value {hex_id(name)} that it says: its content was changed. Nothing was imported"
        )
