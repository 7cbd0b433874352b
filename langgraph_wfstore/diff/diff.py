"""What differs between two branches, or checkpoints, of a thread: the answer of `Thread.diff`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..cost import CostLine
from ..tracing.infos import CallInfo, StepInfo
from ..tracing.normal import message, normalised
from .calls import ToolCallPair
from .values import ElementChange, KeyChange, Slot, Unreadable, Values, message_id


@dataclass(frozen=True)
class LineCheckpoint:
    """A checkpoint of one side; `record_id` is `sha256:...`, `ts` as LangGraph wrote it."""

    checkpoint_id: str
    record_id: str
    source: str | None
    step: int | None
    ts: str


@dataclass(frozen=True)
class ChannelChange:
    """What became of one channel's value.

    Attributes:
        name: the channel's.
        kind: "added", "removed" or "changed".
        unfolded: why its values cannot be compared, as those of a delta channel; None if they can.
    """

    name: str
    kind: str
    unfolded: str | None
    _old: Slot | None = field(repr=False, compare=False)
    _new: Slot | None = field(repr=False, compare=False)
    _read: Values = field(repr=False, compare=False)

    @cached_property
    def old(self) -> Any:
        """The value before, None if there was none; decoded when it is asked for, `Unreadable` if it cannot be."""
        return Unreadable(self.unfolded) if self.unfolded else self._read.value(self._old)

    @cached_property
    def new(self) -> Any:
        """The value after, in the same way."""
        return Unreadable(self.unfolded) if self.unfolded else self._read.value(self._new)

    @cached_property
    def elements(self) -> tuple[ElementChange, ...] | None:
        """Of a list the elements that differ: what was removed, in the old order, then the rest in the new order.

        Messages of the same id belong together, other elements if they are equal. None if the channel holds no list.
        """
        return None if self.unfolded else self._read.elements(self._old, self._new)

    @cached_property
    def keys(self) -> tuple[KeyChange, ...] | None:
        """Of a dict the keys whose values differ; None if the channel holds no dict."""
        return None if self.unfolded else self._read.keys(self._old, self._new)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; of lists and dicts only what differs."""
        found: dict[str, Any] = {"channel": self.name, "kind": self.kind}
        if self.elements is not None:
            return found | {"elements": [_element(change) for change in self.elements]}
        if self.keys is not None:
            return found | {"keys": [{"kind": c.kind, "key": plain(c.key), **_values(c)} for c in self.keys]}
        return found | _values(self)


@dataclass(frozen=True)
class ChannelDiff:
    """One channel on both sides.

    Attributes:
        status: "same" (neither side changed it), "only a", "only b", "both alike" (both to the same value), "both
            differently"; "unknown" for a delta channel that both changed.
        a, b: what became of it on each side since the base, None on a side that did not change it.
        between: how to get from a's value to b's, None if they are equal.
    """

    name: str
    status: str
    a: ChannelChange | None
    b: ChannelChange | None
    between: ChannelChange | None


@dataclass(frozen=True)
class Side:
    """What happened on one side since the base.

    Attributes:
        asked: the branch or checkpoint id that was asked for.
        checkpoint_id: the checkpoint that this is.
        branch: the branch that it was put on.
        checkpoints: those that this side goes back to and the other one does not, oldest first, this one last.
        removed: how many more there were that are not kept any more.
        changes: per channel that is not as it is at the base.
        steps, calls: those of the supersteps that led here, in the order in which they began.
        cost: what the calls cost; how many there were, tokens, and their seconds.
    """

    asked: str
    checkpoint_id: str
    branch: str
    checkpoints: tuple[LineCheckpoint, ...]
    removed: int
    changes: tuple[ChannelChange, ...]
    steps: tuple[StepInfo, ...]
    calls: tuple[CallInfo, ...]
    cost: CostLine

    @property
    def model_seconds(self) -> float:
        """How long its model calls took; what ran side by side counts once."""
        return _covered([call for call in self.calls if call.type == "model"])

    @property
    def seconds(self) -> float:
        """How long its steps took; what ran side by side counts once."""
        return _covered(self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "asked": self.asked,
            "checkpoint_id": self.checkpoint_id,
            "branch": self.branch,
            "checkpoints": [dict(vars(item)) for item in self.checkpoints],
            "removed": self.removed,
            "changes": [change.as_dict() for change in self.changes],
            "steps": [_step(step) for step in self.steps],
            "calls": [_call(call) for call in self.calls],
            "seconds": self.seconds,
            "model_seconds": self.model_seconds,
            "cost": _cost(self.cost),
        }


