"""What differs between two stored values: the elements of lists, the keys of dicts. What is equal is not decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..backends.base import ObjectRow, RecordRow, ThreadRow
from ..codec import CHUNK, PACK, filled, unpack
from ..errors import CheckpointNotFoundError, DecodeError, IntegrityError, ThreadNotFoundError, WfStoreError
from ..records import CheckpointRecord, Ref
from ..threads.lookup import load_needs
from ..threads.overtaken import changed_since
from ..threads.view import numbers_of
from ..values.elements import Leaf, Masked
from ..values.lists import FLAG_BITS, FLAGS, apply_splice, base_of, common_prefix
from ..values.reading import Loaded, Need, leaf_of, map_numbers, missing, missing_number
from .comparing import Edit, edits

if TYPE_CHECKING:
    from ..store import WfStore

_T = TypeVar("_T")
_READ_AT_ONCE = 1000  # objects


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that cannot be shown; `reason` says why."""

    reason: str

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


class Slot(NamedTuple):
    """A value that a checkpoint names."""

    row: RecordRow
    record: CheckpointRecord
    ref: Ref


Get = Callable[[], Any]


def nothing() -> Any:
    """The value of what is not there."""
    return None


@dataclass(frozen=True)
class _Change:
    """What differs, with its two values; each is decoded when it is asked for.

    Attributes:
        kind: "added", "removed" or "changed".
    """

    kind: str
    _old: Get = field(repr=False, compare=False, kw_only=True)
    _new: Get = field(repr=False, compare=False, kw_only=True)

    @cached_property
    def old(self) -> Any:
        """What it was, None if it was not there."""
        return self._old()

    @cached_property
    def new(self) -> Any:
        """What it is, None if it is gone."""
        return self._new()


@dataclass(frozen=True)
class ElementChange(_Change):
    """One element of a list that differs.

    Attributes:
        kind: "added", "removed", "changed" (a message of the same id says something else) or "moved".
        before, after: its place in the old and in the new list; None where it is not.
    """

    before: int | None
    after: int | None

    @property
    def id(self) -> str | None:
        """The id of a message."""
        return message_id(self.old if self.after is None else self.new)


@dataclass(frozen=True)
class KeyChange(_Change):
    """One key of a dict that differs; `kind` is "added", "removed" or "changed"."""

    key: Any


def message_id(value: Any) -> str | None:
    """The id of a message; None for anything else."""
    name = getattr(value, "id", None) if hasattr(value, "additional_kwargs") else None
    return name if type(name) is str else None


class _List(NamedTuple):
    """A list that is stored by element: per item its object number and flag."""

    numbers: tuple[int, ...]


class _Inner(NamedTuple):
    """A list inside a dict, stored by element."""

    ref: Ref
    number: int


