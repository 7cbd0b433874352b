"""Channel versions as LangGraph's own savers need them: texts, and no two values of one version.

A store gives counted numbers, so that two branches have the same version for different values. PostgresSaver and
InMemorySaver keep values by channel and version, and LangGraph does not compare texts with numbers within a thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import Version
from ..records import CheckpointRecord, Ref
from .states import Key, Node, State

_Named = dict[tuple[str, Version], Version]  # channel and version, and what it is called there


class VersionNames:
    """What the versions of one thread are called in a saver.

    A name is the version itself if that is a text, and no other value of the thread has it. Else it is made from the
    version's number and the value, in the form of LangGraph's own: 32 digits, a dot, a fraction. On one line of
    checkpoints a version has one name, and names are in the order of their versions.

    Args:
        records: the thread's checkpoints, each behind its parent.
    """

    def __init__(self, records: Iterable[tuple[Node, CheckpointRecord]]) -> None:
        self._names: dict[Key, _Named] = {}
        self._values: dict[tuple[str, str, Version], bytes | None] = {}
        for node, record in records:
            above = {} if node.parent is None else self._names.get((node.namespace, node.parent), {})
            self._names[node.key] = self._of(record, above)

    def _of(self, record: CheckpointRecord, above: _Named) -> _Named:
        found: _Named = {}
        for channel in record.channels:
            if channel.version is not None:
                key = (channel.name, channel.version)
                known = above.get(key)
                found[key] = self._name(record.namespace, *key, channel.value) if known is None else known
        for _, seen in record.versions_seen:
            for key in seen:
                if key not in found:
                    found[key] = above[key] if key in above else self._name(record.namespace, *key, None)
        return above if found == above else found

    def _name(self, namespace: str, channel: str, version: Version, value: Ref | None) -> Version:
        own = None if value is None else value.id
        first = self._values.setdefault((namespace, channel, version), own)
        if isinstance(version, str) and first == own:
            return version
        number = int(version.partition(".")[0]) if isinstance(version, str) else int(version)
        of = hashlib.sha256(repr((namespace, channel, version)).encode("utf-8", "surrogatepass") + (own or b""))
        return f"{number:032}.0.{int.from_bytes(of.digest()[:6], 'big'):016}"

    def renamed(self, state: State) -> State:
        """A state with these names."""
        names = self._names[state.node.key]

        def of(versions: Mapping[str, Version]) -> dict[str, Any]:
            return {channel: names[channel, version] for channel, version in versions.items()}

        checkpoint = {
            **state.checkpoint,
            "channel_versions": of(state.checkpoint["channel_versions"]),
            "versions_seen": {node: of(seen) for node, seen in state.checkpoint["versions_seen"].items()},
        }
        return state._replace(checkpoint=checkpoint)
