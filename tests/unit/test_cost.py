"""What a call costs, and what is not paid for twice."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from rich.console import Console

from langgraph_wfstore import Price, PriceTable, Thread, WfStoreSaver
from langgraph_wfstore.capture.calls import usage_of
from langgraph_wfstore.prices import GenaiPrices
from langgraph_wfstore.records import Usage
from langgraph_wfstore.testing.sample_graphs import Log
from langgraph_wfstore.testing.scripted import ScriptedModel, says

CONFIG: Any = {"configurable": {"thread_id": "t"}}
PRICES = PriceTable({"scripted-1-answering": Price(input=1, output=10)})


@pytest.fixture
def saver() -> Iterator[WfStoreSaver]:
    with WfStoreSaver(":memory:") as saver:
        yield saver


def run(saver: WfStoreSaver, body: Any) -> Thread:
    builder = StateGraph(Log).add_node("node", lambda s: {"log": [str(body())]}).add_edge(START, "node")
    builder.compile(checkpointer=saver).invoke({"log": []}, CONFIG)
    return saver.store.thread("t")


class Wrapping(ScriptedModel):
    """A model that asks another one, and repeats its usage."""

    inner: Any = None

    def _next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        answer: AIMessage = self.inner.invoke(messages)
        return answer


def test_of_models_inside_each_other_the_inner_one_is_paid_for(saver: WfStoreSaver):
    model = Wrapping(answers=[], inner=ScriptedModel(answers=[says("x", "m1", tokens=(1000, 0))]))
    thread = run(saver, lambda: model.invoke("go").content)
    assert len(thread.calls()) == 2
    report = thread.cost(pricer=PRICES)
    assert (report.total.calls, report.total.cost) == (1, Decimal("0.001"))


def test_one_answer_that_is_reported_twice_is_paid_for_once(saver: WfStoreSaver):
    answer = says("x", "m1")
    answer.response_metadata["id"] = "resp-1"
    model = ScriptedModel(answers=[answer])
    thread = run(saver, lambda: [model.invoke("go").content for _ in range(2)])
    assert len(thread.calls()) == 2 and thread.cost(pricer=PRICES).total.calls == 1


def test_an_answer_from_langchain_s_cache_costs_nothing_and_says_so(saver: WfStoreSaver):
    model = ScriptedModel(answers=[says("x", "m1")], cache=InMemoryCache())
    thread = run(saver, lambda: [model.invoke("go").content for _ in range(2)])
    assert [c.cached for c in thread.calls()] == [False, True]
    total = thread.cost(pricer=PRICES).total
    assert (total.calls, total.cached, total.input, total.cost) == (2, 1, 10, Decimal("0.00006"))


def test_an_unknown_price_is_named_and_never_nothing(saver: WfStoreSaver):
    priced = ScriptedModel(answers=[says("x", "m1")])
    unpriced = ScriptedModel(answers=[AIMessage("y", id="m2", response_metadata={"model_name": "odd"})])
    thread = run(saver, lambda: [priced.invoke("go").content, unpriced.invoke("go").content])
    by_model = {line.key: line for line in thread.cost(by="model", pricer=PRICES).lines}
    assert by_model["odd"].cost is None and by_model["odd"].unpriced == ("odd (scripts)",)
    report = thread.cost(pricer=PRICES)
    assert report.total.cost == Decimal("0.00006") and report.total.unpriced == ("odd (scripts)",)
    assert "> 0.00006" in str(report) and "known for: odd (scripts)" in str(report)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report)
    assert "> 0.00006" in console.export_text()


def test_by_is_one_of_the_known(saver: WfStoreSaver):
    thread = run(saver, lambda: "x")
    with pytest.raises(ValueError, match="not 'month'"):
        thread.cost(by="month")


def test_the_price_is_that_of_the_call_s_own_time():
    table = PriceTable({"m": [Price(input=2, output=0), Price(input=1, output=0, since=datetime(2026, 6, 1))]})
    usage = Usage(1_000_000, 0)
    assert table.price(usage, "m", None, datetime(2026, 5, 31, tzinfo=UTC)) == 2
    assert table.price(usage, "m", None, datetime(2026, 6, 2, tzinfo=UTC)) == 1
    assert table.price(usage, "other", None, datetime(2026, 6, 2, tzinfo=UTC)) is None


def test_the_prices_of_genai_prices():
    prices, at = GenaiPrices(), datetime(2025, 6, 1, tzinfo=UTC)
    assert prices.price(Usage(1_000_000, 100_000), "gpt-4o", "openai", at) == Decimal("3.5")
    assert prices.price(Usage(1_000_000, 0, cache_read=1_000_000), "gpt-4o", "openai", at) == Decimal("1.25")
    hour = Usage(100_000, 0, cache_write=100_000, cache_write_hour=100_000)
    short = Usage(100_000, 0, cache_write=100_000)
    found = [
        prices.price(u, "claude-sonnet-4-5", "anthropic", datetime(2025, 12, 1, tzinfo=UTC)) for u in (hour, short)
    ]
    assert found == [Decimal("0.6"), Decimal("0.375")]
    assert prices.price(Usage(10, 10), "no such model", "openai", at) is None
    assert prices.price(Usage(10, 10), "gpt-4o", "my own server", at) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}, Usage(5, 2)),
        (
            {
                "input_tokens": 50,
                "output_tokens": 20,
                "input_token_details": {
                    "cache_read": 30,
                    "ephemeral_5m_input_tokens": 4,
                    "ephemeral_1h_input_tokens": 6,
                },
                "output_token_details": {"reasoning": 9},
            },
            Usage(50, 20, cache_read=30, cache_write=10, cache_write_hour=6, reasoning=9),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
            Usage(8, 3, cache_read=2),
        ),
    ],
)
def test_tokens_as_integrations_say_them(said: Any, expected: Usage | None):
    assert usage_of(said) == expected


def test_what_a_graph_in_a_tool_cost_is_part_of_what_retries_of_the_node_cost(saver: WfStoreSaver):
    inner = StateGraph(Log).add_node("inner", lambda s: {"log": [ask()]}).add_edge(START, "inner").compile()
    attempts = iter([False, False, True])

    def ask() -> str:
        return str(ScriptedModel(answers=[says("x", "m1")]).invoke("go").content)

    @tool
    def agent(question: str) -> str:
        """Asks another agent."""
        return str(inner.invoke({"log": []})["log"])

    def node(state: Log) -> Log:
        agent.invoke({"question": ask()})
        if not next(attempts):
            raise ValueError("again")
        return {"log": ["done"]}

    again = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False, retry_on=ValueError)
    builder = StateGraph(Log).add_node("node", node, retry_policy=again).add_edge(START, "node")
    builder.compile(checkpointer=saver).invoke({"log": []}, CONFIG)
    report = saver.store.thread("t").cost(pricer=PRICES)
    assert (report.total.calls, report.retries.calls, report.retries.tool_calls) == (6, 4, 2)


def test_what_led_to_where_a_fork_began_is_not_abandoned_with_the_rest_of_its_run(saver: WfStoreSaver):
    def ask(state: Log) -> Log:
        return {"log": [str(ScriptedModel(answers=[says("x", "m1")]).invoke("go").content)]}

    builder = StateGraph(Log).add_sequence([("a", ask), ("b", ask), ("c", ask)]).add_edge(START, "a")
    graph = builder.compile(checkpointer=saver)
    graph.invoke({"log": []}, CONFIG)
    before = {state.next: state.config for state in graph.get_state_history(CONFIG)}
    graph.invoke(None, before["c",])
    assert saver.store.thread("t").cost(pricer=PRICES).abandoned.calls == 1  # c
    graph.invoke(None, before["b",])
    report = saver.store.thread("t").cost(by="branch", pricer=PRICES)
    assert (report.total.calls, report.abandoned.calls) == (6, 3)  # b and c of the first run, c of the second
    assert [(line.key, line.calls) for line in report.lines] == [("main", 3), ("fork-1", 1), ("fork-2", 2)]
