"""Channel versions: which of two is the later one, and which comes next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def next_version(current: Any) -> Any:
    """The next version of a channel, of the type that is found: threads of other savers have text versions.

    None gives 1.
    """
    if current is None:
        return 1
    if isinstance(current, str):
        count, dot, rest = current.partition(".")
        return f"{int(count) + 1:0{len(count)}}{dot}{rest}"
    return type(current)(current + 1)


def latest_version(versions: Iterable[Any]) -> Any:
    """The largest version, None if there is none. Texts are later than numbers: they never compare in one thread."""
    return max(versions, key=_order, default=None)


def is_later(version: Any, than: Any) -> bool:
    """Whether a version is larger than another one; None stands before all."""
    return version is not None and (than is None or _order(version) > _order(than))


def _order(version: Any) -> tuple[bool, Any]:
    return isinstance(version, str), version
