"""Which steps and calls belong to each side of a diff: those of the supersteps that led along its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..records import RunRecord, StepRecord
from ..threads.view import read_rows
from ..tracing.infos import CallInfo, StepInfo
from ..tracing.traces import Trace, Traces
from .lines import Line, Lines, Node

if TYPE_CHECKING:
    from ..store import WfStore

_GROWTH = 4


class SideTrace(NamedTuple):
    """The steps and calls of one side, in the order in which they began."""

    steps: tuple[StepInfo, ...]
    calls: tuple[CallInfo, ...]


@dataclass(slots=True)
class RunPath:
    """Where a run came along.

    Attributes:
        start: the checkpoint that it went on from.
        stores_once: whether it stored nothing before its end, so that its steps' checkpoints are not there.
        last: the last checkpoint that it made or stood at; None if it has no end.
        reached: the checkpoints whose supersteps it ran, in order.
    """

    start: str | None = None
    stores_once: bool = False
    last: str | None = None
    reached: dict[str, None] = field(default_factory=dict)

    def made(self) -> Iterator[str]:
        """The checkpoints that it made, as far as that is recorded: it went on from them, or ended with them."""
        for name in (*self.reached, *(() if self.last is None else (self.last,))):
            if name != self.start:
                yield name

    def ended_at(self, name: str) -> bool:
        """Whether it ran a checkpoint's superstep and made nothing of it: it failed, was interrupted, or goes on."""
        return self.last in (None, name) and next(reversed(self.reached), None) == name


class _Edge(NamedTuple):
    """One checkpoint after another: by which run was it made?

    Attributes:
        start, made: their ids; `seq` is the number of the second one's record.
        within: whether a run may have made it that was under way already when it made the first one.
    """

    start: str | None
    made: str
    seq: int
    within: bool


def side_traces(store: WfStore, thread_id: str, found: Lines) -> tuple[SideTrace, SideTrace]:
    """The steps and calls of both sides.

    A step belongs to the superstep of its checkpoint. Where lines part, a checkpoint's superstep ran more than once:
    there a step belongs to the line that its run went on along. What runs inside a step belongs where the step does. An
    unfinished attempt at a checkpoint that was merged belongs to no side: a merge does not take it over.
    """
    runs = _Runs(store, thread_id, found)
    runs.read()
    return runs.side(found.a), runs.side(found.b)


