"""A connection of the user's, alone or of a pool: what may be open on it, and rows as the store reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection, Cursor


class ConnectionInUseError(Exception):
    """The owner of a connection has something open on it; nothing was sent."""


def check_idle(db: Connection[Any]) -> None:
    """Refuse a connection of the user's on which something is open; call it with the connection's lock.

    What is acknowledged within a transaction of its owner's would be lost with it, and what a pipeline holds back is
    one transaction with what comes after it.

    Raises:
        ConnectionInUseError: it says what is open.
    """
    from psycopg.pq import PipelineStatus, TransactionStatus

    found = db.pgconn.transaction_status
    if db.pgconn.pipeline_status != PipelineStatus.OFF:
        raise ConnectionInUseError("its owner has a pipeline open on this connection")
    if found in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        raise ConnectionInUseError("its owner has a transaction open on this connection")
    if found == TransactionStatus.ACTIVE:
        raise ConnectionInUseError("its owner has a command under way on this connection")


class Borrowed:
    """A connection whose rows are tuples, whatever its owner has them be; the owner's own use of it is not changed.

    Args:
        connection: what everything else is asked of.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self) -> Cursor[Any]:
        """A cursor of psycopg's own kind."""
        from psycopg import Cursor
        from psycopg.rows import tuple_row

        return Cursor(self._connection, row_factory=tuple_row)

    def execute(self, query: bytes, values: Any = None, *, binary: bool = False) -> Cursor[Any]:
        """As a connection's."""
        return self.cursor().execute(query, values, binary=binary)
