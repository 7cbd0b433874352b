"""The object part of verify: every byte of a lineage hashes to its id, every list is what it says, none is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..backends.base import KEPT, LIST, MAP, OBJECT, REDACTED, SKELETON, Backend, ObjectRow, Tail
from ..canonical import hex_id
from ..errors import WfStoreError
from ..format import OF_OBJECT, refs_of
from ..records import CheckpointRecord
from ..retention.statement import Part
from ..threads.view import Made
from ..values.lists import apply_splice, base_of, list_id, unpack_numbers
from ..values.masks import read_mask
from ..values.objects import map_id, nonce_for
from ..values.reading import checked_leaf, map_numbers, of_form

_BROKEN = (WfStoreError, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)
_UNREAD = 10_000
Add = Callable[[str, str], None]


def check_objects(backend: Backend, tail: Tail, made: Sequence[Made], add: Add) -> set[Part]:
    """Check a thread's lineage: all its objects, and all that its records name.

    Args:
        made: the thread's records.
        add: takes a place and what is wrong there.

    Returns:
        the parts of a removal's digest for the redacted objects that the records reach.
    """
    lineage = tail.row.lineage or 0
    parts = _Parts(add)
    for row in _all(backend, lineage, tail.objects, add):
        if row.number <= tail.objects:  # what was added since the thread was looked at is left to the next verify
            parts.take(row, tail.row.secret)
    parts.check_lists()
    rows = parts.rows
    wanted = _named(made, rows, add)
    for other in (t for t in backend.kin(lineage) if t.number != tail.row.number):
        wanted |= set(_numbers(backend, other.number or 0))
    for number in sorted(set(rows) - parts.reach(wanted)):
        add(f"object {number}", "no record names it: it was added, or what named it was dropped")
    own = {n for row, _ in made if row.state != SKELETON for n in unpack_numbers(row.refs)}
    found = [rows[n] for n in parts.reach(own, bases=False) if rows[n].form == REDACTED]
    return {(row.id, OF_OBJECT, REDACTED, row.data) for row in found}


def _all(backend: Backend, lineage: int, last: int, add: Add) -> Iterator[ObjectRow]:
    """Every object that can be read, by number."""
    after = 0
    try:
        for row in backend.all_objects(lineage):
            yield row
            after = row.number
    except _BROKEN:
        yield from _one_by_one(backend, lineage, after, last, add)


def _one_by_one(backend: Backend, lineage: int, after: int, last: int, add: Add) -> Iterator[ObjectRow]:
    unread = 0
    for number in range(after + 1, last + 1):
        try:
            found = backend.numbered(lineage, [number])
            unread = 0 if found else unread + 1
            yield from found
        except _BROKEN as error:
            unread += 1
            add(f"object {number}", f"cannot be read ({error})")
        if unread > _UNREAD:  # a damaged number of the last object may be billions away
            add(f"object {number + 1}", f"not looked for, nor those behind it, up to {last}")
            return


def _named(made: Sequence[Made], rows: dict[int, ObjectRow], add: Add) -> set[int]:
    """The numbers of what the thread's records name; of kept records all of it must be there."""
    wanted: set[int] = set()
    for row, record in made:
        if record is None:
            continue
        refs, numbers = refs_of(record), unpack_numbers(row.refs)
        if len(refs) != len(numbers):
            add(f"record {row.seq}", f"it names {len(refs)} values and says of {len(numbers)} where they are")
        for ref, number in zip(refs, numbers, strict=False):
            wanted |= {number} if number else set()
            found = rows.get(number)
            if found is None:
                if number or row.state == KEPT:
                    add(f"record {row.seq}", f"its value {hex_id(ref.id)}, object {number}, is missing")
            elif found.id != ref.id or not of_form(found, ref):
                add(f"record {row.seq}", f"object {number} is not its value {hex_id(ref.id)}")
            elif isinstance(record, CheckpointRecord) and ref is record.metadata and _lacks_counters(found, rows):
                add(f"record {row.seq}", "what stands in the place of its redacted metadata has no counters")
    return wanted