class _Runs:
    """The runs that may have made the checkpoints of both sides; of those, the ones that have."""

    def __init__(self, store: WfStore, thread_id: str, found: Lines) -> None:
        self._traces = Traces(store, thread_id)
        self._found = found
        self._sides = {node.checkpoint_id for line in (found.a, found.b) for node in line.nodes}
        self._rows = {row.seq: row for row in self._traces.run_rows()}
        since = min(start.row.seq if start is not None else 0 for start in self._outer_starts())
        self._starts: dict[str | None, list[int]] = {}
        for row, record in read_rows(row for row in self._rows.values() if row.seq > since):
            if isinstance(record, RunRecord):
                self._starts.setdefault(record.checkpoint_id, []).append(row.seq)
        self._asked: set[int] = set()
        self._runs: dict[str, RunPath] = {}
        self._read: list[Trace] = []
        self._maker: dict[str, str] = {}  # per checkpoint the run that made it

    def _outer_starts(self) -> Iterator[Node | None]:
        """The checkpoints that both sides have and that either goes on from; None for what goes on from none."""
        yield self._found.parting
        for line in (self._found.a, self._found.b):
            starts = (self._found.above.get(node.checkpoint_id) for node in line.nodes)
            yield from (start for start in starts if start is None or start.checkpoint_id not in self._sides)

    # ------------------------------------------------------------------ finding them

    def read(self) -> None:
        """Read the runs of both lines; where lines part those that began nearest, until it is known who made what."""
        edges = [edge for line in (self._found.a, self._found.b) for edge in self._edges(line)]
        wanted = set(self._certain(edges))
        count = 1
        while wanted:
            self._asked |= wanted
            begun = [record for _, record in read_rows(self._rows[seq] for seq in sorted(wanted))]
            self._take(self._traces.of([record.run_id for record in begun if isinstance(record, RunRecord)]))
            edges = [edge for edge in edges if edge.made not in self._maker]
            wanted = {seq for edge in edges for seq in self._nearest(edge, count)}
            count *= _GROWTH

    def _edges(self, line: Line) -> Iterator[_Edge]:
        for node in line.nodes:
            above = self._found.above.get(node.checkpoint_id)
            start = None if above is None else above.checkpoint_id
            source = "loop" if node.record is None else node.record.source
            if source != "update":  # that one no run made
                yield _Edge(start, node.checkpoint_id, node.row.seq, start not in self._sides and source == "loop")

    def _certain(self, edges: Sequence[_Edge]) -> Iterator[int]:
        """Runs that began on a line before it went on, or at its end; of those where lines part the nearest one."""
        for edge in edges:
            if edge.start in self._sides:
                yield from (seq for seq in self._starts.get(edge.start, ()) if seq < edge.seq)
            else:
                yield from self._nearest(edge, 1)
        for line in (self._found.a, self._found.b):
            if line.at_end and line.nodes:
                yield from self._starts.get(line.head.checkpoint_id, ())

    def _nearest(self, edge: _Edge, count: int) -> list[int]:
        """Runs that may have made a checkpoint and were not read: those that began at the one before it.

        Where lines part, the run that made the last common checkpoint may have gone on from it.
        """
        found = set(self._starts.get(edge.start, ()))
        if edge.within and edge.start is not None and edge.start not in self._maker:
            found |= {seq for seq in self._rows if seq < edge.seq}
        return sorted(found - self._asked, key=lambda seq: abs(seq - edge.seq))[:count]

    def _take(self, trace: Trace) -> None:
        self._read.append(trace)
        found: dict[str, RunPath] = {}
        for row, record in trace.begins:
            run = found.setdefault(record.run_id, RunPath())
            if isinstance(record, RunRecord):
                end = trace.ends.get(row.id)
                run.start, run.stores_once = record.checkpoint_id, record.durability == "exit"
                run.last = None if end is None else end[1].checkpoint_id
            elif isinstance(record, StepRecord) and not record.namespace and record.checkpoint_id is not None:
                run.reached.pop(record.checkpoint_id, None)
                run.reached[record.checkpoint_id] = None
        self._runs |= found
        for run_id, run in found.items():
            for name in run.made():
                self._maker.setdefault(name, run_id)

    # ------------------------------------------------------------------ what belongs to a side

    def side(self, line: Line) -> SideTrace:
        """The steps and calls of a line."""
        member = _Membership(self._found, line, self._runs, self._maker)
        steps: list[StepInfo] = []
        calls: list[CallInfo] = []
        for trace in self._read:
            inside, asked = _inside(trace, member)
            steps += inside
            calls += asked
        return SideTrace(
            tuple(sorted(steps, key=lambda step: (step.started, step.seq))),
            tuple(sorted(calls, key=lambda call: (call.started, call.seq))),
        )


class _Membership:
    """Whether a step that runs directly below a run belongs to a line."""

    def __init__(self, found: Lines, line: Line, runs: dict[str, RunPath], maker: dict[str, str]) -> None:
        self._line = line
        self._runs = runs
        self._maker = maker
        self._names = frozenset(node.checkpoint_id for node in line.nodes)
        self._next: dict[str, list[str]] = {}
        for node in line.nodes:
            if (start := found.above.get(node.checkpoint_id)) is not None:
                self._next.setdefault(start.checkpoint_id, []).append(node.checkpoint_id)

    def has(self, step: StepInfo) -> bool:
        """Whether it does."""
        run, at = self._runs[step.run_id], step.checkpoint_id
        following = () if at is None else self._next.get(at, ())
        if run.stores_once and not following and at not in self._names:
            return run.last in self._names and self._maker.get(run.last or "") == step.run_id
        if any(self._maker.get(name) == step.run_id for name in following):
            return True
        if at is None or at not in self._names or not run.ended_at(at):
            return False
        return bool(following) or (self._line.at_end and at == self._line.head.checkpoint_id)


def _inside(trace: Trace, member: _Membership) -> tuple[list[StepInfo], list[CallInfo]]:
    steps, calls = trace.steps(), trace.calls()
    above: dict[str, str | None] = {step.step_id: step.parent for step in steps}
    above |= {call.call_id: call.step_id for call in calls}
    known = {step.step_id: member.has(step) for step in steps if step.parent not in above}

    def belongs(name: str | None) -> bool:
        passed = []
        while name is not None and name not in known:
            passed.append(name)
            name = above.get(name)
        found = name is not None and known[name]
        known.update(dict.fromkeys(passed, found))
        return found

    inside = [step for step in steps if belongs(step.step_id)]
    whole = {step.run_id for step in inside} - {step.run_id for step in steps if not belongs(step.step_id)}
    asked = [c for c in calls if (c.run_id in whole if c.step_id is None else belongs(c.step_id))]
    return inside, asked
