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
    MERGE = "merge"
    SEAL = "seal"
    RUN = "run"
    STEP = "step"
    CALL = "call"
    END = "end"
    LABEL = "label"


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
    """The start of a branch, or that one goes on from a checkpoint of another.

    Attributes:
        number: 1, 2, 3, ... in the order of their starts; the first line of a thread is branch 0, "main".
        base: the record of the checkpoint it starts from, None if it starts from nothing that is stored.
        first: the record of the checkpoint that follows `base` on it; None if it was created without one.
        current: whether it became the branch that is read by default.
    """

    number: int
    name: str
    base: bytes | None
    first: bytes | None
    current: bool


class LabelRecord(NamedTuple):
    """The branch `number` is called `name` from now on; None: it was deleted."""

    number: int
    name: str | None


class SwitchRecord(NamedTuple):
    """A branch that was there before became the current one.

    Attributes:
        number: which branch.
        checkpoint: the record of the checkpoint whose put made it current, or of its head when that was asked for.
    """

    number: int
    checkpoint: bytes


class MergeRecord(NamedTuple):
    """A checkpoint of the root namespace has a second parent: what was merged into its first one.

    Attributes:
        checkpoint: the record of the checkpoint.
        parent: the record of the second parent.
        base: the record of the nearest common ancestor of both parents; None if they have none.
    """

    checkpoint: bytes
    parent: bytes
    base: bytes | None


class RemovalRecord(NamedTuple):
    """States what of a thread has lost its content up to now: how many records and objects, and a digest over all.

    Attributes:
        reason: "prune", "delete_for_runs", "delete_branch", or "redact", which may go on with ": " and what for.
        removed: the number of records whose content is gone or hidden.
        digest: see `format.removed_digest`.
        redacted: the number of redacted objects that the other records reach.
    """

    reason: str
    removed: int
    digest: bytes
    redacted: int = 0


class SealRecord(NamedTuple):
    """A link of a thread's seal chain: it names every record that was not yet sealed, in the order of arrival."""

    ordinal: int
    previous: bytes | None
    records: tuple[bytes, ...]


class RunRecord(NamedTuple):
    """The start of a run: one invocation of a graph on a thread.

    Attributes:
        run_id: the id of its callback run, which LangChain gives or the config's `run_id` is.
        seq: place in the order in which the run's records were made; 0 for the run itself.
        started: ns since 1970.
        parent: id of the step, of any thread, that this run was started in; None if it was started by a program.
        checkpoint_id: the checkpoint of the root namespace that it started from, None on an empty thread.
        checkpoint_source: that one's source; "fork" and "update" mean that it goes on from an edited state.
        addressed: whether the config named that checkpoint by its id, instead of taking the latest.
        resumes: whether it goes on with that checkpoint's unfinished tasks instead of taking new input.
        metadata_run_id: the `run_id` of the config's metadata, if there is one.
        durability: LangGraph's: "sync", "async" or "exit"; None if it is not known.
        workflow: fingerprint of the graph, `sha256:...`; None if the graph could not be seen.
        description: what the fingerprint is made of.
        input: the input.
    """

    run_id: str
    seq: int
    started: int
    name: str
    parent: str | None
    checkpoint_id: str | None
    checkpoint_source: str | None
    addressed: bool
    resumes: bool
    metadata_run_id: str | None
    durability: str | None
    workflow: str | None
    description: Ref | None
    input: Ref | None


class StepRecord(NamedTuple):
    """The start of a step: one execution attempt of one node in one superstep of a run.

    Attributes:
        parent: id of the step or call that it runs inside, None directly below the run.
        namespace, checkpoint_id: the checkpoint whose superstep it is part of; None in a graph that saves none.
        path: the namespace of the task, `node:task id` at the end.
        number: the superstep.
        attempt: 1, and one more for every retry.
        triggers: LangGraph's: the channels that made it run.
        cached: whether a node cache gave its output, so that nothing ran.
        send: of a task that a `Send` started, which one it is of those that the checkpoint holds.
        input: the arguments, where no checkpoint holds them.
    """

    step_id: str
    run_id: str
    seq: int
    started: int
    parent: str | None
    namespace: str
    checkpoint_id: str | None
    path: str
    node: str
    task_id: str
    number: int
    attempt: int
    triggers: tuple[str, ...]
    cached: bool
    send: int | None
    input: Ref | None


class CallRecord(NamedTuple):
    """The start of a call: one model call, tool call or retrieval.

    Attributes:
        type: "model", "tool" or "retriever".
        step: id of the step that it was made in; None directly below the run.
        parent: id of the call that it was made inside, if there is one.
        name: of the tool, or of the model's class.
        provider, model: as the model's integration says; None for tools.
        tool_call_id: of a tool call the id that the model gave it.
        parameters: what a model was asked with besides the messages.
        tools: the definitions of the tools that a model could call.
        input: messages, prompt or arguments, as they were given.
        content: keyed digest of the normalised input; see tracing/normal.py.
    """

    call_id: str
    run_id: str
    seq: int
    started: int
    type: str
    step: str | None
    parent: str | None
    name: str
    provider: str | None
    model: str | None
    tool_call_id: str | None
    parameters: Ref | None
    tools: Ref | None
    input: Ref | None
    content: bytes | None


class Usage(NamedTuple):
    """Tokens of one model call. None where the model said nothing.

    Attributes:
        input: all input tokens, those from and into the cache included.
        output: all output tokens, reasoning included.
        cache_read, cache_write: of the input, from and into the cache; `cache_write_hour` of those kept for an hour.
        reasoning: of the output.
    """

    input: int | None
    output: int | None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_hour: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None


class EndRecord(NamedTuple):
    """The end of a run, step or call. What has none was open when its process ended, or still is.

    Attributes:
        of: "run", "step" or "call".
        begin: the record that it ends.
        ended: ns since 1970.
        status: "ok", "error", "interrupted" or "cancelled".
        output: what came back, as it was given.
        content: keyed digest of the normalised output.
        error: type and message.
        usage: tokens of a model call.
        cached: whether a model's answer came from LangChain's cache.
        model: the model that says it answered.
        response_id: the provider's id of the answer.
        finish: the reasons why it ended.
        first_token: ns since 1970, where the answer was streamed.
        messages: ids of the messages that came back.
        tool_calls: ids of the tool calls that a model asked for.
        interrupts: ids of the interrupts that were raised.
        checkpoint_id: of a run the last checkpoint of the root namespace.
        unattributed: of a run how many calls began in its process meanwhile that belong to no run.
        flags: what is not as it should be with what is recorded here, in words.
    """

    of: str
    id: str
    run_id: str
    begin: bytes
    seq: int
    ended: int
    status: str
    output: Ref | None = None
    content: bytes | None = None
    error: tuple[str, str] | None = None
    usage: Usage | None = None
    cached: bool = False
    model: str | None = None
    response_id: str | None = None
    finish: tuple[str, ...] = ()
    first_token: int | None = None
    messages: tuple[str, ...] = ()
    tool_calls: tuple[str, ...] = ()
    interrupts: tuple[str, ...] = ()
    checkpoint_id: str | None = None
    unattributed: int = 0
    flags: tuple[str, ...] = ()
