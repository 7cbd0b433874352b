"""The verbs of branches: create, rename, switch, list. Each is one append to the thread, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..appending.putting import Plan, sealed
from ..arguments import checked_branch_name
from ..backends.base import BRANCH, SWITCH, Append, BranchRow, RecordRow
from ..canonical import utf8
from ..errors import CheckpointNotFoundError, ConflictError, ThreadNotFoundError
from ..format import branch_body, read_record, switch_body
from ..records import BranchRecord, CheckpointRecord, Kind, SwitchRecord
from ..threads.ancestry import places
from ..threads.lookup import branch_number, kept
from ..threads.view import Entry, Made, ThreadView
from ..threads.views import Views
from ..values.objects import Placement
from .branches import branch_named, label, name_of, named, plain_row

if TYPE_CHECKING:
    from ..cost import CostLine
    from ..prices import Pricer
    from ..store import WfStore

_PAGE = 1000
Change = tuple[Made, list[BranchRow]]  # a record, and the branches that it changes


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One branch of a thread.

    Attributes:
        base: id of the checkpoint it starts from, None for the first, and where that was never there or was pruned.
        head: id of its last checkpoint, None if it has none left; a branch without checkpoints of its own has the one
            it starts from.
        current: whether it is the branch that is read by default.
        checkpoints: of the root namespace that were put on it and are kept.
        runs: runs whose last checkpoint is on it.
        cost: what its model calls cost, if that was asked for and there are any.
    """

    name: str
    base: str | None
    head: str | None
    current: bool
    checkpoints: int
    runs: int
    cost: CostLine | None = None


def create_branch(views: Views, thread_id: str, name: str, at: str | None) -> None:
    """See `Thread.create_branch`."""
    checked_branch_name(name)

    def plan(view: ThreadView) -> Change:
        assert view.row is not None
        _refuse_taken(view, name)
        base = _start(views, view, at).row
        assert base is not None
        record = BranchRecord(view.row.branches, name, base.id, None, False)
        made = plain_row(BRANCH, Kind.BRANCH, branch_body(record), view.last + 1), record
        return made, [BranchRow(record.number, utf8(name), base.seq, base.seq)]

    _append(views, thread_id, plan)


def rename_branch(views: Views, thread_id: str, name: str, to: str) -> None:
    """See `Thread.rename_branch`."""
    checked_branch_name(to)

    def plan(view: ThreadView) -> Change | None:
        number = branch_number(view, checked_branch_name(name))
        if not number:
            raise ConflictError(f"the first branch is always called {name!r}; create one with the name you want")
        if name == to:
            return None
        _refuse_taken(view, to)
        return label(view.last + 1, number, to), [view.heads[number]._replace(name=utf8(to))]

    _append(views, thread_id, plan)


def switch_branch(views: Views, thread_id: str, name: str) -> None:
    """See `Thread.switch`."""

    def plan(view: ThreadView) -> Change | None:
        number = branch_number(view, checked_branch_name(name))
        assert view.row is not None
        if number == view.row.current:
            return None
        head = view.head(views.backend, number)
        if head is None or head.row is None:
            raise CheckpointNotFoundError(
                f"branch {name!r} of thread {view.thread_id!r} has no checkpoint left to go on from; "
                "thread.branches() lists the heads"
            )
        record = SwitchRecord(number, head.row.id)
        return (plain_row(SWITCH, Kind.SWITCH, switch_body(record), view.last + 1), record), []

    _append(views, thread_id, plan)


def _append(views: Views, thread_id: str, plan: Callable[[ThreadView], Change | None]) -> None:
    """Append one record, sealed, with the branch rows that follow from it."""

    def whole(view: ThreadView) -> Plan | None:
        if not view.stored or view.row is None:
            raise ThreadNotFoundError(f"thread {thread_id!r} is gone; store.threads() lists what there is")
        change = plan(view)
        if change is None:
            return None
        made, changed = change
        batch = Append(view.row, view.standing, sealed(view, [made]))
        batch.branches = [*([view.heads[0]] if changed and view.row.branches == 1 else []), *changed]
        batch.switch = made[1].number if isinstance(made[1], SwitchRecord) else None
        return Plan(batch, [(batch.records[0], made[1])], Placement(view.lineage, lambda ids: {}))

    view = views.of(thread_id)
    views.append(view, lambda: None, lambda _: whole(view))


def _start(views: Views, view: ThreadView, checkpoint_id: str | None) -> Entry:
    """The checkpoint of that id, None for the head of the current branch."""
    if checkpoint_id is not None and not isinstance(checkpoint_id, str):
        raise TypeError(f"a checkpoint id is a str, not {type(checkpoint_id).__name__}: {checkpoint_id!r:.100}")
    if checkpoint_id is None:
        entry = view.head(views.backend, branch_number(view, None))
    else:
        entry = kept(view, views.backend, "", checkpoint_id)
    if entry is None:
        raise CheckpointNotFoundError(
            f"thread {view.thread_id!r} has no checkpoint {'at all' if checkpoint_id is None else repr(checkpoint_id)} "
            "in its root namespace, or it was pruned; thread.checkpoints() lists those that there are"
        )
    return entry


def _refuse_taken(view: ThreadView, name: str) -> None:
    if branch_named(view, name) is not None:
        raise ConflictError(
            f"thread {view.thread_id!r} has a branch {name!r} already; choose another name, or rename or delete that "
            "one"
        )


def branches_of(store: WfStore, thread_id: str, cost: bool, pricer: Pricer | None) -> list[BranchInfo]:
    """See `Thread.branches`."""
    views = store.views
    view = views.of(thread_id)
    with view.lock:
        views.refresh(view)
        if not view.stored or view.row is None:
            raise ThreadNotFoundError(f"thread {thread_id!r} is gone; store.threads() lists what there is")
        branches, current = named(view), view.row.current
        wanted = {number for branch in branches for number in (branch.base, branch.head) if number}
        counts: Counter[int] = Counter()
        ids: dict[int, str] = {}
        below = None
        while rows := views.backend.checkpoints(view.number, 0, below, _PAGE, {}):
            counts.update(row.branch or 0 for row in rows)
            ids.update({row.seq: _id_of(row) for row in rows if row.seq in wanted})
            below = rows[-1].position
    trace = store.thread(thread_id).traces.of()
    where = places(store, thread_id, trace)
    runs = Counter(where.branch_of.values())
    costs = _costs(store, thread_id, pricer) if cost else {}
    return [
        BranchInfo(
            name=(name := name_of(branch)),
            base=ids.get(branch.base or 0),
            head=ids.get(branch.head),
            current=branch.number == current,
            checkpoints=counts[branch.number],
            runs=runs[name],
            cost=costs.get(name),
        )
        for branch in branches
    ]


def _id_of(row: RecordRow) -> str:
    record = read_record(Kind.CHECKPOINT, row.body)
    assert isinstance(record, CheckpointRecord)
    return record.checkpoint_id


def _costs(store: WfStore, thread_id: str, pricer: Pricer | None) -> dict[str, CostLine]:
    return {line.key: line for line in store.thread(thread_id).cost(by="branch", pricer=pricer).lines}
