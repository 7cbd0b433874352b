"""How reports print: tables and trees of `rich` where it is installed, plain text else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cost import CostLine, CostReport
    from .lineage.lineage import Lineage, Link

_HEADINGS = ("models", "tools", "input", "cached", "output", "thought", "seconds", "cost")
_TEXT = 60  # characters of a content
_IDS = frozenset({"id", "run", "call", "checkpoint"})
_LONG_ID = 16  # characters


def money(line: CostLine) -> str:
    """The cost of a line: what is known of it, and whether that is all."""
    if line.cost is None:
        return "unknown" if line.unpriced else ("0" if line.cached else "-")
    known = f"{line.cost.quantize(Decimal('0.000001')):f}" if line.cost else "0"
    return f"> {known}" if line.unpriced else known


def cells(line: CostLine) -> list[str]:
    """The figures of a line."""
    counts = (line.calls, line.tool_calls, line.input, line.cache_read, line.output, line.reasoning)
    return [*(str(n) if n else "-" for n in counts), f"{line.seconds:.3f}", money(line)]


def cost_rows(report: CostReport) -> list[tuple[str, list[str]]]:
    """The lines of a report, then the total and what is part of it."""
    rows = [(line.label, cells(line)) for line in report.lines]
    rows.append((report.total.label, cells(report.total)))
    rows += [(line.label, cells(line)) for line in (report.retries, report.abandoned, report.copied) if _counted(line)]
    return rows


def _counted(line: CostLine) -> bool:
    return bool(line.calls or line.tool_calls)


def notes(report: CostReport) -> list[str]:
    """What is to be said below a report."""
    found = []
    if report.total.unpriced:
        found.append(f"no price, or no tokens, known for: {', '.join(report.total.unpriced)}")
    if report.total.cached:
        found.append(f"{report.total.cached} model answers came from a cache and cost nothing")
    if report.cached_steps:
        found.append(f"{report.cached_steps} steps were answered by the node cache and cost nothing")
    if report.unattributed:
        found.append(f"not counted, since they say of no run that they belong to it: calls, {report.unattributed}")
    return found


def cost_table(report: CostReport) -> Any:
    """A report as a rich table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=f"cost by {report.by}",
        title_justify="left",
        caption="\n".join(notes(report)) or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column(report.by, overflow="fold")
    for name in _HEADINGS:
        table.add_column(name, justify="right", no_wrap=True)
    rows = cost_rows(report)
    for at, (label, figures) in enumerate(rows):
        last = at == len(report.lines)
        table.add_row(label, *figures, style="bold" if last else None, end_section=at == len(report.lines) - 1)
    return table


def plain(report: CostReport) -> str:
    """A report as text."""
    rows = [(report.by, list(_HEADINGS)), *cost_rows(report)]
    first = max(len(label) for label, _ in rows)
    widths = [max(len(figures[i]) for _, figures in rows) for i in range(len(_HEADINGS))]
    lines = [
        "  ".join([label.ljust(first), *(f.rjust(w) for f, w in zip(figures, widths, strict=True))])
        for label, figures in rows
    ]
    return "\n".join([*lines, *notes(report)])


def shortened(text: str) -> str:
    """One line of a content."""
    line = " ".join(text.split())
    return line if len(line) <= _TEXT else line[: _TEXT - 1] + "…"


def link_line(link: Link) -> str:
    """One link of a lineage, as text."""
    facts = "  ".join(f"{name}={value}" for name, value in shown_facts(link).items())
    return f"{link.label}{'  (shown above)' if link.again else ''}  {facts}".rstrip()


def shown_facts(link: Link) -> dict[str, Any]:
    """The facts as they print: of long ids the end, which tells them apart; whole they stand in the data."""
    return {
        name: f"…{value[-8:]}" if name in _IDS and isinstance(value, str) and len(value) > _LONG_ID else value
        for name, value in link.shown().items()
    }


def lineage_text(lineage: Lineage) -> str:
    """A lineage as text, indented."""
    lines: list[str] = [lineage.title]
    todo = [(lineage.root, "", True)]
    while todo:  # a chain of links may be deeper than the stack
        link, before, last = todo.pop()
        lines.append(f"{before}{'└─ ' if last else '├─ '}{link_line(link)}")
        inner = before + ("   " if last else "│  ")
        todo += [(child, inner, at == 0) for at, child in enumerate(reversed(link.links))]
    return "\n".join(lines)


_STYLES = {"call": "cyan", "step": "green", "run": "magenta", "message": "bold", "unknown": "yellow"}


def lineage_tree(lineage: Lineage) -> Any:
    """A lineage as a rich tree."""
    from rich.text import Text
    from rich.tree import Tree

    def shown(link: Link) -> Text:
        line = Text(link.label, style=_STYLES.get(link.kind, ""), overflow="ellipsis", no_wrap=True)
        if link.again:
            line.append("  (shown above)", style="dim")
        for name, value in shown_facts(link).items():
            line.append(f"  {name}=", style="dim").append(str(value), style="")
        return line

    tree = Tree(Text(lineage.title, style="bold"))
    todo = [(tree.add(shown(lineage.root)), lineage.root)]
    while todo:
        branch, link = todo.pop()
        todo += [(branch.add(shown(child)), child) for child in link.links]
    return tree
