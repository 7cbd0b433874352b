"""A process that writes through several threads until it is killed, and says each thing that was acknowledged."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human


def content_digest(values: dict[str, Any]) -> str:
    """What a checkpoint holds, in short."""
    return hashlib.sha256(repr(sorted(values.items(), key=lambda item: item[0])).encode()).hexdigest()


def writes_digest(writes: Sequence[tuple[str, Any]]) -> str:
    return hashlib.sha256(repr(sorted((str(channel), repr(value)) for channel, value in writes)).encode()).hexdigest()


@dataclass
class Acknowledged:
    """What the writers of one store were told is done."""

    checkpoints: dict[tuple[str, str, str], str] = field(default_factory=dict)
    writes: dict[tuple[str, str, str, str], str] = field(default_factory=dict)
    pruned: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


def parse(said: bytes, known: Acknowledged) -> int:
    """Adds a writer's lines to what is known, in their order; gives how many there were."""
    lines = said.split(b"\n")[:-1]
    for line in lines:
        what, *rest = json.loads(line)
        if what == "put":
            known.checkpoints[rest[0], rest[1], rest[2]] = rest[3]
        elif what == "writes":
            known.writes[rest[0], rest[1], rest[2], rest[3]] = rest[4]
        elif what == "removing":  # from here on what was acknowledged may go
            _forget(known, rest[0])
        elif what == "pruned":
            known.pruned[rest[0]] = rest[1]
        elif what == "deleted":
            known.deleted.add(rest[0])
    return len(lines)


def _forget(known: Acknowledged, thread_id: str) -> None:
    known.pruned.pop(thread_id, None)
    for table in (known.checkpoints, known.writes):
        for key in [key for key in table if key[0] == thread_id]:
            del table[key]


class TalkingSaver(WfStoreSaver):
    """Says each acknowledged operation before its caller goes on; graphs use it as they use any saver."""

    pipe: int

    def say(self, *words: str) -> None:
        os.write(self.pipe, json.dumps(words).encode() + b"\n")  # one write, so lines of threads don't mix

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        digest = content_digest(checkpoint["channel_values"])
        stored = super().put(config, checkpoint, metadata, new_versions)
        keys = stored["configurable"]
        self.say("put", keys["thread_id"], keys["checkpoint_ns"], keys["checkpoint_id"], digest)
        return stored

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        digest = writes_digest(writes)
        super().put_writes(config, writes, task_id, task_path)
        keys = config["configurable"]
        self.say("writes", keys["thread_id"], keys.get("checkpoint_ns", ""), keys["checkpoint_id"], task_id, digest)


def write_until_killed(path: str, name: str, pipe: int) -> None:
    """Writes to the store at `path`; `name` is this writer's own."""
    saver = TalkingSaver(path)
    saver.pipe = pipe
    for work in (_chats, _chats_in_turn, _puts, _shares, _shares, _removes):
        threading.Thread(target=_forever, args=(work, saver, f"{name}.{threading.active_count()}"), daemon=True).start()
    threading.Event().wait()


def _forever(work: Callable[[TalkingSaver, str], None], saver: TalkingSaver, name: str) -> None:
    try:
        work(saver, name)
    except BaseException:  # noqa: BLE001  # nothing but the kill may end a writer: the parent takes this for a failure
        traceback.print_exc()
        os._exit(3)


def _chats(saver: TalkingSaver, name: str) -> None:
    """A real graph, a thread of its own."""
    graph, number = chat_graph(saver), 0
    while True:
        graph.invoke(says_human(number), config_of(f"chat {name}"), durability="sync")
        number += 1


def _chats_in_turn(saver: TalkingSaver, name: str) -> None:
    """A real graph that goes on with the thread that killed writers left, with puts in the background."""
    graph, number = chat_graph(saver), 0
    while True:
        message = says_human(0)
        message["messages"][0].id = f"{name} {number}"
        graph.invoke(message, config_of("the same chat"), durability="async")
        number += 1


def _puts(saver: TalkingSaver, name: str) -> None:
    """Checkpoints with growing lists, and writes before and after them."""
    config, values, number = config_of(f"puts {name}"), [], 0
    while True:
        values = [*values, f"{name} value {number} " + "x" * (number % 300)]
        checkpoint = checkpoint_of(
            {"list": values, "whole": len(values), "map": {"a": values[-3:], "b": [number] * 90}},
            {"list": number + 1, "whole": number + 1, "map": number + 1},
        )
        if number % 2:
            early = {"configurable": {**config["configurable"], "checkpoint_id": checkpoint["id"]}}
            _batch(saver, early, f"early {number}", number)
        config = saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])
        _batch(saver, config, f"late {number}", number)
        number += 1


def _batch(saver: TalkingSaver, config: Any, task_id: str, number: int) -> None:
    saver.put_writes(config, [("part", (i, f"batch {number} " + "y" * (40 * i))) for i in range(5)], task_id)


def _shares(saver: TalkingSaver, name: str) -> None:
    """Several writers on one thread: appends go stale, forks start."""
    number = 0
    while True:
        last = saver.get_tuple(config_of("shared"))
        config = config_of("shared") if last is None else last.config
        checkpoint = checkpoint_of({"n": f"{name} {number}", "list": [number] * (number % 5)})
        stored = saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])
        _batch(saver, stored, f"{name} {number}", number)
        number += 1


def _removes(saver: TalkingSaver, name: str) -> None:
    """Threads that are pruned, copied and deleted again."""
    number = 0
    while True:
        thread_id, config = f"short {name} {number}", config_of(f"short {name} {number}")
        for step in range(3):
            checkpoint = checkpoint_of({"n": f"{thread_id} {step}"}, {"n": step + 1})
            config = saver.put(config, checkpoint, metadata_of(step), checkpoint["channel_versions"])
        saver.say("removing", thread_id)
        saver.prune([thread_id])
        saver.say("pruned", thread_id, config["configurable"]["checkpoint_id"])
        saver.copy_thread(thread_id, f"copy of {thread_id}")
        saver.say("pruned", f"copy of {thread_id}", config["configurable"]["checkpoint_id"])
        if number % 2:
            saver.say("removing", thread_id)
            saver.delete_thread(thread_id)
            saver.say("deleted", thread_id)
        number += 1
