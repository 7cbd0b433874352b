"""Runs, steps and calls while they are open, and the notes that are made of them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..appending.inputs import RunRead, WritesInput
from ..appending.trace import Note, NoteBatch
from ..records import CallRecord, EndRecord, RunRecord, StepRecord
from .node_cache import node_of
from .scopes import Scope

if TYPE_CHECKING:
    from .barrier import LoopState
    from .recorder import Recorder

_DEEPEST = 16  # lists in lists that are looked through for messages


class RunState:
    """A run that is open.

    Attributes:
        recorder: records it.
        thread_id: the thread that it runs on.
        root: what is known of its root graph; `graph` is that one, None if it could not be seen.
        read: what it read of the thread before anything else.
        unattributed: calls that began meanwhile in this process and belong to no run.
    """

    def __init__(
        self,
        recorder: Recorder,
        thread_id: str,
        scope: Scope,
        root: LoopState,
        *,
        graph: Any,
        addressed: bool,
        metadata_run_id: str | None,
    ) -> None:
        self.recorder = recorder
        self.thread_id = thread_id
        self.root = root
        self.id: str = str(scope.id)
        self.read: RunRead | None = None
        self.unattributed = 0
        self.last_checkpoint: str | None = None
        self.graph = graph
        self.lock = threading.Lock()
        self._seq = itertools.count()
        self._input = scope.given
        self._opened = False
        self._attempts: dict[str, int] = {}
        self.record = RunRecord(
            run_id=self.id,
            seq=next(self._seq),
            started=scope.started,
            name=scope.name,
            parent=None if scope.step is None else scope.step.id,
            checkpoint_id=None,
            checkpoint_source=None,
            addressed=addressed,
            resumes=False,
            metadata_run_id=metadata_run_id,
            durability=root.durability,
            workflow=None,
            description=None,
            input=None,
        )
        self._begin = Note(self.record)

    def loaded(self, checkpoint_id: str | None, source: str | None, read: RunRead) -> None:
        """The root graph has read the state that it starts from."""
        self.read = read
        self.last_checkpoint = checkpoint_id
        self.record = self.record._replace(checkpoint_id=checkpoint_id, checkpoint_source=source)

    def next_seq(self) -> int:
        """The place of the run's next record."""
        return next(self._seq)

    def attempt(self, path: str) -> int:
        """Which attempt at a task this is."""
        self._attempts[path] = self._attempts.get(path, 0) + 1
        return self._attempts[path]

    def opening(self) -> list[Note]:
        """The note of its start, the first time it is asked for."""
        if self._opened:
            return []
        self._opened = True
        config = getattr(self.root.loop, "config", None) or {}
        resumes = bool(config.get("configurable", {}).get("__pregel_resuming"))
        fingerprint, description = self.recorder.workflow(self)
        values = self.recorder.encoded({"input": self._input, "description": description}, None, limited=False)
        self._begin.record = self.record._replace(resumes=resumes, workflow=fingerprint)
        self._begin.values = values
        self._input = None
        return [self._begin]

    def batch(self, notes: Sequence[Note]) -> NoteBatch:
        """Notes to be recorded, with the run's own where it is still to come."""
        return NoteBatch(self._begin, [*self.opening(), *notes], self.read, self.record.metadata_run_id or self.id)

    def end(self, status: str, error: BaseException | None) -> None:
        """Record its end, sealed."""
        if status == "ok" and (self.root.interrupted or _stopped(self.root)):
            status = "interrupted"
        note = Note(
            EndRecord(
                of="run",
                id=self.id,
                run_id=self.id,
                begin=b"",
                seq=self.next_seq(),
                ended=time.time_ns(),
                status=status,
                error=self.recorder.described(error) if status == "error" else None,
                checkpoint_id=self.root.checkpoint_id or self.last_checkpoint,
                unattributed=self.unattributed,
            ),
            begin=self._begin,
        )
        self.recorder.keep(self, [note], wait=True)


def _stopped(root: LoopState) -> bool:
    """Whether LangGraph stopped before or after a node, as it was told to."""
    return getattr(root.loop, "status", None) in ("interrupt_before", "interrupt_after")


