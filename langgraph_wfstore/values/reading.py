"""From stored rows to values: which objects a set of references needs, and what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..backends.base import LIST, MAP, OBJECT, REDACTED, Backend, ObjectRow
from ..canonical import Version, from_text, hex_id
from ..codec import WRONG, Codec
from ..errors import DecodeError, IntegrityError
from ..format import refs_of
from ..records import CheckpointRecord, Ref, Write, WriteRecord
from ..redacted import key_of
from .elements import Leaf, Masked
from .lists import FLAG_BITS, StoredList, apply_splice, base_of, unpack_numbers
from .masks import read_mask
from .objects import Lineage, Place, nonce_for, object_id
from .shelf import Shelf

FORMS = {"object": OBJECT, "list": LIST, "map": MAP}


Need = tuple[Ref, int]  # a value, and the number of its object


@dataclass(frozen=True, slots=True)
class Outline:
    """A checkpoint and its effective writes, before any value is decoded; with the numbers of all values by id."""

    record: CheckpointRecord
    record_id: bytes
    parent: str | None
    writes: tuple[tuple[WriteRecord, Write], ...]
    numbers: dict[bytes, int]
    merged: str | None = None

    def needs(self) -> Iterable[Need]:
        """Every value it names."""
        for ref in refs_of(self.record):
            yield ref, self.numbers[ref.id]
        for _, write in self.writes:
            yield write.value, self.numbers[write.value.id]


class Loaded:
    """The values of some references, ready to be decoded.

    Args:
        shelf: the objects held by this process.
        fetch: the object of a number, for what the shelf gave up meanwhile.
    """

    def __init__(self, shelf: Shelf, fetch: Callable[[int], Leaf]) -> None:
        self._shelf = shelf
        self._fetch = fetch
        self._leaves: dict[bytes, Leaf] = {}
        self._lists: dict[bytes, StoredList] = {}
        self._maps: dict[bytes, tuple[bytes, tuple[tuple[int, bytes], ...]]] = {}

    def value(self, codec: Codec, ref: Ref) -> Any:
        """The value of a reference; independent of any other value handed out."""
        if ref.form == "object":
            return codec.decode(self._leaves[ref.id])
        if ref.form == "list":
            return self._list(codec, ref.id)
        shell, holes = self._maps[ref.id]
        return codec.decode_map(self._leaves[shell], [(at, self._list(codec, name)) for at, name in holes])

    def stored(self, ref: Ref) -> StoredList:
        """A list as it is stored."""
        return self._lists[ref.id]

    def masked(self, ref: Ref) -> bool:
        """Whether a mask stands in the place of a value, or of a dict's keys."""
        name = self._maps[ref.id][0] if ref.form == "map" else ref.id
        return type(self._leaves.get(name)) is Masked

    def key(self, name: bytes) -> bytes:
        """The id of a list's element; of a redacted one what `redacted_key` gives of its value."""
        leaf = self._leaves.get(name) or self._shelf.get(name)
        if type(leaf) is not Masked:
            return name
        own = read_mask(leaf.data).get("id")
        return key_of(None if own is None else from_text(own), hex_id(name))

    def _list(self, codec: Codec, name: bytes) -> list[Any]:
        stored = self._lists[name]
        return codec.decode_list(stored.names, stored.numbers, self.leaf, self._shelf)

    def leaf(self, name: bytes, number: int) -> Leaf:
        """The object of an id and number."""
        return self._leaves.get(name) or self._shelf.get(name) or self._fetch(number)


def missing(name: bytes) -> IntegrityError:
    """The error for an object that a record names and nobody has."""
    return IntegrityError(
        f"object {hex_id(name)} is named by a record and not in the store; run thread.verify() to see what is "
        "affected, and restore a backup"
    )


def missing_number(number: int) -> IntegrityError:
    """The error for an object number that a record or a list names and nobody has."""
    return IntegrityError(
        f"object {number} is named by a record or a list and not in the store; run thread.verify() to see "
        "what is affected, and restore a backup"
    )


def load(backend: Backend, number: int, lineage: Lineage, shelf: Shelf, needs: Iterable[Need]) -> Loaded:
    """Fetch what references need and this process does not hold, in a bounded number of statements.

    Args:
        number: of the lineage in the engine.
        lineage: what is known of it; its lists are used and added to, so the thread's lock must be held.
        shelf: objects held by this process.
        needs: what is to be read.

    Raises:
        IntegrityError: an object is missing, or is not what its id says.
    """
    return _Loading(backend, number, lineage, shelf).run(needs)


def load_lists(backend: Backend, number: int, lineage: Lineage, shelf: Shelf, needs: Iterable[Need]) -> Loaded:
    """As `load`, for lists whose elements nobody wants to read: it fetches no object whose id is known."""
    return _Loading(backend, number, lineage, shelf, elements=False).run(needs)


