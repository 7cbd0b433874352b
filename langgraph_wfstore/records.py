"""The records and the values they name: named tuples, nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from .canonical import Version


class Kind(StrEnum):
    """What a record describes; also the domain of its digest."""

    CHECKPOINT = "checkpoint"
    WRITE = "write"
    BRANCH = "branch"
    REMOVAL = "removal"
    SWITCH = "switch"
    SEAL = "seal"


class Ref(NamedTuple):
    """Names one stored value.

    `form` says how it is stored: "object" (the bytes of one value), "list" (by element) or "map"
    (a dict whose direct lists are stored by element). `id` is 32 bytes.
    """

    form: str
    id: bytes


class Channel(NamedTuple):
    """One channel of a checkpoint: its version, if it has one, and its value, if it has one."""

    name: str
    version: Version | None
    value: Ref | None


class CheckpointRecord(NamedTuple):
    """A state of a graph, by reference. `channels` and `versions_seen` are ordered by UTF-8 bytes of the names.

    `source`, `step` and `run_id` are the metadata's; `parents` are, per namespace, the checkpoints whose supersteps a
    checkpoint belongs to.
    """

    namespace: str
    checkpoint_id: str
    parent: bytes | None
    parent_checkpoint_id: str | None
    channels: tuple[Channel, ...]
    versions_seen: tuple[tuple[str, tuple[tuple[str, Version], ...]], ...]
    updated_channels: tuple[str, ...] | None
    v: int
    ts: str
    metadata: Ref
    extra: Ref | None
    source: str | None
    step: int | None
    run_id: str | None
    parents: tuple[tuple[str, str], ...]

    @property
    def within(self) -> str | None:
        """The root checkpoint whose superstep a sub-graph's checkpoint belongs to."""
        return dict(self.parents).get("") if self.namespace else None


class Write(NamedTuple):
    """One pending write. `replaces` is the record whose write of the same task and index it takes the place of."""

    idx: int
    channel: str
    value: Ref
    replaces: bytes | None


class WriteRecord(NamedTuple):
    """The writes that one call of `put_writes` added to a checkpoint, ordered by index."""

    namespace: str
    checkpoint_id: str
    task_id: str
    task_path: str
    writes: tuple[Write, ...]


class BranchRecord(NamedTuple):
    """The start of a branch beside the first one.

    Attributes:
        number: 1, 2, 3, ... in the order of their starts; the first line of a thread is branch 0, "main".
        base: the record of the checkpoint it starts from, None if it starts from nothing that is stored.
        first: the record of its first checkpoint.
        current: whether it became the branch that is read by default.
    """

    number: int
    name: str
    base: bytes | None
    first: bytes
    current: bool


class SwitchRecord(NamedTuple):
    """A branch that was there before became the current one.

    Attributes:
        number: which branch.
        checkpoint: the record of the checkpoint whose put made it current.
    """

    number: int
    checkpoint: bytes


class RemovalRecord(NamedTuple):
    """States which records of a thread have lost their content up to now: how many, and a digest over all of them.

    Attributes:
        reason: "prune" or "delete_for_runs".
        removed: the number of records whose content is gone or hidden.
        digest: see `format.removed_digest`.
    """

    reason: str
    removed: int
    digest: bytes


class SealRecord(NamedTuple):
    """A link of a thread's seal chain: it names every record that was not yet sealed, in the order of arrival."""

    ordinal: int
    previous: bytes | None
    records: tuple[bytes, ...]
