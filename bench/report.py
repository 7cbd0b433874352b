"""The session as Markdown: targets first, then one table per workload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.results import METRICS, Metric, Session, Summaries
from bench.savers import SAVERS
from bench.targets import BASELINE, SUBJECT, TARGETS, Target, verdict

METHOD = """\
Real `StateGraph`s with deterministic nodes, each run in a process of its own, the savers in turn (A B A B, the order
reversed every other repetition); every run reads its state back and compares it. `wall` is the time of the invocations
only, `on disk` the files after the saver was closed, `peak RSS` that of the whole process. Every saver runs as it opens
by default: SqliteSaver and WfStoreSaver both commit with synchronous=FULL. Figures are medians; [low–high] over the
repetitions; (N x) means N times better than the official saver in the same session. With the default durability nodes
run ahead of the saver, so inside one long run only `wall` counts. "LangGraph alone" keeps live objects and saves
nothing: no checkpointer can be faster."""


def number(value: float) -> str:
    """Three significant digits, and whole numbers from 100 on."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def shown(value: float, metric: Metric) -> str:
    """A measured value in its unit."""
    return f"{number(value * metric.scale)}{'' if metric.unit == '/s' else ' '}{metric.unit}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def report(session: Session) -> str:
    """The whole page."""
    measured = Summaries(session.runs)
    parts = ["# Benchmarks", f"`{session.environment.get('command', 'python -m bench')}`", METHOD]
    parts.append("; ".join(f"{name} {value}" for name, value in session.environment.items() if name != "command"))
    parts += [f"Skipped {name}: {reason}" for name, reason in session.skipped.items()]
    parts += _targets_section(measured)
    for workload in dict.fromkeys(run.workload for run in session.runs):
        parts += [f"## {workload}", _workload_table(measured, workload)]
        parts += _failures(measured, workload)
    return "\n\n".join(parts) + "\n"


def _targets_section(measured: Summaries) -> list[str]:
    """The targets of the workloads in this session; targets hold for full sizes only."""
    workloads = {run.workload for run in measured.runs}
    rows = [_target_row(target, measured) for target in TARGETS if target.workload in workloads]
    if not rows:
        return ["No target belongs to these workloads: targets are for the full sizes, see `bench/targets.py`."]
    heads = ["workload", "", SAVERS[BASELINE].title, SAVERS[SUBJECT].title, "better", "first step", "", "goal", ""]
    return ["## Measured against the targets", table(heads, rows)]


def _target_row(target: Target, measured: Summaries) -> list[str]:
    metric = METRICS[target.metric]
    medians = []
    for saver in (BASELINE, SUBJECT):
        summary = measured.get(target.workload, saver, target.metric)
        medians.append("" if summary is None else shown(summary.median, metric))
    ratio = measured.ratio(target.workload, SUBJECT, BASELINE, target.metric)
    verdicts = []
    for bound in (target.first_step, target.goal):
        verdicts += [str(bound), verdict(target, bound, measured)]
    return [target.workload, metric.title, *medians, "" if ratio is None else f"{number(ratio)}x", *verdicts]


def _workload_table(measured: Summaries, workload: str) -> str:
    savers = list(dict.fromkeys(run.saver for run in measured.runs if run.workload == workload))
    metrics = [name for name in METRICS if any(measured.get(workload, saver, name) for saver in savers)]
    heads = ["", *(f"{METRICS[name].title}, {METRICS[name].unit}" for name in metrics)]
    rows = [[SAVERS[saver].title, *(_cell(measured, workload, saver, name) for name in metrics)] for saver in savers]
    return table(heads, rows)


def _cell(measured: Summaries, workload: str, saver: str, name: str) -> str:
    summary, scale = measured.get(workload, saver, name), METRICS[name].scale
    if summary is None:
        return "failed" if measured.errors(workload, saver) else ""
    cell = number(summary.median * scale)
    if name == "wall_s" and summary.low != summary.high:
        cell += f" [{number(summary.low * scale)}–{number(summary.high * scale)}]"
    ratio = measured.ratio(workload, saver, SAVERS[saver].baseline, name)
    return cell if ratio is None else f"{cell} ({number(ratio)} x)"


def _failures(measured: Summaries, workload: str) -> list[str]:
    lines = []
    for saver in dict.fromkeys(run.saver for run in measured.runs if run.workload == workload):
        errors = measured.errors(workload, saver)
        if errors:
            lines.append(f"**{SAVERS[saver].title}: {len(errors)} failed.** The first: `{errors[0]}`")
    return lines
