"""What is moved: the checkpoints of a thread by name, and the state of one with its pending writes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from langgraph.checkpoint.base import WRITES_IDX_MAP

from ..errors import WfStoreError

Key = tuple[str, str]
"""Namespace and id of a checkpoint."""

_NO_TASK = "00000000-0000-0000-0000-000000000000"
"""What LangGraph puts in the place of a task id, if it is no task that writes."""


class Node(NamedTuple):
    """A checkpoint without its state; `parent` is the id of the checkpoint it was made from."""

    namespace: str
    checkpoint_id: str
    parent: str | None

    @property
    def key(self) -> Key:
        """What it is found by within its thread."""
        return self.namespace, self.checkpoint_id


class Place(NamedTuple):
    """Where a pending write stands among those of its checkpoint; they are ordered by the first three."""

    task_path: str
    task_id: str
    idx: int
    channel: str


class State(NamedTuple):
    """A checkpoint with all that belongs to it.

    Attributes:
        checkpoint: LangGraph's, with its channel values.
        metadata: LangGraph's.
        writes: pending writes, each with its value, in their order.
    """

    node: Node
    checkpoint: Mapping[str, Any]
    metadata: Mapping[str, Any]
    writes: Sequence[tuple[Place, Any]]


def ancestors_first(nodes: Iterable[Node]) -> list[Node]:
    """The checkpoints of a thread, each behind its parent, and else in the order of their ids.

    What has the largest id comes last if nothing stands in its way. So a store that takes what was put last for the
    newest agrees with one that takes the largest id.

    Raises:
        WfStoreError: parents go in a circle.
    """
    by_key = {node.key: node for node in nodes}
    children: dict[Key, list[Node]] = {}
    ready: list[tuple[str, str]] = []
    for node in by_key.values():
        above = None if node.parent is None else (node.namespace, node.parent)
        if above is None or above not in by_key:
            ready.append((node.checkpoint_id, node.namespace))
        else:
            children.setdefault(above, []).append(node)
    heapq.heapify(ready)
    ordered: list[Node] = []
    while ready:
        checkpoint_id, namespace = heapq.heappop(ready)
        node = by_key[namespace, checkpoint_id]
        ordered.append(node)
        for child in children.get(node.key, ()):
            heapq.heappush(ready, (child.checkpoint_id, child.namespace))
    if len(ordered) < len(by_key):
        left = sorted(by_key.keys() - {node.key for node in ordered})
        raise WfStoreError(
            f"{len(left)} checkpoints are, or come after, ancestors of themselves, {left[0][1]!r} (namespace "
            f"{left[0][0]!r}) is one: no history has a circle of parents. Repair the parents in the source"
        )
    return ordered


def placed(writes: Iterable[tuple[str, str, Any]]) -> list[tuple[Place, Any]]:
    """Places for pending writes of which only the order is known, such that they keep it.

    A task's ordinary writes are counted, the special ones have LangGraph's own indices. The paths of the tasks are
    empty if the order is that of the tasks' ids; otherwise a made-up path keeps it: `~migrated, 000001`. What belongs
    to no task stands in front, without a path, as LangGraph puts it.
    """
    groups = [(task_id, list(group)) for task_id, group in groupby(writes, key=lambda write: write[0])]
    ids = [task_id for task_id, _ in groups]
    in_order = ids == sorted(set(ids))
    counts: dict[str, int] = {}
    found: list[tuple[Place, Any]] = []
    paths = 0
    for task_id, group in groups:
        path = "" if in_order or (task_id == _NO_TASK and not found) else f"~migrated, {paths:06}"
        paths += bool(path)
        for _, channel, value in group:
            idx = WRITES_IDX_MAP.get(channel)
            if idx is None:
                idx = counts.get(task_id, 0)
                counts[task_id] = idx + 1
            found.append((Place(path, task_id, idx, channel), value))
    return found


def by_task(writes: Sequence[tuple[Place, Any]]) -> Iterable[tuple[str, str, list[tuple[Place, Any]]]]:
    """The writes of one task after the other: path, id, writes."""
    for (path, task_id), group in groupby(writes, key=lambda write: write[0][:2]):
        yield path, task_id, list(group)


class Seen:
    """The objects of a thread's states that were met: one that stands in many states is held once.

    Attributes:
        growing: whether further ones are noted. They are kept alive, so that their identities stay theirs.
    """

    def __init__(self) -> None:
        self.growing = True
        self._objects: dict[int, Any] = {}

    def first(self, met: object) -> bool:
        """Whether an object is met for the first time, as far as that is noted."""
        if id(met) in self._objects:
            return False
        if self.growing:
            self._objects[id(met)] = met
        return True


SHARED = 32
"""About how many bytes a state takes for an object that another one has too."""


class Prepared(NamedTuple):
    """A state that can be put.

    Attributes:
        size: bytes of its serialized values, as far as no state before had the same objects.
        made: what its writer has made of it.
    """

    state: State
    size: int
    made: Any = None
