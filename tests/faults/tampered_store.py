"""The store that is tampered with: threads of every kind, with everything that a row can say."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.appending.trace import Note, NoteBatch
from langgraph_wfstore.records import CallRecord, EndRecord, RunRecord, StepRecord
from langgraph_wfstore.testing.contract_delta import Rare, delta_graph
from langgraph_wfstore.testing.contract_interrupts import asking_graph
from langgraph_wfstore.testing.contract_subgraphs import nested_graph, remembering_graph
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.testing.sample_graphs import chat_graph, line_graph, says_human


def build(path: Path) -> None:
    """A store with threads of every kind, its file checkpointed and without the constraints that forbid tampering."""
    with WfStoreSaver(path) as saver:
        _threads_of_graphs(saver)
        _threads_of_lists(saver)
        _branches_and_order(saver)
        _merged(saver)
        _agents(saver)
        _open(saver)
        _removed(saver)
        _redacted(saver)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table'")
    db.close()


def _threads_of_graphs(saver: WfStoreSaver) -> None:
    def config(name: str, run: str) -> Any:
        return {**config_of(name), "metadata": {"run_id": run}}

    for number in range(2):
        chat_graph(saver).invoke(says_human(number), config("chat", f"run {number}"))
    remembering_graph(saver).invoke({"log": ["x"]}, config("sub-graph", "run s"))
    nested = nested_graph(saver, asks=True)
    nested.invoke({"log": ["in"]}, config("nested", "run n"))
    nested.invoke(Command(resume="yes"), config("nested", "run n"))
    asking = asking_graph(saver, "one?", "two?")
    asking.invoke({"log": ["in"]}, config("asks", "run a"))
    for answer in ("first", "second"):
        asking.invoke(Command(resume=answer), config("asks", "run a"))
    for number in range(3):
        delta_graph(saver, Rare).invoke({"log": [f"in {number}"]}, config("delta", f"run d{number}"))


def _threads_of_lists(saver: WfStoreSaver) -> None:
    """Elements, packs of small elements, runs of scalars, dicts with lists; each list spliced from the one before."""
    config = config_of("lists")
    for number in range(3):
        texts = [f"text {i} " + "t" * 80 for i in range(20 + number)]
        values = {
            "texts": texts,
            "small": [{"k": i} for i in range(60 + number)],
            "run": [*range(1500 + 40 * number)],
            "map": {"a": texts[2:], "b": [*range(1500)], "c": number},
            "plain": f"plain {number}",
        }
        checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
        config = saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])
        saver.put_writes(config, [("texts", texts[-1:]), ("plain", f"write {number}")], f"task {number}")


def _branches_and_order(saver: WfStoreSaver) -> None:
    graph = line_graph(saver, "a", "b")
    graph.invoke({"log": ["in"]}, config_of("forked"))
    old = [*graph.get_state_history(config_of("forked"))]
    graph.invoke({"log": ["fork"]}, old[-1].config)
    graph.update_state(old[1].config, {"note": "another fork"})
    forked = saver.store.thread("forked")
    forked.create_branch("created", old[2].config["configurable"]["checkpoint_id"])
    forked.create_branch("gone on with", old[-1].config["configurable"]["checkpoint_id"])
    graph.update_state(config_of("forked", branch="gone on with"), {"note": "on it"})
    forked.rename_branch("created", "renamed")
    forked.switch("gone on with")
    forked.delete_branch("fork-1")
    # A RESUME that a checkpoint with children has replaced, and writes that no seal covers yet.
    config = config_of("replaced")
    for number in range(3):
        checkpoint = checkpoint_of({"n": number}, {"n": number + 1})
        saver.put_writes(
            {"configurable": {**config["configurable"], "checkpoint_id": checkpoint["id"]}}, [("n", "early")], "early"
        )
        config = saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])
        for answer in ("no", "yes"):
            saver.put_writes(config, [("__resume__", f"{answer} {number}")], "task")
    saver.put_writes(config, [("n", "not sealed")], "last task")


def _merged(saver: WfStoreSaver) -> None:
    """Two lines that were merged into each other, one of them while a question was open."""
    graph = asking_graph(saver, "one?", "two?")
    graph.invoke({"log": ["in"]}, config_of("merged"))
    start = [*graph.get_state_history(config_of("merged"))][1]
    graph.invoke(Command(resume="first"), config_of("merged"))
    graph.update_state(start.config, {"note": "fork"}, as_node="first")
    thread = saver.store.thread("merged")
    thread.merge("fork-1", "main")
    thread.merge("main", "fork-1")
    graph.update_state(config_of("merged", branch="main"), {"note": "later"}, as_node="ask")


@tool
def weigh(what: str) -> str:
    """Weigh something."""
    return f"{what}: {len(what)} kg"


def _agents(saver: WfStoreSaver) -> None:
    """Runs with model and tool calls, which are found by links; one of them is deleted later."""
    for number in range(2):
        calls = [{"name": "weigh", "args": {"what": f"stone {number}"}, "id": f"call {number}", "type": "tool_call"}]
        asks = AIMessage("I weigh it", id=f"asks {number}", tool_calls=calls)
        model = GenericFakeChatModel(messages=iter([asks, AIMessage("heavy", id=f"answers {number}")]))

        def bot(state: MessagesState, model: GenericFakeChatModel = model) -> Any:
            return {"messages": [model.invoke(state["messages"])]}

        builder = StateGraph(MessagesState).add_node("bot", bot).add_node("tools", ToolNode([weigh]))
        builder.add_edge(START, "bot").add_conditional_edges("bot", tools_condition).add_edge("tools", "bot")
        config: Any = {**config_of("agent"), "metadata": {"run_id": f"agent {number}"}}
        builder.compile(checkpointer=saver).invoke({"messages": [HumanMessage("how heavy?", id=f"q{number}")]}, config)


def _open(saver: WfStoreSaver) -> None:
    """A run in which a process was killed: a step and a call that end, and a step with a call that do not."""
    line_graph(saver, "a").invoke({"log": ["in"]}, config_of("open"))
    view = saver.store.views.of("open")
    run = RunRecord("r", 0, 1, "graph", "a step", None, None, False, False, None, "sync", None, None, None)
    step = StepRecord("s1", "r", 1, 2, None, "", None, "a:t", "a", "t", 1, 1, ("x",), False, None, None)
    call = CallRecord("c1", "r", 2, 3, "tool", "s1", None, "weigh", None, None, "call", None, None, None, None)
    notes = [Note(run), Note(step), Note(call)]
    for seq, of, begin in ((3, "call", notes[2]), (4, "step", notes[1])):
        notes.append(Note(EndRecord(of, f"{of[0]}1", "r", b"", seq, 4, "ok"), begin=begin))
    notes.append(Note(step._replace(step_id="s2", seq=5, task_id="u")))
    notes.append(Note(call._replace(call_id="c2", seq=6, step="s2", tool_call_id="another call")))
    for note in notes:  # one by one: an end names the record that it ends
        saver.store.views.notes.add(view, NoteBatch(note, [note], None, None))
    saver.store.views.notes.push(view, wait=True)


def _removed(saver: WfStoreSaver) -> None:
    for name in ("chat", "delta", "lists", "forked"):
        saver.copy_thread(name, f"pruned {name}")
        saver.prune([f"pruned {name}"])
    for number in range(3):
        own = config_of("pruned alone")
        line_graph(saver, "a").invoke({"log": [f"in {number}"]}, {**own, "metadata": {"run_id": f"p{number}"}})
    saver.delete_for_runs(["p1", "agent 0"])
    chat_graph(saver).invoke(says_human(1), config_of("lives again"))
    saver.delete_thread("lives again")
    chat_graph(saver).invoke(says_human(2), config_of("lives again"))
    chat_graph(saver).invoke(says_human(3), config_of("gone"))
    saver.delete_thread("gone")


def _redacted(saver: WfStoreSaver) -> None:
    """Values of every form that are redacted, in a thread and its copy; and what is put after that."""
    config = config_of("redacted")
    for number in range(2):
        values = {
            "elements": [f"element {n} " + "e" * 80 for n in range(10 + number)],
            "small": [{"k": n} for n in range(30 + number)],
            "run": [*range(1500 + number)],
            "map": {"list": [f"item {n} " + "i" * 80 for n in range(10)], "note": "a note"},
            "plain": f"plain {number}",
            "kept": [f"kept {n} " + "k" * 80 for n in range(10 + number)],
        }
        checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
        config = saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])
        saver.put_writes(config, [("plain", f"write {number}")], f"task {number}")
    saver.store.thread("redacted").redact(
        channels=["elements", "small", "run", "plain"], where=lambda value: value == "a note"
    )
    saver.copy_thread("redacted", "redacted copy")
    saver.prune(["redacted copy"])
    saver.put(config, checkpoint_of({"plain": "plain 0"}), metadata_of(2), {})
