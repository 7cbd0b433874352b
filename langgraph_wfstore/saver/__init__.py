"""WfStoreSaver: LangGraph's checkpointer contract, sync and async, onto WfStore."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
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

from ..appending.inputs import CheckpointInput, RunRead, WritesInput
from ..appending.leases import Lease, claim
from ..arguments import check_limit, checked_thread_id, several
from ..capture.handlers import forget, watch
from ..capture.recorder import LIMIT, Binding, Recorder
from ..codec import Codec
from ..offload import Offload
from ..serde import WfSerializer
from ..store import WfStore
from ..threads.delta import delta_history
from ..threads.metadata import Filter
from ..threads.versions import next_version
from .configs import (
    CHECKPOINT_KEYS,
    before_namespace,
    branch_of,
    check_checkpoint,
    checkpoint_id_of,
    config_of,
    configurable_of,
    metadata_of,
    namespace_of,
    required_checkpoint_id,
    run_id_of,
    text_of,
    thread_id_of,
    tuple_of,
)
from .runs import Runs


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
        on_conflict: "fork": a checkpoint whose parent is no longer the head of its branch starts a branch of its own;
            "error": it is refused with ConflictError, unless it is a deliberate fork: of a checkpoint that was
            addressed by its id, or naming an unused `branch`. Check and put are one atomic operation, between
            processes too.
        isolate_forks: no fork becomes the current branch by itself; `thread.switch(name)` makes it so.
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
        on_conflict: str = "fork",
        isolate_forks: bool = False,
        synchronous: str = "full",
    ) -> None:
        if capture not in (True, False, "digests"):
            raise ValueError(f"capture is True, False or 'digests', not {capture!r}")
        if type(capture_limit) is not int or capture_limit < 1:
            raise ValueError(f"capture_limit is a positive number of bytes, not {capture_limit!r}")
        if on_conflict not in ("fork", "error"):
            raise ValueError(f"on_conflict is 'fork' or 'error', not {on_conflict!r}")
        if redact is not None and not callable(redact):
            raise ValueError(f"redact is a function of one value, not {redact!r:.100}")
        super().__init__(serde=serde or WfSerializer(allow=allow, strict=strict, placeholders=placeholders))
        self._exclusive, self._isolated = on_conflict == "error", bool(isolate_forks)
        self._owns = not isinstance(url, WfStore)
        self.store = url if isinstance(url, WfStore) else WfStore.open(url, serde=self.serde, synchronous=synchronous)
        # What is known of live elements holds for one serializer's bytes; those of another are its own.
        memo = self.store.views.memo if isinstance(self.serde, WfSerializer) else self.store.views.new_memo()
        self._codec = Codec(self.serde, memo)
        self.store.note_serializer(self._codec)
        self._runs = Runs()
        self._held: dict[str, int] = {}
        self._offload = Offload()
        self._recorder = Recorder(
            self.store, self._codec, self._offload, "digests" if capture == "digests" else "full", redact, capture_limit
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
            ConflictError: another content is stored under the same id, or with `on_conflict="error"` another run was
                faster; nothing was written.
            ThreadDeletedError: the thread or the run was deleted meanwhile; nothing was written.
            BackendUnavailableError: the engine cannot write.
        """
        return self._put(config, checkpoint, metadata, new_versions, self._addressed(config))

    def _addressed(self, config: RunnableConfig) -> str | None:
        configurable = configurable_of(config)
        return self._runs.addressed_by(configurable, thread_id_of(configurable))

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        addressed: str | None,
    ) -> RunnableConfig:
        configurable = configurable_of(config)
        thread_id, namespace = thread_id_of(configurable), namespace_of(configurable)
        check_checkpoint(checkpoint)
        new = CheckpointInput(
            namespace=namespace,
            checkpoint_id=checkpoint["id"],
            parent=checkpoint_id_of(configurable),
            values=checkpoint["channel_values"],
            versions=checkpoint["channel_versions"],
            new_versions=new_versions,
            versions_seen=checkpoint["versions_seen"],
            updated_channels=checkpoint.get("updated_channels"),
            v=checkpoint["v"],
            ts=checkpoint["ts"],
            metadata=metadata_of(config, metadata, self.serde),
            extra={k: v for k, v in checkpoint.items() if k not in CHECKPOINT_KEYS},
            run=self._runs.read_by(configurable, thread_id),
            branch=branch_of(configurable),
            addressed=addressed,
            isolated=self._isolated,
            exclusive=self._exclusive,
            fence=self._held.get(thread_id),
        )
        with self._recorder.putting(configurable, thread_id, new) as putting:
            self.store.put_checkpoint(thread_id, putting.checkpoint, self._codec, putting.queued)
        if not namespace:
            self._runs.note_root(configurable, thread_id, checkpoint["id"])
        return config_of(thread_id, namespace, checkpoint["id"], configurable)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of one task, all or none; before or after the checkpoint they belong to.

        Raises:
            as for `put`; ConflictError also if another branch that stands at the checkpoint would count them too.
        """
        self._put_writes(config, writes, task_id, task_path, self._addressed(config))

    def _put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
        addressed: str | None,
    ) -> None:
        configurable = configurable_of(config)
        thread_id = thread_id_of(configurable)
        new = WritesInput(
            namespace=namespace_of(configurable),
            checkpoint_id=required_checkpoint_id(configurable),
            task_id=task_id,
            task_path=task_path,
            writes=[(WRITES_IDX_MAP.get(channel, i), channel, value) for i, (channel, value) in enumerate(writes)],
            run=self._runs.read_by(configurable, thread_id),
            run_id=run_id_of(config),
            ends_run=any(channel in (ERROR, INTERRUPT) for channel, _ in writes),
            fence=self._held.get(thread_id),
            branch=branch_of(configurable),
            addressed=addressed,
        )
        with self._recorder.writing(configurable, thread_id, new) as queued:
            if new.writes:
                self.store.put_writes(thread_id, new, self._codec, queued)

    def claim(self, thread_id: object, ttl: timedelta | float, *, wait: timedelta | float = 0.0) -> Lease:
        """Hold a thread, so that only one of those who claim it runs it at a time.

        While the lease is held every put of this saver, and of its clones, to the thread carries its token: it is
        refused with ConflictError once another has claimed the thread. Savers that claim nothing are not held back.

        Args:
            thread_id: which thread; it need not be there yet.
            ttl: for how long, a timedelta or seconds, by the engine's clock; `Lease.renew` holds it longer.
            wait: how long to wait for another holder, a timedelta or seconds.

        Returns:
            the lease, a context manager; leaving it releases the thread.

        Raises:
            ConflictError: another holds it.
            ValueError: `ttl` is not above 0, or one of the times is above 36,500 days.
            TypeError: one of them is no time.
        """
        return claim(self.store.backend, checked_thread_id(thread_id), ttl, wait, self._held)

    # ------------------------------------------------------------------ get

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint, or the latest one of the namespace: the head of the current branch.

        Raises:
            DecodeError: a value cannot be restored; names thread, channel and type.
            IntegrityError: stored bytes are damaged.
        """
        self._look(config)
        return self._get_tuple(config, self._bind(config), self._branch(config))

    def _look(self, config: RunnableConfig) -> None:
        configurable = configurable_of(config)
        if not namespace_of(configurable):
            self._runs.look(configurable, thread_id_of(configurable), checkpoint_id_of(configurable))

    def _branch(self, config: RunnableConfig) -> str | None:
        """The branch to read; none where a run that addresses a checkpoint by its id names one that it is to start."""
        configurable = configurable_of(config)
        branch, thread_id = branch_of(configurable), thread_id_of(configurable)
        if branch is None or not self._runs.starts_branch(configurable, thread_id):
            return branch
        return branch if self.store.has_branch(thread_id, branch) else None

    def _bind(self, config: RunnableConfig) -> Binding | None:
        configurable = configurable_of(config)
        return self._recorder.bind(
            configurable, thread_id_of(configurable), namespace_of(configurable), run_id_of(config)
        )

    def _get_tuple(self, config: RunnableConfig, binding: Binding | None, branch: str | None) -> CheckpointTuple | None:
        configurable = configurable_of(config)
        thread_id, namespace = thread_id_of(configurable), namespace_of(configurable)
        found = self.store.get(
            thread_id,
            namespace,
            checkpoint_id_of(configurable),
            self._codec,
            branch=branch,
            within=configurable.get("checkpoint_map", {}).get("") if namespace else None,
            last_root=self._runs.last_root(configurable, thread_id) if namespace else None,
        )
        addressed = None if namespace else checkpoint_id_of(configurable)
        self._runs.note(configurable, thread_id, RunRead(found.life, found.last), addressed, root=not namespace)
        if found.checkpoint is not None and not namespace:
            self._runs.note_root(configurable, thread_id, found.checkpoint.record.checkpoint_id)
        if binding is not None:
            record = None if found.checkpoint is None else found.checkpoint.record
            binding.loaded(
                None if record is None else record.checkpoint_id,
                None if record is None else record.source,
                RunRead(found.life, found.last),
            )
        return None if found.checkpoint is None else tuple_of(thread_id, found.checkpoint, configurable)

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
        return self._list(config, filter, before, limit, None if config is None else self._branch(config))

    def _list(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
        branch: str | None,
    ) -> Iterator[CheckpointTuple]:
        configurable: Mapping[str, Any] = {} if config is None else configurable_of(config)
        checkpoint_id = checkpoint_id_of(configurable)
        namespace = text_of(configurable, "checkpoint_ns")
        bound = None if before is None else checkpoint_id_of(configurable_of(before))
        left = limit
        for thread_id in self.store.thread_ids() if config is None else [thread_id_of(configurable)]:
            found = self.store.history(
                thread_id,
                namespace,
                self._codec,
                branch=branch,
                before=None if bound is None else (before_namespace(before, configurable), bound),
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
                yield tuple_of(thread_id, stored, configurable)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What each channel's ancestors wrote, oldest first, back to the value they start from.

        Walks checkpoints that prune has hidden too.

        Args:
            config: names the target checkpoint; its own writes are not part of the history.
            channels: DeltaChannels of the graph.
        """
        configurable = configurable_of(config)
        return cast(
            "Mapping[str, DeltaChannelHistory]",
            delta_history(
                self.store.views,
                thread_id_of(configurable),
                namespace_of(configurable),
                checkpoint_id_of(configurable),
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
        return await self._offload.run(self._put, config, checkpoint, metadata, new_versions, self._addressed(config))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes`, without blocking the event loop."""
        await self._offload.run(self._put_writes, config, writes, task_id, task_path, self._addressed(config))

    async def aclaim(self, thread_id: object, ttl: timedelta | float, *, wait: timedelta | float = 0.0) -> Lease:
        """`claim`, without blocking the event loop."""
        return await self._offload.run(lambda: self.claim(thread_id, ttl, wait=wait))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, without blocking the event loop."""
        self._look(config)
        return await self._offload.run(self._get_tuple, config, self._bind(config), self._branch(config))

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
