"""What is already known of live values: which bytes an unchanged element has, and copies of decoded ones.

A chat of a thousand turns would otherwise be serialized and decoded whole at every step. Two rules keep that
safe: a remembered element counts only if nothing that its bytes depend on has changed since (it is looked at
every time, nested containers included), and what is handed out shares no mutable container with anything else.
"""

from __future__ import annotations

import gc
import marshal
import weakref
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from operator import is_
from threading import Lock
from typing import Any

import orjson

_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_EMPTIABLE = frozenset({list, dict, set})
_MARSHAL_VERSION = 2  # later versions write references, which depend on reference counts
_set = object.__setattr__
_BULK = 64  # elements; below it, pausing the garbage collector is not worth its lock


class _Pause:
    """Keeps the cyclic garbage collector from running while many elements are made at once.

    Every few hundred new objects it would look at all of them again. It is one switch for the whole process, so
    pauses are counted, and the last one to end restores what the first one found.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._depth = 0
        self._was_enabled = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._depth:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if not self._depth and self._was_enabled:
                gc.enable()


_paused = _Pause()


def collector_paused_for(elements: int) -> AbstractContextManager[None]:
    """A pause of the garbage collector if so many elements are about to be made that it pays."""
    return _paused if elements >= _BULK else nullcontext()


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
    """What the bytes of a model depend on beside the identity of its field values, as it was when it was looked at.

    Attributes:
        empty: positions of the fields that were empty containers.
        nested: positions of the fields that were other containers, and what was in them.
    """

    __slots__ = ("cls", "empty", "extra", "fields_set", "names", "nested")

    def __init__(self, model: Any) -> None:
        fields: dict[str, Any] = model.__dict__
        self.cls = type(model)
        self.names = list(fields)
        self.fields_set = frozenset(model.__pydantic_fields_set__)
        self.extra = model.__pydantic_extra__ is not None
        empty: list[int] = []
        nested: list[tuple[int, bytes]] = []
        for i, value in enumerate(fields.values()):
            kind = type(value)
            if kind in _SCALARS:
                continue
            if kind in _EMPTIABLE and not value:
                empty.append(i)
            else:
                orjson.dumps(value)  # refuses bytes and buffers (arrays, ...), which marshal writes all alike
                nested.append((i, marshal.dumps(value, _MARSHAL_VERSION)))
        self.empty = tuple(empty)
        self.nested = tuple(nested)

    def fits(self, model: Any, values: tuple[Any, ...]) -> bool:
        """Whether nothing has changed since the model's fields had these values."""
        fields = model.__dict__
        if len(fields) != len(values) or not all(map(is_, fields.values(), values)) or type(model) is not self.cls:
            return False
        for i in self.empty:
            if values[i]:
                return False
        for i, raw in self.nested:
            if _marshalled(values[i]) != raw:
                return False
        extra = model.__pydantic_extra__
        return (
            not extra
            and (extra is not None) == self.extra
            and model.__pydantic_private__ is None
            and model.__pydantic_fields_set__ == self.fields_set
            and list(fields) == self.names
        )


def _marshalled(value: Any) -> bytes | None:
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:
        return None


class Look:
    """A model as it was before it was serialized: its shape and its field values."""

    __slots__ = ("shape", "values")

    def __init__(self, model: Any) -> None:
        self.values = tuple(model.__dict__.values())
        self.shape = _Shape(model)


class Template:
    """A decoded model from which independent copies are made."""

    __slots__ = ("cls", "fields", "fresh", "leaf", "shape")

    def __init__(self, model: Any, shape: _Shape, leaf: Leaf) -> None:
        self.cls: Any = type(model)
        self.fields: dict[str, Any] = dict(model.__dict__)
        self.shape = shape
        self.leaf = leaf
        self.fresh = tuple((shape.names[i], type(self.fields[shape.names[i]])) for i in shape.empty)


_Memory = tuple["weakref.ref[Any]", tuple[Any, ...], _Shape, Leaf]


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
        if memory is not None and memory[0]() is value and memory[2].fits(value, memory[1]):
            return memory[3]
        return None

    def look(self, value: Any) -> Look | None:
        """What to keep from before `value` is serialized, so that a change during it is noticed later.

        None if it cannot be remembered: it is no model, has extras or private attributes, or holds what nothing
        vouches for.
        """
        kind = type(value)
        is_model = self._models.get(kind)
        if is_model is None:
            is_model = hasattr(kind, "__pydantic_fields_set__") and hasattr(kind, "__weakref__")
            if len(self._models) < 10_000:
                self._models[kind] = is_model
        if not is_model or value.__pydantic_extra__ or value.__pydantic_private__ is not None:
            return None
        try:
            return Look(value)
        except (ValueError, TypeError):  # a field holds what marshal or orjson does not write
            return None

    def remember(self, value: Any, look: Look, leaf: Leaf) -> None:
        """Remember that `value`, which looked like this before it was serialized, is `leaf`."""
        if len(self._known) >= self._capacity:
            self._forget_half()
        self._known[id(value)] = (weakref.ref(value), look.values, look.shape, leaf)

    def _forget_half(self) -> None:
        with self._lock:
            if len(self._known) >= self._capacity:
                items = list(self._known.items())
                self._known = dict(items[len(items) // 2 :])

    def template(self, model: Any, leaf: Leaf) -> Template | None:
        """A template of a freshly decoded model, which nobody else may hold; None if it cannot be copied safely."""
        look = self.look(model)
        return None if look is None else Template(model, look.shape, leaf)

    def copy(self, template: Template) -> Any:
        """An independent copy, remembered, so that it need not be serialized if it comes back unchanged."""
        shape = template.shape
        cls = template.cls
        fields = template.fields.copy()
        for name, kind in template.fresh:
            fields[name] = kind()
        for i, raw in shape.nested:
            fields[shape.names[i]] = marshal.loads(raw)
        model = cls.__new__(cls)
        _set(model, "__dict__", fields)
        _set(model, "__pydantic_fields_set__", set(shape.fields_set))
        _set(model, "__pydantic_extra__", {} if shape.extra else None)
        _set(model, "__pydantic_private__", None)
        if len(self._known) >= self._capacity:
            self._forget_half()
        self._known[id(model)] = (weakref.ref(model), tuple(fields.values()), shape, template.leaf)
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
