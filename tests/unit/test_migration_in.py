"""Migrating into a store: every state of every kind of thread, from every saver; what it does not take for done."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import migration_scenarios as scenarios
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from migration_scenarios import ODD, config

from langgraph_wfstore import StoreNotFoundError, WfStore, WfStoreError, WfStoreSaver
from langgraph_wfstore.migration import amigrate, migrate, migrate_out, moving
from langgraph_wfstore.migration.states import Node, ancestors_first, placed
from langgraph_wfstore.serde import jsonplus
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.sample_graphs import chat_graph, line_graph, says_human


class Backwards:
    """A cipher, of a kind."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "backwards", plaintext[::-1]

    def decrypt(self, name: str, ciphertext: bytes) -> bytes:
        assert name == "backwards"
        return ciphertext[::-1]


def counted(monkeypatch: pytest.MonkeyPatch, of: Any, name: str) -> list[None]:
    """Has an item for each time that a function is called from now on."""
    calls: list[None] = []
    inner = getattr(of, name)

    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        return inner(*arguments, **options)

    monkeypatch.setattr(of, name, counting)
    return calls


ALLOW = [scenarios.Order]
SOURCES = ("sqlite", "async sqlite", "postgres", "memory")


class Source:
    """Where threads come from: what `migrate` is given, and the saver to compare with."""

    def __init__(self, place: Any, saver: Any) -> None:
        self.place = place
        self.saver = saver


@contextmanager
def made(kind: str, tmp_path: Any, request: Any) -> Iterator[Source]:
    with ExitStack() as stack:
        if kind == "memory":
            saver: Any = scenarios.memory()
            yield Source(saver, saver)
        elif kind == "postgres":
            url = stack.enter_context(scenarios.database(request.getfixturevalue("postgres_url")))
            saver = stack.enter_context(scenarios.postgres(url))
            scenarios.build(saver)
            yield Source(url, saver)
        else:
            path = tmp_path / "source.db"
            saver = stack.enter_context(scenarios.sqlite(path))
            scenarios.build_async(path) if kind == "async sqlite" else scenarios.build(saver)
            yield Source(path, saver)


@pytest.fixture(params=SOURCES)
def source(request: Any, tmp_path: Any) -> Iterator[Source]:
    with made(request.param, tmp_path, request) as found:
        yield found


@pytest.fixture
def sqlite_source(tmp_path: Any) -> Iterator[SqliteSaver]:
    with scenarios.sqlite(tmp_path / "source.db") as saver:
        yield saver


def in_store(tmp_path: Any) -> WfStoreSaver:
    return WfStoreSaver(tmp_path / "store.db")


def shown_paths(saver: WfStoreSaver, thread: str) -> list[Any]:
    """Where the pending writes of a thread stand in the store."""
    found = saver.store.history(thread, None, saver.store.codec)
    writes = [(each.record.namespace, each.record.checkpoint_id, *write) for each in found for write in each._writes]
    return sorted((ns, id_, w.task_id, w.task_path, x.idx, x.channel) for ns, id_, w, x in writes)


