"""Instances of classes taken apart: pydantic models, dataclasses, enums, named tuples, and what the user allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Flag
from typing import Any, Final

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from langgraph_wfstore.serde.classes import (
    KNOWN_NUMBERS,
    MESSAGE_FIELDS,
    Code,
    Refused,
    class_attribute,
    class_name,
    find_class,
)
from langgraph_wfstore.serde.shapes import Policy, Shape

Encoded = tuple[int, Any]
Encoder = Callable[[Any, Policy], Encoded]


def bind(shape: Shape) -> Encoder:
    number = KNOWN_NUMBERS.get(shape.cls)
    if number in MESSAGE_FIELDS:
        return _message_encoder(shape, number)
    encode = _TAKE_APART[shape.code]

    def encoder(value: Any, policy: Policy) -> Encoded:
        _check_readable(shape, policy)
        return encode(value, shape)

    return encoder


def _check_readable(shape: Shape, policy: Policy) -> None:
    """Refuse what `Policy.resolve` would not give back."""
    if type(shape.ref) is int:
        return
    module, qualname = class_name(shape.cls)
    if find_class(module, qualname) is not shape.cls:
        raise Refused(f"its class is not what {module}:{qualname} finds", _advice(qualname))
    if (policy.strict or shape.needs_allow) and not policy.names(module, qualname):
        reason = shape.needs_allow or "strict=True and it is not in the allow list"
        raise Refused(reason, f"Pass allow=[({module!r}, {qualname!r})] if it may be rebuilt on reading.")


def _advice(qualname: str) -> str:
    if "[" in qualname and "<locals>" not in qualname:  # pydantic makes it where it is first used, and keeps it there
        return f"Define a class of its own at module level, `class Name({qualname}): pass`, and use that."
    return "Define the class at module level."


_KEEP: Final = object()
_get_fields: Final = BaseModel.__dict__["__dict__"].__get__
_get_fields_set: Final = BaseModel.__dict__["__pydantic_fields_set__"].__get__
_get_extra: Final = BaseModel.__dict__["__pydantic_extra__"].__get__
_get_private: Final = BaseModel.__dict__["__pydantic_private__"].__get__


def _message_encoder(shape: Shape, number: int) -> Encoder:
    order = list(MESSAGE_FIELDS[number])
    omit = {name: default for name, default in MESSAGE_FIELDS[number].items() if default is not ...}
    empty_extra: dict[str, Any] | None = {} if issubclass(shape.cls, BaseMessage) else None

    def encode(value: Any, policy: Policy) -> Encoded:
        fields = _get_fields(value)
        extra = _get_extra(value)
        if extra != empty_extra or _get_private(value) is not None or list(fields) != order:
            return _encode_model(value, shape)
        kept = {}
        for name, item in fields.items():
            default = omit.get(name, _KEEP)
            if item is default or (default is not _KEEP and type(item) is type(default) and item == default):
                continue
            kept[name] = item
        fields_set = _get_fields_set(value)
        if fields_set == kept.keys():
            return Code.MESSAGE, [number, kept]
        return Code.MESSAGE, [number, kept, sorted(fields_set)]

    return encode


def _encode_model(value: Any, shape: Shape) -> Encoded:
    fields = _get_fields(value)
    fields_set = _slot(value, "__pydantic_fields_set__", _get_fields_set)
    extra = _slot(value, "__pydantic_extra__", _get_extra)
    private = _slot(value, "__pydantic_private__", _get_private)
    declared = shape.fields
    if len(fields) != len(declared) or tuple(fields) != declared:
        fields = {name: item for name, item in fields.items() if name not in shape.derived}
        _check_names(fields, declared)
    if extra and not shape.extra_allowed:
        raise Refused("it has extra fields, which its class does not allow")
    if private is not None and not private.keys() <= shape.private.keys():
        raise Refused("it has private attributes that its class does not declare")
    parts = [shape.ref, fields, None if fields_set == fields.keys() else sorted(fields_set), extra, private]
    while parts[-1] is None:
        parts.pop()
    return Code.MODEL, parts


def _slot(value: Any, name: str, get: Callable[[Any], Any]) -> Any:
    try:
        return get(value)
    except AttributeError:
        # A RootModel has None for it on the class.
        if class_attribute(type(value), name) is None:
            return None
        raise Refused("it was made without its constructor and is not complete") from None


def _check_names(found: Iterable[str], declared: Iterable[str]) -> None:
    found, declared = set(found), set(declared)
    if found - declared:
        raise Refused(f"it has attributes that its class does not declare: {sorted(found - declared)}")
    if declared - found:
        raise Refused(f"it was made without its constructor; not set: {sorted(declared - found)}")


def _encode_enum(value: Any, shape: Shape) -> Encoded:
    members = class_attribute(shape.cls, "_member_map_")
    if value._name_ is not None and members.get(value._name_) is value:
        return Code.ENUM, [shape.ref, value._name_]
    if isinstance(value, Flag) and type(value._value_) is int:
        kept = class_attribute(shape.cls, "_value2member_map_").get(value._value_)
        if kept is value or (kept is None and value._name_ is None):  # early releases of 3.11 don't keep them all
            return Code.ENUM, [shape.ref, value._value_]
    raise Refused("it is not a member of its own enum")


def _encode_dataclass(value: Any, shape: Shape) -> Encoded:
    attributes = _attributes(value, shape)
    fields = {}
    for name in shape.fields:
        item = attributes.pop(name, _KEEP)
        if item is _KEEP:
            # A field with a plain default that nothing has assigned lives on the class only.
            try:
                item = object.__getattribute__(value, name)
            except AttributeError:
                raise Refused(f"its field {name!r} is not set") from None
        fields[name] = item
    if attributes:
        raise Refused(f"it has attributes that are not fields: {sorted(attributes)}", "Declare them as fields.")
    return Code.DATACLASS, [shape.ref, fields]


def _attributes(value: Any, shape: Shape) -> dict[str, Any]:
    found = {}
    for name, slot in shape.slots.items():
        try:
            found[name] = slot.__get__(value)
        except AttributeError:
            continue
    if shape.instance_dict is not None:
        found.update(shape.instance_dict.__get__(value))
    for name in shape.derived & found.keys():
        del found[name]
    return found


def _encode_named_tuple(value: Any, shape: Shape) -> Encoded:
    if shape.instance_dict is not None and shape.instance_dict.__get__(value):
        raise Refused("it has attributes that are not fields")
    items = tuple.__getitem__(value, slice(None))
    if len(items) != len(shape.fields):
        raise Refused(f"it has {len(items)} items for {len(shape.fields)} fields")
    return Code.NAMEDTUPLE, [shape.ref, dict(zip(shape.fields, items, strict=True))]


def _encode_slotted(value: Any, shape: Shape) -> Encoded:
    return Code.SLOTTED, [shape.ref, {name: shape.slots[name].__get__(value) for name in shape.fields}]


def _encode_plain_object(value: Any, shape: Shape) -> Encoded:
    return Code.OBJECT, [shape.ref, _attributes(value, shape)]


_PLAIN: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: lambda v: bytes(memoryview(v)),
    list: lambda v: list.__getitem__(v, slice(None)),
    tuple: lambda v: tuple.__getitem__(v, slice(None)),
    dict: dict.copy,
    set: lambda v: set(set.__iter__(v)),
    frozenset: lambda v: frozenset(frozenset.__iter__(v)),
}


def _encode_subclass(value: Any, shape: Shape) -> Encoded:
    plain = _PLAIN[shape.builtin_base](value)  # type: ignore[index]  # of a subclass's shape it is set
    return Code.SUBCLASS, [shape.ref, plain, _attributes(value, shape)]


_TAKE_APART: Final[dict[int, Callable[[Any, Shape], Encoded]]] = {
    Code.ENUM: _encode_enum,
    Code.DATACLASS: _encode_dataclass,
    Code.NAMEDTUPLE: _encode_named_tuple,
    Code.MODEL: _encode_model,
    Code.SLOTTED: _encode_slotted,
    Code.OBJECT: _encode_plain_object,
    Code.SUBCLASS: _encode_subclass,
}
