"""Walking a thread's checkpoints, newest first, page by page, in a constant number of statements each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..backends.base import RecordRow
from ..codec import Codec
from ..values.reading import Loaded, Outline, StoredCheckpoint
from .lines import Line, line_of
from .lookup import load_needs, outline_of
from .metadata import Filter
from .view import Entry, ThreadView, anchor_of, entries_of, read_rows, space_of
from .views import Views

_PAGE = 128


class _Page(NamedTuple):
    outlines: list[Outline]
    loaded: Loaded
    below: int | None
    line: Line | None


def history(
    views: Views,
    thread_id: str,
    namespace: str | None,
    codec: Codec,
    before: tuple[str, str] | None,
    wanted: Filter | None,
    limit: int | None,
    branch: str | None = None,
) -> Iterator[StoredCheckpoint]:
    """See `WfStore.history`."""
    view = views.of(thread_id)
    where = {} if wanted is None else wanted.indexed()
    below, older_than = _bound(views, view, before)
    line: Line | None = None
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None or wanted is not None else min(left, _PAGE)
        page = _page(views, view, namespace, below, size, where, branch, line)
        if page is None:
            return
        outlines, loaded, below, line = page
        for outline in outlines:
            if older_than is not None and outline.record.checkpoint_id >= older_than:
                continue
            stored = StoredCheckpoint(codec, thread_id, outline, loaded)
            if wanted is not None and not wanted.accepts(stored.metadata):
                continue
            yield stored
            if left is not None:
                left -= 1
                if not left:
                    return


def _bound(views: Views, view: ThreadView, before: tuple[str, str] | None) -> tuple[int | None, str | None]:
    """The position below which to list. An id that the thread does not have bounds by comparison, as LangGraph does."""
    if before is None:
        return None, None
    namespace, checkpoint_id = before

    def bound() -> tuple[int | None, str | None]:
        if not view.stored:
            return None, None
        entry = view.entry(views.backend, namespace, checkpoint_id) or view.entry(views.backend, "", checkpoint_id)
        if entry is None or entry.row is None:
            position = _position_anywhere(views, view, checkpoint_id)
            return (None, checkpoint_id) if position is None else (position, None)
        return entry.row.position, None

    return views.read(view, bound)


def _position_anywhere(views: Views, view: ThreadView, checkpoint_id: str) -> int | None:
    """The position of a checkpoint whose namespace the caller did not say."""
    after = 0
    while page := views.backend.records(view.number, after, 1000):
        for (_, found), entry in entries_of(read_rows(page)).items():
            if found == checkpoint_id and entry.row is not None:
                return entry.row.position
        after = page[-1].seq
    return None


def _page(
    views: Views,
    view: ThreadView,
    namespace: str | None,
    below: int | None,
    size: int,
    where: dict[str, Any],
    branch: str | None,
    known: Line | None,
) -> _Page | None:
    """The next checkpoints; of a branch with its line, which is that of the first page."""

    def page() -> _Page | None:
        line = known if known is not None or branch is None else line_of(view, views.backend, branch)
        if not view.stored:
            return None
        if line is not None and namespace == "":
            rows = line.roots(view, views.backend, below, size, where)
        else:
            space = None if namespace is None else space_of(namespace)
            rows = views.backend.checkpoints(view.number, space, below, size, where)
        if not rows:
            return None
        entries, by_name = _with_writes(views, view, rows)
        outlines = [
            outline_of(view, views.backend, e, by_name)
            for e in entries
            if (namespace is None or e.namespace == namespace)
            and (line is None or namespace == "" or line.has(view, views.backend, e))
        ]
        needs = [need for outline in outlines for need in outline.needs()]
        return _Page(outlines, load_needs(view, views.backend, views.shelf, needs), rows[-1].position, line)

    return views.read(view, page, together=branch is not None and known is None)


def _with_writes(
    views: Views, view: ThreadView, rows: list[RecordRow]
) -> tuple[list[Entry], dict[tuple[str, str], Entry]]:
    """The checkpoints of these rows with their writes, in the same order; and those with their parents, by name."""
    anchored = views.backend.anchored(view.number, [row.anchor for row in rows if row.anchor is not None])
    known = entries_of(read_rows(anchored))
    parents = {(e.namespace, e.parent) for e in known.values() if e.parent is not None} - set(known)
    if parents:
        anchors = [anchor_of(*key) for key in parents]
        above = entries_of(read_rows(views.backend.anchored(view.number, anchors)))
        known = {**above, **known}
    by_number = {entry.row.seq: entry for entry in known.values() if entry.row is not None}
    return [by_number[row.seq] for row in rows if row.seq in by_number], known
