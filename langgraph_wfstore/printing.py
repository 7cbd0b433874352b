"""How reports print: tables and trees of `rich` where it is installed, plain text else."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cost import CostLine, CostReport
    from .lineage import Lineage, Link

_HEADINGS = ("calls", "tools", "input", "cached in", "output", "reasoning", "seconds", "cost")
_TEXT = 72  # characters of a content


def money(line: CostLine) -> str:
    """The cost of a line: what is known of it, and whether that is all."""
    if line.cost is None:
        return "unknown" if line.unpriced else ("0" if line.cached else "-")
    known = f"{line.cost.quantize(Decimal('0.000001')).normalize():f}" if line.cost else "0"
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
        found.append(f"{report.unattributed} calls began meanwhile that belong to no run; they are not counted")
    return found


def cost_table(report: CostReport) -> Any:
    """A report as a rich table."""
    from rich.table import Table

    table = Table(title=f"cost by {report.by}", title_justify="left", caption="\n".join(notes(report)) or None)
    table.caption_justify = "left"
    table.add_column(report.by, overflow="fold")
    for name in _HEADINGS:
        table.add_column(name, justify="right")
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
    facts = "  ".join(f"{name}={value}" for name, value in link.shown().items())
    return f"{link.label}  {facts}".rstrip() + ("  (shown above)" if link.again else "")


def lineage_text(lineage: Lineage) -> str:
    """A lineage as text, indented."""
    lines: list[str] = [lineage.title]

    def walk(link: Link, before: str, last: bool) -> None:
        lines.append(f"{before}{'└─ ' if last else '├─ '}{link_line(link)}")
        inner = before + ("   " if last else "│  ")
        for at, child in enumerate(link.links):
            walk(child, inner, at == len(link.links) - 1)

    walk(lineage.root, "", True)
    return "\n".join(lines)


_STYLES = {"call": "cyan", "step": "green", "run": "magenta", "message": "bold", "unknown": "yellow"}


def lineage_tree(lineage: Lineage) -> Any:
    """A lineage as a rich tree."""
    from rich.text import Text
    from rich.tree import Tree

    def shown(link: Link) -> Text:
        line = Text(link.label, style=_STYLES.get(link.kind, ""), overflow="ellipsis", no_wrap=True)
        for name, value in link.shown().items():
            line.append(f"  {name}=", style="dim").append(str(value), style="")
        return line.append("  (shown above)", style="dim") if link.again else line

    def grow(tree: Tree, link: Link) -> None:
        for child in link.links:
            grow(tree.add(shown(child)), child)

    tree = Tree(Text(lineage.title, style="bold"))
    grow(tree.add(shown(lineage.root)), lineage.root)
    return tree
