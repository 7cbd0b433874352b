"""What the tables of LangGraph's own savers say beyond their interface: ids, parents, and where writes stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol

from .states import Node, Place

Rows = list[tuple[Any, ...]]
Query = Callable[[str, Sequence[Any]], Rows]


class Tables(Protocol):
    """How a saver's threads and checkpoints are found without reading a state."""

    def thread_ids(self) -> Iterator[Any]:
        """Ids of all threads, the oldest first."""

    def outline(self, thread: Any) -> list[Node]:
        """The checkpoints of a thread, in any order."""

    def latest(self, thread: Any) -> str | None:
        """Id of the checkpoint of the root namespace that is read where no id is given."""

    def places(self, thread: Any, node: Node) -> list[Place]:
        """Where the pending writes of a checkpoint stand, in their order."""


class SqlTables:
    """The tables of a SqliteSaver or PostgresSaver.

    Args:
        query: runs a statement.
        mark: what stands for a parameter in it.
        writes: name of the table of writes.
        has_paths: whether that table has the tasks' paths.
    """

    def __init__(self, query: Query, mark: str, writes: str, has_paths: Callable[[], bool]) -> None:
        self._query = query
        self._mark = mark
        self._writes = writes
        self._has_paths = has_paths

    def thread_ids(self) -> Iterator[str]:
        sql = "SELECT thread_id FROM checkpoints GROUP BY thread_id ORDER BY min(checkpoint_id), thread_id"
        return (row[0] for row in self._query(sql, ()))

    def outline(self, thread: str) -> list[Node]:
        sql = "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints WHERE thread_id = ?"
        return [Node(namespace, id_, parent or None) for namespace, id_, parent in self._rows(sql, thread)]

    def latest(self, thread: str) -> str | None:
        sql = (
            "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' "
            "ORDER BY checkpoint_id DESC LIMIT 1"
        )
        rows = self._rows(sql, thread)
        return rows[0][0] if rows else None

    def places(self, thread: str, node: Node) -> list[Place]:
        path = "task_path" if self._has_paths() else "''"
        sql = (
            f"SELECT {path}, task_id, idx, channel FROM {self._writes} "
            "WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?"
        )
        return sorted(Place(*row) for row in self._rows(sql, thread, *node.key))

    def _rows(self, sql: str, *values: str) -> Rows:
        return self._query(sql.replace("?", self._mark), values)


def tables_of(saver: Any) -> Tables | None:
    """The tables of one of LangGraph's own savers; None for any other."""
    kinds = {
        (cls.__module__.removeprefix("langgraph.checkpoint.").partition(".")[0], cls.__name__)
        for cls in type(saver).__mro__
        if cls.__module__.startswith("langgraph.checkpoint.")
    }
    for kind, query in _QUERIES.items():
        if kind in kinds:
            return _tables(saver, kind[0], query(saver))
    return None


def _tables(saver: Any, package: str, query: Query) -> SqlTables:
    if package == "sqlite":
        return SqlTables(query, "?", "writes", lambda: getattr(saver, "_has_task_path", True))
    return SqlTables(query, "%s", "checkpoint_writes", lambda: True)


def _sqlite(saver: Any) -> Query:
    def query(sql: str, values: Sequence[Any]) -> Rows:
        with saver.cursor(transaction=False) as cursor:
            return list(cursor.execute(sql, values).fetchall())

    return query


def _postgres(saver: Any) -> Query:
    def run(connection: Any, sql: str, values: Sequence[Any]) -> Rows:
        from psycopg.rows import tuple_row

        with connection.cursor(row_factory=tuple_row) as cursor:
            return list(cursor.execute(sql, values).fetchall())

    def query(sql: str, values: Sequence[Any]) -> Rows:
        with saver.lock:
            if not hasattr(saver.conn, "cursor"):  # a pool
                with saver.conn.connection() as connection:
                    return run(connection, sql, values)
            return run(saver.conn, sql, values)

    return query


def _on_loop(saver: Any, work: Callable[[str, Sequence[Any]], Coroutine[Any, Any, Rows]]) -> Query:
    def query(sql: str, values: Sequence[Any]) -> Rows:
        return asyncio.run_coroutine_threadsafe(work(sql, values), saver.loop).result()

    return query


def _async_sqlite(saver: Any) -> Query:
    async def work(sql: str, values: Sequence[Any]) -> Rows:
        await saver.setup()
        async with saver.lock, saver.conn.execute(sql, values) as cursor:
            return [tuple(row) for row in await cursor.fetchall()]

    return _on_loop(saver, work)


def _async_postgres(saver: Any) -> Query:
    async def run(connection: Any, sql: str, values: Sequence[Any]) -> Rows:
        from psycopg.rows import tuple_row

        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(sql, values)
            return list(await cursor.fetchall())

    async def work(sql: str, values: Sequence[Any]) -> Rows:
        async with saver.lock:
            if not hasattr(saver.conn, "cursor"):  # a pool
                async with saver.conn.connection() as connection:
                    return await run(connection, sql, values)
            return await run(saver.conn, sql, values)

    return _on_loop(saver, work)


_QUERIES: dict[tuple[str, str], Callable[[Any], Query]] = {
    ("sqlite", "SqliteSaver"): _sqlite,
    ("sqlite", "AsyncSqliteSaver"): _async_sqlite,
    ("postgres", "PostgresSaver"): _postgres,
    ("postgres", "AsyncPostgresSaver"): _async_postgres,
}
