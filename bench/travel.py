"""What LangGraph's ways to travel in time make of a thread's branches: `python -m bench.travel` prints a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.types import Command

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing.contract_interrupts import asking_graph
from langgraph_wfstore.testing.contract_subgraphs import remembering_graph
from langgraph_wfstore.testing.sample_graphs import line_graph

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def _at(graph: Any, node: str, config: Any = CONFIG) -> Any:
    """The config of the oldest checkpoint after which a node runs."""
    return [state for state in graph.get_state_history(config) if state.next == (node,)][-1].config


def _named(config: Any, branch: str) -> Any:
    return {"configurable": {**config["configurable"], "branch": branch}}


def _ran(saver: WfStoreSaver) -> Any:
    graph = line_graph(saver, "a", "b", "c")
    graph.invoke({"log": ["in"]}, CONFIG)
    return graph


def replay(saver: WfStoreSaver) -> None:
    """replay: `invoke(None, old)`"""
    graph = _ran(saver)
    graph.invoke(None, _at(graph, "b"))


def update_old(saver: WfStoreSaver) -> None:
    """`update_state(old)`, then `invoke(None, thread id)`"""
    graph = _ran(saver)
    graph.update_state(_at(graph, "b"), {"note": "edited"})
    graph.invoke(None, CONFIG)


def fork_of_fork(saver: WfStoreSaver) -> None:
    """a fork of a fork: `update_state(old)` on `fork-1`"""
    graph = _ran(saver)
    graph.invoke(None, graph.update_state(_at(graph, "b"), {"note": "1"}))
    graph.invoke(None, graph.update_state(_at(graph, "c", _named(CONFIG, "fork-1")), {"note": "2"}))


def back_to_main(saver: WfStoreSaver) -> None:
    """after a fork go on from main's head by its id"""
    graph = _ran(saver)
    tip = graph.get_state(CONFIG).config
    graph.invoke(None, _at(graph, "b"))
    graph.invoke({"log": ["next"]}, tip)


def new_input_at_old(saver: WfStoreSaver) -> None:
    """`invoke(input, old)` with `branch` \"named\""""
    graph = _ran(saver)
    graph.invoke({"log": ["other"]}, _named(_at(graph, "b"), "named"))


def interrupt_on_two(saver: WfStoreSaver) -> None:
    """interrupted; `branch` \"no\" created at the question, and its state changed; each resumed with its own answer"""
    graph = asking_graph(saver, "sure?")
    graph.invoke({"log": ["in"]}, CONFIG)
    saver.store.thread("t").create_branch("no")
    graph.invoke(Command(resume="yes"), CONFIG)
    graph.update_state(_named(CONFIG, "no"), {"note": "asked again"})
    graph.invoke(None, _named(CONFIG, "no"))
    graph.invoke(Command(resume="no"), _named(CONFIG, "no"))
    yes, no = (graph.get_state(config).values["log"][2] for config in (_named(CONFIG, "main"), _named(CONFIG, "no")))
    assert (yes, no) == ("ask: yes", "ask: no")


def sub_graph(saver: WfStoreSaver) -> None:
    """a sub-graph that remembers (`checkpointer=True`): two turns, then `invoke(input, first)` with `branch` \"b\""""
    graph = remembering_graph(saver)
    for _ in range(2):
        graph.invoke({"log": []}, CONFIG)
    first = [state for state in graph.get_state_history(CONFIG) if not state.next][-1]
    graph.invoke({"log": []}, _named(first.config, "b"))
    assert graph.get_state(_named(CONFIG, "b")).values["note"] == "call 2"  # without a name LangGraph says "call 3"


PATTERNS: tuple[Callable[[WfStoreSaver], None], ...] = (
    replay,
    update_old,
    fork_of_fork,
    back_to_main,
    new_input_at_old,
    interrupt_on_two,
    sub_graph,
)


def heads(pattern: Callable[[WfStoreSaver], None], *, isolate: bool) -> str:
    """The branches after a pattern: how many checkpoints, and which is current."""
    with WfStoreSaver(":memory:", isolate_forks=isolate) as saver:
        pattern(saver)
        thread = saver.store.thread("t")
        assert thread.verify().ok
        return ", ".join(f"{b.name} ({b.checkpoints}){'*' * b.current}" for b in thread.branches())


def main() -> None:
    """Print the table."""
    print("| pattern | branches | with `isolate_forks=True` |\n|---|---|---|")
    for pattern in PATTERNS:
        print(f"| {pattern.__doc__} | {heads(pattern, isolate=False)} | {heads(pattern, isolate=True)} |")


if __name__ == "__main__":
    main()
