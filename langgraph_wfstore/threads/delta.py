"""The history of a DeltaChannel: the writes of a checkpoint's ancestors, back to a stored value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from ..backends.base import RecordRow
from ..codec import Codec
from ..records import Ref, Write, WriteRecord
from ..values.reading import Loaded, Need, named_place
from .lookup import latest, load_needs
from .view import Entry, ThreadView, numbers_of
from .views import Views


def delta_history(
    views: Views, thread_id: str, namespace: str, checkpoint_id: str | None, channels: Sequence[str], codec: Codec
) -> dict[str, dict[str, Any]]:
    """Per channel `writes`, oldest first, and the `seed` they start from, if there is one.

    Follows parents, not the listing: on a fork only the checkpoint's own line counts. The rule is that of
    LangGraph's BaseCheckpointSaver.get_delta_channel_history.
    """
    if not channels:
        return {}
    view = views.of(thread_id)

    def read() -> tuple[dict[str, Walked], Loaded | None]:
        target = _target(views, view, namespace, checkpoint_id)
        walked = {} if target is None else walk_entries(target, channels, lambda key: view.entry(views.backend, *key))
        needs = [need for found in walked.values() for need in found.needs]
        return walked, load_needs(view, views.backend, views.shelf, needs) if walked else None

    walked, loaded = views.read(view, read)
    out: dict[str, dict[str, Any]] = {}
    for channel in channels:
        found = walked.get(channel)
        entry: dict[str, Any] = {"writes": []}
        if found is not None and loaded is not None:
            with named_place(f"thread {thread_id!r}, history of channel {channel!r}"):
                entry["writes"] = [
                    (r.task_id, w.channel, loaded.value(codec, w.value)) for r, w in reversed(found.writes)
                ]
                if found.seed is not None:
                    entry["seed"] = loaded.value(codec, found.seed)
        out[channel] = entry
    return out


class Walked:
    """One channel's history: its writes, newest first, the value they start from, whose they are, what to load."""

    def __init__(self) -> None:
        self.writes: list[tuple[WriteRecord, Write]] = []
        self.seed: Ref | None = None
        self.entries: list[Entry] = []
        self.needs: list[Need] = []


def walk_entries(
    target: Entry, channels: Sequence[str], find: Callable[[tuple[str, str]], Entry | None]
) -> dict[str, Walked]:
    """Follow a checkpoint's parents until every channel has a stored value, or the root is reached.

    Args:
        target: where to start; its own writes and values do not count.
        channels: what is to be rebuilt.
        find: the checkpoint of a namespace and id, if it is known.
    """
    walked = {channel: Walked() for channel in channels}
    wanted = set(channels)
    entry = _above(target, find)
    while entry is not None and wanted:
        if entry.record is not None:
            writes = _ordered(entry)
            for channel in sorted(wanted):
                found = walked[channel]
                found.entries.append(entry)
                for row, record, write in reversed(writes):
                    if write.channel == channel:
                        found.writes.append((record, write))
                        found.needs.append((write.value, numbers_of(row, record)[write.value.id]))
                held = entry.channels.get(channel)
                if held is not None and held.value is not None:
                    found.seed = held.value
                    found.needs.append((held.value, entry.numbers()[held.value.id]))
                    wanted.discard(channel)
        entry = _above(entry, find)
    return walked


def _above(entry: Entry, find: Callable[[tuple[str, str]], Entry | None]) -> Entry | None:
    above = None if entry.parent is None else find((entry.namespace, entry.parent))
    return above if above is not None and above.row is not None else None


def _target(views: Views, view: ThreadView, namespace: str, checkpoint_id: str | None) -> Entry | None:
    if not view.stored:
        return None
    if checkpoint_id is None:
        return latest(view, views.backend, namespace)
    return view.entry(views.backend, namespace, checkpoint_id)


def _ordered(entry: Entry) -> list[tuple[RecordRow, WriteRecord, Write]]:
    found = [
        ((record.task_path, record.task_id, write.idx), row, record, write)
        for write, record, row in entry.effective().values()
    ]
    return [(row, record, write) for _, row, record, write in sorted(found, key=itemgetter(0))]
