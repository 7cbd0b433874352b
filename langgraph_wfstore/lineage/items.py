"""The elements of stored lists by object id, without their values; and their values, a few at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..backends.base import RecordRow
from ..codec import CHUNK, PACK, unpack
from ..format import Record
from ..records import Ref
from ..redacted import redacted_key
from ..threads.view import ThreadView, numbers_of
from ..values.elements import Leaf, Masked
from ..values.lists import FLAG_BITS, FLAGS, common_prefix
from ..values.reading import Loaded, Need, load, load_lists

if TYPE_CHECKING:
    from ..store import WfStore

_PARTS_HELD = 1_000_000
Place = tuple[RecordRow, Record, Ref]  # a value that a record names


class Parts(NamedTuple):
    """A list as it is stored: per object its id, and its number with the flag that says what it holds.

    Attributes:
        names: of an element its id, or that of a pack of small elements; see `Items.expand`.
        numbers: None where the elements have no objects of their own.
    """

    names: tuple[bytes, ...]
    numbers: tuple[int, ...] | None


class Items:
    """Looks at the lists of a thread by the ids of their elements.

    Small elements share an object; their ids are those that they would have on their own.

    Args:
        store: the store.
        view: of the thread.
    """

    def __init__(self, store: WfStore, view: ThreadView) -> None:
        self._store = store
        self._view = view
        self._parts: dict[bytes, Parts | None] = {}
        self._held = 0
        self._packs: dict[bytes, tuple[bytes, ...]] = {}
        self._looked_at: set[int] = set()  # numbers with their flags

    def expect(self, places: Iterable[Place]) -> None:
        """Read at once what lists `parts` will be asked for."""
        needs = {
            ref.id: (ref, numbers_of(row, record)[ref.id])
            for row, record, ref in places
            if ref.form == "list" and ref.id not in self._parts
        }
        if needs:
            self._read(list(needs.values()))

    def parts(self, row: RecordRow, record: Record, ref: Ref) -> Parts | None:
        """What a list consists of; None for what is no list."""
        if ref.form == "map":
            return None
        if ref.id not in self._parts:
            if ref.form == "list":
                self._read([(ref, numbers_of(row, record)[ref.id])])
            else:
                value = self.value(row, record, ref)
                self._keep(ref.id, Parts(self._ids(value), None) if isinstance(value, list) else None)
        return self._parts[ref.id]

    def ids(self, row: RecordRow, record: Record, ref: Ref) -> tuple[bytes, ...] | None:
        """The ids of a list's elements; None for what is no list."""
        parts = self.parts(row, record, ref)
        return None if parts is None else tuple(self.expand(parts.names))

    def expand(self, names: Iterable[bytes]) -> Iterator[bytes]:
        """The ids of the elements behind names of parts."""
        packs = self._packs
        for name in names:
            if name in packs:
                yield from packs[name]
            else:
                yield name

    def apart(self, newer: tuple[bytes, ...], older: tuple[bytes, ...]) -> tuple[list[bytes], list[bytes]]:
        """The ids of the elements where two lists differ, those of the newer one first, given their parts' names."""
        head = common_prefix(newer, older)
        tail = common_prefix(newer[head:][::-1], older[head:][::-1])
        middles = newer[head : len(newer) - tail], older[head : len(older) - tail]
        return [*self.expand(middles[0])], [*self.expand(middles[1])]

    def common(self, names: tuple[bytes, ...], wanted: set[bytes]) -> set[bytes]:
        """Which of the wanted elements are in a list, given its parts' names."""
        found = wanted.intersection(reversed(names))
        for name in self._packs.keys() & names if self._packs else ():
            found |= wanted.intersection(self._packs[name])
        return found

    def meets(self, names: tuple[bytes, ...], wanted: set[bytes]) -> bool:
        """Whether any of the wanted elements is in a list; those at its end are found first."""
        return not wanted.isdisjoint(reversed(names)) or bool(self._packs and self.common(names, wanted))

    def value(self, row: RecordRow, record: Record, ref: Ref) -> Any:
        """A value as a whole."""
        return self._load(load, [(ref, numbers_of(row, record)[ref.id])]).value(self._store.codec, ref)

    def element(self, row: RecordRow, record: Record, ref: Ref, at: int) -> Any:
        """One element of a list."""
        parts = self.parts(row, record, ref)
        if parts is None or parts.numbers is None:
            return self.value(row, record, ref)[at]
        position = 0
        while at >= (size := len(self._packs.get(parts.names[position], (b"",)))):
            at -= size
            position += 1
        return self.values(parts, [position])[position][at]

    def values(self, parts: Parts, wanted: Sequence[int]) -> dict[int, list[Any]]:
        """Per part of a list, by position, the values of the elements in it; the objects are read at once."""
        assert parts.numbers is not None
        some = [(at, parts.names[at], parts.numbers[at]) for at in wanted]
        loaded = self._load(load, [(Ref("object", name), number >> FLAG_BITS) for _, name, number in some])
        codec, shelf = self._store.codec, self._store.views.shelf
        return {at: codec.decode_list((name,), (number,), loaded.leaf, shelf) for at, name, number in some}

    def _load(self, how: Callable[..., Loaded], needs: Sequence[Need]) -> Loaded:
        with self._view.lock:
            self._store.views.refresh(self._view)
            assert self._view.row is not None and self._view.row.lineage is not None
            lineage, shelf = self._view.lineage, self._store.views.shelf
            return how(self._store.backend, self._view.row.lineage, lineage, shelf, needs)

    def _read(self, needs: Sequence[Need]) -> None:
        loaded = self._load(load_lists, needs)
        for ref, _ in needs:
            self._keep(ref.id, self._stored(loaded, ref))

    def _stored(self, loaded: Loaded, ref: Ref) -> Parts:
        names, numbers = loaded.stored(ref).names, loaded.stored(ref).numbers
        if numbers and numbers[0] & FLAGS == CHUNK:
            whole = self._load(load, [(ref, loaded.stored(ref).number)]).value(self._store.codec, ref)
            return Parts(self._ids(whole), None)
        new = {*numbers} - self._looked_at
        self._looked_at |= new
        for number in new:
            if number & FLAGS == PACK:
                name = names[numbers.index(number)]
                self._packs[name] = self._ids_in(loaded.leaf(name, number >> FLAG_BITS), number)
        if new and self._view.row is not None and self._view.row.lineage_epoch:
            self._find_redacted(Parts(names, numbers), ref, loaded.stored(ref).number)
        return Parts(names, numbers)

    def _find_redacted(self, parts: Parts, ref: Ref, number: int) -> None:
        """Redacted elements are known by the ids of the messages that they were."""
        loaded = self._load(load, [(ref, number)])
        for name in {*parts.names} - self._packs.keys():
            if (key := loaded.key(name)) != name:
                self._packs[name] = (key,)

    def _ids(self, values: Sequence[Any]) -> tuple[bytes, ...]:
        """The ids that values have, or would have, as objects of this thread's lineage."""
        codec, lineage = self._store.codec, self._view.lineage
        return tuple([redacted_key(value) or lineage.id_of(codec.element(value)) for value in values])

    def _ids_in(self, pack: Leaf, number: int) -> tuple[bytes, ...]:
        if type(pack) is Masked:
            shelf, codec = self._store.views.shelf, self._store.codec
            return self._ids(codec.decode_list((pack.name,), (number,), lambda name, at: pack, shelf))
        elements = [Leaf(found.tag, found.data, hashlib.sha256(found.data).digest()) for found in unpack(pack.data)]
        return tuple(map(self._view.lineage.id_of, elements))

    def _keep(self, name: bytes, parts: Parts | None) -> None:
        if self._held > _PARTS_HELD:
            self._parts.clear()
            self._held = 0
        self._parts[name] = parts
        self._held += 0 if parts is None else len(parts.names)
