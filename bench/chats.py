"""The workloads on chats: a growing chat, what can be done with one, and many at once."""

from __future__ import annotations

import statistics
from typing import Annotated, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import StateSnapshot

from bench.content import MESSAGE_CHARACTERS, answer, conversation, human, text
from bench.driver import Driver, Graph, Turns
from bench.stopwatch import Lap

THREAD = "t"
CHECKPOINTS_PER_TURN = 3
"""The input, the start of the node and its result."""
FORK_TURNS = 5
THREAD_TURNS = 5


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class ReadBackError(AssertionError):
    """What a saver gave back is not what it was given."""


def require(correct: bool, what: str) -> None:
    """Fail the run unless the read-back was correct."""
    if not correct:
        raise ReadBackError(f"{what}: what was read back is not what was saved; this saver's figures do not count")


def config(thread: str = THREAD) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


def contents(snapshot: StateSnapshot) -> list[str]:
    """The contents of the messages of a state."""
    return [message.content for message in snapshot.values["messages"]]


def chat_graph(driver: Driver) -> Graph:
    """One node, which answers the last message of the user."""

    def bot(state: Chat) -> Chat:
        thread, _, turn = str(state["messages"][-1].id).rpartition("-h")
        return {"messages": [answer(thread, int(turn))]}

    builder = StateGraph(Chat)
    builder.add_node("bot", driver.node(bot))
    builder.add_edge(START, "bot")
    builder.add_edge("bot", END)
    return builder.compile(checkpointer=driver.checkpointer)


def turns(thread: str, count: int) -> Turns:
    return [({"messages": [human(thread, turn)]}, config(thread)) for turn in range(count)]


def chat(driver: Driver, size: int) -> dict[str, float]:
    """One thread, `size` turns of 600 characters each way, one invocation per turn."""
    graph, inputs = chat_graph(driver), turns(THREAD, size)
    steps: list[float] = []
    for value, where in inputs:
        with Lap() as lap:
            driver.invoke(graph, value, where)
        steps.append(lap.seconds)
    require(contents(driver.state(graph, config())) == conversation(THREAD, size), "chat")
    tail = steps[-max(20, size // 10) :]
    return {"wall_s": sum(steps), "last_turns_ms": statistics.median(tail) * 1e3}


def resume(driver: Driver, size: int, chat_turns: int) -> dict[str, float]:
    """`size` times: open the saver anew, compile the graph, get the latest state."""
    expected = conversation(THREAD, chat_turns)
    opened: list[float] = []
    read: list[float] = []
    for _ in range(size):
        if driver.saver.persistent:
            driver.close()
        with Lap() as whole:
            if driver.saver.persistent:
                driver.open()
            graph = chat_graph(driver)
            with Lap() as reading:
                state = driver.state(graph, config())
        opened.append(whole.seconds)
        read.append(reading.seconds)
        require(contents(state) == expected, "resume")
    return {
        "wall_s": sum(opened),
        "resume_ms": statistics.median(opened) * 1e3,
        "get_state_ms": statistics.median(read) * 1e3,
    }


def history(driver: Driver, size: int, chat_turns: int) -> dict[str, float]:
    """The ten newest states (median of 5), then `size` times every state of the chat."""
    graph = chat_graph(driver)
    newest: list[float] = []
    for _ in range(5):
        found: list[StateSnapshot] = []
        with Lap() as lap:
            driver.history(graph, config(), found.append, limit=10)
        newest.append(lap.seconds)
        require(len(found) == 10 and contents(found[0]) == conversation(THREAD, chat_turns), "history, limit=10")
    lengths: list[int] = []
    with Lap() as lap:
        for _ in range(size):
            driver.history(graph, config(), lambda state: lengths.append(len(state.values.get("messages", ()))))
    require(lengths == _message_counts(chat_turns) * size, "history")
    return {"wall_s": lap.seconds / size, "newest10_ms": statistics.median(newest) * 1e3}


def _message_counts(chat_turns: int) -> list[int]:
    """How many messages each checkpoint of a chat holds, newest first."""
    oldest_first = [count for turn in range(chat_turns) for count in (2 * turn, 2 * turn + 1, 2 * turn + 2)]
    return oldest_first[::-1]


def fork(driver: Driver, size: int, chat_turns: int) -> dict[str, float]:
    """`size` forks from the middle of the chat: an update_state there, then 5 turns on it."""
    graph = chat_graph(driver)
    middle = _middle(driver, graph, chat_turns)
    where, kept = middle.config, contents(middle)
    before = driver.stored_bytes()
    graph = chat_graph(driver)
    wall = 0.0
    for number in range(size):
        name = f"fork{number}"
        edit = text(f"{name} edit", MESSAGE_CHARACTERS)
        inputs = [human(name, turn) for turn in range(FORK_TURNS)]
        with Lap() as lap:
            driver.update(graph, where, {"messages": [HumanMessage(edit, id=f"{name}-edit")]}, as_node="bot")
            for message in inputs:
                driver.invoke(graph, {"messages": [message]}, config())
        wall += lap.seconds
        state = contents(driver.state(graph, config()))
        require(state == [*kept, edit, *conversation(name, FORK_TURNS)], "fork")
    return {"wall_s": wall, "bytes_per_fork": (driver.stored_bytes() - before) / size}


def _middle(driver: Driver, graph: Graph, chat_turns: int) -> StateSnapshot:
    """The state at the end of the turn in the middle of the chat."""
    found: list[StateSnapshot] = []

    def keep(state: StateSnapshot) -> None:
        if not state.next and len(state.values["messages"]) == chat_turns // 2 * 2:
            found.append(state)

    driver.history(graph, config(), keep)
    require(len(found) == 1, "fork, the state in the middle")
    return found[0]


def threads(driver: Driver, size: int) -> dict[str, float]:
    """`size` threads of 5 turns each: 8 at once in a pool, or 32 at once on an event loop."""
    graph, names = chat_graph(driver), [f"k{number}" for number in range(size)]
    conversations = [turns(name, THREAD_TURNS) for name in names]
    with Lap() as lap:
        driver.invoke_all(graph, conversations)
    for name in names:
        require(contents(driver.state(graph, config(name))) == conversation(name, THREAD_TURNS), f"threads, {name}")
    checkpoints = size * THREAD_TURNS * CHECKPOINTS_PER_TURN
    return {"wall_s": lap.seconds, "checkpoints_per_s": checkpoints / lap.seconds}
