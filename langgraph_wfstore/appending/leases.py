"""Leases: one runner of a thread at a time, for those who claim it; who was overtaken can put nothing more."""

from __future__ import annotations

import secrets
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from types import TracebackType

from ..backends.base import Backend, LeaseRow
from ..canonical import utf8
from ..errors import ConflictError
from ..threads.view import ThreadView

_ASK_AGAIN = 0.02  # seconds


_LONGEST = timedelta(days=36_500)  # what an engine's nanoseconds and a datetime hold, whatever the year


class Lease:
    """A thread that is held; made by `WfStoreSaver.claim`.

    While it is held every put of its saver to the thread carries its token, and is refused once another holder has
    come. It is a context manager; leaving it releases the lease.

    Attributes:
        thread_id: which thread.
        token: larger than that of every holder before; for what else the runner writes to.
        expires: when another may claim the thread; an aware datetime.
    """

    def __init__(
        self, backend: Backend, thread_id: str, row: LeaseRow, ttl: timedelta, held: MutableMapping[str, int]
    ) -> None:
        self._backend = backend
        self._ttl = ttl
        self._holder = row.holder
        self._held = held
        self.thread_id = thread_id
        self.token = row.token
        self._take(row)

    def __repr__(self) -> str:
        return f"Lease({self.thread_id!r}, token={self.token}, expires={self.expires.isoformat()})"

    def renew(self) -> None:
        """Hold it for its time from now on.

        Raises:
            ConflictError: another holder has come.
        """
        row = self._backend.claim(utf8(self.thread_id), self._holder, _ns(self._ttl))
        if row.token != self.token:
            raise _lost(self.thread_id, self.token, row)
        self._take(row)

    def release(self) -> None:
        """Let others claim the thread. Safe to call twice, and when another holder has come."""
        if self._held.get(self.thread_id) == self.token:
            del self._held[self.thread_id]
        self._backend.release(utf8(self.thread_id), self.token)

    def _take(self, row: LeaseRow) -> None:
        self.expires = datetime.fromtimestamp(row.expires / 10**9, UTC)
        self._held[self.thread_id] = self.token

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def claim(
    backend: Backend,
    thread_id: str,
    ttl: timedelta | float,
    wait: timedelta | float,
    held: MutableMapping[str, int],
) -> Lease:
    """See `WfStoreSaver.claim`."""
    ttl, wait = _time("ttl", ttl), _time("wait", wait).total_seconds()
    if ttl <= timedelta():
        raise ValueError(f"ttl is a time above 0, not {ttl}")
    holder, name = secrets.token_bytes(16), utf8(thread_id)
    end = time.monotonic() + wait
    while (row := backend.claim(name, holder, _ns(ttl))).holder != holder:
        if time.monotonic() >= end:
            until = datetime.fromtimestamp(row.expires / 10**9, UTC).isoformat()
            raise ConflictError(
                f"thread {thread_id!r} is claimed by another runner until {until}; wait for it, with wait=seconds, or "
                "until that one releases it"
            )
        time.sleep(_ASK_AGAIN)
    return Lease(backend, thread_id, row, ttl, held)


def refuse_overtaken(view: ThreadView, backend: Backend, fence: int | None) -> None:
    """ConflictError if another holder has come since the lease with this token was claimed."""
    row = None if fence is None else backend.lease(view.name)
    if fence is not None and (row is None or row.token != fence):
        raise _lost(view.thread_id, fence, row)


def _time(name: str, value: timedelta | float) -> timedelta:
    """A time that was given as such or in seconds; TypeError or ValueError for what is none."""
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a timedelta or a number of seconds, not {type(value).__name__}: {value!r:.100}")
    elif not abs(value) <= _LONGEST.total_seconds():  # not a number is no time either
        raise ValueError(f"{name} is at most {_LONGEST.days} days, not {value!r:.100} seconds")
    else:
        found = timedelta(seconds=value)
    if abs(found) > _LONGEST:
        raise ValueError(f"{name} is at most {_LONGEST.days} days, not {found}")
    return found


def _ns(ttl: timedelta) -> int:
    return int(ttl / timedelta(microseconds=1)) * 1000


def _lost(thread_id: str, token: int, row: LeaseRow | None) -> ConflictError:
    return ConflictError(
        f"the lease on thread {thread_id!r} with token {token} was lost: it expired, and another runner has claimed "
        f"the thread{'' if row is None else f' with token {row.token}'}. Nothing was written; claim it again to go on"
    )