class TestEveryThread:
    def test_every_state_is_what_the_source_says(self, source, tmp_path):
        report = migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        assert report.ok, str(report)
        assert report.moved == report.threads == report.total == len(scenarios.threads(source.saver))
        with in_store(tmp_path) as saver:
            assert scenarios.differing(source.saver, saver) == []
            assert report.checkpoints == sum(len(scenarios.checkpoints(saver, t)) for t in scenarios.threads(saver))
            for thread in saver.store.thread_ids():
                assert_sound(saver, thread)
                assert saver.store.thread(thread).verify().unsealed == 0

    def test_every_thread_goes_on_as_in_the_source(self, source, tmp_path):
        migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        with in_store(tmp_path) as saver:
            for thread in scenarios.GOES_ON:
                expected, found = scenarios.went_on(source.saver, thread), scenarios.went_on(saver, thread)
                assert found == expected, thread

    def test_a_second_run_puts_nothing(self, source, tmp_path):
        first = migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        with WfStore.open(tmp_path / "store.db") as store:
            before = store.threads()
        again = migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        assert (again.ok, again.moved, again.checkpoints, again.writes) == (True, 0, 0, 0)
        assert again.there == first.moved
        with WfStore.open(tmp_path / "store.db") as store:
            assert store.threads() == before

    def test_a_dry_run_finds_the_same_and_writes_nothing(self, source, tmp_path):
        dry = migrate(source.place, tmp_path / "store.db", allow=ALLOW, dry_run=True)
        assert not (tmp_path / "store.db").exists()
        real = migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        assert (dry.ok, dry.checkpoints, dry.writes, dry.moved) == (True, real.checkpoints, real.writes, real.moved)
        again = migrate(source.place, tmp_path / "store.db", allow=ALLOW, dry_run=True)
        assert (again.ok, again.checkpoints, again.writes) == (True, 0, 0)

    def test_a_thread_that_is_too_large_to_be_held_is_read_again(self, source, tmp_path, monkeypatch):
        monkeypatch.setattr("langgraph_wfstore.migration.moving._HELD", 0)
        report = migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        assert report.ok, str(report)
        with in_store(tmp_path) as saver:
            assert scenarios.differing(source.saver, saver) == []

    def test_a_long_chat_is_read_once_and_each_message_of_it_is_built_once(self, sqlite_source, tmp_path, monkeypatch):
        """Its states hold the same messages, checkpoint for checkpoint; held once they are few bytes."""
        for number in range(30):
            chat_graph(sqlite_source).invoke(says_human(number), config("long"))
        checkpoints = len(list(sqlite_source.list(config("long"))))
        reads = counted(monkeypatch, SqliteSaver, "get_tuple")
        built = counted(monkeypatch, jsonplus, "_constructed")
        monkeypatch.setattr(moving, "_HELD", 1 << 18)  # of all states together, each by itself, it would be 2 MiB
        report = migrate(tmp_path / "source.db", tmp_path / "store.db", threads=["long"])
        assert report.ok, str(report)
        assert len(reads) == checkpoints > 80
        assert len(built) < 200


