"""What a storage engine must do: a few verbs over rows. All policy stands above, in store.py and its neighbours.

An engine keeps, per thread, rows numbered 1, 2, 3, ... without gaps by an append that succeeds only if nobody
else appended first; per lineage, objects numbered likewise. That is the whole concurrency control, and it can
be expressed on one thread's keys of any engine.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

KEPT, HIDDEN, SKELETON = 0, 1, 2
CHECKPOINT, WRITE, BRANCH, REMOVAL, SWITCH, RUN, STEP, CALL, END, LABEL, MERGE = range(11)
OBJECT, LIST, MAP, REDACTED = range(4)
# An engine finds an object of at least so many bytes by its id, so that no process stores it twice. Smaller ones are
# known to those who wrote or read them; an index of all ids would cost more than it saves (docs/decisions).
LOOKED_UP = 1024
INDEXED = frozenset({"source", "step", "run", "branch", "within"})  # what checkpoints can be asked for by


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do.

    Attributes:
        name: as in the URL.
        durable: what was acknowledged survives the process.
        shared: other processes can open the same place.
    """

    name: str
    durable: bool
    shared: bool


class ObjectRow(NamedTuple):
    """One object: `form` is OBJECT, LIST, MAP or REDACTED; `nonce` is None where the lineage's secret gives it.

    Of a redacted object number and id are left; `tag` is empty, `nonce` None, and `data` a mask (values/masks.py).
    """

    number: int
    id: bytes
    form: int
    tag: str
    nonce: bytes | None
    data: bytes


class RecordRow(NamedTuple):
    """One record. Everything from `anchor` on is an index: it follows from the body, or can be rebuilt.

    Attributes:
        seq: the record's number in its thread.
        kind: CHECKPOINT, WRITE, BRANCH, REMOVAL, SWITCH, RUN, STEP, CALL, END, LABEL or MERGE.
        id: the record id.
        state: KEPT, HIDDEN (not shown; kept for a delta channel) or SKELETON (content removed).
        body: canonical bytes; for a skeleton the bytes of `skeleton_body`.
        ordinal, seal: the seal that ends with this record, if one does.
        anchor: hash of namespace and checkpoint id, the same for a checkpoint, its writes and its merge.
        space: hash of the namespace, 0 for the root; None for other kinds than CHECKPOINT, as all that follows.
        position: place in the thread's causal order.
        branch: number of the branch it was put on; None below the root.
        within: anchor of the root checkpoint whose superstep a sub-graph's checkpoint belongs to; of a merge that of
            the second parent.
        source, step: of the metadata.
        run: hash of the run id: the metadata's, or that of a run, step, call or end.
        refs: the numbers of the objects that the record names, in the order of `format.refs_of`, packed.
        links: hashes of what a run, step, call or end is found by besides; not given back with the row.
    """

    seq: int
    kind: int
    id: bytes
    state: int
    body: bytes
    ordinal: int | None
    seal: bytes | None
    anchor: int | None
    space: int | None
    position: int | None
    branch: int | None
    within: int | None
    source: str | None
    step: int | None
    run: int | None
    refs: bytes = b""
    links: tuple[int, ...] = ()


class BranchRow(NamedTuple):
    """One branch: where it starts and where it ends, by record number; of one that was deleted the name is empty."""

    number: int
    name: bytes
    base: int | None
    head: int


@dataclass(slots=True)
class ThreadRow:
    """One life of one thread. `number` and `lineage` are None until the engine has stored the row.

    Attributes:
        name: the thread id, UTF-8 (surrogatepass).
        life: 1 for the first life of that thread id, counted up by every deletion.
        epoch: counted up by every change that is not an append.
        current: number of the branch that is read by default; 0 is the first.
        branches: how many branches there are.
        nested: whether any checkpoint is below the root namespace.
        lineage_epoch: the lineage's epoch: counted up when objects are removed.
        created: ns since 1970.
    """

    name: bytes
    life: int
    secret: bytes
    created: int
    number: int | None = None
    lineage: int | None = None
    epoch: int = 0
    lineage_epoch: int = 0
    current: int = 0
    branches: int = 1
    nested: bool = False


class LeaseRow(NamedTuple):
    """Who may run a thread: `token` is counted up whenever the holder changes, `expires` is ns since 1970."""

    token: int
    holder: bytes
    expires: int


class Standing(NamedTuple):
    """What an append or a removal expects of a thread.

    Attributes:
        epoch, lineage_epoch: as in ThreadRow.
        last: number of the thread's last record, 0 if it has none.
        end: the seal that the last record ends, else its id; None if there is none. A count alone would fit again
            after somebody else's append took the place of one's own.
    """

    epoch: int
    lineage_epoch: int
    last: int
    end: bytes | None


