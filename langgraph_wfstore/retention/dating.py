"""When a record is from, as it says itself; and the moments and spans of time that callers give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ..format import Record
from ..records import CallRecord, CheckpointRecord, RunRecord, StepRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_of(record: Record | None) -> int | None:
    """When a checkpoint was made, or a run, step or call began, in ns since 1970; None if it does not say."""
    if isinstance(record, CheckpointRecord):
        return _time(record.ts)
    return record.started if isinstance(record, RunRecord | StepRecord | CallRecord) else None


def _time(ts: str) -> int | None:
    """A time stamp with an offset from UTC; one without says no moment."""
    try:
        moment = datetime.fromisoformat(ts)
        return None if moment.tzinfo is None else moment_ns(moment)
    except (ValueError, OverflowError):
        return None


def moment_ns(moment: datetime) -> int:
    """An aware datetime in ns since 1970."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def span_ns(span: timedelta) -> int:
    """A span in ns."""
    return span // _MICROSECOND * 1000


def span_of(ns: int) -> timedelta:
    """The span of so many ns."""
    return timedelta(microseconds=ns // 1000)


def moment_text(ns: int) -> str:
    """A moment as a person reads it, in UTC."""
    try:
        return (_EPOCH + timedelta(microseconds=ns // 1000)).isoformat(timespec="seconds")
    except OverflowError:
        return "a time after the year 9999"


def limit_ns(older_than: datetime | timedelta | None, now: int) -> int | None:
    """The moment, in ns since 1970, that a caller draws the line at: given, or so long before `now`.

    Raises:
        TypeError: it is neither a datetime nor a timedelta.
        ValueError: a datetime without a time zone, or a timedelta below 0.
    """
    if older_than is None:
        return None
    if isinstance(older_than, timedelta):
        if older_than < timedelta(0):
            raise ValueError(f"older_than is {older_than}; a span before now is 0 or more")
        return now - span_ns(older_than)
    if not isinstance(older_than, datetime):
        raise TypeError(f"older_than is a datetime or a timedelta, not {older_than!r:.100}")
    if older_than.utcoffset() is None:
        raise ValueError(f"older_than is {older_than!r}, without a time zone; give one, or a timedelta")
    return moment_ns(older_than)
