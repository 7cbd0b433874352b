"""How instances of a class are taken apart and put together without running its code, and which classes may be.

Looking at a class runs nothing of it: attributes are read from the `__dict__` of classes, never with `getattr`.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde.classes import (
    KNOWN,
    KNOWN_NAMES,
    KNOWN_NUMBERS,
    SAFE_FACTORIES,
    Code,
    Refused,
    UnresolvedError,
    class_attribute,
    class_dict,
    class_name,
    find_class,
    mro,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How instances of one class are taken apart and put together without running its code."""

    cls: type
    code: Code
    ref: int | str
    fields: tuple[str, ...] = ()
    slots: dict[str, Any] = dataclasses.field(default_factory=dict)
    instance_dict: Any = None
    defaults: dict[str, Callable[[], Any]] = dataclasses.field(default_factory=dict)
    extra_allowed: bool = False
    private: dict[str, Callable[[], Any] | None] = dataclasses.field(default_factory=dict)
    derived: frozenset[str] = frozenset()
    builtin_base: type | None = None
    needs_allow: str = ""

    @property
    def name(self) -> str:
        """`module:qualname`, for the eyes of people."""
        return ":".join(class_name(self.cls))


_SHAPES: dict[type, Shape] = {}


def shape_of(cls: type) -> Shape:
    """The shape of a class; raises Refused if its instances cannot be rebuilt without running code."""
    shape = _SHAPES.get(cls)
    if shape is None:
        shape = _shape(cls)
        # A class that cannot be found by name may be one of millions made at run time: not worth remembering.
        if isinstance(shape.ref, int) or find_class(*shape.ref.split(":", 1)) is cls:
            _SHAPES[cls] = shape
    return shape


def _shape(cls: type) -> Shape:
    bases = mro(cls)
    number = KNOWN_NUMBERS.get(cls)
    module, qualname = class_name(cls)
    ref: int | str = number if number is not None else f"{module}:{qualname}"
    if number in (32, 40, 41):
        return _slotted_shape(cls, ref)
    if BaseModel in bases:
        shape = _model_shape(cls, ref)
    elif enum.Enum in bases:
        shape = Shape(cls, Code.ENUM, ref)
    elif BaseException in bases:
        raise Refused("it is an exception, and those are stored as their repr")
    elif tuple in bases and isinstance(class_attribute(cls, "_fields"), tuple):
        shape = _namedtuple_shape(cls, ref)
    elif isinstance(class_attribute(cls, "__dataclass_fields__"), dict):
        shape = _dataclass_shape(cls, ref)
    else:
        shape = _object_shape(cls, ref)
    if number is None and not shape.needs_allow and class_attribute(cls, "__del__") is not None:
        return dataclasses.replace(shape, needs_allow="it has a __del__ method, which would run later")
    return shape


def _layout(cls: type) -> tuple[dict[str, Any], Any]:
    """The slot descriptors of the class by name, and the descriptor of its instance `__dict__` or None."""
    slots: dict[str, Any] = {}
    instance_dict = None
    for base in mro(cls):
        for name, attribute in class_dict(base).items():
            if type(attribute) is types.MemberDescriptorType:
                slots.setdefault(name, attribute)
            elif name == "__dict__" and base is not type:
                if type(attribute) is not types.GetSetDescriptorType:
                    raise Refused("it replaces __dict__")
                instance_dict = instance_dict or attribute
    return slots, instance_dict


def _cached_properties(cls: type) -> frozenset[str]:
    return frozenset(
        name
        for base in mro(cls)
        for name, attribute in class_dict(base).items()
        if type(attribute) is functools.cached_property
    )


def _check_object_new(cls: type) -> None:
    """Refuse what `object.__new__` cannot make: a class that also extends a C type; tried, as only Python knows."""
    if class_attribute(cls, "__del__") is not None:
        return
    try:
        object.__new__(cls)
    except TypeError as error:
        raise Refused(f"it cannot be made without its constructor ({error})") from None


def _slotted_shape(cls: type, ref: int | str) -> Shape:
    slots, _ = _layout(cls)
    order = [name for base in reversed(mro(cls)) for name in class_dict(base).get("__slots__", ()) if name in slots]
    return Shape(cls, Code.SLOTTED, ref, tuple(order), slots)


def _dataclass_shape(cls: type, ref: int | str) -> Shape:
    _check_object_new(cls)
    slots, instance_dict = _layout(cls)
    fields = [
        field
        for field in class_attribute(cls, "__dataclass_fields__").values()
        if getattr(field, "_field_type", None) is dataclasses._FIELD  # type: ignore[attr-defined]  # typeshed hides it
    ]
    defaults: dict[str, Callable[[], Any]] = {}
    for field in fields:
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = functools.partial(_same, field.default)
        elif field.default_factory in SAFE_FACTORIES.values():
            defaults[field.name] = field.default_factory
    return Shape(
        cls,
        Code.DATACLASS,
        ref,
        tuple(field.name for field in fields),
        slots,
        instance_dict,
        defaults,
        derived=_cached_properties(cls) | {"__orig_class__"},
    )


def _same(value: Any) -> Any:
    return value


def _namedtuple_shape(cls: type, ref: int | str) -> Shape:
    _, instance_dict = _layout(cls)
    declared = class_attribute(cls, "_field_defaults")
    defaults: dict[str, Callable[[], Any]] = {}
    if isinstance(declared, dict):
        defaults = {name: functools.partial(_same, value) for name, value in declared.items()}
    return Shape(
        cls, Code.NAMEDTUPLE, ref, class_attribute(cls, "_fields"), instance_dict=instance_dict, defaults=defaults
    )


