"""Storage engines, and which one a URL means."""

from __future__ import annotations

import os
from typing import Any, cast
from urllib.parse import unquote

from ..errors import WfStoreError
from .base import Backend

_POSTGRES = ("postgresql://", "postgres://")


def open_backend(url: Any, *, synchronous: str = "full", read_only: bool = False) -> Backend:
    """The engine behind a URL.

    Args:
        url: a path, `sqlite:///relative.db`, `sqlite:////absolute.db`, `:memory:`, `postgresql://...`, `redis://...`,
            `rediss://...`, `redis+cluster://...`, `redis+sentinel://...`; a `psycopg_pool.ConnectionPool`, a
            `psycopg.Connection`, a `Redis` or `RedisCluster` of redis-py; or an open Backend.
        synchronous: how durable, for engines that can choose.
        read_only: never write.

    Raises:
        WfStoreError: no engine of this version serves that URL.
        TypeError: it is not a URL at all.
    """
    if isinstance(url, os.PathLike):
        url = os.fspath(url)
    if (server := _server(url, synchronous, read_only)) is not None:
        return server
    if not isinstance(url, str):
        if hasattr(url, "append") and hasattr(url, "capabilities"):
            return cast(Backend, url)  # one of the caller's own
        raise TypeError(f"a store is opened by a path or a URL, not by {type(url).__name__}: {url!r}")
    if url in (":memory:", "memory://"):
        from .memory import MemoryBackend

        return MemoryBackend()
    from .sqlite import SqliteBackend

    return SqliteBackend(_path(url), synchronous=synchronous, read_only=read_only)


def sqlite_path(url: str) -> str | None:
    """The path of the SQLite file that a URL means; None if it means another engine, or nothing.

    Raises:
        WfStoreError: it is of no known kind.
    """
    from .redis.url import SCHEMES

    if url in (":memory:", "memory://") or url.startswith((*_POSTGRES, *SCHEMES)):
        return None
    return _path(url)


def _path(url: str) -> str:
    if url.startswith("sqlite:///"):
        path = unquote(url.removeprefix("sqlite:///"))
    elif "://" in url or url.startswith("file:"):
        raise WfStoreError(
            f"no storage engine for {url!r}; known are a path, sqlite:///relative.db, sqlite:////absolute.db, "
            "postgresql://user@host/database, redis://host and :memory:"
        )
    else:
        path = url
    if "\0" in path or (path != url and "?" in path):
        raise WfStoreError(f"{url!r} is not the path of a file; options in the URL are not read, pass them to open()")
    if not path:
        raise WfStoreError(f"{url!r} names no file; write a path such as agent.db, or sqlite:///agent.db")
    return path


def _server(url: Any, synchronous: str, read_only: bool) -> Backend | None:
    """The engine of a server's URL, or of a client's pool, connection or client; None if it is none of these."""
    from .redis.url import SCHEMES

    if _is(url, _POSTGRES, "psycopg", ("Connection",)) or _is(url, (), "psycopg_pool", ("ConnectionPool",)):
        from .postgres import PostgresBackend

        return PostgresBackend(url, synchronous=synchronous, read_only=read_only)
    if _is(url, SCHEMES, "redis", ("Redis", "RedisCluster")):
        from .redis.backend import RedisBackend

        return RedisBackend(url, read_only=read_only)
    return None


def _is(url: Any, schemes: tuple[str, ...], package: str, names: tuple[str, ...]) -> bool:
    """Whether it is a URL of these schemes, or an object of a class of that package, which need not be installed."""
    if isinstance(url, str):
        return url.startswith(schemes) if schemes else False
    return any(cls.__module__.partition(".")[0] == package and cls.__name__ in names for cls in type(url).__mro__)
