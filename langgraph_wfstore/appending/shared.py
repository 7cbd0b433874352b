"""Writes at a checkpoint at which two branches stand: what one of them writes there would count on the other."""

from __future__ import annotations

import uuid

from ..backends.base import BRANCH, KEPT, SWITCH, Backend, BranchRow
from ..branching.branches import branch_named, name_of
from ..errors import ConflictError
from ..format import read_record
from ..records import BranchRecord, Kind
from ..threads.view import Entry, ThreadView
from .inputs import CheckpointInput, WritesInput

_INTERRUPT = "__interrupt__"
_PAGE = 1000
_UPDATE = f"~{_INTERRUPT}, "  # LangGraph's path of what update_state writes; a number follows


def task_beside(view: ThreadView, backend: Backend, new: WritesInput, entry: Entry | None) -> str:
    """The task id under which writes are stored, so that no other branch takes an update for a task's result.

    LangGraph finds the pending writes of a checkpoint by its id, whatever branch they were made on. An update stands
    for a task that waits there; its own branch has it in the checkpoint that it makes.
    """
    if new.namespace or not new.task_path.startswith(_UPDATE) or not _others(view, backend, new, entry):
        return new.task_id
    return _update_id(new.task_path, new.checkpoint_id) or new.task_id


def refuse_shared(
    view: ThreadView, backend: Backend, new: WritesInput | CheckpointInput, root: str | None, task_path: str = ""
) -> None:
    """Refuse what a run does at a checkpoint that another branch stands at, and would take for its own.

    Args:
        root: id of the root checkpoint whose superstep it belongs to.

    Raises:
        ConflictError: it would.
    """
    if task_path.startswith(_UPDATE) or root is None or _is_alone(view, new):
        return
    entry = view.entry(backend, "", root)
    if others := _others(view, backend, new, entry):
        raise _refusal(view, root, others[0])


def _others(
    view: ThreadView, backend: Backend, new: WritesInput | CheckpointInput, root: Entry | None
) -> list[BranchRow]:
    """The branches, but for the one that writes, that stand at a checkpoint that was put on another than that one."""
    if root is None or root.row is None or _is_alone(view, new):
        return []
    own, seq = root.row.branch or 0, root.row.seq
    ends = [branch for branch in view.heads.values() if branch.head == seq]
    line = _line_of(view, backend, new, root, own, ends)
    return [] if line == own else [branch for branch in ends if branch.number != line]


def _is_alone(view: ThreadView, new: WritesInput | CheckpointInput) -> bool:
    """Whether there is one branch, and none is to be started."""
    return new.branch is None and (view.row is None or view.row.branches == 1)


def _line_of(
    view: ThreadView,
    backend: Backend,
    new: WritesInput | CheckpointInput,
    root: Entry,
    own: int,
    ends: list[BranchRow],
) -> int | None:
    """The branch that writes at a checkpoint: that of the checkpoint, or another that stands there; None starts one.

    A branch that began there and has gone on stood there: LangGraph puts the writes of a superstep and the checkpoint
    after it side by side, and the checkpoint may come first.
    """
    assert view.row is not None and root.row is not None
    if new.branch is None and new.run is not None and new.run.last < root.row.seq:
        return own  # the run came by here, whatever was created and switched to since
    number = view.row.current if new.branch is None else branch_named(view, new.branch)
    if number is None:
        return None if new.addressed == root.checkpoint_id else own
    if any(branch.number == number for branch in ends):
        return number
    if number == own or view.heads[number].base != root.row.seq:
        return own
    return own if new.branch is None and _switched_since(view, backend, new) else number


def _switched_since(view: ThreadView, backend: Backend, new: WritesInput | CheckpointInput) -> bool:
    """Whether another branch became current since the run read where it starts; so too if that is not known."""
    if new.run is None:
        return True
    assert view.row is not None and view.row.number is not None
    after = new.run.last
    while page := backend.records(view.row.number, after, _PAGE):
        for row in page:
            if row.kind == SWITCH:
                return True
            if row.kind == BRANCH and row.state == KEPT:
                record = read_record(Kind.BRANCH, row.body)
                assert isinstance(record, BranchRecord)
                if record.current:
                    return True
        after = page[-1].seq
    return False


def is_update(task_id: str, task_path: str, checkpoint_id: str) -> bool:
    """Whether writes at a checkpoint are those of an update that stands for no task."""
    return task_path.startswith(_UPDATE) and task_id == _update_id(task_path, checkpoint_id)


def _update_id(task_path: str, checkpoint_id: str) -> str | None:
    """The id that LangGraph gives such an update; None if the checkpoint's id is not of LangGraph's kind."""
    at = task_path.removeprefix(_UPDATE)
    number = int(at) if at.isdecimal() else 0
    try:
        return str(uuid.uuid5(uuid.UUID(checkpoint_id), f"{_INTERRUPT}:{number}" if number else _INTERRUPT))
    except ValueError:
        return None


def _refusal(view: ThreadView, root: str, other: BranchRow) -> ConflictError:
    name = name_of(other) or f"branch {other.number}"
    return ConflictError(
        f"thread {view.thread_id!r}: checkpoint {root!r} is the head of branch {name!r} too, and answers and results "
        "that a run writes there would count on both; they were refused. Give the branch that is to go on another way "
        "a checkpoint of its own first: change its state with graph.update_state, or start it by graph.update_state("
        "config, None, as_node='__copy__'), config naming it and a new 'branch'; graph.invoke(None, ...) asks anew then"
    )
