"""The runs, steps and calls of a thread, as a person explores them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .backends.base import RecordRow
from .canonical import hex_id
from .errors import CallNotFoundError
from .lookup import load_needs
from .records import CallRecord, EndRecord, Ref, RunRecord, StepRecord, Usage
from .view import numbers_of, read_rows, run_of

if TYPE_CHECKING:
    from .store import WfStore

TRUNCATED = "wfstore.truncated"  # the only key of what stands in the place of a value that was not stored
TASKS = "__pregel_tasks"


@dataclass(frozen=True)
class _Info:
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
class RunInfo(_Info):
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
class StepInfo(_Info):
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
class CallInfo(_Info):
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
            have equal ones in a thread and its copies, as far as no redaction lies between.
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
        from .normal import normalised

        return normalised(self.input)

    @property
    def normalised_output(self) -> Any:
        """The output in that form."""
        from .normal import normalised

        return normalised(self.output)


Begin = RunRecord | StepRecord | CallRecord


class Traces:
    """Reads the runs, steps and calls of one thread.

    Args:
        store: the store.
        thread_id: which thread.
    """

    def __init__(self, store: WfStore, thread_id: str) -> None:
        self._store = store
        self.thread_id = thread_id

    def _number(self) -> int | None:
        view = self._store.views.of(self.thread_id)
        with view.lock:
            self._store.views.refresh(view)
            return view.number if view.stored else None

    def run_ids(self) -> list[str]:
        """The ids of the runs, in the order of their arrival."""
        number = self._number()
        rows = [] if number is None else self._store.backend.runs(number)
        return [record.run_id for _, record in read_rows(rows) if isinstance(record, RunRecord)]

    def of(self, run_ids: Sequence[str] | None = None) -> Trace:
        """Everything that is recorded of these runs, of all runs for None."""
        number = self._number()
        if number is None:
            return Trace(self, [])
        backend = self._store.backend
        if run_ids is None:
            runs = [row.run for row in backend.runs(number) if row.run is not None]
        else:
            runs = [run_of(run_id) for run_id in run_ids]
        return Trace(self, backend.of_runs(number, runs) if runs else [])

    def linked(self, links: Sequence[int]) -> list[tuple[RecordRow, Begin | EndRecord]]:
        """The records that have one of these links."""
        number = self._number()
        rows = [] if number is None else self._store.backend.linked(number, links)
        kinds = (RunRecord, StepRecord, CallRecord, EndRecord)
        return [(row, record) for row, record in read_rows(rows) if isinstance(record, kinds)]

    def value(self, row: RecordRow, record: Begin | EndRecord, ref: Ref) -> Any:
        """The value that a record names."""
        view = self._store.views.of(self.thread_id)
        with view.lock:
            self._store.views.refresh(view)
            needs = [(ref, numbers_of(row, record)[ref.id])]
            loaded = load_needs(view, self._store.backend, self._store.views.shelf, needs)
        return loaded.value(self._store.codec, ref)

    def state(self, checkpoint_id: str | None, namespace: str) -> dict[str, Any] | None:
        """The values of a checkpoint, None if it is not there."""
        if checkpoint_id is None:
            return None
        found = self._store.get(self.thread_id, namespace, checkpoint_id, self._store.codec).checkpoint
        return None if found is None else found.values

    def sent(self, record: StepRecord) -> Any:
        """What a `Send` gave a task."""
        state = self.state(record.checkpoint_id, record.namespace) or {}
        sends = state.get(TASKS) or ()
        sent = sends[record.send] if record.send is not None and record.send < len(sends) else None
        return getattr(sent, "arg", sent)

    def read_state(self, record: StepRecord) -> Any:
        """The channels that a node could read, without LangGraph's own; of the first node of all the run's input."""
        state = self.state(record.checkpoint_id, record.namespace)
        if state is None:
            return None
        if record.triggers == ("__start__",):
            return state.get("__start__")
        return {name: value for name, value in state.items() if not name.startswith(("__", "branch:", "join:"))}


class Trace:
    """What is recorded of some runs: starts, each with its end if there is one."""

    def __init__(self, traces: Traces, rows: Iterable[RecordRow]) -> None:
        self._traces = traces
        self.begins: list[tuple[RecordRow, Begin]] = []
        self.ends: dict[bytes, tuple[RecordRow, EndRecord]] = {}
        for row, record in read_rows(rows):
            if isinstance(record, EndRecord):
                self.ends[record.begin] = (row, record)
            elif isinstance(record, RunRecord | StepRecord | CallRecord):
                self.begins.append((row, record))
        order = {record.run_id: at for at, (_, record) in enumerate(self.begins) if isinstance(record, RunRecord)}
        self.begins.sort(key=lambda found: (order.get(found[1].run_id, -1), found[1].seq))
        self._nodes = {record.step_id: record.node for _, record in self.begins if isinstance(record, StepRecord)}

    def runs(self) -> list[RunInfo]:
        """The runs, in the order of their arrival."""
        return [self._run(row, record) for row, record in self.begins if isinstance(record, RunRecord)]

    def steps(self) -> list[StepInfo]:
        """The steps, run by run, in the order in which they began."""
        return [self._step(row, record) for row, record in self.begins if isinstance(record, StepRecord)]

    def calls(self, kind: str | None = None) -> list[CallInfo]:
        """The calls of a type, or all, run by run, in the order in which they began."""
        found = [(row, record) for row, record in self.begins if isinstance(record, CallRecord)]
        return [self._call(row, record) for row, record in found if kind in (None, record.type)]

    def _common(self, row: RecordRow, record: Begin) -> tuple[dict[str, Any], EndRecord | None]:
        found = self.ends.get(row.id)
        end = None if found is None else found[1]
        values: dict[str, Callable[[], Any]] = {}
        for source, named in ((row, record), *([found] if found is not None else [])):
            for name, ref in zip(named._fields, named, strict=True):
                if type(ref) is Ref:
                    values[name] = self._getter(source, named, ref)
        common = {
            "thread_id": self._traces.thread_id,
            "record_id": hex_id(row.id),
            "run_id": record.run_id,
            "seq": record.seq,
            "status": "open" if end is None else end.status,
            "started": record.started,
            "ended": None if end is None else end.ended,
            "error": None if end is None else end.error,
            "flags": () if end is None else end.flags,
            "_values": values,
        }
        return common, end

    def _getter(self, row: RecordRow, record: Begin | EndRecord, ref: Ref) -> Callable[[], Any]:
        return lambda: self._traces.value(row, record, ref)

    def _run(self, row: RecordRow, record: RunRecord) -> RunInfo:
        common, end = self._common(row, record)
        return RunInfo(
            **common,
            name=record.name,
            parent=record.parent,
            checkpoint_id=record.checkpoint_id,
            source=record.checkpoint_source,
            last_checkpoint_id=None if end is None else end.checkpoint_id,
            addressed=record.addressed,
            resumes=record.resumes,
            metadata_run_id=record.metadata_run_id,
            durability=record.durability,
            workflow=record.workflow,
            unattributed=0 if end is None else end.unattributed,
        )

    def _step(self, row: RecordRow, record: StepRecord) -> StepInfo:
        common, end = self._common(row, record)
        if "input" not in common["_values"]:
            read = self._traces.read_state if record.send is None else self._traces.sent
            common["_values"]["input"] = lambda: read(record)
        return StepInfo(
            **common,
            step_id=record.step_id,
            parent=record.parent,
            namespace=record.namespace,
            checkpoint_id=record.checkpoint_id,
            path=record.path,
            node=record.node,
            task_id=record.task_id,
            number=record.number,
            attempt=record.attempt,
            triggers=record.triggers,
            cached=record.cached,
            interrupts=() if end is None else end.interrupts,
        )

    def _call(self, row: RecordRow, record: CallRecord) -> CallInfo:
        common, end = self._common(row, record)
        end = end or EndRecord("call", record.call_id, record.run_id, row.id, 0, 0, "open")
        return CallInfo(
            **common,
            call_id=record.call_id,
            type=record.type,
            step_id=record.step,
            node=None if record.step is None else self._nodes.get(record.step),
            parent=record.parent,
            name=record.name,
            provider=record.provider,
            model=end.model or record.model,
            tool_call_id=record.tool_call_id,
            content=None if record.content is None else hex_id(record.content),
            output_content=None if end.content is None else hex_id(end.content),
            usage=end.usage,
            cached=end.cached,
            response_id=end.response_id,
            finish=end.finish,
            first_token=end.first_token,
            messages=end.messages,
            tool_calls=end.tool_calls,
            interrupts=end.interrupts,
        )


def checked_kind(kind: str | None) -> str | None:
    """A type of calls; ValueError for what is none."""
    if kind not in (None, "model", "tool", "retriever"):
        raise ValueError(f"kind is 'model', 'tool', 'retriever' or None for all, not {kind!r}")
    return kind


def call_not_found(thread_id: str, call_id: object) -> CallNotFoundError:
    """The error for a call id that the thread does not have."""
    return CallNotFoundError(
        f"thread {thread_id!r} has no call {call_id!r}; thread.calls() lists those that there are, with their call_id"
    )
