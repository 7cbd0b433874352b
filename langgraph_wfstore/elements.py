"""One list element: its serialized form, what its bytes depend on, and a template to copy it from."""

from __future__ import annotations

import marshal
from typing import Any

import orjson

SCALARS = frozenset({str, int, bool, bytes, type(None)})
EMPTIABLE = frozenset({list, dict, set})
MARSHAL_VERSION = 2  # later versions write references, which depend on reference counts


class Leaf:
    """The serialized form of one element or value.

    Attributes:
        tag: the serializer's type tag.
        data: its bytes; `size` says how many.
        key: SHA-256 of the bytes.
        place: where a lineage keeps it (see objects.py), or None.
    """

    __slots__ = ("data", "key", "place", "size", "tag")

    def __init__(self, tag: str, data: bytes, key: bytes) -> None:
        self.tag = tag
        self.data = data
        self.size = len(data)
        self.key = key
        self.place: Any = None


class Shape:
    """All that the bytes of a model depend on, as it was when it was looked at.

    Attributes:
        fields: the fields' values, containers copied.
        types: the exact type of every field's value.
        nested: name and content of those containers, and of floats, whose zeros are equal and differ.
    """

    __slots__ = ("cls", "extra", "fields", "fields_set", "nested", "types")

    def __init__(self, model: Any) -> None:
        self.cls: Any = type(model)
        self.fields: dict[str, Any] = dict(model.__dict__)
        self.types = [*map(type, self.fields.values())]
        self.fields_set = frozenset(model.__pydantic_fields_set__)
        self.extra = model.__pydantic_extra__ is not None
        nested: list[tuple[str, bytes]] = []
        for name, value in self.fields.items():
            kind = type(value)
            if kind in EMPTIABLE and not value:
                self.fields[name] = kind()
            elif kind not in SCALARS:
                orjson.dumps(value)  # refuses bytes and buffers (arrays, ...), which marshal writes all alike
                nested.append((name, marshal.dumps(value, MARSHAL_VERSION)))
        self.nested = tuple(nested)
        for name, raw in nested:
            self.fields[name] = marshal.loads(raw)

    def fits(self, model: Any) -> bool:
        """Whether nothing has changed: equal values of the same types, the same bytes where that says too little."""
        fields = model.__dict__
        try:
            if fields != self.fields or [*map(type, fields.values())] != self.types:
                return False
        except Exception:  # noqa: BLE001  # an array, say, which has no single truth: it was not there before
            return False
        for name, raw in self.nested:
            if _marshalled(fields[name]) != raw:
                return False
        extra = model.__pydantic_extra__
        return (
            type(model) is self.cls
            and not extra
            and (extra is not None) == self.extra
            and model.__pydantic_private__ is None
            and bool(model.__pydantic_fields_set__ == self.fields_set)
        )


def _marshalled(value: Any) -> bytes | None:
    try:
        return marshal.dumps(value, MARSHAL_VERSION)
    except ValueError:
        return None


class Template:
    """A decoded model from which independent copies are made.

    Attributes:
        fresh: name and type of the fields that are empty containers.
    """

    __slots__ = ("fresh", "leaf", "shape")

    def __init__(self, shape: Shape, leaf: Leaf) -> None:
        self.shape = shape
        self.leaf = leaf
        nested = {name for name, _ in shape.nested}
        self.fresh = [(n, type(v)) for n, v in shape.fields.items() if type(v) in EMPTIABLE and n not in nested]
