"""Puts of plain data straight into a store, for the property tests of the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import settings

from langgraph_wfstore.appending.inputs import CheckpointInput, WritesInput
from langgraph_wfstore.backends.memory import MemoryBackend
from langgraph_wfstore.store import WfStore

SECRET = bytes(32)


def examples(count: int) -> settings:
    """So many examples, however long one takes on a busy machine."""
    return settings(max_examples=count, deadline=None)


def memory_store() -> WfStore:
    """An empty store in memory; every thread has the same lineage secret."""
    return WfStore(MemoryBackend(), lineage_secret=lambda: SECRET)


def put(
    store: WfStore,
    checkpoint_id: str,
    parent: str | None,
    values: Mapping[str, Any],
    *,
    thread: str = "t",
    namespace: str = "",
    version: int = 1,
    branch: str | None = None,
    isolated: bool = False,
    ts: str = "2026-01-01T00:00:00+00:00",
    **metadata: Any,
) -> None:
    """Put a checkpoint all of whose channels are new."""
    new = CheckpointInput(
        namespace=namespace,
        checkpoint_id=checkpoint_id,
        parent=parent,
        values=values,
        versions=dict.fromkeys(values, version),
        new_versions=list(values),
        versions_seen={},
        updated_channels=None,
        v=4,
        ts=ts,
        metadata={"source": "loop", "step": version, **metadata},
        extra={},
        branch=branch,
        isolated=isolated,
    )
    store.put_checkpoint(thread, new, store.codec)


def put_writes(
    store: WfStore,
    checkpoint_id: str,
    task: str,
    *writes: tuple[int, str, Any],
    thread: str = "t",
    ends_run: bool = False,
) -> None:
    """Put the writes (index, channel, value) of one task."""
    store.put_writes(thread, WritesInput("", checkpoint_id, task, "", writes, ends_run=ends_run), store.codec)


def values_of(
    store: WfStore, checkpoint_id: str | None = None, *, thread: str = "t", namespace: str = ""
) -> dict[str, Any]:
    """The channel values of a checkpoint, or of the latest."""
    found = store.get(thread, namespace, checkpoint_id, store.codec).checkpoint
    assert found is not None
    return found.values
