"""What is already known of live values: which bytes an unchanged element has, and copies of decoded ones.

A chat of a thousand turns would otherwise be serialized and decoded whole at every step. Two rules keep that
safe: a remembered element counts only if nothing that its bytes depend on has changed since (it is looked at
every time, nested containers included), and what is handed out shares no mutable container with anything else.
"""

from __future__ import annotations

import gc
import marshal
import os
import weakref
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import orjson

_SCALARS = frozenset({str, int, bool, bytes, type(None)})
_EMPTIABLE = frozenset({list, dict, set})
_MARSHAL_VERSION = 2  # later versions write references, which depend on reference counts
_set = object.__setattr__
_FIRST_LIMIT = 4096
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

    def after_fork_in_child(self) -> None:
        """Those who paused the collector are not here to start it again, nor is whoever held the lock."""
        if self._depth and self._was_enabled:
            gc.enable()
        self._lock = Lock()
        self._depth = 0

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


os.register_at_fork(after_in_child=_paused.after_fork_in_child)


def collector_paused_for(elements: int) -> AbstractContextManager[None]:
    """A pause of the garbage collector if so many elements are about to be made that it pays."""
    return _paused if elements >= _BULK else nullcontext()


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
            if kind in _EMPTIABLE and not value:
                self.fields[name] = kind()
            elif kind not in _SCALARS:
                orjson.dumps(value)  # refuses bytes and buffers (arrays, ...), which marshal writes all alike
                nested.append((name, marshal.dumps(value, _MARSHAL_VERSION)))
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
        return marshal.dumps(value, _MARSHAL_VERSION)
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
        self.fresh = [(n, type(v)) for n, v in shape.fields.items() if type(v) in _EMPTIABLE and n not in nested]


class _Known(weakref.ref[Any]):
    """A live model that was looked at: one object per model, since there are many."""

    __slots__ = ("leaf", "shape")
    leaf: Leaf
    shape: Shape


class Memo:
    """The elements of one saver that are known, by identity of the live object.

    Args:
        capacity: how many live elements to remember; the oldest half goes when it is reached.
    """

    def __init__(self, capacity: int = 60_000) -> None:
        self._capacity = capacity
        self._limit = min(capacity, _FIRST_LIMIT)
        self._known: dict[int, _Known] = {}
        self._models: dict[type, bool] = {}
        self._lock = Lock()

    def recall(self, value: Any) -> Leaf | None:
        """The serialized form of `value`, if it is known and nothing in it has changed."""
        known = self._known.get(id(value))
        return known.leaf if known is not None and known() is value and known.shape.fits(value) else None

    def look(self, value: Any) -> Shape | None:
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
            return Shape(value)
        except (ValueError, TypeError):  # a field holds what marshal or orjson does not write
            return None

    def remember(self, value: Any, shape: Shape, leaf: Leaf) -> None:
        """Remember that `value`, which looked like this before it was serialized, is `leaf`."""
        known = _Known(value)
        known.shape = shape
        known.leaf = leaf
        if len(self._known) >= self._limit:
            self._forget()
        self._known[id(value)] = known

    def unlock(self) -> None:
        """A lock that nobody holds, for a forked child."""
        self._lock = Lock()

    def _forget(self) -> None:
        """Forget the dead; and if too many live, the older half of them."""
        with self._lock:
            if len(self._known) < self._limit:
                return
            living = [(key, known) for key, known in list(self._known.items()) if known() is not None]
            if len(living) > self._capacity // 2:
                living = living[-self._capacity // 2 :]
            self._known = dict(living)
            self._limit = min(self._capacity, max(_FIRST_LIMIT, 2 * len(living)))

    def template(self, model: Any, leaf: Leaf) -> Template | None:
        """A template of a freshly decoded model, which nobody else may hold; None if it cannot be copied safely."""
        shape = self.look(model)
        return None if shape is None else Template(shape, leaf)

    def copy(self, template: Template) -> Any:
        """An independent copy, remembered, so that it need not be serialized if it comes back unchanged."""
        shape = template.shape
        fields = shape.fields.copy()
        for name, kind in template.fresh:
            fields[name] = kind()
        for name, raw in shape.nested:
            fields[name] = marshal.loads(raw)
        model = shape.cls.__new__(shape.cls)
        _set(model, "__dict__", fields)
        _set(model, "__pydantic_fields_set__", set(shape.fields_set))
        _set(model, "__pydantic_extra__", {} if shape.extra else None)
        _set(model, "__pydantic_private__", None)
        self.remember(model, shape, template.leaf)
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
        self.has = self._leaves.__contains__
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

    def unlock(self) -> None:
        """A lock that nobody holds, for a forked child."""
        self._lock = Lock()

    def clear(self) -> None:
        """Forget everything: objects were deleted."""
        with self._lock:
            self._leaves.clear()
            self.templates.clear()
            self._held = 0
