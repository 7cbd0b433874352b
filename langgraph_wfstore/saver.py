"""WfStoreSaver: LangGraph's checkpointer contract, sync and async, onto WfStore."""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    EXCLUDED_METADATA_KEYS,
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from .arguments import check_limit, checked_thread_id, several
from .capture import forget, watch
from .codec import Codec
from .delta import delta_history
from .memo import Memo
from .metadata import Filter
from .offload import Offload
from .putting import CheckpointInput, RunRead, WritesInput
from .reading import StoredCheckpoint
from .recorder import LIMIT, Binding, Recorder
from .runs import Runs
from .serde import WfSerializer
from .store import WfStore
from .versions import next_version

_NEEDED: dict[str, type] = {
    "id": object,
    "ts": object,
    "v": int,
    "channel_values": dict,
    "channel_versions": dict,
    "versions_seen": dict,
}
_CHECKPOINT_KEYS = frozenset(
    {"v", "id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"}
)


class WfStoreSaver(BaseCheckpointSaver[Any]):
    """A checkpointer that keeps every state once, hash-chained, in one file.

    `graph.compile(checkpointer=WfStoreSaver("agent.db"))` is all the set-up. Sync and async methods work on the same
    object, from any thread and any event loop.

    Args:
        url: a path or URL (see `WfStore.open`), or an open WfStore, which the saver then does not close.
        serde: a serializer of your own, LangGraph's SerializerProtocol; the default is lossless and safe.
        allow: types, or (module, name) pairs, that may be restored beside those that are safe by default.
        strict: restore nothing beside the safe types and `allow`.
        placeholders: give a placeholder, which writes back the same bytes, for a value whose class is gone or not
            allowed, instead of raising DecodeError.
        capture: record runs, steps, model and tool calls; "digests": of their inputs and outputs only keyed digests.
        redact: a function that is given what a run, step or call was given or gave, and returns what is to be recorded
            of it; if it raises, nothing of that value is. The state that the graph saves is not its affair.
        capture_limit: bytes that one value, or one message, of a call may have; of a larger one the record keeps type,
            size and SHA-256.
        synchronous: "full": what was acknowledged survives a power cut; "normal": it survives a crash of the process.

    Raises:
        ValueError: an option has another value than those named here.
        BackendUnavailableError, IntegrityError, WfStoreError: the place cannot be opened; see `WfStore.open`.
    """

    def __init__(
        self,
        url: Any,
        *,
        serde: SerializerProtocol | None = None,
        allow: Collection[Any] = (),
        strict: bool = False,
        placeholders: bool = False,
        capture: bool | str = True,
        redact: Callable[[Any], Any] | None = None,
        capture_limit: int = LIMIT,
        synchronous: str = "full",
    ) -> None:
        if capture not in (True, False, "digests"):
            raise ValueError(f"capture is True, False or 'digests', not {capture!r}")
        if type(capture_limit) is not int or capture_limit < 1:
            raise ValueError(f"capture_limit is a positive number of bytes, not {capture_limit!r}")
        if redact is not None and not callable(redact):
            raise ValueError(f"redact is a function of one value, not {redact!r:.100}")
        super().__init__(serde=serde or WfSerializer(allow=allow, strict=strict, placeholders=placeholders))
        self._owns = not isinstance(url, WfStore)
        self.store = url if isinstance(url, WfStore) else WfStore.open(url, serde=self.serde, synchronous=synchronous)
        # What is known of live elements holds for one serializer's bytes; those of another are its own.
        memo = self.store.views.memo if isinstance(self.serde, WfSerializer) else Memo()
        self._codec = Codec(self.serde, memo)
        self.store.note_serializer(self._codec)
        self._runs = Runs()
        self._offload = Offload()
        self._recorder = Recorder(
            self.store, self._codec, "digests" if capture == "digests" else "full", redact, capture_limit
        )
        if capture:
            watch(self._recorder)
        else:
            forget(self._recorder)

    @classmethod
    @contextlib.contextmanager
    def from_conn_string(cls, conn_string: str, **options: Any) -> Iterator[WfStoreSaver]:
        """The official savers' way to open one: `with WfStoreSaver.from_conn_string(url) as saver`."""
        with cls(conn_string, **options) as saver:
            yield saver

    def setup(self) -> None:
        """Nothing to do: the store is ready when it is open. Here because the official savers have it."""

    def close(self) -> None:
        """End the saver's threads, and the store unless it was given open. Safe to call twice."""
        forget(self._recorder)
        self._offload.close()
        if self._owns:
            self.store.close()

    def __enter__(self) -> WfStoreSaver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> WfStoreSaver:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ put

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; when this returns it is durable.

        Args:
            config: names thread, namespace and, as `checkpoint_id`, the parent.
            checkpoint: the state.
            metadata: LangGraph's; scalars of the config's metadata and configurable are added, as LangGraph does.
            new_versions: the channels that changed since the parent.

        Returns:
            the config of the stored checkpoint.

        Raises:
            UnsupportedValueError: a value cannot be stored; nothing was written.
            ConflictError: another content is stored under the same id; nothing was written.
            ThreadDeletedError: the thread or the run was deleted meanwhile; nothing was written.
            BackendUnavailableError: the engine cannot write.
        """
        configurable = _configurable(config)
        thread_id, namespace = _thread_id(configurable), _namespace(configurable)
        _check_checkpoint(checkpoint)
        new = CheckpointInput(
            namespace=namespace,
            checkpoint_id=checkpoint["id"],
            parent=_checkpoint_id(configurable),
            values=checkpoint["channel_values"],
            versions=checkpoint["channel_versions"],
            new_versions=new_versions,
            versions_seen=checkpoint["versions_seen"],
            updated_channels=checkpoint.get("updated_channels"),
            v=checkpoint["v"],
            ts=checkpoint["ts"],
            metadata=_metadata(config, metadata),
            extra={k: v for k, v in checkpoint.items() if k not in _CHECKPOINT_KEYS},
            run=self._runs.read_by(configurable, thread_id),
            branch=_text(configurable, "branch"),
        )
        with self._recorder.putting(configurable, thread_id, new) as putting:
            self.store.put_checkpoint(thread_id, putting.checkpoint, self._codec, putting.queued)
        if not namespace:
            self._runs.note_root(configurable, thread_id, checkpoint["id"])
        return _config(thread_id, namespace, checkpoint["id"], configurable)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of one task, all or none; before or after the checkpoint they belong to.

        Raises:
            as for `put`.
        """
        configurable = _configurable(config)
        thread_id = _thread_id(configurable)
        new = WritesInput(
            namespace=_namespace(configurable),
            checkpoint_id=_required_checkpoint_id(configurable),
            task_id=task_id,
            task_path=task_path,
            writes=[(WRITES_IDX_MAP.get(channel, i), channel, value) for i, (channel, value) in enumerate(writes)],
            run=self._runs.read_by(configurable, thread_id),
            run_id=_run_id(config),
            ends_run=any(channel in (ERROR, INTERRUPT) for channel, _ in writes),
        )
        with self._recorder.writing(configurable, thread_id, new) as queued:
            if new.writes:
                self.store.put_writes(thread_id, new, self._codec, queued)

    # ------------------------------------------------------------------ get

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, or the latest one of the namespace: the head of the current branch.

        Raises:
            DecodeError: a value cannot be restored; names thread, channel and type.
            IntegrityError: stored bytes are damaged.
        """
        return self._get_tuple(config, self._bind(config))

    def _bind(self, config: RunnableConfig) -> Binding | None:
        configurable = _configurable(config)
        return self._recorder.bind(configurable, _thread_id(configurable), _namespace(configurable), _run_id(config))

    def _get_tuple(self, config: RunnableConfig, binding: Binding | None) -> CheckpointTuple | None:
        configurable = _configurable(config)
        thread_id, namespace = _thread_id(configurable), _namespace(configurable)
        found = self.store.get(
            thread_id,
            namespace,
            _checkpoint_id(configurable),
            self._codec,
            branch=_text(configurable, "branch"),
            within=configurable.get("checkpoint_map", {}).get("") if namespace else None,
            last_root=self._runs.last_root(configurable, thread_id) if namespace else None,
        )
        self._runs.note(configurable, thread_id, RunRead(found.life, found.last), root=not namespace)
        if found.checkpoint is not None and not namespace:
            self._runs.note_root(configurable, thread_id, found.checkpoint.record.checkpoint_id)
        if binding is not None:
            record = None if found.checkpoint is None else found.checkpoint.record
            binding.loaded(
                None if record is None else record.checkpoint_id,
                None if record is None else record.source,
                RunRead(found.life, found.last),
            )
        return None if found.checkpoint is None else _tuple(thread_id, found.checkpoint, configurable)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first. Nothing is held between two steps of the iterator.

        Args:
            config: names the thread and, if they are in it, namespace and checkpoint; None for all threads.
            filter: metadata that must be equal, as JSON.
            before: only checkpoints older than this one.
            limit: at most so many; 0 gives none.

        Raises:
            ValueError: the limit is negative; raised by this call.
        """
        check_limit(limit)
        if config is not None:
            self._bind(config)  # LangGraph loads a sub-graph that it replays so
        return self._list(config, filter, before, limit)

    def _list(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Iterator[CheckpointTuple]:
        configurable: Mapping[str, Any] = {} if config is None else _configurable(config)
        checkpoint_id = _checkpoint_id(configurable)
        namespace = _text(configurable, "checkpoint_ns")
        bound = None if before is None else _checkpoint_id(_configurable(before))
        left = limit
        for thread_id in self.store.thread_ids() if config is None else [_thread_id(configurable)]:
            found = self.store.history(
                thread_id,
                namespace,
                self._codec,
                before=None if bound is None else (_before_namespace(before, configurable), bound),
                wanted=Filter(wanted) if wanted else None,
                limit=left if checkpoint_id is None else None,
            )
            for stored in found:
                if checkpoint_id is not None and stored.record.checkpoint_id != checkpoint_id:
                    continue
                if left is not None:
                    if not left:
                        return
                    left -= 1
                yield _tuple(thread_id, stored, configurable)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What each channel's ancestors wrote, oldest first, back to the value they start from.

        Walks checkpoints that prune has hidden too.

        Args:
            config: names the target checkpoint; its own writes are not part of the history.
            channels: DeltaChannels of the graph.
        """
        configurable = _configurable(config)
        return cast(
            "Mapping[str, DeltaChannelHistory]",
            delta_history(
                self.store.views,
                _thread_id(configurable),
                _namespace(configurable),
                _checkpoint_id(configurable),
                channels,
                self._codec,
            ),
        )

    # ------------------------------------------------------------------ retention

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread; what its runs still put is refused. See `WfStore.delete_thread`."""
        self.store.delete_thread(checked_thread_id(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints of runs, by `run_id` of their metadata. See `WfStore.delete_for_runs`."""
        self.store.delete_for_runs([str(run_id) for run_id in several(run_ids, "run ids")])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """A new thread with the same history; copies no object. See `WfStore.copy_thread`."""
        self.store.copy_thread(checked_thread_id(source_thread_id), checked_thread_id(target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints. See `WfStore.prune`."""
        ids = [checked_thread_id(thread_id) for thread_id in several(thread_ids, "thread ids")]
        self.store.prune(ids, strategy)

    # ------------------------------------------------------------------ async: the same, on the saver's own threads

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, without blocking the event loop."""
        return await self._offload.run(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes`, without blocking the event loop."""
        await self._offload.run(self.put_writes, config, writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, without blocking the event loop."""
        return await self._offload.run(self._get_tuple, config, self._bind(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, without blocking the event loop."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (item := await self._offload.run(next, found, None)) is not None:
            yield item

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, without blocking the event loop."""
        return await self._offload.run(lambda: self.get_delta_channel_history(config=config, channels=channels))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, without blocking the event loop."""
        await self._offload.run(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, without blocking the event loop."""
        await self._offload.run(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, without blocking the event loop."""
        await self._offload.run(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, without blocking the event loop."""
        await self._offload.run(lambda: self.prune(thread_ids, strategy=strategy))

    # ------------------------------------------------------------------ LangGraph's hooks

    def get_next_version(self, current: Any, channel: None) -> Any:
        """The next version of a channel, of the type that is found: threads of other savers have text versions."""
        return next_version(current)

    def with_allowlist(self, extra_allowlist: Collection[Any]) -> WfStoreSaver:
        """A clone on the same store that may restore further types; LangGraph calls it in its strict mode."""
        if not isinstance(self.serde, WfSerializer):
            return cast("WfStoreSaver", super().with_allowlist(extra_allowlist))
        clone = copy.copy(self)
        clone._owns = False  # who opened the store closes it
        clone.serde = maybe_add_typed_methods(self.serde.with_allowlist(extra_allowlist))
        clone._codec = Codec(clone.serde, self.store.views.memo)
        return clone


def _configurable(config: RunnableConfig) -> Mapping[str, Any]:
    found = config.get("configurable") if type(config) is dict or isinstance(config, Mapping) else None
    if type(found) is not dict and not isinstance(found, Mapping):
        raise TypeError(
            f"the config has no 'configurable' dict: {config!r:.200}; pass config={{'configurable': "
            "{'thread_id': 'my-thread'}}"
        )
    return found


def _thread_id(configurable: Mapping[str, Any]) -> str:
    if "thread_id" not in configurable:
        raise TypeError(
            "the config names no thread; pass config={'configurable': {'thread_id': 'my-thread'}} to the graph"
        )
    return checked_thread_id(configurable["thread_id"])


def _namespace(configurable: Mapping[str, Any]) -> str:
    return _text(configurable, "checkpoint_ns") or ""


def _text(configurable: Mapping[str, Any], key: str) -> str | None:
    value = configurable.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is a str, not {type(value).__name__}: {value!r:.100}")
    return value


def _checkpoint_id(configurable: Mapping[str, Any]) -> str | None:
    value = configurable.get("checkpoint_id")
    return str(value) if isinstance(value, uuid.UUID) else _text(configurable, "checkpoint_id") or None


def _run_id(config: RunnableConfig) -> str | None:
    """The run id that the metadata of this config's checkpoints get."""
    for keys in (config.get("metadata"), config.get("configurable")):
        if keys and keys.get("run_id") is not None:
            return str(keys["run_id"])
    return None


def _check_checkpoint(checkpoint: Checkpoint) -> None:
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


def _required_checkpoint_id(configurable: Mapping[str, Any]) -> str:
    found = _checkpoint_id(configurable)
    if found is None:
        raise TypeError("put_writes needs a config with a checkpoint_id: the checkpoint that the writes belong to")
    return found


def _before_namespace(before: RunnableConfig | None, configurable: Mapping[str, Any]) -> str:
    """The namespace a `before` is looked up in: its own, or the listed one; the root comes next (listing.py)."""
    own = None if before is None else _configurable(before).get("checkpoint_ns")
    return own if own is not None else configurable.get("checkpoint_ns") or ""


def _config(thread_id: str, namespace: str, checkpoint_id: str, configurable: Mapping[str, Any]) -> RunnableConfig:
    """LangGraph's three keys; `branch` besides where the caller's config had it."""
    keys: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    if "branch" in configurable:
        keys["branch"] = configurable["branch"]
    return {"configurable": keys}


def _metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
    """The checkpoint's metadata with the scalars of the config's, as LangGraph's get_checkpoint_metadata merges them,
    but without its stripping of NUL characters."""
    merged: dict[str, Any] = dict(metadata)
    for extra in (config.get("metadata"), config.get("configurable")):
        for key, value in (extra or {}).items():
            if key in merged or key in EXCLUDED_METADATA_KEYS or key.startswith("__"):
                continue
            if isinstance(value, str | int | float):
                merged[key] = value
    return merged


def _tuple(thread_id: str, stored: StoredCheckpoint, configurable: Mapping[str, Any]) -> CheckpointTuple:
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
        config=_config(thread_id, record.namespace, record.checkpoint_id, configurable),
        checkpoint=cast("Checkpoint", checkpoint),
        metadata=cast("CheckpointMetadata", stored.metadata),
        parent_config=None
        if stored.parent is None
        else _config(thread_id, record.namespace, stored.parent, configurable),
        pending_writes=stored.writes,
    )
