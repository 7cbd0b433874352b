"""What a thread's model calls cost: by step, node, model, tool, run or branch; every call counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from .prices import GenaiPrices, Pricer
from .records import Usage
from .tracing.infos import CallInfo, RunInfo, StepInfo
from .tracing.traces import Trace

_FIRST, _LAST = (datetime(year, 1, 2, tzinfo=UTC).timestamp() for year in (1, 9999))
By = Literal["step", "node", "model", "tool", "run", "branch"]


@dataclass(slots=True)
class CostLine:
    """What was counted under one heading.

    Attributes:
        key: what it is: the id of a step or run, the name of a node, model, tool or branch.
        label: how it prints.
        calls: how many model calls; `tool_calls` how many others.
        input, output, cache_read, cache_write, reasoning: tokens; the last three are parts of the first two.
        seconds: how long the calls took, added up; those inside others are part of these.
        cost: sum of the known prices; None if none is known and there are tokens to pay for.
        unpriced: models without a known price, or without known tokens, of these calls.
        cached: how many answers came from a cache, for nothing.
    """

    key: str
    label: str
    calls: int = 0
    tool_calls: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    seconds: float = 0.0
    cost: Decimal | None = None
    unpriced: tuple[str, ...] = ()
    cached: int = 0

    def add(self, item: Item) -> None:
        """Count a call."""
        call = item.call
        self.seconds += (call.seconds or 0.0) if call.parent is None else 0.0
        if call.type != "model":
            self.tool_calls += 1
            return
        self.calls += 1
        self.cached += call.cached
        usage = call.usage or Usage(None, None)
        if not call.cached:
            self.input += usage.input or 0
            self.output += usage.output or 0
            self.cache_read += usage.cache_read or 0
            self.cache_write += usage.cache_write or 0
            self.reasoning += usage.reasoning or 0
        if item.cost is not None:
            self.cost = item.cost + (self.cost or Decimal(0))
        elif item.unpriced is not None and item.unpriced not in self.unpriced:
            self.unpriced = (*self.unpriced, item.unpriced)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Item:
    """One call with its price; `unpriced` names its model if it has none."""

    call: CallInfo
    cost: Decimal | None
    unpriced: str | None


@dataclass(frozen=True, slots=True)
class CostReport:
    """What a thread's calls cost.

    Attributes:
        by: what the lines are.
        lines: in the order in which they were first met; they add up to `total`.
        total: all calls of the thread.
        retries: of `total`, what was paid for attempts that another attempt at the same task followed.
        abandoned: of `total`, what was paid on lines of checkpoints that the current branch does not go back to.
        copied: not in `total`: calls that were made before this thread began, on the thread that it was copied from.
        cached_steps: steps whose output a node cache gave; they cost nothing.
        unattributed: calls that began while a run was open and say of no run that they belong to it; not in `total`.
    """

    by: str
    lines: tuple[CostLine, ...]
    total: CostLine
    retries: CostLine
    abandoned: CostLine
    copied: CostLine
    cached_steps: int
    unattributed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        parts = {name: getattr(self, name).as_dict() for name in ("total", "retries", "abandoned", "copied")}
        return {
            "by": self.by,
            "lines": [line.as_dict() for line in self.lines],
            **parts,
            "cached_steps": self.cached_steps,
            "unattributed": self.unattributed,
        }

    def __rich__(self) -> Any:
        from .printing import cost_table

        return cost_table(self)

    def __str__(self) -> str:
        from .printing import plain

        return plain(self)


@dataclass(slots=True)
class Places:
    """What calls are counted under.

    Attributes:
        branch_of: per run the name of the branch it ran on.
        abandoned: ids of the runs that ended on lines that the current branch does not go back to.
        kept: ids of the steps of these runs that led to a checkpoint that the current branch does go back to.
        created: when the thread began, ns since 1970.
    """

    branch_of: dict[str, str]
    abandoned: frozenset[str]
    kept: frozenset[str]
    created: int


def report(trace: Trace, by: str, pricer: Pricer | None, places: Places) -> CostReport:
    """The cost of what is recorded.

    Args:
        pricer: gives the prices; None for those of genai-prices, which must be installed if there is anything to price.

    Raises:
        ValueError: `by` is none of the known ones.
    """
    if by not in get_args(By):
        raise ValueError(f"by is one of {', '.join(map(repr, get_args(By)))}, not {by!r}")
    runs, steps = trace.runs(), trace.steps()
    recorded = trace.calls()
    calls = _counted(recorded)
    prices = _Prices(pricer)
    known = {step.step_id: step for step in steps}
    retried = _retried(steps)
    above = {call.call_id: call.step_id or call.parent for call in recorded}
    above |= {step.step_id: step.parent for step in steps}
    heading = _HEADINGS[by](calls, known, {run.run_id: run for run in runs}, places)
    lines: dict[str, CostLine] = {}
    total, retries = CostLine("total", "total"), CostLine("retries", "- retries")
    abandoned = CostLine("abandoned", "- abandoned")
    copied = CostLine("copied", "(copied)")
    for call in calls:
        item = prices.item(call)
        if call.started < places.created:
            copied.add(item)
            continue
        total.add(item)
        key, label = heading(call)
        lines.setdefault(key, CostLine(key, label)).add(item)
        if _within(call.call_id, above, retried):
            retries.add(item)
        if call.run_id in places.abandoned and not _within(call.call_id, above, places.kept):
            abandoned.add(item)
    return CostReport(
        by=by,
        lines=tuple(lines.values()),
        total=total,
        retries=retries,
        abandoned=abandoned,
        copied=copied,
        cached_steps=sum(step.cached for step in steps),
        unattributed=sum(run.unattributed for run in runs),
    )


def counted_line(calls: Sequence[CallInfo], key: str, label: str, pricer: Pricer | None) -> CostLine:
    """What some calls cost, each counted once; see `report`."""
    prices, line = _Prices(pricer), CostLine(key, label)
    for call in _counted(calls):
        line.add(prices.item(call))
    return line


class _Prices:
    def __init__(self, pricer: Pricer | None) -> None:
        self._pricer = pricer

    def item(self, call: CallInfo) -> Item:
        if call.type != "model":
            return Item(call, None, None)
        if call.cached:
            return Item(call, Decimal(0), None)
        name = f"{call.model or call.name} ({call.provider})" if call.provider else call.model or call.name
        if call.usage is None or call.model is None:
            return Item(call, None, name)
        if self._pricer is None:
            self._pricer = GenaiPrices()
        at = moment(call.started)
        cost = self._pricer.price(call.usage, call.model, call.provider, at)
        return Item(call, cost, name if cost is None else None)


def moment(time: int) -> datetime:
    """A time in ns since 1970, UTC; of one that the calendar does not have the first or last that it has."""
    return datetime.fromtimestamp(min(max(time / 1e9, _FIRST), _LAST), UTC)


def _counted(calls: Sequence[CallInfo]) -> list[CallInfo]:
    """The calls that are paid for: of model calls inside each other the inner ones, of one answer the first record."""
    models = {call.call_id for call in calls if call.type == "model"}
    outer = {call.parent for call in calls if call.type == "model" and call.parent in models}
    outer |= _passing_on(calls)
    seen: set[tuple[str | None, str]] = set()
    counted = []
    for call in calls:
        if call.call_id in outer:
            continue
        if call.type == "model" and call.response_id is not None:
            answer = (call.provider, call.response_id)
            if answer in seen:
                continue
            seen.add(answer)
        counted.append(call)
    return counted


def _passing_on(calls: Sequence[CallInfo]) -> set[str]:
    """Model calls that gave the very message of another one that was made while they ran: wrappers repeat its usage.

    LangChain does not say of a model that it is asked inside another one.
    """
    found = set()
    by_message: dict[tuple[str | None, str], list[CallInfo]] = {}
    for call in calls:
        for name in call.messages if call.type == "model" else ():
            others = by_message.setdefault((call.step_id, name), [])
            found |= {other.call_id for other in others if _encloses(other, call)}
            others.append(call)
    return found


def _encloses(outer: CallInfo, inner: CallInfo) -> bool:
    return outer.started <= inner.started and (outer.ended or 0) >= (inner.ended or 0) > 0


def _retried(steps: Iterable[StepInfo]) -> set[str]:
    """Steps that another attempt at the same task followed."""
    last: dict[tuple[str, str], StepInfo] = {}
    retried = set()
    for step in steps:
        before = last.get((step.run_id, step.path))
        if before is not None:
            retried.add(before.step_id)
        last[step.run_id, step.path] = step
    return retried


def _within(own: str | None, above: dict[str, str | None], wanted: Set[str]) -> bool:
    """Whether a call was made in one of these steps, or in what runs inside one.

    Args:
        above: of a call the step that it was made in, of a step the call or the step that it is in.
    """
    seen: set[str] = set()  # an imported thread may say that a step is inside itself
    while own is not None and own not in seen:
        if own in wanted:
            return True
        seen.add(own)
        own = above.get(own)
    return False


Heading = Callable[[CallInfo], tuple[str, str]]
_Steps = dict[str, StepInfo]
_Runs = dict[str, RunInfo]


def _by_step(calls: Sequence[CallInfo], steps: _Steps, runs: _Runs, places: Places) -> Heading:
    def heading(call: CallInfo) -> tuple[str, str]:
        step = steps.get(call.step_id or "")
        if step is None:
            return "", "outside of steps"
        again = f" #{step.attempt}" if step.attempt > 1 else ""
        return step.step_id, f"{step.number} {step.node}{again}"

    return heading


def _by_node(calls: Sequence[CallInfo], steps: _Steps, runs: _Runs, places: Places) -> Heading:
    return lambda call: (call.node or "", call.node or "outside of steps")


def _by_model(calls: Sequence[CallInfo], steps: _Steps, runs: _Runs, places: Places) -> Heading:
    def heading(call: CallInfo) -> tuple[str, str]:
        if call.type != "model":
            return "", "tools and retrievers"
        name = call.model or call.name
        return name, f"{name} ({call.provider})" if call.provider else name

    return heading


def _by_tool(calls: Sequence[CallInfo], steps: _Steps, runs: _Runs, places: Places) -> Heading:
    """Model calls count for the tool that they were made inside."""
    known = {call.call_id: call for call in calls}

    def heading(call: CallInfo) -> tuple[str, str]:
        found: CallInfo | None = call
        seen: set[str] = set()
        while found is not None and found.type == "model":
            seen.add(found.call_id)
            found = None if found.parent in seen else known.get(found.parent or "")
        return ("", "outside of tools") if found is None else (found.name, found.name)

    return heading


def _by_run(calls: Sequence[CallInfo], steps: _Steps, runs: _Runs, places: Places) -> Heading:
    def heading(call: CallInfo) -> tuple[str, str]:
        run = runs.get(call.run_id)
        at = "" if run is None else moment(run.started).strftime(" %Y-%m-%d %H:%M:%S")
        return call.run_id, f"{call.run_id}{at}"

    return heading


def _by_branch(calls: Sequence[CallInfo], steps: _Steps, runs: _Runs, places: Places) -> Heading:
    def heading(call: CallInfo) -> tuple[str, str]:
        name = places.branch_of.get(call.run_id, "main")
        return name, name

    return heading


_HEADINGS: dict[str, Callable[[Sequence[CallInfo], _Steps, _Runs, Places], Heading]] = {
    "step": _by_step,
    "node": _by_node,
    "model": _by_model,
    "tool": _by_tool,
    "run": _by_run,
    "branch": _by_branch,
}
