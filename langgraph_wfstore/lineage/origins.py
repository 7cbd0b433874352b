"""Where the value of a channel came from: the checkpoint that it came with, and the records of what wrote it there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..records import CheckpointRecord, Ref, RunRecord, StepRecord
from ..threads.view import Entry
from ..tracing.infos import RunInfo, StepInfo
from ..tracing.normal import message
from ..values.masks import is_message
from .evidence import Evidence
from .items import Parts, Place

START = "__start__"  # LangGraph's task that takes the input to the channels
_FIRST, _LARGEST = 16, 256  # checkpoints whose lists are read together
Root = tuple[Entry, CheckpointRecord]


class Origins:
    """Goes back from one checkpoint, once and only as far as it is asked.

    Args:
        evidence: of the thread.
        checkpoint_id: where to start.
        channel: which channel.

    Attributes:
        channel: as it was given.
    """

    def __init__(self, evidence: Evidence, checkpoint_id: str, channel: str) -> None:
        self._evidence = evidence
        self._ancestry = evidence.ancestry
        self._checkpoint_id = checkpoint_id
        self.channel = channel
        self._found: dict[bytes, Entry] = {}
        self._walk = self._added()

    def of_whole(self, ref: Ref | None) -> Entry | None:
        """The checkpoint since which the channel has had this value."""
        origin = None
        for entry, record in self._ancestry.back(self._checkpoint_id):
            if not any(c.name == self.channel and c.value == ref for c in record.channels):
                break
            origin = entry
        return origin

    def of_element(self, name: bytes) -> Entry | None:
        """The checkpoint that an element of the channel's list came with, by its object id; None if there is none."""
        while name not in self._found:
            step = next(self._walk, None)
            if step is None:
                return None
            self._found.setdefault(*step)
        return self._found[name]

    def _added(self) -> Iterator[tuple[bytes, Entry]]:
        """Going back, each element of the list with the checkpoint that it came with."""
        newer: tuple[Entry, tuple[bytes, ...]] | None = None
        held: Counter[bytes] = Counter()
        for entry, parts in self._lists():
            names = () if parts is None else parts.names
            if newer is None:
                held.update(self._evidence.items.expand(names))
            else:
                gone, come = self._evidence.items.apart(newer[1], names)
                held.subtract(gone)
                held.update(come)
                yield from ((name, newer[0]) for name in gone if held[name] <= 0)
            newer = entry, names
        if newer is not None:
            yield from ((name, newer[0]) for name in self._evidence.items.expand(newer[1]))

    def _lists(self) -> Iterator[tuple[Entry, Parts | None]]:
        """Going back, each checkpoint with the channel's list."""
        back = self._ancestry.back(self._checkpoint_id)
        size = _FIRST
        while some := list(islice(back, size)):
            places = [(entry, place_in(entry, record, self.channel)) for entry, record in some]
            self._evidence.items.expect(place for _, place in places if place is not None)
            for entry, place in places:
                yield entry, None if place is None else self._evidence.items.parts(*place)
            size = min(2 * size, _LARGEST)

    # ------------------------------------------------------------------ what wrote it

    def tasks(self, above: Entry, name: bytes | None, item: Any) -> set[str] | None:
        """The tasks whose writes hold a value; if none does, those that wrote the channel; None if none are there."""
        items = self._evidence.items
        writes = [
            (START if record.task_path.endswith(f", {START}") else record.task_id, (row, record, write.value))
            for row, record in self._ancestry.writes_at(above.namespace, above.checkpoint_id)
            for write in record.writes
            if write.channel == self.channel
        ]
        writing = {task for task, _ in writes}
        if len(writing) < 2:
            return writing or None
        holding: set[str] = set()
        if name is not None:
            holding = {task for task, place in writes if name in (place[2].id, *(items.ids(*place) or ()))}
        if not holding:
            holding = {task for task, place in writes if _is_or_has(items.value(*place), item)}
        return holding or writing

    def steps(self, above: Entry | None, origin: Entry) -> list[StepInfo]:
        """The steps whose superstep made a checkpoint; of a run that saved only at its end, its last ones."""
        anchor = None if above is None else above.checkpoint_id
        found = [r for r in self._between(above, origin) if isinstance(r, StepRecord) and not r.namespace]
        here = [record for record in found if record.checkpoint_id == anchor] or found
        last = {record.task_id: record for record in here}  # of several attempts, and of several runs, the last one
        steps = [self._evidence.trace(record.run_id).step(record.step_id) for record in last.values()]
        return [step for step in steps if step is not None]

    def given_run(self, above: Entry | None, origin: Entry, item: Any) -> RunInfo | None:
        """The run that was given a value as input, if one did that saved only at its end."""
        for record in self._between(above, origin):
            run = self._evidence.trace(record.run_id).run(record.run_id) if isinstance(record, RunRecord) else None
            if run is not None and holds(run.input, item):
                return run
        return None

    def input_run(self, origin: Entry) -> RunInfo | None:
        """The run that put an input checkpoint, if it was captured."""
        assert origin.record is not None and origin.row is not None
        seq = origin.row.seq
        runs = self._evidence.runs_from(origin.record.parent_checkpoint_id)
        if not runs:
            return None
        _, record = min(runs, key=lambda found: abs(found[0].seq - seq))
        return self._evidence.trace(record.run_id).run(record.run_id)

    def _between(self, above: Entry | None, origin: Entry) -> Iterator[Any]:
        assert origin.row is not None
        after = above.row.seq if above is not None and above.row is not None else 0
        return (record for page in self._ancestry.between(after, origin.row.seq) for _, record in page)


def place_in(entry: Entry, record: CheckpointRecord, channel: str) -> Place | None:
    """Where a checkpoint has the value of a channel; None if it has none."""
    ref = next((c.value for c in record.channels if c.name == channel), None)
    return None if ref is None or entry.row is None else (entry.row, record, ref)


def _is_or_has(value: Any, item: Any) -> bool:
    return bool(value == item) or (isinstance(value, list) and item in value)


def holds(value: Any, item: Any) -> bool:
    """Whether a value is this, or has it as an element or in one of its values; messages by what they say."""
    if is_message(value) and is_message(item):
        return bool(value.type == item.type and message(value) == message(item))
    if isinstance(value, dict):
        return any(holds(part, item) for part in value.values())
    if isinstance(value, list | tuple):
        return value == item or any(holds(part, item) for part in value)
    if type(value).__name__ == "Command":
        return holds(value.update, item)
    return type(value) is type(item) and bool(value == item)


def lists_beside(evidence: Evidence, entry: Entry, channel: str) -> list[Origins]:
    """The origins of the other channels of a checkpoint that hold lists; LangGraph's own channels left out."""
    assert entry.record is not None
    names = [c.name for c in entry.record.channels if c.name != channel and not c.name.startswith("__")]
    places = [(name, place_in(entry, entry.record, name)) for name in names]
    lists = [name for name, place in places if place is not None and evidence.items.parts(*place) is not None]
    return [Origins(evidence, entry.checkpoint_id, name) for name in lists]
