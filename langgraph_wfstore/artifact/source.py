"""A stored thread as the lines of an artifact, each value once, in the order in which the records name them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from ..backends.base import CHECKPOINT, HIDDEN, LIST, MAP, REDACTED, Backend, ObjectRow, RecordRow, Tail
from ..canonical import digest, hex_id
from ..errors import IntegrityError
from ..format import refs_of
from ..threads.view import KINDS, Made, read_rows
from ..values.lists import FLAG_BITS, FLAGS, apply_splice, base_of, common_prefix, groups, unpack_numbers
from ..values.objects import map_id, nonce_for
from ..values.reading import checked_leaf, map_numbers, missing_number
from .lines import LeafLine, Line, ListLine, MapLine, MaskLine, NodeLine, ObjectLine, RecordLine, ValueLine

_RECORDS = 64  # read together with what they name
_PAGE = 1000  # read of records alone
_OBJECTS = 500  # asked for in one statement
_ITEMS_HELD = 1_000_000
_ID = 32


class _Grouped(NamedTuple):
    """A list that was written.

    Attributes:
        items: flagged object numbers.
        lines: flagged numbers of the items' lines.
        ends: where each leaf ends; `leaves` are their lines.
    """

    items: tuple[int, ...]
    lines: tuple[int, ...]
    ends: list[int]
    leaves: list[int]


_NO_LIST = _Grouped((), (), [], [])
_Held = TypeVar("_Held")


class _Latest(Generic[_Held]):
    """What was put last, by number, as far as it has not too many items in all."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, tuple[int, _Held]] = OrderedDict()
        self._items = 0

    def get(self, number: int) -> _Held | None:
        found = self._held.get(number)
        return None if found is None else found[1]

    def put(self, number: int, size: int, what: _Held) -> None:
        self._items += size - self._held.pop(number, (0,))[0]
        self._held[number] = (size, what)
        while self._items > _ITEMS_HELD and len(self._held) > 1:
            self._items -= self._held.popitem(last=False)[1][0]


