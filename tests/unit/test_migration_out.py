"""Migrating out of a store: into every saver, where threads go on; out and in again; what others cannot hold."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import migration_scenarios as scenarios
import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from migration_scenarios import config

from langgraph_wfstore import StoreNotFoundError, WfStoreError, WfStoreSaver
from langgraph_wfstore.migration import amigrate_out, migrate, migrate_out, moving, saver_side
from langgraph_wfstore.testing.contract_delta import Rare, delta_graph
from langgraph_wfstore.testing.sample_graphs import chat_graph, line_graph, says_human

ALLOW = [scenarios.Order]
TARGETS = ("sqlite", "postgres", "memory")


class Target:
    """Where threads go: what `migrate_out` is given, and how a saver is had there."""

    def __init__(self, kind: str, tmp_path: Any, request: Any, stack: ExitStack) -> None:
        self._kind = kind
        self._stack = stack
        if kind == "postgres":
            self.place: Any = stack.enter_context(scenarios.database(request.getfixturevalue("postgres_url")))
        else:
            self.place = InMemorySaver() if kind == "memory" else tmp_path / "target.db"

    @property
    def saver(self) -> Any:
        if self._kind == "memory":
            return self.place
        return self._stack.enter_context(getattr(scenarios, self._kind)(self.place))


@pytest.fixture(params=TARGETS)
def target(request: Any, tmp_path: Any) -> Iterator[Target]:
    with ExitStack() as stack:
        yield Target(request.param, tmp_path, request, stack)


@pytest.fixture
def store(tmp_path: Any) -> Iterator[WfStoreSaver]:
    """A store whose threads ran in it: its versions are counted numbers."""
    with WfStoreSaver(tmp_path / "store.db") as saver:
        yield saver


def without_versions(saver: Any, thread: str) -> dict[Any, Any]:
    found = scenarios.checkpoints(saver, thread)
    for each in found.values():
        each["checkpoint"] = {k: v for k, v in each["checkpoint"].items() if "version" not in k}
    return found


def without_repeated_snapshots(found: dict[Any, Any], original: dict[Any, Any]) -> dict[Any, Any]:
    """Savers that keep values by version give a delta channel's snapshot with every checkpoint of that version."""
    for key, each in found.items():
        known, values = original[key]["checkpoint"]["channel_values"], each["checkpoint"]["channel_values"]
        kept = {k: v for k, v in values.items() if k in known or not isinstance(v, _DeltaSnapshot)}
        each["checkpoint"]["channel_values"] = kept
    return found


class TestEveryThread:
    def test_every_state_is_there_but_for_the_names_of_versions(self, store, target):
        scenarios.build(store)
        report = migrate_out(store, target.place, allow=ALLOW)
        assert report.ok, str(report)
        saver = target.saver
        for thread in scenarios.threads(store):
            left, right = without_versions(store, thread), without_versions(saver, thread)
            assert left.keys() == right.keys()
            right = without_repeated_snapshots(right, left)
            for key in left:
                assert scenarios.alike(left[key], right[key]), (thread, key)

    def test_every_thread_goes_on_as_in_the_store(self, store, target):
        scenarios.build(store)
        migrate_out(store, target.place)
        saver = target.saver
        for thread in scenarios.GOES_ON:
            expected, found = scenarios.went_on(store, thread), scenarios.went_on(saver, thread)
            assert found == expected, thread

    def test_what_came_from_such_a_saver_goes_back_as_it_was(self, store, target):
        source = scenarios.memory()
        assert migrate(source, store, allow=ALLOW).ok
        report = migrate_out(store, target.place, allow=ALLOW)
        assert report.ok, str(report)
        assert scenarios.differing(source, target.saver, as_langgraph=True) == []

    def test_a_second_run_puts_nothing_and_a_third_what_is_new(self, store, target):
        scenarios.build(store)
        first = migrate_out(store, target.place)
        again = migrate_out(store, target.place)
        assert (again.ok, again.moved, again.there) == (True, 0, first.moved)
        scenarios.went_on(store, "asks")
        dry = migrate_out(store, target.place, dry_run=True)
        third = migrate_out(store, target.place)
        assert (third.ok, third.moved) == (True, 1)
        assert (dry.ok, dry.checkpoints, dry.writes) == (True, third.checkpoints, third.writes)

    def test_a_dry_run_finds_the_same_and_writes_nothing(self, store, target):
        scenarios.build(store)
        dry = migrate_out(store, target.place, dry_run=True)
        assert not scenarios.threads(target.saver)
        real = migrate_out(store, target.place)
        assert (dry.ok, dry.checkpoints, dry.writes, dry.moved) == (True, real.checkpoints, real.writes, real.moved)

    def test_of_a_long_chat_each_state_is_read_once_and_each_message_serialized_once_before(
        self, store, tmp_path, monkeypatch
    ):
        for number in range(30):
            chat_graph(store).invoke(says_human(number), config("long"))
        checkpoints = len(list(store.list(config("long"))))
        calls = {"state": 0, "_dumped": 0}

        def counted(of: Any, name: str) -> None:
            inner = getattr(of, name)

            def counting(*arguments: Any) -> Any:
                calls[name] += 1
                return inner(*arguments)

            monkeypatch.setattr(of, name, counting)

        counted(saver_side.OutwardReader, "state")
        counted(saver_side.SaverWriter, "_dumped")
        monkeypatch.setattr(moving, "_HELD", 1 << 18)
        report = migrate_out(store, tmp_path / "target.db", threads=["long"])
        assert report.ok, str(report)
        assert calls["state"] == checkpoints > 80
        assert calls["_dumped"] < 6 * checkpoints  # what is no list of messages, and each message


