"""Threads of every kind, made by running graphs: for what must hold of a thread whatever is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.types import Command

from .contract_delta import Rare, delta_graph
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, checkpoint_of, config_of, metadata_of
from .sample_graphs import chat_graph, line_graph, says_human
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

CONFIG = config_of(ns=None)


@tool
def look_up(q: str) -> str:
    """Looks something up."""
    return f"found {q}"


def chat(saver: WfStoreSaver) -> None:
    """A conversation."""
    graph = chat_graph(saver)
    for number in range(4):
        graph.invoke(says_human(number), CONFIG)


def agent(saver: WfStoreSaver) -> None:
    """Model calls and tool calls."""
    model = ScriptedModel(answers=[says("look", "m1", ("look_up", {"q": "x"}, "c1")), says("it is x", "m2")])
    asked: Any = {"messages": [("user", "what is x?")]}
    create_agent(model, [look_up], checkpointer=saver).invoke(asked, CONFIG)


def waiting(saver: WfStoreSaver) -> None:
    """A question of a sub-graph is open."""
    nested_graph(saver, asks=True).invoke({"log": ["in"]}, CONFIG)


def forked(saver: WfStoreSaver) -> None:
    """Branches: one by itself, one with a name, one renamed, one deleted, one to which was switched."""
    graph = asking_graph(saver, "one?")
    graph.invoke({"log": ["in"]}, CONFIG)
    history = list(graph.get_state_history(CONFIG))
    graph.invoke(Command(resume="yes"), CONFIG)
    graph.invoke(None, history[-1].config)
    thread = saver.store.thread(THREAD)
    for name in ("größe", "gone", "other"):
        thread.create_branch(name, history[1].config["configurable"]["checkpoint_id"])
    own: Any = {"configurable": {"thread_id": THREAD, "branch": "größe"}}
    graph.invoke(None, own)
    graph.invoke(Command(resume="no"), own)
    thread.rename_branch("other", "kept")
    thread.rename_branch("kept", "other")
    thread.rename_branch("other", "kept")
    thread.delete_branch("gone")
    thread.switch("größe")


def merged(saver: WfStoreSaver) -> None:
    """A branch was merged into the first one."""
    graph = chat_graph(saver)
    graph.invoke(says_human(0), CONFIG)
    base = graph.get_state(CONFIG).config
    graph.invoke(says_human(1), CONFIG)
    graph.invoke(says_human(2), base)
    thread = saver.store.thread(THREAD)
    thread.switch("main")
    thread.merge("fork-1")
    graph.invoke(says_human(3), CONFIG)


def pruned(saver: WfStoreSaver) -> None:
    """Old checkpoints are gone, and what a delta channel needs of them is hidden."""
    graph = delta_graph(saver, Rare)
    for number in range(3):
        graph.invoke({"log": [f"in {number}"]}, CONFIG)
    saver.store.prune([THREAD])
    graph.invoke({"log": ["later"]}, CONFIG)


def of_deleted_run(saver: WfStoreSaver) -> None:
    """One of its runs was deleted."""
    graph = chat_graph(saver)
    for number in range(3):
        config: Any = {**CONFIG, "metadata": {"run_id": f"run {number}"}}
        graph.invoke(says_human(number), config)
    saver.store.delete_for_runs(["run 1"])


def redacted(saver: WfStoreSaver) -> None:
    """Messages were redacted, and the conversation went on."""
    chat(saver)
    graph = chat_graph(saver)
    found = graph.get_state(CONFIG).values["messages"]
    saver.store.thread(THREAD).redact(messages=[found[0].id, found[3].id], reason="asked for")
    graph.invoke(says_human(9), CONFIG)


def lists(saver: WfStoreSaver) -> None:
    """Long lists of texts, of numbers, of small elements; they grow, shrink and change inside."""
    config: Any = config_of()
    texts = [f"element {n} " * 12 for n in range(90)]
    states = [texts[:70], texts, [*texts[:30], "new " * 40, *texts[40:]], texts[5:60], [texts[0]] * 5]
    for number, items in enumerate(states):
        values = {
            "items": items,
            "numbers": list(range(number * 100, number * 100 + 2000)),
            "small": [{"n": n} for n in range(100 + number)],
            "both": {"a": items, "b": number, "c": ["x" * 70] * 9},
            "bytes": bytes(range(256)) * 9,
            "surrogate \ud800": "\udfff text",
        }
        checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
        config = saver.put(
            config_of() if number == 0 else config, checkpoint, metadata_of(number), checkpoint["channel_versions"]
        )
    saver.put_writes(config, [("items", texts[:3]), ("__error__", "broke")], "task", "~path")


def unsealed(saver: WfStoreSaver) -> None:
    """Its last records are not sealed yet."""
    line_graph(saver, "a", "b").invoke({"log": ["in"]}, CONFIG)
    last = saver.get_tuple(CONFIG)
    assert last is not None
    saver.put_writes(last.config, [("log", ["written"])], "late task")


SAMPLES: dict[str, Callable[[WfStoreSaver], None]] = {
    each.__name__: each
    for each in (chat, agent, waiting, forked, merged, pruned, of_deleted_run, redacted, lists, unsealed)
}
"""By name what makes the thread `THREAD` in an empty store."""
