"""The writes that are pending at a branch's head go over to a merge, where its tasks have other ids.

LangGraph names a task by a hash of its checkpoint's id, superstep, node and triggers. Only a task whose id comes out
right at the head gets one at the merge.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xxhash import xxh3_128_hexdigest

from ..appending.shared import is_update
from ..codec import Codec, Encoded
from ..errors import ConflictError
from ..records import Ref, Write, WriteRecord
from ..threads.view import Entry, numbers_of
from .reducers import Channels

_NO_TASK = "00000000-0000-0000-0000-000000000000"
_PULL, _PUSH = "__pregel_pull", "__pregel_push"
_INTERRUPT, _RESUME = "__interrupt__", "__resume__"


class PendingWrites(NamedTuple):
    """The writes of one task, as they are put with a merge.

    Attributes:
        writes: (index, channel, value); a value that is stored already comes as its reference.
        numbers: the object numbers of those.
    """

    task_id: str
    task_path: str
    writes: tuple[tuple[int, str, Encoded | Ref], ...]
    numbers: Mapping[bytes, int]


class Place(NamedTuple):
    """Where tasks run: a checkpoint, and the superstep behind it."""

    checkpoint_id: str
    step: int

    def task_id(self, node: str, *how: str) -> str | None:
        """LangGraph's id of a node's task here; None if the checkpoint's id is not of LangGraph's kind."""
        try:
            name = bytes.fromhex(self.checkpoint_id.replace("-", ""))
        except ValueError:
            return None
        text = xxh3_128_hexdigest(name + "".join((node, str(self.step), node, *how)).encode("utf-8", "surrogatepass"))
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def carried(
    ours: Entry,
    at: Place,
    to: Place,
    known: Channels,
    deltas: Iterable[str],
    codec: Codec,
    read: Callable[[Ref, int], Any],
) -> tuple[PendingWrites, ...]:
    """What is pending at the head, for the tasks that the merge has.

    An open question is asked under its task's new id. What a task has that starts anew, because its id cannot be told
    or because its question was asked within a sub-graph, stays behind if it is no result.

    Args:
        at: the head with its superstep; `to`: the merge with its.
        known: what is known of the nodes.
        deltas: the head's delta channels.
        read: gives a value of the head from its reference and object number.

    Raises:
        ConflictError: a task's results would be lost, or joined twice.
    """
    tasks: dict[str, list[tuple[Write, WriteRecord, int]]] = {}
    for write, record, row in ours.effective().values():
        number = numbers_of(row, record)[write.value.id]
        tasks.setdefault(record.task_id, []).append((write, record, number))
    found = []
    for task_id, writes in sorted(tasks.items()):
        path = writes[0][1].task_path
        named = _named(task_id, path, at, to, known)
        results = [write for write, _, _ in writes if write.idx >= 0]
        if is_update(task_id, path, at.checkpoint_id) and all(write.channel not in deltas for write in results):
            continue  # of another branch that began here: it is in that one's checkpoint
        if results and (named is None or any(write.channel in deltas for write in results)):
            raise _unfinished(ours, path or task_id)
        if named is not None:
            values = tuple(_values(writes, task_id, *named, codec, read))
            numbers = {write.value.id: number for write, _, number in writes}
            found += [PendingWrites(named[1], path, values, numbers)] if values else []
    return tuple(found)


def _named(task_id: str, path: str, at: Place, to: Place, known: Channels) -> tuple[str, str] | None:
    """The node of a task, and its id at the merge; None if they cannot be told."""
    if task_id == _NO_TASK:
        return "", task_id
    kind, _, rest = path.removeprefix("~").partition(", ")
    for node, how in _ways(kind, rest, known):
        if at.task_id(node, *how) == task_id:
            new = to.task_id(node, *how)
            return None if new is None else (node, new)
    return None


def _ways(kind: str, rest: str, known: Channels) -> Iterator[tuple[str, Sequence[str]]]:
    """The nodes that may run under a path, with what else goes into their tasks' ids."""
    for node, triggers in known.nodes():
        if kind == _PULL and node == rest:
            yield node, (_PULL, *triggers)
        elif kind == _PUSH and rest.isdecimal():
            yield node, (_PUSH, str(int(rest)))


def _values(
    writes: Sequence[tuple[Write, WriteRecord, int]],
    old: str,
    node: str,
    new: str,
    codec: Codec,
    read: Callable[[Ref, int], Any],
) -> Iterator[tuple[int, str, Encoded | Ref]]:
    answers = [read(write.value, number) for write, _, number in writes if write.channel == _RESUME]
    answered = max((len(each) for each in answers if isinstance(each, list)), default=0)
    names = {_question(node, old, slot): _question(node, new, slot) for slot in range(answered + 1)}
    asked = {w.idx: _renamed(read(w.value, number), names) for w, _, number in writes if w.channel == _INTERRUPT}
    if None in asked.values():  # asked within a sub-graph, whose state is under the old name: it begins anew
        return
    for write, _, _ in sorted(writes, key=lambda item: item[0].idx):
        question = asked.get(write.idx)
        yield write.idx, write.channel, write.value if question is None else codec.encode(question, "an interrupt")


def _question(node: str, task_id: str, answered: int) -> str:
    """LangGraph's id of a question that a task asks when it has so many answers."""
    name = f"{node}:{task_id}|{answered}" if answered else f"{node}:{task_id}"
    return xxh3_128_hexdigest(name.encode("utf-8", "surrogatepass"))


def _renamed(interrupts: Any, names: Mapping[str, str]) -> Any:
    """Interrupts with the ids that they have at the merge; None if one of them was not raised by the task itself."""
    if not isinstance(interrupts, list | tuple):
        return None
    found = []
    for interrupt in interrupts:
        name = names.get(getattr(interrupt, "id", ""))
        if name is None:
            return None
        renamed = copy.copy(interrupt)
        renamed.id = name
        found.append(renamed)
    return type(interrupts)(found)


def _unfinished(ours: Entry, task: str) -> ConflictError:
    return ConflictError(
        f"checkpoint {ours.checkpoint_id!r}, the head that is merged into, has results of task {task!r}, which its "
        "superstep has not taken up yet, and which a merge would lose; nothing was written. Let the branch go on "
        "first, by graph.invoke(None, config) or by answering what it asks"
    )
