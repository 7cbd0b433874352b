"""Which line of a thread goes on, as LangGraph's own saver has it, where no run was overtaken."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from langgraph_wfstore import WfStoreSaver

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Log(TypedDict):
    xs: Annotated[list[str], add]


class Count(TypedDict):
    k: int
    log: list[int]


class Inner(TypedDict):
    k: int
    log: Annotated[list[int], add]


def return_to_the_first_line(saver: Any) -> list[Any]:
    graph = StateGraph(Log).add_node("a", lambda state: {"xs": ["a"]}).add_edge(START, "a").compile(checkpointer=saver)
    graph.invoke({"xs": ["in"]}, CONFIG)
    tip, early = graph.get_state(CONFIG).config, list(graph.get_state_history(CONFIG))[1].config
    graph.invoke(None, graph.update_state(early, {"xs": ["fork"]}))
    graph.update_state(tip, {"xs": ["back"]})
    after_return = graph.get_state(CONFIG).values["xs"]
    graph.invoke({"xs": ["on"]}, CONFIG)
    return [after_return, graph.get_state(CONFIG).values["xs"]]


def test_going_on_from_the_end_of_another_line_makes_it_current():
    with WfStoreSaver(":memory:") as saver:
        assert return_to_the_first_line(saver) == return_to_the_first_line(InMemorySaver())
        assert saver.store.thread("t").verify().ok


def call_a_remembering_sub_graph_twice(saver: Any, durability: Any) -> list[Any]:
    inner = StateGraph(Inner).add_node("p", lambda state: {"log": [state["k"]]}).add_edge(START, "p")
    sub = inner.compile(checkpointer=True)
    outer = StateGraph(Count)
    outer.add_node("a", lambda state: {"k": state["k"] + 1})
    outer.add_node("sub", lambda state: {"log": sub.invoke({"k": state["k"]})["log"]})
    outer.add_edge(START, "a").add_edge("a", "sub")
    outer.add_conditional_edges("sub", lambda state: "a" if state["k"] % 2 else END)
    graph = outer.compile(checkpointer=saver)
    return [graph.invoke({"k": 0}, CONFIG, durability=durability)["log"] for _ in range(3)]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_sub_graph_that_is_called_twice_in_a_run_remembers_its_first_call(durability):
    with WfStoreSaver(":memory:") as saver:
        expected = call_a_remembering_sub_graph_twice(InMemorySaver(), durability)
        assert call_a_remembering_sub_graph_twice(saver, durability) == expected == [[1, 2], [1, 2] * 2, [1, 2] * 3]
        assert saver.store.thread("t").verify().ok
