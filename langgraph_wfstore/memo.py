"""What is already known of live values: which bytes an unchanged element has, and copies of decoded ones.

A chat of a thousand turns would otherwise be serialized and decoded whole at every step. Two rules keep that
safe: a remembered element counts only if nothing that its bytes depend on has changed since (it is looked at
every time, nested containers included), and what is handed out shares no mutable container with anything else.
"""

from __future__ import annotations

import marshal
import weakref
from collections import OrderedDict
from operator import is_
from threading import Lock
from typing import Any

_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_EMPTIABLE = frozenset({list, dict, set})
_MARSHAL_VERSION = 2  # later versions write references, which depend on reference counts
_set = object.__setattr__


class Leaf:
    """The serialized form of one element or value.

    Attributes:
        tag: the serializer's type tag.
        data: its bytes.
        key: SHA-256 of the bytes.
        place: where a lineage keeps it (see objects.py), or None.
    """

    __slots__ = ("data", "key", "place", "tag")

    def __init__(self, tag: str, data: bytes, key: bytes) -> None:
        self.tag = tag
        self.data = data
        self.key = key
        self.place: Any = None


class _Shape:
    """The parts of a model instance that its bytes depend on, as they were when they were looked at."""

    __slots__ = ("cls", "empty", "extra", "fields_set", "names", "nested", "values")

    def __init__(self, model: Any) -> None:
        self.cls = type(model)
        fields: dict[str, Any] = model.__dict__
        self.names = list(fields)
        self.values = list(fields.values())
        self.fields_set: set[str] = set(model.__pydantic_fields_set__)
        self.extra = model.__pydantic_extra__ is not None
        empty: list[tuple[str, Any]] = []
        nested: list[tuple[str, Any, bytes]] = []
        for name, value in fields.items():
            kind = type(value)
            if kind in _SCALARS:
                continue
            if kind in _EMPTIABLE and not value:
                empty.append((name, value))
            else:
                nested.append((name, value, marshal.dumps(value, _MARSHAL_VERSION)))
        self.empty = tuple(empty)
        self.nested = tuple(nested)

    def fits(self, model: Any) -> bool:
        """Whether nothing has changed."""
        fields = model.__dict__
        return (
            type(model) is self.cls
            and len(fields) == len(self.values)
            and all(map(is_, fields.values(), self.values))
            and list(fields) == self.names
            and not any(value for _, value in self.empty)
            and model.__pydantic_fields_set__ == self.fields_set
            and not model.__pydantic_extra__
            and (model.__pydantic_extra__ is not None) == self.extra
            and model.__pydantic_private__ is None
            and all(_marshalled(value) == raw for _, value, raw in self.nested)
        )


def _marshalled(value: Any) -> bytes | None:
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:
        return None


def _shape(model: Any) -> _Shape | None:
    """The shape of a model that can be remembered: plain fields, no extras, no private attributes."""
    if model.__pydantic_extra__ or model.__pydantic_private__ is not None:
        return None
    try:
        return _Shape(model)
    except ValueError:  # a field holds what marshal does not write: nothing vouches for it
        return None


class _Memory:
    __slots__ = ("leaf", "shape", "value")

    def __init__(self, value: Any, shape: _Shape, leaf: Leaf) -> None:
        self.value = weakref.ref(value)
        self.shape = shape
        self.leaf = leaf


class Template:
    """A decoded model from which independent copies are made."""

    __slots__ = ("cls", "fields", "leaf", "shape")

    def __init__(self, model: Any, shape: _Shape, leaf: Leaf) -> None:
        self.cls = type(model)
        self.fields: dict[str, Any] = dict(model.__dict__)
        self.shape = shape
        self.leaf = leaf


