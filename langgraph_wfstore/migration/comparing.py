"""Whether two savers hold the same state, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from ..values.equality import same
from .states import Place, State

_CHANNELS = ("channel_values", "channel_versions", "versions_seen")
_NOTHING: Any = object()


class Comparison:
    """What counts as equal.

    Args:
        places: compare the paths and indices of writes too; else only their order.
        as_langgraph: compare as LangGraph's savers hold values, see `same`. That PostgresSaver leaves out the metadata
            `writes`, which LangGraph once wrote, is no difference, nor that savers which keep values by version give
            the snapshot of a delta channel with every checkpoint of that version.
    """

    def __init__(self, *, places: bool = True, as_langgraph: bool = False) -> None:
        self._places = places
        self._loose = as_langgraph

    def without_places(self) -> Comparison:
        """The same, for states whose paths and indices were made up."""
        return Comparison(places=False, as_langgraph=self._loose)

    def same(self, left: Any, right: Any) -> bool:
        """Whether two values are the same."""
        return same(left, right, as_langgraph=self._loose)

    def differences(self, expected: State, found: State | None, *, more_writes: bool = False) -> list[str]:
        """Where two states of one checkpoint differ, in words; empty if they do not.

        Args:
            expected: what was to be stored.
            found: what is stored; None if nothing is.
            more_writes: whether further pending writes, and other special ones, may have come since.
        """
        if found is None:
            return ["it is not there"]
        return [
            *([] if expected.node == found.node else [f"its parent is {found.node.parent!r}, not {_parent(expected)}"]),
            *self._parts(expected.checkpoint, found.checkpoint),
            *self._metadata(expected.metadata, found.metadata),
            *self._writes(expected, found, more_writes),
        ]

    def _parts(self, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
        for part in _CHANNELS:
            yield from self._keys(part, expected.get(part) or {}, found.get(part) or {})
        for name in sorted((expected.keys() | found.keys()) - {*_CHANNELS}):
            # A key that is missing says the same as one without a value.
            if not self.same(expected.get(name), found.get(name)):
                yield f"{name} is {found.get(name)!r:.100}, not {expected.get(name)!r:.100}"

    def _keys(self, part: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
        for name in sorted(expected.keys() | found.keys()):
            left, right = expected.get(name, _NOTHING), found.get(name, _NOTHING)
            if self._loose and left is _NOTHING and isinstance(right, _DeltaSnapshot):
                continue
            if left is _NOTHING or right is _NOTHING or not self._same_part(part, left, right):
                yield f"{part}[{name!r}] is {_shown(right)}, not {_shown(left)}"

    def _same_part(self, part: str, left: Any, right: Any) -> bool:
        """Values as they are; of versions, which are dicts or plain, the order of channels means nothing."""
        if part == "versions_seen":
            return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
        return self.same(left, right)

    def _metadata(self, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
        dropped = {"writes"} - found.keys() if self._loose else set()
        for name in sorted((expected.keys() | found.keys()) - dropped):
            left, right = expected.get(name, _NOTHING), found.get(name, _NOTHING)
            if not self._same_metadata(left, right):
                yield f"metadata[{name!r}] is {_shown(right)}, not {_shown(left)}"

    def _same_metadata(self, left: Any, right: Any) -> bool:
        """The order of keys means nothing: databases that keep metadata as JSON do not keep it."""
        if type(left) is dict and type(right) is dict and self._loose:
            return left.keys() == right.keys() and all(self._same_metadata(left[name], right[name]) for name in left)
        return self.same(left, right)

    def _writes(self, expected: State, found: State, more_writes: bool) -> Iterator[str]:
        if more_writes:
            stored = {_position(place): value for place, value in found.writes}
            for place, value in expected.writes:
                if place.idx >= 0 and not self.same(value, stored.get(_position(place), _NOTHING)):
                    yield f"the pending write {_named(place)} is not there, or another"
            return
        left = [self._compared(place) for place, _ in expected.writes]
        right = [self._compared(place) for place, _ in found.writes]
        if left != right:
            yield f"its pending writes are {_listed(found)}, not {_listed(expected)}"
            return
        for (place, value), (_, other) in zip(expected.writes, found.writes, strict=True):
            if not self.same(value, other):
                yield f"the pending write {_named(place)} is {other!r:.100}, not {value!r:.100}"

    def _compared(self, place: Place) -> tuple[Any, ...]:
        return place if self._places else (place.task_id, place.channel)


def _position(place: Place) -> tuple[str, int]:
    return place.task_id, place.idx


def _parent(state: State) -> str:
    return repr(state.node.parent)


def _named(place: Place) -> str:
    return f"of task {place.task_id!r} to {place.channel!r}"


def _listed(state: State) -> str:
    named = [f"{place.task_id}[{place.idx}] to {place.channel!r}" for place, _ in state.writes]
    return f"{len(named)}: {', '.join(named[:4])}{', ...' if len(named) > 4 else ''}" if named else "none"


def _shown(value: Any) -> str:
    return "not there" if value is _NOTHING else f"{type(value).__name__} {value!r:.100}"