class Tail(NamedTuple):
    """Where a thread stands, with what is needed to go on."""

    row: ThreadRow
    last: int
    ordinal: int
    seal: bytes | None
    unsealed: tuple[bytes, ...]
    objects: int
    branches: tuple[BranchRow, ...]

    @property
    def standing(self) -> Standing:
        """What an operation that was prepared on this expects."""
        end = self.unsealed[-1] if self.unsealed else self.seal
        return Standing(self.row.epoch, self.row.lineage_epoch, self.last, end)


@dataclass(slots=True)
class Append:
    """One atomic append to one thread.

    Attributes:
        thread: the thread; a row without a number is created, unless it is expected to have records.
        expect: how the thread must stand.
        records: numbered on from the thread's last record.
        objects: numbered on from the lineage's last object.
        positions: (seq, position) of checkpoints that move in the causal order.
        branches: branches that are new or whose head moves.
        switch: the branch that becomes current.
        nested: whether the thread gets its first checkpoint below the root.
        run: keyed hash of the run it belongs to; it is stale if that run was deleted.
        fence: the token of the lease under which it is made; it is stale if the thread's lease has another.
        lazy: it may be acknowledged when it survives a crash of the process; a power cut may take it until the next
            append that is not lazy.
    """

    thread: ThreadRow
    expect: Standing
    records: list[RecordRow]
    objects: list[ObjectRow] = field(default_factory=list)
    positions: list[tuple[int, int]] = field(default_factory=list)
    branches: list[BranchRow] = field(default_factory=list)
    switch: int | None = None
    nested: bool = False
    run: bytes | None = None
    fence: int | None = None
    lazy: bool = False


@dataclass(slots=True)
class Rewrite:
    """One atomic removal of content, over the threads that share a lineage.

    Attributes:
        expect: per thread number how it must stand; all threads of the lineage, so that nothing can start to refer to
            what goes.
        records: (thread, row) to replace by seq, or to append.
        drop_objects: object numbers to delete; lists that stay are in `replace_objects` if their base goes.
        replace_objects: rows to replace, by number.
        nonces: (number, nonce) of objects that keep the nonce that the old secret gave them.
        secret: the lineage's new secret; None if it keeps the one it has.
        drop_thread: the thread that goes altogether, or None.
        tombstone: what stays of it: (life, keyed hashes).
        heads: per thread number the branch rows to replace.
    """

    lineage: int
    expect: dict[int, Standing]
    records: list[tuple[int, RecordRow]] = field(default_factory=list)
    drop_objects: list[int] = field(default_factory=list)
    replace_objects: list[ObjectRow] = field(default_factory=list)
    nonces: list[tuple[int, bytes]] = field(default_factory=list)
    secret: bytes | None = None
    drop_thread: int | None = None
    tombstone: tuple[bytes, int, bytes] | None = None
    heads: dict[int, list[BranchRow]] = field(default_factory=dict)


def name_key(store_secret: bytes, name: bytes) -> bytes:
    """What a thread id is found by: 16 bytes, keyed, so that what stays of a deleted thread does not tell its id."""
    return hmac.digest(store_secret, b"thread " + name, "sha256")[:16]


def is_looked_up(row: ObjectRow) -> bool:
    """Whether an engine finds the object by its id; see LOOKED_UP."""
    return row.form == OBJECT and len(row.data) >= LOOKED_UP


def lookup(name: bytes) -> int:
    """The number, of 64 bits with sign, that a large object's id is found by where numbers are indexed."""
    return int.from_bytes(name[:8], "big", signed=True)


def looked_up(row: ObjectRow) -> int | None:
    """What an object is found by, if it is large; see `lookup`."""
    return lookup(row.id) if is_looked_up(row) else None


def check_indexed(where: Collection[str]) -> None:
    """ValueError if checkpoints are asked for by what is not indexed."""
    if unknown := sorted(set(where) - INDEXED):
        raise ValueError(f"{', '.join(unknown)} is not an indexed column")


def claimed(held: LeaseRow | None, holder: bytes, now: int, ttl: int) -> LeaseRow:
    """The lease after this holder asked for it at `now`: another's stays until it has expired."""
    if held is not None and held.holder == holder:
        return held._replace(expires=now + ttl)
    if held is not None and held.expires > now:
        return held
    return LeaseRow(1 if held is None else held.token + 1, holder, now + ttl)


class Stale(Exception):
    """The thread is not as the operation expected: nothing was written; look again and prepare anew."""