class TestWhatIsKept:
    @pytest.mark.parametrize("kind", ["sqlite", "postgres"])
    def test_writes_keep_the_paths_and_indices_of_their_tasks(self, kind, tmp_path, request):
        with made(kind, tmp_path, request) as source:
            migrate(source.place, tmp_path / "store.db", allow=ALLOW)
            table = "writes" if kind == "sqlite" else "checkpoint_writes"
            sql = f"SELECT checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel FROM {table}"
            with in_store(tmp_path) as saver:
                for thread in ("asks", "resumed", "failed", "fan rare", "forked"):
                    mark = "?" if kind == "sqlite" else "%s"
                    rows = source.saver.conn.execute(f"{sql} WHERE thread_id = {mark}", (thread,)).fetchall()
                    expected = sorted(tuple(row.values()) if kind == "postgres" else tuple(row) for row in rows)
                    assert shown_paths(saver, thread) == expected
                    assert expected

    def test_order_of_writes_is_kept_where_the_saver_does_not_tell_the_paths(self, tmp_path):
        source = scenarios.memory()
        migrate(source, tmp_path / "store.db", allow=ALLOW)
        with in_store(tmp_path) as saver:
            made_up = [path for *_, path, _, _ in shown_paths(saver, "fan rare") if path.startswith("~migrated")]
            assert made_up  # the order of the tasks' ids is not that of the source
            assert scenarios.differing(source, saver) == []

    def test_threads_keep_the_order_of_their_creation(self, sqlite_source, tmp_path):
        for name in ("z", "a", "m"):
            line_graph(sqlite_source, "x").invoke({"log": []}, config(name))
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        with WfStore.open(tmp_path / "store.db") as store:
            # Several are in flight at once.
            assert sorted(store.thread_ids()) == ["a", "m", "z"]

    def test_what_was_changed_in_place_is_kept_as_the_source_has_it(self, sqlite_source, tmp_path):
        graph = line_graph(sqlite_source, "a", "b")
        graph.invoke({"log": ["in"]}, config("t"))
        newest = sqlite_source.get_tuple(config("t"))
        changed = {**newest.checkpoint, "channel_values": {**newest.checkpoint["channel_values"], "log": ["changed"]}}
        sqlite_source.put(newest.parent_config, changed, newest.metadata, {})  # the same version, another value
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert report.ok, str(report)
        with in_store(tmp_path) as saver:
            assert saver.get_tuple(config("t")).checkpoint["channel_values"]["log"] == ["changed"]

    def test_a_parent_that_was_pruned_is_named_still(self, sqlite_source, tmp_path):
        line_graph(sqlite_source, "a", "b").invoke({"log": ["in"]}, config("t"))
        newest = sqlite_source.get_tuple(config("t"))
        with sqlite_source.cursor() as cursor:
            cursor.execute("DELETE FROM checkpoints WHERE checkpoint_id <> ?", (newest.checkpoint["id"],))
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert (report.ok, report.checkpoints) == (True, 1)
        with in_store(tmp_path) as saver:
            assert saver.get_tuple(config("t")).parent_config == newest.parent_config

    def test_a_file_that_has_no_log_of_writes_is_read(self, sqlite_source, tmp_path):
        line_graph(sqlite_source, "a").invoke({"log": ["in"]}, config("t"))
        sqlite_source.conn.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
        before = (tmp_path / "copy.db").read_bytes()
        (tmp_path / "copy.db").chmod(0o400)
        assert migrate(tmp_path / "copy.db", tmp_path / "store.db").ok
        assert (tmp_path / "copy.db").read_bytes() == before

    def test_files_from_before_tasks_had_paths_are_read(self, sqlite_source, tmp_path):
        scenarios.asking_graph(sqlite_source).invoke({"log": ["in"]}, config("t"))
        with sqlite_source.cursor() as cursor:
            cursor.execute("ALTER TABLE writes DROP COLUMN task_path")
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert report.ok, str(report)
        with in_store(tmp_path) as saver:
            assert scenarios.asking_graph(saver).get_state(config("t")).interrupts
        columns = [row[1] for row in sqlite_source.conn.execute("PRAGMA table_info(writes)")]
        assert "task_path" not in columns  # the source is as it was


class TestWhatIsCurrent:
    """Where no checkpoint is named, LangGraph's savers read what has the largest id."""

    def test_the_newest_of_several_lines_is_read(self, source, tmp_path):
        migrate(source.place, tmp_path / "store.db", allow=ALLOW)
        with in_store(tmp_path) as saver:
            for thread in scenarios.threads(source.saver):
                found, expected = saver.get_tuple(config(thread)), source.saver.get_tuple(config(thread))
                assert found.checkpoint["id"] == expected.checkpoint["id"]
            assert len(saver.store.thread("forked").branches()) == 3

    def test_an_old_line_that_went_on_last_is_read(self, sqlite_source, tmp_path):
        graph = line_graph(sqlite_source, "a", "b")
        first = graph.invoke({"log": ["one"]}, config("t")) and graph.get_state(config("t"))
        middle = next(s for s in graph.get_state_history(config("t")) if s.next == ("b",))
        graph.invoke(None, graph.update_state(middle.config, {"log": ["fork"]}, as_node="a"))
        graph.update_state(first.config, {"log": ["back"]}, as_node="b")
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        with in_store(tmp_path) as saver:
            assert line_graph(saver, "a", "b").get_state(config("t")).values["log"][-1] == "back"

    def test_a_newest_checkpoint_in_the_middle_of_a_line_is_read_and_gone_on_with(self, sqlite_source, tmp_path):
        graph = line_graph(sqlite_source, "a", "b")
        graph.invoke({"log": ["one"]}, config("t"))
        history = list(graph.get_state_history(config("t")))
        parent = history[1].config["configurable"]["checkpoint_id"]
        late = "ffffffff" + parent[8:]  # another machine's clock
        with sqlite_source.cursor() as cursor:
            for table, column in (("checkpoints", "checkpoint_id"), ("writes", "checkpoint_id")):
                cursor.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (late, parent))
            named = "UPDATE checkpoints SET parent_checkpoint_id = ? WHERE parent_checkpoint_id = ?"
            cursor.execute(named, (late, parent))
            type_, data = cursor.execute(
                "SELECT type, checkpoint FROM checkpoints WHERE checkpoint_id = ?", (late,)
            ).fetchone()
            checkpoint = {**sqlite_source.serde.loads_typed((type_, data)), "id": late}
            cursor.execute(
                "UPDATE checkpoints SET checkpoint = ? WHERE checkpoint_id = ?",
                (sqlite_source.serde.dumps_typed(checkpoint)[1], late),
            )
        expected = graph.get_state(config("t"))
        assert expected.next == ("b",)
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert report.ok, str(report)
        with in_store(tmp_path) as saver:
            moved = line_graph(saver, "a", "b")
            assert moved.get_state(config("t")).values == expected.values
            assert moved.get_state(config("t")).next == ("b",)
            assert moved.invoke(None, config("t")) == graph.invoke(None, config("t"))
        assert migrate(tmp_path / "source.db", tmp_path / "store.db").problems  # both went on, from the same checkpoint


