"""The checkpoints that a diff compares: what each side goes back to, and the other one does not. No state is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..backends.base import CHECKPOINT, KEPT, MERGE, SKELETON, Backend, RecordRow
from ..branching.branches import branch_named
from ..errors import CheckpointNotFoundError, ThreadNotFoundError
from ..format import read_record
from ..records import CheckpointRecord, Kind, MergeRecord
from ..threads.merge_base import BOTH, OURS, THEIRS, going_back
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
        nodes: the checkpoints that only this side goes back to, oldest first, those that were removed too.
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
        above: per checkpoint of either side the one that it was put on; of a merge the branch's own.
    """

    parting: Node | None
    base: Node | None
    a: Line
    b: Line
    above: Mapping[str, Node]


def lines(store: WfStore, thread_id: str, a: str, b: str) -> Lines:
    """Where two branches, or checkpoints, come from.

    Raises:
        CheckpointNotFoundError: there is neither a branch nor a kept checkpoint of that name.
        ValueError: there are both.
        TypeError: what was asked for is no str.
    """
    view = store.views.of(thread_id)

    def found_lines() -> Lines:
        if not view.stored:
            raise ThreadNotFoundError(f"thread {thread_id!r} is gone; store.threads() lists what there is")
        found = _Checkpoints(store.backend, view.number)
        heads = [_asked(view, store.backend, found, name) for name in (a, b)]
        parted = _parted(found, heads)
        first, second = (
            _line(view, name, head, side) for name, head, side in zip((a, b), heads, parted.sides, strict=True)
        )
        return Lines(parted.parting, parted.base, first, second, parted.above)

    return store.views.read(view, found_lines, together=True)


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


class _Parted(NamedTuple):
    """What both go back to, what only one does, and what each checkpoint of these was put on."""

    parting: Node | None
    base: Node | None
    sides: tuple[tuple[Node, ...], tuple[Node, ...]]
    above: dict[str, Node]


def _parted(found: _Checkpoints, heads: list[Node]) -> _Parted:
    """Go back from both heads, by both parents of a merge, as far as one of them goes alone and to a common base."""
    parting: Node | None = None
    base: Node | None = None
    sides: dict[int, list[Node]] = {OURS: [], THEIRS: []}
    above: dict[str, Node] = {}

    def parents(node: Node) -> Iterator[Node]:
        if (parent := found.parent(node)) is not None:
            above[node.checkpoint_id] = parent
            yield parent
        if (merged := found.merged(node)) is not None:
            yield merged

    for node, by, parted in going_back(parents, heads[0], heads[1]):
        if by != BOTH:
            sides[by].append(node)
            continue
        parting = parting or node
        base = base or (node if node.shown else None)
        if base is not None and not parted:
            break
    return _Parted(parting, base, (tuple(reversed(sides[OURS])), tuple(reversed(sides[THEIRS]))), above)


class _Checkpoints:
    """Finds checkpoints of the root namespace, reading side by side what lies side by side.

    Pages begin at the checkpoint whose parent is looked for. What is not in one lies far away, and is asked for alone;
    a line that leaps often is of a thread whose lines alternate, and there everything is read, once.
    """

    def __init__(self, backend: Backend, number: int) -> None:
        self._backend = backend
        self._number = number
        self._rows: dict[int, RecordRow] = {}
        self._merges: dict[int, RecordRow] = {}
        self._whole: set[int] = set()  # anchors of which it is known whether there is a merge
        self._page = _FIRST_PAGE
        self._leaps = 0
        self._low: int | None = None

    def find(self, checkpoint_id: str) -> Node | None:
        """The checkpoint of that id, asked for alone if it is not known."""
        anchor = anchor_of("", checkpoint_id)
        if anchor not in self._rows:
            self._ask([anchor])
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

    def merged(self, node: Node) -> Node | None:
        """The checkpoint that was merged into the one before; None if it is no merge."""
        anchor = node.row.anchor
        if anchor is None:
            return None
        if _may_merge(node.row) and anchor not in self._whole:
            self._ask([a for a, row in self._rows.items() if _may_merge(row) and a not in self._whole])
        row = self._merges.get(anchor)
        if row is None or row.within is None:
            return None
        if row.within not in self._rows:
            self._ask([row.within])
        record = read_record(Kind.MERGE, row.body)
        other = self._rows.get(row.within)
        if not isinstance(record, MergeRecord) or other is None or other.id != record.parent:
            return None
        return next((self._node(row.within, name) for _, name in entries_of(read_rows([other]))), None)

    def _ask(self, anchors: list[int]) -> None:
        self._hold(self._backend.anchored(self._number, anchors))
        self._whole.update(anchors)

    def _look_around(self, node: Node, anchor: int) -> None:
        if not node.shown:
            # Pages are of what is kept. Most of what was removed lies side by side too, by number. A merge record
            # follows its checkpoint, and this checkpoint follows the page: nothing in it lacks its merge.
            start = max(0, node.row.seq - 1 - _LARGEST_PAGE)
            rows = self._backend.records(self._number, start, node.row.seq - 1 - start)
            self._hold(rows)
            self._whole.update(row.anchor for row in rows if row.kind == CHECKPOINT and row.anchor is not None)
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
            if row.anchor is not None and row.kind in (CHECKPOINT, MERGE):
                (self._rows if row.kind == CHECKPOINT else self._merges).setdefault(row.anchor, row)

    def _node(self, anchor: int, checkpoint_id: str) -> Node | None:
        row = self._rows.get(anchor)
        if row is None:
            return None
        entry = entries_of(read_rows([row])).get(("", checkpoint_id))
        if entry is None:
            return None
        record = entry.record if row.state != SKELETON else None
        return Node(checkpoint_id, entry.parent, row, record)


def _may_merge(row: RecordRow) -> bool:
    """Whether a checkpoint may be a merge: it is put as an update. Skeletons are only read with what follows them."""
    return row.source == "update"
