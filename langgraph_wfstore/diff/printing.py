"""How a diff prints: a tree, as text or for `rich`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import DecodeError
from ..printing import money, shortened
from .values import ElementChange, KeyChange, Unreadable, message_id

if TYPE_CHECKING:
    from ..cost import CostLine
    from ..tracing.infos import CallInfo, StepInfo
    from .calls import ToolCallPair
    from .diff import ChannelChange, Diff, Side

_SHOWN = 20  # lines of one kind; whole they stand in the data
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}
_STYLES = {"+": "green", "-": "red", "~": "yellow", ">": "yellow"}
_LONG_ID = 16  # characters


@dataclass(slots=True)
class _Line:
    text: str
    style: str = ""
    lines: list[_Line] = field(default_factory=list)


def diff_text(diff: Diff) -> str:
    """A diff as text, indented."""
    out: list[str] = []

    def walk(line: _Line, before: str, mark: str, inner: str) -> None:
        out.append(f"{before}{mark}{_printable(line.text)}")
        for at, below in enumerate(line.lines):
            last = at == len(line.lines) - 1
            walk(below, before + inner, "└─ " if last else "├─ ", "   " if last else "│  ")

    walk(_tree(diff), "", "", "")
    return "\n".join(out)


def diff_tree(diff: Diff) -> Any:
    """A diff as a rich tree."""
    from rich.text import Text
    from rich.tree import Tree

    def grow(tree: Any, line: _Line) -> None:
        for below in line.lines:
            style = below.style or _STYLES.get(below.text[:1], "")
            grow(tree.add(Text(_printable(below.text), style=style, overflow="ellipsis", no_wrap=True)), below)

    root = _tree(diff)
    tree = Tree(Text(_printable(root.text), style="bold"))
    grow(tree, root)
    return tree


def _printable(text: str) -> str:
    """The same, with lone surrogates and control characters, which a terminal cannot or must not be sent, escaped."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _tree(diff: Diff) -> _Line:
    title = f"diff of thread {shortened(diff.thread_id)}: {_id(diff.a.asked)} and {_id(diff.b.asked)}"
    base = "no common checkpoint" if diff.base is None else f"common base: checkpoint {_id(diff.base)}"
    lines = [_Line(base), *(_Line(note, "yellow") for note in diff.notes)]
    if diff.empty:
        return _Line(title, lines=[*lines, _Line("no difference: both are the same checkpoint")])
    lines += [_side("a", diff.a), _side("b", diff.b), _channels(diff)]
    if diff.tool_calls:
        lines.append(_Line("tool calls", "bold", _some(diff.tool_calls, _pair)))
    return _Line(title, lines=lines)


def _side(name: str, side: Side) -> _Line:
    facts = [_count(len(side.checkpoints), "checkpoint"), f"{_count(len(side.steps), 'step')} in {side.seconds:.3f} s"]
    if side.removed:
        facts.append(f"{_count(side.removed, 'checkpoint')} not kept any more")
    where = "" if side.asked == side.branch else f" on branch {side.branch}"
    line = _Line(f"{name}: {_id(side.asked)}{where}: {', '.join(facts)}", "bold")
    if side.steps:
        line.lines.append(_Line("steps", lines=_some(side.steps, _step)))
    if side.calls:
        line.lines.append(_Line(_calls(side.cost, side.model_seconds)))
    line.lines += [_change(change) for change in side.changes]
    return line


def _step(step: StepInfo) -> _Line:
    again = f" #{step.attempt}" if step.attempt > 1 else ""
    took = "" if step.seconds is None else f", {step.seconds:.3f} s"
    cached = ", from the node cache" if step.cached else ""
    return _Line(f"{step.number} {step.node}{again}: {step.status}{took}{cached}")


def _calls(cost: CostLine, model_seconds: float) -> str:
    models = f"{_count(cost.calls, 'model call')}: {cost.input} tokens in, {cost.output} out, {model_seconds:.3f} s"
    price = f", cost {money(cost)}" if cost.calls else ""
    unpriced = f" (no price, or no tokens, known for {', '.join(cost.unpriced)})" if cost.unpriced else ""
    return f"{models}{price}{unpriced}; {_count(cost.tool_calls, 'other call')}"


def _change(change: ChannelChange) -> _Line:
    line = _Line(f"{_SIGNS[change.kind]} {change.name}")
    if change.elements is not None:
        line.text += f": {_counted(change.elements)}"
        line.lines = _some(change.elements, _element)
    elif change.keys is not None:
        line.text += f": {_counted(change.keys)}"
        line.lines = _some(change.keys, _key)
    else:
        line.text += f": {_became(change)}"
    return line


def _element(change: ElementChange) -> _Line:
    at = change.before if change.after is None else change.after
    whence = f" from [{change.before}]" if change.kind == "moved" else ""
    return _Line(f"{_SIGNS[change.kind]} [{at}]{whence} {_became(change)}")


def _key(change: KeyChange) -> _Line:
    return _Line(f"{_SIGNS[change.kind]} {_shown(change.key)}: {_became(change)}")


def _became(change: ChannelChange | ElementChange | KeyChange) -> str:
    if change.kind == "removed":
        return _shown(change.old)
    return _shown(change.new) if change.kind != "changed" else f"{_shown(change.old)} -> {_shown(change.new)}"


def _counted(changes: Sequence[ElementChange | KeyChange]) -> str:
    counts = {kind: sum(change.kind == kind for change in changes) for kind in _SIGNS}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "as before"


def _channels(diff: Diff) -> _Line:
    found: dict[str, list[str]] = {}
    for channel in diff.channels:
        found.setdefault(channel.status, []).append(channel.name)
    order = ("both differently", "unknown", "both alike", "only a", "only b", "same")
    headings = {"only a": "only a changed", "only b": "only b changed", "same": "unchanged"}
    lines = [
        _Line(f"{headings.get(status, status)}: {', '.join(found[status])}") for status in order if status in found
    ]
    return _Line("channels", "bold", lines)


def _pair(pair: ToolCallPair) -> _Line:
    return _Line(f"{pair.kind}: {pair.name} {_both(pair, lambda call: call.input)}{_results(pair)}")


def _results(pair: ToolCallPair) -> str:
    if pair.kind in ("same", "only a", "only b"):
        return ""
    return f", gave {_both(pair, _result)}"


def _result(call: CallInfo) -> Any:
    return ": ".join(call.error) if call.error is not None else call.output


def _both(pair: ToolCallPair, get: Callable[[CallInfo], Any]) -> str:
    shown = [_read(call, get) for call in (pair.a, pair.b) if call is not None]
    return " -> ".join(dict.fromkeys(shown))


def _read(call: CallInfo, get: Callable[[CallInfo], Any]) -> str:
    try:
        return _shown(get(call))
    except DecodeError as error:
        return _shown(Unreadable(str(error)))


def _shown(value: Any) -> str:
    if message_id(value) is not None or hasattr(value, "additional_kwargs"):
        return shortened(f"{value.type}: {value.content}")
    return shortened(repr(value))


def _id(name: str) -> str:
    """Of an id the end, which tells it apart; a name as it is."""
    return f"…{name[-8:]}" if len(name) > _LONG_ID and name.count("-") == 4 else shortened(name)


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _some(items: Sequence[Any], line: Callable[[Any], _Line]) -> list[_Line]:
    """The first lines; what is not shown is not read either."""
    more: Iterable[_Line] = [_Line(f"… and {len(items) - _SHOWN} more")] if len(items) > _SHOWN else []
    return [*map(line, items[:_SHOWN]), *more]
