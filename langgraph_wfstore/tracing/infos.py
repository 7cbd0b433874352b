"""What a person sees of a run, a step and a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from ..records import Usage
from .normal import normalised

TRUNCATED = "wfstore.truncated"  # the only key of what stands in the place of a value that was not stored


@dataclass(frozen=True)
class Info:
    """What runs, steps and calls have in common.

    Attributes:
        record_id: `sha256:...` of the record of its start.
        run_id: the run.
        seq: place among the run's records, given by who wrote them.
        status: "ok", "error", "interrupted", "cancelled"; "open" if no end was recorded: it runs, or its process died.
        started, ended: ns since 1970.
        error: type and message.
        flags: what is not as it should be with what is recorded here.
    """

    thread_id: str
    record_id: str
    run_id: str
    seq: int
    status: str
    started: int
    ended: int | None
    error: tuple[str, str] | None
    flags: tuple[str, ...]
    _values: Mapping[str, Callable[[], Any]] = field(repr=False, compare=False)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is open."""
        return None if self.ended is None else (self.ended - self.started) / 1e9

    def _value(self, name: str) -> Any:
        get = self._values.get(name)
        return None if get is None else get()

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain data, without the values."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}


@dataclass(frozen=True)
class RunInfo(Info):
    """One invocation of a graph on a thread.

    Attributes:
        name: the graph's.
        parent: id of the step, of any thread, that it was started in.
        checkpoint_id: the checkpoint that it started from; `source` is that one's.
        last_checkpoint_id: the last one that it made; None if no end was recorded.
        addressed: whether it was told by id where to start.
        resumes: whether it went on with unfinished tasks.
        metadata_run_id: the `run_id` of its config's metadata.
        durability: LangGraph's mode.
        workflow: fingerprint of the graph, `sha256:...`; None if the graph could not be seen.
        unattributed: how many calls began meanwhile in its process that say of no run that they belong to it.
    """

    name: str
    parent: str | None
    checkpoint_id: str | None
    source: str | None
    last_checkpoint_id: str | None
    addressed: bool
    resumes: bool
    metadata_run_id: str | None
    durability: str | None
    workflow: str | None
    unattributed: int

    @cached_property
    def input(self) -> Any:
        """The input."""
        return self._value("input")

    @cached_property
    def description(self) -> dict[str, Any] | None:
        """What the workflow's fingerprint is made of: nodes, edges, channels, sources, packages."""
        found: dict[str, Any] | None = self._value("description")
        return found


@dataclass(frozen=True)
class StepInfo(Info):
    """One execution attempt of one node.

    Attributes:
        step_id: LangChain's run id of the node's execution.
        parent: id of the step or call that it ran inside; None directly below the run.
        namespace, checkpoint_id: the checkpoint whose superstep it was part of.
        number: the superstep.
        attempt: 1, and one more for every retry.
        cached: whether a node cache gave the output: nothing ran, nothing was paid for.
        interrupts: ids of the interrupts that it raised.
    """

    step_id: str
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
    interrupts: tuple[str, ...]

    @cached_property
    def input(self) -> Any:
        """What it was given: of functional tasks the arguments, of `Send` what was sent, else the state it read."""
        return self._value("input")

    @cached_property
    def output(self) -> Any:
        """What the node returned, in this attempt."""
        return self._value("output")


@dataclass(frozen=True)
class CallInfo(Info):
    """One model call, tool call or retrieval.

    Attributes:
        call_id: LangChain's run id of the call.
        type: "model", "tool" or "retriever".
        step_id, node: the step it was made in.
        parent: id of the call that it was made inside.
        name: of the tool, or of the model's class.
        provider, model: as the integration says; `model` is the one that answered, where that is known.
        tool_call_id: the id that a model gave a tool call.
        content, output_content: keyed digests of the normalised input and output (FORMAT.md, section 6): equal contents
            have equal ones in a thread and its copies.
        usage: tokens of a model call; None if the model did not say.
        cached: whether the answer came from LangChain's cache and cost nothing.
        first_token: ns since 1970; None if the answer was not streamed.
        messages: ids of the messages that came back; `tool_calls` of the tool calls that they ask for.
    """

    call_id: str
    type: str
    step_id: str | None
    node: str | None
    parent: str | None
    name: str
    provider: str | None
    model: str | None
    tool_call_id: str | None
    content: str | None
    output_content: str | None
    usage: Usage | None
    cached: bool
    response_id: str | None
    finish: tuple[str, ...]
    first_token: int | None
    messages: tuple[str, ...]
    tool_calls: tuple[str, ...]
    interrupts: tuple[str, ...]

    @property
    def streamed(self) -> bool:
        """Whether the answer came token by token."""
        return self.first_token is not None

    @cached_property
    def input(self) -> Any:
        """Messages, prompt or arguments as they were given; a `wfstore.truncated` dict for what was too large."""
        return self._value("input")

    @cached_property
    def output(self) -> Any:
        """What came back."""
        return self._value("output")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What a model was asked with besides: temperature and the like."""
        return self._value("parameters") or {}

    @cached_property
    def tools(self) -> list[Any]:
        """The definitions of the tools that a model could call."""
        return self._value("tools") or []

    @property
    def normalised_input(self) -> Any:
        """The input in the one form that `content` is a digest of: roles and parts of messages, parsed arguments."""
        return normalised(self.input)

    @property
    def normalised_output(self) -> Any:
        """The output in that form."""
        return normalised(self.output)


def checked_kind(kind: str | None) -> str | None:
    """A type of calls; ValueError for what is none."""
    if kind not in (None, "model", "tool", "retriever"):
        raise ValueError(f"kind is 'model', 'tool', 'retriever' or None for all, not {kind!r}")
    return kind
