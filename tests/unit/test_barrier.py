"""What nodes wait at: nobody is forgotten, and nobody is woken for nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from langgraph.channels import LastValue
from langgraph.pregel import NodeBuilder, Pregel

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.capture.barrier import Gate, LoopState
from langgraph_wfstore.codec import Codec, Encoded
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.values.memo import Memo

PATIENCE = 20.0


class Loop(SimpleNamespace):
    """What is looked at of LangGraph's; it can be referred to weakly."""


def loop_of(tasks: dict[str, Any], items: list[str]) -> Loop:
    """One that saves, in its first superstep, with one channel."""
    channels = {"items": SimpleNamespace(checkpoint=lambda: items)}
    return Loop(tasks=tasks, channels=channels, checkpoint={"id": "1"}, durability="async", checkpointer=object())


def test_who_waits_goes_on_when_it_is_ready():
    gate, there = Gate(), threading.Event()
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(gate.wait(there.is_set, PATIENCE))) for _ in range(5)]
    for thread in threads:
        thread.start()
    there.set()
    gate.changed()
    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [True] * 5 and not gate._waiting


def test_a_change_that_lets_nobody_go_on_wakes_nobody():
    gate, state = Gate(), {"n": 0}
    asked, woken = [], []

    def ready() -> bool:
        asked.append(threading.get_ident())
        return state["n"] == 3

    waiting = threading.Thread(target=lambda: woken.append(gate.wait(ready, PATIENCE)))
    waiting.start()
    while len(asked) < 2:  # before it entered, and after
        time.sleep(0.001)
    for _ in range(3):
        assert woken == []
        state["n"] += 1
        gate.changed()
        time.sleep(0.02)  # so that one who was woken has gone on
    waiting.join(PATIENCE)
    assert woken == [True] and asked.count(waiting.ident) == 3  # the last one is what it returns


def test_who_waits_in_vain_goes_on_and_is_forgotten():
    gate = Gate()
    assert not gate.wait(lambda: False, 0.01)
    assert not asyncio.run(gate.wait_async(lambda: False, 0.01))
    assert not gate._waiting


async def test_a_task_waits_without_blocking_its_loop():
    gate, there = Gate(), threading.Event()
    waiting = asyncio.create_task(gate.wait_async(there.is_set, PATIENCE))
    await asyncio.sleep(0.01)
    assert not waiting.done()

    def change() -> None:
        there.set()
        gate.changed()

    threading.Thread(target=change).start()
    assert await waiting


def test_no_change_is_missed_however_close_it_comes():
    gate, turn, slow = Gate(), [0], []

    def follow() -> None:
        for at in range(1, 2000):
            began = time.monotonic()
            gate.wait(lambda at=at: turn[0] >= at, PATIENCE)  # type: ignore[misc]  # mypy: no default types
            slow.append(time.monotonic() - began)

    follower = threading.Thread(target=follow)
    follower.start()
    for at in range(1, 2000):
        while len(slow) < at - 1:
            time.sleep(0)
        turn[0] = at
        gate.changed()
    follower.join(PATIENCE)
    assert len(slow) == 1999 and max(slow) < PATIENCE / 2


def test_channels_are_looked_at_once_before_and_once_after_tasks_that_run_one_after_the_other():
    looked: list[str] = []

    class Counting(Codec):
        def encode(self, value: object, where: str) -> Encoded:
            looked.append(where)
            return super().encode(value, where)

    tasks = {f"task {n}": SimpleNamespace(writes=[], path=("__pregel_push", n, False), proc=None) for n in range(100)}
    items: list[str] = []
    loop = loop_of(tasks, items)
    codec, state = Counting(WfSerializer(), Memo()), LoopState(loop, "")
    flags = []
    for number, task_id in enumerate(tasks):
        state.begun.add(task_id)
        state.enter(f"node {number}", codec)
        if number == 50:
            items.append("changed")
        flags.append(state.leave(codec))
    assert looked == ["channel 'items'"] * 2
    assert flags[:-1] == [()] * 99 and "'items' was changed in place" in flags[-1][0]


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
def test_a_change_is_flagged_though_a_node_that_only_writes_ends_last(durability: Any):
    def change(items: list[int]) -> None:
        items.append(1)

    def late(items: list[int]) -> int:
        time.sleep(0.1)
        return 1

    nodes: dict[str, Any] = {
        "changes": NodeBuilder().subscribe_only("items").do(change),
        "reads": NodeBuilder().subscribe_only("items").do(len),
        "passes on": NodeBuilder().subscribe_only("items").write_to(late=late),
    }
    channels: dict[str, Any] = {"items": LastValue(list), "late": LastValue(int)}
    with WfStoreSaver(":memory:") as saver:
        graph: Any = Pregel(
            nodes=nodes, channels=channels, input_channels="items", output_channels="late", checkpointer=saver
        )
        assert graph.invoke([0], {"configurable": {"thread_id": "t"}}, durability=durability) == 1
        flags = [flag for step in saver.store.thread("t").steps() for flag in step.flags]
    assert len(flags) == 1 and "'items' was changed in place" in flags[0]


def test_a_change_is_flagged_though_a_functional_task_never_begins():
    """One that was cancelled before, while others were running as many as may."""
    items: list[str] = []
    called = ("__pregel_push", ("__pregel_pull", "flow"), 0, True)
    paths = {"flow": ("__pregel_pull", "flow"), "changes": called, "never": called}
    tasks = {name: SimpleNamespace(writes=[], path=path, proc=None) for name, path in paths.items()}
    loop = loop_of(tasks, items)
    codec, state = Codec(WfSerializer(), Memo()), LoopState(loop, "")
    for name in ("flow", "changes"):
        state.begun.add(name)
        state.enter(name, codec)
    items.append("changed")
    assert state.leave(codec) == ()
    assert "'items' was changed in place" in state.leave(codec)[0]


def test_a_task_that_never_says_that_it_has_ended_is_not_waited_for_in_the_next_superstep():
    items: list[str] = []
    first = {name: SimpleNamespace(writes=[], path=("__pregel_pull", name), proc=None) for name in ("one", "cancelled")}
    loop = loop_of(first, items)
    codec, state = Codec(WfSerializer(), Memo()), LoopState(loop, "")
    for name in first:
        state.begun.add(name)
        state.enter(name, codec)
    assert state.leave(codec) == ()  # of "one"
    loop.checkpoint = {"id": "2"}
    loop.tasks = {name: SimpleNamespace(writes=[], path=("__pregel_pull", name), proc=None) for name in ("a", "b")}
    for name in loop.tasks:
        state.begun.add(name)
        state.enter(name, codec)
    items.append("changed")
    assert state.leave(codec) == ()
    assert "'items' was changed in place while a and b" in state.leave(codec)[0]
