"""The retention floor: how old a record must be before anything may remove it, for every process of a store."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from datetime import timedelta

from ..backends.base import Backend, Stale
from ..errors import BackendUnavailableError, IntegrityError, RetentionError
from ..records import CallRecord, RunRecord, StepRecord
from .dating import moment_text, span_ns, span_of, time_of
from .removal import Key, Whole

_SETTING = "retention_floor"
_ATTEMPTS = 100


def floor_of(backend: Backend) -> timedelta | None:
    """The floor that is set in the store; None if there is none."""
    return _read(backend.setting(_SETTING))


def _read(value: bytes | None) -> timedelta | None:
    try:
        return None if value is None else span_of(int(value))
    except (ValueError, OverflowError) as error:
        raise IntegrityError(
            f"the store's retention floor cannot be read ({error}); found {value!r:.60}. Nothing is removed until it "
            "is set anew with store.set_retention_floor(..., force=True), or restored from a backup"
        ) from error


def set_floor(backend: Backend, floor: timedelta | None, force: bool) -> None:
    """See `WfStore.set_retention_floor`."""
    if floor is not None and not isinstance(floor, timedelta):
        raise TypeError(f"the retention floor is a timedelta or None, not {type(floor).__name__}: {floor!r:.100}")
    if floor is not None and floor <= timedelta(0):
        raise ValueError(f"the retention floor is {floor}; it must be above 0, or None for no floor")
    new = None if floor is None else b"%d" % span_ns(floor)
    for _ in range(_ATTEMPTS):
        old = backend.setting(_SETTING)
        if not force:
            _refuse_lower(_read(old), floor)
        try:
            # Compare and set of one value: who raises the floor at the same time is never overwritten with less.
            backend.set_setting(_SETTING, new, old)
        except Stale:
            continue
        return
    raise BackendUnavailableError(
        f"the retention floor changed {_ATTEMPTS} times while it was to be set; nothing was changed. Set it again"
    )


def _refuse_lower(old: timedelta | None, new: timedelta | None) -> None:
    if old is not None and (new is None or new < old):
        what = "removed" if new is None else f"lowered to {new}"
        raise RetentionError(
            f"the retention floor of this store is {old} and was to be {what}. Nothing was changed: anybody can "
            "raise it; it can be lowered or removed only with force=True"
        )


def check_floor(
    backend: Backend, asked: str, whole: Whole, gone: Collection[Key], traces: Collection[int] = ()
) -> None:
    """Refuse to remove what is younger than the floor; the floor is read anew, so that every plan obeys the latest.

    Args:
        asked: what was asked, as a caller writes it.
        gone: the checkpoints that are to go.
        traces: numbers of the records of runs, steps and calls that are to go.

    Raises:
        RetentionError: one of them is younger, or has no time that can be read.
    """
    floor = floor_of(backend)
    if floor is None:
        return
    limit = time.time_ns() - span_ns(floor)
    young = [(at, what) for at, what in _going(whole, gone, traces) if at is None or at >= limit]
    if young:
        raise _too_young(asked, whole, floor, young)


def _going(whole: Whole, gone: Collection[Key], traces: Collection[int]) -> Iterator[tuple[int | None, str]]:
    for namespace, checkpoint_id in gone:
        record = whole.entries[namespace, checkpoint_id].record
        if record is not None:
            yield time_of(record), f"checkpoint {checkpoint_id!r} of namespace {namespace!r}"
    for number in traces:
        trace = whole.made[number - 1][1]
        if isinstance(trace, RunRecord | StepRecord | CallRecord):
            yield trace.started, f"{type(trace).__name__.removesuffix('Record').lower()} of run {trace.run_id!r}"


def _too_young(asked: str, whole: Whole, floor: timedelta, young: list[tuple[int | None, str]]) -> RetentionError:
    at, what = max(young, key=lambda each: float("inf") if each[0] is None else each[0])
    if at is None:
        why = f"{what} has no time that can be read, and counts as younger"
    else:
        why = f"the youngest, {what}, is of {moment_text(at)} and may go from {moment_text(at + span_ns(floor))} on"
    name = whole.tail.row.name.decode("utf-8", "surrogatepass")
    return RetentionError(
        f"{asked} asks to remove {len(young)} records of thread {name!r} that are younger than the retention floor of "
        f"{floor}: {why}. Nothing was removed. Wait, ask for less, or lower the floor with "
        "store.set_retention_floor(..., force=True)"
    )
