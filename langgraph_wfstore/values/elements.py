"""One list element: its serialized form, what its bytes depend on, and a template to copy it from."""

from __future__ import annotations

import marshal
from typing import Any, NamedTuple, TypeVar, cast

import orjson

SCALARS = frozenset({str, int, bool, bytes, type(None)})
EMPTIABLE = frozenset({list, dict, set})
MARSHAL_VERSION = 2  # later versions write references, which depend on reference counts
_PARTS_HELD = 10_000
_T = TypeVar("_T")
_set = object.__setattr__


class Leaf:
    """The serialized form of one element or value.

    Attributes:
        tag: the serializer's type tag.
        data: its bytes; `size` says how many.
        key: SHA-256 of the bytes.
        place: where a lineage keeps it (see objects.py), or None.
        shape: what the model looks like that it was made from, if it was looked at.
    """

    __slots__ = ("data", "key", "place", "shape", "size", "tag")

    def __init__(self, tag: str, data: bytes, key: bytes) -> None:
        self.tag = tag
        self.data = data
        self.size = len(data)
        self.key = key
        self.place: Any = None
        self.shape: Shape | None = None


class Masked(Leaf):
    """What is stored in the place of a redacted object; `name` is the object's id, `data` the mask."""

    __slots__ = ("name",)

    def __init__(self, name: bytes, mask: bytes) -> None:
        super().__init__("", mask, b"")
        self.name = name


class Shape:
    """All that the bytes of a model depend on, as it was when it was looked at.

    Attributes:
        fields: the fields' values, containers copied; `names` and `types` are their names and exact types, in order.
        nested: name and content of the containers that are not empty, and of floats, whose zeros are equal and differ.
        fresh: name and type of the empty containers.
    """

    __slots__ = ("cls", "extra", "fields", "fields_set", "fresh", "names", "nested", "types")

    def __init__(self, model: Any) -> None:
        self.cls: Any = type(model)
        self.fields: dict[str, Any] = dict(model.__dict__)
        self.names = _shared(tuple(self.fields))
        self.types = _shared(tuple(map(type, self.fields.values())))
        self.fields_set = _shared(frozenset(model.__pydantic_fields_set__))
        self.extra = model.__pydantic_extra__ is not None
        fresh: list[tuple[str, type]] = []
        nested: list[tuple[str, bytes]] = []
        for name, value in self.fields.items():
            kind = type(value)
            if kind in EMPTIABLE and not value:
                self.fields[name] = kind()
                fresh.append((name, kind))
            elif kind not in SCALARS:
                orjson.dumps(value)  # refuses bytes and buffers (arrays, ...), which marshal writes all alike
                nested.append((name, marshal.dumps(value, MARSHAL_VERSION)))
        self.fresh = _shared(tuple(fresh))
        self.nested = tuple(nested)
        for name, raw in nested:
            self.fields[name] = marshal.loads(raw)

    def fits(self, model: Any) -> bool:
        """Whether a model looks like this: equal values, types and, where that says too little, bytes."""
        fields = model.__dict__
        try:
            if fields != self.fields or tuple(map(type, fields.values())) != self.types or tuple(fields) != self.names:
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

    def copy(self) -> Any:
        """A new model that looks like this; it shares no mutable container with anything else."""
        fields = self.fields.copy()
        for name, kind in self.fresh:
            fields[name] = kind()
        for name, raw in self.nested:
            fields[name] = marshal.loads(raw)
        model = object.__new__(self.cls)
        _set(model, "__dict__", fields)
        _set(model, "__pydantic_fields_set__", set(self.fields_set))
        _set(model, "__pydantic_extra__", {} if self.extra else None)
        _set(model, "__pydantic_private__", None)
        return model


class Known(NamedTuple):
    """What a model looks like that has a certain serialized form."""

    shape: Shape
    leaf: Leaf


def _marshalled(value: Any) -> bytes | None:
    try:
        return marshal.dumps(value, MARSHAL_VERSION)
    except ValueError:
        return None


_parts: dict[Any, Any] = {}


def _shared(part: _T) -> _T:
    """The one object that stands for all equal ones: models of a class have most of their shape in common."""
    if len(_parts) >= _PARTS_HELD:
        _parts.clear()
    return cast("_T", _parts.setdefault(part, part))
