"""What a crash leaves of a trace and of a state: open records that say so, and no effect of what did not finish."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from pathlib import Path
from typing import Any

import children
import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.testing.api import APIS
from langgraph_wfstore.testing.contract_true_states import NAMES, Witness, fresh
from langgraph_wfstore.testing.sample_graphs import Log

CONFIG: Any = {"configurable": {"thread_id": "t"}}


@tool
def dies(q: str) -> str:
    """Ends the process as soon as it is called."""
    os.kill(os.getpid(), signal.SIGKILL)
    return q


@tool
def lives(q: str) -> str:
    """Returns."""
    return f"found {q}"


def graph_that_dies(saver: WfStoreSaver) -> Any:
    def node(state: Log) -> Log:
        return {"log": [str(lives.invoke({"q": "before"})), str(dies.invoke({"q": "last"}))]}

    async def anode(state: Log) -> Log:
        return {"log": [str(await lives.ainvoke({"q": "before"})), str(await dies.ainvoke({"q": "last"}))]}

    builder = StateGraph(Log).add_node("first", lambda s: {"log": ["first"]})
    builder.add_node("node", RunnableLambda(node, anode)).add_edge(START, "first").add_edge("first", "node")
    return builder.compile(checkpointer=saver)


def run_until_it_dies(path: str, how: str, durability: Any) -> None:
    saver = WfStoreSaver(path)
    graph = graph_that_dies(saver)
    if how == "sync":
        graph.invoke({"log": ["in"]}, CONFIG, durability=durability)
    else:
        asyncio.run(graph.ainvoke({"log": ["in"]}, CONFIG, durability=durability))


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_crash_inside_a_call_leaves_an_open_record(tmp_path: Path, how: str, durability: str) -> None:
    path = tmp_path / "agent.db"
    for _ in range(5):
        child = children.start(run_until_it_dies, str(path), how, durability)
        with pytest.raises(AssertionError, match="ended without a result"):
            child.outcome()
        with WfStore.open(path) as store:
            thread = store.thread("t")
            assert thread.verify().ok
            run = thread.runs()[-1]
            assert run.status == "open" and run.ended is None
            assert [(s.node, s.status) for s in thread.steps(run.run_id)] == [("first", "ok"), ("node", "open")]
            calls = thread.calls(run.run_id)
            assert [(c.name, c.status, c.input) for c in calls] == [
                ("lives", "ok", {"q": "before"}),
                ("dies", "open", {"q": "last"}),
            ]
            store.delete_thread("t")


def test_what_a_crash_left_open_is_sealed_by_what_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with pytest.raises(AssertionError, match="ended without a result"):
        children.start(run_until_it_dies, str(path), "sync", "async").outcome()
    with WfStoreSaver(path) as saver:
        assert saver.store.thread("t").verify().unsealed > 0
        builder = StateGraph(Log).add_node("first", lambda s: {"log": ["first"]})
        builder.add_node("node", lambda s: {"log": ["mended"]}).add_edge(START, "first").add_edge("first", "node")
        out = builder.compile(checkpointer=saver).invoke(None, CONFIG)
        assert out["log"] == ["in", "first", "mended"]
        thread = saver.store.thread("t")
        report = thread.verify()
        assert report.ok and report.unsealed == 0
        assert [r.status for r in thread.runs()] == ["open", "ok"] and thread.runs()[1].resumes


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_hundred_crashes_after_a_change_in_place_double_no_effect(tmp_path: Path, how: str, durability: str) -> None:
    doubled = 0
    with WfStoreSaver(tmp_path / "agent.db") as saver, APIS[how](saver) as api:
        for number in range(100 // 6 + 1):
            witness = Witness(saver, rounds=2, crash_at=(number % 2, "c"))
            config = {"configurable": {"thread_id": f"t{number}"}}
            with pytest.raises(RuntimeError, match="crash in c"):
                api.invoke(witness.graph, fresh(), config, durability=durability)
            out = api.invoke(witness.graph, None, config, durability=durability)
            doubled += out["items"] != [f"{name}{turn}" for turn in range(2) for name in NAMES]
            doubled += [item["by"] for item in out["nested"]["deep"]] != list(NAMES) * 2
    assert doubled == 0


def test_traces_of_two_processes_on_one_thread_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    WfStoreSaver(path).close()
    at_once = [children.start(run_some, str(path), number) for number in range(4)]
    for child in at_once:
        child.outcome(120)
    with WfStore.open(path) as store:
        thread = store.thread("t")
        assert thread.verify().ok
        assert [r.status for r in thread.runs()] == ["ok"] * 40
        assert len(thread.steps()) == 40 and {s.status for s in thread.steps()} == {"ok"}
        assert sorted(c.input["q"] for c in thread.calls()) == sorted(f"{n}.{i}" for n in range(4) for i in range(10))
        assert {c.status for c in thread.calls()} == {"ok"}


def run_some(path: str, number: int) -> None:
    with WfStoreSaver(path) as saver:
        for turn in range(10):
            query = f"{number}.{turn}"
            builder = StateGraph(Log).add_node("node", lambda s, q=query: {"log": [str(lives.invoke({"q": q}))]})
            graph = builder.add_edge(START, "node").compile(checkpointer=saver)
            graph.invoke({"log": []}, CONFIG, durability=random.choice(["sync", "async", "exit"]))


@pytest.mark.parametrize("failures", [*range(1, 16), 1000])
def test_a_full_disk_ends_no_run_for_its_trace(failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What of a trace could not be stored is counted as lost, or stored with what stands on it: never half of it."""
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        builder = StateGraph(Log).add_node("node", lambda s: {"log": [str(lives.invoke({"q": "x"}))]})
        graph = builder.add_edge(START, "node").compile(checkpointer=saver)
        graph.invoke({"log": []}, CONFIG)
        queue = saver.store.backend._queue  # type: ignore[attr-defined]  # of SQLite
        whole = queue._transaction
        failed: list[int] = []

        def full(group: Any) -> Any:
            if len(failed) < failures and all(ticket.batch.batch.lazy for ticket in group):
                failed.append(1)
                raise sqlite3.OperationalError("database or disk is full")
            return whole(group)

        monkeypatch.setattr(queue, "_transaction", full)
        assert graph.invoke({"log": []}, CONFIG)["log"] == ["found x", "found x"]
        monkeypatch.undo()
        graph.invoke({"log": []}, CONFIG)
        thread, lost = saver.store.thread("t"), saver.store.stats()["lost_notes"]
        assert thread.verify().ok, thread.verify().problems
        found = len(thread.runs()) + len(thread.steps()) + len(thread.calls())
        ended = [item for what in (thread.runs(), thread.steps(), thread.calls()) for item in what if item.ended]
        assert found + len(ended) + lost == 3 * 6  # each of three runs: a run, a step, a call, and their ends
        assert failed
