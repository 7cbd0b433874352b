"""Errors of reads that others overtook: content that was removed while it was looked for is not missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..backends.base import Backend, RecordRow, Standing, Tail
from ..canonical import utf8
from ..errors import BackendUnavailableError, IntegrityError, WfStoreError

ATTEMPTS = 100
_T = TypeVar("_T")


def tells_nothing(error: Exception) -> bool:
    """Whether an error may come of reading what was half removed; those that say what was asked for do not."""
    return isinstance(error, IntegrityError) or not isinstance(error, WfStoreError)


def removed_between(before: Standing | None, after: Standing | None) -> bool:
    """Whether content, or the thread, was removed between two looks. What was appended takes nothing away."""
    return before is None or after is None or before[:2] != after[:2]


class Overtaken:
    """Tells an error that only comes of others' removals from one that counts: it comes again while nobody removes.

    Args:
        backend: the engine.
        thread_ids: what is read.
    """

    def __init__(self, backend: Backend, thread_ids: Iterable[str]) -> None:
        self._backend = backend
        self._names = [utf8(thread_id) for thread_id in thread_ids]
        self._stood: list[Tail | None] | None = None

    def excuses(self, error: Exception) -> bool:
        """Whether the work that raised an error is to be done again. Only then it must have changed nothing."""
        if not tells_nothing(error):
            return False
        before, self._stood = self._stood, [self._backend.find(name) for name in self._names]
        if before is None:
            return True
        looks = zip(before, self._stood, strict=True)
        return any(
            (old is not None or new is not None)
            and removed_between(None if old is None else old.standing, None if new is None else new.standing)
            for old, new in looks
        )


def steadily(backend: Backend, thread_id: str, work: Callable[[], _T]) -> _T:
    """What several reads give together, read anew if content of the thread was removed meanwhile."""
    overtaken = Overtaken(backend, [thread_id])
    for _ in range(ATTEMPTS):
        try:
            return work()
        except Exception as error:
            if not overtaken.excuses(error):
                raise
    raise too_often(thread_id)


def too_often(thread_id: str) -> BackendUnavailableError:
    """The error for a thread from which others remove faster than it can be read."""
    return BackendUnavailableError(
        f"content of thread {thread_id!r} was removed {ATTEMPTS} times while it was read; nothing was changed. Repeat "
        "it when fewer removals are under way"
    )


def changed_since(backend: Backend, thread: int, row: RecordRow) -> bool:
    """Whether a record that was read before has lost its content."""
    found = backend.records(thread, row.seq - 1, 1)
    return not found or found[0].id != row.id or found[0].state != row.state
