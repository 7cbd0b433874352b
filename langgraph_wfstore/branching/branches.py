"""Which branch a new checkpoint of the root namespace goes on, and who may start one (DESIGN, section 4)."""

from __future__ import annotations

from typing import NamedTuple

from ..backends.base import KEPT, LABEL, Backend, BranchRow, RecordRow
from ..canonical import utf8
from ..errors import ConflictError
from ..format import label_body, record_id
from ..records import Kind, LabelRecord
from ..threads.order import Arrival
from ..threads.view import Entry, Made, ThreadView


class Line(NamedTuple):
    """The branch a checkpoint goes on.

    Attributes:
        branch: its row with the new head.
        started: whether the branch begins here.
        stated: whether a branch record must say so: the branch is not that of the checkpoint's parent.
        becomes_current: whether it is not the current branch, and is from now on.
    """

    branch: BranchRow
    started: bool
    stated: bool
    becomes_current: bool


def line_for(view: ThreadView, backend: Backend, arrival: Arrival, seq: int) -> Line:
    """The branch that a new checkpoint of the root namespace advances, or starts.

    A checkpoint whose config names an unused branch starts that one. On the head of a branch it advances it: the branch
    its config names, else the current one, else its parent's. On anything else it starts a branch fork-N. A branch that
    is started, or gone on with without being named, becomes current if the run read the thread after the current head
    was put, so that a deliberate fork or return is what is read next, and the late put of a run that was overtaken or
    cancelled is not; and never if the checkpoint is isolated.

    Raises:
        ConflictError: it would start a branch, is exclusive, and is no deliberate fork.
    """
    row = view.row
    assert row is not None
    parent = None if arrival.parent is None else view.entry(backend, "", arrival.parent)
    above = None if parent is None else parent.row
    current = view.heads[row.current]
    own = 0 if above is None else above.branch or 0
    if arrival.branch is None and above is not None and current.head == above.seq and own == current.number:
        return Line(BranchRow(own, current.name, current.base, seq), started=False, stated=False, becomes_current=False)
    asked = branch_named(view, arrival.branch)
    if arrival.branch is None or asked is not None:
        for number in (asked, row.current, own) if above is not None else ():
            if number is not None and above is not None and view.heads[number].head == above.seq:
                returns = number != row.current and arrival.branch is None and _goes_on(view, backend, arrival)
                return Line(view.heads[number]._replace(head=seq), False, own != number, returns)
        if not any(branch.head for branch in view.heads.values()):
            return Line(view.heads[0]._replace(head=seq), False, own != 0, False)
    if arrival.exclusive and not _is_fork(view, arrival):
        raise _conflict(view, backend, arrival, parent)
    branch = BranchRow(row.branches, _free_name(view, arrival.branch), None if above is None else above.seq, seq)
    return Line(branch, True, True, _goes_on(view, backend, arrival))


def branch_named(view: ThreadView, name: str | None) -> int | None:
    """The number of the branch of that name, if there is one."""
    return None if name is None else next((b.number for b in view.heads.values() if b.name == utf8(name)), None)


def name_of(branch: BranchRow) -> str:
    """The name of a branch."""
    return branch.name.decode("utf-8", "surrogatepass")


def named(view: ThreadView) -> list[BranchRow]:
    """The branches that were not deleted, by number."""
    return [branch for _, branch in sorted(view.heads.items()) if branch.name]


def label(seq: int, number: int, name: str | None) -> Made:
    """The record that a branch is called so from now on, or was deleted."""
    record = LabelRecord(number, name)
    return plain_row(LABEL, Kind.LABEL, label_body(record), seq), record


def plain_row(number: int, kind: Kind, body: bytes, seq: int) -> RecordRow:
    """The row of a record that is found by its number only."""
    return RecordRow(seq, number, record_id(kind, body), KEPT, body, *(None,) * 10)


def _free_name(view: ThreadView, wanted: str | None) -> bytes:
    names = {branch.name for branch in view.heads.values()}
    asked = [] if wanted is None else [wanted]
    return next(n for b in (*asked, *(f"fork-{i}" for i in range(1, len(names) + 2))) if (n := utf8(b)) not in names)


def _is_fork(view: ThreadView, arrival: Arrival) -> bool:
    """Whether a checkpoint is meant to start a branch."""
    addressed = arrival.parent is not None and arrival.addressed == arrival.parent
    names_one = arrival.branch is not None and branch_named(view, arrival.branch) is None
    return addressed or names_one or arrival.source == "fork"


def _conflict(view: ThreadView, backend: Backend, arrival: Arrival, parent: Entry | None) -> ConflictError:
    number = branch_named(view, arrival.branch)
    if number is None:
        own = 0 if parent is None or parent.row is None else parent.row.branch or 0
        number = own if view.heads[own].name else 0
    head = view.head(backend, number)
    return ConflictError(
        f"thread {view.thread_id!r}: checkpoint {arrival.checkpoint_id!r} goes on from {arrival.parent!r}, but the "
        f"head of branch {name_of(view.heads[number])!r} is {None if head is None else head.checkpoint_id!r}: another "
        "run was faster. Nothing was written. Invoke the graph again to go on from there, or address the checkpoint "
        "by its checkpoint_id, or name a new branch, to fork"
    )


def _goes_on(view: ThreadView, backend: Backend, arrival: Arrival) -> bool:
    """Whether what a checkpoint belongs to is what is read next, though it is not on the current branch."""
    assert view.row is not None
    if arrival.isolated:
        return False
    head = view.head(backend, view.row.current)
    if head is None or head.row is None or arrival.source in ("update", "fork"):
        return True
    if arrival.read is not None:
        return arrival.read >= head.row.seq
    return not head.mine or arrival.checkpoint_id > head.checkpoint_id
