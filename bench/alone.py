"""LangGraph alone: a checkpointer that keeps live objects, to show what the graph itself costs."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    copy_checkpoint,
)

Place = tuple[str, str]


class Saved(NamedTuple):
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    parent: str | None


class Write(NamedTuple):
    task_path: str
    task_id: str
    position: int
    channel: str
    value: Any


def _place(config: RunnableConfig) -> Place:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")


def _config(place: Place, checkpoint_id: str) -> RunnableConfig:
    thread_id, namespace = place
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


class LiveObjectsSaver(BaseCheckpointSaver[int]):
    """Serializes nothing and writes nothing; values are shared, so it is a lower bound and not for use."""

    def __init__(self) -> None:
        super().__init__()
        self._saved: dict[Place, dict[str, Saved]] = defaultdict(dict)
        self._newest: dict[Place, str] = {}
        self._writes: dict[tuple[Place, str], dict[tuple[str, int], Write]] = defaultdict(dict)
        self._lock = threading.Lock()

    def _tuple(self, place: Place, checkpoint_id: str) -> CheckpointTuple:
        saved = self._saved[place][checkpoint_id]
        with self._lock:
            writes = sorted(self._writes.get((place, checkpoint_id), {}).values(), key=lambda write: write[:3])
        return CheckpointTuple(
            _config(place, checkpoint_id),
            copy_checkpoint(saved.checkpoint),
            saved.metadata,
            _config(place, saved.parent) if saved.parent else None,
            [(write.task_id, write.channel, write.value) for write in writes],
        )

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        place = _place(config)
        checkpoint_id = config["configurable"].get("checkpoint_id") or self._newest.get(place)
        return self._tuple(place, checkpoint_id) if checkpoint_id in self._saved[place] else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        places = list(self._saved) if config is None else [_place(config)]
        until = before["configurable"]["checkpoint_id"] if before else None
        ids = [(i, place) for place in places for i in self._saved[place] if until is None or i < until]
        found = (self._tuple(place, checkpoint_id) for checkpoint_id, place in sorted(ids, reverse=True))
        wanted = (filter or {}).items()
        yield from islice((each for each in found if all(each.metadata.get(k) == v for k, v in wanted)), limit)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        place, parent = _place(config), config["configurable"].get("checkpoint_id")
        self._saved[place][checkpoint["id"]] = Saved(copy_checkpoint(checkpoint), metadata, parent)
        self._newest[place] = max(checkpoint["id"], self._newest.get(place, ""))
        return _config(place, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with self._lock:
            kept = self._writes[_place(config), config["configurable"]["checkpoint_id"]]
            for order, (channel, value) in enumerate(writes):
                position = WRITES_IDX_MAP.get(channel, order)
                kept[task_id, position] = Write(task_path, task_id, position, channel, value)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    async def alist(self, config: RunnableConfig | None, **options: Any) -> AsyncIterator[CheckpointTuple]:
        for found in self.list(config, **options):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.put_writes(config, writes, task_id, task_path)
