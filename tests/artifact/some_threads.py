"""Threads of every kind, as artifacts have them: the golden ones, and those of a few graphs."""

from __future__ import annotations

import copy
import functools
import sys
from pathlib import Path
from typing import Any

from by_hand import Contents, contents
from langchain.agents import create_agent
from langgraph.types import Command

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

import golden_threads
import make_redaction

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.testing.api import SyncApi
from langgraph_wfstore.testing.contract_agents import approve
from langgraph_wfstore.testing.contract_capture import asked, search
from langgraph_wfstore.testing.contract_subgraphs import nested_graph, remembering_graph
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human
from langgraph_wfstore.testing.scripted import ScriptedModel, says

GOLDEN = ("plain", "chat", "copy of plain", "traced", "copy of traced", "branched", "copy of branched", "merged")
REDACTED = ("redacted", "copy")
WITHHELD = ("withheld of chat", "withheld of redacted")
GRAPHS = ("agent", "nested", "many turns", "remembering")
NAMES = GOLDEN + REDACTED + WITHHELD + GRAPHS


def made(name: str) -> Contents:
    """A thread of these names, to be changed at will."""
    return copy.deepcopy(_all()[name])


@functools.cache
def _all() -> dict[str, Contents]:
    found = {}
    for build, secrets in (
        (golden_threads.build, golden_threads.secrets),
        (golden_threads.build_merged, golden_threads.secrets),
        (make_redaction.build, make_redaction.secrets),
    ):
        with WfStore.open(":memory:", lineage_secret=secrets().__next__) as store:
            build(store)
            for name in (info.thread_id for info in store.threads()):
                found[name] = contents(store, name)
                if f"withheld of {name}" in WITHHELD:
                    found[f"withheld of {name}"] = _withheld(store, name)
    with WfStoreSaver(":memory:") as saver:
        for name, run in zip(GRAPHS, (_agent, _nested, _chat, _remembering), strict=True):
            run(saver, {"configurable": {"thread_id": name}})
            found[name] = contents(saver.store, name)
    assert set(found) == set(NAMES)
    return found


def _withheld(store: WfStore, name: str) -> Contents:
    """A thread of which every third object was left out."""
    return contents(store, name, withhold=lambda row: row.form == 0 and row.number % 3 == 0)


def _agent(saver: Any, config: Any) -> None:
    """Model and tool calls, an interrupt and what resumes it."""
    asks = says("", "m1", ("search", {"q": "x"}, "c1"), ("approve", {"what": "it"}, "c2"))
    agent = create_agent(ScriptedModel(answers=[asks, says("done", "m2")]), [search, approve], checkpointer=saver)
    SyncApi(saver).invoke(agent, asked(), config, durability="sync")
    SyncApi(saver).invoke(agent, Command(resume="yes"), config, durability="sync")


def _nested(saver: Any, config: Any) -> None:
    """A sub-graph that asks, a fork of the past, and what a prune leaves."""
    graph = nested_graph(saver, asks=True)
    graph.invoke({"log": []}, config)
    graph.invoke(Command(resume="me"), config)
    past = [*graph.get_state_history(config)][2].config
    graph.update_state(past, {"log": ["otherwise"]})
    saver.store.prune([config["configurable"]["thread_id"]])
    graph.invoke({"log": ["again"]}, config)


def _chat(saver: Any, config: Any) -> None:
    """Many turns, so that lists have trees."""
    for number in range(60):
        chat_graph(saver).invoke(says_human(number), config)


def _remembering(saver: Any, config: Any) -> None:
    graph = remembering_graph(saver)
    graph.invoke({"log": []}, config)
    graph.invoke({"log": ["again"]}, config)
