"""Import: an artifact, or a thread of another store, into a store; whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ..arguments import checked_thread_id
from ..backends.base import OBJECT, REMOVAL, SKELETON, Backend, Tail
from ..canonical import hex_id, utf8
from ..counting import counted
from ..errors import ArtifactError, BackendUnavailableError, ConflictError
from ..format import Record, refs_of
from ..format import read_record as read_body
from ..records import BranchRecord
from .archive import Places
from .lines import LeafLine, Line, NodeLine, ObjectLine, RecordLine, ValueLine, read_record, read_value
from .manifest import Facts
from .merkle import Tree
from .opening import Limits, Opened
from .order import Order
from .record_rows import RecordRows
from .source import Source, pages
from .staging import Batch, Ending, Staging
from .value_rows import ValueRows

if TYPE_CHECKING:
    from ..store import WfStore

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        thread_id: the thread's id here.
        head: its last seal here; None if nothing of it is sealed.
        records: how many records the artifact has.
        new: whether the thread was made; False if it was there.
        lacking: how many values the artifact holds whose content the thread that was there has not: it came from an
            artifact that withheld them, or they were redacted or pruned here.
    """

    thread_id: str
    head: str | None
    records: int
    new: bool
    lacking: int = 0

    def __str__(self) -> str:
        said = f"imported, {counted(self.records, 'record')}" if self.new else "there already"
        if not self.lacking:
            return f"{self.thread_id}: {said}; head {self.head}"
        return (
            f"{self.thread_id}: there already, but without {counted(self.lacking, 'value')} that the file holds; head "
            f"{self.head}\nNothing was imported. The content of these values was withheld, redacted or pruned here. To "
            "have it, import the file under another id (--thread ID, or thread_id=), or delete the thread and import "
            "again"
        )


Placed = tuple[str, Line, Record | None]
"""Where a line stands, the line, and of a record that was not removed what it says."""
_RECORDS = 500  # of one batch
_BYTES = 4 << 20


