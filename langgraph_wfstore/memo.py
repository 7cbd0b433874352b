"""What is already known of live values: which bytes an unchanged element has, and copies of decoded ones.

A chat of a thousand turns would otherwise be serialized and decoded whole at every step. Two rules keep that
safe: a remembered element counts only if nothing that its bytes depend on has changed since (it is looked at
every time, nested containers included), and what is handed out shares no mutable container with anything else.
"""

from __future__ import annotations

import marshal
import weakref
from threading import Lock
from typing import Any

from .elements import Leaf, Shape, Template

_set = object.__setattr__
_FIRST_LIMIT = 4096


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
