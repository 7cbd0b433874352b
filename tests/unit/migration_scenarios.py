"""Threads of every kind on any saver, what two savers say of them, and LangGraph's own savers to have them on."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import psycopg
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langgraph_wfstore.testing.contract_delta import Often, Rare, delta_graph, fan_graph
from langgraph_wfstore.testing.contract_subgraphs import nested_graph, remembering_graph
from langgraph_wfstore.testing.sample_graphs import Log, chat_graph, line_graph, plain, plain_snapshot, says, says_human
from langgraph_wfstore.values.equality import same

ODD = ["ünï/\\ \"cödé'; --", "%5C{}\n\t", "😀" * 40, " ", "0"]
_made = itertools.count(1)


class Mood(enum.Enum):
    CALM = "calm"


@dataclass
class Basket:
    """A class of the program's own."""

    items: list[str]
    mood: Mood


class Order(BaseModel):
    """A model of the program's own, whose validators LangGraph runs when it reads."""

    number: int
    basket: str = "none"


class Shop(TypedDict, total=False):
    basket: Basket
    orders: list[Order]


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def asking_graph(saver: Any) -> Any:
    """A question between two nodes."""

    def ask(state: Log) -> Log:
        return {"log": [f"answer {interrupt('ok?')}"]}

    builder = StateGraph(Log).add_node("a", says("a")).add_node("ask", ask).add_node("b", says("b"))
    return builder.add_edge(START, "a").add_edge("a", "ask").add_edge("ask", "b").compile(checkpointer=saver)


def failing_graph(saver: Any) -> Any:
    """Of two parallel nodes one fails as long as the log holds no `mended`."""

    def fails(state: Log) -> Log:
        if "mended" not in state["log"]:
            raise ValueError("not yet")
        return {"log": ["fails no more"]}

    builder = StateGraph(Log).add_node("good", says("good")).add_node("fails", fails)
    return builder.add_edge(START, "good").add_edge(START, "fails").compile(checkpointer=saver)


def asking_among_others(saver: Any) -> None:
    """Several tasks that have written, of one step; the order of their paths is not that of their ids."""

    def ask(state: Log) -> Log:
        return {"log": [interrupt("ok?")]}

    names = [f"n{number}" for number in range(8)]
    builder = StateGraph(Log)
    for name in names:
        builder.add_node(name, ask if name == "n3" else says(name))
        builder.add_edge(START, name)
    builder.compile(checkpointer=saver).invoke({"log": ["in"]}, config("t"))


def shop_graph(saver: Any) -> Any:
    """A state of classes of the program's own."""

    def fill(state: Shop) -> Shop:
        return {"basket": Basket(["tea"], Mood.CALM), "orders": [Order(number=1), Order(number=2, basket="b")]}

    return StateGraph(Shop).add_node("fill", fill).add_edge(START, "fill").compile(checkpointer=saver)


def _forked(saver: Any) -> None:
    """Three lines: from the middle of the first one twice."""
    graph = line_graph(saver, "a", "b", "c")
    graph.invoke({"log": ["one"]}, config("forked"))
    middle = next(s for s in graph.get_state_history(config("forked")) if s.next == ("b",))
    for text in ("what if", "or else"):
        fork = graph.update_state(middle.config, {"log": [text]}, as_node="a")
        graph.invoke(None, fork)


def _deltas(saver: Any) -> None:
    for name, schema in (("rare", Rare), ("often", Often)):
        for number in range(5):
            delta_graph(saver, schema).invoke({"log": [f"in {number}"]}, config(f"delta {name}"))
        fan_graph(saver, schema).invoke({"log": ["in"]}, config(f"fan {name}"))
    delta_graph(saver, Rare, asks=True).invoke({"log": ["in"]}, config("delta asks"))


def _failed(saver: Any) -> None:
    with contextlib.suppress(ValueError):
        failing_graph(saver).invoke({"log": ["in"]}, config("failed"))


def _resumed(saver: Any) -> None:
    asking_graph(saver).invoke({"log": ["in"]}, config("resumed"))
    asking_graph(saver).invoke(Command(resume="yes"), config("resumed"))


def _chat(saver: Any) -> None:
    for number in range(6):
        chat_graph(saver).invoke(says_human(number), {**config("chat"), "metadata": {"run_id": f"r{number}"}})


def _turns(saver: Any) -> None:
    for number in range(2):
        remembering_graph(saver).invoke({"log": [f"in {number}"]}, config("remembering"))


