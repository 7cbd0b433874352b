"""A thread that comes into a store whole or not at all.

A small one is held in memory, verified there, and appended at once. A large one is appended bit by bit to a thread that
nobody is shown, verified, and then copied under its name, which copies no object; its first name is dropped.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from ..arguments import HIDDEN_ID, is_hidden
from ..backends.base import (
    Append,
    Backend,
    BranchRow,
    ObjectRow,
    RecordRow,
    Rewrite,
    Stale,
    Standing,
    Tail,
    ThreadRow,
)
from ..backends.memory import MemoryBackend
from ..canonical import hex_id, utf8
from ..errors import BackendUnavailableError, IntegrityError
from ..verify import verify_thread

_HELD = 16 << 20  # bytes of values that are held in memory
_LEASE = 3600 * 10**9  # ns; renewed with every append
_ATTEMPTS = 20
_SHOWN = 5  # problems in an error
_PAGE = 500


class Batch(NamedTuple):
    """Rows that are appended together, and how many bytes they hold."""

    records: list[RecordRow]
    objects: list[ObjectRow]
    size: int


@dataclass(slots=True)
class Ending:
    """What a thread is besides its records.

    Attributes:
        branches: rows of its branches; none if it has only the first.
        current: number of the current one.
        nested: whether a checkpoint is below the root.
    """

    branches: list[BranchRow] = field(default_factory=list)
    current: int = 0
    nested: bool = False


class Staging:
    """A thread on its way into a store. A context manager: what was not published is removed at its end.

    Args:
        backend: where it goes.
        name: its name there.
        secret: of its new lineage.
    """

    def __init__(self, backend: Backend, name: bytes, secret: bytes) -> None:
        self._backend = backend
        self._name = name
        self._row = ThreadRow(utf8(HIDDEN_ID) + secrets.token_hex(16).encode(), 1, secret, time.time_ns())
        self._holder = secrets.token_bytes(16)
        self._held: list[Batch] = []
        self._size = 0
        self._last = 0
        self._end: bytes | None = None
        self._leased = 0

    def add(self, batch: Batch) -> None:
        """Take a batch that others follow."""
        self._size += batch.size
        self._held.append(batch)
        if self._size > _HELD:
            if self._row.number is None:
                sweep(self._backend)
            self._flush()

    def _flush(self) -> None:
        """Append what is held to the hidden thread."""
        for batch in self._held:
            self._append(batch, Ending())
        self._held.clear()

    def _append(self, batch: Batch, ending: Ending) -> None:
        now = time.monotonic_ns()
        if not self._leased or now - self._leased > _LEASE // 4:
            self._backend.claim(self._row.name, self._holder, _LEASE)
            self._leased = now
        expect = Standing(0, 0, self._last, self._end)
        self._backend.append(_append_of(self._row, expect, [batch], ending)).wait()
        last = batch.records[-1]
        self._last, self._end = last.seq, last.seal or last.id

    def publish(self, last: Batch, ending: Ending, head: bytes | None) -> bool:
        """Verify the thread and give it its name.

        Args:
            last: the last batch.
            head: a seal that must be in its chain.

        Returns:
            whether it has the name; False if there is a thread of that name.

        Raises:
            IntegrityError: it does not verify.
        """
        if self._row.number is None:
            return self._publish_held([*self._held, last], ending, head)
        self._append(last, ending)
        _verify(self._backend, self._row.name, head)
        for _ in range(_ATTEMPTS):
            tail = self._backend.find(self._row.name)
            if tail is None:
                raise BackendUnavailableError("another import took this one for one that was killed; repeat it")
            if self._backend.find(self._name) is not None:
                return False
            try:
                self._backend.copy(tail, self._name, _life(self._backend, self._name), time.time_ns())
            except Stale:
                continue
            return True
        raise _busy()

    def _publish_held(self, batches: list[Batch], ending: Ending, head: bytes | None) -> bool:
        rehearsal = MemoryBackend()
        nothing = Standing(0, 0, 0, None)
        row = ThreadRow(self._name, 1, self._row.secret, self._row.created)
        rehearsal.append(_append_of(row, nothing, batches, ending)).wait()
        _verify(rehearsal, self._name, head)
        for _ in range(_ATTEMPTS):
            if self._backend.find(self._name) is not None:
                return False
            row = ThreadRow(self._name, _life(self._backend, self._name), self._row.secret, self._row.created)
            try:
                self._backend.append(_append_of(row, nothing, batches, ending)).wait()
            except Stale:
                continue
            return True
        raise _busy()

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        if self._row.number is not None:
            drop(self._backend, self._row.name)


def _append_of(row: ThreadRow, expect: Standing, batches: list[Batch], ending: Ending) -> Append:
    return Append(
        row,
        expect,
        [record for batch in batches for record in batch.records],
        [item for batch in batches for item in batch.objects],
        branches=ending.branches,
        switch=ending.current or None,
        nested=ending.nested,
    )


def _busy() -> BackendUnavailableError:
    return BackendUnavailableError(f"the thread was made and deleted {_ATTEMPTS} times meanwhile; repeat the import")


def _life(backend: Backend, name: bytes) -> int:
    return 1 + max((life for life, _ in backend.tombstones(name)), default=0)


def _verify(backend: Backend, name: bytes, head: bytes | None) -> None:
    report = verify_thread(backend, name, None if head is None else hex_id(head))
    if not report.ok:
        more = "" if len(report.problems) <= _SHOWN else f", and {len(report.problems) - _SHOWN} more"
        said = "; ".join(map(str, report.problems[:_SHOWN]))
        raise IntegrityError(f"the thread does not verify: {said}{more}. Nothing was imported; ask for it anew")


def drop(backend: Backend, name: bytes) -> None:
    """Remove a hidden thread; what it shares with the thread that was made of it stays."""
    for _ in range(_ATTEMPTS):
        tail = backend.find(name)
        if tail is None:
            return
        lineage = tail.row.lineage or 0
        rows = [backend.row(kin.number or 0) for kin in backend.kin(lineage)]
        expect = {row.row.number or 0: row.standing for row in rows if row is not None}
        try:
            backend.rewrite(Rewrite(lineage, expect, drop_thread=tail.row.number))
        except Stale:
            continue
        return


def sweep(backend: Backend) -> None:
    """Remove the hidden threads of imports that were killed: those whose lease has expired."""
    after = 0
    while page := backend.threads(after, _PAGE):
        for tail in page:
            if is_hidden(tail.row.name) and _abandoned(backend, tail):
                drop(backend, tail.row.name)
        after = page[-1].row.number or 0


def _abandoned(backend: Backend, tail: Tail) -> bool:
    lease = backend.lease(tail.row.name)
    return lease is None or backend.claim(tail.row.name, secrets.token_bytes(16), 1).token != lease.token