def import_artifact(
    store: WfStore,
    path: str | PathLike[str],
    thread_id: object = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """See `WfStore.import_artifact`."""
    limits = limits or Limits()
    with Opened(path, limits) as opened:
        manifest = opened.manifest
        name = manifest.thread_id if thread_id is None else checked_thread_id(thread_id)
        brought = Brought(lambda: _Reading(opened).begin(), manifest.records, manifest.root)
        new, lacking = bring(store, name, brought, limits, progress)
    head = store.views.tail(name).seal
    return ImportReport(name, None if head is None else hex_id(head), manifest.records, new, lacking)


class _Reading:
    """The lines of an open artifact, and whether the rest of it is what follows from them."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._records = Places()
        self._values = Places()
        self._names: list[tuple[bytes, int]] = []
        self._lines = 0

    def begin(self) -> Begun:
        """The lines, and what checks the rest behind them."""
        return self._all(), self._check

    def _all(self) -> Iterator[Placed]:
        """Every line, each record behind the lines of the values that it names."""
        values = self._opened.lines("objects")
        order = Order()
        for where, data in self._opened.lines("records"):
            self._records.add(len(data) + 1)
            line = read_record(data, where)
            record = None if line.state == SKELETON else read_body(line.kind, line.body)
            for ref in () if record is None else refs_of(record):
                if ref.id in order.known or ref.id in line.missing:
                    continue
                while ref.id not in order.known:
                    place, value = self._value(values, where, ref.id)
                    order.take(value)
                    yield place, value, None
                order.end(ref.id, place)
            yield where, line, record
        if (left := next(values, None)) is not None:
            raise ArtifactError(f"{left[0]} is of a value that no record names. Nothing was imported")

    def _value(self, values: Iterator[tuple[str, bytes]], where: str, wanted: bytes) -> tuple[str, ValueLine]:
        place, data = next(values, ("", b""))
        if not place:
            raise ArtifactError(
                f"{where} names the value {hex_id(wanted)}, which the artifact does not have. Nothing was imported"
            )
        value = read_value(data, place)
        self._values.add(len(data) + 1)
        self._lines += 1
        if not isinstance(value, LeafLine | NodeLine):
            self._names.append((value.id, self._lines))
        return place, value

    def _check(self, facts: Facts) -> None:
        """ArtifactError if manifest, members or indexes are not those that follow from the lines."""
        manifest = self._opened.manifest
        if facts.manifest(manifest.thread_id, manifest.members) != manifest:
            self._refuse("other records or values than its manifest says")
        for folder, places in (("records/", self._records), ("objects/", self._values)):
            places.finish()
            found = [(m.size, m.lines) for m in manifest.members if m.name.startswith(folder)]
            if found != places.members:
                self._refuse(f"members of {folder} that do not end where they must")
        expected = {
            "index/records.txt": self._records.index((name, n) for n, name in enumerate(facts.ids, 1)),
            "index/objects.txt": self._values.index(self._names),
        }
        digests = {member.name: member.digest for member in manifest.members}
        for name, pieces in expected.items():
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            if digest.digest() != digests[name]:
                self._refuse(f"another {name} than follows from its records and values")

    def _refuse(self, what: str) -> NoReturn:
        raise ArtifactError(
            f"the artifact of thread {self._opened.manifest.thread_id!r} has {what}: it was changed, or made by what "
            "does it wrong. Nothing was imported"
        )


Begun = tuple[Iterable[Placed], Callable[[Facts], None]]
"""Lines, and what is called behind them with what was counted; it raises if that is not what it should be."""


class Brought(NamedTuple):
    """A thread that comes from elsewhere.

    Attributes:
        begin: begins to give its lines, each record behind the lines of the values that it names.
        records, root: how many records there are, and the root over them.
    """

    begin: Callable[[], Begun]
    records: int
    root: bytes


def bring(
    store: WfStore, thread_id: str, brought: Brought, limits: Limits, progress: Progress | None = None
) -> tuple[bool, int]:
    """Make a thread.

    Returns:
        whether it was made; False if it was there. Then how many values it lacks that were to be brought.

    Raises:
        ConflictError: there is another thread of that id.
        ArtifactError, IntegrityError: the lines are not those of a sound thread; nothing is in the store.
    """
    there = _there(store.backend, thread_id, brought)
    if there is not None:
        return False, _lacking(store.backend, there, brought, limits)
    with Staging(store.backend, utf8(thread_id), store.views.lineage_secret()) as staging:
        taken, values = _taken(brought, limits, staging.add, progress)
        head = taken.facts.head
        if values.withheld:
            taken.state_withheld()
        made = staging.publish(_batch(taken, values), _ending(taken.facts), head)
    store.views.forget(store.views.of(thread_id))
    if made:
        return True, 0
    there = _there(store.backend, thread_id, brought)
    if there is None:
        raise BackendUnavailableError(f"thread {thread_id!r} was made and deleted meanwhile; repeat the import")
    return False, _lacking(store.backend, there, brought, limits)


def _taken(
    brought: Brought, limits: Limits, add: Callable[[Batch], None], progress: Progress | None = None
) -> tuple[RecordRows, ValueRows]:
    """All lines, checked; they still hold the last batch, and `add` was given those before it.

    Raises:
        ArtifactError, IntegrityError: the lines are not those of a sound thread.
    """
    values = ValueRows(limits)
    taken = RecordRows(values)
    lines, agrees = brought.begin()
    for where, line, record in lines:
        if not isinstance(line, RecordLine):
            taken.facts.value(line)
            values.take(line, where)
            continue
        if taken.rows and _is_full(taken, values) and not isinstance(record, BranchRecord):
            add(_batch(taken, values))
        taken.take(line, record, where)
        if progress is not None:
            progress(len(taken.facts.ids), brought.records)
    values.finish()
    taken.finish()
    agrees(taken.facts)
    return taken, values


def _is_full(taken: RecordRows, values: ValueRows) -> bool:
    return values.size > _BYTES or len(taken.rows) >= _RECORDS


def _batch(taken: RecordRows, values: ValueRows) -> Batch:
    """What was made since the last batch."""
    size = values.size + sum(len(row.body) for row in taken.rows)
    batch = Batch(taken.rows, values.rows, size)
    taken.rows, values.rows, values.size = [], [], 0
    return batch


def _ending(facts: Facts) -> Ending:
    rows = facts.branches.rows()
    return Ending(rows if len(rows) > 1 else [], facts.branches.current, facts.branches.nested)


def _there(backend: Backend, thread_id: str, brought: Brought) -> Tail | None:
    """The thread of that id which begins with these records; None if there is no thread of that id.

    Raises:
        ConflictError: there is one which does not.
    """
    tail = backend.find(utf8(thread_id))
    records = brought.records
    if tail is None or (tail.last >= records and root_of(backend, tail, records) == brought.root):
        return tail
    less = " It may be an earlier state of the same thread." if tail.last < records else ""
    raise ConflictError(
        f"thread {thread_id!r} is in the store with {tail.last} records, and does not begin with the {records} that "
        f"were to be imported.{less} Nothing was imported: give another thread_id, or delete the thread first"
    )


def _lacking(backend: Backend, tail: Tail, brought: Brought, limits: Limits) -> int:
    """How many objects were to be brought whose content a stored thread of the same records has not.

    Raises:
        ArtifactError, IntegrityError: what was to be brought is not a sound thread.
    """
    if not any(row.state or row.kind == REMOVAL for page in pages(backend, tail, tail.last) for row in page):
        return 0
    has = {line.id for line in Source(backend, tail).lines() if isinstance(line, ObjectLine)}
    found = 0

    def count(batch: Batch) -> None:
        nonlocal found
        found += sum(row.form == OBJECT and row.id not in has for row in batch.objects)

    count(_batch(*_taken(brought, limits, count)))
    return found


def root_of(backend: Backend, tail: Tail, records: int) -> bytes:
    """The root of the Merkle tree over the first records of a stored thread."""
    tree = Tree()
    for page in pages(backend, tail, records):
        for row in page:
            tree.add(row.id)
    return tree.root
