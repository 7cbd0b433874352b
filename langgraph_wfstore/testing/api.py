"""One way to call a saver or a graph, so that each contract test is written once and runs sync and async."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.types import StateSnapshot

from .material import metadata_of

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds after which something that should have ended is taken to hang."""


def within(work: Callable[[], T], seconds: float = PATIENCE) -> T:
    """What `work` returns or raises; the test fails if it has not ended after `seconds`."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failure.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        pytest.fail(f"still running after {seconds} s: it hangs", pytrace=True)
    if failure:
        raise failure[0]
    return outcome[0]


class Api(ABC):
    """The calls of one saver and of the graphs compiled with it, all through one of its two interfaces.

    `call` and `each` are the only difference between the interfaces. An instance may be used from several threads.
    """

    is_sync: bool

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self.saver = saver

    @abstractmethod
    def call(self, target: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """What the method returns; the async interface calls `a` + `method`."""

    @abstractmethod
    def each(self, target: Any, method: str, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """What the method yields, one at a time and not before it is asked for."""

    @abstractmethod
    def on(self, saver: BaseCheckpointSaver[Any]) -> Api:
        """The same interface of another saver; it is closed with this one."""

    @abstractmethod
    def close(self) -> None:
        """Ends what the interface itself started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # the saver

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata | None = None,
        new_versions: ChannelVersions | None = None,
    ) -> RunnableConfig:
        """`put`, by default of a loop step and with every channel of the checkpoint new."""
        versions = checkpoint["channel_versions"] if new_versions is None else new_versions
        stored: RunnableConfig = self.call(
            self.saver, "put", config, checkpoint, metadata_of() if metadata is None else metadata, dict(versions)
        )
        return stored

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.call(self.saver, "put_writes", config, writes, task_id, task_path)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found: CheckpointTuple | None = self.call(self.saver, "get_tuple", config)
        return found

    def read(self, config: RunnableConfig) -> CheckpointTuple:
        """`get_tuple` of what must be there."""
        found = self.get_tuple(config)
        assert found is not None, f"nothing found for {config['configurable']}"
        return found

    def list(self, config: RunnableConfig | None, **kwargs: Any) -> list[CheckpointTuple]:
        return [*self.iterate(config, **kwargs)]

    def iterate(self, config: RunnableConfig | None, **kwargs: Any) -> Iterator[CheckpointTuple]:
        """`list`, lazily."""
        return self.each(self.saver, "list", config, **kwargs)

    def delete_thread(self, thread_id: str) -> None:
        self.call(self.saver, "delete_thread", thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self.call(self.saver, "delete_for_runs", run_ids)

    def copy_thread(self, source: str, target: str) -> None:
        self.call(self.saver, "copy_thread", source, target)

    def prune(self, thread_ids: Sequence[str], **kwargs: Any) -> None:
        self.call(self.saver, "prune", thread_ids, **kwargs)

    def delta_history(self, config: RunnableConfig, channels: Sequence[str]) -> dict[str, Any]:
        return dict(self.call(self.saver, "get_delta_channel_history", config=config, channels=channels))

    # graphs

    def invoke(self, graph: Any, value: Any, config: RunnableConfig, **kwargs: Any) -> Any:
        return self.call(graph, "invoke", value, config, **kwargs)

    def stream(self, graph: Any, value: Any, config: RunnableConfig, **kwargs: Any) -> Iterator[Any]:
        return self.each(graph, "stream", value, config, **kwargs)

    def get_state(self, graph: Any, config: RunnableConfig, **kwargs: Any) -> StateSnapshot:
        snapshot: StateSnapshot = self.call(graph, "get_state", config, **kwargs)
        return snapshot

    def update_state(self, graph: Any, config: RunnableConfig, values: Any, **kwargs: Any) -> RunnableConfig:
        stored: RunnableConfig = self.call(graph, "update_state", config, values, **kwargs)
        return stored

    def bulk_update_state(self, graph: Any, config: RunnableConfig, supersteps: Sequence[Any]) -> RunnableConfig:
        stored: RunnableConfig = self.call(graph, "bulk_update_state", config, supersteps)
        return stored

    def history(self, graph: Any, config: RunnableConfig, **kwargs: Any) -> Iterator[StateSnapshot]:
        """`get_state_history`, lazily."""
        return self.each(graph, "get_state_history", config, **kwargs)


class SyncApi(Api):
    """The methods as they are."""

    is_sync = True

    def call(self, target: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
        return getattr(target, method)(*args, **kwargs)

    def each(self, target: Any, method: str, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from getattr(target, method)(*args, **kwargs)

    def on(self, saver: BaseCheckpointSaver[Any]) -> SyncApi:
        return SyncApi(saver)

    def close(self) -> None:
        """Nothing was started."""


class Loops:
    """One event loop for each thread that asks, each of them idle between two calls."""

    def __init__(self) -> None:
        self._runners: dict[int, asyncio.Runner] = {}

    def mine(self) -> asyncio.Runner:
        me = threading.get_ident()
        if me not in self._runners:
            self._runners[me] = asyncio.Runner()
        return self._runners[me]

    def is_mine(self, runner: asyncio.Runner) -> bool:
        """Whether the calling thread may still use it; an iterator that was dropped may end later or elsewhere."""
        return self._runners.get(threading.get_ident()) is runner

    def close(self) -> None:
        while self._runners:
            runner = self._runners.popitem()[1]
            if not runner.get_loop().is_running():  # it is, if a test gave up on what hangs
                runner.close()


class AsyncApi(Api):
    """The methods whose names begin with `a`, on the event loop of the calling thread."""

    is_sync = False

    def __init__(self, saver: BaseCheckpointSaver[Any], loops: Loops | None = None) -> None:
        super().__init__(saver)
        self._loops = loops or Loops()

    def call(self, target: Any, method: str, /, *args: Any, **kwargs: Any) -> Any:
        async def awaited() -> Any:
            return await getattr(target, f"a{method}")(*args, **kwargs)

        return self._loops.mine().run(awaited())

    def each(self, target: Any, method: str, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        runner = self._loops.mine()
        items: AsyncIterator[Any] = getattr(target, f"a{method}")(*args, **kwargs)
        nothing = object()

        async def following() -> Any:
            return await anext(items, nothing)

        try:
            while (item := runner.run(following())) is not nothing:
                yield item
        finally:
            if self._loops.is_mine(runner):
                runner.run(_closed(items))

    def on(self, saver: BaseCheckpointSaver[Any]) -> AsyncApi:
        return AsyncApi(saver, self._loops)

    def close(self) -> None:
        self._loops.close()


async def _closed(items: Any) -> None:
    await items.aclose()


APIS: dict[str, type[SyncApi] | type[AsyncApi]] = {"sync": SyncApi, "async": AsyncApi}