class _Loading:
    def __init__(self, backend: Backend, number: int, lineage: Lineage, shelf: Shelf, *, elements: bool = True) -> None:
        self._backend = backend
        self._number = number
        self._lineage = lineage
        self._shelf = shelf
        self._wants_elements = elements
        self._out = Loaded(shelf, self._fetch_one)
        self._rows: dict[int, ObjectRow] = {}
        self._by_number: dict[int, StoredList] = {}

    def run(self, needs: Iterable[Need]) -> Loaded:
        wanted: dict[int, Ref] = {}
        for ref, number in needs:
            if ref.form == "list" and (held := self._lineage.list(ref.id)) is not None:
                self._out._lists[ref.id] = held
            elif ref.form != "object" or not self._hold(ref.id):
                wanted[number] = ref
        found = self._fetch(list(wanted))
        for number, ref in wanted.items():
            if found[number].id != ref.id or not of_form(found[number], ref):
                raise missing(ref.id)
        lists = [row for row in found.values() if row.form == LIST]
        lists += self._maps([row for row in found.values() if row.form == MAP])
        for row in found.values():
            if row.form in (OBJECT, REDACTED):
                self._keep(row)
        self._resolve(lists)
        if self._wants_elements:
            self._elements()
        return self._out

    def _hold(self, name: bytes) -> bool:
        leaf = self._shelf.get(name)
        if leaf is not None:
            self._out._leaves[name] = leaf
        return leaf is not None

    def _keep(self, row: ObjectRow) -> None:
        leaf = leaf_of(row, self._lineage.secret)
        if type(leaf) is not Masked:
            self._lineage.learn(leaf, Place(self._lineage, row.number, row.id))
        self._out._leaves[row.id] = leaf
        self._shelf.put(row.id, leaf)

    def _maps(self, rows: Sequence[ObjectRow]) -> list[ObjectRow]:
        """Note the parts of dicts; returns the rows of their lists."""
        parsed = {row.id: map_numbers(row.data) for row in rows}
        numbers = sorted({n for shell, holes in parsed.values() for n in (shell, *(x for _, x in holes))})
        parts = self._fetch(numbers)
        for name, (shell, holes) in parsed.items():
            self._keep(parts[shell])
            self._out._maps[name] = (parts[shell].id, tuple((at, parts[n].id) for at, n in holes))
        return [row for row in parts.values() if row.form == LIST]

    def _fetch(self, numbers: Sequence[int]) -> dict[int, ObjectRow]:
        rows = {row.number: row for row in self._backend.numbered(self._number, numbers)} if numbers else {}
        for number in numbers:
            if number not in rows:
                raise missing_number(number)
        return rows

    def _resolve(self, rows: Sequence[ObjectRow]) -> None:
        """Lists from their splices; bases are fetched level by level, at most three."""
        todo = {row.number: row for row in rows if row.id not in self._out._lists}
        wanted = dict(todo)
        level = todo
        while level:
            bases = {base_of(row.data) for row in level.values()} - {0} - set(wanted)
            level = self._fetch(sorted(bases))
            wanted.update(level)
        flat: dict[int, list[int]] = {}
        for number in wanted:
            _flatten(number, wanted, flat)
        named = self._name_items(set().union(*flat.values()))
        for number in sorted(wanted, key=lambda n: _depth(n, wanted)):
            row = wanted[number]
            stored = self._lineage.list(row.id)
            if stored is None:
                base = self._by_number.get(base_of(row.data))
                names = tuple(map(named.__getitem__, flat[number]))
                stored = StoredList(number, names, tuple(flat[number]), 0 if base is None else base.depth + 1, base)
                self._lineage.hold(row.id, stored)
            self._by_number[number] = stored
            self._out._lists[row.id] = stored

    def _name_items(self, items: set[int]) -> dict[int, bytes]:
        """The id of every item; the objects come along, since they are about to be decoded."""
        numbers = {n >> FLAG_BITS for n in items}
        known, has = self._lineage.names, self._shelf.has
        wanted = self._wants_elements
        names = {n: known[n] for n in numbers if n in known and (not wanted or has(known[n]))}
        for number, row in self._fetch(sorted(numbers - names.keys())).items():
            names[number] = known[number] = row.id
            self._keep(row)
        return {n: names[n >> FLAG_BITS] for n in items}

    def _elements(self) -> None:
        """Objects of lists that were held, but whose objects are not any more."""
        unheld: set[int] = set()
        for stored in self._out._lists.values():
            if not all(map(self._shelf.has, stored.names)):
                pairs = zip(stored.names, stored.numbers, strict=True)
                unheld |= {n >> FLAG_BITS for name, n in pairs if not self._shelf.has(name)}
        for row in self._fetch(sorted(unheld)).values():
            self._keep(row)

    def _fetch_one(self, number: int) -> Leaf:
        return leaf_of(self._fetch([number])[number], self._lineage.secret)


def _flatten(number: int, rows: dict[int, ObjectRow], done: dict[int, list[int]]) -> list[int]:
    if number not in done:
        base = base_of(rows[number].data)
        if base and (base not in rows or base >= number):
            raise IntegrityError(f"stored list {number} is based on list {base}, which cannot be; run thread.verify()")
        try:
            done[number] = apply_splice(rows[number].data, _flatten(base, rows, done) if base else [])
        except ValueError as error:
            raise IntegrityError(f"stored list {number} is damaged ({error}); run thread.verify()") from error
    return done[number]


