"""Threads from one store to another, on whatever engines they are, without a file between."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backends.base import SKELETON, Backend, Stale, Tail
from ..counting import counted
from ..errors import ThreadNotFoundError, WfStoreError
from ..format import read_record
from .exporting import settled, stands
from .importing import Brought, Placed, bring, root_of
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
        present: of those that were there already.
        lacking: (id, how many) of those of them without content of so many values that they have here: it was withheld,
            redacted or pruned there.
        refused: (id, why) of those that were not copied: there is another thread of that id, or it is damaged here.
    """

    copied: tuple[str, ...]
    present: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    lacking: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        said = f"{counted(len(self.copied), 'thread')} copied, {len(self.present)} there already"
        lines = [f"{said}, {len(self.refused)} refused" if self.refused else said]
        lines += [
            f"{name}: there already, but without {counted(many, 'value')} withheld, redacted or pruned there. To "
            "have them, delete the thread there and copy again"
            for name, many in self.lacking
        ]
        return "\n".join([*lines, *(f"{name}: {why}" for name, why in self.refused)])


def copy_to(
    source: WfStore, target: WfStore, thread_ids: Iterable[str] | None = None, progress: Progress | None = None
) -> CopyReport:
    """See `WfStore.copy_to`."""
    if _is_one(source.backend, target.backend):
        raise WfStoreError(
            "source and target are one store, so there is nothing to copy; nothing was written. Name another store, "
            "or make a copy under another thread id with store.copy_thread"
        )
    copied: list[str] = []
    present: list[str] = []
    refused: list[tuple[str, str]] = []
    lacking: list[tuple[str, int]] = []
    for thread_id in source.thread_ids() if thread_ids is None else thread_ids:
        try:
            new, lacks = _copy(source, target, thread_id, progress)
        except ThreadNotFoundError as error:
            if thread_ids is not None:  # else it was deleted since it was listed
                refused.append((thread_id, str(error)))
        except WfStoreError as error:
            refused.append((thread_id, str(error)))
        else:
            (copied if new else present).append(thread_id)
            lacking += [(thread_id, lacks)] if lacks else []
    return CopyReport(tuple(copied), tuple(present), tuple(refused), tuple(lacking))


def _is_one(source: Backend, target: Backend) -> bool:
    """Whether both are one store, by whatever paths or URLs they were opened.

    A store and a backup of its file have the same secret, so that this alone does not tell: what is set in one store is
    seen in the other only if it is the same.
    """
    if source is target or source.store_secret != target.store_secret:
        return source is target
    name = f"is it one store: {secrets.token_hex(16)}"
    target.set_setting(name, b"yes", None)
    try:
        return source.setting(name) is not None
    finally:
        target.set_setting(name, None, b"yes")


def _copy(source: WfStore, target: WfStore, thread_id: str, progress: Progress | None) -> tuple[bool, int]:
    def attempt(tail: Tail) -> tuple[bool, int]:
        def agrees(_: Facts) -> None:
            if not stands(source, tail):
                raise Stale

        def went(done: int, of: int) -> None:
            if progress is not None:
                progress(thread_id, done, of)

        root = root_of(source.backend, tail, tail.last)
        brought = Brought(lambda: (_placed(source, tail), agrees), tail.last, root)
        return bring(target, thread_id, brought, _NO_LIMITS, went)

    return settled(source, thread_id, attempt, afterwards=False)


def _placed(source: WfStore, tail: Tail) -> Iterator[Placed]:
    for line in Source(source.backend, tail).lines():
        if isinstance(line, RecordLine) and line.state != SKELETON:
            yield "the thread", line, read_record(line.kind, line.body)
        else:
            yield "the thread", line, None
