"""A store in this process's memory: the same verbs on dicts, for tests and for what need not last."""

from __future__ import annotations

import secrets
import threading
import time
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import BackendUnavailableError
from .base import (
    CALL,
    CHECKPOINT,
    KEPT,
    REDACTED,
    RUN,
    SKELETON,
    STEP,
    Append,
    BranchRow,
    Capabilities,
    LeaseRow,
    ObjectRow,
    RecordRow,
    Rewrite,
    Stale,
    Standing,
    Tail,
    ThreadRow,
    claimed,
    is_looked_up,
    name_key,
)


@dataclass(slots=True)
class _Lineage:
    secret: bytes
    epoch: int = 0
    objects: dict[int, ObjectRow] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    last: int = 0


@dataclass(slots=True)
class _Thread:
    row: ThreadRow
    records: list[RecordRow] = field(default_factory=list)
    anchors: dict[int, list[int]] = field(default_factory=dict)
    order: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    links: dict[int, set[int]] = field(default_factory=dict)
    branches: dict[int, BranchRow] = field(default_factory=dict)

    def add(self, row: RecordRow) -> None:
        for link in row.links:
            self.links.setdefault(link, set()).add(row.seq)
        row = row._replace(links=()) if row.links else row
        self.records.append(row)
        self._index(row)

    def unlink(self, seq: int) -> None:
        for found in self.links.values():
            found.discard(seq)

    def _index(self, row: RecordRow) -> None:
        if row.anchor is not None:
            self.anchors.setdefault(row.anchor, []).append(row.seq)
        if row.kind == CHECKPOINT and row.space is not None and row.position is not None:
            insort(self.order.setdefault(row.space, []), (row.position, row.seq))

    def reindex(self) -> None:
        self.anchors, self.order = {}, {}
        for row in self.records:
            self._index(row)


class _Done:
    """An append that has happened, or has not."""

    def __init__(self, good: bool) -> None:
        self._good = good

    done = True

    def wait(self) -> None:
        if not self._good:
            raise Stale

    def send(self) -> None:
        """It has been applied."""