def _depth(number: int, rows: dict[int, ObjectRow]) -> int:
    base = base_of(rows[number].data)
    return 1 + _depth(base, rows) if base else 0


def map_numbers(data: bytes) -> tuple[int, list[tuple[int, int]]]:
    """The object number of a map's shell, and (position, object number) of its lists."""
    shell, *rest = unpack_numbers(data)
    return shell, list(zip(rest[::2], rest[1::2], strict=True))


def of_form(row: ObjectRow, ref: Ref) -> bool:
    """Whether a row may be what a reference names: a redacted object is one still."""
    return row.form == FORMS[ref.form] or (row.form == REDACTED and ref.form == "object")


def leaf_of(row: ObjectRow, secret: bytes) -> Leaf:
    """The object of a row as `checked_leaf` gives it, or what stands in its place."""
    return Masked(row.id, row.data) if row.form == REDACTED else checked_leaf(row, secret)


def checked_leaf(row: ObjectRow, secret: bytes) -> Leaf:
    """The object of a row, whose id was recomputed from its bytes.

    Raises:
        IntegrityError: the bytes are not what the id says.
    """
    key = hashlib.sha256(row.data).digest()
    nonce = row.nonce if row.nonce is not None else nonce_for(secret, key)
    if object_id(row.tag, nonce, key) != row.id:
        raise IntegrityError(
            f"object {hex_id(row.id)} was changed in the store: its bytes do not match its id; run thread.verify() "
            "to see what is affected, and restore a backup"
        )
    return Leaf(row.tag, row.data, key)


class StoredCheckpoint:
    """A checkpoint whose values are decoded when they are asked for.

    Args:
        codec: what they are decoded with.
        thread: the thread's id, for errors.
        outline: what it consists of.
        loaded: what its values are decoded from.

    Attributes:
        parent: id of the nearest ancestor that is kept, None at the root.
        merged: of a merge the id of its second parent, which may have been removed since.
        written: (task id, channel) of its writes, ordered by task path, task id and index.

    Raises:
        DecodeError: by what is asked for: a value cannot be read; names thread, checkpoint and channel.
    """

    def __init__(self, codec: Codec, thread: str, outline: Outline, loaded: Loaded) -> None:
        self._codec = codec
        self._thread = thread
        self._writes = outline.writes
        self._loaded = loaded
        self.record = outline.record
        self.record_id = outline.record_id
        self.parent = outline.parent
        self.merged = outline.merged
        self.written = tuple((record.task_id, write.channel) for record, write in outline.writes)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The channel values."""
        refs = {channel.name: channel.value for channel in self.record.channels if channel.value is not None}
        return {name: self._read(f"channel {name!r}", ref) for name, ref in refs.items()}

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """LangGraph's metadata; of redacted ones what the record says, and what delta channels need."""
        record, found = self.record, self._dict("metadata", self.record.metadata)
        if not self._loaded.masked(record.metadata):
            return found
        run_id = {} if record.run_id is None else {"run_id": record.run_id}
        return {"source": record.source, "step": record.step, "parents": dict(record.parents), **run_id, **found}

    @cached_property
    def extra(self) -> dict[str, Any]:
        """What else the checkpoint holds."""
        ref = self.record.extra
        return {} if ref is None or self._loaded.masked(ref) else self._dict("further keys", ref)

    @cached_property
    def writes(self) -> list[tuple[str, str, Any]]:
        """(task id, channel, value) of its writes, in the order of `written`."""
        return [(r.task_id, w.channel, self._read(f"write to channel {w.channel!r}", w.value)) for r, w in self._writes]

    @property
    def versions(self) -> dict[str, Version]:
        """Channel versions."""
        return {c.name: c.version for c in self.record.channels if c.version is not None}

    def _read(self, what: str, ref: Ref) -> Any:
        with named_place(self._place(what)):
            return self._loaded.value(self._codec, ref)

    def _dict(self, what: str, ref: Ref) -> dict[Any, Any]:
        found = self._read(what, ref)
        with named_place(self._place(what)):
            return checked_dict(found)

    def _place(self, what: str) -> str:
        return f"thread {self._thread!r}, checkpoint {self.record.checkpoint_id!r}, {what}"


@contextmanager
def named_place(place: str) -> Iterator[None]:
    """What cannot be decoded meanwhile is named."""
    try:
        yield
    except DecodeError as error:
        raise DecodeError(f"{place}: {error}") from error


def checked_dict(value: Any) -> dict[Any, Any]:
    """A value that every writer makes a dict; DecodeError if it is none."""
    if not isinstance(value, Mapping):
        raise DecodeError(
            f"found a value of type {type(value).__qualname__} where only a dict may be: {WRONG}, or open the "
            "store with the serde that wrote it"
        )
    return dict(value)