class TestVersions:
    def test_two_branches_of_one_version_keep_their_values(self, store, target):
        """Savers that keep values by channel and version would give both the first one's."""
        scenarios._forked(store)
        states = [each["checkpoint"] for each in scenarios.checkpoints(store, "forked").values()]
        versions = [state["channel_versions"]["log"] for state in states if "log" in state["channel_values"]]
        assert len(versions) > len(set(versions))
        assert migrate_out(store, target.place).ok
        logs = {
            tuple(c["checkpoint"]["channel_values"].get("log", ()))
            for c in scenarios.checkpoints(target.saver, "forked").values()
        }
        ends = [log for log in logs if log and log[-1].startswith("c after")]
        assert {part for log in ends for part in log if part in ("what if", "or else")} == {"what if", "or else"}
        assert len(ends) == 3

    def test_a_thread_of_numbers_goes_on_with_texts(self, store, target):
        line_graph(store, "a").invoke({"log": ["in"]}, config("t"))
        migrate_out(store, target.place)
        saver = target.saver
        line_graph(saver, "a").invoke({"log": ["more"]}, config("t"))
        for found in scenarios.checkpoints(saver, "t").values():
            assert all(re.fullmatch(r"\d{32}\..+", v) for v in found["checkpoint"]["channel_versions"].values())

    def test_texts_that_two_branches_share_are_told_apart(self, store, target):
        source = InMemorySaver()
        line_graph(source, "a", "b", "c").invoke({"log": ["one"]}, config("forked"))
        migrate(source, store)
        graph = line_graph(store, "a", "b", "c")
        for _ in range(2):
            middle = next(s for s in graph.get_state_history(config("forked")) if s.next == ("b",))
            graph.invoke(None, graph.update_state(middle.config, {"log": ["what if"]}, as_node="a"))
        report = migrate_out(store, target.place)
        assert report.ok, str(report)

    def test_a_saver_that_counts_keeps_the_numbers(self, store):
        scenarios.build(store)
        counting = Counting()
        report = migrate_out(store, counting)
        assert report.ok, str(report)
        assert scenarios.differing(store, counting, as_langgraph=True) == []


class Counting(InMemorySaver):
    """A saver of somebody's own: whole checkpoints, versions that are numbers."""

    get_next_version = BaseCheckpointSaver.get_next_version

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        self.__dict__.setdefault("whole", {})[config["configurable"]["thread_id"], checkpoint["id"]] = checkpoint
        return super().put(config, checkpoint, metadata, {})

    def _whole(self, found: Any) -> Any:
        key = found.config["configurable"]["thread_id"], found.checkpoint["id"]
        values = self.serde.loads_typed(self.serde.dumps_typed(self.__dict__["whole"][key]["channel_values"]))
        return found._replace(checkpoint={**found.checkpoint, "channel_values": values})

    def get_tuple(self, config: Any) -> Any:
        found = super().get_tuple(config)
        return None if found is None else self._whole(found)

    def list(self, config: Any, **options: Any) -> Any:
        return map(self._whole, super().list(config, **options))

    get_delta_channel_history = BaseCheckpointSaver.get_delta_channel_history


