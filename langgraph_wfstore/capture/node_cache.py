"""Steps that did not run because LangGraph's node cache had their output: which, and when they are noted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..appending.inputs import WritesInput

_PULL = "~__pregel_pull, "  # the path of a task that a node's channels started


class CacheHits:
    """The hits of one graph's node cache that are still to be noted.

    Their writes may come before the checkpoint that they belong to, and when LangGraph's loop has gone on: they wait
    for that checkpoint, which says which superstep it was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[WritesInput] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, new: WritesInput) -> None:
        """The writes of a task that did not run."""
        with self._lock:
            self._waiting.append(new)

    def settle(self, number_of: Callable[[WritesInput], int | None], note: Callable[[WritesInput, int], None]) -> None:
        """Note those whose superstep is known, in the order of the supersteps."""
        with self._lock:
            numbered = [(new, number_of(new)) for new in self._waiting]
            self._waiting = [new for new, number in numbered if number is None]
            known = [(new, number) for new, number in numbered if number is not None]
            for new, number in sorted(known, key=lambda found: found[1]):
                note(new, number)


def was_cached(loop: Any, new: WritesInput) -> bool:
    """Whether a node cache gave the writes of a task that did not run.

    The task may be gone already when its writes come. LangGraph's own tasks do not run either, and have no cache.

    Args:
        loop: LangGraph's PregelLoop, None if it is gone.
    """
    if getattr(loop, "cache", None) is None or not new.task_path or all(index < 0 for index, _, _ in new.writes):
        return False
    task = getattr(loop, "tasks", {}).get(new.task_id)
    if task is not None:
        return task.cache_key is not None
    if not new.task_path.startswith(_PULL):
        return True
    node = getattr(loop, "nodes", {}).get(new.task_path.removeprefix(_PULL))
    return node is not None and bool(node.cache_policy or getattr(loop, "cache_policy", None)) and bool(node.node)


def node_of(loop: Any, new: WritesInput) -> str:
    """The node of a task: what LangGraph says, or the end of its path if it says nothing any more."""
    task = getattr(loop, "tasks", {}).get(new.task_id)
    return str(task.name) if task is not None else new.task_path.rpartition(", ")[2]