class TestWhatCannotBeMoved:
    def test_a_class_that_is_gone_is_a_problem_of_its_thread_alone(self, sqlite_source, tmp_path):
        module = sys.modules["gone_module"] = types.ModuleType("gone_module")
        try:
            exec("from dataclasses import dataclass\n@dataclass\nclass Gone:\n    x: int", module.__dict__)
            graph = StateGraph(dict).add_node("a", lambda _: {"it": module.Gone(1)}).add_edge(START, "a")
            graph.compile(sqlite_source).invoke({}, config("gone"))
        finally:
            del sys.modules["gone_module"]
        line_graph(sqlite_source, "a").invoke({"log": []}, config("good"))
        for dry_run in (True, False):
            report = migrate(tmp_path / "source.db", tmp_path / "store.db", dry_run=dry_run)
            assert [(p.thread_id, "gone_module" in p.what) for p in report.problems] == [("gone", True)]
            assert not report.ok
            assert report.moved == 1
        with WfStore.open(tmp_path / "store.db") as store:
            assert list(store.thread_ids()) == ["good"]  # nothing of it is there by half

    @pytest.mark.parametrize("encrypted", [False, True])
    def test_a_saver_object_is_read_as_strictly(self, tmp_path, encrypted):
        serde: Any = JsonPlusSerializer()
        if encrypted:
            serde = EncryptedSerializer(Backwards())
        saver = InMemorySaver(serde=serde)
        scenarios.shop_graph(saver).invoke({}, config("shop"))
        report = migrate(saver, tmp_path / "a.db")
        assert [problem.thread_id for problem in report.problems] == ["shop"]
        assert "allow=" in report.problems[0].what
        assert migrate(saver, tmp_path / "b.db", allow=ALLOW).ok

    def test_a_value_that_cannot_be_stored_is_a_problem_and_nothing_is_written(self, tmp_path):
        saver = InMemorySaver()
        line_graph(saver, "a").invoke({"log": ["in"]}, config("t"))
        saver.blobs = dict.fromkeys(saver.blobs, ("odd", b"odd"))
        saver.serde = type("Odd", (JsonPlusSerializer,), {"loads_typed": _loads_odd})()
        report = migrate(saver, tmp_path / "store.db")
        assert "cannot be stored" in report.problems[0].what
        with WfStore.open(tmp_path / "store.db") as store:
            assert list(store.thread_ids()) == []

    def test_a_circle_of_parents_is_a_problem(self, sqlite_source, tmp_path):
        line_graph(sqlite_source, "a", "b").invoke({"log": ["in"]}, config("t"))
        with sqlite_source.cursor() as cursor:
            cursor.execute("UPDATE checkpoints SET parent_checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints)")
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert "circle" in report.problems[0].what

    def test_a_thread_that_is_not_there_is_a_problem(self, sqlite_source, tmp_path):
        line_graph(sqlite_source, "a").invoke({"log": []}, config("t"))
        report = migrate(tmp_path / "source.db", tmp_path / "store.db", threads=["t", "u"])
        assert [(p.thread_id, "no thread 'u'" in p.what) for p in report.problems] == [("u", True)]

    def test_a_deleted_thread_is_not_brought_back(self, sqlite_source, tmp_path):
        line_graph(sqlite_source, "a").invoke({"log": []}, config("t"))
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        with WfStore.open(tmp_path / "store.db") as store:
            store.delete_thread("t")
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert "deleted" in report.problems[0].what


