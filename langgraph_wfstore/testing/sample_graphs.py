"""Small graphs with deterministic nodes, and the normal forms in which two savers' histories are compared."""

from __future__ import annotations

import operator
import re
from typing import Annotated, Any, Protocol, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Interrupt, StateSnapshot

from .api import Api

Saver = BaseCheckpointSaver[Any]
DURABILITIES = ("sync", "async", "exit")


class Log(TypedDict, total=False):
    """What the nodes did, in order."""

    log: Annotated[list[str], operator.add]
    note: str


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class LogNode(Protocol):
    """A node of a graph whose state is a log."""

    def __call__(self, state: Log) -> Log: ...


def says(name: str) -> LogNode:
    """A node that appends its name, and how much it saw."""

    def node(state: Log) -> Log:
        return {"log": [f"{name} after {len(state.get('log', []))}"]}

    node.__name__ = name
    return node


def line_graph(saver: Saver | None, *names: str, **compile_options: Any) -> Any:
    """A graph whose nodes follow each other."""
    builder = StateGraph(Log)
    for name in names:
        builder.add_node(name, says(name))
    for left, right in zip((START, *names), (*names, END), strict=True):
        builder.add_edge(left, right)
    return builder.compile(checkpointer=saver, **compile_options)


def chat_graph(saver: Saver) -> Any:
    """A bot that answers each message, deterministically."""

    def bot(state: Chat) -> Chat:
        last = state["messages"][-1]
        return {"messages": [AIMessage(f"re: {last.content}", id=f"re-{last.id}")]}

    return StateGraph(Chat).add_node("bot", bot).add_edge(START, "bot").add_edge("bot", END).compile(checkpointer=saver)


def says_human(number: int) -> Chat:
    return {"messages": [HumanMessage(f"message {number}", id=f"h{number}")]}


def plain(value: Any) -> Any:
    """A value without the ids that differ from run to run, and with lists for tuples, which memory doesn't keep."""
    if isinstance(value, Interrupt):
        return ("interrupt", plain(value.value))
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def plain_ns(ns: str) -> str:
    """A namespace without its task ids."""
    return re.sub(r":[0-9a-f-]{36}", ":*", ns)


def plain_snapshot(snapshot: StateSnapshot) -> dict[str, Any]:
    """What a snapshot says, without ids and times."""
    metadata: dict[str, Any] = dict(snapshot.metadata or {})
    parents = metadata.pop("parents", {})
    return {
        "values": plain(snapshot.values),
        "next": snapshot.next,
        "interrupts": plain(snapshot.interrupts),
        "metadata": {**plain(metadata), "parents": sorted(map(plain_ns, parents))},
        "tasks": [
            {
                "name": task.name,
                "error": task.error if task.error is None or isinstance(task.error, str) else repr(task.error),
                "interrupts": plain(task.interrupts),
                "result": plain(task.result),
                "state": plain_snapshot(task.state) if isinstance(task.state, StateSnapshot) else None,
            }
            for task in snapshot.tasks
        ],
    }


def plain_history(api: Api, graph: Any, config: RunnableConfig) -> list[dict[str, Any]]:
    """The history of a thread, each snapshot with its parent's place in it."""
    snapshots = [*api.history(graph, config)]
    places = {_id(snapshot.config): place for place, snapshot in enumerate(snapshots)}
    return [
        {**plain_snapshot(each), "parent": places.get(_id(each.parent_config)) if each.parent_config else None}
        for each in snapshots
    ]


def _id(config: RunnableConfig) -> str:
    return str(config["configurable"]["checkpoint_id"])


def plain_thread(api: Api, graph: Any, config: RunnableConfig) -> dict[str, Any]:
    """All that a saver knows of a thread: its state with sub-graphs, its history, every namespace's checkpoints."""
    thread: RunnableConfig = {"configurable": {"thread_id": config["configurable"]["thread_id"]}}
    checkpoints = [
        (
            plain_ns(found.config["configurable"]["checkpoint_ns"]),
            found.metadata.get("source"),
            found.metadata.get("step"),
            sorted(found.checkpoint["channel_values"]),
            [(channel, plain(value)) for _, channel, value in found.pending_writes or [] if channel != "__error__"],
        )
        for found in api.on(graph.checkpointer).list(thread)
    ]
    return {
        "state": plain_snapshot(api.get_state(graph, config, subgraphs=True)),
        "history": plain_history(api, graph, config),
        "checkpoints": sorted(checkpoints, key=repr),
    }