class MemoryBackend:
    """The verbs of `Backend` on dicts. Rows are handed out as immutable tuples; thread rows as copies."""

    capabilities = Capabilities("memory", durable=False, shared=False)

    def __init__(self) -> None:
        self.store_secret = secrets.token_bytes(32)
        self._lock = threading.RLock()
        self._threads: dict[int, _Thread] = {}
        self._names: dict[bytes, int] = {}
        self._lineages: dict[int, _Lineage] = {}
        self._tombstones: dict[bytes, dict[int, bytes]] = {}
        self._deleted_runs: set[bytes] = set()
        self._leases: dict[bytes, LeaseRow] = {}
        self._settings: dict[str, bytes] = {}
        self._made = 0
        self._closed = False

    def _open(self) -> threading.RLock:
        if self._closed:
            raise BackendUnavailableError("the store :memory: is closed, and its content is gone; open a new one")
        return self._lock

    # ------------------------------------------------------------------ reading

    def find(self, name: bytes) -> Tail | None:
        with self._open():
            number = self._names.get(name)
            return None if number is None else self._tail(number)

    def row(self, thread: int) -> Tail | None:
        with self._open():
            return self._tail(thread) if thread in self._threads else None

    def _tail(self, number: int) -> Tail:
        thread = self._threads[number]
        lineage = self._lineages[thread.row.lineage or 0]
        unsealed: list[bytes] = []
        ordinal, seal = -1, None
        for row in reversed(thread.records):
            if row.seal is not None:
                ordinal, seal = row.ordinal or 0, row.seal
                break
            unsealed.append(row.id)
        branches = tuple(thread.branches[n] for n in sorted(thread.branches))
        return Tail(
            self._row(thread), len(thread.records), ordinal, seal, tuple(reversed(unsealed)), lineage.last, branches
        )

    def _row(self, thread: _Thread) -> ThreadRow:
        return replace(thread.row, lineage_epoch=self._lineages[thread.row.lineage or 0].epoch)

    def standing(self, row: ThreadRow) -> Standing | None:
        with self._open():
            return self._standing(row.number or 0)

    def _standing(self, number: int) -> Standing | None:
        thread = self._threads.get(number)
        if thread is None:
            return None
        end = (thread.records[-1].seal or thread.records[-1].id) if thread.records else None
        return Standing(thread.row.epoch, self._lineages[thread.row.lineage or 0].epoch, len(thread.records), end)

    def records(self, thread: int, after: int, limit: int) -> list[RecordRow]:
        with self._open():
            return self._threads[thread].records[after : after + limit] if thread in self._threads else []

    def anchored(self, thread: int, anchors: Sequence[int]) -> list[RecordRow]:
        with self._open():
            if thread not in self._threads:
                return []
            found = self._threads[thread]
            return [found.records[n - 1] for n in sorted(n for a in set(anchors) for n in found.anchors.get(a, ()))]

    def checkpoints(
        self, thread: int, space: int | None, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        with self._open():
            if thread not in self._threads:
                return []
            found = self._threads[thread]
            if space is not None:
                order = found.order.get(space, [])
            else:
                order = sorted(item for each in found.order.values() for item in each)
            rows: list[RecordRow] = []
            for position, number in reversed(order):
                if below is not None and position >= below:
                    continue
                row = found.records[number - 1]
                if row.state == KEPT and all(getattr(row, name) == value for name, value in where.items()):
                    rows.append(row)
                    if len(rows) >= limit:
                        break
            return rows

    def before(self, thread: int, position: int) -> int | None:
        with self._open():
            order = self._threads[thread].order
            return max((p for rows in order.values() for p, _ in rows if p < position), default=None)

    def runs(self, thread: int) -> list[RecordRow]:
        with self._open():
            return [r for r in self._records(thread) if r.kind == RUN]

    def of_runs(self, thread: int, runs: Sequence[int]) -> list[RecordRow]:
        with self._open():
            wanted = set(runs)
            return [r for r in self._records(thread) if r.kind >= RUN and r.run in wanted]

    def linked(self, thread: int, links: Sequence[int]) -> list[RecordRow]:
        with self._open():
            if thread not in self._threads:
                return []
            found = self._threads[thread]
            return [found.records[n - 1] for n in sorted({n for x in links for n in found.links.get(x, ())})]

    def links(self, thread: int) -> set[tuple[int, int]]:
        with self._open():
            if thread not in self._threads:
                return set()
            return {(seq, link) for link, seqs in self._threads[thread].links.items() for seq in seqs}

    def _records(self, thread: int) -> list[RecordRow]:
        return self._threads[thread].records if thread in self._threads else []

    def numbered(self, lineage: int, numbers: Sequence[int]) -> list[ObjectRow]:
        with self._open():
            found = self._lineages[lineage].objects
            return [found[number] for number in numbers if number in found]

    def numbers(self, lineage: int, ids: Sequence[bytes]) -> dict[bytes, int]:
        with self._open():
            found = self._lineages[lineage].numbers
            return {name: found[name] for name in ids if name in found}

    def all_objects(self, lineage: int) -> Iterator[ObjectRow]:
        with self._open():
            rows = sorted(self._lineages[lineage].objects.items())
        return iter([row for _, row in rows])

    def threads(self, after: int, limit: int) -> list[Tail]:
        with self._open():
            return [self._tail(number) for number in sorted(n for n in self._threads if n > after)[:limit]]

    def kin(self, lineage: int) -> list[ThreadRow]:
        with self._open():
            return [self._row(t) for _, t in sorted(self._threads.items()) if t.row.lineage == lineage]

    def tombstones(self, name: bytes) -> list[tuple[int, bytes]]:
        with self._open():
            return sorted(self._tombstones.get(self._name_key(name), {}).items())

    def deleted_runs(self, hashes: Sequence[bytes]) -> set[bytes]:
        with self._open():
            return self._deleted_runs & set(hashes)

    def mark_deleted_runs(self, hashes: Sequence[bytes]) -> None:
        with self._open():
            self._deleted_runs |= set(hashes)

    def threads_of_runs(self, runs: Sequence[int]) -> list[int]:
        with self._open():
            wanted = set(runs)
            found = sorted(self._threads.items())
            return [n for n, t in found if any(map(t.links.get, wanted)) or wanted & {r.run for r in t.records}]

    # ------------------------------------------------------------------ writing

    def append(self, batch: Append) -> _Done:
        with self._open():
            return _Done(self._append(batch))

    def _append(self, batch: Append) -> bool:
        row = batch.thread
        if batch.run in self._deleted_runs or not self._fenced(batch):
            return False
        if row.number is None and (batch.expect.last or not self._create(row)):
            return False
        number = row.number or 0
        if self._standing(number) != batch.expect:
            return False
        thread = self._threads[number]
        lineage = self._lineages[thread.row.lineage or 0]
        if any(item.number in lineage.objects for item in batch.objects):
            return False
        for record in batch.records:
            thread.add(record)
        for item in batch.objects:
            lineage.objects[item.number] = item
            if is_looked_up(item):
                lineage.numbers[item.id] = item.number
            lineage.last = item.number
        for seq, position in batch.positions:
            thread.records[seq - 1] = thread.records[seq - 1]._replace(position=position)
        if batch.positions:
            thread.reindex()
        thread.branches.update({branch.number: branch for branch in batch.branches})
        if batch.branches:
            thread.row.branches = max(thread.branches) + 1
        if batch.switch is not None:
            thread.row.current = batch.switch
        thread.row.nested = thread.row.nested or batch.nested
        return True

    def _fenced(self, batch: Append) -> bool:
        held = self._leases.get(self._name_key(batch.thread.name))
        return batch.fence is None or (held is not None and held.token == batch.fence)

    def claim(self, name: bytes, holder: bytes, ttl: int) -> LeaseRow:
        with self._open():
            key, now = self._name_key(name), time.time_ns()
            self._leases[key] = claimed(self._leases.get(key), holder, now, ttl)
            return self._leases[key]

    def release(self, name: bytes, token: int) -> None:
        with self._open():
            key = self._name_key(name)
            held = self._leases.get(key)
            if held is not None and held.token == token:
                self._leases[key] = held._replace(expires=0)

    def lease(self, name: bytes) -> LeaseRow | None:
        with self._open():
            return self._leases.get(self._name_key(name))

    def setting(self, name: str) -> bytes | None:
        with self._open():
            return self._settings.get(name)

    def set_setting(self, name: str, value: bytes | None, expect: bytes | None) -> None:
        with self._open():
            if self._settings.get(name) != expect:
                raise Stale
            if value is None:
                self._settings.pop(name, None)
            else:
                self._settings[name] = value

    def _create(self, row: ThreadRow) -> bool:
        gone = max(self._tombstones.get(self._name_key(row.name), {}), default=0)
        if row.name in self._names or row.life != gone + 1:
            return False
        self._made += 1
        row.number = row.lineage = self._made
        self._lineages[self._made] = _Lineage(row.secret)
        self._threads[self._made] = _Thread(replace(row))
        self._names[row.name] = self._made
        return True

    def copy(self, tail: Tail, name: bytes, life: int, created: int) -> None:
        with self._open():
            source = tail.row.number or 0
            if name in self._names or self._standing(source) != tail.standing:
                raise Stale
            self._made += 1
            old = self._threads[source]
            row = replace(old.row, name=name, life=life, created=created, number=self._made, epoch=0)
            new = self._threads[self._made] = _Thread(row, list(old.records), branches=dict(old.branches))
            new.links = {link: set(seqs) for link, seqs in old.links.items()}
            new.reindex()
            self._names[name] = self._made

    def rewrite(self, change: Rewrite) -> None:
        with self._open():
            kin = {n for n, t in self._threads.items() if t.row.lineage == change.lineage}
            if {number: self._standing(number) for number in kin} != change.expect:
                raise Stale
            self._rewrite(change, kin)

    def _rewrite(self, change: Rewrite, kin: set[int]) -> None:
        lineage = self._lineages[change.lineage]
        for number, record in change.records:
            rows = self._threads[number].records
            rows[record.seq - 1 : record.seq] = [record]
            if record.state == SKELETON:
                self._threads[number].unlink(record.seq)
        for n in change.drop_objects:
            gone = lineage.objects.pop(n, None)
            if gone is not None:
                lineage.numbers.pop(gone.id, None)
        for item in change.replace_objects:
            lineage.objects[item.number] = item
            if item.form == REDACTED:
                lineage.numbers.pop(item.id, None)
        for n, nonce in change.nonces:
            lineage.objects[n] = lineage.objects[n]._replace(nonce=nonce)
        if change.secret is not None:
            lineage.secret = change.secret
            for number in kin:
                self._threads[number].row.secret = change.secret
        for number, branches in change.heads.items():
            self._threads[number].branches.update({b.number: b for b in branches})
        if change.drop_thread is not None:
            dropped = self._threads.pop(change.drop_thread)
            del self._names[dropped.row.name]
            kin.discard(change.drop_thread)
            if change.tombstone is not None:
                name, life, hashes = change.tombstone
                self._tombstones.setdefault(self._name_key(name), {})[life] = hashes
        lineage.epoch += 1
        for number in kin:
            self._threads[number].row.epoch += 1
            self._threads[number].reindex()
        if not kin:
            del self._lineages[change.lineage]

    # ------------------------------------------------------------------ the whole store

    def stats(self) -> dict[str, int]:
        with self._open():
            records = [r for t in self._threads.values() for r in t.records]
            objects = [o for x in self._lineages.values() for o in x.objects.values()]
            record_bytes, object_bytes = sum(len(r.body) for r in records), sum(len(o.data) for o in objects)
            return {
                "threads": len(self._threads),
                "checkpoints": sum(r.kind == CHECKPOINT for r in records),
                "writes": sum(r.kind == 1 for r in records),
                "runs": sum(r.kind == RUN for r in records),
                "steps": sum(r.kind == STEP for r in records),
                "calls": sum(r.kind == CALL for r in records),
                "pruned": sum(r.state != KEPT for r in records),
                "seals": sum(r.seal is not None for r in records),
                "record_bytes": record_bytes,
                "objects": sum(o.form == 0 for o in objects),
                "lists": sum(o.form == 1 for o in objects),
                "maps": sum(o.form == 2 for o in objects),
                "redacted": sum(o.form == REDACTED for o in objects),
                "object_bytes": object_bytes,
                "file_bytes": record_bytes + object_bytes,
                "free_bytes": 0,
            }

    def compact(self) -> None:
        self._open()

    def close(self) -> None:
        self._closed = True

    def _name_key(self, name: bytes) -> bytes:
        return name_key(self.store_secret, name)
