"""The verbs that remove: whole threads, the checkpoints of runs, old checkpoints, branches; and copying threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ..appending.refusals import keyed_hash, run_hash
from ..arguments import checked_branch_name
from ..backends.base import Backend, Rewrite, Stale
from ..canonical import utf8
from ..codec import Codec
from ..errors import BackendUnavailableError, BranchNotFoundError, ConflictError
from ..records import CallRecord, EndRecord, RunRecord, StepRecord
from ..threads.overtaken import Overtaken
from ..threads.view import MAIN, run_of
from ..threads.views import Views
from .families import Families
from .floor import check_floor, floor_of
from .policy import only_on
from .removal import Key, Removal, Whole, change_for, whole_of

_ATTEMPTS = 100
_TRACES = (RunRecord, StepRecord, CallRecord, EndRecord)


def delete_thread(views: Views, codec: Codec, thread_id: str) -> None:
    """See `WfStore.delete_thread`."""

    def plan() -> Rewrite | None:
        tail = views.backend.find(utf8(thread_id))
        if tail is None:
            return None
        whole = whole_of(views.backend, tail)
        check_floor(views.backend, f"delete_thread({thread_id!r})", whole, *content_of(whole))
        return deletion(views, codec, whole)

    repeat(views, plan, [thread_id])


def deletion(views: Views, codec: Codec, whole: Whole) -> Rewrite:
    """The removal of a whole thread."""
    row = whole.tail.row
    hashes = sorted({keyed_hash(views.backend.store_secret, *key) for key in whole.entries})
    change = change_for(views, codec, [], dropped=whole)
    change.tombstone = (row.name, row.life, b"".join(hashes))
    return change


def content_of(whole: Whole) -> tuple[set[Key], set[int]]:
    """The checkpoints of a thread whose content is there, hidden ones too, and the numbers of its traces' records."""
    traces = {row.seq for row, record in whole.made if isinstance(record, _TRACES)}
    return {key for key, entry in whole.entries.items() if entry.record is not None}, traces


def delete_for_runs(views: Views, codec: Codec, run_ids: Sequence[str]) -> None:
    """See `WfStore.delete_for_runs`."""
    if not run_ids:
        return
    backend = views.backend
    numbers = backend.threads_of_runs(sorted(run_of(run_id) for run_id in run_ids))
    if floor_of(backend) is not None:  # before the runs are marked, and so before anything is changed
        for number in numbers:
            _removal_of_runs(backend, number, run_ids)
    backend.mark_deleted_runs([run_hash(backend.store_secret, run_id) for run_id in run_ids])
    for number in backend.threads_of_runs(sorted(run_of(run_id) for run_id in run_ids)):

        def plan(number: int = number) -> Rewrite | None:
            removal, traces = _removal_of_runs(backend, number, run_ids)
            return None if removal is None else change_for(views, codec, [removal], traces=traces)

        tail = backend.row(number)
        repeat(views, plan, [] if tail is None else [tail.row.name.decode("utf-8", "surrogatepass")])


def _removal_of_runs(backend: Backend, number: int, run_ids: Sequence[str]) -> tuple[Removal | None, set[int]]:
    """What these runs have put in a thread: checkpoints, and numbers of the records of their steps and calls.

    Raises:
        RetentionError: the floor forbids to remove it.
    """
    tail = backend.row(number)
    if tail is None:
        return None, set()
    whole = whole_of(backend, tail)
    runs = {run_of(run_id) for run_id in run_ids}
    gone = {k for k, e in whole.entries.items() if e.shown and e.row is not None and e.row.run in runs}
    traces = _traces(whole, frozenset(run_ids))
    check_floor(backend, f"delete_for_runs({list(run_ids)!r:.100})", whole, gone, traces)
    return (Removal(whole, gone, "delete_for_runs") if gone or traces else None), traces


def delete_branch(views: Views, codec: Codec, thread_id: str, name: str) -> None:
    """See `Thread.delete_branch`."""
    wanted = utf8(checked_branch_name(name))

    def plan() -> Rewrite:
        tail = views.tail(thread_id)
        branches = {branch.name: branch.number for branch in tail.branches} or {MAIN: 0}
        if wanted not in branches:
            names = ", ".join(repr(each.decode("utf-8", "surrogatepass")) for each in sorted(branches) if each)
            raise BranchNotFoundError(f"thread {thread_id!r} has no branch {name!r}; it has {names}")
        number = branches[wanted]
        if number in (0, tail.row.current):
            what = "the first one, which always stays" if not number else "the current one; switch to another first"
            raise ConflictError(f"branch {name!r} of thread {thread_id!r} is {what}. Nothing was deleted")
        whole = whole_of(views.backend, tail)
        own = frozenset((number,))
        gone = only_on(whole, Families(whole), own)
        check_floor(views.backend, f"delete_branch({name!r})", whole, gone)
        return change_for(views, codec, [Removal(whole, gone, "delete_branch", own)])

    repeat(views, plan, [thread_id])


def copy_thread(views: Views, source_id: str, target_id: str) -> None:
    """See `WfStore.copy_thread`."""
    name = utf8(target_id)
    for _ in range(_ATTEMPTS):
        tail = views.tail(source_id)
        if views.backend.find(name) is not None:
            raise ConflictError(
                f"thread {target_id!r} exists; nothing was copied. Delete it first, or copy to another thread id"
            )
        life = 1 + max((life for life, _ in views.backend.tombstones(name)), default=0)
        try:
            views.backend.copy(tail, name, life, time.time_ns())
        except Stale:
            continue
        views.forget(views.of(target_id))
        return
    raise _busy(source_id)


def repeat(views: Views, plan: Callable[[], Rewrite | None], thread_ids: Iterable[str]) -> None:
    """Plan and apply a removal, anew while somebody writes to the threads it concerns."""
    thread_ids = list(thread_ids)
    overtaken = Overtaken(views.backend, thread_ids)
    for _ in range(_ATTEMPTS):
        try:
            change = plan()
            if change is None:
                return
            views.backend.rewrite(change)
        except Stale:
            continue
        except Exception as error:
            if not overtaken.excuses(error):
                raise
            continue
        for thread_id in thread_ids:
            views.forget(views.of(thread_id))
        views.shelf.clear()
        return
    raise _busy(", ".join(thread_ids))


def _busy(what: str) -> BackendUnavailableError:
    return BackendUnavailableError(
        f"{what or 'a thread'} was written to {_ATTEMPTS} times while the operation was prepared; nothing was changed. "
        "Repeat it when fewer runs are active"
    )


def _traces(whole: Whole, run_ids: frozenset[str]) -> set[int]:
    """Numbers of the records of these runs, with their steps and calls, whose content is there."""
    asked = {
        record.run_id
        for _, record in whole.made
        if isinstance(record, RunRecord) and not run_ids.isdisjoint((record.run_id, record.metadata_run_id))
    }
    return {row.seq for row, record in whole.made if isinstance(record, _TRACES) and record.run_id in asked}