class TestRunningAgain:
    def test_what_was_put_meanwhile_is_found(self, sqlite_source, tmp_path):
        graph = scenarios.asking_graph(sqlite_source)
        graph.invoke({"log": ["in"]}, config("t"))
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        graph.invoke(scenarios.Command(resume="yes"), config("t"))
        graph.invoke({"log": ["new"]}, config("u"))
        dry = migrate(tmp_path / "source.db", tmp_path / "store.db", dry_run=True)
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert report.ok, str(report)
        assert dry.ok, str(dry)
        assert (dry.checkpoints, dry.writes, dry.moved) == (report.checkpoints, report.writes, report.moved)
        assert report.moved == 2
        with in_store(tmp_path) as saver:
            assert scenarios.differing(sqlite_source, saver) == []

    def test_writes_that_came_to_a_checkpoint_that_is_there_are_added(self, sqlite_source, tmp_path):
        graph = line_graph(sqlite_source, "a")
        graph.invoke({"log": ["in"]}, config("t"))
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        newest = sqlite_source.get_tuple(config("t")).config
        sqlite_source.put_writes(newest, [("log", ["late"]), ("__resume__", "first")], "task", "path")
        dry = migrate(tmp_path / "source.db", tmp_path / "store.db", dry_run=True)
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert (dry.ok, dry.writes, report.ok, report.writes) == (True, 2, True, 2)
        sqlite_source.put_writes(newest, [("__resume__", "second")], "task", "path")
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert (report.ok, report.writes) == (True, 1)
        with in_store(tmp_path) as saver:
            assert scenarios.differing(sqlite_source, saver) == []

    def test_an_answer_that_came_to_a_saver_that_does_not_tell_the_paths_is_added(self, tmp_path):
        source = InMemorySaver()
        scenarios.asking_among_others(source)
        assert migrate(source, tmp_path / "store.db").ok
        newest = source.get_tuple(config("t"))
        asks = next(task for task, channel, _ in newest.pending_writes if channel == "__interrupt__")
        source.put_writes(newest.config, [("__resume__", "yes")], "00000000-0000-0000-0000-000000000000")
        source.put_writes(newest.config, [("__resume__", ["yes"])], asks, "~__pregel_pull, n3")
        report = migrate(source, tmp_path / "store.db")
        assert (report.ok, report.writes) == (True, 2), str(report)
        with in_store(tmp_path) as saver:
            assert scenarios.differing(source, saver) == []

    def test_made_up_paths_are_nothing_to_compare(self, tmp_path):
        source = InMemorySaver()
        line_graph(source, "a").invoke({"log": ["in"]}, config("t"))
        newest = source.get_tuple(config("t")).config
        for task, path in (("z", "path 1"), ("b", "path 3")):
            source.put_writes(newest, [("log", [task])], task, path)
        assert migrate(source, tmp_path / "store.db").ok
        source.put_writes(newest, [("log", ["a"])], "a", "path 2")
        report = migrate(source, tmp_path / "store.db")
        assert (report.ok, report.writes) == (True, 1), str(report)
        with in_store(tmp_path) as saver:
            assert [task for task, _, _ in saver.get_tuple(config("t")).pending_writes] == ["z", "a", "b"]

    def test_a_thread_that_went_on_in_the_store_is_left_alone(self, sqlite_source, tmp_path):
        scenarios.asking_graph(sqlite_source).invoke({"log": ["in"]}, config("t"))
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        with in_store(tmp_path) as saver:
            scenarios.asking_graph(saver).invoke(scenarios.Command(resume="yes"), config("t"))
            before = saver.store.threads()
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert (report.ok, report.went_on, report.there) == (True, 1, 1)
        scenarios.asking_graph(sqlite_source).invoke(scenarios.Command(resume="no"), config("t"))
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert "only in the target" in report.problems[0].what
        with in_store(tmp_path) as saver:
            assert saver.store.threads() == before

    def test_what_was_pruned_in_the_store_is_not_put_again(self, sqlite_source, tmp_path):
        for number in range(3):
            chat_graph(sqlite_source).invoke(says_human(number), config("t"))
        first = migrate(tmp_path / "source.db", tmp_path / "store.db")
        with WfStore.open(tmp_path / "store.db") as store:
            store.prune()
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert (report.ok, report.checkpoints, report.pruned) == (True, 0, first.checkpoints - 1)

    def test_two_threads_of_one_name_are_not_mixed(self, tmp_path):
        saver = InMemorySaver()
        for name in (1, "1"):
            root = {"configurable": {"thread_id": name, "checkpoint_ns": ""}}
            saver.put(root, empty_checkpoint(), {"source": "input", "step": -1, "parents": {}}, {})
        report = migrate(saver, tmp_path / "store.db")
        assert [problem.thread_id for problem in report.problems] == ["1"]


