"""The micro workload: put and put_writes as a graph would call them, without a graph."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from bench.chats import require
from bench.content import answer, human
from bench.driver import Driver
from bench.stopwatch import Lap

WINDOW = 10
"""How many messages each checkpoint holds; one of them is new."""
THREAD = "m"


def micro(driver: Driver, size: int) -> dict[str, float]:
    """`size` puts of a window of 10 messages, one after the other, then `size` put_writes."""
    messages: list[AnyMessage] = []
    for turn in range((size + WINDOW) // 2 + 1):
        messages += [human(THREAD, turn), answer(THREAD, turn)]
    checkpoints = _checkpoints(driver, messages, size)
    puts, put_writes = _puts(checkpoints), _put_writes(checkpoints, messages)
    with Lap() as put:
        driver.put_each(puts)
    with Lap() as write:
        driver.put_writes_each(put_writes)
    last = driver.get_tuple(_config())
    window = messages[size - 1 : size - 1 + WINDOW]
    require(last is not None and last.checkpoint["channel_values"]["messages"] == window, "micro")
    require(last is not None and len(last.pending_writes or ()) == 2, "micro, pending writes")
    return {
        "wall_s": put.seconds + write.seconds,
        "put_per_s": size / put.seconds,
        "put_writes_per_s": size / write.seconds,
    }


def _config(checkpoint_id: str | None = None) -> RunnableConfig:
    named = {} if checkpoint_id is None else {"checkpoint_id": checkpoint_id}
    return {"configurable": {"thread_id": THREAD, "checkpoint_ns": "", **named}}


def _checkpoints(driver: Driver, messages: list[AnyMessage], size: int) -> list[Checkpoint]:
    saver, made, version = driver.checkpointer, [], None
    start = saver.get_next_version(None, None)
    for number in range(size):
        version = saver.get_next_version(version, None)
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6(clock_seq=number))
        checkpoint["channel_values"] = {"messages": messages[number : number + WINDOW]}
        checkpoint["channel_versions"] = {"__start__": start, "branch:to:bot": version, "messages": version}
        checkpoint["versions_seen"] = {
            "__input__": {},
            "__start__": {"__start__": start},
            "bot": {"branch:to:bot": version},
        }
        made.append(checkpoint)
    return made


def _puts(checkpoints: list[Checkpoint]) -> list[tuple[Any, ...]]:
    """The arguments of each put: parent's config, checkpoint, metadata, new versions."""
    parents = [None, *(checkpoint["id"] for checkpoint in checkpoints)]
    return [
        (
            _config(parent),
            checkpoint,
            {"source": "loop", "step": step, "parents": {}},
            {"messages": checkpoint["channel_versions"]["messages"]},
        )
        for step, (parent, checkpoint) in enumerate(zip(parents, checkpoints, strict=False))
    ]


def _put_writes(checkpoints: list[Checkpoint], messages: list[AnyMessage]) -> list[tuple[Any, ...]]:
    """The arguments of each put_writes: config, writes, task id, task path."""
    return [
        (
            _config(checkpoint["id"]),
            [("messages", [messages[number + WINDOW]]), ("branch:to:bot", None)],
            f"task-{number:032}",
            "~__pregel_pull, bot",
        )
        for number, checkpoint in enumerate(checkpoints)
    ]
