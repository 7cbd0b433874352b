"""Which stored objects a redaction removes: those that records name, and those that hold what is sought."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..backends.base import LIST, MAP, OBJECT, RecordRow
from ..codec import CHUNK, CHUNK_TAG, PACK_TAG, Codec, unpack
from ..errors import DecodeError
from ..format import Record
from ..records import CallRecord, CheckpointRecord, EndRecord, Ref, RunRecord, StepRecord, WriteRecord
from ..threads.view import Made
from ..values.content import Content
from ..values.elements import Leaf
from ..values.lists import FLAG_BITS, FLAGS, unpack_numbers
from ..values.reading import map_numbers
from .parts import has_key, parts
from .sought import Sought

_GIVEN = frozenset({"__start__", "__pregel_tasks"})  # channels of LangGraph's that hold what nodes are given


class Selection(NamedTuple):
    """What a redaction asks for; see `Thread.redact`."""

    channels: frozenset[str] = frozenset()
    messages: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    where: Callable[[Any], object] | None = None
    records: frozenset[bytes] = frozenset()


class Named(NamedTuple):
    """A value that a record names: as what, in which record, its object's number, and the record's id."""

    name: str
    record: Record
    number: int
    record_id: bytes

    @property
    def is_channel(self) -> bool:
        """Whether it is a checkpoint's or a write's value of the channel `name`."""
        if isinstance(self.record, CheckpointRecord):
            return self.name not in (METADATA, EXTRA)
        return isinstance(self.record, WriteRecord)

    @property
    def is_given(self) -> bool:
        """Whether it is what a graph or a node was given or gave: channels by name."""
        if self.is_channel:
            return self.name in _GIVEN
        of = self.record.of if isinstance(self.record, EndRecord) else ""
        return of in ("run", "step") or (isinstance(self.record, RunRecord | StepRecord) and self.name == "input")


METADATA, EXTRA = "\0metadata", "\0extra"  # no channel is called so: a dict that holds one could not be told from it


class Chosen(NamedTuple):
    """What a redaction removes.

    Attributes:
        numbers: of the objects.
        unread: numbers of objects that could not be looked into.
        missed: the channels and messages that were asked for and not met.
        texts: what the messages say.
    """

    numbers: set[int]
    unread: set[int]
    missed: tuple[str, ...]
    texts: frozenset[str]


def named_values(made: Iterable[Made]) -> Iterator[Named]:
    """Every value that records name and that is there."""
    for row, record in made:
        if record is not None and row.refs:
            yield from _named(row, record)


def _named(row: RecordRow, record: Record) -> Iterator[Named]:
    names: list[str]
    if isinstance(record, CheckpointRecord):
        names = [channel.name for channel in record.channels if channel.value is not None]
        names += [METADATA, *([] if record.extra is None else [EXTRA])]
    elif isinstance(record, WriteRecord):
        names = [write.channel for write in record.writes]
    else:
        names = [name for name, value in zip(record._fields, record, strict=True) if type(value) is Ref]
    for name, number in zip(names, unpack_numbers(row.refs), strict=True):
        if number:
            yield Named(name, record, number, row.id)


class Values:
    """The values of a lineage's objects, decoded when they are asked for.

    Attributes:
        unread: numbers of the objects that could not be decoded, or hold something of a class that is not here.
    """

    def __init__(self, content: Content, codec: Codec) -> None:
        self._content = content
        self._codec = codec
        self.unread: set[int] = set()

    def of(self, number: int) -> list[Any]:
        """The value of an object, the values of a pack; nothing of a piece of a list, or of what cannot be decoded."""
        row = self._content.rows[number]
        if row.form != OBJECT or row.tag.startswith(CHUNK_TAG):
            return []
        if row.tag == PACK_TAG:
            return self._decoded(lambda: unpack(row.data), (number,))
        return self._decoded(lambda: [Leaf(row.tag, row.data, b"")], (number,))

    def run(self, items: Sequence[int]) -> list[Any]:
        """The list that these pieces make."""
        rows = [self._content.rows[n >> FLAG_BITS] for n in items]
        if any(row.form != OBJECT for row in rows):
            return []  # a piece was redacted
        whole = Leaf(rows[0].tag.removeprefix(CHUNK_TAG), b"".join(row.data for row in rows), b"")
        return self._decoded(lambda: [whole], [row.number for row in rows])

    def _decoded(self, leaves: Callable[[], Sequence[Leaf]], numbers: Sequence[int]) -> list[Any]:
        from ..serde import Placeholder

        try:
            found = [self._codec.decode(leaf) for leaf in leaves()]
        except DecodeError:
            self.unread.update(numbers)
            return []
        if any(isinstance(part, Placeholder) for value in found for part in parts(value)):
            self.unread.update(numbers)
        return found


class Chooser:
    """Finds what a selection asks for.

    Args:
        content: the lineage's objects.
        named: what the records of its threads name.
    """

    def __init__(self, content: Content, named: Sequence[Named], values: Values, selection: Selection) -> None:
        self._content = content
        self._named = named
        self._values = values
        self._asked = selection
        self._sought = Sought(selection.messages)
        self._numbers: set[int] = set()
        self._met: set[str] = set()
        self._runs = {n: i for n, i in content.items.items() if i and i[0] & FLAGS == CHUNK}

    def chosen(self) -> Chosen:
        """What goes."""
        self._by_name()
        self._sought.learn((v for n in self._numbers for v in self._values.of(n)), all_of_them=True)
        if self._sought or self._asked.where is not None:
            self._by_value()
        self._with_their_runs()
        rows = self._content.rows
        ids = {rows[number].id for number in self._numbers}
        numbers = {number for number, row in rows.items() if row.form == OBJECT and row.id in ids}
        missed = (*sorted(self._asked.channels - self._met), *sorted(self._asked.messages - self._sought.met))
        return Chosen(numbers, self._values.unread - numbers, missed, frozenset(self._sought.texts))

    # ------------------------------------------------------------------ by what names it

    def _by_name(self) -> None:
        for item in self._named:
            if item.is_channel and item.name in self._asked.channels:
                self._take(item.number)
                self._met.add(item.name)
            elif self._is_of_call(item.record) or self._is_of_record(item):
                self._take(item.number)
            elif self._asked.channels and item.is_given:
                self._by_key(item.number)

    def _is_of_record(self, item: Named) -> bool:
        """Whether a value is named by a record that is asked for, or by the end of a run or step that is."""
        begin = item.record.begin if isinstance(item.record, EndRecord) else None
        return item.record_id in self._asked.records or begin in self._asked.records

    def _is_of_call(self, record: Record) -> bool:
        """Whether a record is one of a call that is asked for; of a tool call, what was asked and answered goes too."""
        if isinstance(record, EndRecord):
            return record.of == "call" and record.id in self._asked.calls
        if not isinstance(record, CallRecord) or record.call_id not in self._asked.calls:
            return False
        self._sought.tool_calls |= set() if record.tool_call_id is None else {record.tool_call_id}
        return True

    def _take(self, number: int) -> None:
        self._numbers |= self._content.leaves([number])

    def _by_key(self, number: int) -> None:
        """Of what a node was given or gave, what it holds for the channels that are asked for."""
        names, row = self._asked.channels, self._content.rows[number]
        if row.form == LIST:
            self._numbers |= {n for n in self._content.leaves([number]) if has_key(self._values.of(n), names)}
        elif row.form == MAP:
            shell, lists = self._keys(number)
            for key, items in lists.items():
                if key in names:
                    self._take(items)
            if any(has_key({key: None}, names) for key in shell if key not in lists):
                self._take(map_numbers(row.data)[0])
        elif has_key(self._values.of(number), names):
            self._take(number)

    def _keys(self, number: int) -> tuple[list[Any], dict[Any, int]]:
        """The keys of a map, and per key of a list that is stored by element the list's number."""
        shell, holes = map_numbers(self._content.rows[number].data)
        found = self._values.of(shell)
        keys = list(found[0]) if found and isinstance(found[0], dict) else []
        return keys, {keys[at]: items for at, items in holes if at < len(keys)}

    # ------------------------------------------------------------------ by what it holds

    def _by_value(self) -> None:
        leaves = [number for number, row in self._content.rows.items() if row.form == OBJECT]
        holding = set()
        if self._asked.messages:
            holding = {n for n in leaves if self._sought.learn(self._values.of(n), all_of_them=False)}
        known = holding | self._numbers
        self._sought.hashes |= {hashlib.sha256(self._content.rows[n].data).hexdigest() for n in known if self._sought}
        channels = self._channels_of(known) if self._sought.texts else frozenset()
        loose = self._leaves_of(channels)
        for number in leaves:
            if number not in self._numbers and self._holds(self._values.of(number), channels, number in loose):
                self._numbers.add(number)
        for items in self._runs.values():
            pieces = {n >> FLAG_BITS for n in items}
            if pieces <= self._numbers:
                continue
            if self._holds(self._values.run(items), channels, not loose.isdisjoint(pieces)):
                self._numbers |= pieces

    def _holds(self, values: Iterable[Any], channels: frozenset[str], loose: bool) -> bool:
        where = self._asked.where
        for value in values:
            if self._sought and self._sought.in_value(value, channels, loose):
                return True
            if where is not None and any(where(part) for part in parts(value)):
                return True
        return False

    def _channels_of(self, numbers: set[int]) -> frozenset[str]:
        """The channels whose values hold these."""
        known: dict[int, bool] = {}
        found = set()
        for item in self._named:
            if item.is_channel and not item.name.startswith("__") and item.name not in found:
                if item.number not in known:
                    known[item.number] = not numbers.isdisjoint(self._content.leaves([item.number]))
                found |= {item.name} if known[item.number] else set()
        return frozenset(found)

    def _leaves_of(self, channels: frozenset[str]) -> set[int]:
        """The objects of these channels' values, and of what a node was given or gave for them."""
        found = {item.number for item in self._named if item.is_channel and item.name in channels}
        for number in {item.number for item in self._named if item.is_given} if channels else ():
            if self._content.rows[number].form == MAP:
                found |= {items for key, items in self._keys(number)[1].items() if key in channels}
        return self._content.leaves(found)

    def _with_their_runs(self) -> None:
        """A long list of scalars is cut into pieces, which several lists share: they go together."""
        grown = True
        while grown:
            pieces = [{n >> FLAG_BITS for n in items} for items in self._runs.values()]
            more = {n for each in pieces if not each.isdisjoint(self._numbers) for n in each}
            more = {n for n in more - self._numbers if self._content.rows[n].form == OBJECT}
            self._numbers |= more
            grown = bool(more)
