"""Threads from one store to another, on whatever engines they are, without a file between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backends.base import SKELETON, Stale, Tail
from ..errors import ThreadNotFoundError, WfStoreError
from ..format import read_record
from .exporting import settled, stands
from .importing import Placed, bring, root_of
from .lines import RecordLine
from .manifest import Facts
from .opening import Limits
from .source import Source

if TYPE_CHECKING:
    from ..store import WfStore

_NO_LIMITS = Limits(items=1 << 62, list_items=1 << 62)  # what is copied comes from a store, not from a stranger
Progress = Callable[[str, int, int], None]
"""Called with a thread's id, how many of its records are copied, and how many there are."""


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What was copied to another store.

    Attributes:
        copied: ids of the threads that were copied.
        present: of those that were there already, with all that they have here.
        refused: (id, why) of those that were not copied: there is another thread of that id, or it is damaged here.
    """

    copied: tuple[str, ...]
    present: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        said = f"{len(self.copied)} threads copied, {len(self.present)} were there already"
        lines = [f"{said}, {len(self.refused)} refused" if self.refused else said]
        return "\n".join([*lines, *(f"{name}: {why}" for name, why in self.refused)])


def copy_to(
    source: WfStore, target: WfStore, thread_ids: Iterable[str] | None = None, progress: Progress | None = None
) -> CopyReport:
    """See `WfStore.copy_to`."""
    if source.backend is target.backend:
        raise WfStoreError("a store was to be copied to itself; store.copy_thread makes a copy under another thread id")
    copied: list[str] = []
    present: list[str] = []
    refused: list[tuple[str, str]] = []
    for thread_id in source.thread_ids() if thread_ids is None else thread_ids:
        try:
            new = _copy(source, target, thread_id, progress)
        except ThreadNotFoundError as error:
            if thread_ids is not None:  # else it was deleted since it was listed
                refused.append((thread_id, str(error)))
        except WfStoreError as error:
            refused.append((thread_id, str(error)))
        else:
            (copied if new else present).append(thread_id)
    return CopyReport(tuple(copied), tuple(present), tuple(refused))


def _copy(source: WfStore, target: WfStore, thread_id: str, progress: Progress | None) -> bool:
    def attempt(tail: Tail) -> bool:
        def agrees(_: Facts) -> None:
            if not stands(source, tail):
                raise Stale

        def went(done: int, of: int) -> None:
            if progress is not None:
                progress(thread_id, done, of)

        root = root_of(source.backend, tail, tail.last)
        return bring(target, thread_id, _placed(source, tail), _NO_LIMITS, tail.last, root, agrees, went)

    return settled(source, thread_id, attempt, afterwards=False)


def _placed(source: WfStore, tail: Tail) -> Iterator[Placed]:
    for line in Source(source.backend, tail).lines():
        if isinstance(line, RecordLine) and line.state != SKELETON:
            yield "the thread", line, read_record(line.kind, line.body)
        else:
            yield "the thread", line, None
