"""What runs next after a merge: exactly what was to run before it."""

from __future__ import annotations

from collections.abc import Mapping

from ..canonical import Version
from ..records import CheckpointRecord
from ..threads.versions import is_later
from .reducers import Channels

Seen = dict[str, dict[str, Version]]


def seen_after_merge(
    ours: CheckpointRecord, theirs: CheckpointRecord, changed: Mapping[str, Version], known: Channels
) -> Seen:
    """The `versions_seen` of a merge: ours, in which whoever was not to run for a changed channel has seen it.

    LangGraph runs a node if a channel that triggers it has a value and a version later than the node has seen. What the
    merge did not change has our versions, of which the source's nodes know nothing: their entries count for changed
    channels only, where they tell which nodes there are.

    Args:
        changed: per channel that the merge changed its new version.
        known: says which nodes a channel triggers, as far as a workflow is recorded.
    """
    seen: Seen = {node: dict(versions) for node, versions in ours.versions_seen}
    others = {node: dict(versions) for node, versions in theirs.versions_seen}
    before = {channel.name: channel for channel in ours.channels}
    for name, version in changed.items():
        nodes = {node for each in (seen, others) for node, versions in each.items() if name in versions}
        channel = before.get(name)
        for node in nodes | known.subscribers(name):
            waits = channel is not None and channel.value is not None
            if channel is None or not (waits and is_later(channel.version, seen.get(node, {}).get(name))):
                seen.setdefault(node, {})[name] = version
    return seen