class Pending(Protocol):
    """An append on its way."""

    def wait(self) -> None:
        """Return when it is durable; raise Stale, or the WfStoreError that stopped it."""

    def send(self) -> None:
        """See to it that it is applied soon, without waiting for others; `wait` still says how it ended."""

    @property
    def done(self) -> bool:
        """Whether `wait` returns, or raises, at once."""


class Backend(Protocol):
    """The verbs of an engine. Every read sees every append that returned before it began."""

    capabilities: Capabilities
    store_secret: bytes

    def find(self, name: bytes) -> Tail | None:
        """Where the thread of that id stands; None if there is none."""

    def standing(self, row: ThreadRow) -> Standing | None:
        """How a thread stands, cheaply; None if it is gone."""

    def append(self, batch: Append) -> Pending:
        """Queue an append. Appends are applied in the order of this call."""

    def records(self, thread: int, after: int, limit: int) -> list[RecordRow]:
        """Records by seq, ascending, from the first after `after`."""

    def anchored(self, thread: int, anchors: Sequence[int]) -> list[RecordRow]:
        """All records of these anchors, by seq."""

    def checkpoints(
        self, thread: int, space: int | None, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        """Checkpoint records with KEPT state, newest first.

        Args:
            space: only this namespace; None for all.
            below: only positions smaller than this.
            where: equalities on `source`, `step`, `run`, `branch` and `within`, which are indexed.
        """

    def before(self, thread: int, position: int) -> int | None:
        """The largest position smaller than this one."""

    def runs(self, thread: int) -> list[RecordRow]:
        """The RUN records, by seq."""

    def of_runs(self, thread: int, runs: Sequence[int]) -> list[RecordRow]:
        """The RUN, STEP, CALL and END records of these runs, by seq."""

    def linked(self, thread: int, links: Sequence[int]) -> list[RecordRow]:
        """The records that have one of these links, by seq."""

    def links(self, thread: int) -> set[tuple[int, int]]:
        """Every link of a thread: (seq of the record, link)."""

    def numbered(self, lineage: int, numbers: Sequence[int]) -> list[ObjectRow]:
        """The objects of these numbers, in any order."""

    def numbers(self, lineage: int, ids: Sequence[bytes]) -> dict[bytes, int]:
        """The numbers of those of these ids that are there; knows objects of at least LOOKED_UP bytes only."""

    def all_objects(self, lineage: int) -> Iterator[ObjectRow]:
        """Every object of a lineage, by number."""

    def threads(self, after: int, limit: int) -> list[Tail]:
        """Threads by number, ascending."""

    def kin(self, lineage: int) -> list[ThreadRow]:
        """The threads that share a lineage."""

    def copy(self, tail: Tail, name: bytes, life: int, created: int) -> None:
        """A new thread with the same records and the same lineage; Stale if the source has moved on."""

    def rewrite(self, change: Rewrite) -> None:
        """Remove content; Stale if any thread of the lineage has moved on.

        With a new secret nothing of what was replaced may be left behind, in a log of writes or in free space.
        """

    def tombstones(self, name: bytes) -> list[tuple[int, bytes]]:
        """(life, sorted keyed hashes of 8 bytes) per deleted life of a thread id."""

    def deleted_runs(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Those of these keyed hashes of run ids that were deleted."""

    def mark_deleted_runs(self, hashes: Sequence[bytes]) -> None:
        """Remember these keyed hashes of run ids as deleted."""

    def threads_of_runs(self, runs: Sequence[int]) -> list[int]:
        """Numbers of the threads that have records of one of these runs: checkpoints, or what has such a link."""

    def claim(self, name: bytes, holder: bytes, ttl: int) -> LeaseRow:
        """Give the lease of a thread id to this holder for `ttl` ns from now, by the engine's clock.

        Returns:
            the lease as it stands then: another's, if that one has not expired. It outlives the thread, so that tokens
            never come again.
        """

    def release(self, name: bytes, token: int) -> None:
        """Let a lease expire now, if it still has this token."""

    def lease(self, name: bytes) -> LeaseRow | None:
        """The lease of a thread id, expired or not; None if nobody ever claimed it."""

    def row(self, thread: int) -> Tail | None:
        """Where the thread of that number stands."""

    def setting(self, name: str) -> bytes | None:
        """The value of a setting of the store; None if it is not set."""

    def set_setting(self, name: str, value: bytes | None, expect: bytes | None) -> None:
        """Set a setting, or remove it with None; Stale if its value is not `expect`. Atomic for this one setting."""

    def stats(self) -> dict[str, int]:
        """Counts and bytes, see WfStore.stats."""

    def compact(self) -> None:
        """Give unused space back."""

    def close(self) -> None:
        """Release everything. Safe to call twice."""
