"""Finding checkpoints in a view: by id, the latest of a namespace, on a branch; with what reading them needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter

from ..backends.base import Backend
from ..branching.branches import branch_named, name_of, named
from ..errors import BranchNotFoundError
from ..values.reading import Loaded, Need, Outline, load
from ..values.shelf import Shelf
from .merge_base import merged_parent
from .order import belongs
from .view import Entry, ThreadView, entries_of, numbers_of, read_rows, space_of

_BLOCK = 256


def kept(view: ThreadView, backend: Backend, namespace: str, checkpoint_id: str) -> Entry | None:
    """The checkpoint of that id, if it is there and was not removed."""
    entry = view.entry(backend, namespace, checkpoint_id) if view.stored else None
    return entry if entry is not None and entry.shown else None


def latest(
    view: ThreadView,
    backend: Backend,
    namespace: str,
    branch: str | None = None,
    roots: tuple[str | None, str | None] = (None, None),
) -> Entry | None:
    """The latest checkpoint of a namespace.

    Args:
        branch: its name; None for the current one. Below the root it stands for its head, where `roots` names none.
        roots: below the root, what it must belong to, see `order.belongs`.

    Raises:
        BranchNotFoundError: the thread has no such branch.
    """
    number = branch_number(view, branch)
    if not view.stored:
        return None
    if not namespace:
        return view.head(backend, number)
    if branch is not None and roots[0] is None:
        head = view.head(backend, number)
        roots = (None if head is None else head.checkpoint_id, roots[1])
    below = None
    while rows := backend.checkpoints(view.number, space_of(namespace), below, 16, {}):
        for entry in entries_of(read_rows(rows)).values():
            if entry.namespace == namespace and belongs(view, backend, entry, *roots):
                return view.entry(backend, namespace, entry.checkpoint_id)
        below = rows[-1].position
    return None


def branch_number(view: ThreadView, name: str | None) -> int:
    """The number of a branch, of the current one for None.

    Raises:
        BranchNotFoundError: the thread has no such branch.
    """
    if name is None:
        return 0 if view.row is None else view.row.current
    number = branch_named(view, name)
    if number is None:
        names = ", ".join(sorted(repr(name_of(branch)) for branch in named(view)))
        raise BranchNotFoundError(
            f"thread {view.thread_id!r} has no branch {name!r}; it has {names}. To start a branch, name it together "
            "with the checkpoint_id it starts from, or use thread.create_branch"
        )
    return number


def outline_of(view: ThreadView, backend: Backend, entry: Entry, known: Mapping[tuple[str, str], Entry]) -> Outline:
    """A checkpoint and its effective writes; `known` holds checkpoints that need not be looked up."""
    assert entry.row is not None and entry.record is not None
    effective = sorted(
        (
            ((record.task_path, record.task_id, write.idx), record, write, row)
            for write, record, row in entry.effective().values()
        ),
        key=itemgetter(0),
    )
    numbers = entry.numbers()
    for row, record in {row.seq: (row, record) for _, record, _, row in effective}.values():
        numbers.update(numbers_of(row, record))
    return Outline(
        entry.record,
        entry.row.id,
        _kept_parent(view, backend, entry, known),
        tuple((record, write) for _, record, write, _ in effective),
        numbers,
        None if (other := merged_parent(view, backend, entry)) is None else other.checkpoint_id,
    )


def _kept_parent(
    view: ThreadView, backend: Backend, entry: Entry, known: Mapping[tuple[str, str], Entry]
) -> str | None:
    """The nearest ancestor that is shown; a parent that never arrived is given as it was put."""
    parent = entry.parent
    block: dict[tuple[str, str], Entry] = {}
    while parent is not None:
        key = (entry.namespace, parent)
        above = known.get(key) or block.get(key) or view.entry(backend, *key)
        if above is None or above.row is None or above.shown:
            return parent
        if above.parent is not None and (entry.namespace, above.parent) not in block:
            start = max(0, above.row.seq - _BLOCK)  # most of what was removed lies side by side
            block = entries_of(read_rows(backend.records(view.number, start, _BLOCK)))
        parent = above.parent
    return None


def load_needs(view: ThreadView, backend: Backend, shelf: Shelf, needs: Iterable[Need]) -> Loaded:
    """Fetch what references need; the view's lock must be held. See `reading.load`."""
    assert view.row is not None
    assert view.row.lineage is not None
    return load(backend, view.row.lineage, view.lineage, shelf, needs)
