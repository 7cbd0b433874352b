"""What one process knows of one thread: where it stands, and its latest checkpoints and writes.

A view may be out of date: appends say what they expect and fail as stale, reads ask the engine first.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from ..backends.base import (
    BRANCH,
    CALL,
    CHECKPOINT,
    END,
    KEPT,
    LABEL,
    MERGE,
    REMOVAL,
    RUN,
    SKELETON,
    STEP,
    SWITCH,
    WRITE,
    Append,
    Backend,
    BranchRow,
    Pending,
    RecordRow,
    Standing,
    Tail,
    ThreadRow,
)
from ..canonical import digest, utf8
from ..errors import IntegrityError
from ..format import Record, read_record, read_skeleton, refs_of
from ..records import Channel, CheckpointRecord, Kind, MergeRecord, Write, WriteRecord
from ..values.lists import unpack_numbers
from ..values.objects import Lineage

_ENTRIES_HELD = 4096
_RECENT_HELD = 64
_PARSED_HELD = 4  # a record in parts is many objects, at which the garbage collector would look again and again
_ATTEMPTS = 100
_AWAITED_HELD = 1000
MAIN = b"main"
KINDS = {
    CHECKPOINT: Kind.CHECKPOINT,
    WRITE: Kind.WRITE,
    BRANCH: Kind.BRANCH,
    REMOVAL: Kind.REMOVAL,
    SWITCH: Kind.SWITCH,
    RUN: Kind.RUN,
    STEP: Kind.STEP,
    CALL: Kind.CALL,
    END: Kind.END,
    LABEL: Kind.LABEL,
    MERGE: Kind.MERGE,
}


@functools.lru_cache(maxsize=4096)
def anchor_of(namespace: str, checkpoint_id: str) -> int:
    """The index key of a checkpoint and its writes: 64 bits of a digest of namespace and id."""
    return signed(digest("anchor", utf8(namespace), utf8(checkpoint_id)))


@functools.lru_cache(maxsize=1024)
def space_of(namespace: str) -> int:
    """The index key of a namespace; 0 for the root."""
    return signed(digest("namespace", utf8(namespace))) if namespace else 0


@functools.lru_cache(maxsize=1024)
def run_of(run_id: str) -> int:
    """The index key of a run id."""
    return signed(digest("run", utf8(run_id)))


def signed(value: bytes) -> int:
    """The first 64 bits of a digest, as an index key."""
    return int.from_bytes(value[:8], "big", signed=True)


def numbers_of(row: RecordRow, record: Record) -> dict[bytes, int]:
    """The object numbers of the values that a record names, by id.

    Raises:
        IntegrityError: the row does not have a number for each.
    """
    try:
        return {ref.id: number for ref, number in zip(refs_of(record), unpack_numbers(row.refs), strict=True)}
    except ValueError as error:
        raise IntegrityError(
            f"record {row.seq} does not say where its values are ({error}); run thread.verify()"
        ) from error


class Entry:
    """One checkpoint and the writes anchored at it; `row` is None while only writes have arrived."""

    __slots__ = (
        *(
            "_channels",
            "_effective",
            "_record",
            "_written",
            "checkpoint_id",
            "deleted",
            "merge",
            "mine",
            "namespace",
            "parent",
            "row",
        ),
        "write_rows",
    )

    def __init__(self, namespace: str, checkpoint_id: str) -> None:
        self.namespace = namespace
        self.checkpoint_id = checkpoint_id
        self.parent: str | None = None
        self.row: RecordRow | None = None
        self._record: CheckpointRecord | None = None
        self._channels: dict[str, Channel] | None = None
        self.mine = False
        self.deleted = False
        self.merge: tuple[RecordRow, MergeRecord] | None = None
        self.write_rows: list[RecordRow] = []
        self._written: list[WriteRecord] | None = []
        self._effective: dict[tuple[str, int], tuple[Write, WriteRecord, RecordRow]] | None = None

    @property
    def record(self) -> CheckpointRecord | None:
        """The checkpoint's record; None if its content was removed, or it has not arrived."""
        if self._record is None and self.row is not None and self.row.state != SKELETON:
            record = read_record(Kind.CHECKPOINT, self.row.body)
            assert isinstance(record, CheckpointRecord)
            self._record = record
        return self._record

    @property
    def channels(self) -> dict[str, Channel]:
        """The record's channels by name."""
        if self._channels is None:
            record = self.record
            self._channels = {} if record is None else {channel.name: channel for channel in record.channels}
        return self._channels

    @property
    def writes(self) -> list[tuple[RecordRow, WriteRecord]]:
        """Rows and records of the writes, in the order of their numbers."""
        if self._written is None:
            records = [read_record(Kind.WRITE, row.body) for row in self.write_rows]
            self._written = [record for record in records if isinstance(record, WriteRecord)]
        return list(zip(self.write_rows, self._written, strict=True))

    def add_writes(self, row: RecordRow, record: WriteRecord) -> None:
        """Add a record of writes, which came last."""
        if self._written is not None:
            self._written.append(record)
        self.write_rows.append(row)
        if self._effective is not None:
            self._count(row, record)

    def slim(self) -> None:
        """Give up what can be read from the rows again."""
        self._record = self._channels = self._effective = None
        self._written = None if self.write_rows else []

    def numbers(self) -> dict[bytes, int]:
        """The object numbers of the checkpoint's values, by id."""
        return {} if self.row is None or self.record is None else numbers_of(self.row, self.record)

    @property
    def shown(self) -> bool:
        """Whether get_tuple and list show this checkpoint."""
        return self.row is not None and self.row.state == KEPT

    def take(self, row: RecordRow, record: CheckpointRecord | None, parent: str | None) -> None:
        """Set the checkpoint's own record."""
        self.row = row
        self.parent = parent
        self._record = record
        self._channels = None

    def effective(self) -> dict[tuple[str, int], tuple[Write, WriteRecord, RecordRow]]:
        """Per task and index the write that counts: the first one, or for special indexes the last one."""
        if self._effective is None:
            self._effective = {}
            for row, record in self.writes:
                self._count(row, record)
        return self._effective

    def _count(self, row: RecordRow, record: WriteRecord) -> None:
        assert self._effective is not None
        for write in record.writes:
            key = (record.task_id, write.idx)
            if write.idx < 0 or key not in self._effective:
                self._effective[key] = (write, record, row)


