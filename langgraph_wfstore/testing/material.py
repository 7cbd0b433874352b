"""The configs, checkpoints and metadata that the contract tests put."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

    from .api import Api

THREAD = "t"


def new_ids(count: int) -> list[str]:
    """Checkpoint ids of one writer, in the order in which it would have made them."""
    return [str(uuid6(clock_seq=number)) for number in range(count)]


def config_of(
    thread_id: Any = THREAD, ns: str | None = "", checkpoint_id: str | None = None, **configurable: Any
) -> RunnableConfig:
    """The config of a thread, of a namespace of it (None: no namespace given), or of one checkpoint."""
    keys: dict[str, Any] = {"thread_id": thread_id, **configurable}
    if ns is not None:
        keys["checkpoint_ns"] = ns
    if checkpoint_id is not None:
        keys["checkpoint_id"] = checkpoint_id
    return {"configurable": keys}


def checkpoint_of(
    values: dict[str, Any] | None = None, versions: ChannelVersions | None = None, **fields: Any
) -> Checkpoint:
    """A checkpoint with these channel values; each has version 1 unless told. `fields` replace or add any other key."""
    channel_values = dict(values or {})
    return cast(
        Checkpoint,
        {
            "v": 4,
            "id": str(uuid6(clock_seq=0)),
            "ts": datetime.now(UTC).isoformat(),
            "channel_values": channel_values,
            "channel_versions": dict.fromkeys(channel_values, 1) if versions is None else dict(versions),
            "versions_seen": {},
            "updated_channels": None,
            **fields,
        },
    )


def metadata_of(step: int = 0, source: str = "loop", **more: Any) -> CheckpointMetadata:
    """Metadata as LangGraph makes them, with more keys."""
    return cast(CheckpointMetadata, {"source": source, "step": step, "parents": {}, **more})


def put_chain(
    api: Api, count: int, thread_id: str = THREAD, ns: str = "", after: RunnableConfig | None = None, **metadata: Any
) -> list[RunnableConfig]:
    """Puts `count` checkpoints, each a child of the one before, channel `n` counting them; gives their configs."""
    stored: list[RunnableConfig] = []
    for number in range(count):
        parent = stored[-1] if stored else after
        config = config_of(thread_id, ns) if parent is None else parent
        checkpoint = checkpoint_of({"n": number, "list": [*range(number)]}, {"n": number + 1, "list": number + 1})
        stored.append(api.put(config, checkpoint, metadata_of(number, **metadata)))
    return stored


def id_of(item: RunnableConfig | CheckpointTuple) -> str:
    """The checkpoint id that a config or a tuple names."""
    config = item.config if isinstance(item, CheckpointTuple) else item
    return cast(str, config["configurable"]["checkpoint_id"])


def ids_of(items: Sequence[RunnableConfig] | Sequence[CheckpointTuple]) -> list[str]:
    return [id_of(item) for item in items]


def before_of(checkpoint_id: str) -> RunnableConfig:
    """`before` as LangGraph writes it when it looks for a sub-graph's state: an id and nothing else."""
    return {"configurable": {"checkpoint_id": checkpoint_id}}


def counts_of(saver: WfStoreSaver) -> dict[str, int]:
    """What the store counts, without the bytes of its files: a server may tidy up at any time."""
    return {name: count for name, count in saver.store.stats().items() if name not in ("file_bytes", "free_bytes")}
