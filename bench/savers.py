"""The checkpointers that are compared, and how each is opened on a directory."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.alone import LiveObjectsSaver
from bench.servers import SIZE, postgres, wfstore_postgres, wfstore_valkey

Opened = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]


@dataclass(frozen=True)
class Saver:
    """One checkpointer: `open(directory)` gives a context manager (an async one if `is_async`)."""

    name: str
    title: str
    open: Callable[[Path], Opened]
    baseline: str | None = None
    """The saver that its ratios compare with."""
    is_async: bool = False
    persistent: bool = True
    """Whether another process can read back what it saved."""

    requires: tuple[str, str] | None = None
    """The module and the name in it that must be importable."""

    def why_unavailable(self) -> str | None:
        """None if the saver can be imported here, else the reason."""
        if self.requires is None:
            return None
        module, name = self.requires
        try:
            getattr(importlib.import_module(module), name)
        except Exception as error:  # noqa: BLE001 -- a broken import has many shapes; the reason is reported
            return f"{type(error).__name__}: {error}"
        return None


def disk_bytes(directory: Path) -> int:
    """The bytes of every file that a saver left in its directory; of a server, those of its tables."""
    if (directory / SIZE).exists():
        return int((directory / SIZE).read_text(encoding="ascii"))
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def _alone(_: Path) -> contextlib.nullcontext[Any]:
    return contextlib.nullcontext(LiveObjectsSaver())


def _sqlite(directory: Path) -> AbstractContextManager[Any]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    @contextlib.contextmanager
    def opened() -> Iterator[Any]:
        with SqliteSaver.from_conn_string(str(directory / "checkpoints.db")) as saver:
            saver.setup()
            yield saver

    return opened()


def _aiosqlite(directory: Path) -> AbstractAsyncContextManager[Any]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        async with AsyncSqliteSaver.from_conn_string(str(directory / "checkpoints.db")) as saver:
            await saver.setup()
            yield saver

    return opened()


def _wfstore(directory: Path) -> Any:
    from langgraph_wfstore import WfStoreSaver

    return WfStoreSaver(str(directory / "agent.db"))


def _wfstore_states(directory: Path) -> Any:
    from langgraph_wfstore import WfStoreSaver

    return WfStoreSaver(str(directory / "agent.db"), capture=False)


_SQLITE = ("langgraph.checkpoint.sqlite", "SqliteSaver")
_AIOSQLITE = ("langgraph.checkpoint.sqlite.aio", "AsyncSqliteSaver")
_POSTGRES = ("langgraph.checkpoint.postgres", "PostgresSaver")
_WFSTORE = ("langgraph_wfstore", "WfStoreSaver")
_WFSTORE_POSTGRES = ("langgraph_wfstore.backends.postgres.connections", "Connections")

_WFSTORE_REDIS = ("langgraph_wfstore.backends.redis.backend", "RedisBackend")

SAVERS = {
    saver.name: saver
    for saver in (
        Saver("ref", "LangGraph alone", _alone, "sqlite", persistent=False),
        Saver("sqlite", "SqliteSaver", _sqlite, requires=_SQLITE),
        Saver("wfstore-sqlite", "WfStoreSaver", _wfstore, "sqlite", requires=_WFSTORE),
        Saver("wfstore-states", "WfStoreSaver, capture=False", _wfstore_states, "sqlite", requires=_WFSTORE),
        Saver("postgres", "PostgresSaver", postgres, requires=_POSTGRES),
        Saver("wfstore-postgres", "WfStoreSaver, PostgreSQL", wfstore_postgres, "postgres", requires=_WFSTORE_POSTGRES),
        Saver("wfstore-valkey", "WfStoreSaver, Valkey", wfstore_valkey, "postgres", requires=_WFSTORE_REDIS),
        Saver("aref", "LangGraph alone, async", _alone, "aiosqlite", is_async=True, persistent=False),
        Saver("aiosqlite", "AsyncSqliteSaver", _aiosqlite, is_async=True, requires=_AIOSQLITE),
        Saver("wfstore-asqlite", "WfStoreSaver, async", _wfstore, "aiosqlite", is_async=True, requires=_WFSTORE),
    )
}
GROUPS = {
    "sync": ["ref", "sqlite", "wfstore-sqlite"],
    "servers": ["postgres", "wfstore-postgres", "wfstore-valkey", "wfstore-sqlite"],
    "async": [name for name, saver in SAVERS.items() if saver.is_async],
    "all": list(SAVERS),
}


def names(chosen: str) -> list[str]:
    """The savers of a comma-separated choice of names and groups, each once.

    Raises ValueError for a name that is neither.
    """
    found: dict[str, None] = {}
    for word in chosen.split(","):
        if word not in GROUPS and word not in SAVERS:
            raise ValueError(f"unknown saver {word!r}: choose from {', '.join([*SAVERS, *GROUPS])}")
        found.update(dict.fromkeys(GROUPS.get(word, [word])))
    return list(found)
