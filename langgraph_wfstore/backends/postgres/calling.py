"""One call of a function of the schema: its arguments as they are sent, its result as it comes.

It is libpq's blocking call, without a cursor: Python's global lock is given up once for each call, where a cursor gives
it up for every wait. What ends a wait that takes too long is deadlines.py. Where it must be interrupted the same is
sent, and waited for as a cursor does: on a connection of the user's, whose owner may close it meanwhile, which frees
what the blocking call works on, and is told what is notified meanwhile; and on the main thread, which Python interrupts
(Ctrl-C) between calls only.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .borrowed import check_idle

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGconn, PGresult

_BINARY = 1
_DONE, _TUPLES = 1, 2  # libpq's PGRES_COMMAND_OK and PGRES_TUPLES_OK
_UNIQUE_VIOLATION, _NO_SUCH_STATEMENT = "23505", "26000"


class Call:
    """A statement that gives one value, called again and again.

    Args:
        name: what it begins with where it is prepared, for who looks at the server's statements.
        statement: with `$1`, `$2`, ... where the arguments go.
        types: of the arguments, by OID; all of them are sent in PostgreSQL's binary format.
        prepare: have each connection prepare it, once.
        shared: the connection is the user's, who may use and close it meanwhile.
    """

    def __init__(self, name: str, statement: bytes, types: Sequence[int], *, prepare: bool, shared: bool) -> None:
        self._statement = statement
        self._types = types
        self._formats = [_BINARY] * len(types)
        self._shared = shared
        self._prepared: weakref.WeakSet[PGconn] | None = weakref.WeakSet() if prepare else None
        self._name = f"{name}_{secrets.token_hex(8)}".encode()  # others may share the connections

    def value(self, db: Connection[Any], values: Sequence[bytes | None]) -> bytes | None:
        """The value in PostgreSQL's binary format; None for null, and if somebody else made the same key at this time.

        Raises:
            ConnectionInUseError: the owner of the connection has something open on it.
            psycopg.Error: what a cursor raises.
        """
        with db.lock:  # a connection of the user's may be in use on other threads
            if self._shared:
                check_idle(db)
            result = self._result(db, values)
            encoding = db.info.encoding if result.status != _TUPLES else ""
        if encoding:
            _refuse(result, encoding)
            return None
        return result.get_value(0, 0)

    def _result(self, db: Connection[Any], values: Sequence[bytes | None]) -> PGresult:
        connection, rest = db.pgconn, (self._formats, _BINARY)
        if self._prepared is None:
            arguments = (self._statement, values, self._types, *rest)
            return self._answer(db, connection.exec_params, connection.send_query_params, *arguments)
        prepared = (connection.exec_prepared, connection.send_query_prepared, self._name, values, *rest)
        result = self._answer(db, *prepared) if connection in self._prepared else None
        if result is None or _state_of(result) == _NO_SUCH_STATEMENT:  # DISCARD ALL, say
            preparing = (connection.prepare, connection.send_prepare, self._name, self._statement, self._types)
            made = self._answer(db, *preparing)
            if made.status != _DONE:
                return made
            self._prepared.add(connection)
            result = self._answer(db, *prepared)
        return result

    def _answer(
        self, db: Connection[Any], blocking: Callable[..., PGresult], sending: Callable[..., None], *arguments: Any
    ) -> PGresult:
        """What the server answers to one command, by the blocking call or by one that an interrupt ends."""
        if not self._shared and threading.current_thread() is not threading.main_thread():
            return blocking(*arguments)
        from psycopg import generators

        sending(*arguments)
        results: list[PGresult] = db.wait(generators.execute(db.pgconn))
        return results[-1]


def _refuse(result: PGresult, encoding: str) -> None:
    """Raise what psycopg raises for an error; nothing if somebody else made the same key at this time.

    Args:
        encoding: Python's name of what the server's messages are in.
    """
    from psycopg import errors

    state = _state_of(result)
    if state == _UNIQUE_VIOLATION:
        return
    if not state:  # the connection broke
        raise errors.OperationalError(result.get_error_message(encoding))
    raise errors.error_from_result(result, encoding)


def _state_of(result: PGresult) -> str:
    """The SQLSTATE of a result that is an error; "" of any other, or if the connection broke."""
    from psycopg.pq import DiagnosticField

    return (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