class Source:
    """The lines of a thread, up to where it stood.

    Args:
        backend: the engine it is in.
        tail: where it stands.
        withheld: masks of objects whose content is left out, by object number.
    """

    def __init__(self, backend: Backend, tail: Tail, withheld: Mapping[int, bytes] | None = None) -> None:
        self.tail = tail
        self._backend = backend
        self._lineage = tail.row.lineage or 0
        self._withheld = withheld or {}
        self._line_of: dict[int, int] = {}  # by object number
        self._by_id: dict[bytes, int] = {}
        self._parts: dict[bytes, int] = {}  # lines of leaves and nodes, by digest
        self._ids = bytearray(_ID)  # of each line; a leaf's or node's digest
        self._rows: dict[int, ObjectRow] = {}
        self._items_of: _Latest[tuple[int, ...]] = _Latest()
        self._grouped: _Latest[_Grouped] = _Latest()  # by the list's first item
        self._out: list[ValueLine] = []

    def lines(self) -> Iterator[Line]:
        """Every record, each behind the lines of what it names that had none yet.

        Raises:
            IntegrityError: what is stored is damaged, or was removed meanwhile.
        """
        for page in pages(self._backend, self.tail, self.tail.last, _RECORDS):
            yield from self.lines_of(page)

    def lines_of(self, rows: Sequence[RecordRow]) -> Iterator[Line]:
        """These records, each behind the lines of what it names that had none yet."""
        made = read_rows(rows)
        self._fetch(made)
        for row, record in made:
            for number in unpack_numbers(row.refs):
                if number:
                    self._emit(number)
            yield from self._out
            self._out.clear()
            yield self._record(row, [] if record is None else [ref.id for ref in refs_of(record)])
        self._rows.clear()

    def _record(self, row: RecordRow, named: list[bytes]) -> RecordLine:
        missing: list[bytes] = []
        if row.state == HIDDEN:
            missing = [name for name, number in zip(named, unpack_numbers(row.refs), strict=True) if not number]
            missing = [name for name in dict.fromkeys(missing) if name not in self._by_id]
        for name in set(named).difference(missing):
            if name not in self._by_id:
                raise IntegrityError(
                    f"record {row.seq} names the value {hex_id(name)}, which is not where it says; run thread.verify()"
                )
        position = row.position if row.kind == CHECKPOINT else None
        return RecordLine(row.id, KINDS[row.kind], row.state, row.body, position, row.seal, tuple(missing))

    # ------------------------------------------------------------------ reading

    def _fetch(self, made: Sequence[Made]) -> None:
        """Read what these records name and what that consists of."""
        wanted = {number for row, _ in made for number in unpack_numbers(row.refs) if number}
        while wanted := {number for number in wanted if number not in self._line_of and number not in self._rows}:
            found = self._numbered(wanted)
            self._rows.update({row.number: row for row in found})
            wanted = {part for row in found for part in self._parts_of(row)}

    def _numbered(self, numbers: set[int]) -> list[ObjectRow]:
        ordered = sorted(numbers)
        found: list[ObjectRow] = []
        for start in range(0, len(ordered), _OBJECTS):
            found += self._backend.numbered(self._lineage, ordered[start : start + _OBJECTS])
        if len(found) != len(numbers):
            raise missing_number(min(numbers - {row.number for row in found}))
        return found

    def _parts_of(self, row: ObjectRow) -> Iterator[int]:
        if row.form == LIST:
            yield from (number >> FLAG_BITS for number in self._items(row))
        elif row.form == MAP:
            shell, lists = map_numbers(row.data)
            yield shell
            yield from (number for _, number in lists)

    def _items(self, row: ObjectRow) -> tuple[int, ...]:
        """The flagged numbers of a list's items; the lists that it is based on are read as far as they are not held."""
        chain: list[ObjectRow] = []
        items: tuple[int, ...] | None = ()
        number: int | None = row.number
        while number and (items := self._items_of.get(number)) is None:
            chain.append(row if number == row.number else self._rows.get(number) or self._numbered({number})[0])
            number = base_of(chain[-1].data)
        found = items or ()
        for each in reversed(chain):
            found = tuple(apply_splice(each.data, found))
            self._items_of.put(each.number, len(found), found)
        return found

    # ------------------------------------------------------------------ writing

    def _emit(self, number: int) -> int:
        """The number of the line of an object, list or map, which gets one behind those of its parts."""
        line = self._line_of.get(number)
        if line is not None:
            return line
        row = self._rows[number]
        line = self._by_id.get(row.id)
        if line is None:
            if row.form == LIST:
                new: ValueLine = self._list(row)
            elif row.form == MAP:
                new = self._map(row)
            else:
                new = self._object(row)
            line = self._by_id[row.id] = self._add(new, row.id)
        self._line_of[number] = line
        return line

    def _add(self, line: ValueLine, name: bytes) -> int:
        self._out.append(line)
        self._ids += name
        return len(self._ids) // _ID - 1

    def _id(self, line: int) -> bytes:
        return bytes(self._ids[line * _ID : line * _ID + _ID])

    def _object(self, row: ObjectRow) -> ObjectLine | MaskLine:
        if row.form == REDACTED:
            return MaskLine(row.id, row.data)
        leaf = checked_leaf(row, self.tail.row.secret)
        if row.number in self._withheld:
            return MaskLine(row.id, self._withheld[row.number], len(row.data))
        nonce = nonce_for(self.tail.row.secret, leaf.key) if row.nonce is None else row.nonce
        return ObjectLine(row.id, row.tag, nonce, row.data)

    def _map(self, row: ObjectRow) -> MapLine:
        shell, lists = map_numbers(row.data)
        line = MapLine(row.id, self._emit(shell), tuple([(at, self._emit(number)) for at, number in lists]))
        if map_id(self._id(line.shell), [(at, self._id(number)) for at, number in line.lists]) != row.id:
            raise _damaged(row)
        return line

    def _list(self, row: ObjectRow) -> ListLine:
        items = self._items(row)
        level = self._leaves(items) if items else []
        while len(level) > 1:
            level = self._nodes(level)
        top = level[0] if level else 0
        root = self._id(top) if top else b""
        if digest("list", root, len(items).to_bytes(8, "big")) != row.id:
            raise _damaged(row)
        return ListLine(row.id, top, len(items))

    def _leaves(self, items: tuple[int, ...]) -> list[int]:
        """The numbers of the lines of a list's leaves; what the last list that began so has in common is taken over."""
        known = self._grouped.get(items[0]) or _NO_LIST
        same = common_prefix(known.items, items)
        new = [self._emit(n >> FLAG_BITS) << FLAG_BITS | n & FLAGS for n in items[same:]]
        lines = (*known.lines[:same], *new)
        count = sum(1 for end in known.ends[:-1] if end <= same)  # how the last leaf ends depends on what follows
        ends, leaves = known.ends[:count], known.leaves[:count]
        start = ends[-1] if ends else 0
        names = [bytes((n & FLAGS,)) + self._id(n >> FLAG_BITS) for n in lines[start:]]
        for group in groups(names):
            end = start + len(group)
            leaves.append(self._part(LeafLine(lines[start:end]), digest("list-leaf", b"".join(group))))
            ends.append(end)
            start = end
        self._grouped.put(items[0], len(items), _Grouped(items, lines, ends, leaves))
        return leaves

    def _nodes(self, level: list[int]) -> list[int]:
        found = groups([self._id(number) for number in level])
        ends = [0]
        for group in found:
            ends.append(ends[-1] + len(group))
        return [
            self._part(NodeLine(tuple(level[start:end])), digest("list-node", b"".join(group)))
            for group, (start, end) in zip(found, pairwise(ends), strict=True)
        ]

    def _part(self, line: LeafLine | NodeLine, name: bytes) -> int:
        number = self._parts.get(name)
        if number is None:
            number = self._parts[name] = self._add(line, name)
        return number


def pages(backend: Backend, tail: Tail, last: int, size: int = _PAGE) -> Iterator[list[RecordRow]]:
    """The first records of a thread, so many at a time.

    Args:
        last: the number of the last one.

    Raises:
        IntegrityError: one of them is missing.
    """
    after = 0
    while after < last:
        page = backend.records(tail.row.number or 0, after, min(size, last - after))
        if not page or page[-1].seq - after != len(page):
            raise IntegrityError(f"records behind number {after} are missing, up to {last}; run thread.verify()")
        yield page
        after = page[-1].seq


def _damaged(row: ObjectRow) -> IntegrityError:
    return IntegrityError(
        f"object {row.number} is not what its id {hex_id(row.id)} says; run thread.verify() to see what is affected, "
        "and restore a backup"
    )