@dataclass(frozen=True)
class Diff:
    """What two branches, or checkpoints, have in common and what not; prints readably, with `rich` in colour.

    Attributes:
        base: id of the last checkpoint that both go back to and that is kept; None if there is none.
        a, b: what happened on each side since then.
        channels: every channel of the state, by name.
        tool_calls: the tool calls and retrievals of both sides, matched.
        notes: what is to be known about the comparison.
    """

    thread_id: str
    base: str | None
    a: Side
    b: Side
    channels: tuple[ChannelDiff, ...]
    tool_calls: tuple[ToolCallPair, ...]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether both are the same checkpoint."""
        return self.a.checkpoint_id == self.b.checkpoint_id

    def channel(self, name: str) -> ChannelDiff:
        """One channel.

        Raises:
            ValueError: neither side and not the base has it.
        """
        for channel in self.channels:
            if channel.name == name:
                return channel
        known = ", ".join(repr(channel.name) for channel in self.channels)
        raise ValueError(f"there is no channel {name!r} on either side; there are {known}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "thread_id": self.thread_id,
            "base": self.base,
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "channels": [{"channel": channel.name, "status": channel.status} for channel in self.channels],
            "tool_calls": [
                {
                    "kind": pair.kind,
                    "name": pair.name,
                    "a": None if pair.a is None else pair.a.call_id,
                    "b": None if pair.b is None else pair.b.call_id,
                }
                for pair in self.tool_calls
            ],
            "notes": list(self.notes),
        }

    def __rich__(self) -> Any:
        from .printing import diff_tree

        return diff_tree(self)

    def __str__(self) -> str:
        from .printing import diff_text

        return diff_text(self)


def plain(value: Any) -> Any:
    """A value as data that JSON can hold; a message with its id."""
    if isinstance(value, Unreadable):
        return {"wfstore.unreadable": value.reason}
    name = message_id(value)
    if name is not None:
        return {"id": name, **message(value)}
    return value if isinstance(value, str) else normalised(value)


def _values(change: ChannelChange | KeyChange | ElementChange) -> dict[str, Any]:
    sides = {"old": change.kind != "added", "new": change.kind != "removed"}
    return {name: plain(getattr(change, name)) for name, there in sides.items() if there}


def _element(change: ElementChange) -> dict[str, Any]:
    return {"kind": change.kind, "before": change.before, "after": change.after, "id": change.id, **_values(change)}


def _step(step: StepInfo) -> dict[str, Any]:
    names = ("step_id", "run_id", "node", "number", "attempt", "status", "error", "cached", "seconds", "namespace")
    return {name: getattr(step, name) for name in names}


def _call(call: CallInfo) -> dict[str, Any]:
    names = ("call_id", "run_id", "step_id", "type", "name", "provider", "model", "status", "seconds", "cached")
    found = {name: getattr(call, name) for name in names}
    return found | {"usage": None if call.usage is None else call.usage._asdict()}


def _cost(line: CostLine) -> dict[str, Any]:
    found = {name: value for name, value in line.as_dict().items() if name not in ("key", "label")}
    return found | {"cost": None if line.cost is None else str(line.cost), "unpriced": list(line.unpriced)}


def _covered(timed: Sequence[StepInfo] | Sequence[CallInfo]) -> float:
    """Seconds during which at least one of these ran."""
    total = end = 0
    for began, ended in sorted((item.started, item.ended or item.started) for item in timed):
        total += max(0, ended - max(began, end))
        end = max(end, ended)
    return total / 1e9
