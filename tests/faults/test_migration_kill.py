"""kill -9 in the middle of a migration, again and again: what is there is sound, and in the end all of it is there."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import children
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.migration import MigrationReport, migrate, migrate_out
from langgraph_wfstore.testing.sample_graphs import Log, chat_graph, line_graph, says, says_human

THREADS = 60
KILLS = 12
SEED = None  # set to the seed that a failure prints, to see it again


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def asking_graph(saver: Any) -> Any:
    def ask(state: Log) -> Log:
        return {"log": [interrupt("ok?")]}

    builder = StateGraph(Log).add_node("a", says("a")).add_node("ask", ask)
    return builder.add_edge(START, "a").add_edge("a", "ask").compile(checkpointer=saver)


def build(saver: Any) -> None:
    for number in range(THREADS):
        if number % 3 == 0:
            asking_graph(saver).invoke({"log": ["in"]}, _config(f"t{number}"))
        elif number % 3 == 1:
            graph = line_graph(saver, "a", "b")
            graph.invoke({"log": ["in"]}, _config(f"t{number}"))
            old = next(s for s in graph.get_state_history(_config(f"t{number}")) if s.next == ("b",))
            graph.invoke(None, graph.update_state(old.config, {"log": ["fork"]}, as_node="a"))
        else:
            for turn in range(3):
                chat_graph(saver).invoke(says_human(turn), _config(f"t{number}"))


def said(saver: Any) -> dict[str, Any]:
    """What a saver says of every thread, as text."""
    found: dict[str, Any] = {}
    for number in range(THREADS):
        name = f"t{number}"
        listed = sorted(repr(sorted_parts(each)) for each in saver.list(_config(name)))
        found[name] = (saver.get_tuple(_config(name)).checkpoint["id"], listed)
    return found


def sorted_parts(each: Any) -> Any:
    values = each.checkpoint["channel_values"]
    return (
        each.config["configurable"]["checkpoint_id"],
        sorted((key, repr(values[key])) for key in values),
        sorted(each.checkpoint["channel_versions"].items()),
        sorted(each.metadata.items(), key=repr),
        each.parent_config and each.parent_config["configurable"]["checkpoint_id"],
        each.pending_writes,
    )


def migrated(move: Any, source: str, target: str, pipe: int) -> None:
    """Migrate, and say a line for every thread."""

    def progress(report: MigrationReport) -> None:
        os.write(pipe, b"%d\n" % report.threads)

    move(source, target, progress=progress)


def killed(move: Any, source: Path, target: Path, chance: random.Random, check: Any) -> int:
    """Kill a migration again and again, and check what is there; returns how many kills came in the middle."""
    middle = 0
    for _ in range(KILLS):
        child = children.fork(partial(migrated, move, str(source), str(target)))
        ended = child.listen(chance.uniform(0.0, 0.4)) if chance.random() < 0.8 else child.listen_for_lines(3)
        child.kill()
        middle += not ended
        check()
    return middle


def test_a_migration_that_is_killed_again_and_again_ends_with_the_same(tmp_path: Path) -> None:
    seed = SEED if SEED is not None else random.SystemRandom().randrange(1 << 32)
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    with SqliteSaver.from_conn_string(str(source)) as saver:
        build(saver)
        expected = said(saver)

    def check() -> None:
        if not target.exists() or not target.stat().st_size:
            return
        with WfStore.open(target) as store:
            for thread in store.thread_ids():
                assert store.thread(thread).verify().ok, f"seed {seed}"

    assert killed(migrate, source, target, random.Random(seed), check) >= 3, f"seed {seed}"
    with WfStore.open(target) as store:
        before = {info.thread_id: info.records for info in store.threads(limit=1000)}
    report = migrate(source, target)
    assert report.ok, f"seed {seed}: {report}"
    with WfStoreSaver(target) as saver:
        assert said(saver) == expected, f"seed {seed}"
        after = {info.thread_id: info.records for info in saver.store.threads(limit=1000)}
        whole = [name for name, records in before.items() if after[name] == records]
        assert report.moved == THREADS - len(whole), f"seed {seed}"
        for name in after:
            assert saver.store.thread(name).verify().ok
    again = migrate(source, target)
    assert (again.ok, again.moved, again.there) == (True, 0, THREADS)


def test_a_migration_out_that_is_killed_again_and_again_ends_with_the_same(tmp_path: Path) -> None:
    seed = SEED if SEED is not None else random.SystemRandom().randrange(1 << 32)
    source, store, target = tmp_path / "source.db", tmp_path / "store.db", tmp_path / "target.db"
    with SqliteSaver.from_conn_string(str(source)) as saver:
        build(saver)
        expected = said(saver)
    assert migrate(source, store).ok
    assert killed(migrate_out, store, target, random.Random(seed), lambda: None) >= 3, f"seed {seed}"
    report = migrate_out(store, target)
    assert report.ok, f"seed {seed}: {report}"
    with SqliteSaver.from_conn_string(str(target)) as saver:
        assert said(saver) == expected, f"seed {seed}"
