"""A gate in front of a saver's put, to make a run's checkpoint late, or to make it fail."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from .api import PATIENCE


class Gate:
    """Holds back the puts of the runs whose config has the metadata `held: True` until it is opened."""

    def __init__(self, saver: BaseCheckpointSaver[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        put, aput = saver.put, saver.aput

        def held_put(config: RunnableConfig, *args: Any) -> RunnableConfig:
            if not _is_held(config):
                return put(config, *args)
            self._wait()
            return put(config, *args)

        async def held_aput(config: RunnableConfig, *args: Any) -> RunnableConfig:
            if not _is_held(config):
                return await aput(config, *args)

            async def late() -> RunnableConfig:
                await asyncio.get_running_loop().run_in_executor(None, self._wait)
                return await aput(config, *args)

            # a put that has begun in a thread lands, whoever stops waiting for it
            return await asyncio.shield(asyncio.ensure_future(late()))

        monkeypatch.setattr(saver, "put", held_put)
        monkeypatch.setattr(saver, "aput", held_aput)

    def _wait(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE), "nobody opened the gate"


def _is_held(config: RunnableConfig) -> bool:
    return bool((config.get("metadata") or {}).get("held"))


def fail_on(
    saver: BaseCheckpointSaver[Any], method: str, monkeypatch: pytest.MonkeyPatch, when: Callable[..., bool]
) -> None:
    """Makes both forms of a method raise OSError for the calls whose arguments `when` picks."""
    real, areal = getattr(saver, method), getattr(saver, f"a{method}")

    @functools.wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise OSError("the disk is full")
        return real(*args, **kwargs)

    @functools.wraps(areal)
    async def acall(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise OSError("the disk is full")
        return await areal(*args, **kwargs)

    monkeypatch.setattr(saver, method, call)
    monkeypatch.setattr(saver, f"a{method}", acall)
