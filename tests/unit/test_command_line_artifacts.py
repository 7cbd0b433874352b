"""`wfstore export`, `import`, `copy` and `verify`."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from langgraph_wfstore import WfStore, WfStoreSaver, wfstore_verify
from langgraph_wfstore.artifact import manifest
from langgraph_wfstore.artifact.searching import holds
from langgraph_wfstore.cli import new_file
from langgraph_wfstore.cli.main import COMMANDS, FAILED, STOPPED, UNUSABLE, main
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
    assert capsys.readouterr().out == f"again: imported, {report.records} records; head {report.head}\n"
    with WfStore.open(place) as source, WfStore.open(other) as target:
        assert records_of(source) == records_of(target, "again")
    assert main(["verify", other]) == 0
    assert capsys.readouterr().out.startswith("again: ok: ")


def test_leaving_a_channel_out(place, tmp_path, capsys):
    assert main(["export", place, THREAD, str(tmp_path / "a.wfz"), "--redact", "messages"]) == 0
    assert "withheld: " in capsys.readouterr().out
    assert not holds(tmp_path / "a.wfz", "message 1")


def test_copying_a_store(place, tmp_path, capsys):
    other = str(tmp_path / "other.db")
    assert main(["copy", place, other, "--thread", THREAD]) == 0
    assert capsys.readouterr().out == "1 thread copied, 0 there already\n"
    assert main(["copy", place, other]) == 0
    assert capsys.readouterr().out == "0 threads copied, 1 there already\n"
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
        ["export", "{place}", "{thread}", "."],
        ["export", "{place}", "{thread}", "/proc/a.wfz"],
        ["import", "{folder}", "{folder}/other.db"],
        ["import", "{place}", "redis://localhost:1/0"],
        ["copy", "{place}", "nothing://there"],
        ["copy", "{place}", "{folder}"],
        ["verify", "postgresql://nobody@localhost:1/none"],
        ["verify", "postgresql://%zz"],
        ["verify", "redis://localhost:port"],
        ["verify", ""],
        ["migrate", "{folder}", "{folder}/other.db"],
        ["migrate", "postgresql://nobody@localhost:1/none", "{folder}/other.db"],
        ["migrate-out", "{place}", "{folder}"],
        ["migrate-out", "{place}", "{folder}/none/out.db"],
        ["migrate-out", "{place}", "postgresql://nobody@localhost:1/none"],
        ["verify", "{place}", "--thread", "{thread}", "--expect-head", "sha256:00"],
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
    if words[0] in ("import", "migrate"):
        assert {path.name for path in tmp_path.iterdir()} <= {"agent.db", "agent.db-wal", "agent.db-shm"}


class TestWhatOneMeans:
    """Files and stores that are taken for one another."""

    @pytest.fixture
    def artifact(self, place, tmp_path, capsys):
        assert main(["export", place, THREAD, str(tmp_path / "a.wfz")]) == 0
        capsys.readouterr()
        return str(tmp_path / "a.wfz")

    def test_an_artifact_is_verified_as_a_store_is(self, place, artifact, capsys):
        with WfStore.open(place, read_only=True) as store:
            head = str(store.thread(THREAD).head)
        assert main(["verify", artifact]) == 0
        said = capsys.readouterr().out
        assert head in said and said.endswith("\nVERIFIED\n")
        assert main(["verify", artifact, "--quiet", "--expect-head", head]) == 0
        assert capsys.readouterr().out == ""
        assert main(["verify", artifact, "--expect-head", "sha256:" + "00" * 32, "--quiet"]) == FAILED
        assert capsys.readouterr().out.endswith("\nNOT VERIFIED\n")
        assert main(["verify", artifact, "--thread", THREAD]) == UNUSABLE
        assert "which has one" in capsys.readouterr().err

    def test_an_artifact_is_no_store_for_other_commands(self, artifact, tmp_path, capsys):
        for words in (["copy", artifact, str(tmp_path / "b.db")], ["import", artifact, artifact]):
            assert main(words) == UNUSABLE
            assert "wfstore import FILE STORE brings it into a store" in capsys.readouterr().err
        assert not (tmp_path / "b.db").exists()

    def test_a_store_before_the_file_is_said(self, place, artifact, capsys):
        assert main(["import", place, artifact]) == UNUSABLE
        assert f"wfstore import {artifact} {place}" in capsys.readouterr().err

    def test_one_store_by_two_names_is_not_copied(self, place, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "link.db").symlink_to(place)
        for other in (place, "agent.db", "./agent.db", "sqlite:///agent.db", f"sqlite:///{place}", "link.db"):
            assert main(["copy", place, other]) == UNUSABLE, other
            assert "are one store" in capsys.readouterr().err

    def test_a_backup_is_another_store(self, place, tmp_path, capsys):
        """It has the secrets of the store that it was made of."""
        with closing(sqlite3.connect(place)) as db, closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
            db.backup(backup)
        assert main(["copy", place, str(tmp_path / "backup.db")]) == 0
        assert capsys.readouterr().out == "0 threads copied, 1 there already\n"


class TestImport:
    @pytest.fixture
    def withheld(self, place, tmp_path):
        assert main(["export", place, THREAD, str(tmp_path / "withheld.wfz"), "--redact", "messages", "--quiet"]) == 0
        return str(tmp_path / "withheld.wfz")

    def test_what_is_refused_late_leaves_no_store(self, place, tmp_path, capsys, monkeypatch):
        """The file is sound, but for what is found when all of it was read."""
        file, new = tmp_path / "a.wfz", tmp_path / "new.db"
        assert main(["export", place, THREAD, str(file)]) == 0
        before = set(tmp_path.iterdir())
        with monkeypatch.context() as patched:
            patched.setattr(manifest.Facts, "manifest", lambda *_: None)
            assert main(["import", str(file), str(new)]) == UNUSABLE
        assert "other records or values than its manifest says" in capsys.readouterr().err
        assert set(tmp_path.iterdir()) == before
        assert main(["import", str(file), str(new)]) == 0
        assert set(tmp_path.iterdir()) == {*before, new}

    def test_a_store_that_comes_meanwhile_is_not_replaced(self, place, tmp_path, capsys, monkeypatch):
        file, new = tmp_path / "a.wfz", tmp_path / "new.db"
        assert main(["export", place, THREAD, str(file)]) == 0
        monkeypatch.setattr(new_file.WfStore, "close", lambda store: (new.write_bytes(b"mine"), store.backend.close()))
        assert main(["import", str(file), str(new)]) == UNUSABLE
        assert "by somebody else meanwhile" in capsys.readouterr().err
        assert new.read_bytes() == b"mine" and not list(tmp_path.glob(".*"))

    def test_what_cannot_be_brought_into_one_file_is_no_store(self, place, tmp_path, capsys, monkeypatch):
        """As on a full disk: the log is not folded in when the store is closed. Here somebody reads meanwhile."""
        file, new = tmp_path / "a.wfz", tmp_path / "new.db"
        assert main(["export", place, THREAD, str(file)]) == 0
        before, readers = set(tmp_path.iterdir()), []
        take_in = new_file.WfStore.import_artifact

        def read_meanwhile(store, *given, **named):
            readers.append(sqlite3.connect(store.backend.path, isolation_level=None))
            readers[0].execute("BEGIN")
            readers[0].execute("SELECT count(*) FROM sqlite_master").fetchone()
            return take_in(store, *given, **named)

        with monkeypatch.context() as patched:
            patched.setattr(new_file.WfStore, "import_artifact", read_meanwhile)
            assert main(["import", str(file), str(new)]) == UNUSABLE
        readers[0].close()
        assert "could not write all of it to its file" in capsys.readouterr().err
        assert set(tmp_path.iterdir()) == before
        assert main(["import", str(file), str(new)]) == 0

    def test_a_thread_that_lacks_what_the_file_holds_is_said(self, place, withheld, tmp_path, capsys):
        whole, other = str(tmp_path / "whole.wfz"), str(tmp_path / "other.db")
        assert main(["export", place, THREAD, whole]) == 0
        assert main(["import", withheld, other]) == 0
        capsys.readouterr()
        assert main(["import", withheld, other]) == 0
        assert "there already; head" in capsys.readouterr().out
        assert main(["import", whole, other]) == FAILED
        said = capsys.readouterr().out
        assert "without 24 values that the file holds" in said and "--thread ID" in said
        assert main(["import", whole, other, "--thread", "whole"]) == 0

    def test_an_id_that_no_thread_can_have_is_refused(self, withheld, tmp_path, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["import", withheld, str(tmp_path / "new.db"), "--thread", "x" * 20_000])
        assert ended.value.code == UNUSABLE and "20000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_says_the_exit_codes(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "exit codes: 0 " in said and f"; {UNUSABLE} " in said


def test_a_command_that_is_stopped_says_so(place, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(WfStore, "copy_to", stopped)
    assert main(["copy", place, str(tmp_path / "other.db")]) == STOPPED
    assert capsys.readouterr().err.count("\n") == 1
