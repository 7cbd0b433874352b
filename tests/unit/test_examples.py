"""Each example runs, from anywhere, and shows what it promises."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUICKSTART = ROOT / "examples" / "quickstart.py"


def _run(example: Path, folder: Path, *arguments: str, without: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run an example from a folder, in a terminal of 80 columns; `without` a module, as if it were not installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
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
def test_a_missing_module_is_a_clear_message(module, tmp_path):
    done = _run(QUICKSTART, tmp_path, without=module)
    assert done.returncode == 1
    assert "langgraph-wfstore[examples]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_opened_is_a_clear_message(tmp_path):
    done = _run(QUICKSTART, tmp_path, "--db", "missing/agent.db")
    assert done.returncode == 1
    assert "missing/agent.db" in done.stderr
    assert "Traceback" not in done.stderr
