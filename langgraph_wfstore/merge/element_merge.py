"""Three-way merges of lists and dicts by element: what one side added or changed is taken, nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_ELSEWHERE = "both sides put new elements elsewhere than at the end"
Token = Callable[[Any], object]
"""Gives something that is equal for equal values only."""


class Clash(Exception):
    """Both sides changed the same; the text says what, as far as it is of a user's interest."""


def merged_list(base: Sequence[Any], ours: Sequence[Any], theirs: Sequence[Any], token: Token) -> list[Any]:
    """Both sides' changes to a list; what each of them appended stands behind what was there.

    Messages are compared by their `id`: one that only one side changed or removed is changed or removed. Of other
    lists both sides must have added only. Where new elements stand is clear if one side put them at the end.

    Raises:
        Clash: a message was changed on both sides, or changed on one and removed on the other; elements were moved, or
            removed that are no messages; or both sides put new ones elsewhere than at the end.
    """
    before, here, there = (_by_id(side) for side in (base, ours, theirs))
    if before is None or here is None or there is None:
        return _joined(base, ours, theirs, token)
    for side in (here, there):
        if [name for name in side if name in before] != [name for name in before if name in side]:
            raise Clash("one side moved messages")
    if _adds_at_end(before, there):
        return list(_merged(before, here, there, token, "message").values())
    if _adds_at_end(before, here):
        return list(_merged(before, there, here, token, "message").values())
    raise Clash(_ELSEWHERE)


def merged_dict(base: Mapping[Any, Any], ours: Mapping[Any, Any], theirs: Mapping[Any, Any], token: Token) -> Any:
    """Ours with the keys that theirs added, changed or removed.

    Raises:
        Clash: both sides changed the same key.
    """
    return _merged(base, ours, theirs, token, "key")


def _merged(
    base: Mapping[Any, Any], ours: Mapping[Any, Any], theirs: Mapping[Any, Any], token: Token, what: str
) -> dict[Any, Any]:
    found = dict(ours)
    clashing = []
    for name in {**base, **theirs}:
        before, here, there = (_token(side, name, token) for side in (base, ours, theirs))
        if before == there or here == there:
            continue
        if before != here:
            clashing.append(name)
        elif there is None:
            del found[name]
        else:
            found[name] = theirs[name]
    if clashing:
        names = ", ".join(f"{name!r:.60}" for name in clashing)
        raise Clash(f"both sides changed {what} {names}")
    return found


def _token(side: Mapping[Any, Any], name: Any, token: Token) -> object:
    return (token(side[name]),) if name in side else None


def _by_id(items: Sequence[Any]) -> dict[str, Any] | None:
    """The messages of a list by their ids; None if anything in it is none, or has no id of its own."""
    found: dict[str, Any] = {}
    for item in items:
        name = getattr(item, "id", None)
        if not isinstance(name, str) or name in found or not (hasattr(item, "content") and hasattr(item, "type")):
            return None
        found[name] = item
    return found


def _adds_at_end(base: Mapping[str, Any], side: Mapping[str, Any]) -> bool:
    kept = [name for name in base if name in side]
    return [*side][: len(kept)] == kept


def _joined(base: Sequence[Any], ours: Sequence[Any], theirs: Sequence[Any], token: Token) -> list[Any]:
    before, here, there = ([token(item) for item in side] for side in (base, ours, theirs))
    if not (_holds(before, here) and _holds(before, there)):
        raise Clash("one side removed or changed elements of the list")
    size = len(before)
    if there[:size] == before:
        return [*ours, *theirs[size:]]
    if here[:size] == before:
        return [*theirs, *ours[size:]]
    raise Clash(_ELSEWHERE)


def _holds(base: Sequence[object], side: Sequence[object]) -> bool:
    """Whether a list has all that another one has, in the same order."""
    rest = iter(side)
    return all(item in rest for item in base)