class TestTheComparison:
    """Nothing is believed because it was put."""

    @pytest.mark.parametrize("what", ["value", "version", "metadata", "write", "parent"])
    def test_a_state_that_differs_in_the_store_is_found(self, sqlite_source, tmp_path, what):
        scenarios.asking_graph(sqlite_source).invoke({"log": ["in"]}, config("t"))
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        newest = sqlite_source.get_tuple(config("t"))
        checkpoint, metadata, above = dict(newest.checkpoint), dict(newest.metadata), newest.parent_config
        if what == "value":
            checkpoint["channel_values"] = {**checkpoint["channel_values"], "log": ["tampered"]}
        elif what == "version":
            checkpoint["channel_versions"] = {**checkpoint["channel_versions"], "log": "9.0"}
        elif what == "metadata":
            metadata["step"] = 99
        elif what == "parent":
            above = None
        with sqlite_source.cursor() as cursor:
            if what == "write":
                data = sqlite_source.serde.dumps_typed(["tampered"])[1]
                cursor.execute("UPDATE writes SET value = ? WHERE channel = 'log'", (data,))
            else:
                cursor.execute("DELETE FROM checkpoints WHERE checkpoint_id = ?", (checkpoint["id"],))
        if what != "write":
            no_parent = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
            sqlite_source.put(above or no_parent, checkpoint, metadata, {})
        for dry_run in (True, False):
            report = migrate(tmp_path / "source.db", tmp_path / "store.db", dry_run=dry_run)
            assert report.problems and not report.ok
            word = {"value": "log", "version": "9.0", "metadata": "step", "write": "pending write", "parent": "parent"}
            assert word[what] in str(report)

    def test_a_store_that_loses_something_is_found_at_once(self, sqlite_source, tmp_path, monkeypatch):
        scenarios.asking_graph(sqlite_source).invoke({"log": ["in"]}, config("t"))
        put, lost = WfStore.put_writes, []

        def losing(self: Any, thread: str, new: Any, *more: Any) -> None:
            lose = not lost and len(new.writes) > 1
            lost.extend([new] if lose else [])
            put(self, thread, new._replace(writes=new.writes[:-1]) if lose else new, *more)

        monkeypatch.setattr(WfStore, "put_writes", losing)
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert "pending writes" in report.problems[0].what

    def test_another_current_checkpoint_is_found(self, sqlite_source, tmp_path, monkeypatch):
        scenarios._forked(sqlite_source)
        migrate(tmp_path / "source.db", tmp_path / "store.db")
        with WfStore.open(tmp_path / "store.db") as store:
            store.thread("forked").switch("main")
        monkeypatch.setattr("langgraph_wfstore.migration.store_side.StoreWriter.make_current", lambda *_: None)
        report = migrate(tmp_path / "source.db", tmp_path / "store.db")
        assert "where no checkpoint is named" in report.problems[0].what