def _lacks_counters(found: ObjectRow, rows: dict[int, ObjectRow]) -> bool:
    """Whether these metadata were redacted, and nothing says any more what their delta channels are."""
    shell = rows.get(map_numbers(found.data)[0]) if found.form == MAP else found
    return shell is not None and shell.form == REDACTED and "counters" not in read_mask(shell.data)


def _numbers(backend: Backend, thread: int) -> Iterator[int]:
    after = 0
    while page := backend.records(thread, after, 1000):
        for row in page:
            yield from unpack_numbers(row.refs)
        after = page[-1].seq


class _Parts:
    """The objects of a lineage by number, with what lists and maps are made of; not the bytes of their content.

    Attributes:
        rows: the objects; of those that hold content without it.
    """

    def __init__(self, add: Add) -> None:
        self.rows: dict[int, ObjectRow] = {}
        self._add = add
        self._items: dict[int, list[int]] = {}

    def take(self, row: ObjectRow, secret: bytes) -> None:
        """Recompute the id of an object; lists and maps are checked when all objects are known."""
        where = f"object {row.number}"
        self.rows[row.number] = row._replace(data=b"") if row.form == OBJECT else row
        try:
            if row.form == OBJECT:
                self._check_bytes(row, secret)
            elif row.form == REDACTED:
                read_mask(row.data)
            elif row.form not in (LIST, MAP):
                self._add(where, f"unknown form {row.form!r}")
            if row.form != OBJECT and (row.tag != "" or row.nonce is not None):
                self._add(where, "a list, map or redacted object has a type tag or a nonce")
        except _BROKEN as error:
            self._add(where, f"cannot be read ({type(error).__name__}: {error})")

    def check_lists(self) -> None:
        """Recompute the ids of lists and maps; bases of lists have smaller numbers, so they are checked before."""
        for number, row in sorted(self.rows.items()):
            try:
                if row.form == LIST:
                    self._check_list(row)
                elif row.form == MAP:
                    self._check_map(row)
            except _BROKEN as error:
                self._add(f"object {number}", f"cannot be read ({type(error).__name__}: {error})")

    def _check_bytes(self, row: ObjectRow, secret: bytes) -> None:
        leaf = checked_leaf(row, secret)
        if row.nonce is not None and row.nonce == nonce_for(secret, leaf.key):
            self._add(f"object {row.number}", "it has a nonce of its own where the lineage's secret gives it")

    def _check_list(self, row: ObjectRow) -> None:
        base = base_of(row.data)
        if base and base not in self._items:
            raise ValueError(f"it is based on list {base}, which is missing or damaged")
        items = self._items[row.number] = apply_splice(row.data, self._items[base] if base else [])
        if list_id([bytes((n & 3,)) + self.rows[n >> 2].id for n in items]) != row.id:
            self._add(f"object {row.number}", "the list does not match its id")
        for number in dict.fromkeys(n >> 2 for n in items):
            self._check_is_object(row.number, "item", number)

    def _check_map(self, row: ObjectRow) -> None:
        shell, holes = map_numbers(row.data)
        if map_id(self.rows[shell].id, [(at, self.rows[n].id) for at, n in holes]) != row.id:
            self._add(f"object {row.number}", "the dict does not match its id")
        self._check_is_object(row.number, "shell", shell)
        for number in dict.fromkeys(n for _, n in holes):
            if self.rows[number].form != LIST:
                self._add(f"object {row.number}", f"its part {number} is no list")

    def _check_is_object(self, whole: int, what: str, number: int) -> None:
        if self.rows[number].form in (LIST, MAP):
            self._add(f"object {whole}", f"its {what} {number} is a list or a dict, not an object")

    def reach(self, wanted: set[int], *, bases: bool = True) -> set[int]:
        """The numbers of what these need; without `bases` of what they consist of."""
        todo = list(wanted)
        reached: set[int] = set()
        while todo:
            number = todo.pop()
            if number in reached or number not in self.rows:
                continue
            reached.add(number)
            row = self.rows[number]
            if row.form == LIST:
                todo += [n >> 2 for n in self._items.get(number, [])]
                todo += [base_of(row.data)] if bases and base_of(row.data) else []
            elif row.form == MAP:
                shell, holes = map_numbers(row.data)
                todo += [shell, *(n for _, n in holes)]
        return reached
