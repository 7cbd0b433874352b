"""`wfstore export`, `import`, `copy` and `verify`."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from langgraph_wfstore import WfStore, WfStoreSaver, wfstore_verify
from langgraph_wfstore.cli.main import FAILED, UNUSABLE, main
from langgraph_wfstore.testing.contract_artifacts import records_of
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human
from langgraph_wfstore.testing.sample_threads import CONFIG, chat


@pytest.fixture
def place(tmp_path):
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        chat(saver)
    return str(tmp_path / "agent.db")


def test_out_and_in_again(place, tmp_path, capsys):
    file, other = str(tmp_path / "a.wfz"), str(tmp_path / "other.db")
    assert main(["export", place, THREAD, file, "--compress"]) == 0
    said = capsys.readouterr().out
    report = wfstore_verify.verify_file(file)
    assert report.ok and report.identity in said and report.head in said
    assert main(["import", file, other, "--thread", "again"]) == 0
    assert capsys.readouterr().out == f"again: head {report.head}\n"
    with WfStore.open(place) as source, WfStore.open(other) as target:
        assert records_of(source) == records_of(target, "again")
    assert main(["verify", other]) == 0
    assert capsys.readouterr().out.startswith("again: ok: ")


def test_leaving_a_channel_out(place, tmp_path, capsys):
    assert main(["export", place, THREAD, str(tmp_path / "a.wfz"), "--redact", "messages"]) == 0
    assert "withheld: " in capsys.readouterr().out
    assert b"message 1" not in (tmp_path / "a.wfz").read_bytes()


def test_copying_a_store(place, tmp_path, capsys):
    other = str(tmp_path / "other.db")
    assert main(["copy", place, other, "--thread", THREAD]) == 0
    assert "1 threads copied" in capsys.readouterr().out
    assert main(["copy", place, other]) == 0
    assert "1 were there already" in capsys.readouterr().out
    with WfStoreSaver(place) as saver:
        chat_graph(saver).invoke(says_human(9), CONFIG)
    assert main(["copy", place, other]) == FAILED
    assert "earlier state of the same thread" in capsys.readouterr().out


def test_what_does_not_verify_is_the_exit_code(place, capsys):
    with WfStore.open(place) as store:
        head = store.thread(THREAD).head
    assert main(["verify", place, "--thread", THREAD, "--expect-head", str(head), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    with closing(sqlite3.connect(place)) as db, db:
        db.execute("UPDATE record SET position = position + 1 WHERE kind = 0 AND key = (SELECT min(key) FROM record)")
        db.execute("UPDATE record SET step = 7 WHERE kind = 0")
    assert main(["verify", place, "--quiet"]) == FAILED
    assert "column step is 7" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["export", "{place}", "nobody", "{folder}/a.wfz"],
        ["export", "{place}", "{thread}", "{folder}/no/a.wfz"],
        ["export", "{place}", "{thread}", "{folder}"],
        ["export", "{place}", "{thread}", "{folder}/a.wfz", "--redact", "nothing"],
        ["export", "{place}", "{thread}", "{folder}/a.wfz", "--sign-with", "{place}"],
        ["export", "{folder}/none.db", "{thread}", "{folder}/a.wfz"],
        ["import", "{place}", "{folder}/other.db"],
        ["import", "{folder}/none.wfz", "{folder}/other.db"],
        ["copy", "{folder}/none.db", "{folder}/other.db"],
        ["verify", "{folder}/none.db"],
        ["verify", "{place}", "--thread", "nobody"],
        ["verify", "{place}", "--expect-head", "sha256:00"],
    ],
)
def test_what_cannot_be_used_is_one_line(words, place, tmp_path, capsys):
    words = [word.format(place=place, folder=tmp_path, thread=THREAD) for word in words]
    assert main(words) == UNUSABLE
    said = capsys.readouterr()
    assert said.err.startswith(f"wfstore {words[0]}: ") and said.err.count("\n") == 1 and not said.out
    assert not list(tmp_path.glob("*.wfz")) and not list(tmp_path.glob(".*"))
