"""The tool calls of two sides, matched by name, arguments and order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from ..tracing.infos import CallInfo


@dataclass(frozen=True)
class ToolCallPair:
    """A tool call of one side and what the other side has for it.

    Attributes:
        kind: "same" (equal arguments, equal result), "changed result", "changed arguments", "only a", "only b";
            "unknown" for calls whose arguments or results were not recorded, not even their digests.
        name: the tool's.
        a, b: the calls; None on the side that has none.
    """

    kind: str
    name: str
    a: CallInfo | None
    b: CallInfo | None


def tool_call_pairs(a: Sequence[CallInfo], b: Sequence[CallInfo]) -> tuple[ToolCallPair, ...]:
    """The tool calls of two sides, matched: in the order of side a, then what only b has.

    Calls of the same tool with the same arguments belong together, the first with the first; of what is left, calls of
    the same tool do, in their order. That is the order in which a model asked for them: side by side they may begin in
    any other.
    """
    left, right = _tools(a), _tools(b)
    place = {call.call_id: at for at, call in enumerate(left)}
    pairs = _take_pairs(left, right, lambda call: None if call.content is None else (call.name, call.content))
    pairs += _take_pairs(left, right, lambda call: call.name)
    found = [
        (place[first.call_id], ToolCallPair(_kind(first, second), first.name, first, second)) for first, second in pairs
    ]
    found += [(place[call.call_id], ToolCallPair("only a", call.name, call, None)) for call in left]
    ordered = [pair for _, pair in sorted(found, key=lambda item: item[0])]
    return (*ordered, *(ToolCallPair("only b", call.name, None, call) for call in right))


def _tools(calls: Sequence[CallInfo]) -> list[CallInfo]:
    asked: dict[str, tuple[int, int]] = {}
    for call in calls:
        for at, name in enumerate(call.tool_calls):
            asked[name] = (call.ended or call.started, at)
    tools = [call for call in calls if call.type != "model"]
    return sorted(tools, key=lambda call: (*asked.get(call.tool_call_id or "", (call.started, 0)), call.started))


def _take_pairs(
    left: list[CallInfo], right: list[CallInfo], key: Callable[[CallInfo], Hashable]
) -> list[tuple[CallInfo, CallInfo]]:
    """Take out of both lists the calls that have a partner of the same key."""
    waiting: dict[Hashable, list[CallInfo]] = {}
    for call in reversed(right):
        waiting.setdefault(key(call), []).append(call)
    waiting.pop(None, None)
    pairs = [(call, waiting[key(call)].pop()) for call in left if waiting.get(key(call))]
    taken = {call.call_id for pair in pairs for call in pair}
    for calls in (left, right):
        calls[:] = [call for call in calls if call.call_id not in taken]
    return pairs


def _kind(a: CallInfo, b: CallInfo) -> str:
    if a.content is None or b.content is None:
        return "unknown"
    if a.content != b.content:
        return "changed arguments"
    if (a.status, a.error) != (b.status, b.error):
        return "changed result"
    if a.status == "ok" and (a.output_content is None or b.output_content is None):
        return "unknown"
    return "same" if a.output_content == b.output_content else "changed result"