class TestWhatOthersCannotHold:
    def test_a_current_branch_that_is_not_the_newest_is_refused(self, store, target):
        scenarios._forked(store)
        store.store.thread("forked").switch("main")
        report = migrate_out(store, target.place)
        assert "current_only=True" in report.problems[0].what
        assert not scenarios.threads(target.saver)

    def test_the_current_branch_alone_is_read_as_in_the_store(self, store, target):
        scenarios._forked(store)
        scenarios.build(store)
        store.store.thread("forked").switch("main")
        report = migrate_out(store, target.place, current_only=True)
        assert report.ok, str(report)
        saver, graph = target.saver, lambda saver: line_graph(saver, "a", "b", "c")
        assert graph(saver).get_state(config("forked")).values == graph(store).get_state(config("forked")).values
        lines = len([*store.list({"configurable": {"thread_id": "forked", "branch": "main"}})])
        assert len(scenarios.checkpoints(saver, "forked")) == lines < len(scenarios.checkpoints(store, "forked"))

    def test_a_pruned_thread_is_whole_there(self, store, target):
        for number in range(4):
            chat_graph(store).invoke(says_human(number), config("t"))
        store.prune(["t"])
        report = migrate_out(store, target.place)
        assert (report.ok, report.checkpoints) == (True, 1)
        assert len(chat_graph(target.saver).get_state(config("t")).values["messages"]) == 8

    def test_a_pruned_delta_channel_is_no_silent_loss(self, store, target):
        graph = delta_graph(store, Rare)
        for number in range(4):
            graph.invoke({"log": [f"in {number}"]}, config("t"))
        store.prune(["t"])
        for dry_run in (True, False):
            report = migrate_out(store, target.place, dry_run=dry_run)
            assert "delta channel 'log'" in report.problems[0].what

    def test_a_class_that_is_gone_is_a_problem_of_its_thread(self, tmp_path, target, monkeypatch):
        with WfStoreSaver(tmp_path / "gone.db") as saver:
            scenarios.shop_graph(saver).invoke({}, config("shop"))
            line_graph(saver, "a").invoke({"log": []}, config("good"))
        monkeypatch.delattr(scenarios, "Basket")
        report = migrate_out(tmp_path / "gone.db", target.place)
        assert [(p.thread_id, "Basket" in p.what) for p in report.problems] == [("shop", True)]
        assert scenarios.threads(target.saver) == ["good"]

    def test_what_the_target_gives_back_otherwise_is_a_problem(self, store, target):
        class Text(str):
            pass

        saver = store.with_allowlist([])
        saver.put(
            {"configurable": {"thread_id": "t", "checkpoint_ns": ""}},
            _checkpoint({"it": {"when": bytearray(b"x"), "tuple": (1, 2)}}),
            {"source": "input", "step": -1, "text": "with a\0 in it"},
            {"it": 1},
        )
        report = migrate_out(store, target.place)
        assert not report.ok and "'t'" in str(report)

    def test_a_target_with_another_thread_of_that_id_is_not_touched(self, store, target):
        line_graph(store, "a").invoke({"log": ["here"]}, config("t"))
        line_graph(target.saver, "a").invoke({"log": ["there"]}, config("t"))
        before = scenarios.checkpoints(target.saver, "t")
        report = migrate_out(store, target.place)
        assert "only in the target" in report.problems[0].what
        assert scenarios.checkpoints(target.saver, "t").keys() == before.keys()


class TestPlaces:
    def test_nothing_is_made_of_a_store_that_is_not_there(self, tmp_path):
        with pytest.raises(StoreNotFoundError):
            migrate_out(tmp_path / "missing.db", tmp_path / "target.db")
        assert list(tmp_path.iterdir()) == []

    def test_a_target_whose_set_up_was_killed_is_completed(self, store, tmp_path):
        line_graph(store, "a").invoke({"log": ["in"]}, config("t"))
        with scenarios.sqlite(tmp_path / "target.db") as saver:
            saver.setup()
            saver.conn.execute("DROP TABLE writes")
        for dry_run in (True, False):
            report = migrate_out(store, tmp_path / "target.db", dry_run=dry_run)
            assert (report.ok, report.moved) == (True, 1)

    def test_a_target_that_is_something_else_is_not_touched(self, store, tmp_path):
        with closing(sqlite3.connect(tmp_path / "target.db")) as db:
            db.execute("CREATE TABLE x (y)")
        for dry_run in (True, False):
            with pytest.raises(WfStoreError, match="no file of SqliteSaver"):
                migrate_out(store, tmp_path / "target.db", dry_run=dry_run)

    def test_the_store_is_only_read(self, tmp_path):
        with WfStoreSaver(tmp_path / "store.db") as saver:
            scenarios.build(saver)
        before = (tmp_path / "store.db").read_bytes()
        assert migrate_out(tmp_path / "store.db", tmp_path / "target.db").ok
        assert (tmp_path / "store.db").read_bytes() == before

    async def test_an_async_saver_is_a_target_on_its_loop(self, store, tmp_path):
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        line_graph(store, "a").invoke({"log": ["in"]}, config("t"))
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "target.db")) as saver:
            report = await amigrate_out(store, saver)
            assert report.ok, str(report)
            graph = line_graph(saver, "a")
            assert (await graph.aget_state(config("t"))).values == {"log": ["in", "a after 1"]}


def _checkpoint(values: dict[str, Any]) -> Any:
    from langgraph.checkpoint.base import empty_checkpoint

    return {**empty_checkpoint(), "channel_values": values, "channel_versions": dict.fromkeys(values, 1)}
