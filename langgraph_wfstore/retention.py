"""The verbs that remove: whole threads, the checkpoints of runs, old checkpoints, branches; and copying threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from .arguments import checked_branch_name
from .backends.base import (
    Rewrite,
    Stale,
)
from .canonical import utf8
from .codec import Codec
from .errors import BackendUnavailableError, BranchNotFoundError, ConflictError
from .policy import latest_of, only_on
from .putting import keyed_hash, run_hash
from .records import CallRecord, EndRecord, RunRecord, StepRecord
from .removal import Removal, Whole, change_for, whole_of
from .view import MAIN, run_of
from .views import Views

_ATTEMPTS = 100


def delete_thread(views: Views, codec: Codec, thread_id: str) -> None:
    """See `WfStore.delete_thread`."""

    def plan() -> Rewrite | None:
        tail = views.backend.find(utf8(thread_id))
        if tail is None:
            return None
        whole = whole_of(views.backend, tail)
        hashes = sorted({keyed_hash(views.backend.store_secret, *key) for key in whole.entries})
        change = change_for(views, codec, [], dropped=whole)
        change.tombstone = (tail.row.name, tail.row.life, b"".join(hashes))
        return change

    repeat(views, plan, [thread_id])


def delete_for_runs(views: Views, codec: Codec, run_ids: Sequence[str]) -> None:
    """See `WfStore.delete_for_runs`."""
    if not run_ids:
        return
    runs = {run_of(run_id) for run_id in run_ids}
    views.backend.mark_deleted_runs([run_hash(views.backend.store_secret, run_id) for run_id in run_ids])
    for number in views.backend.threads_of_runs(sorted(runs)):

        def plan(number: int = number) -> Rewrite | None:
            tail = views.backend.row(number)
            if tail is None:
                return None
            whole = whole_of(views.backend, tail)
            gone = {k for k, e in whole.entries.items() if e.shown and e.row is not None and e.row.run in runs}
            traces = _traces(whole, frozenset(run_ids))
            if not gone and not traces:
                return None
            return change_for(views, codec, [Removal(whole, gone, "delete_for_runs")], traces=traces)

        repeat(views, plan, [])


def prune(views: Views, codec: Codec, thread_ids: Sequence[str], strategy: str) -> None:
    """See `WfStore.prune`."""
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f"strategy is {strategy!r}; known are 'keep_latest' and 'delete'")
    for thread_id in thread_ids:
        if strategy == "delete":
            delete_thread(views, codec, thread_id)
            continue

        def plan(thread_id: str = thread_id) -> Rewrite | None:
            tail = views.backend.find(utf8(thread_id))
            if tail is None:
                return None
            whole = whole_of(views.backend, tail)
            gone = {key for key, entry in whole.entries.items() if entry.shown} - latest_of(whole)
            return change_for(views, codec, [Removal(whole, gone, "prune")]) if gone else None

        repeat(views, plan, [thread_id])


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
        return change_for(views, codec, [Removal(whole, only_on(whole, own), "delete_branch", own)])

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
    for _ in range(_ATTEMPTS):
        try:
            change = plan()
            if change is None:
                return
            views.backend.rewrite(change)
        except Stale:
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
    kinds = (RunRecord, StepRecord, CallRecord, EndRecord)
    return {row.seq for row, record in whole.made if isinstance(record, kinds) and record.run_id in asked}
