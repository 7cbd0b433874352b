"""Metadata filters: JSON equality, evaluated on the stored values, narrowed by what is indexed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..values.equality import same
from .view import run_of

_MISSING = object()
_LARGEST = 2**63 - 1


class Filter:
    """What metadata must say.

    Args:
        wanted: per key the value that must be equal, as JSON: the order of keys does not matter, lists and tuples
            are alike, True is not 1, and None matches a stored null only, not an absent key.

    Raises:
        TypeError: `wanted` is no mapping.
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        if not isinstance(wanted, Mapping):
            raise TypeError(f"a metadata filter is a dict of keys and the values wanted, not {wanted!r:.100}")
        self._wanted = dict(wanted)

    def accepts(self, metadata: Mapping[str, Any]) -> bool:
        """Whether these metadata match."""
        return all(json_equal(metadata.get(key, _MISSING), value) for key, value in self._wanted.items())

    def indexed(self) -> dict[str, Any]:
        """The part that the engine's indexes on source, step and run_id can answer."""
        found: dict[str, Any] = {}
        source, step, run_id = (self._wanted.get(key) for key in ("source", "step", "run_id"))
        if type(source) is str:
            try:
                source.encode()
                found["source"] = source
            except UnicodeEncodeError:
                pass
        if type(step) is int and abs(step) <= _LARGEST:
            found["step"] = step
        if run_id is not None:
            found["run"] = run_of(str(run_id))
        return found


def json_equal(a: object, b: object) -> bool:
    """Whether two values are the same JSON; what is not JSON is compared by type and equality.

    Text is text in JSON, whatever subclass of `str` it has in Python: a member of a StrEnum, the `text` of a message.
    """
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return len(a) == len(b) and all(k in b and json_equal(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(json_equal, a, b))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    if isinstance(a, str) and isinstance(b, str):
        return a == b
    if hasattr(a, "__array__"):  # numpy's == answers by element
        return same(a, b)
    return type(a) is type(b) and a == b