class TestSourcesAndTargets:
    def test_an_open_store_and_a_saver_are_targets(self, sqlite_source):
        line_graph(sqlite_source, "a").invoke({"log": ["in"]}, config("t"))
        with WfStore.open(":memory:") as store, WfStoreSaver(":memory:") as saver:
            for target in (store, saver):
                assert migrate(sqlite_source, target).ok
            assert scenarios.differing(sqlite_source, saver) == []
            for target in (store, saver.store):
                assert target.thread("t").verify().ok  # it is open still

    @pytest.mark.parametrize("engine", ["postgres", "redis"])
    def test_servers_are_targets_and_sources_too(self, engine, sqlite_source, tmp_path, request):
        scenarios.build(sqlite_source)
        url = request.getfixturevalue(f"{engine}_url")
        url += "?schema=migrated" if engine == "postgres" else "?prefix=migrated"
        dry = migrate(sqlite_source, url, allow=ALLOW, dry_run=True)
        with pytest.raises(StoreNotFoundError):
            WfStore.open(url, read_only=True)
        report = migrate(sqlite_source, url, allow=ALLOW)
        assert report.ok, str(report)
        assert (dry.ok, dry.checkpoints, dry.writes) == (True, report.checkpoints, report.writes)
        assert migrate(sqlite_source, url, allow=ALLOW).moved == 0
        with WfStoreSaver(url) as saver:
            assert scenarios.differing(sqlite_source, saver) == []
        with scenarios.sqlite(tmp_path / "back.db") as back:
            report = migrate_out(url, back, allow=ALLOW)
            assert report.ok, str(report)
            assert scenarios.differing(sqlite_source, back, as_langgraph=True) == []

    def test_only_the_threads_that_are_named(self, sqlite_source, tmp_path):
        for name in ("a", "b", "c"):
            line_graph(sqlite_source, "x").invoke({"log": []}, config(name))
        assert migrate(sqlite_source, tmp_path / "store.db", threads=iter(["a", "c"])).total == 2
        with WfStore.open(tmp_path / "store.db") as store:
            assert sorted(store.thread_ids()) == ["a", "c"]

    def test_progress_is_told_after_every_thread(self, sqlite_source, tmp_path):
        for name in ODD:
            line_graph(sqlite_source, "x").invoke({"log": []}, config(name))
        told: list[tuple[int, int]] = []
        migrate(sqlite_source, tmp_path / "store.db", progress=lambda r: told.append((r.threads, r.total)))
        assert told == [(number + 1, len(ODD)) for number in range(len(ODD))]

    def test_the_source_is_not_written_to(self, sqlite_source, tmp_path):
        scenarios.build(sqlite_source)
        sqlite_source.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = (tmp_path / "source.db").read_bytes()
        migrate(tmp_path / "source.db", tmp_path / "store.db", allow=ALLOW)
        assert (tmp_path / "source.db").read_bytes() == before

    @pytest.mark.parametrize("kind", ["sqlite", "postgres"])
    async def test_async_savers_are_migrated_on_their_loop(self, kind, tmp_path, request):
        if kind == "sqlite":
            async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "source.db")) as saver:
                await self._migrated(saver, tmp_path)
            return
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

        with scenarios.database(request.getfixturevalue("postgres_url")) as url:
            async with AsyncPostgresSaver.from_conn_string(url) as saver:
                await saver.setup()
                await self._migrated(saver, tmp_path)

    async def _migrated(self, saver: Any, tmp_path: Any) -> None:
        await asyncio.to_thread(scenarios.asking_graph(saver).invoke, {"log": ["in"]}, config("t"))
        with pytest.raises(WfStoreError, match="await amigrate"):
            migrate(saver, tmp_path / "store.db")
        report = await amigrate(saver, tmp_path / "store.db")
        assert report.ok, str(report)
        with in_store(tmp_path) as target:
            assert await asyncio.to_thread(scenarios.differing, saver, target) == []
            assert all(path for *_, path, _, _ in shown_paths(target, "t") if path) and shown_paths(target, "t")

    def test_what_is_no_source_is_refused(self, tmp_path):
        store, empty, other = tmp_path / "store.db", tmp_path / "empty.db", tmp_path / "other.db"
        WfStore.open(store).close()
        sqlite3.connect(empty).close()
        with closing(sqlite3.connect(other)) as db:
            db.execute("CREATE TABLE x (y)")
        for place in (empty, other):
            with pytest.raises(WfStoreError, match="no file of SqliteSaver"):
                migrate(place, tmp_path / "target.db")
        with pytest.raises(WfStoreError, match="is a store"):
            migrate(store, tmp_path / "target.db")
        (tmp_path / "text.db").write_text("nothing of the kind " * 100)
        with pytest.raises(WfStoreError, match="is no SQLite file"):
            migrate(tmp_path / "text.db", tmp_path / "target.db")
        with pytest.raises(StoreNotFoundError, match="no such file"):
            migrate(tmp_path / "missing.db", tmp_path / "target.db")
        with pytest.raises(WfStoreError, match="names no checkpointer"):
            migrate("redis://localhost", tmp_path / "target.db")
        with pytest.raises(TypeError, match="int: it has no get_tuple"):
            migrate(7, tmp_path / "target.db")
        with WfStoreSaver(":memory:") as saver, pytest.raises(WfStoreError, match="copy_to"):
            migrate(saver, tmp_path / "target.db")
        assert not (tmp_path / "missing.db").exists()
        assert not (tmp_path / "target.db").exists()

    def test_a_database_without_the_tables_is_refused(self, postgres_url, tmp_path):
        with scenarios.database(postgres_url) as url, pytest.raises(StoreNotFoundError, match="holds no tables"):
            migrate(url, tmp_path / "target.db")

    @pytest.mark.parametrize("package", ["sqlite", "postgres"])
    def test_a_package_that_is_missing_is_named(self, package, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, f"langgraph.checkpoint.{package}", None)
        place = tmp_path / "source.db" if package == "sqlite" else "postgresql://localhost/x"
        sqlite3.connect(tmp_path / "source.db").close()
        with pytest.raises(WfStoreError, match=r"pip install 'langgraph-wfstore\[migrate\]'"):
            migrate(place, tmp_path / "target.db")


