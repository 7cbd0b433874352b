"""The command `wfstore`: its sub-commands, exit codes, and what it prints."""

from __future__ import annotations

import builtins
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import migration_scenarios as scenarios
import pytest
from migration_scenarios import config

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.cli import progress
from langgraph_wfstore.cli.main import COMMANDS, FAILED, UNUSABLE, main
from langgraph_wfstore.testing.sample_graphs import line_graph

ROOT = Path(__file__).parents[2]
SHOP = """
from dataclasses import dataclass
from pydantic import BaseModel

@dataclass
class Cart:
    items: list

class Order(BaseModel):
    number: int
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with scenarios.sqlite(tmp_path / "source.db") as saver:
        for name in ("a", "b", "c"):
            line_graph(saver, "x").invoke({"log": []}, config(name))
    return tmp_path / "source.db"


def run(*words: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    words = (sys.executable, "-m", "langgraph_wfstore", *map(str, words))
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


class TestTheCommand:
    def test_every_sub_command_has_a_help(self, capsys):
        for name in COMMANDS:
            with pytest.raises(SystemExit) as ended:
                main([name, "--help"])
            assert ended.value.code == 0
            assert COMMANDS[name].help[1:] in capsys.readouterr().out.replace("\n", " ")

    def test_words_that_mean_nothing_are_refused(self, capsys):
        for words in ([], ["nothing"], ["migrate"], ["migrate", "a", "b", "--what"]):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert ended.value.code == UNUSABLE
        assert "usage: wfstore" in capsys.readouterr().err

    def test_it_runs_as_a_module_and_as_a_script(self, source, tmp_path):
        assert run("migrate", source, tmp_path / "store.db", cwd=tmp_path).returncode == 0
        with WfStore.open(tmp_path / "store.db") as store:
            assert sorted(store.thread_ids()) == ["a", "b", "c"]
        import tomllib

        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        module, function = scripts["wfstore"].split(":")
        assert getattr(sys.modules[module], function) is main


class TestMigrate:
    def test_it_says_what_it_did(self, source, tmp_path, capsys):
        assert main(["migrate", str(source), str(tmp_path / "store.db")]) == 0
        out = capsys.readouterr().out
        assert "3 threads looked at: 3 put" in out
        assert "every state was read back and is equal" in out

    def test_a_dry_run_says_what_it_would_do(self, source, tmp_path, capsys):
        assert main(["migrate", str(source), str(tmp_path / "store.db"), "--dry-run"]) == 0
        assert "9 checkpoints and 9 pending writes would be put" in capsys.readouterr().out
        assert not (tmp_path / "store.db").exists()

    def test_only_some_threads(self, source, tmp_path):
        assert main(["migrate", str(source), str(tmp_path / "s.db"), "--thread", "a", "--thread", "c"]) == 0
        with WfStore.open(tmp_path / "s.db") as store:
            assert sorted(store.thread_ids()) == ["a", "c"]

    def test_problems_are_told_and_are_the_exit_code(self, source, tmp_path, capsys):
        assert main(["migrate", str(source), str(tmp_path / "s.db"), "--thread", "a", "--thread", "z"]) == FAILED
        out = capsys.readouterr().out
        assert "problems in 1 thread:" in out and "thread 'z': there is no thread 'z'" in out

    def test_what_cannot_be_used_is_one_line(self, source, tmp_path, capsys):
        target = str(tmp_path / "store.db")
        for words in (
            [str(tmp_path / "missing.db"), target],
            [str(source), str(tmp_path / "no" / "folder.db")],
            [str(source), target, "--import", "no.such.module"],
            [str(source), target, "--allow", "Cart"],
        ):
            assert main(["migrate", *words]) == UNUSABLE
            said = capsys.readouterr()
            assert said.err.startswith("wfstore migrate: ") and said.err.count("\n") == 1 and not said.out

    def test_classes_of_the_program_are_imported_and_allowed(self, tmp_path):
        (tmp_path / "shop.py").write_text(SHOP)
        making = (
            "import shop\nfrom langgraph.checkpoint.sqlite import SqliteSaver\n"
            "from langgraph.graph import START, StateGraph\n"
            "with SqliteSaver.from_conn_string('source.db') as saver:\n"
            "    made = lambda state: {'cart': shop.Cart(['tea']), 'order': shop.Order(number=1)}\n"
            "    graph = StateGraph(dict).add_node('a', made).add_edge(START, 'a').compile(saver)\n"
            "    graph.invoke({}, {'configurable': {'thread_id': 't'}})\n"
        )
        subprocess.run([sys.executable, "-c", making], cwd=tmp_path, check=True, timeout=60)
        bare = run("migrate", "source.db", "store.db", cwd=tmp_path)
        assert bare.returncode == FAILED and "shop:" in bare.stdout
        imported = run("migrate", "source.db", "store.db", "--import", "shop", cwd=tmp_path)
        assert imported.returncode == FAILED and "shop:Order" in imported.stdout
        allowed = run("migrate", "source.db", "store.db", "--import", "shop", "--allow", "shop:Order", cwd=tmp_path)
        assert allowed.returncode == 0, allowed.stdout


class TestMigrateOut:
    def test_out_and_in_again(self, source, tmp_path, capsys):
        store, out, again = (str(tmp_path / name) for name in ("store.db", "out.db", "again.db"))
        assert main(["migrate", str(source), store]) == 0
        assert main(["migrate-out", store, out]) == 0
        assert main(["migrate", out, again]) == 0
        with WfStoreSaver(store) as left, WfStoreSaver(again) as right:
            assert scenarios.differing(left, right) == []

    def test_only_the_current_line(self, tmp_path, capsys):
        with WfStoreSaver(tmp_path / "store.db") as saver:
            scenarios._forked(saver)
            saver.store.thread("forked").switch("main")
        words = ["migrate-out", str(tmp_path / "store.db"), str(tmp_path / "out.db")]
        assert main(words) == FAILED
        assert "--current-only" in capsys.readouterr().out
        assert main([*words, "--current-only"]) == 0


class TestProgress:
    def test_lines_where_there_is_no_terminal(self, capsys, monkeypatch):
        now = iter([0.0, 1.0, 6.0, 6.0, 7.0, 12.0, 12.0])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
        with progress.ProgressLine("threads") as line:
            for done in (1, 2, 3, 4):
                line.show(done, 9, "5 checkpoints")
        assert capsys.readouterr().err == "2 of 9 threads, 5 checkpoints\n4 of 9 threads, 5 checkpoints\n"

    def test_nothing_if_it_is_quiet(self, capsys, monkeypatch):
        monkeypatch.setattr(progress, "_EVERY", 0.0)
        with progress.ProgressLine("threads", quiet=True) as line:
            line.show(1, 2)
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("installed", [True, False])
    def test_a_bar_on_a_terminal_if_rich_is_there(self, installed, monkeypatch):
        ours, theirs = pty.openpty()
        real = builtins.__import__

        def imported(name: str, *more: Any) -> Any:
            if not installed and name.startswith("rich"):
                raise ImportError(name)
            return real(name, *more)

        monkeypatch.setattr(builtins, "__import__", imported)
        monkeypatch.setattr(progress, "_EVERY", 0.0)
        with os.fdopen(theirs, "w") as terminal:
            monkeypatch.setattr(sys, "stderr", terminal)
            with progress.ProgressLine("threads") as line:
                line.show(1, 2, "some checkpoints")
            terminal.flush()
            said = os.read(ours, 100_000).decode()
        os.close(ours)
        assert "some checkpoints" in said
        assert ("━" in said) is installed
