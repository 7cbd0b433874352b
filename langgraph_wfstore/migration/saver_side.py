"""A store's threads as another checkpointer can hold them, and how they are put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..errors import ConflictError
from ..store import WfStore
from .comparing import Comparison
from .reader import Reader
from .remembering import remembering_saver
from .states import SHARED, Key, Node, Prepared, Seen, State, ancestors_first, by_task
from .store_side import StoreTables, store_reader
from .tables import tables_of
from .versions import VersionNames


class OutwardReader(Reader):
    """Reads a store for another saver: with versions that such a saver can hold.

    Args:
        store: the store.
        serde: what values are decoded with.
        current_only: of each thread only the line of its current branch.
        texts: whether the saver's versions are texts; else versions are left as they are.
    """

    def __init__(self, store: WfStore, serde: Any, *, current_only: bool, texts: bool) -> None:
        inner = store_reader(store, serde, current_only=current_only)
        assert isinstance(inner.tables, StoreTables)
        super().__init__(inner.saver, inner.tables)
        self._tables = inner.tables
        self._texts = texts
        self._names: dict[str, VersionNames] = {}

    def outline(self, thread: str) -> list[Node]:
        """The thread's checkpoints; from then on `state` knows what its versions are called.

        Raises:
            ConflictError: another saver would read another checkpoint than the store where none is named.
        """
        records = dict(self._tables.records(thread))
        nodes = ancestors_first(records)
        newest = max((node.checkpoint_id for node in nodes if not node.namespace), default=None)
        current = self.latest(thread)
        if newest != current:
            raise ConflictError(
                f"the current branch ends at {current!r}, and another one at {newest!r}, which is newer. Other savers "
                "have no branches and read what is newest. Nothing was written: migrate only the current branch "
                "(--current-only, or current_only=True), or switch to the newest one"
            )
        if self._texts:
            self._names[thread] = VersionNames((node, records[node]) for node in nodes)
        return nodes

    def state(self, thread: str, node: Node) -> State | None:
        """See `Reader.state`."""
        found = super().state(thread, node)
        return self._names[thread].renamed(found) if found is not None and self._texts else found

    def done(self, thread: str) -> None:
        """See `Reader.done`."""
        self._names.pop(thread, None)


class SaverWriter:
    """Puts states into a BaseCheckpointSaver; see `moving.Writer`."""

    comparison = Comparison(places=False, as_langgraph=True)

    def __init__(self, saver: Any) -> None:
        self._saver = saver
        self.reader = Reader(remembering_saver(saver), tables_of(saver))

    def known(self, thread: str) -> Mapping[Key, bool]:
        """See `moving.Writer.known`."""
        return {node.key: True for node in self.reader.outline(thread)}

    def prepare(self, state: State, seen: Seen) -> Prepared:
        """See `moving.Writer.prepare`; what the saver cannot serialize is told by an error of its serializer."""
        values = [*state.checkpoint["channel_values"].values(), *(value for _, value in state.writes)]
        return Prepared(state, sum(self._size(value, seen) for value in values))

    def _size(self, value: Any, seen: Seen) -> int:
        """The bytes that a value adds. Models that stand in a list are serialized each by itself, so once is enough."""
        if type(value) is list and all(isinstance(item, BaseModel) for item in value):
            return sum(self._dumped(item) if seen.first(item) else SHARED for item in value)
        return self._dumped(value)

    def _dumped(self, value: Any) -> int:
        return len(self._saver.serde.dumps_typed(value)[1])

    def put(self, thread: str, prepared: Prepared, *, last: bool) -> None:
        """See `moving.Writer.put`."""
        state = prepared.state
        configurable = {"thread_id": thread, "checkpoint_ns": state.node.namespace}
        if state.node.parent is not None:
            configurable["checkpoint_id"] = state.node.parent
        values = dict(state.checkpoint["channel_values"])
        # A channel without a value is not new: savers that keep values by version would forget the one they have.
        new = {name: version for name, version in state.checkpoint["channel_versions"].items() if name in values}
        checkpoint = {**state.checkpoint, "channel_values": values}
        self._saver.put({"configurable": configurable}, checkpoint, dict(state.metadata), new)
        self.add_writes(thread, state)

    def add_writes(self, thread: str, state: State) -> None:
        """See `moving.Writer.add_writes`."""
        configurable = {
            "thread_id": thread,
            "checkpoint_ns": state.node.namespace,
            "checkpoint_id": state.node.checkpoint_id,
        }
        for path, task_id, writes in by_task(state.writes):
            # Savers let special writes replace others only if all of a call are special.
            for special in (False, True):
                some = [(place.channel, value) for place, value in writes if (place.idx < 0) is special]
                if some:
                    self._saver.put_writes({"configurable": configurable}, some, task_id, path)

    def make_current(self, thread: str, checkpoint_id: str) -> None:
        """Nothing to do: what is newest is read, and `OutwardReader` has made sure that it is this one."""