class Values:
    """Reads the values of one thread.

    Args:
        store: the store.
        thread_id: which thread; it must be stored.
    """

    def __init__(self, store: WfStore, thread_id: str) -> None:
        self._store = store
        self._thread_id = thread_id
        self._codec = store.codec
        self._view = store.views.of(thread_id)
        self._rows: dict[int, ObjectRow] = {}
        self._secret = b""
        self._compared: list[RecordRow] = []

    def value(self, slot: Slot | None) -> Any:
        """The value; None if there is none, `Unreadable` if it cannot be decoded."""
        if slot is None:
            return None
        return self._readable(lambda: self._load(slot.ref, numbers_of(slot.row, slot.record)[slot.ref.id]))

    def metadata(self, slots: Sequence[Slot]) -> list[Any]:
        """Of the checkpoints that are compared; it is read first."""
        needs = [(slot.ref, numbers_of(slot.row, slot.record)[slot.ref.id]) for slot in slots]
        loaded = self._loaded(needs)
        self._compared = [slot.row for slot in slots]
        return [self._readable(partial(loaded.value, self._codec, ref)) for ref, _ in needs]

    # ------------------------------------------------------------------ lists

    def elements(self, old: Slot | None, new: Slot | None) -> tuple[ElementChange, ...] | None:
        """What differs between two lists, one of which may not be there; None if they are no lists."""
        try:
            before, after = self._sequence(old), self._sequence(new)
        except DecodeError:
            return None  # nothing can be said of its elements; the value itself says why
        if before is None or after is None:
            return None
        if isinstance(before, _List) and isinstance(after, _List):
            return self._between(before.numbers, after.numbers)
        return self._changes(self._leaves(before), self._leaves(after), 0)

    def _between(self, old: tuple[int, ...], new: tuple[int, ...]) -> tuple[ElementChange, ...]:
        """The same number is the same object: only what lies between equal ends is read."""
        head = common_prefix(old, new)
        tail = common_prefix(old[head:][::-1], new[head:][::-1])
        middle = old[head : len(old) - tail], new[head : len(new) - tail]
        packs = [number for number in old[:head] if number & FLAGS]
        self._fetch([number >> FLAG_BITS for number in (*packs, *middle[0], *middle[1])])
        offset = head - len(packs) + sum(len(unpack(self._leaf(number).data)) for number in packs)
        return self._changes(self._leaves(_List(middle[0])), self._leaves(_List(middle[1])), offset)

    def _sequence(self, slot: Slot | None) -> _List | list[Any] | None:
        if slot is None:
            return []
        if slot.ref.form == "list":
            numbers = self._numbers(slot.ref, numbers_of(slot.row, slot.record)[slot.ref.id])
            if not any(number & FLAGS == CHUNK for number in numbers):
                return _List(numbers)
        value = None if slot.ref.form == "map" else self._decoded(slot)
        return value if type(value) is list else None

    def _numbers(self, ref: Ref, number: int) -> tuple[int, ...]:
        """The items of a list, from its splices: no element is read."""
        with self._view.lock:
            held = self._view.lineage.list(ref.id)
        if held is not None:
            return held.numbers
        splices: list[bytes] = []
        while number:
            row = self._fetch([number])[number]
            if not splices and row.id != ref.id:
                raise missing(ref.id)
            splices.append(row.data)
            number = base_of(row.data)
        numbers: list[int] = []
        for data in reversed(splices):
            numbers = apply_splice(data, numbers)
        return tuple(numbers)

    def _leaves(self, items: _List | list[Any]) -> list[Leaf]:
        if isinstance(items, list):
            return [self._codec.element(value) for value in items]
        self._fetch([number >> FLAG_BITS for number in items.numbers])
        return [leaf for number in items.numbers for leaf in self._elements(number)]

    def _elements(self, number: int) -> Iterator[Leaf]:
        leaf = self._leaf(number)
        if number & FLAGS != PACK:
            yield leaf
            return
        if type(leaf) is Masked:
            shelf = self._store.views.shelf
            values = self._codec.decode_list((leaf.name,), (number,), lambda name, at: leaf, shelf)
            yield from map(self._codec.element, values)
            return
        for part in unpack(leaf.data):
            part.key = hashlib.sha256(part.data).digest()
            yield part

    def _changes(self, old: Sequence[Leaf], new: Sequence[Leaf], offset: int) -> tuple[ElementChange, ...]:
        found = edits(
            list(map(_mark, old)),
            list(map(_mark, new)),
            lambda at: message_id(self._element(old[at])),
            lambda at: message_id(self._element(new[at])),
        )
        return tuple([self._change(edit, old, new, offset) for edit in found])

    def _change(self, edit: Edit, old: Sequence[Leaf], new: Sequence[Leaf], offset: int) -> ElementChange:
        before, after = edit.before, edit.after
        return ElementChange(
            edit.kind,
            None if before is None else before + offset,
            None if after is None else after + offset,
            _old=nothing if before is None else lambda: self._element(old[before]),
            _new=nothing if after is None else lambda: self._element(new[after]),
        )

    def _element(self, leaf: Leaf) -> Any:
        return self._readable(lambda: self._codec.decode(leaf))

    # ------------------------------------------------------------------ dicts

    def keys(self, old: Slot | None, new: Slot | None) -> tuple[KeyChange, ...] | None:
        """What differs between two dicts, one of which may not be there; None if they are no dicts."""
        try:
            before, after = self._parts(old), self._parts(new)
        except DecodeError:
            return None  # as above
        if before is None or after is None:
            return None
        changes = []
        for key in dict.fromkeys([*before, *after]):
            if key in before and key in after and self._same(before[key], after[key]):
                continue
            kind = "added" if key not in before else "changed" if key in after else "removed"
            changes.append(KeyChange(kind, key, _old=self._part(before, key), _new=self._part(after, key)))
        return tuple(changes)

    def _parts(self, slot: Slot | None) -> Mapping[Any, Any] | None:
        """A dict, with what its lists are stored as in their places."""
        if slot is None:
            return {}
        if slot.ref.form != "map":
            value = self._decoded(slot) if slot.ref.form == "object" else None
            return value if type(value) is dict else None
        number = numbers_of(slot.row, slot.record)[slot.ref.id]
        row = self._fetch([number])[number]
        if row.id != slot.ref.id:
            raise missing(slot.ref.id)
        shell, holes = map_numbers(row.data)
        rows = self._fetch([shell, *(inner for _, inner in holes)])
        value = self._codec.decode(self._leaf(shell << FLAG_BITS))
        return filled(value, [(place, _Inner(Ref("list", rows[inner].id), inner)) for place, inner in holes])

    def _same(self, old: Any, new: Any) -> bool:
        if isinstance(old, _Inner) or isinstance(new, _Inner):
            return isinstance(old, _Inner) and isinstance(new, _Inner) and old.ref == new.ref
        first, second = self._codec.element(old), self._codec.element(new)
        return (first.tag, first.key) == (second.tag, second.key)

    def _part(self, parts: Mapping[Any, Any], key: Any) -> Get:
        if key not in parts:
            return nothing
        part = parts[key]
        if isinstance(part, _Inner):
            return lambda: self._readable(lambda: self._load(part.ref, part.number))
        return lambda: part

    # ------------------------------------------------------------------ the store

    def _decoded(self, slot: Slot) -> Any:
        return self._load(slot.ref, numbers_of(slot.row, slot.record)[slot.ref.id])

    def _load(self, ref: Ref, number: int) -> Any:
        return self._loaded([(ref, number)]).value(self._codec, ref)

    def _loaded(self, needs: Sequence[Need]) -> Loaded:
        with self._view.lock:
            self._refresh()
            try:
                return load_needs(self._view, self._store.backend, self._store.views.shelf, needs)
            except IntegrityError as error:
                raise self._not_there(error) from error

    def _refresh(self) -> ThreadRow:
        """Where the thread stands now; the view's lock is held."""
        self._store.views.refresh(self._view)
        if self._view.row is None or self._view.row.lineage is None:
            raise ThreadNotFoundError(
                f"thread {self._thread_id!r} was deleted since it was compared; what differs can no longer be read"
            )
        return self._view.row

    @staticmethod
    def _readable(read: Callable[[], _T]) -> _T | Unreadable:
        try:
            return read()
        except DecodeError as error:
            return Unreadable(str(error))

    def _fetch(self, numbers: Sequence[int]) -> dict[int, ObjectRow]:
        wanted = sorted(set(numbers) - self._rows.keys())
        if wanted:
            with self._view.lock:
                row = self._refresh()
            assert row.lineage is not None
            self._secret = row.secret
            for start in range(0, len(wanted), _READ_AT_ONCE):
                found = self._store.backend.numbered(row.lineage, wanted[start : start + _READ_AT_ONCE])
                self._rows |= {each.number: each for each in found}
        for number in numbers:
            if number not in self._rows:
                raise self._not_there(missing_number(number))
        return {number: self._rows[number] for number in numbers}

    def _not_there(self, error: IntegrityError) -> WfStoreError:
        """The error for a value that is missing: of what was removed since it was compared that is no damage."""
        if not any(changed_since(self._store.backend, self._view.number, row) for row in self._compared):
            return error
        return CheckpointNotFoundError(
            f"a checkpoint of thread {self._thread_id!r} was removed since it was compared, so that its values can no "
            "longer be read; compare again"
        )

    def _leaf(self, number: int) -> Leaf:
        """The object of an item, which was fetched; a mask if it was redacted."""
        return leaf_of(self._rows[number >> FLAG_BITS], self._secret)


def _mark(leaf: Leaf) -> bytes:
    """What tells an element from another one."""
    return leaf.name if isinstance(leaf, Masked) else leaf.tag.encode() + leaf.key
