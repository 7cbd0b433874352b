"""Pruning: a policy over some threads or all, one atomic change for each; or as a dry run, which writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from ..arguments import checked_thread_id, several
from ..backends.base import CHECKPOINT, HIDDEN, KEPT, WRITE, Rewrite, Tail
from ..canonical import utf8
from ..codec import Codec
from ..threads.view import read_rows
from ..threads.views import Views
from .dating import limit_ns, span_ns, time_of
from .floor import check_floor, floor_of
from .policy import Policy, Selection, newest, select
from .prune_report import PrunedThread, PruneReport
from .rehearsal import Rehearsal
from .removal import Removal, Whole, change_for, whole_of
from .verbs import content_of, deletion, repeat


class Asked(NamedTuple):
    """What a caller asked for: the policy, and how it is written."""

    policy: Policy
    text: str


def asked_for(
    strategy: str, keep_last: int | None, older_than: datetime | timedelta | None, branches: bool, everywhere: bool
) -> Asked:
    """What the arguments of `WfStore.prune` mean.

    Args:
        everywhere: whether no threads are named.

    Raises:
        ValueError, TypeError: they mean nothing, or contradict each other.
    """
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f"strategy is {strategy!r}; known are 'keep_latest' and 'delete'")
    if keep_last is not None and type(keep_last) is not int:
        raise TypeError(f"keep_last is an int or None, not {type(keep_last).__name__}: {keep_last!r:.100}")
    if keep_last is not None and keep_last < 1:
        raise ValueError(f"keep_last is {keep_last}; it must be 1 or more: the last of a line always stays")
    delete = strategy == "delete"
    if delete and (keep_last is not None or branches):
        raise ValueError("the strategy 'delete' removes whole threads: keep_last and branches say nothing to it")
    if delete and everywhere and older_than is None:
        raise ValueError(
            "the strategy 'delete' would remove every thread of the store; say which threads, or older_than. "
            "prune(store.thread_ids(), 'delete') does remove all"
        )
    given = {"strategy": strategy, "keep_last": keep_last, "older_than": older_than, "branches": branches or None}
    text = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
    return Asked(Policy(delete, keep_last, limit_ns(older_than, time.time_ns()), branches), f"prune({text})")


def named(thread_ids: Iterable[str]) -> list[str]:
    """The ids that a caller gave, each once."""
    return list(dict.fromkeys(map(checked_thread_id, several(thread_ids, "thread ids"))))


def prune(views: Views, codec: Codec, names: Callable[[], Iterable[str]], asked: Asked, dry_run: bool) -> PruneReport:
    """See `WfStore.prune`.

    Args:
        names: gives the ids of the threads; threads may come and go meanwhile.
    """
    if _may_be_refused(views, asked.policy):
        for thread_id in names():
            _refuse(views, thread_id, asked)
    acting = Views(Rehearsal.of(views.backend), views.lineage_secret) if dry_run else views
    looked = 0
    found: list[PrunedThread] = []
    for thread_id in names():
        looked += 1
        pruned = _prune(acting, codec, thread_id, asked)
        if pruned is not None:
            found.append(pruned)
    return PruneReport(dry_run, looked, tuple(found))


def _may_be_refused(views: Views, policy: Policy) -> bool:
    """Whether the floor could forbid any of it, so that all threads are looked at before the first one is changed."""
    floor = floor_of(views.backend)
    return floor is not None and (policy.before is None or policy.before > time.time_ns() - span_ns(floor))


def _refuse(views: Views, thread_id: str, asked: Asked) -> None:
    tail = views.backend.find(utf8(thread_id))
    if tail is not None:
        _plan(views, tail, asked)


class _Planned(NamedTuple):
    whole: Whole
    selection: Selection
    deleted: bool


def _plan(views: Views, tail: Tail, asked: Asked) -> _Planned | None:
    """What goes of a thread; None if it was looked at no closer, because it is too young.

    Raises:
        RetentionError: the floor forbids it.
    """
    policy = asked.policy
    if policy.delete and policy.before is not None and _is_young(views, tail, policy.before):
        return None
    whole = whole_of(views.backend, tail)
    if not policy.delete:
        selection = select(whole, policy)
        check_floor(views.backend, asked.text, whole, selection.gone)
        return _Planned(whole, selection, False)
    latest, undated = newest(whole)
    if policy.before is not None and (latest is None or latest >= policy.before or undated):
        old = latest is None or latest < policy.before
        return _Planned(whole, Selection(set(), frozenset(), undated if old else 0, 0), False)
    check_floor(views.backend, asked.text, whole, *content_of(whole))
    gone = {key for key, entry in whole.entries.items() if entry.shown}
    return _Planned(whole, Selection(gone, frozenset(), 0, 0), True)


def _is_young(views: Views, tail: Tail, before: int) -> bool:
    """Whether the last root checkpoint is too young already; the other records then need not be read."""
    rows = views.backend.checkpoints(tail.row.number or 0, 0, None, 1, {})
    at = time_of(read_rows(rows)[0][1]) if rows else None
    return at is not None and at >= before


def _prune(views: Views, codec: Codec, thread_id: str, asked: Asked) -> PrunedThread | None:
    """Remove what goes of one thread, in one atomic change; what went, None if there is nothing to say."""
    found: list[PrunedThread] = []

    def plan() -> Rewrite | None:
        found.clear()
        tail = views.backend.find(utf8(thread_id))
        planned = None if tail is None else _plan(views, tail, asked)
        if planned is None:
            return None
        whole, (gone, branches, undated, waiting), deleted = planned
        change = None
        if deleted:
            change = deletion(views, codec, whole)
        elif gone or branches:
            change = change_for(views, codec, [Removal(whole, gone, "prune", branches)])
        if change is not None or undated or waiting:
            found.append(_counted(views, thread_id, planned, change))
        return change

    repeat(views, plan, [thread_id])
    return found[0] if found else None


def _counted(views: Views, thread_id: str, planned: _Planned, change: Rewrite | None) -> PrunedThread:
    whole, (_, branches, undated, waiting), deleted = planned
    pruned = PrunedThread(thread_id, undated=undated, waiting=waiting)
    if change is None:
        return pruned
    before = {row.seq: row for row, _ in whole.made if row.state == KEPT}
    if deleted:
        lost = list(before.values())
        hidden = 0
    else:
        after = {row.seq: row for number, row in change.records if number == whole.number}
        lost = [row for seq, row in before.items() if seq in after and after[seq].state != KEPT]
        hidden = sum(after[row.seq].state == HIDDEN for row in lost)
    sizes = _sizes(views, change)
    return PrunedThread(
        thread_id,
        deleted,
        tuple(b.name.decode("utf-8", "surrogatepass") for b in whole.tail.branches if b.number in branches),
        checkpoints=sum(row.kind == CHECKPOINT for row in lost),
        writes=sum(row.kind == WRITE for row in lost),
        hidden=hidden,
        objects=len(sizes),
        bytes=sum(sizes),
        undated=undated,
        waiting=waiting,
    )


def _sizes(views: Views, change: Rewrite) -> list[int]:
    """Bytes of each object that goes, before compression."""
    if change.expect.keys() == {change.drop_thread}:
        return [len(row.data) for row in views.backend.all_objects(change.lineage)]
    return [len(row.data) for row in views.backend.numbered(change.lineage, change.drop_objects)]