Made = tuple[RecordRow, Record | None]


def read_rows(rows: Iterable[RecordRow]) -> list[Made]:
    """Rows with their records; None for those whose content was removed."""
    return [(row, None if row.state == SKELETON else read_record(KINDS[row.kind], row.body)) for row in rows]


def entries_of(made: Iterable[Made]) -> dict[tuple[str, str], Entry]:
    """Checkpoints with their writes, from records in the order of their numbers."""
    found: dict[tuple[str, str], Entry] = {}
    entry: Entry | None = None
    for row, record in made:
        if isinstance(record, CheckpointRecord):
            key = (record.namespace, record.checkpoint_id)
            entry = found.setdefault(key, Entry(*key))
            entry.take(row, record, record.parent_checkpoint_id)
        elif isinstance(record, WriteRecord):
            key = (record.namespace, record.checkpoint_id)
            found.setdefault(key, Entry(*key)).add_writes(row, record)
        elif isinstance(record, MergeRecord):
            if entry is not None and entry.row is not None and entry.row.id == record.checkpoint:
                entry.merge = (row, record)
        elif row.kind == CHECKPOINT:
            namespace, checkpoint_id, parent, deleted = read_skeleton(row.body)
            key = (namespace, checkpoint_id)
            entry = found.setdefault(key, Entry(*key))
            entry.take(row, None, parent)
            entry.deleted = deleted
    return found


