"""What is put: checkpoints and pending writes as they come in, before anything of them is encoded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..canonical import Version
from ..codec import Encoded


class RunRead(NamedTuple):
    """What a run read before it put anything: the thread's life, and the number of its last record then."""

    life: int
    last: int


class Merged(NamedTuple):
    """What a checkpoint merges into its parent.

    Attributes:
        checkpoint_id: of the second parent; `record` is its record.
        base: the record of the nearest common ancestor of both parents, None if they have none.
    """

    checkpoint_id: str
    record: bytes
    base: bytes | None


class CheckpointInput(NamedTuple):
    """A checkpoint as it is put.

    Attributes:
        parent: id of the checkpoint it was made from.
        values: channel values; a channel that is absent has no value.
        versions: channel versions.
        new_versions: names of the channels that changed since the parent.
        metadata: any mapping; `source`, `step`, `run_id` and `parents` have LangGraph's meaning.
        extra: what else the checkpoint holds.
        run: what its run read, if that is known.
        branch: the branch that the config names, if it names one.
        inherits: whether a channel of its parent's version certainly has its parent's value: no node has run since
            that could have changed it in place.
        encoded: values that were encoded before, as they were when the checkpoint came to be; they count.
        addressed, isolated, exclusive: what happens if it starts a branch, see `order.Arrival`.
        fence: the token of the lease that its saver holds on the thread.
        merged: what it merges into its parent, if it is a merge.
    """

    namespace: str
    checkpoint_id: str
    parent: str | None
    values: Mapping[str, Any]
    versions: Mapping[str, Version]
    new_versions: Collection[str]
    versions_seen: Mapping[str, Mapping[str, Version]]
    updated_channels: Sequence[str] | None
    v: int
    ts: str
    metadata: Mapping[str, Any]
    extra: Mapping[str, Any]
    run: RunRead | None = None
    branch: str | None = None
    inherits: bool = True
    encoded: Mapping[str, Encoded] = MappingProxyType({})
    addressed: str | None = None
    isolated: bool = False
    exclusive: bool = False
    fence: int | None = None
    merged: Merged | None = None

    @property
    def parents(self) -> Mapping[str, str]:
        """Per namespace the checkpoint whose superstep this one belongs to."""
        found = self.metadata.get("parents")
        if not found or not isinstance(found, Mapping):
            return {}
        return {k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, str) and k != self.namespace}


class WritesInput(NamedTuple):
    """Pending writes as they are put: (index, channel, value), all of one task.

    `branch` and `addressed` are as in `CheckpointInput`.
    """

    namespace: str
    checkpoint_id: str
    task_id: str
    task_path: str
    writes: Sequence[tuple[int, str, Any]]
    run: RunRead | None = None
    run_id: str | None = None
    ends_run: bool = False
    fence: int | None = None
    branch: str | None = None
    addressed: str | None = None