class StepState:
    """A step that is open.

    Args:
        scope: the callback run of the node.
        above: that of the graph, or of the functional task's caller.
        metadata: LangGraph's: step, node, triggers, path and namespace.
        given: the node's input.
    """

    def __init__(self, scope: Scope, above: Scope, metadata: Mapping[str, Any], given: Any) -> None:
        assert above.run is not None
        self.run = above.run
        self.id: str = str(scope.id)
        self.path = str(metadata["langgraph_checkpoint_ns"])
        self.node = str(metadata.get("langgraph_node", ""))
        namespace, _, own = self.path.rpartition("|")
        self.task_id = own.rpartition(":")[2]
        self.flags: list[str] = []
        self.known_messages: set[str] = set()
        self._given = given
        path: tuple[Any, ...] = tuple(metadata.get("langgraph_path") or ())
        self._send = path[1] if len(path) == 3 and path[0] == "__pregel_push" and type(path[1]) is int else None
        handler = path[-2:] == ("node_error_handler", False)
        if handler:  # LangGraph names it after the task that failed, and both are the graph's
            namespace = namespace.rpartition("|")[0]
        functional = len(path) > 3 and not handler
        loop = above.loop
        if loop is None and functional and above.step is not None:
            loop = above.step.loop  # of who called the functional task; any other node is one of the graph above it
        if loop is not None and loop.namespace != namespace and not functional:
            loop = None  # a graph that saves nothing: the writes of its tasks never come
        self.loop: LoopState | None = loop
        saves = loop is not None and loop.saves
        # A checkpoint holds what a node reads, and what was sent to it; not what a functional task is called with.
        first = tuple(metadata.get("langgraph_triggers") or ()) == ("__start__",)
        self._needs_input = functional or ((first or self._send is not None) and not saves)
        parent = above.call or above.step
        if loop is not None:
            loop.begun.add(self.task_id)
        self.record = StepRecord(
            step_id=self.id,
            run_id=self.run.id,
            seq=self.run.next_seq(),
            started=0,
            parent=None if parent is None else parent.id,
            namespace=namespace,
            checkpoint_id=loop.checkpoint_id if loop is not None and loop.namespace == namespace else None,
            path=self.path,
            node=self.node,
            task_id=self.task_id,
            number=int(metadata.get("langgraph_step", 0)),
            attempt=self.run.attempt(self.path),
            triggers=tuple(map(str, metadata.get("langgraph_triggers") or ())),
            cached=False,
            send=self._send if saves else None,
            input=None,
        )
        self.note = Note(self.record)

    def enter(self, in_time: bool) -> None:
        """The node is about to run: record that it does.

        Args:
            in_time: whether what the superstep before saves was queued.
        """
        if not in_time:
            self.flags.append("started before the state it started from was saved: the capture barrier timed out")
        recorder = self.run.recorder
        if self.loop is not None:
            self.loop.enter(self.node, recorder.codec)
        self.note.values = recorder.encoded({"input": self._given}, None) if self._needs_input else {}
        self._given = None
        self.note.record = self.record._replace(started=time.time_ns())
        recorder.keep(self.run, [self.note], send=False)

    def ended(self, status: str) -> None:
        """The node has run: LangGraph is about to save what it wrote."""
        if self.loop is not None and status == "ok":
            self.loop.ended(self.task_id)
        if self.loop is not None and status == "interrupted":
            self.loop.interrupted = True

    def end(self, status: str, output: Any, error: BaseException | None) -> None:
        """Record the end."""
        recorder = self.run.recorder
        if self.loop is not None:
            self.flags += self.loop.leave(recorder.codec)
            output = without_untracked(output, self.loop.untracked)
        failed = status == "error"
        note = Note(
            EndRecord(
                of="step",
                id=self.id,
                run_id=self.run.id,
                begin=b"",
                seq=self.run.next_seq(),
                ended=time.time_ns(),
                status=status,
                error=recorder.described(error) if failed else None,
                messages=tuple(name for name in message_ids(output) if name not in self.known_messages),
                interrupts=interrupts_of(error),
                flags=tuple(self.flags),
            ),
            {} if failed else recorder.encoded({"output": output}, None, limited=False),
            begin=self.note,
        )
        recorder.keep(self.run, [note], send=self.loop is None or not self.loop.saves or status != "ok")


