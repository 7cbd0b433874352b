"""Many elements at once: live models looked at together, and copies of decoded ones made together.

The rules are those of one element (elements.py). A block only runs them over all of its models without a step of Python
for each, which a chat of a thousand messages, looked at twice and copied once every turn, would feel.
"""

from __future__ import annotations

import marshal
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from pydantic import BaseModel

from .elements import MARSHAL_VERSION, Known

SIZE = 64
"""Elements of one block at the most."""
TOGETHER = 16
"""Elements that were recalled one by one side by side, and are a block from then on."""
WORTH = 8
"""Elements for which a block is worth making when a list is read."""

_get_fields = BaseModel.__dict__["__dict__"].__get__
_set_fields = BaseModel.__dict__["__dict__"].__set__
_get_fields_set = BaseModel.__dict__["__pydantic_fields_set__"].__get__
_set_fields_set = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_get_extra = BaseModel.__dict__["__pydantic_extra__"].__get__
_set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
_get_private = BaseModel.__dict__["__pydantic_private__"].__get__
_set_private = BaseModel.__dict__["__pydantic_private__"].__set__


class Block:
    """Consecutive elements of a list: what they look like, and their serialized forms.

    Attributes:
        members: what is known of each; `leaves` are their serialized forms.
    """

    __slots__ = (
        *("_classes", "_extras", "_fields", "_fields_sets", "_fresh", "_keys", "_nested", "_raws", "_rows", "_types"),
        *("leaves", "members"),
    )

    def __init__(self, members: Sequence[Known]) -> None:
        shapes = [known.shape for known in members]
        self.members = members
        self.leaves = [known.leaf for known in members]
        self._classes = [shape.cls for shape in shapes]
        self._fields = [shape.fields for shape in shapes]
        self._keys = [*chain.from_iterable(self._fields)]
        self._rows = [*map(tuple, map(dict.values, self._fields))]
        self._types = [*chain.from_iterable(shape.types for shape in shapes)]
        self._fields_sets = [shape.fields_set for shape in shapes]
        self._extras: list[dict[str, Any] | None] = [{} if shape.extra else None for shape in shapes]
        self._nested = [(at, name) for at, shape in enumerate(shapes) for name, _ in shape.nested]
        self._raws = [raw for shape in shapes for _, raw in shape.nested]
        self._fresh = [(at, name, kind) for at, shape in enumerate(shapes) for name, kind in shape.fresh]

    def __len__(self) -> int:
        return len(self.leaves)

    def holds(self, models: Sequence[Any]) -> bool:
        """Whether these models look like the block's elements, so that they have its serialized forms."""
        try:
            if [*map(type, models)] != self._classes:
                return False
            fields = [*map(_get_fields, models)]
            rows = [*map(tuple, map(dict.values, fields))]
            return (
                rows == self._rows
                and [*map(type, chain.from_iterable(rows))] == self._types
                and [*chain.from_iterable(fields)] == self._keys
                and [marshal.dumps(fields[at][name], MARSHAL_VERSION) for at, name in self._nested] == self._raws
                and [*map(_get_fields_set, models)] == self._fields_sets
                and [*map(_get_extra, models)] == self._extras
                and [*map(_get_private, models)].count(None) == len(models)
            )
        except Exception:  # noqa: BLE001  # something is not there, cannot be compared, or is being changed just now
            return False

    def copies(self) -> list[Any]:
        """New models with these looks; they share no mutable container with anything else."""
        fields = [*map(dict.copy, self._fields)]
        for at, name, kind in self._fresh:
            fields[at][name] = kind()
        for (at, name), raw in zip(self._nested, self._raws, strict=True):
            fields[at][name] = marshal.loads(raw)
        models: list[Any] = [*map(object.__new__, self._classes)]
        _for_each(map(_set_fields, models, fields))
        _for_each(map(_set_fields_set, models, map(set, self._fields_sets)))
        _for_each(map(_set_extra, models, [None if extra is None else {} for extra in self._extras]))
        _for_each(map(_set_private, models, repeat(None)))
        return models


def _for_each(effects: Iterable[None]) -> None:
    deque(effects, maxlen=0)
