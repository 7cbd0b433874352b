"""What followed from a call, on every branch: through the messages it gave, and the states that hold what it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..appending.trace import link as link_to
from ..backends.base import RecordRow
from ..format import Record
from ..records import CallRecord, CheckpointRecord, EndRecord, RunRecord, StepRecord, WriteRecord
from ..threads.ancestry import places
from ..threads.view import Made
from ..tracing.traces import Trace, call_not_found
from .evidence import Evidence
from .items import Parts, Place
from .lineage import Lineage, Link, call_link

if TYPE_CHECKING:
    from ..store import WfStore

Key = tuple[str, str]


def impact(store: WfStore, thread_id: str, call_id: str) -> Lineage:
    """See `Thread.impact`."""
    return _Impact(Evidence(store, thread_id)).answer(call_id)


@dataclass(slots=True)
class _Follower:
    """A step that follows: from which one, through which channels, and the calls made in it that follow."""

    record: StepRecord
    after: str | None
    through: tuple[str, ...]
    calls: dict[str, str] = field(default_factory=dict)


class _Impact:
    """Goes once through the records behind a call, in their order.

    What is tainted: the call; calls that it asked for; steps that started from a state with a tainted channel; channels
    that such a step wrote, in the checkpoint that its superstep made, and on, until something else takes their place.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._ancestry = evidence.ancestry
        self._items = evidence.items
        self._steps: dict[str, _Follower] = {}
        self._calls: dict[str, str] = {}
        self._asked: set[str] = set()
        self._elements: set[bytes] = set()
        self._of_task: dict[Key, dict[str, str]] = {}
        self._unwritten: dict[Key, set[str]] = {}
        self._written: dict[Key, dict[str, str]] = {}
        self._tainted: dict[Key, dict[str, str]] = {}
        self._checkpoints: dict[Key, tuple[RecordRow, CheckpointRecord]] = {}
        self._unsaved: dict[str, list[str]] = {}
        self._starts: dict[str, str | None] = {}

    def answer(self, call_id: str) -> Lineage:
        linked = self._evidence.linked(link_to("call", call_id))
        begun = [(row, record) for row, record in linked if isinstance(record, CallRecord)]
        if not begun:
            raise call_not_found(self._evidence.thread_id, call_id)
        row, record = begun[-1]
        self._begin(record)
        for page in self._ancestry.between(row.seq):
            self._items.expect(_lists_of(page))
            for found, item in page:
                self._take(found, item)
        return Lineage(f"what followed from {record.type} call {record.name}", self._tree(record))

    def _take(self, row: RecordRow, record: Record | None) -> None:
        if isinstance(record, RunRecord):
            self._starts[record.run_id] = record.checkpoint_id
        elif isinstance(record, StepRecord):
            self._step(record)
        elif isinstance(record, CallRecord):
            self._call(row, record)
        elif isinstance(record, EndRecord):
            self._end(record)
        elif isinstance(record, WriteRecord):
            self._write(record)
        elif isinstance(record, CheckpointRecord):
            self._checkpoint(row, record)

    def _begin(self, record: CallRecord) -> None:
        """The call, and the step that it was made in with the steps around that."""
        self._calls[record.call_id] = "it"
        trace = self._evidence.trace(record.run_id)
        steps = {r.step_id: r for _, r in trace.begins if isinstance(r, StepRecord)}
        step = steps.pop(record.step or "", None)
        through: tuple[str, ...] = ()
        while step is not None:
            self._add_step(step, None, through or ("the call was made in it",))
            through = ("it holds the step",)
            step = steps.pop(step.parent or "", None)  # each once: an imported thread may say anything

    def _add_step(self, record: StepRecord, after: str | None, through: tuple[str, ...]) -> None:
        self._steps[record.step_id] = _Follower(record, after, through)
        if record.checkpoint_id is not None:
            key = (record.namespace, record.checkpoint_id)
            self._of_task.setdefault(key, {})[record.task_id] = record.step_id
            self._unwritten.setdefault(key, set()).add(record.task_id)
        self._unsaved.setdefault(record.run_id, []).append(record.step_id)

    # ------------------------------------------------------------------ record by record

    def _step(self, record: StepRecord) -> None:
        if record.parent in self._calls or record.parent in self._steps:
            inside = self._steps.get(record.parent or "")
            if record.parent in self._calls or (inside is not None and inside.through != ("the call was made in it",)):
                self._add_step(record, record.parent, ("it runs inside",))
                return
        key = (record.namespace, record.checkpoint_id or "")
        saved = record.checkpoint_id is not None and (key in self._checkpoints or self._was_there(key))
        found = self._tainted.get(key if saved else ("", self._starts.get(record.run_id) or ""), {})
        own = {name: by for name, by in found.items() if not name.startswith(("__", "branch:", "join:"))}
        triggered = {name: by for name, by in found.items() if name in record.triggers}
        because = own or triggered
        if because:
            self._add_step(record, next(iter(because.values())), tuple(sorted(because)))
        elif not saved and record.run_id in self._unsaved:
            # A run that saves only at its end: its own later supersteps start from what the earlier ones left.
            last = self._steps[self._unsaved[record.run_id][-1]].record
            if record.number > last.number and record.namespace == last.namespace:
                self._add_step(record, last.step_id, ("a state that was not saved",))

    def _was_there(self, key: Key) -> bool:
        """Whether a checkpoint was there before the call."""
        return not key[0] and self._ancestry.entry(key[1]) is not None

    def _call(self, row: RecordRow, record: CallRecord) -> None:
        how = None
        if record.tool_call_id is not None and record.tool_call_id in self._asked:
            how = "a call that followed asked for it"
        elif record.parent in self._calls:
            how = "made inside a call that followed"
        elif record.step in self._steps and self._steps[record.step].after is not None:
            how = self._how_given(row, record)
        if how is not None:
            self._calls[record.call_id] = how
            if record.step in self._steps:
                self._steps[record.step].calls[record.call_id] = how

    def _how_given(self, row: RecordRow, record: CallRecord) -> str:
        """Whether a call was given what followed, as far as that can be seen without decoding anything."""
        if record.input is None:
            return "made in a step that follows"
        if record.input.id in self._elements:
            return "it was given what followed"
        if record.type == "model" and self._holds((row, record, record.input)):
            return "it was given what followed"
        return "made in a step that follows"

    def _end(self, record: EndRecord) -> None:
        if record.of == "call" and record.id in self._calls:
            self._asked.update(record.tool_calls)
            if record.output is not None:
                self._elements.add(record.output.id)

    def _write(self, record: WriteRecord) -> None:
        key = (record.namespace, record.checkpoint_id)
        step = self._of_task.get(key, {}).get(record.task_id)
        if step is not None:
            self._unwritten.get(key, set()).discard(record.task_id)
            self._written.setdefault(key, {}).update({write.channel: step for write in record.writes if write.idx >= 0})

    def _await_writes(self, key: Key) -> None:
        """Take the writes of steps that follow which come after the checkpoint that they led to: LangGraph puts both
        from threads of their own."""
        if self._unwritten.pop(key, None):
            for _, record in self._ancestry.writes_at(*key):
                self._write(record)

    def _checkpoint(self, row: RecordRow, record: CheckpointRecord) -> None:
        key = (record.namespace, record.checkpoint_id)
        above_key = (record.namespace, record.parent_checkpoint_id or "")
        if record.source == "loop":
            self._await_writes(above_key)
        above = self._checkpoints.get(above_key)
        if above is None and not record.namespace:
            entry = self._ancestry.entry(record.parent_checkpoint_id)
            if entry is not None and entry.row is not None and entry.record is not None:
                above = entry.row, entry.record
        self._checkpoints[key] = row, record
        before = {} if above is None else {c.name: c for c in above[1].channels}
        tainted = self._tainted.get(above_key, {})
        written = self._written.get(above_key, {}) if record.source == "loop" else {}
        found: dict[str, str] = {}
        for channel in record.channels:
            old = before.get(channel.name)
            same = old is not None and (old.version, old.value) == (channel.version, channel.value)
            now = None if channel.value is None else (row, record, channel.value)
            by = None if same else written.get(channel.name)
            if by is None and channel.name in tainted and (same or self._holds(now)):
                found[channel.name] = tainted[channel.name]
                continue
            if by is None and not same and not written and self._put_at_the_end(record, above):
                by = next(reversed(self._steps))
            if by is not None:
                found[channel.name] = by
                self._learn(now, None if old is None or old.value is None or above is None else (*above, old.value))
        if found:
            self._tainted[key] = found

    def _put_at_the_end(self, record: CheckpointRecord, above: tuple[RecordRow, CheckpointRecord] | None) -> bool:
        """Whether a checkpoint skips supersteps, and a step that follows ran in one of those."""
        before = -2 if above is None or above[1].step is None else above[1].step
        if record.namespace or record.step is None or record.step <= before + 1:
            return False
        return any(before < f.record.number <= record.step and not f.record.namespace for f in self._steps.values())

    def _learn(self, now: Place | None, before: Place | None) -> None:
        """The elements that a list got from a step that follows."""
        parts = None if now is None else self._items.parts(*now)
        older = Parts((), None) if before is None else self._items.parts(*before)
        if parts is not None and older is not None:
            new = set(self._items.apart(parts.names, older.names)[0])
            self._elements |= new - self._items.common(older.names, new)

    def _holds(self, now: Place | None) -> bool:
        """Whether a list has an element that follows."""
        parts = None if now is None else self._items.parts(*now)
        return parts is not None and self._items.meets(parts.names, self._elements)

    # ------------------------------------------------------------------ the tree

    def _tree(self, record: CallRecord) -> Link:
        run_ids = list(dict.fromkeys([record.run_id, *[f.record.run_id for f in self._steps.values()]]))
        trace = self._evidence.traces.of(run_ids)
        steps = {step.step_id: step for step in trace.steps()}
        where = places(self._evidence.store, self._evidence.thread_id, trace)
        root = self._call_link(trace, record.call_id)
        branches: dict[str, Link] = {}
        runs: dict[str, Link] = {}
        for follower in self._steps.values():
            step = steps[follower.record.step_id]
            name = where.branch_of.get(step.run_id, "main")
            branch = branches.setdefault(name, Link("branch", name, f"branch {name}"))
            if step.run_id not in runs:
                runs[step.run_id] = Link("run", step.run_id, f"run {step.run_id}")
                branch.links.append(runs[step.run_id])
            after = steps.get(follower.after or "")
            facts = {
                "through": ", ".join(follower.through),
                "from": None if after is None else f"step {after.number} {after.node}",
                "status": step.status if step.status != "ok" else None,
            }
            link = Link("step", step.step_id, f"step {step.number} {step.node}", facts)
            link.links = [self._call_link(trace, call_id, how) for call_id, how in follower.calls.items()]
            runs[step.run_id].links.append(link)
        root.links = list(branches.values())
        return root

    @staticmethod
    def _call_link(trace: Trace, call_id: str, how: str | None = None) -> Link:
        call = trace.call(call_id)
        assert call is not None
        link = call_link(call)
        link.facts = link.facts if how is None else {"how": how, **link.facts}
        return link


def _lists_of(page: Iterable[Made]) -> Iterator[Place]:
    """The values of records that may be lists of what follows: channels, and what models were given."""
    for row, record in page:
        if isinstance(record, CheckpointRecord):
            yield from ((row, record, channel.value) for channel in record.channels if channel.value is not None)
        elif isinstance(record, CallRecord) and record.type == "model" and record.input is not None:
            yield row, record, record.input
