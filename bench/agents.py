"""The workloads of one long run each: a large unchanged value, a fan-out, an agent with tools."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from bench.chats import THREAD, Chat, config, require
from bench.content import text
from bench.driver import Driver, Graph
from bench.stopwatch import Lap

DOCUMENT_CHARACTERS = 1 << 20
FANOUT_TASKS = 100
RESULT_CHARACTERS = 2048
TOOL_CALLS = 30
TOOL_RESULT_CHARACTERS = 8192


class Document(TypedDict):
    document: str
    counter: int


class Rounds(TypedDict):
    round: int
    results: Annotated[list[str], operator.add]


class Task(TypedDict):
    round: int
    number: int


def _timed_run(driver: Driver, graph: Graph, value: Any, supersteps: int, thread: str = THREAD) -> float:
    with Lap() as lap:
        driver.invoke(graph, value, {**config(thread), "recursion_limit": supersteps + 50})
    return lap.seconds


def bigdoc(driver: Driver, size: int) -> dict[str, float]:
    """One run of `size` supersteps over a state with a text of 1 MiB that never changes."""

    def count(state: Document) -> dict[str, int]:
        return {"counter": state["counter"] + 1}

    builder = StateGraph(Document)
    builder.add_node("count", driver.node(count))
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["counter"] < size else END, ["count", END])
    graph = builder.compile(checkpointer=driver.checkpointer)
    given = Document(document=text("document", DOCUMENT_CHARACTERS), counter=0)
    wall = _timed_run(driver, graph, given, size)
    require(driver.state(graph, config()).values == {**given, "counter": size}, "bigdoc")
    return {"wall_s": wall}


def fanout(driver: Driver, size: int) -> dict[str, float]:
    """One run of `size` rounds: plan, then 100 parallel tasks with 2 KiB each, then join."""
    graph = _fanout_graph(driver, size)
    wall = _timed_run(driver, graph, {"round": 0}, size * 3)
    tasks = [Task(round=turn, number=number) for turn in range(1, size + 1) for number in range(FANOUT_TASKS)]
    require(driver.state(graph, config()).values["results"] == [_result(task) for task in tasks], "fanout")
    return {"wall_s": wall}


def _result(task: Task) -> str:
    return text(f"result {task['round']} {task['number']}", RESULT_CHARACTERS)


def _fanout_graph(driver: Driver, rounds: int) -> Graph:
    def plan(state: Rounds) -> dict[str, int]:
        return {"round": state.get("round", 0) + 1}

    def work(task: Any) -> dict[str, list[str]]:  # a Task; LangGraph would make channels of a named schema
        return {"results": [_result(task)]}

    def join(state: Rounds) -> dict[str, int]:
        return {}

    def send(state: Rounds) -> list[Send]:
        return [Send("work", Task(round=state["round"], number=number)) for number in range(FANOUT_TASKS)]

    builder = StateGraph(Rounds)
    for body in (plan, work, join):
        builder.add_node(body.__name__, driver.node(body))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", send, ["work"])
    builder.add_edge("work", "join")
    builder.add_conditional_edges("join", lambda state: "plan" if state["round"] < rounds else END, ["plan", END])
    return builder.compile(checkpointer=driver.checkpointer)


def tool_agent(driver: Driver, size: int) -> dict[str, float]:
    """`size` threads, one run each: 30 tool calls with results of 8 KiB, then an answer."""
    graph, wall, names = _tool_agent_graph(driver), 0.0, [f"agent{number}" for number in range(size)]
    for name in names:
        question = HumanMessage(text(f"{name} question", 200), id=name)
        wall += _timed_run(driver, graph, {"messages": [question]}, 2 * TOOL_CALLS, name)
    for name in names:
        found = driver.state(graph, config(name)).values["messages"]
        require(found[1:] == _expected_messages(name), f"tool-agent, {name}")
    return {"wall_s": wall}


def _tool_call(thread: str, number: int) -> AIMessage:
    arguments = {"q": text(f"{thread} query {number}", 40)}
    call = ToolCall(name="search", args=arguments, id=f"c{number}", type="tool_call")
    return AIMessage(text(f"{thread} thought {number}", 200), id=f"{thread}-a{number}", tool_calls=[call])


def _tool_result(thread: str, call_id: str) -> ToolMessage:
    found = text(f"{thread} result {call_id}", TOOL_RESULT_CHARACTERS)
    return ToolMessage(found, tool_call_id=call_id, id=f"{thread}-{call_id}", name="search")


def _last(thread: str) -> AIMessage:
    return AIMessage("done", id=f"{thread}-end")


def _expected_messages(thread: str) -> list[Any]:
    pairs = ((_tool_call(thread, number), _tool_result(thread, f"c{number}")) for number in range(TOOL_CALLS))
    return [*(message for pair in pairs for message in pair), _last(thread)]


def _asked(state: Chat) -> list[ToolCall]:
    """The tool calls of the last message."""
    last = state["messages"][-1]
    return last.tool_calls if isinstance(last, AIMessage) else []


def _tool_agent_graph(driver: Driver) -> Graph:
    def agent(state: Chat) -> Chat:
        thread = str(state["messages"][0].id)
        number = sum(isinstance(message, AIMessage) for message in state["messages"])
        return {"messages": [_tool_call(thread, number) if number < TOOL_CALLS else _last(thread)]}

    def tools(state: Chat) -> Chat:
        thread = str(state["messages"][0].id)
        return {"messages": [_tool_result(thread, str(call["id"])) for call in _asked(state)]}

    def following(state: Chat) -> str:
        return "tools" if _asked(state) else END

    builder = StateGraph(Chat)
    builder.add_node("agent", driver.node(agent))
    builder.add_node("tools", driver.node(tools))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", following, ["tools", END])
    builder.add_edge("tools", "agent")
    return builder.compile(checkpointer=driver.checkpointer)