class CallState:
    """A call that is open.

    Args:
        scope: its callback run.
        make: makes its record and the values that go into it, given what all calls have in common.
    """

    def __init__(self, scope: Scope, make: Callable[[dict[str, Any]], tuple[CallRecord, dict[str, Any], Any]]) -> None:
        assert scope.run is not None
        self.run = scope.run
        self.step = scope.step
        self.id = str(scope.id)
        self.first_token: int | None = None
        common = {
            "call_id": self.id,
            "run_id": self.run.id,
            "seq": self.run.next_seq(),
            "started": time.time_ns(),
            "step": None if self.step is None else self.step.id,
            "parent": None if scope.call is None else scope.call.id,
        }
        self.record, self._values, self._asked = make(common)
        self.note = Note(self.record, like=f"{self.record.type} {'' if self.step is None else self.step.node}")

    def enter(self) -> None:
        """The call is about to be made: record that it is, before it is."""
        recorder = self.run.recorder
        self.note.values = recorder.encoded(self._values, self.note)
        self.note.content_key = recorder.content_key(self._asked)
        self._values, self._asked = {}, None
        recorder.keep(self.run, [self.note], wait=True)

    def known(self, facts: Mapping[str, Any]) -> None:
        """Its step need not name the messages that came of it."""
        if self.step is not None:
            self.step.known_messages.update(facts.get("messages", ()))

    def end(self, status: str, output: Any, error: BaseException | None, facts: Mapping[str, Any]) -> None:
        """Record the end.

        Args:
            facts: further fields of the record.
        """
        recorder = self.run.recorder
        note = Note(
            EndRecord(
                of="call",
                id=self.id,
                run_id=self.run.id,
                begin=b"",
                seq=self.run.next_seq(),
                ended=time.time_ns(),
                status=status,
                error=recorder.described(error) if status == "error" else None,
                first_token=self.first_token,
                interrupts=interrupts_of(error),
                **facts,
            ),
            begin=self.note,
        )
        if output is not None:
            note.values = recorder.encoded({"output": output}, note)
            note.content_key = recorder.content_key(output)
        recorder.keep(self.run, [note], send=True)


def cached_step(run: RunState, loop: LoopState, new: WritesInput, number: int) -> list[Note]:
    """The notes of a step that did not run, because a node cache had its output.

    Args:
        new: what the cache gave; LangGraph's loop may have gone on when it comes, and knows its task no more.
        number: the superstep.
    """
    task = getattr(loop.loop, "tasks", {}).get(new.task_id)
    name = node_of(loop.loop, new)
    now = time.time_ns()
    path = f"{loop.namespace}|{name}:{new.task_id}" if loop.namespace else f"{name}:{new.task_id}"
    step_id = f"cached:{new.task_id}:{run.attempt(path)}"
    begin = Note(
        StepRecord(
            step_id=step_id,
            run_id=run.id,
            seq=run.next_seq(),
            started=now,
            parent=None,
            namespace=loop.namespace,
            checkpoint_id=new.checkpoint_id,
            path=path,
            node=name,
            task_id=new.task_id,
            number=number,
            attempt=1,
            triggers=tuple(map(str, getattr(task, "triggers", ()))),
            cached=True,
            send=None,
            input=None,
        )
    )
    end = EndRecord("step", step_id, run.id, b"", run.next_seq(), now, "ok")
    return [begin, Note(end, begin=begin)]


def described(error: BaseException | None) -> tuple[str, str] | None:
    """Type and message of an error."""
    if error is None:
        return None
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001  # an error of the user's that cannot even be printed
        message = f"(its message cannot be printed: {type(broken).__name__})"
    return type(error).__qualname__, message


def interrupts_of(error: BaseException | None) -> tuple[str, ...]:
    """The ids of the interrupts that an error of LangGraph's carries."""
    if error is None or type(error).__name__ not in ("GraphInterrupt", "NodeInterrupt"):
        return ()
    found = error.args[0] if error.args else ()
    return tuple(str(item.id) for item in found if hasattr(item, "id")) if isinstance(found, list | tuple) else ()


def message_ids(value: Any, depth: int = 0) -> list[str]:
    """The ids of the messages in a node's output: directly, in a list, in a dict's values, in a Command's update.

    It does not look deeper than a few lists: what a node returns may contain itself, which nobody has refused yet.
    """
    if depth > _DEEPEST:
        return []
    if hasattr(value, "additional_kwargs"):
        return [value.id] if type(getattr(value, "id", None)) is str else []
    parts: Iterable[Any] = ()
    if isinstance(value, dict):
        parts = (item for item in value.values() if not isinstance(item, dict))
    elif isinstance(value, list | tuple):
        parts = value
    elif type(value).__name__ == "Command":
        parts = (value.update,)
    return [name for part in parts for name in message_ids(part, depth + 1)]


def without_untracked(output: Any, untracked: frozenset[str]) -> Any:
    """A node's output without what it wrote to channels that are never to be saved."""
    if untracked and isinstance(output, dict) and not untracked.isdisjoint(output):
        return {name: value for name, value in output.items() if name not in untracked}
    return output
