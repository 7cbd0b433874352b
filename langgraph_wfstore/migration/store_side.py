"""A store as what is migrated into or out of: its checkpoints by name, and how states are put."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..appending.inputs import CheckpointInput, WritesInput
from ..appending.putting import encode_checkpoint
from ..backends.base import CHECKPOINT
from ..branching.branches import name_of
from ..canonical import utf8
from ..codec import Codec, Encoded, EncodedList, EncodedMap, Serializer
from ..records import CheckpointRecord, Ref
from ..saver import WfStoreSaver
from ..saver.configs import CHECKPOINT_KEYS
from ..serde import WfSerializer
from ..store import WfStore
from ..threads.view import Entry, entries_of, read_rows
from ..values.shelf import Shelf
from .comparing import Comparison
from .reader import Reader
from .remembering import OneOfEach
from .states import SHARED, Key, Node, Place, Prepared, Seen, State, by_task

_PAGE = 1000  # records
_HELD = 8 << 20  # bytes of stored objects that a reader holds


class StoreTables:
    """Ids, parents and places of writes in a store; see `tables.Tables`.

    Args:
        store: the store.
        current_only: of each thread only the line of its current branch, with what belongs to it.
    """

    def __init__(self, store: WfStore, *, current_only: bool = False) -> None:
        self._store = store
        self._current_only = current_only

    def thread_ids(self) -> Iterator[str]:
        return self._store.thread_ids()

    def entries(self, thread: str) -> dict[Key, Entry]:
        """The checkpoints of a thread, those that were pruned too, in the order in which they came."""
        tail = self._store.backend.find(utf8(thread))
        found: dict[Key, Entry] = {}
        after = 0
        while tail is not None and (page := self._store.backend.records(tail.row.number or 0, after, _PAGE)):
            found.update(entries_of(read_rows(row for row in page if row.kind == CHECKPOINT)))
            after = page[-1].seq
        return found

    def records(self, thread: str) -> list[tuple[Node, CheckpointRecord]]:
        """The checkpoints that are shown, each with the nearest ancestor that is."""
        entries = self.entries(thread)
        wanted = {key for key, entry in entries.items() if entry.shown}
        if self._current_only:
            wanted &= self._current(thread)
        return [
            (Node(*key, _nearest(entries, entry)), entry.record)
            for key, entry in entries.items()
            if key in wanted and entry.record is not None
        ]

    def _current(self, thread: str) -> set[Key]:
        view = self._store.views.of(thread)
        with view.lock:
            self._store.views.refresh(view)
            name = name_of(view.heads[0 if view.row is None else view.row.current])
        found = self._store.history(thread, None, self._store.codec, branch=name)
        return {(stored.record.namespace, stored.record.checkpoint_id) for stored in found}

    def outline(self, thread: str) -> list[Node]:
        return [node for node, _ in self.records(thread)]

    def latest(self, thread: str) -> str | None:
        view = self._store.views.of(thread)
        with view.lock:
            self._store.views.refresh(view)
            if not view.stored or view.row is None:
                return None
            head = view.head(self._store.backend, view.row.current)
        return None if head is None else head.checkpoint_id

    def places(self, thread: str, node: Node) -> list[Place]:
        view = self._store.views.of(thread)
        with view.lock:
            self._store.views.refresh(view)
            entry = view.entry(self._store.backend, *node.key)
            effective = {} if entry is None else entry.effective()
            return sorted(
                Place(record.task_path, record.task_id, write.idx, write.channel)
                for write, record, _ in effective.values()
            )


def _nearest(entries: Mapping[Key, Entry], entry: Entry) -> str | None:
    """The nearest ancestor that is shown; a parent that never arrived is given as it was put."""
    parent = entry.parent
    while parent is not None and (above := entries.get((entry.namespace, parent))) is not None:
        if above.shown:
            return parent
        parent = above.parent
    return parent


def store_reader(store: WfStore, serde: Any, *, current_only: bool = False) -> Reader:
    """Reads a store through its saver, from the engine itself: nothing that a writer in this process holds is used."""
    apart = WfStore(store.backend)
    apart.views.shelf = Shelf(_HELD)  # each thread is read once
    apart.views.memo = OneOfEach()
    return Reader(WfStoreSaver(apart, serde=serde, capture=False), StoreTables(apart, current_only=current_only))


class StoreWriter:
    """Puts states into a store; see `moving.Writer`.

    Args:
        store: the store.
        serde: what values are serialized with.
    """

    comparison = Comparison()

    def __init__(self, store: WfStore, serde: Serializer) -> None:
        self._store = store
        memo = store.views.memo if isinstance(serde, WfSerializer) else store.views.new_memo()
        self._codec = Codec(serde, memo)
        store.note_serializer(self._codec)
        self._tables = StoreTables(store)
        self.reader = store_reader(store, serde)

    def known(self, thread: str) -> dict[Key, bool]:
        """See `moving.Writer.known`."""
        return {key: entry.shown for key, entry in self._tables.entries(thread).items()}

    def prepare(self, state: State, seen: Seen) -> Prepared:
        """See `moving.Writer.prepare`.

        Raises:
            UnsupportedValueError: a value cannot be stored.
        """
        checkpoint = state.checkpoint
        new = CheckpointInput(
            namespace=state.node.namespace,
            checkpoint_id=checkpoint["id"],
            parent=state.node.parent,
            values=checkpoint["channel_values"],
            versions=checkpoint["channel_versions"],
            new_versions=(),
            versions_seen=checkpoint["versions_seen"],
            updated_channels=checkpoint.get("updated_channels"),
            v=checkpoint["v"],
            ts=checkpoint["ts"],
            metadata=state.metadata,
            extra={name: value for name, value in checkpoint.items() if name not in CHECKPOINT_KEYS},
        )
        # Nothing is inherited from the parent: what the source holds counts, also where it was changed in place.
        encoded = encode_checkpoint(self._codec, new, None)
        channels = {name: value for name, value in encoded.channels.items() if not isinstance(value, Ref)}
        writes = [self._codec.encode(value, f"a write to channel {place.channel!r}") for place, value in state.writes]
        size = sum(_size(each, seen) for each in (*channels.values(), encoded.metadata, *writes))
        return Prepared(state, size, new._replace(encoded=channels))

    def put(self, thread: str, prepared: Prepared, *, last: bool) -> None:
        """See `moving.Writer.put`."""
        self._store.put_checkpoint(thread, prepared.made, self._codec)
        self._put_writes(thread, prepared.state, seal=last)

    def add_writes(self, thread: str, state: State) -> None:
        """See `moving.Writer.add_writes`."""
        self._put_writes(thread, state, seal=True)

    def _put_writes(self, thread: str, state: State, *, seal: bool) -> None:
        tasks = list(by_task(state.writes))
        for number, (path, task_id, writes) in enumerate(tasks):
            new = WritesInput(
                namespace=state.node.namespace,
                checkpoint_id=state.node.checkpoint_id,
                task_id=task_id,
                task_path=path,
                writes=[(place.idx, place.channel, value) for place, value in writes],
                ends_run=seal and number == len(tasks) - 1,
            )
            self._store.put_writes(thread, new, self._codec)

    def make_current(self, thread: str, checkpoint_id: str) -> None:
        """See `moving.Writer.make_current`."""
        if self._tables.latest(thread) == checkpoint_id:
            return
        handle = self._store.thread(thread)
        name = next((branch.name for branch in handle.branches() if branch.head == checkpoint_id), None)
        if name is None:  # it is in the middle of a line
            name = f"at {checkpoint_id}"
            handle.create_branch(name, at=checkpoint_id)
        handle.switch(name)


def _size(encoded: Encoded, seen: Seen) -> int:
    """The bytes that an encoded value adds; only of a model it is sure that an equal one before is the same object."""
    if isinstance(encoded, EncodedList):
        return sum(leaf.size if leaf.shape is None or seen.first(leaf) else SHARED for leaf in encoded.leaves)
    if isinstance(encoded, EncodedMap):
        return encoded.shell.size + sum(_size(part, seen) for _, part in encoded.holes)
    return encoded.size
