"""One opened saver, driven in the same words whether it is sync or async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from bench.savers import Saver, disk_bytes

Durability = Literal["sync", "async", "exit"]
Graph = CompiledStateGraph[Any, Any, Any, Any]
Node = Callable[[Any], Any]
Visit = Callable[[StateSnapshot], None]
Turns = list[tuple[Any, RunnableConfig]]
T = TypeVar("T")

THREADS_AT_ONCE = 8
TASKS_AT_ONCE = 32


class Driver:
    """The sync API: `checkpointer` is the opened saver, to compile graphs with."""

    def __init__(self, saver: Saver, directory: Path, durability: Durability) -> None:
        self.saver, self.directory, self.durability = saver, directory, durability
        self._manager: Any = None
        self.checkpointer: BaseCheckpointSaver[Any]

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def open(self) -> None:
        self._manager = self.saver.open(self.directory)
        self.checkpointer = self._manager.__enter__()

    def close(self) -> None:
        self._manager.__exit__(None, None, None)

    def stored_bytes(self) -> int:
        """What is on disk once the saver is closed, which folds a write-ahead log in; it is open again afterwards."""
        if not self.saver.persistent:
            return 0
        self.close()
        size = disk_bytes(self.directory)
        self.open()
        return size

    def node(self, body: Node) -> Any:
        return body

    def invoke(self, graph: Graph, value: Any, config: RunnableConfig) -> None:
        graph.invoke(value, config, durability=self.durability)

    def invoke_all(self, graph: Graph, conversations: Iterable[Turns]) -> None:
        """Run conversations beside each other, the turns of each in order."""

        def one(turns: Turns) -> None:
            for value, config in turns:
                self.invoke(graph, value, config)

        with ThreadPoolExecutor(THREADS_AT_ONCE) as pool:
            list(pool.map(one, conversations))

    def state(self, graph: Graph, config: RunnableConfig) -> StateSnapshot:
        return graph.get_state(config)

    def update(self, graph: Graph, config: RunnableConfig, values: Any, as_node: str) -> None:
        graph.update_state(config, values, as_node=as_node)

    def history(self, graph: Graph, config: RunnableConfig, visit: Visit, limit: int | None = None) -> None:
        for snapshot in graph.get_state_history(config, limit=limit):
            visit(snapshot)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.checkpointer.get_tuple(config)

    def put_each(self, puts: Iterable[tuple[Any, ...]]) -> None:
        for arguments in puts:
            self.checkpointer.put(*arguments)

    def put_writes_each(self, puts: Iterable[tuple[Any, ...]]) -> None:
        for arguments in puts:
            self.checkpointer.put_writes(*arguments)


class AsyncDriver(Driver):
    """The async API, with coroutine nodes, so that no side pays for a thread per node."""

    def __init__(self, saver: Saver, directory: Path, durability: Durability) -> None:
        self._runner = asyncio.Runner()
        super().__init__(saver, directory, durability)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def open(self) -> None:
        self._manager = self.saver.open(self.directory)
        self.checkpointer = self._run(self._manager.__aenter__())

    def close(self) -> None:
        self._run(self._manager.__aexit__(None, None, None))

    def __exit__(self, *failure: object) -> None:
        super().__exit__(*failure)
        self._runner.close()

    def node(self, body: Node) -> Any:
        async def node(state: Any) -> Any:
            return body(state)

        node.__name__ = body.__name__
        return node

    def invoke(self, graph: Graph, value: Any, config: RunnableConfig) -> None:
        self._run(graph.ainvoke(value, config, durability=self.durability))

    def invoke_all(self, graph: Graph, conversations: Iterable[Turns]) -> None:
        async def everything() -> None:
            room = asyncio.Semaphore(TASKS_AT_ONCE)

            async def one(turns: Turns) -> None:
                async with room:
                    for value, config in turns:
                        await graph.ainvoke(value, config, durability=self.durability)

            await asyncio.gather(*(one(turns) for turns in conversations))

        self._run(everything())

    def state(self, graph: Graph, config: RunnableConfig) -> StateSnapshot:
        return self._run(graph.aget_state(config))

    def update(self, graph: Graph, config: RunnableConfig, values: Any, as_node: str) -> None:
        self._run(graph.aupdate_state(config, values, as_node=as_node))

    def history(self, graph: Graph, config: RunnableConfig, visit: Visit, limit: int | None = None) -> None:
        async def everything() -> None:
            async for snapshot in graph.aget_state_history(config, limit=limit):
                visit(snapshot)

        self._run(everything())

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self._run(self.checkpointer.aget_tuple(config))

    def put_each(self, puts: Iterable[tuple[Any, ...]]) -> None:
        async def everything() -> None:
            for arguments in puts:
                await self.checkpointer.aput(*arguments)

        self._run(everything())

    def put_writes_each(self, puts: Iterable[tuple[Any, ...]]) -> None:
        async def everything() -> None:
            for arguments in puts:
                await self.checkpointer.aput_writes(*arguments)

        self._run(everything())


def driver(saver: Saver, directory: Path, durability: Durability) -> Driver:
    """The driver for a saver on a directory, a context manager."""
    return (AsyncDriver if saver.is_async else Driver)(saver, directory, durability)
