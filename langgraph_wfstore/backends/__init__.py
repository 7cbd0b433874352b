"""Storage engines, and which one a URL means."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote

from ..errors import WfStoreError
from .base import Backend

_SERVERS = ("postgresql://", "postgres://")


def open_backend(url: Any, *, synchronous: str = "full", read_only: bool = False) -> Backend:
    """The engine behind a URL.

    Args:
        url: a path, `sqlite:///relative.db`, `sqlite:////absolute.db`, `:memory:`, or an open Backend.
        synchronous: how durable, for engines that can choose.
        read_only: never write.

    Raises:
        WfStoreError: no engine of this version serves that URL.
        TypeError: it is not a URL at all.
    """
    if isinstance(url, os.PathLike):
        url = os.fspath(url)
    if not isinstance(url, str):
        if hasattr(url, "append") and hasattr(url, "capabilities"):
            return url  # type: ignore[no-any-return]  # a Backend of the caller's own
        if (redis := _redis_backend(url, read_only)) is not None:
            return redis
        raise TypeError(f"a store is opened by a path or a URL, not by {type(url).__name__}: {url!r}")
    if (redis := _redis_backend(url, read_only)) is not None:
        return redis
    if url in (":memory:", "memory://"):
        from .memory import MemoryBackend

        return MemoryBackend()
    if url.startswith("sqlite:///"):
        path = unquote(url.removeprefix("sqlite:///"))
    elif "://" in url or url.startswith("file:"):
        hint = "; servers come with a later release" if url.startswith(_SERVERS) else ""
        raise WfStoreError(
            f"no storage engine for {url!r}; known are a path, sqlite:///relative.db, sqlite:////absolute.db "
            f"and :memory:{hint}"
        )
    else:
        path = url
    if "\0" in path or (path != url and "?" in path):
        raise WfStoreError(f"{url!r} is not the path of a file; options in the URL are not read, pass them to open()")
    if not path:
        raise WfStoreError(f"{url!r} names no file; write a path such as agent.db, or sqlite:///agent.db")
    from .sqlite import SqliteBackend

    return SqliteBackend(path, synchronous=synchronous, read_only=read_only)


def _redis_backend(where: Any, read_only: bool) -> Backend | None:
    """The engine of a Redis URL, or of a client of redis-py; None if it is neither."""
    from .redis_url import SCHEMES

    if not (where.startswith(SCHEMES) if isinstance(where, str) else _is_client(where)):
        return None
    from .redis import RedisBackend

    return RedisBackend(where, read_only=read_only)


def _is_client(where: object) -> bool:
    """Whether it is a Redis or RedisCluster of redis-py, or of one of its subclasses."""
    return any(
        each.__module__.partition(".")[0] == "redis" and each.__name__ in ("Redis", "RedisCluster")
        for each in type(where).__mro__
    )
