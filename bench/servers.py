"""Savers on servers of their own, started in the directory that the workload is given; durable as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

SIZE = "stored-bytes"  # a file that says how much is stored, where the directory has much besides


def _postgres(directory: Path, opened: Callable[[str], AbstractContextManager[Any]]) -> AbstractContextManager[Any]:
    import psycopg

    from langgraph_wfstore.testing.postgres_server import PostgresServer

    @contextlib.contextmanager
    def served() -> Iterator[Any]:
        folder = directory / "postgres"
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
        directory.chmod(0o755)
        for parent in directory.parents[:1]:  # the temporary directory of the session, for the server's own user
            parent.chmod(0o755)
        server = PostgresServer(folder)
        if is_new:
            server.make()
        server.start()
        try:
            with opened(server.url) as saver:
                yield saver
            with psycopg.connect(server.url, autocommit=True) as db:
                found = db.execute(
                    "SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_stat_user_tables"
                ).fetchone()
            assert found is not None
            (directory / SIZE).write_text(str(found[0]), encoding="ascii")
        finally:
            server.shut_down()

    return served()


def postgres(directory: Path) -> AbstractContextManager[Any]:
    """LangGraph's PostgresSaver."""

    @contextlib.contextmanager
    def opened(url: str) -> Iterator[Any]:
        from langgraph.checkpoint.postgres import PostgresSaver

        with PostgresSaver.from_conn_string(url) as saver:
            saver.setup()
            yield saver

    return _postgres(directory, opened)


def wfstore_postgres(directory: Path) -> AbstractContextManager[Any]:
    """WfStoreSaver on PostgreSQL."""
    from langgraph_wfstore import WfStoreSaver

    return _postgres(directory, WfStoreSaver)


def wfstore_valkey(directory: Path) -> AbstractContextManager[Any]:
    """WfStoreSaver on Valkey, each write in the append-only file before it is acknowledged."""
    from langgraph_wfstore import WfStoreSaver
    from langgraph_wfstore.testing.redis_server import RedisServer

    durable = (("dir", str(directory)), ("appendonly", "yes"), ("appendfsync", "always"))

    @contextlib.contextmanager
    def served() -> Iterator[Any]:
        with RedisServer("valkey", *durable) as server:
            with WfStoreSaver(server.url) as saver:
                yield saver
            with server.client() as client:
                stored = client.info("memory")["used_memory_dataset"]
            (directory / SIZE).write_text(str(stored), encoding="ascii")

    return served()
