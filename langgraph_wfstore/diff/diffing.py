"""Comparing two branches, or checkpoints, of a thread: lines, channels, steps and calls put together to a `Diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..canonical import Version, hex_id
from ..cost import CostLine, counted_line
from ..prices import Pricer, PriceTable
from .calls import tool_call_pairs
from .diff import ChannelChange, ChannelDiff, Diff, LineCheckpoint, Side
from .lines import Line, Lines, Node, lines
from .traces import SideTrace, side_traces
from .values import Slot, Values

if TYPE_CHECKING:
    from ..store import WfStore
    from ..tracing.infos import CallInfo

_DELTA = "counters_since_delta_snapshot"
_UNFOLDED = "the values of a delta channel are made of its writes by its graph; ask graph.get_state for them"


def diff(store: WfStore, thread_id: str, a: str, b: str, pricer: Pricer | None) -> Diff:
    """See `Thread.diff`."""
    found = lines(store, thread_id, a, b)
    values = Values(store, thread_id)
    states = _States(values, found)
    traces = side_traces(store, thread_id, found)
    sides = [_side(line, states.since_base(at), traces[at], pricer) for at, line in enumerate((found.a, found.b))]
    return Diff(
        thread_id=thread_id,
        base=None if found.base is None else found.base.checkpoint_id,
        a=sides[0],
        b=sides[1],
        channels=states.channels(),
        tool_calls=tool_call_pairs(sides[0].calls, sides[1].calls),
        notes=_notes(found),
    )


def _side(line: Line, changes: tuple[ChannelChange, ...], trace: SideTrace, pricer: Pricer | None) -> Side:
    kept = tuple(_checkpoint(node) for node in line.nodes if node.shown)
    return Side(
        asked=line.asked,
        checkpoint_id=line.head.checkpoint_id,
        branch=line.branch,
        checkpoints=kept,
        removed=len(line.nodes) - len(kept),
        changes=changes,
        steps=trace.steps,
        calls=trace.calls,
        cost=_cost(trace.calls, line.asked, pricer),
    )


def _checkpoint(node: Node) -> LineCheckpoint:
    assert node.record is not None
    record = node.record
    return LineCheckpoint(node.checkpoint_id, hex_id(node.row.id), record.source, record.step, record.ts)


def _cost(calls: tuple[CallInfo, ...], asked: str, pricer: Pricer | None) -> CostLine:
    try:
        return counted_line(calls, asked, asked, pricer)
    except ImportError:  # prices are not installed: every model is named as one without a known price
        return counted_line(calls, asked, asked, PriceTable({}))


def _notes(found: Lines) -> tuple[str, ...]:
    if found.parting is None:
        return ("the two have no checkpoint in common: changes are those since nothing was there",)
    if found.base is None:
        return ("no common checkpoint is kept any more: changes are those since nothing was there",)
    if found.base is not found.parting:
        return ("the last common checkpoint is not kept any more: changes are those since an earlier one",)
    return ()


class _Channel(NamedTuple):
    """A channel of a checkpoint: its version and its value; a delta channel has none, its writes are elsewhere."""

    version: Version | None
    value: Slot | None

    def is_as(self, other: _Channel) -> bool:
        """Whether it has not changed; of a delta channel, if both are on one line."""
        if self.value is None or other.value is None:
            return self.version == other.version
        return self.value.ref == other.value.ref


class _States:
    """The states of the base and of both sides, by reference."""

    def __init__(self, values: Values, found: Lines) -> None:
        self._values = values
        nodes = [node for node in (found.base, found.a.head, found.b.head) if node is not None]
        slots = [Slot(node.row, node.record, node.record.metadata) for node in nodes if node.record is not None]
        metadata = dict(zip([node.checkpoint_id for node in nodes], values.metadata(slots), strict=True))
        self._base = {} if found.base is None else _channels(found.base, metadata[found.base.checkpoint_id])
        heads = (found.a.head, found.b.head)
        self._sides = [_channels(head, metadata[head.checkpoint_id]) for head in heads]

    def since_base(self, side: int) -> tuple[ChannelChange, ...]:
        """What became of each channel on a side."""
        names = sorted({*self._base, *self._sides[side]})
        changes = [self._change(name, self._base.get(name), self._sides[side].get(name)) for name in names]
        return tuple(change for change in changes if change is not None)

    def channels(self) -> tuple[ChannelDiff, ...]:
        """Each channel on both sides."""
        a, b = self._sides
        return tuple(self._compared(name, a.get(name), b.get(name)) for name in sorted({*self._base, *a, *b}))

    def _compared(self, name: str, a: _Channel | None, b: _Channel | None) -> ChannelDiff:
        base = self._base.get(name)
        changes = self._change(name, base, a), self._change(name, base, b)
        between = self._change(name, a, b)
        if changes[0] is None or changes[1] is None:
            status = "only a" if changes[0] is not None else "only b" if changes[1] is not None else "same"
        elif _unknown(a) or _unknown(b):
            status, between = "unknown", None
        else:
            status = "both alike" if between is None else "both differently"
        return ChannelDiff(name, status, *changes, between)

    def _change(self, name: str, old: _Channel | None, new: _Channel | None) -> ChannelChange | None:
        if old is None and new is None:
            return None
        if old is not None and new is not None and old.is_as(new):
            return None
        kind = "added" if old is None else "removed" if new is None else "changed"
        unfolded = _UNFOLDED if _unknown(old) or _unknown(new) else None
        slots = [None if channel is None else channel.value for channel in (old, new)]
        return ChannelChange(name, kind, unfolded, slots[0], slots[1], self._values)


def _unknown(channel: _Channel | None) -> bool:
    return channel is not None and channel.value is None


def _channels(node: Node, metadata: Any) -> dict[str, _Channel]:
    """The channels of a state that have a value, without LangGraph's own."""
    assert node.record is not None
    counters = metadata.get(_DELTA) if isinstance(metadata, dict) else None
    folded = set(counters) if isinstance(counters, dict) else set()
    found = {}
    for channel in node.record.channels:
        if channel.name == "__start__" or channel.name.startswith(("__pregel", "branch:", "join:")):
            continue
        if channel.value is not None:
            found[channel.name] = _Channel(channel.version, Slot(node.row, node.record, channel.value))
        elif channel.name in folded:
            found[channel.name] = _Channel(channel.version, None)
    return found
