"""Reads the runs, steps and calls of a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..backends.base import RecordRow
from ..canonical import hex_id
from ..codec import WRONG
from ..errors import CallNotFoundError, DecodeError, IntegrityError, ThreadDeletedError
from ..records import CallRecord, EndRecord, Ref, RunRecord, StepRecord
from ..threads.lookup import load_needs
from ..threads.overtaken import changed_since
from ..threads.view import numbers_of, read_rows, run_of
from ..values.reading import Loaded, named_place
from .infos import CallInfo, RunInfo, StepInfo

if TYPE_CHECKING:
    from ..store import WfStore

TASKS = "__pregel_tasks"
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

    def run_rows(self) -> list[RecordRow]:
        """The rows of the runs, in the order of their arrival."""
        number = self._number()
        return [] if number is None else self._store.backend.runs(number)

    def run_ids(self) -> list[str]:
        """The ids of the runs, in the order of their arrival."""
        return [record.run_id for _, record in read_rows(self.run_rows()) if isinstance(record, RunRecord)]

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

    def each(self, run_ids: Sequence[str]) -> dict[str, Trace]:
        """Per run what is recorded of it; read together."""
        rows: dict[int | None, list[RecordRow]] = {run_of(run_id): [] for run_id in run_ids}
        number = self._number()
        for row in [] if number is None else self._store.backend.of_runs(number, [run_of(name) for name in run_ids]):
            rows[row.run].append(row)
        return {run_id: Trace(self, rows[run_of(run_id)]) for run_id in run_ids}

    def linked(self, links: Sequence[int]) -> list[tuple[RecordRow, Begin | EndRecord]]:
        """The records that have one of these links."""
        number = self._number()
        rows = [] if number is None else self._store.backend.linked(number, links)
        kinds = (RunRecord, StepRecord, CallRecord, EndRecord)
        return [(row, record) for row, record in read_rows(rows) if isinstance(record, kinds)]

    def value(self, row: RecordRow, record: Begin | EndRecord, ref: Ref) -> Any:
        """The value that a record names.

        Raises:
            ThreadDeletedError: its run, or the thread, was deleted since the record was read.
        """
        view, backend = self._store.views.of(self.thread_id), self._store.backend

        def read() -> Loaded:
            if not view.stored:
                raise self._removed()
            try:
                return load_needs(view, backend, self._store.views.shelf, [(ref, numbers_of(row, record)[ref.id])])
            except IntegrityError as error:
                raise self._removed() if changed_since(backend, view.number, row) else error from None

        loaded = self._store.views.read(view, read)
        with named_place(self._place(row, record)):
            return loaded.value(self._store.codec, ref)

    def _place(self, row: RecordRow, record: Begin | EndRecord) -> str:
        return f"thread {self.thread_id!r}, run {record.run_id!r}, record {hex_id(row.id)}"

    def _removed(self) -> ThreadDeletedError:
        return ThreadDeletedError(
            f"what was asked for of thread {self.thread_id!r} was removed since it was read, with its run or the whole "
            "thread; thread.runs() lists those that there are"
        )

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
        if not isinstance(sends, list | tuple):
            raise DecodeError(
                f"thread {self.thread_id!r}, checkpoint {record.checkpoint_id!r}, channel {TASKS!r}: found a "
                f"value of type {type(sends).__qualname__} where only a list may be: {WRONG}"
            )
        sent = sends[record.send] if record.send is not None and 0 <= record.send < len(sends) else None
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
        self._steps: dict[str | None, tuple[RecordRow, StepRecord]] = {}
        self._calls: dict[str, tuple[RecordRow, CallRecord]] = {}
        for row, record in self.begins:
            if isinstance(record, StepRecord):
                self._steps[record.step_id] = row, record
            elif isinstance(record, CallRecord):
                self._calls[record.call_id] = row, record

    def run(self, run_id: str) -> RunInfo | None:
        """The run of that id; None if its start is not recorded."""
        found = ((row, record) for row, record in self.begins if isinstance(record, RunRecord))
        return next((self._run(row, record) for row, record in found if record.run_id == run_id), None)

    def step(self, step_id: str | None) -> StepInfo | None:
        """The step of that id; None if there is none."""
        found = self._steps.get(step_id)
        return None if found is None else self._step(*found)

    def call(self, call_id: str) -> CallInfo | None:
        """The call of that id; None if there is none."""
        found = self._calls.get(call_id)
        return None if found is None else self._call(*found)

    def record_of(self, call: CallInfo) -> tuple[RecordRow, CallRecord]:
        """The record of a call's start."""
        return self._calls[call.call_id]

    def inputs(self) -> Iterator[tuple[RecordRow, CallRecord, Ref]]:
        """Where it stands what models were given."""
        for row, call in self._calls.values():
            if call.type == "model" and call.input is not None:
                yield row, call, call.input

    def calls_in(self, step_id: str) -> list[CallInfo]:
        """The calls made in a step, without those made inside of others."""
        return [self._call(row, call) for row, call in self._within.get((step_id, None), ())]

    def calls_inside(self, call_id: str) -> list[CallInfo]:
        """The calls made inside a call."""
        return [self._call(row, call) for row, call in self._within.get((None, call_id), ())]

    def asking_steps_in(self, step_id: str) -> list[StepInfo]:
        """The steps right inside a step, of a sub-graph or functional tasks, that calls were made in."""
        return [self._step(row, step) for row, step in self._inside.get(step_id, ()) if step.step_id in self._asking]

    @cached_property
    def _inside(self) -> dict[str, list[tuple[RecordRow, StepRecord]]]:
        """The steps by the step that they are right inside."""
        found: dict[str, list[tuple[RecordRow, StepRecord]]] = {}
        for row, step in self._steps.values():
            if step.parent is not None:
                found.setdefault(step.parent, []).append((row, step))
        return found

    @cached_property
    def _asking(self) -> set[str]:
        """The steps that calls were made in, or in steps inside them."""
        found: set[str] = set()
        for _, call in self._calls.values():
            own = call.step
            while own is not None and own not in found:
                found.add(own)
                own = self._steps[own][1].parent if own in self._steps else None
        return found

    @cached_property
    def _within(self) -> dict[tuple[str | None, str | None], list[tuple[RecordRow, CallRecord]]]:
        """The calls by the step that they were made in directly, or the call."""
        found: dict[tuple[str | None, str | None], list[tuple[RecordRow, CallRecord]]] = {}
        for row, call in self._calls.values():
            key = (call.step, None) if call.parent is None else (None, call.parent)
            found.setdefault(key, []).append((row, call))
        return found

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
            node=None if record.step not in self._steps else self._steps[record.step][1].node,
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


def call_not_found(thread_id: str, call_id: object) -> CallNotFoundError:
    """The error for a call id that the thread does not have."""
    return CallNotFoundError(
        f"thread {thread_id!r} has no call {call_id!r}; thread.calls() lists those that there are, with their call_id"
    )