class ThreadView:
    """The state of one thread in this process; everything is read and changed under `lock`.

    Attributes:
        row: the stored thread, None if there is none.
        last: number of the last record.
        unsealed: ids of the records behind the last seal.
        heads: per branch its row; `head` is the number of its last checkpoint that is shown, 0 if there is none.
        life: the thread's life, or the one that a fresh start would begin.
        complete: whether every checkpoint of the thread is in `entries`.
        awaited: checkpoints that have not arrived, with those that follow them; what is known of it holds whatever
            else is forgotten.
        recent: the last checkpoints in causal order, with their positions.
        waiting: notes of capture that no append was made of yet. It is added to without the lock.
        sent: those whose append is not known to have succeeded, with it, in their order.
        inputs: per name (see `Note.like`) the id of the last list that stood there.
    """

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.pending: Pending | None = None
        self.awaited: OrderedDict[tuple[str, str], set[tuple[str, str]]] = OrderedDict()
        self.waiting: deque[Any] = deque()
        self.sent: deque[tuple[Any, Pending]] = deque()
        self.inputs: dict[str, bytes] = {}
        self.forget()

    def forget(self) -> None:
        """Know nothing: the next operation asks the engine."""
        self.loaded = False
        self.row: ThreadRow | None = None
        self.last = 0
        self.ordinal = -1
        self.seal: bytes | None = None
        self.unsealed: list[bytes] = []
        self.heads: dict[int, BranchRow] = {0: BranchRow(0, MAIN, None, 0)}
        self.lineage = Lineage(b"", 0, complete=False)
        self.entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._by_number: dict[int, tuple[str, str]] = {}
        self.recent: list[tuple[int, Entry]] = []
        self.complete = False
        self.life = 0

    def begin(self, row: ThreadRow) -> None:
        """A thread that is not stored yet."""
        self.forget()
        self.row = row
        self.life = row.life
        self.lineage = Lineage(row.secret, 0, complete=True)
        self.loaded = self.complete = True

    def load(self, backend: Backend) -> None:
        """Ask the engine where the thread stands; `row` stays None if there is no such thread.

        Raises:
            IntegrityError: what it says does not fit together.
        """
        for _ in range(_ATTEMPTS):
            if self._looked(backend):
                self.loaded = True
                return
        raise IntegrityError(
            f"thread {self.name!r} has checkpoints behind its last record; run thread.verify(), restore a backup"
        )

    def _looked(self, backend: Backend) -> bool:
        """Take over where the thread stands; False if it grew while it was looked at."""
        known, old = self.lineage, self.row
        self.forget()
        tail = backend.find(self.name)
        if tail is None:
            self.life = 1 + max((life for life, _ in backend.tombstones(self.name)), default=0)
            return True
        if old is not None and _same_lineage(old, tail.row):
            self.lineage = known  # objects never change: what is known of them still holds
        self._adopt(tail)
        return tail.row.branches > 1 or self._find_head(backend)

    def _find_head(self, backend: Backend) -> bool:
        """Find the head of a thread's only branch; False if the thread has grown since it was looked at."""
        rows = backend.checkpoints(self.number, 0, None, 1, {})
        if rows and rows[0].seq > self.last:
            return False
        self.heads[0] = BranchRow(0, MAIN, None, rows[0].seq if rows else 0)
        return True

    def _adopt(self, tail: Tail) -> None:
        self.row = tail.row
        self.life = tail.row.life
        self.last = tail.last
        self.ordinal = tail.ordinal
        self.seal = tail.seal
        self.unsealed = list(tail.unsealed)
        self.heads.update({branch.number: branch for branch in tail.branches})
        if self.lineage.secret != tail.row.secret:
            self.lineage = Lineage(tail.row.secret, tail.objects, complete=False)
        self.lineage.last, self.lineage.complete = tail.objects, False

    def catch_up(self, backend: Backend) -> None:
        """Be as up to date as the engine."""
        if not self.loaded or self.row is None or self.row.number is None:
            self.load(backend)
            return
        if backend.standing(self.row) != self.standing:
            self.load(backend)

    @property
    def thread_id(self) -> str:
        """The thread's id."""
        return self.name.decode("utf-8", "surrogatepass")

    @property
    def standing(self) -> Standing:
        """How the thread stands as far as this process knows."""
        assert self.row is not None
        end = self.unsealed[-1] if self.unsealed else self.seal
        return Standing(self.row.epoch, self.row.lineage_epoch, self.last, end)

    @property
    def number(self) -> int:
        """The thread's number in the engine."""
        assert self.row is not None and self.row.number is not None
        return self.row.number

    @property
    def stored(self) -> bool:
        """Whether the engine has the thread."""
        return self.row is not None and self.row.number is not None

    def entry(self, backend: Backend, namespace: str, checkpoint_id: str) -> Entry | None:
        """The checkpoint of that id with its writes, or None if nothing is anchored there."""
        key = (namespace, checkpoint_id)
        entry = self.entries.get(key)
        if entry is None and not self.complete and self.stored:
            entry = self.fetch(backend, [anchor_of(namespace, checkpoint_id)]).get(key)
        return entry

    def head(self, backend: Backend, branch: int) -> Entry | None:
        """The last checkpoint of a branch."""
        number = self.heads[branch].head
        if not number:
            return None
        key = self._by_number.get(number)
        if key is None or key not in self.entries:
            row = backend.records(self.number, number - 1, 1)[0]
            found = self.fetch(backend, [row.anchor or 0])
            key = next(k for k, e in found.items() if e.row is not None and e.row.seq == number)
        return self.entries[key]

    def fetch(self, backend: Backend, anchors: Sequence[int]) -> dict[tuple[str, str], Entry]:
        """Read checkpoints with their writes and hold them."""
        found = entries_of(read_rows(r for r in backend.anchored(self.number, anchors) if r.seq <= self.last))
        for key, entry in found.items():
            self._hold(key, entry)
        return found

    def _hold(self, key: tuple[str, str], entry: Entry) -> None:
        self.entries[key] = entry
        if entry.row is not None:
            self._by_number[entry.row.seq] = key
        if len(self.entries) > _ENTRIES_HELD:
            _, gone = self.entries.popitem(last=False)
            if gone.row is not None:
                self._by_number.pop(gone.row.seq, None)
            self.complete = False

    def follow(self, batch: Append, made: Sequence[Made], head: BranchRow | None) -> None:
        """Take in an append of this process that is on its way; `head` is the branch whose head it moves."""
        assert self.row is not None
        if batch.nested:
            self.row.nested = True
        for branch in (*batch.branches, *((head,) if head is not None else ())):
            self.heads[branch.number] = branch
            self.row.branches = max(self.row.branches, branch.number + 1)
        if batch.switch is not None:
            self.row.current = batch.switch
        for row, record in made:
            self.last = row.seq
            self.unsealed.append(row.id)
            if row.seal is not None:
                self.ordinal, self.seal, self.unsealed = row.ordinal or 0, row.seal, []
            if isinstance(record, CheckpointRecord):
                self._add_checkpoint(row, record)
            elif isinstance(record, WriteRecord):
                self._add_writes(row, record)
            elif isinstance(record, MergeRecord):
                self.entries[self._by_number[row.seq - 1]].merge = (row, record)

    def _add_checkpoint(self, row: RecordRow, record: CheckpointRecord) -> None:
        key = (record.namespace, record.checkpoint_id)
        entry = self.entries.get(key) or Entry(*key)
        entry.take(row, record, record.parent_checkpoint_id)
        entry.mine = True
        self._hold(key, entry)
        self._remember(row.position or 0, entry)

    def _add_writes(self, row: RecordRow, record: WriteRecord) -> None:
        key = (record.namespace, record.checkpoint_id)
        entry = self.entries.get(key)
        if entry is None:
            if not self.complete:
                return  # writes of a checkpoint that is not held: it is read when it is needed
            entry = Entry(*key)
        entry.add_writes(row, record)
        self._hold(key, entry)

    def move(self, positions: Sequence[tuple[int, int]]) -> None:
        """Follow a new numbering of the causal order: (record number, position)."""
        moved = dict(positions)
        for entry in self.entries.values():
            if entry.row is not None and entry.row.seq in moved:
                entry.row = entry.row._replace(position=moved[entry.row.seq])
        recent = [(e.row.position or 0, e) for _, e in self.recent if e.row is not None]
        self.recent = sorted(recent, key=itemgetter(0))

    def wait_for(self, key: tuple[str, str], follower: tuple[str, str]) -> None:
        """Remember that a checkpoint follows one that has not arrived; the oldest such notes go."""
        self.awaited.setdefault(key, set()).add(follower)
        if len(self.awaited) > _AWAITED_HELD:
            self.awaited.popitem(last=False)

    def _remember(self, position: int, entry: Entry) -> None:
        recent = self.recent
        recent.append((position, entry))
        if len(recent) > 1 and recent[-2][0] > position:
            recent.sort(key=itemgetter(0))
        if len(recent) > _PARSED_HELD:
            recent[-_PARSED_HELD - 1][1].slim()
        if len(recent) > _RECENT_HELD:
            del recent[:-_RECENT_HELD]


def _same_lineage(old: ThreadRow, new: ThreadRow) -> bool:
    return (old.lineage, old.lineage_epoch, old.secret) == (new.lineage, new.lineage_epoch, new.secret)
