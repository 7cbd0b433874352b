"""Cost is conserved: whatever a graph does, each of its calls is counted once, under every heading."""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send

from langgraph_wfstore import Price, PriceTable, WfStoreSaver
from langgraph_wfstore.testing.scripted import ScriptedModel, says

CONFIG: Any = {"configurable": {"thread_id": "t"}}
PRICES = PriceTable({"scripted-1-answering": Price(input=3, output=7, cache_read="0.5")})
HEADINGS = ("step", "node", "model", "tool", "run", "branch")


class State(TypedDict, total=False):
    done: Annotated[list[str], operator.add]


nodes = st.recursive(
    st.fixed_dictionaries({"calls": st.integers(0, 2), "fails": st.integers(0, 2), "sends": st.integers(0, 3)}),
    lambda inner: st.fixed_dictionaries({"graph": st.lists(inner, min_size=1, max_size=2)}),
    max_leaves=4,
)
graphs = st.lists(nodes, min_size=1, max_size=3)


class Counted:
    """A graph of random nodes, and what it paid for."""

    def __init__(self) -> None:
        self.calls = 0
        self.cost = Decimal(0)
        self.retried = 0

    def ask(self) -> None:
        tokens = 10 + self.calls, 5 + self.calls % 3
        ScriptedModel(answers=[says("x", f"m{self.calls}", tokens=tokens)]).invoke([HumanMessage("go")])
        self.calls += 1
        self.cost += Decimal(tokens[0] * 3 + tokens[1] * 7) / 1_000_000

    def graph(self, plan: list[Any], saver: Any = None) -> Any:
        builder = StateGraph(State)
        retry = RetryPolicy(max_attempts=9, initial_interval=0.0, jitter=False, max_interval=0.0)
        before = START
        for at, node in enumerate(plan):
            name = f"node{at}"
            if "graph" in node:
                builder.add_node(name, self.graph(node["graph"]))
                builder.add_edge(before, name)
            else:
                builder.add_node(name, self._node(name, node), retry_policy=retry)
                builder.add_node(f"work{at}", self._work)
                builder.add_edge(before, name)
                builder.add_conditional_edges(
                    name, lambda s, n=node["sends"], w=f"work{at}": [Send(w, {}) for _ in range(n)], [f"work{at}"]
                )
            before = name
        builder.add_edge(before, END)
        return builder.compile(checkpointer=saver)

    def _node(self, name: str, node: dict[str, int]) -> Any:
        left = node["fails"]

        def body(state: State) -> State:
            nonlocal left
            for _ in range(node["calls"]):
                self.ask()
            if left:
                left -= 1
                self.retried += node["calls"]
                raise ConnectionError("again")
            return {"done": [name]}

        return body

    def _work(self, state: State) -> State:
        self.ask()
        return {"done": ["work"]}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=graphs, turns=st.integers(1, 2), fork=st.booleans(), durability=st.sampled_from(["sync", "async", "exit"]))
def test_every_call_is_counted_once_under_every_heading(plan: list[Any], turns: int, fork: bool, durability: Any):
    counted = Counted()
    with WfStoreSaver(":memory:") as saver:
        graph = counted.graph(plan, saver)
        for _ in range(turns):
            graph.invoke({"done": ["in"]}, {**CONFIG, "max_concurrency": 1}, durability=durability)
        if fork:
            oldest = [*graph.get_state_history(CONFIG)][-1]
            if oldest.next:
                graph.invoke(None, {**oldest.config, "max_concurrency": 1}, durability=durability)
        thread = saver.store.thread("t")
        reports = {by: thread.cost(by=by, pricer=PRICES) for by in HEADINGS}
        for report in reports.values():
            assert report.total.calls == counted.calls == sum(line.calls for line in report.lines)
            assert sum((line.cost or Decimal(0)) for line in report.lines) == (report.total.cost or 0) == counted.cost
            assert report.total.input == sum(line.input for line in report.lines)
            assert report.retries.calls == counted.retried and report.unattributed == 0
        per_run: dict[str, int] = {}
        for step in thread.steps():
            mine = [c for c in thread.calls(step.run_id) if c.step_id == step.step_id]
            per_run[step.run_id] = per_run.get(step.run_id, 0) + len(mine)
        assert {line.key: line.calls for line in reports["run"].lines} == {k: n for k, n in per_run.items() if n}
        assert thread.verify().ok


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ((1000, 100, None, None, None, None), "0.0037"),
        ((1000, 100, 400, None, None, None), "0.0027"),
        ((1000, 100, 400, 100, None, None), "0.0032"),
        ((1000, 100, 0, 200, 200, None), "0.0067"),
        ((1000, 100, None, None, None, 50), "0.00385"),
    ],
)
def test_the_price_of_cached_and_thought_tokens(usage: tuple[Any, ...], expected: str):
    from langgraph_wfstore.records import Usage

    price = Price(input=3, output=7, cache_read="0.5", cache_write=8, cache_write_hour=18, reasoning=10)
    given, got, read, written, hour, thought = usage
    assert price.of(Usage(given, got, read, written, hour, thought)) == Decimal(expected)
