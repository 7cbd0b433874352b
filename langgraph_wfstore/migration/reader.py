"""Reading any checkpointer a checkpoint at a time: which threads and checkpoints it has, and the state of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import WfStoreError
from .states import Node, Place, State, placed
from .tables import Tables

_ATTEMPTS = 20


class Reader:
    """Reads one saver.

    Args:
        saver: a BaseCheckpointSaver.
        tables: what tells ids and places without reading states; None if only the saver's interface is there.
        lister: the same saver, but one that lists whatever it cannot read the values of.
    """

    def __init__(self, saver: Any, tables: Tables | None = None, lister: Any = None) -> None:
        self.saver = saver
        self.tables = tables
        self._lister = saver if lister is None else lister

    def thread_ids(self) -> Iterator[Any]:
        """The ids of all threads, as the saver has them."""
        if self.tables is not None:
            return iter(self.tables.thread_ids())
        return iter({found.config["configurable"]["thread_id"]: None for found in self._lister.list(None)})

    def outline(self, thread: Any) -> list[Node]:
        """The checkpoints of a thread in all namespaces; none if there is no such thread."""
        if self.tables is not None:
            return self.tables.outline(thread)
        return [_node(found) for found in self._lister.list({"configurable": {"thread_id": thread}})]

    def latest(self, thread: Any) -> str | None:
        """Id of the checkpoint that is read where none is named."""
        if self.tables is not None:
            return self.tables.latest(thread)
        found = self._lister.get_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ""}})
        return None if found is None else _node(found).checkpoint_id

    def state(self, thread: Any, node: Node) -> State | None:
        """The state of a checkpoint; None if it is not there.

        Raises:
            WfStoreError: its pending writes change faster than they can be read.
        """
        for _ in range(_ATTEMPTS):
            found = self.saver.get_tuple(_config(thread, node))
            if found is None:
                return None
            writes = self._placed(thread, node, found.pending_writes or [])
            if writes is not None:
                return State(_node(found), found.checkpoint, found.metadata, writes)
        raise WfStoreError(
            f"the pending writes of checkpoint {node.checkpoint_id!r} changed {_ATTEMPTS} times while they were read; "
            "stop the run that writes them, or try again"
        )

    def _placed(
        self, thread: Any, node: Node, writes: Sequence[tuple[str, str, Any]]
    ) -> list[tuple[Place, Any]] | None:
        """The writes with their places; None if some came between the two looks."""
        if self.tables is None:
            return placed(writes)
        places = self.tables.places(thread, node)
        if [(place.task_id, place.channel) for place in places] != [write[:2] for write in writes]:
            return None
        return [(place, value) for place, (_, _, value) in zip(places, writes, strict=True)]

    def history(self, thread: Any, node: Node, channels: Sequence[str]) -> Mapping[str, Any]:
        """What delta channels are rebuilt from at a checkpoint; see LangGraph's `get_delta_channel_history`."""
        found: Mapping[str, Any] = self.saver.get_delta_channel_history(config=_config(thread, node), channels=channels)
        return found

    def done(self, thread: Any) -> None:
        """A thread is not read any more: nothing has to be held for it."""


def _config(thread: Any, node: Node) -> dict[str, Any]:
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": node.namespace,
            "checkpoint_id": node.checkpoint_id,
        }
    }


def _node(found: Any) -> Node:
    configurable = found.config["configurable"]
    above = found.parent_config
    parent = None if above is None else above["configurable"].get("checkpoint_id")
    return Node(configurable.get("checkpoint_ns") or "", found.checkpoint["id"], parent or None)
