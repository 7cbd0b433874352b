"""LangGraph's configs and checkpoints, as the saver reads and makes them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import EXCLUDED_METADATA_KEYS, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from ..arguments import checked_branch_name, checked_thread_id
from ..values.reading import StoredCheckpoint

_NEEDED: dict[str, type] = {
    "id": object,
    "ts": object,
    "v": int,
    "channel_values": dict,
    "channel_versions": dict,
    "versions_seen": dict,
}
_SCALARS = frozenset({str, int, float, bool})
CHECKPOINT_KEYS = frozenset(
    {"v", "id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"}
)


def configurable_of(config: RunnableConfig) -> Mapping[str, Any]:
    found = config.get("configurable") if type(config) is dict or isinstance(config, Mapping) else None
    if type(found) is not dict and not isinstance(found, Mapping):
        raise TypeError(
            f"the config has no 'configurable' dict: {config!r:.200}; pass config={{'configurable': "
            "{'thread_id': 'my-thread'}}"
        )
    return found


def thread_id_of(configurable: Mapping[str, Any]) -> str:
    if "thread_id" not in configurable:
        raise TypeError(
            "the config names no thread; pass config={'configurable': {'thread_id': 'my-thread'}} to the graph"
        )
    return checked_thread_id(configurable["thread_id"])


def namespace_of(configurable: Mapping[str, Any]) -> str:
    return text_of(configurable, "checkpoint_ns") or ""


def text_of(configurable: Mapping[str, Any], key: str) -> str | None:
    value = configurable.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is a str, not {type(value).__name__}: {value!r:.100}")
    return value


def branch_of(configurable: Mapping[str, Any]) -> str | None:
    """The branch that a config names; TypeError or ValueError for what is no name."""
    value = configurable.get("branch")
    return None if value is None else checked_branch_name(value)


def checkpoint_id_of(configurable: Mapping[str, Any]) -> str | None:
    value = configurable.get("checkpoint_id")
    return str(value) if isinstance(value, uuid.UUID) else text_of(configurable, "checkpoint_id") or None


def run_id_of(config: RunnableConfig) -> str | None:
    """The run id that the metadata of this config's checkpoints get."""
    for keys in (config.get("metadata"), config.get("configurable")):
        if keys and keys.get("run_id") is not None:
            return str(keys["run_id"])
    return None


def check_checkpoint(checkpoint: Checkpoint) -> None:
    """Refuse what is no checkpoint, saying what is missing; whether id and time are texts is looked at later."""
    parts: Mapping[str, object] = checkpoint
    for key, kind in _NEEDED.items():
        if key not in parts:
            raise ValueError(
                f"the checkpoint has no {key!r}, only {sorted(map(str, parts))}; nothing was written. "
                "langgraph.checkpoint.base.empty_checkpoint() makes a complete one"
            )
        if not isinstance(parts[key], kind):
            found = parts[key]
            raise TypeError(
                f"the checkpoint's {key!r} is a {type(found).__name__}, not a {kind.__name__}: {found!r:.100}; "
                "nothing was written"
            )


def required_checkpoint_id(configurable: Mapping[str, Any]) -> str:
    found = checkpoint_id_of(configurable)
    if found is None:
        raise TypeError("put_writes needs a config with a checkpoint_id: the checkpoint that the writes belong to")
    return found


def before_namespace(before: RunnableConfig | None, configurable: Mapping[str, Any]) -> str:
    """The namespace a `before` is looked up in: its own, or the listed one; the root is next (threads/listing.py)."""
    own = None if before is None else configurable_of(before).get("checkpoint_ns")
    return own if own is not None else configurable.get("checkpoint_ns") or ""


def config_of(thread_id: str, namespace: str, checkpoint_id: str, configurable: Mapping[str, Any]) -> RunnableConfig:
    """LangGraph's three keys; `branch` besides where the caller's config had it."""
    keys: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    if "branch" in configurable:
        keys["branch"] = configurable["branch"]
    return {"configurable": keys}


def metadata_of(config: RunnableConfig, metadata: CheckpointMetadata, serde: SerializerProtocol) -> dict[str, Any]:
    """The checkpoint's metadata with the scalars of the config's, as LangGraph's get_checkpoint_metadata merges them,
    but without its stripping of NUL characters."""
    merged: dict[str, Any] = dict(metadata)
    for extra in (config.get("metadata"), config.get("configurable")):
        for key, value in (extra or {}).items():
            if key in merged or key in EXCLUDED_METADATA_KEYS or key.startswith("__"):
                continue
            if isinstance(value, str | int | float):
                merged[key] = value if type(value) in _SCALARS else _storable(value, serde)
    return merged


def _storable(value: str | float, serde: SerializerProtocol) -> str | float:
    """A scalar of a class of its own, or the plain one if that class cannot be stored.

    Nobody asked to store what is merged from a config: a run must not fail for it.
    """
    try:
        serde.dumps_typed(value)
    except Exception:  # noqa: BLE001  # a serializer of the user's may refuse with any error; the plain one is stored
        if isinstance(value, str):
            return str.__str__(value)
        return int.__int__(value) if isinstance(value, int) else float.__float__(value)
    return value


def tuple_of(thread_id: str, stored: StoredCheckpoint, configurable: Mapping[str, Any]) -> CheckpointTuple:
    record = stored.record
    checkpoint = {
        "v": record.v,
        "id": record.checkpoint_id,
        "ts": record.ts,
        "channel_values": stored.values,
        "channel_versions": stored.versions,
        "versions_seen": {node: dict(seen) for node, seen in record.versions_seen},
        "updated_channels": None if record.updated_channels is None else [*record.updated_channels],
        **stored.extra,
    }
    return CheckpointTuple(
        config=config_of(thread_id, record.namespace, record.checkpoint_id, configurable),
        checkpoint=cast("Checkpoint", checkpoint),
        metadata=cast("CheckpointMetadata", stored.metadata),
        parent_config=None
        if stored.parent is None
        else config_of(thread_id, record.namespace, stored.parent, configurable),
        pending_writes=stored.writes,
    )
