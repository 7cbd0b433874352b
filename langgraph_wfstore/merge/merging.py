"""The three-way merge of two states, channel by channel, by reference: what is equal is never decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..canonical import hex_id
from ..records import Channel, Ref
from .element_merge import Clash, Token, merged_dict, merged_list
from .reducers import Channels

Resolver = Callable[[str, Any, Any, Any], Any]
"""Given channel, base, ours and theirs (None where there is no value), gives the value that counts."""
Resolve = str | Resolver | Mapping[str, str | Resolver] | None
Read = Callable[[str, str], Any]
"""The value of a channel on a side ("base", "ours", "theirs"), None if it has none there."""
SIDES = ("base", "ours", "theirs")
_UNSTORED = "it is a delta channel without a stored value, which only the graph's reducer can join"


@dataclass(frozen=True)
class Conflict:
    """A channel that both sides of a merge changed.

    Attributes:
        channel: its name.
        why: why the merge cannot decide.
        base_id, ours_id, theirs_id: ids (`sha256:...`) of its values, None where it has none.
        only_ours: only "ours" can resolve it.
    """

    channel: str
    why: str
    base_id: str | None
    ours_id: str | None
    theirs_id: str | None
    only_ours: bool = False
    _read: Read = field(default=lambda side, channel: None, repr=False, compare=False)

    @property
    def base(self) -> Any:
        """The value at the common ancestor; read when it is asked for."""
        return self._read("base", self.channel)

    @property
    def ours(self) -> Any:
        """The value on the branch that is merged into."""
        return self._read("ours", self.channel)

    @property
    def theirs(self) -> Any:
        """The value of what is merged."""
        return self._read("theirs", self.channel)

    def __str__(self) -> str:
        return f"{self.channel!r}: {self.why}"


class Taken(NamedTuple):
    """A channel whose merged value is another than ours.

    Attributes:
        how: "theirs", "both" (joined by element) or "resolved".
        ref: theirs, where it is taken as it is, None if theirs has no value; else the value is in `value`.
    """

    how: str
    ref: Ref | None = None
    value: Any = None


class State(NamedTuple):
    """A side of a merge: its channels by name, and the delta channels among them, which may have no stored value."""

    channels: Mapping[str, Channel]
    deltas: Collection[str] = ()


class Merging:
    """One three-way merge.

    Args:
        base: the nearest common ancestor; None if there is none, or its content was removed.
        removed: whether there is one whose content was removed: then nothing shows which side changed what.
        known: what is known of the channels.
        read: gives values.
        token: tells equal elements from others.
    """

    def __init__(
        self, base: State | None, ours: State, theirs: State, removed: bool, known: Channels, read: Read, token: Token
    ) -> None:
        self._sides = (base or State({}), ours, theirs)
        self._has_base = base is not None
        self._removed = removed
        self._known = known
        self._read = read
        self._token = token
        self.taken: dict[str, Taken] = {}
        self.conflicts: list[Conflict] = []
        self.kept: list[str] = []

    def run(self, resolve: Resolve) -> None:
        """Fill `taken`, `kept` (conflicts resolved as ours) and `conflicts` (those that are not resolved)."""
        names = {name for side in self._sides for name in side.channels}
        for name in sorted(name for name in names if not self._known.schedules(name)):
            changed = self._changed_by(name)
            if changed == "theirs" and self._is_unstored(2, name):
                self._settle(name, _UNSTORED, resolve)
            elif changed == "theirs":
                self.taken[name] = Taken("theirs", self._channel(2, name).value)
            elif changed == "both":
                self._join(name, resolve)

    def _channel(self, side: int, name: str) -> Channel:
        return self._sides[side].channels.get(name) or Channel(name, None, None)

    def _changed_by(self, name: str) -> str:
        """Which side changed a channel: "theirs", "both", or "ours", where ours counts as it is."""
        base, ours, theirs = (self._channel(side, name) for side in range(3))
        unstored = any(self._is_unstored(side, name) for side in range(3))
        if not unstored and ours.value == theirs.value:
            return "ours"
        if not self._has_base:
            if self._removed:
                return "both"
            return "theirs" if not _exists(ours) else "both" if _exists(theirs) else "ours"
        if self._same(base, theirs):
            return "ours"
        return "theirs" if self._same(base, ours) else "both"

    def _same(self, base: Channel, side: Channel) -> bool:
        """Whether a side has a channel's value of the base; of a delta channel without a value, its version."""
        if base.value is None and side.value is None and any(base.name in each.deltas for each in self._sides):
            return base.version == side.version
        return base.value == side.value

    def _is_unstored(self, side: int, name: str) -> bool:
        """Whether a channel is a delta channel whose value is not stored on a side."""
        return self._channel(side, name).value is None and name in self._sides[side].deltas

    def _join(self, name: str, resolve: Resolve) -> None:
        ours, theirs = self._channel(1, name).value, self._channel(2, name).value
        if any(self._is_unstored(side, name) for side in range(3)):
            why = _UNSTORED
        elif self._removed:
            why = "the sides differ, and the content of their common ancestor was removed"
        elif ours is None or theirs is None:
            why = "one side changed it, the other one removed it"
        elif not (types := self._known.joined(name)):
            why = f"both sides changed it, and {self._known.said(name)}"
        else:
            try:
                self.taken[name] = Taken("both", value=self._joined(name, types))
                return
            except Clash as clash:
                why = str(clash)
        self._settle(name, why, resolve)

    def _joined(self, name: str, types: tuple[type, ...]) -> Any:
        ours, theirs = self._read("ours", name), self._read("theirs", name)
        kind = type(ours)
        base = self._read("base", name) if self._channel(0, name).value is not None else kind()
        if kind not in types or type(theirs) is not kind or type(base) is not kind:
            wanted = " or ".join(each.__name__ for each in types)
            found = ", ".join(sorted({type(value).__name__ for value in (base, ours, theirs)}))
            raise Clash(f"both sides changed it, and only {wanted}s are joined, not {found}")
        return (merged_list if kind is list else merged_dict)(base, ours, theirs, self._token)

    def _settle(self, name: str, why: str, resolve: Resolve) -> None:
        """Resolve a conflict as the caller says, or note it."""
        answer = resolve.get(name) if isinstance(resolve, Mapping) else resolve
        unstored = [side for side in range(3) if self._is_unstored(side, name)]
        if answer == "ours":
            self.kept.append(name)
        elif answer == "theirs" and 2 not in unstored:
            self.taken[name] = Taken("theirs", self._channel(2, name).value)
        elif callable(answer) and not unstored:
            self.taken[name] = Taken("resolved", value=answer(name, *[self._read(side, name) for side in SIDES]))
        else:
            base, ours, theirs = (_id_of(self._channel(side, name)) for side in range(3))
            self.conflicts.append(Conflict(name, why, base, ours, theirs, 2 in unstored, self._read))


def check_resolve(resolve: Resolve) -> None:
    """ValueError for what cannot resolve a conflict."""
    for answer in resolve.values() if isinstance(resolve, Mapping) else (resolve,):
        if not (callable(answer) or answer in ("ours", "theirs") or (answer is None and answer is resolve)):
            raise ValueError(
                "resolve is 'ours', 'theirs', a function of (channel, base, ours, theirs), or a dict of these by "
                f"channel; found {answer!r:.100}"
            )


def _exists(channel: Channel) -> bool:
    return channel.value is not None or channel.version is not None


def _id_of(channel: Channel) -> str | None:
    return None if channel.value is None else hex_id(channel.value.id)
