"""Each example runs, from anywhere, and shows what it promises."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUICKSTART = ROOT / "examples" / "quickstart.py"
ATTRIBUTION = ROOT / "examples" / "attribution.py"


def _run(
    example: Path, folder: Path, *arguments: str, without: str | None = None, columns: int = 80
) -> subprocess.CompletedProcess[str]:
    """Run an example from a folder, in a terminal of 80 columns; `without` a module, as if it were not installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(example), *arguments]
    if without is not None:
        source = "import runpy, sys; sys.modules[sys.argv[1]] = None; runpy.run_path(sys.argv[2], run_name='__main__')"
        command = [sys.executable, "-c", source, without, str(example)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """What the quickstart prints, and the store that it keeps."""
    folder = tmp_path_factory.mktemp("quickstart")
    done = _run(QUICKSTART, folder, "--db", "kept.db")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, folder / "kept.db"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs_from_anywhere_and_leaves_nothing_there(example, tmp_path):
    done = _run(example, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    assert not [*tmp_path.iterdir()]


def test_the_first_process_is_killed_in_its_third_step(quickstart):
    said, _ = quickstart
    assert re.search(r"Process \d+ was killed in the middle of step 3 \(exit code -9\)", said)


def test_no_finished_step_is_run_again(quickstart):
    said, _ = quickstart
    rows = re.findall(r"^(\w+) +(done|killed|-) +(done|-) +(\d)\s*$", said, re.MULTILINE)
    assert rows == [
        ("analyse", "done", "-", "1"),
        ("search", "done", "-", "1"),
        ("run_code", "killed", "done", "2"),
        ("synthesise", "-", "done", "1"),
    ]


def test_the_history_has_every_step(quickstart):
    said, _ = quickstart
    history = said.partition("History")[2].partition("Fork")[0]
    assert re.findall(r"^(-?\d) +(\w+) +\S+ +[0-9a-f]{8} ", history, re.MULTILINE) == [
        ("-1", "input"),
        ("0", "START"),
        ("1", "analyse"),
        ("2", "search"),
        ("3", "run_code"),
        ("4", "synthesise"),
    ]


def test_both_threads_verify(quickstart):
    said, _ = quickstart
    assert re.findall(r"^verify light-\w+(-median)?: (ok), \d+ records sealed, 0 unsealed", said, re.MULTILINE) == [
        ("", "ok"),
        ("-median", "ok"),
    ]


def test_the_comparison_shows_the_changed_decision_and_what_followed_from_it(quickstart):
    said, _ = quickstart
    assert "-median ran only run_code and synthesise" in said
    comparison = said.partition("What differs:")[2]
    assert re.search(r"^average +mean +median\s*$", comparison, re.MULTILINE)
    assert re.search(r"^time_ns +24826\.2 +24827\.0\s*$", comparison, re.MULTILINE)
    assert re.search(r"^km_per_s +299764 +299754\s*$", comparison, re.MULTILINE)
    assert "question" not in comparison
    assert "share 6 checkpoint records; the copy has 3 of its own" in comparison


def test_the_output_fits_a_terminal_of_80_columns(quickstart):
    said, _ = quickstart
    assert max(map(len, said.splitlines())) <= 80


def test_the_store_is_kept_on_request(quickstart):
    _, path = quickstart
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM thread").fetchone() == (2,)


@pytest.mark.parametrize("module", ["rich.console", "langgraph_wfstore"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_missing_module_is_a_clear_message(example, module, tmp_path):
    done = _run(example, tmp_path, without=module)
    assert done.returncode == 1
    assert re.search(r"langgraph-wfstore\[examples[],]", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_opened_is_a_clear_message(tmp_path):
    done = _run(QUICKSTART, tmp_path, "--db", "missing/agent.db")
    assert done.returncode == 1
    assert "missing/agent.db" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def attribution(tmp_path_factory):
    """The sections that the attribution example prints, by the beginning of their headings."""
    done = _run(ATTRIBUTION, tmp_path_factory.mktemp("attribution"), columns=100)
    assert done.returncode == 0, done.stdout + done.stderr
    names = ("Runs, steps", "What they cost", "Why", "What followed")
    bounds = [*(done.stdout.index(f"\n{name}") for name in names), len(done.stdout)]
    return {name: done.stdout[bounds[at] : bounds[at + 1]] for at, name in enumerate(names)}


def _costs(section: str, by: str) -> dict[str, Decimal]:
    """The costs in one of the tables: per line its last cell, as far as that is a number."""
    table = re.split(r"^cost by ", section, flags=re.MULTILINE)[1:]
    lines = next(part for part in table if part.startswith(by)).splitlines()
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {row[0]: Decimal(row[-1]) for row in cells if re.fullmatch(r"\d+\.\d+", row[-1])}


def test_the_steps_are_there_with_the_failed_attempt(attribution):
    steps = re.findall(r"^  step (\d) (\w+) +(\d) +[\d.]+  (\w+)", attribution["Runs, steps"], re.MULTILINE)
    assert steps == [
        ("1", "agent", "1", "ok"),
        ("2", "tools", "1", "ConnectionError"),
        ("2", "tools", "2", "ok"),
        ("3", "agent", "1", "ok"),
        ("6", "agent", "1", "ok"),
        ("7", "tools", "1", "ok"),
        ("8", "agent", "1", "ok"),
    ]


def test_the_calls_are_there_with_those_inside_them(attribution):
    calls = re.findall(r"^(    +)(model|tool) (\S+)", attribution["Runs, steps"], re.MULTILINE)
    assert len([name for _, kind, name in calls if (kind, name) == ("model", "o4-mini")]) == 4
    inner = [at for at, (indent, kind, _) in enumerate(calls) if kind == "model" and len(indent) == 6]
    assert [calls[at][2] for at in inner] == ["gpt-4o-mini"] * 3
    assert [calls[at - 1][2] for at in inner] == ["find_fare"] * 3


def test_the_costs_are_those_of_the_tokens(attribution):
    section = attribution["What they cost"]
    agent = Decimal("0.004212")  # (2509 - 1664) * 1.10 + 1664 * 0.275 + 642 * 4.40, for a million
    tools = Decimal("0.000049")  # 289 * 0.15 + 10 * 0.60
    total = agent + tools
    retries = Decimal("0.000016")
    rest = {"total": total, "- retries": retries}
    assert _costs(section, "node") == {"agent": agent, "tools": tools, **rest}
    assert _costs(section, "tool") == {"outside of tools": agent, "find_fare": tools, **rest}
    steps = _costs(section, "step")
    assert steps["1 agent"] == Decimal("0.001272")
    assert steps["2 tools"] == steps["2 tools #2"] == retries
    assert {agent, tools} <= {*_costs(section, "model").values()}


def test_the_why_leads_to_the_tool_results_and_the_questions(attribution):
    why = attribution["Why"]
    assert re.search(r"^└── assistant message .*NOK 1,099, about 94 euro", why, re.MULTILINE)
    assert re.search(r"tool message .*1 EUR = 11\.70 NOK.*\n.* tool call exchange_rate ", why)
    assert re.search(r"tool message .*NOK 1099.*\n.* tool call find_fare ", why)
    assert len(re.findall(r"user message .*\n.* given as input ", why)) == 2
    assert "unknown" not in why


def test_the_impact_goes_on_into_the_next_run(attribution):
    impact = attribution["What followed"]
    assert re.findall(r"── step (\d) (\w+)", impact) == [
        ("2", "tools"),
        ("3", "agent"),
        ("6", "agent"),
        ("7", "tools"),
        ("8", "agent"),
    ]
    assert len(re.findall(r"── run ", impact)) == 2
    assert re.search(r"^verify: ok, \d+ records sealed, 0 unsealed$", impact, re.MULTILINE)


def test_the_attribution_fits_a_terminal_of_100_columns(attribution):
    assert max(len(line) for section in attribution.values() for line in section.splitlines()) <= 100


@pytest.fixture(scope="module")
def what_if(tmp_path_factory):
    """What the example of what-if branches prints."""
    done = _run(ROOT / "examples" / "what_if.py", tmp_path_factory.mktemp("what_if"), columns=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _branch_rows(text: str) -> list[list[str]]:
    """Per table of branches and branch its name, head, and counts of checkpoints and runs."""
    found = re.findall(r"^(main|days|warranty)(?: \(current\))? +(\S+) +(\.\.\w{6}) +(\d+) +(\d+) ", text, re.MULTILINE)
    return [[name, *rest] for name, _, *rest in found]


def test_each_branch_has_its_own_answer(what_if):
    answers = dict(re.findall(r"^  (main|days|warranty) +We order ten from (\w+)", what_if, re.MULTILINE))
    assert answers == {"main": "Nordic", "days": "Volt", "warranty": "Acme"}


def test_productions_head_moves_with_the_merge_and_not_before(what_if):
    before, after = _branch_rows(what_if)[:3], _branch_rows(what_if)[3:]
    assert [row[0] for row in before] == ["main", "days", "warranty"]
    assert [(row[0], row[2]) for row in after] == [("main", "7"), ("days", "3")]
    assert before[0][1:] != after[0][1:]
    assert before[1] == after[1]
    assert what_if.index("Production: We order ten from Nordic") < what_if.index("Production: We order ten from Volt")


def test_the_diff_shows_the_other_decision_and_what_the_tool_made_of_it(what_if):
    assert "~ rule: 'price' -> 'days'" in what_if
    assert "changed arguments: rank {'rule': 'price'} -> {'rule': 'days'}" in what_if
    assert "both differently: log, messages, ranked" in what_if


def test_the_merge_asks_for_what_it_cannot_know(what_if):
    assert re.search(r"cannot be merged into 'main'.*?'ranked': both sides changed it", what_if, re.DOTALL)
    assert re.search(r"^verify: ok, \d+ records sealed$", what_if, re.MULTILINE)


def test_of_the_killed_worker_only_the_step_it_died_in_is_begun_again(tmp_path, postgres_url):
    done = _run(ROOT / "examples" / "production.py", tmp_path, postgres_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "worker 1 was killed in the middle of a step (exit code -9)" in done.stdout
    rows = re.findall(r"^│ (ticket-\d+) +│ (\d) +│ (\d) +│ (\d) +│ (.+?) +│ (\w+) +│$", done.stdout, re.MULTILINE)
    assert len(rows) == 12
    assert rows[0][:4] == ("ticket-1", "1", "2", "1") and rows[0][4].startswith("worker 1, worker ")
    assert all(row[1:4] == ("1", "1", "1") for row in rows[1:])
    assert {row[5] for row in rows} == {"ok"}
