"""The two lines of checkpoints that a diff compares: from where they part to what was asked for. No state is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..backends.base import CHECKPOINT, KEPT, SKELETON, Backend, RecordRow
from ..branching.branches import branch_named
from ..errors import CheckpointNotFoundError, ThreadNotFoundError
from ..records import CheckpointRecord
from ..threads.view import ThreadView, anchor_of, entries_of, read_rows

if TYPE_CHECKING:
    from ..store import WfStore

_FIRST_PAGE, _LARGEST_PAGE = 16, 1000
_LEAPS = 8  # to checkpoints that lie far away, one statement each; after so many everything between is read
_NAMES_SHOWN = 20


class Node(NamedTuple):
    """A checkpoint of the root namespace; `record` is None if its content was removed."""

    checkpoint_id: str
    parent: str | None
    row: RecordRow
    record: CheckpointRecord | None

    @property
    def shown(self) -> bool:
        """Whether it is kept."""
        return self.row.state == KEPT


class Line(NamedTuple):
    """One side.

    Attributes:
        asked: the branch or the checkpoint id that was asked for.
        head: its checkpoint.
        branch: name of the branch that the checkpoint was put on.
        nodes: the checkpoints since the lines part, oldest first, those that were removed too.
        at_end: whether no checkpoint of its branch follows `head`.
    """

    asked: str
    head: Node
    branch: str
    nodes: tuple[Node, ...]
    at_end: bool


class Lines(NamedTuple):
    """Both sides.

    Attributes:
        parting: the last checkpoint that both go back to, whether it is kept or not.
        base: the last one of those that is kept.
    """

    parting: Node | None
    base: Node | None
    a: Line
    b: Line


def lines(store: WfStore, thread_id: str, a: str, b: str) -> Lines:
    """Where two branches, or checkpoints, come from.

    Raises:
        CheckpointNotFoundError: there is neither a branch nor a kept checkpoint of that name.
        ValueError: there are both.
        TypeError: what was asked for is no str.
    """
    view = store.views.of(thread_id)
    with view.lock:
        store.views.refresh(view)
        if not view.stored:
            raise ThreadNotFoundError(f"thread {thread_id!r} is gone; store.threads() lists what there is")
        found = _Checkpoints(store.backend, view.number)
        heads = [_asked(view, store.backend, found, name) for name in (a, b)]
        parting, sides = _parted(found, heads)
        base = parting
        while base is not None and not base.shown:
            base = found.parent(base)
        made = [_line(view, name, head, nodes) for name, head, nodes in zip((a, b), heads, sides, strict=True)]
        return Lines(parting, base, *made)


def _line(view: ThreadView, asked: str, head: Node, nodes: tuple[Node, ...]) -> Line:
    number = head.row.branch or 0
    branch = view.heads.get(number)
    name = f"branch {number}" if branch is None else branch.name.decode("utf-8", "surrogatepass")
    return Line(asked, head, name, nodes, branch is not None and branch.head == head.row.seq)


# ---------------------------------------------------------------------- what was asked for


def _asked(view: ThreadView, backend: Backend, found: _Checkpoints, name: str) -> Node:
    if not isinstance(name, str):
        raise TypeError(f"a diff is of checkpoint ids or branch names, str, not {type(name).__name__}: {name!r:.100}")
    number = branch_named(view, name)
    node = found.find(name)
    if number is not None and node is not None:
        raise ValueError(
            f"{name!r} is both a branch and a checkpoint id of thread {view.thread_id!r}, so that it does not say what "
            "is meant; give the id of the branch's head, or the name of a branch that ends at the checkpoint"
        )
    if number is not None:
        head = view.head(backend, number)
        node = None if head is None or head.row is None else found.take(head.checkpoint_id, head.row)
        if node is None:
            raise CheckpointNotFoundError(
                f"branch {name!r} of thread {view.thread_id!r} has no checkpoint that is kept, so that there is "
                "nothing to compare; thread.checkpoints() lists those that are"
            )
    if node is None or not node.shown:
        raise _not_found(view, name, node)
    return node


def _not_found(view: ThreadView, name: str, node: Node | None) -> CheckpointNotFoundError:
    names = sorted(branch.name.decode("utf-8", "surrogatepass") for branch in view.heads.values())
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    there = f"its branches are {', '.join(map(repr, names[:_NAMES_SHOWN]))}{more}"
    if node is not None:
        return CheckpointNotFoundError(
            f"checkpoint {name!r} of thread {view.thread_id!r} is not kept: it was pruned, or its run was deleted. "
            f"thread.checkpoints() lists those that are; {there}"
        )
    return CheckpointNotFoundError(
        f"thread {view.thread_id!r} has no branch and no checkpoint {name!r} in its root namespace; {there}, and "
        "thread.checkpoints() lists its checkpoints"
    )


# ---------------------------------------------------------------------- going back


def _parted(found: _Checkpoints, heads: list[Node]) -> tuple[Node | None, list[tuple[Node, ...]]]:
    """The last common checkpoint, and what each side has since. The later one goes back first: neither goes too far."""
    chains = [{head.checkpoint_id: head} for head in heads]
    at: list[Node | None] = list(heads)
    parting = heads[0] if heads[0].checkpoint_id == heads[1].checkpoint_id else None
    while parting is None and any(at):
        side = max((0, 1), key=lambda side: -1 if (node := at[side]) is None else node.row.seq)
        node = at[side]
        assert node is not None
        above = at[side] = found.parent(node)
        if above is None or above.checkpoint_id in chains[side]:
            at[side] = None
            continue
        chains[side][above.checkpoint_id] = above
        if above.checkpoint_id in chains[1 - side]:
            parting = above
    return parting, [_since(parting, chain) for chain in chains]


def _since(parting: Node | None, chain: dict[str, Node]) -> tuple[Node, ...]:
    nodes = []
    for node in chain.values():
        if parting is not None and node.checkpoint_id == parting.checkpoint_id:
            break
        nodes.append(node)
    return tuple(reversed(nodes))


class _Checkpoints:
    """Finds checkpoints of the root namespace, reading side by side what lies side by side.

    Pages begin at the checkpoint whose parent is looked for. What is not in one lies far away, and is asked for alone;
    a line that leaps often is of a thread whose lines alternate, and there everything is read, once.
    """

    def __init__(self, backend: Backend, number: int) -> None:
        self._backend = backend
        self._number = number
        self._rows: dict[int, RecordRow] = {}
        self._page = _FIRST_PAGE
        self._leaps = 0
        self._low: int | None = None

    def find(self, checkpoint_id: str) -> Node | None:
        """The checkpoint of that id, asked for alone if it is not known."""
        anchor = anchor_of("", checkpoint_id)
        if anchor not in self._rows:
            self._hold(self._backend.anchored(self._number, [anchor]))
        return self._node(anchor, checkpoint_id)

    def take(self, checkpoint_id: str, row: RecordRow) -> Node | None:
        """The checkpoint of a row."""
        self._hold([row])
        return self.find(checkpoint_id)

    def parent(self, node: Node) -> Node | None:
        """The checkpoint before another one; None if there is none, or it never arrived."""
        if node.parent is None:
            return None
        anchor = anchor_of("", node.parent)
        if anchor not in self._rows:
            self._look_around(node, anchor)
        return self.find(node.parent)

    def _look_around(self, node: Node, anchor: int) -> None:
        if not node.shown:
            # Pages are of what is kept. Most of what was removed lies side by side too, by number.
            start = max(0, node.row.seq - 1 - _LARGEST_PAGE)
            self._hold(self._backend.records(self._number, start, _LARGEST_PAGE))
            return
        low = node.row.position or 0
        if self._leaps >= _LEAPS and self._low is not None:
            low = min(low, self._low)
        while rows := self._backend.checkpoints(self._number, 0, low, self._page, {}):
            self._page = min(4 * self._page, _LARGEST_PAGE)
            self._hold(rows)
            low = self._low = rows[-1].position or 0
            if anchor in self._rows:
                return
            if self._leaps < _LEAPS:
                self._leaps += 1
                return

    def _hold(self, rows: list[RecordRow]) -> None:
        for row in rows:
            if row.kind == CHECKPOINT and row.anchor is not None:
                self._rows.setdefault(row.anchor, row)

    def _node(self, anchor: int, checkpoint_id: str) -> Node | None:
        row = self._rows.get(anchor)
        if row is None:
            return None
        entry = entries_of(read_rows([row])).get(("", checkpoint_id))
        if entry is None:
            return None
        record = entry.record if row.state != SKELETON else None
        return Node(checkpoint_id, entry.parent, row, record)