class TestOrder:
    def test_parents_come_first_and_else_smaller_ids(self):
        nodes = [Node("", "3", "1"), Node("", "2", "9"), Node("", "1", "4"), Node("", "4", None), Node("n", "0", "3")]
        assert [node.checkpoint_id for node in ancestors_first(nodes)] == ["0", "2", "4", "1", "3"]

    def test_order_of_writes_needs_no_paths_where_it_is_that_of_the_tasks(self):
        writes = [("a", "__resume__", 0), ("a", "x", 1), ("a", "y", 2), ("b", "x", 3)]
        assert [tuple(place) for place, _ in placed(writes)] == [
            ("", "a", -4, "__resume__"),
            ("", "a", 0, "x"),
            ("", "a", 1, "y"),
            ("", "b", 0, "x"),
        ]

    def test_order_of_writes_is_kept_by_paths_where_it_is_another(self):
        writes = [("b", "x", 1), ("a", "x", 2), ("b", "y", 3)]
        found = placed(writes)
        assert sorted(found, key=lambda item: item[0]) == found
        assert [place.idx for place, _ in found] == [0, 0, 1]
        nobody = ("00000000-0000-0000-0000-000000000000", "__resume__", 0)
        assert placed([nobody, *writes])[1:] == found  # the paths stay when an answer comes


def _loads_odd(self: Any, data: tuple[str, bytes]) -> Any:
    return (lambda: None) if data[0] == "odd" else JsonPlusSerializer.loads_typed(self, data)
