"""Storage engines, and which one a URL means."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote

from ..errors import WfStoreError
from .base import Backend

_SERVERS = ("redis://", "rediss://", "redis+cluster://")
_POSTGRES = ("postgresql://", "postgres://")


def open_backend(url: Any, *, synchronous: str = "full", read_only: bool = False) -> Backend:
    """The engine behind a URL.

    Args:
        url: a path, `sqlite:///relative.db`, `sqlite:////absolute.db`, `:memory:`, `postgresql://...`, a
            `psycopg_pool.ConnectionPool`, a `psycopg.Connection`, or an open Backend.
        synchronous: how durable, for engines that can choose.
        read_only: never write.

    Raises:
        WfStoreError: no engine of this version serves that URL.
        TypeError: it is not a URL at all.
    """
    if isinstance(url, os.PathLike):
        url = os.fspath(url)
    if _is_postgres(url):
        from .postgres import PostgresBackend

        return PostgresBackend(url, synchronous=synchronous, read_only=read_only)
    if not isinstance(url, str):
        if hasattr(url, "append") and hasattr(url, "capabilities"):
            return url  # type: ignore[no-any-return]  # a Backend of the caller's own
        raise TypeError(f"a store is opened by a path or a URL, not by {type(url).__name__}: {url!r}")
    if url in (":memory:", "memory://"):
        from .memory import MemoryBackend

        return MemoryBackend()
    if url.startswith("sqlite:///"):
        path = unquote(url.removeprefix("sqlite:///"))
    elif "://" in url or url.startswith("file:"):
        hint = "; servers come with a later release" if url.startswith(_SERVERS) else ""
        raise WfStoreError(
            f"no storage engine for {url!r}; known are a path, sqlite:///relative.db, sqlite:////absolute.db, "
            f"postgresql://user@host/database and :memory:{hint}"
        )
    else:
        path = url
    if "\0" in path or (path != url and "?" in path):
        raise WfStoreError(f"{url!r} is not the path of a file; options in the URL are not read, pass them to open()")
    if not path:
        raise WfStoreError(f"{url!r} names no file; write a path such as agent.db, or sqlite:///agent.db")
    from .sqlite import SqliteBackend

    return SqliteBackend(path, synchronous=synchronous, read_only=read_only)


def _is_postgres(url: Any) -> bool:
    """Whether this is a URL of PostgreSQL's, or one of psycopg's pools or connections; psycopg need not be here."""
    if isinstance(url, str):
        return url.startswith(_POSTGRES)
    classes = {f"{cls.__module__}.{cls.__name__}" for cls in type(url).__mro__}
    return bool(classes & {"psycopg.Connection", "psycopg_pool.pool.ConnectionPool"})
