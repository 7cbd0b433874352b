"""An engine for dry runs: it reads from another one, and remembers removals in the place of applying them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ..backends.base import Backend, ObjectRow, RecordRow, Rewrite, Tail, ThreadRow


class Rehearsal:
    """The verbs that a removal reads by, as they would answer after those that were rehearsed before.

    Threads of one lineage share objects: what one of them gives up goes only if those rehearsed before gave it up too.

    Args:
        backend: the engine that holds the store; it is not changed.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._dropped: set[int] = set()
        self._records: dict[int, dict[int, RecordRow]] = {}
        self._objects: dict[int, dict[int, ObjectRow | None]] = {}

    @classmethod
    def of(cls, backend: Backend) -> Backend:
        """A rehearsal as an engine: the verbs that are not here are those of the engine behind it."""
        return cast(Backend, cls(backend))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def find(self, name: bytes) -> Tail | None:
        return self._left(self._backend.find(name))

    def row(self, thread: int) -> Tail | None:
        return self._left(self._backend.row(thread))

    def _left(self, tail: Tail | None) -> Tail | None:
        return None if tail is None or tail.row.number in self._dropped else tail

    def kin(self, lineage: int) -> list[ThreadRow]:
        return [row for row in self._backend.kin(lineage) if row.number not in self._dropped]

    def records(self, thread: int, after: int, limit: int) -> list[RecordRow]:
        changed = self._records.get(thread, {})
        return [changed.get(row.seq, row) for row in self._backend.records(thread, after, limit)]

    def all_objects(self, lineage: int) -> Iterator[ObjectRow]:
        changed = self._objects.get(lineage, {})
        found = (changed.get(row.number, row) for row in self._backend.all_objects(lineage))
        return (row for row in found if row is not None)

    def rewrite(self, change: Rewrite) -> None:
        """Remember what a removal does to threads that others share objects with; nobody looks at another one again."""
        if change.drop_thread is not None:
            self._dropped.add(change.drop_thread)
        if len(change.expect) == 1:
            return
        for number, row in change.records:
            self._records.setdefault(number, {})[row.seq] = row
        objects = self._objects.setdefault(change.lineage, {})
        objects.update(dict.fromkeys(change.drop_objects))
        objects.update({row.number: row for row in change.replace_objects})