BUILDERS: list[Callable[[Any], Any]] = [
    lambda saver: [line_graph(saver, "a", "b").invoke({"log": ["in"]}, config(name)) for name in ODD],
    lambda saver: asking_graph(saver).invoke({"log": ["in"]}, config("asks")),
    lambda saver: nested_graph(saver, asks=True, depth=2).invoke({"log": ["in"]}, config("asks inside")),
    lambda saver: nested_graph(saver).invoke({"log": ["in"]}, config("nested")),
    lambda saver: shop_graph(saver).invoke({}, config("shop")),
    _resumed,
    _turns,
    _forked,
    _deltas,
    _failed,
    _chat,
]

# What is invoked in the end on each thread, wherever it is then: with which graph, and what.
GOES_ON: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "0": (lambda saver: line_graph(saver, "a", "b"), {"log": ["again"]}),
    "asks": (asking_graph, Command(resume="yes")),
    "asks inside": (lambda saver: nested_graph(saver, asks=True, depth=2), Command(resume="yes")),
    "nested": (nested_graph, {"log": ["again"]}),
    "shop": (shop_graph, {}),
    "resumed": (asking_graph, {"log": ["again"]}),
    "remembering": (remembering_graph, {"log": ["again"]}),
    "forked": (lambda saver: line_graph(saver, "a", "b", "c"), {"log": ["again"]}),
    "delta rare": (lambda saver: delta_graph(saver, Rare), {"log": ["again"]}),
    "delta often": (lambda saver: delta_graph(saver, Often), {"log": ["again"]}),
    "fan rare": (lambda saver: fan_graph(saver, Rare), {"log": ["again"]}),
    "delta asks": (lambda saver: delta_graph(saver, Rare, asks=True), Command(resume="yes")),
    "failed": (failing_graph, {"log": ["mended"]}),
    "chat": (chat_graph, says_human(9)),
}


def build(saver: Any) -> None:
    """Make all threads."""
    for builder in BUILDERS:
        builder(saver)


def went_on(saver: Any, thread: str) -> Any:
    """What a thread looks like before it goes on, and after, without ids."""
    make, given = GOES_ON[thread]
    graph = make(saver)
    before = plain_snapshot(graph.get_state(config(thread), subgraphs=True))
    out = graph.invoke(given, config(thread))
    return before, plain(out), plain_snapshot(graph.get_state(config(thread), subgraphs=True))


def checkpoints(saver: Any, thread: str) -> dict[tuple[str, str], Any]:
    """All that a saver says of each checkpoint of a thread."""
    return {
        (found.config["configurable"]["checkpoint_ns"], found.config["configurable"]["checkpoint_id"]): {
            "checkpoint": {name: value for name, value in found.checkpoint.items() if value is not None},
            "metadata": found.metadata,
            "parent": found.parent_config and found.parent_config["configurable"],
            "writes": found.pending_writes,
        }
        for found in saver.list(config(thread))
    }


def threads(saver: Any) -> list[str]:
    return sorted({found.config["configurable"]["thread_id"] for found in saver.list(None)})


def differing(left: Any, right: Any, *, as_langgraph: bool = False) -> list[str]:
    """The threads of which two savers say different things."""
    ids = sorted({*threads(left), *threads(right)})
    return [
        thread
        for thread in ids
        if not _same(checkpoints(left, thread), checkpoints(right, thread), as_langgraph=as_langgraph)
    ]


def _same(left: dict[Any, Any], right: dict[Any, Any], *, as_langgraph: bool) -> bool:
    return left.keys() == right.keys() and all(alike(left[key], right[key], as_langgraph=as_langgraph) for key in left)


def alike(left: Any, right: Any, *, as_langgraph: bool = True) -> bool:
    """Whether two savers say the same of a checkpoint; databases do not keep the order of keys."""

    def in_order(value: Any) -> Any:
        return {key: in_order(value[key]) for key in sorted(value)} if type(value) is dict else value

    return same(
        [in_order({**left, "writes": None}), left["writes"]],
        [in_order({**right, "writes": None}), right["writes"]],
        as_langgraph=as_langgraph,
    )


@contextlib.contextmanager
def database(server: str) -> Iterator[str]:
    """A new database on a PostgreSQL server."""
    name = f"migration{next(_made)}"
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())
        yield server.rpartition("/")[0] + f"/{name}"
        db.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def sqlite(path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(str(path)) as saver:
        yield saver


@contextlib.contextmanager
def postgres(url: str) -> Iterator[PostgresSaver]:
    with PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        yield saver


def build_async(path: Path) -> None:
    """Make all threads through an AsyncSqliteSaver."""

    async def work() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            await asyncio.to_thread(build, saver)

    asyncio.run(work())


def memory() -> InMemorySaver:
    saver = InMemorySaver()
    build(saver)
    return saver
