"""What the recorded description of a workflow says of its channels: which schedule, which join what is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_SCHEDULING = ("branch:", "join:", "start:", "__pregel_")
_START = "__start__"
_PASSING = ("Ephemeral", "NamedBarrier")  # kinds of channels that hold a value for one superstep, or count arrivals
_LISTS = frozenset({"_operator.add", "_operator.iadd", "_operator.concat", "_operator.iconcat"})
_MESSAGES = ("langgraph.graph.message.", "add_messages")
_DICTS = frozenset({"_operator.or_", "_operator.ior"})


class Channels:
    """The channels of a workflow.

    Args:
        descriptions: of the workflows that wrote the two sides of a merge, see `workflow.describe`; None for one that
            is not recorded.
        append: channels whose lists and dicts the caller says are joined.
    """

    def __init__(self, descriptions: Collection[Mapping[str, Any] | None], append: Collection[str] = ()) -> None:
        self._known = [_channels(description) for description in descriptions]
        self._nodes = [description.get("nodes") for description in descriptions if description is not None]
        self._append = frozenset(append)

    def schedules(self, name: str) -> bool:
        """Whether a channel says what runs next and nothing else: no side of a merge can take it from the other."""
        if name == _START or name.startswith(_SCHEDULING):
            return True
        return any(str(known.get(name, {}).get("type", "")).startswith(_PASSING) for known in self._known)

    def joined(self, name: str) -> tuple[type, ...]:
        """The types of values (list, dict) that a channel is known to join, from a reducer or the caller."""
        if name in self._append:
            return list, dict
        found = {self._reducer(known, name) for known in self._known}
        reducer = found.pop() if len(found) == 1 else None
        if reducer in _LISTS or (reducer and reducer.startswith(_MESSAGES[0]) and reducer.endswith(_MESSAGES[1])):
            return (list,)
        return (dict,) if reducer in _DICTS else ()

    def said(self, name: str) -> str:
        """What is known of a channel's reducer, in words."""
        found = {self._reducer(known, name) for known in self._known}
        if found == {None}:
            return "no reducer of it is known"
        if len(found) > 1:
            return "the workflows of the two sides have different reducers for it"
        return f"its reducer is {found.pop()}"

    def nodes(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every node with the channels that trigger it, in order."""
        pairs = [pair for nodes in self._nodes if isinstance(nodes, dict) for pair in nodes.items()]
        return [(node, tuple(sorted(about.get("triggers", ())))) for node, about in pairs if isinstance(about, dict)]

    def subscribers(self, name: str) -> set[str]:
        """The nodes that a channel makes run."""
        return {node for node, triggers in self.nodes() if name in triggers}

    @staticmethod
    def _reducer(known: Mapping[str, Any], name: str) -> str | None:
        found = known.get(name, {}).get("reducer")
        return found if isinstance(found, str) else None


def _channels(description: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = None if description is None else description.get("channels")
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
