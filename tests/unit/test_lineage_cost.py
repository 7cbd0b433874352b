"""What `why` and `impact` read: look-ups, however long the thread; and trees that stay readable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_wfstore import Thread, WfStoreSaver
from langgraph_wfstore.testing.scripted import ScriptedModel, says

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Counting:
    """An engine that counts what it is asked, and the rows that it gives."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.asked = 0
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._engine, name)
        if not callable(verb):
            return verb

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            found = verb(*args, **kwargs)
            self.rows += len(found) if isinstance(found, list) else 0
            return found

        return counted


@pytest.fixture
def saver() -> Iterator[WfStoreSaver]:
    with WfStoreSaver(":memory:") as saver:
        yield saver


def chat(saver: WfStoreSaver, turns: int, window: int | None = None) -> Thread:
    """A chat in which each answer saw all messages, or only the last ones."""
    model = ScriptedModel(answers=[says(f"answer {n}", f"a{n}") for n in range(turns)])
    builder = StateGraph(MessagesState).add_edge(START, "agent")
    builder.add_node("agent", lambda s: {"messages": [model.invoke(s["messages"][-(window or 0) :])]})
    graph = builder.compile(checkpointer=saver)
    for n in range(turns):
        graph.invoke({"messages": [HumanMessage(f"question {n}", id=f"h{n}")]}, CONFIG)
    return saver.store.thread("t")


def counted(saver: WfStoreSaver, thread: Thread) -> Counting:
    """Count from now on what is asked of the engine, by a process that knows nothing yet."""
    views = saver.store.views
    views.forget(views.of("t"))
    views.shelf.clear()
    engine = Counting(saver.store.backend)
    saver.store.backend = views.backend = engine  # type: ignore[assignment]  # it passes everything on
    return engine


def cost_of(ask: Callable[[Thread, str], Any], turns: int) -> tuple[int, int]:
    """How often a question about the last call of a chat asks the engine, and how many rows it reads."""
    with WfStoreSaver(":memory:") as saver:
        thread = chat(saver, turns, window=1)
        last = thread.calls()[-1].call_id
        engine = counted(saver, thread)
        ask(thread, last)
        return engine.asked, engine.rows


@pytest.mark.parametrize("ask", [lambda thread, _: thread.why(), lambda thread, call: thread.impact(call)])
def test_what_stands_at_the_end_takes_the_same_look_ups_however_long_the_thread(ask: Callable[[Thread, str], Any]):
    (few, some), (many, more) = cost_of(ask, 25), cost_of(ask, 75)
    assert many <= few + 4 and few < 40
    assert more <= some + 3 * 50 + 10  # per turn two elements of the list that is asked about, and one run


def test_why_of_a_whole_chat_asks_a_few_times_per_question_and_gives_each_message_once(saver: WfStoreSaver):
    thread = chat(saver, 40)
    engine = counted(saver, thread)
    links = list(thread.why().walk())
    assert engine.asked < 40 * 2 + 60
    first = [link.id for link in links if link.kind == "message" and not link.again]
    assert sorted(map(str, first)) == sorted([f"a{n}" for n in range(40)] + [f"h{n}" for n in range(40)])
    assert len(links) < 40 * 16


def test_many_messages_that_stand_above_are_one_link(saver: WfStoreSaver):
    thread = chat(saver, 12)
    links = list(thread.why().walk())
    folded = [link for link in links if link.kind == "messages"]
    assert [(link.facts["first"], link.facts["last"], link.facts["count"]) for link in folded][-1] == ("h0", "h10", 21)
    assert all(link.again for link in folded) and "21 messages  (shown above)" in str(thread.why())
    assert not [link for link in chat_of_three().walk() if link.kind == "messages"]


def chat_of_three() -> Any:
    with WfStoreSaver(":memory:") as saver:
        return chat(saver, 3).why()


def test_a_chain_of_answers_may_be_longer_than_the_stack(saver: WfStoreSaver):
    thread = chat(saver, 150, window=2)
    found = thread.why()
    assert len([link for link in found.walk() if link.kind == "call"]) == 150
    assert str(found).count("model call") == 150
    deepest, depth = found.as_dict()["root"], 0
    while deepest["links"]:
        deepest, depth = deepest["links"][1 if len(deepest["links"]) > 1 else 0], depth + 1
    assert depth > 250