def _model_shape(cls: type, ref: int | str) -> Shape:
    fields = class_attribute(cls, "__pydantic_fields__")
    if not isinstance(fields, dict):
        raise Refused("its pydantic fields are not complete; call model_rebuild() first")
    slots, _ = _layout(cls)
    config = class_attribute(cls, "model_config")
    private = class_attribute(cls, "__private_attributes__") or {}
    defaults = {name: filler for name, field in fields.items() if (filler := _model_default(field)) is not None}
    return Shape(
        cls,
        Code.MODEL,
        ref,
        tuple(fields),
        slots,
        None,
        defaults,
        extra_allowed=isinstance(config, dict) and config.get("extra") == "allow",
        private={name: _model_default(attribute) for name, attribute in private.items()},
        derived=_cached_properties(cls),
    )


def _model_default(field: Any) -> Callable[[], Any] | None:
    """How a missing field or private attribute is filled from its declaration: a plain default or a safe factory."""
    if field.default_factory is None:
        return None if field.default is PydanticUndefined else functools.partial(copy.deepcopy, field.default)
    factory: Callable[[], Any] = field.default_factory
    return factory if factory in SAFE_FACTORIES.values() else None


_BUILTIN_BASES: Final = (str, int, float, bytes, list, dict, tuple, set, frozenset)
_OBJECT_HOOKS: Final = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__")
_FLAGS: Final = type.__dict__["__flags__"].__get__
_HEAP_TYPE: Final = 1 << 9
_URLS: Final = frozenset((("pydantic.networks", "_BaseUrl"), ("pydantic.networks", "_BaseMultiHostUrl")))
_NEEDS_ALLOW: Final = "it is not a data type (pydantic model, dataclass, enum, named tuple)"


def _object_shape(cls: type, ref: int | str) -> Shape:
    """The shape of a plain object or of a subclass of a built-in: rebuilt only if the user allowed the class."""
    base = next((b for b in mro(cls) if b in _BUILTIN_BASES), None)
    if not _URLS.isdisjoint(map(class_name, mro(cls))):
        raise Refused("it holds an object of pydantic_core", "Keep its text, str(url), or declare the field as a str.")
    if not _FLAGS(cls) & _HEAP_TYPE or type in mro(cls):
        raise Refused(_NEEDS_ALLOW)
    for hook in _OBJECT_HOOKS:
        plain = (None, class_dict(object).get(hook), class_dict(base or object).get(hook))
        if class_attribute(cls, hook) not in plain:
            raise Refused(f"{_NEEDS_ALLOW}, and its {hook} says that its attributes are not all of it")
    if base is None:
        _check_object_new(cls)
    slots, instance_dict = _layout(cls)
    slots = {name: slot for name, slot in slots.items() if name != "__weakref__"}
    code = Code.OBJECT if base is None else Code.SUBCLASS
    return Shape(
        cls,
        code,
        ref,
        slots=slots,
        instance_dict=instance_dict,
        derived=_cached_properties(cls),
        builtin_base=base,
        needs_allow=_NEEDS_ALLOW,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Which classes besides the known ones may be written and read."""

    allow: frozenset[tuple[str, str]] = frozenset()
    strict: bool = False
    placeholders: bool = False

    def names(self, module: str, qualname: str) -> bool:
        """Whether the user allowed the class by name; LangGraph names nested classes by their last part."""
        return (module, qualname) in self.allow or (module, qualname.rpartition(".")[2]) in self.allow

    def resolve(self, ref: object) -> Shape:
        """The shape of the class that stored bytes name, or UnresolvedError saying why it is not to be had."""
        if type(ref) is int:
            known = KNOWN.get(ref)
            if known is None:
                raise DecodeError(f"The stored value names known class {ref}, which this version lacks; upgrade.")
            return shape_of(known)
        if type(ref) is not str or ":" not in ref:
            raise DecodeError(f"The stored value has no well-formed class name: {ref!r:.80}.")
        module, _, qualname = ref.partition(":")
        if (module, qualname) in KNOWN_NAMES:
            return shape_of(KNOWN_NAMES[module, qualname])
        named = self.names(module, qualname)
        if self.strict and not named:
            raise UnresolvedError(ref, "strict=True and it is not in the allow list")
        if named and module not in sys.modules:
            _import_allowed(ref, module)
        cls = find_class(module, qualname)
        if isinstance(cls, str):
            raise UnresolvedError(ref, cls, _how_to_find(qualname) if module in sys.modules else "")
        try:
            shape = shape_of(cls)
        except Refused as refused:
            raise UnresolvedError(ref, refused.reason) from None
        if shape.needs_allow and not named:
            raise UnresolvedError(ref, shape.needs_allow)
        return shape


def _how_to_find(qualname: str) -> str:
    if "[" in qualname:
        return f"Write `Name = {qualname}` at the top of that module, which makes it"
    return f"Define it there, or give that name to the class in its place: `{qualname} = ...`"


def _import_allowed(ref: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        raise UnresolvedError(ref, f"its module cannot be imported ({error})") from error


def allow_names(allow: Iterable[type | tuple[str, ...]]) -> frozenset[tuple[str, str]]:
    """The (module, name) pairs that an allow list means.

    Args:
        allow: classes, or (module, name) tuples as LangGraph passes them.

    Raises:
        TypeError: an entry is neither.
    """
    names = set()
    for entry in allow:
        if isinstance(entry, type):
            names.add((entry.__module__, entry.__qualname__))
        elif isinstance(entry, tuple) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
            names.add((entry[0], entry[1]))
        elif isinstance(entry, tuple) and len(entry) > 2 and all(isinstance(part, str) for part in entry):
            names.add((".".join(entry[:-1]), entry[-1]))
        else:
            raise TypeError(f"allow takes classes and (module, name) tuples, not {entry!r}.")
    return frozenset(names)
