"""Connections to PostgreSQL: a pool or the user's own, an end to every wait, errors in our words, safe repeats."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...errors import BackendUnavailableError, IntegrityError
from ..lanes import closed_error
from .borrowed import Borrowed, ConnectionInUseError, check_idle
from .deadlines import Deadlines

if TYPE_CHECKING:
    from psycopg import Connection

_T = TypeVar("_T")

# Nothing was applied, and the same may go well a moment later: serialization failure, deadlock, a lock that was not to
# be had, too many connections, the server starts, stops or recovers, a standby that is about to be promoted.
_PASSING = frozenset({"40001", "40P01", "55P03", "53300", "57P01", "57P02", "57P03", "25006"})
_DAMAGE = frozenset({"XX001", "XX002"})  # data and index corrupted
_SHORTEST, _LONGEST = 0.01, 0.5  # s between two tries
_abandoned: list[Any] = []  # pools of the parent of a forked process: to close them would close the parent's sockets


class Connections:
    """What this process talks to the server with.

    Args:
        source: a connection string, a `psycopg_pool.ConnectionPool`, or a `psycopg.Connection`.
        place: what messages call it; without a password.
        pool_size: connections at most, if the pool is ours.
        timeout: seconds after which an operation that was not served raises BackendUnavailableError.
        prepare: let psycopg prepare statements; off behind a proxy that pools by the transaction.

    Raises:
        TypeError: the source is something else.
        ValueError: a connection that does not commit by itself.
    """

    def __init__(self, source: Any, *, place: str, pool_size: int, timeout: float, prepare: bool) -> None:
        from psycopg import Connection
        from psycopg_pool import ConnectionPool

        self.place = place
        self.timeout = timeout
        self._source = source
        self._pool_size = pool_size
        self._prepare = prepare
        self._pool: ConnectionPool[Any] | None = source if isinstance(source, ConnectionPool) else None
        self._own = isinstance(source, str)
        self._single = threading.Lock() if isinstance(source, Connection) else None
        if not (self._own or self._pool or self._single):
            raise TypeError(f"a PostgreSQL store takes a URL, a ConnectionPool or a Connection, not {type(source)!r}")
        if self._single is not None and not source.autocommit:
            raise ValueError(
                "the connection is not in autocommit mode: what a saver acknowledges would be lost with the "
                "transaction that is open; connect with autocommit=True"
            )
        self.closed = False
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._deadlines = Deadlines()

    def read(self, work: Callable[[Connection[Any]], _T]) -> _T:
        """Do what only reads; again on another connection if it fails for a reason that passes."""
        return self.write(lambda db, _: work(db))

    def write(self, work: Callable[[Connection[Any], bool], _T]) -> _T:
        """Do what may be repeated.

        Args:
            work: is told whether an earlier try may have been applied, though no reply came.

        Raises:
            BackendUnavailableError: the server did not serve it within the timeout.
            IntegrityError: the server says that its data are damaged.
            and what `work` raises that no database raised.
        """
        from psycopg import errors
        from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

        deadline = time.monotonic() + self.timeout
        again, pause = False, _SHORTEST
        last: Exception
        while True:
            db: Connection[Any] | None = None
            try:
                with self._connection(deadline) as db:
                    return self._guarded(db, work, again, deadline)
            except (errors.OperationalError, errors.InterfaceError, errors.InternalError) as error:
                state = getattr(error, "sqlstate", None)
                if isinstance(error, PoolTimeout):
                    raise self._unavailable(self._why() or error, again) from error
                if isinstance(error, TooManyRequests | PoolClosed):
                    raise self._unavailable(error, again) from error
                if state in _DAMAGE:
                    raise IntegrityError(f"{self.place}: {_told(error)}; restore a backup") from error
                if state is None or (db is not None and db.closed):
                    again = True  # the connection broke, or could not be had: who knows what the server did
                    if self._single is not None:
                        raise self._unavailable(error, again) from error
                elif state not in _PASSING and not state.startswith("08"):
                    raise self._unavailable(error, again) from error
                last = error
            except errors.DatabaseError as error:
                raise self._refused(error) from error
            except ConnectionInUseError as error:
                last = error
            if time.monotonic() + pause > deadline:
                raise self._unavailable(last, again) from last
            time.sleep(pause * (0.5 + random.random()))
            pause = min(pause * 2, _LONGEST)

    def _guarded(
        self, db: Connection[Any], work: Callable[[Connection[Any], bool], _T], again: bool, deadline: float
    ) -> _T:
        from psycopg import OperationalError

        with self._deadlines.until(db, deadline) as late:
            try:
                return work(db, again)
            except OperationalError as error:
                if late():
                    raise self._unavailable(error, True) from error
                raise

    def first(self, work: Callable[[Connection[Any]], _T]) -> _T:
        """Do what a store begins with; a server that cannot be reached, or lets us not in, is said at once.

        Raises:
            BackendUnavailableError: with the server's reason; nothing is tried again.
        """
        if not self._own:
            return self.read(work)
        from psycopg import errors

        try:
            with self._connected() as db, self._deadlines.until(db, time.monotonic() + self.timeout):
                return work(db)
        except errors.Error as error:
            raise BackendUnavailableError(f"{self.place} cannot be used: {_told(error)}") from error

    def _connected(self) -> Connection[Any]:
        from psycopg import Connection

        return Connection.connect(self._source, **self._arguments)

    @property
    def _arguments(self) -> dict[str, Any]:
        return {
            "autocommit": True,
            "prepare_threshold": 5 if self._prepare else None,
            "connect_timeout": max(2, min(10, int(self.timeout))),
            "application_name": "wfstore",
            "client_encoding": "UTF8",  # the SQL that names the schema is in it, whatever the database is in
        }

    @contextlib.contextmanager
    def _connection(self, deadline: float) -> Iterator[Connection[Any]]:
        """A connection that commits every statement by itself."""
        if self._single is not None:
            if not self._single.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise BackendUnavailableError(f"the connection to {self.place} was busy for {self.timeout:g} s")
            try:
                self._await_owner(deadline)
                yield cast("Connection[Any]", Borrowed(self._source))
            finally:
                self._single.release()
            return
        pool = self._ready()
        with pool.connection(timeout=max(0.05, deadline - time.monotonic())) as db:
            was = db.autocommit
            if not was:
                db.autocommit = True
            try:
                yield db if self._own else cast("Connection[Any]", Borrowed(db))
            finally:
                if not was and not db.closed:
                    db.autocommit = False

    def _await_owner(self, deadline: float) -> None:
        """Wait until nobody holds the user's connection: a COPY, a stream, `notifies`."""
        if not self._source.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise ConnectionInUseError("its owner has a COPY, a stream or `notifies` open on this connection")
        try:
            check_idle(self._source)
        finally:
            self._source.lock.release()

    @property
    def shared(self) -> bool:
        """Whether there is one connection, of the user's."""
        return self._single is not None

    def _ready(self) -> Any:
        """The pool; a forked child opens its own."""
        if self._process != os.getpid():
            self._after_fork()
        with self._lock:
            if self.closed:
                raise closed_error(self.place)
            if self._pool is None:
                self._pool = self._opened()
            return self._pool

    def _after_fork(self) -> None:
        if not self._own:
            raise BackendUnavailableError(
                f"the connections to {self.place} belong to the process that this one was forked from; "
                "open the store anew"
            )
        _abandoned.append(self._pool)
        self._pool, self._process = None, os.getpid()
        self._lock, self._deadlines = threading.Lock(), Deadlines()

    def _opened(self) -> Any:
        from psycopg_pool import ConnectionPool

        return ConnectionPool(
            self._source,
            kwargs=self._arguments,
            min_size=0,
            max_size=self._pool_size,
            timeout=self.timeout,
            reconnect_timeout=self.timeout,
            name="wfstore",
            open=True,
        )

    def _why(self) -> Exception | None:
        """What a pool of our own does not say: why it got no connection. None if there are none to spare."""
        from psycopg import errors

        try:
            if self._own:
                self._connected().close()
        except errors.Error as error:
            return error
        return None

    def _unavailable(self, error: Exception, again: bool) -> BackendUnavailableError:
        lost = "; whether it was applied is not known, repeating it is safe" if again else "; nothing was written"
        if self._single is not None and self._source.closed:
            lost += ", on a store with a new connection: the one that it was given is closed"
        return BackendUnavailableError(f"{self.place} did not serve within {self.timeout:g} s ({_told(error)}){lost}")

    def _refused(self, error: Exception) -> BackendUnavailableError:
        return BackendUnavailableError(f"{self.place} refused: {_told(error)}; nothing was written")

    def close(self) -> None:
        """Close what is ours. Safe to call twice."""
        with self._lock:
            pool, self._pool = self._pool, None
            self.closed = True
        if self._own and pool is not None and self._process == os.getpid():
            pool.close()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