class Memo:
    """The elements of one saver that are known, by identity of the live object.

    Args:
        capacity: how many live elements to remember; the oldest half goes when it is reached.
    """

    def __init__(self, capacity: int = 60_000) -> None:
        self._capacity = capacity
        self._known: dict[int, _Memory] = {}
        self._models: dict[type, bool] = {}
        self._lock = Lock()

    def recall(self, value: Any) -> Leaf | None:
        """The serialized form of `value`, if it is known and nothing in it has changed."""
        memory = self._known.get(id(value))
        if memory is None or memory.value() is not value or not memory.shape.fits(value):
            return None
        return memory.leaf

    def shape(self, value: Any) -> _Shape | None:
        """What to look at before serializing `value`, so that a change during it is noticed; None: don't remember."""
        kind = type(value)
        is_model = self._models.get(kind)
        if is_model is None:
            is_model = hasattr(kind, "__pydantic_fields_set__") and hasattr(kind, "__weakref__")
            if len(self._models) < 10_000:
                self._models[kind] = is_model
        return _shape(value) if is_model else None

    def remember(self, value: Any, shape: _Shape, leaf: Leaf) -> None:
        """Remember that `value`, which had `shape` before it was serialized, is `leaf`."""
        if len(self._known) >= self._capacity:
            self._forget_half()
        self._known[id(value)] = _Memory(value, shape, leaf)

    def _forget_half(self) -> None:
        with self._lock:
            if len(self._known) >= self._capacity:
                items = list(self._known.items())
                self._known = dict(items[len(items) // 2 :])

    def template(self, model: Any, leaf: Leaf) -> Template | None:
        """A template of a freshly decoded model, which nobody else may hold; None if it cannot be copied safely."""
        shape = self.shape(model)
        return None if shape is None else Template(model, shape, leaf)

    def copy(self, template: Template) -> Any:
        """An independent copy, remembered, so that it need not be serialized if it comes back unchanged."""
        shape = template.shape
        fields = template.fields.copy()
        model = template.cls.__new__(template.cls)
        fresh = _Shape.__new__(_Shape)
        empty = []
        for name, value in shape.empty:
            fields[name] = new = type(value)()
            empty.append((name, new))
        nested = []
        for name, _, raw in shape.nested:
            fields[name] = new = marshal.loads(raw)
            nested.append((name, new, raw))
        _set(model, "__dict__", fields)
        _set(model, "__pydantic_fields_set__", shape.fields_set.copy())
        _set(model, "__pydantic_extra__", {} if shape.extra else None)
        _set(model, "__pydantic_private__", None)
        fresh.cls = template.cls
        fresh.names = shape.names
        fresh.values = list(fields.values())
        fresh.fields_set = shape.fields_set
        fresh.extra = shape.extra
        fresh.empty = tuple(empty)
        fresh.nested = tuple(nested)
        self.remember(model, fresh, template.leaf)
        return model


class Shelf:
    """A bounded cache of stored objects by id: bytes, and a template where there is one.

    Args:
        capacity: how many bytes of serialized objects to keep.
    """

    def __init__(self, capacity: int = 64 << 20) -> None:
        self._capacity = capacity
        self._held = 0
        self._leaves: OrderedDict[bytes, Leaf] = OrderedDict()
        self.templates: dict[bytes, Template] = {}
        self._lock = Lock()

    def get(self, name: bytes) -> Leaf | None:
        """The object of that id, if it is held."""
        return self._leaves.get(name)

    def put(self, name: bytes, leaf: Leaf) -> None:
        """Hold an object; the oldest go when there are too many bytes."""
        size = len(leaf.data) + 200
        with self._lock:
            if name in self._leaves:
                return
            self._leaves[name] = leaf
            self._held += size
            while self._held > self._capacity and len(self._leaves) > 1:
                old, gone = self._leaves.popitem(last=False)
                self._held -= len(gone.data) + 200
                self.templates.pop(old, None)

    def clear(self) -> None:
        """Forget everything: objects were deleted."""
        with self._lock:
            self._leaves.clear()
            self.templates.clear()
            self._held = 0
