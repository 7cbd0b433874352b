"""Instances of classes put together from stored fields, without running code of theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import Enum, Flag
from typing import Any, Final

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde.classes import (
    KNOWN,
    MESSAGE_FIELDS,
    Code,
    UnresolvedError,
    class_attribute,
    mro,
)
from langgraph_wfstore.serde.reader import Reader, as_fields, as_list, as_text
from langgraph_wfstore.serde.shapes import Shape, shape_of

_set_fields: Final = BaseModel.__dict__["__dict__"].__set__
_set_fields_set: Final = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra: Final = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private: Final = BaseModel.__dict__["__pydantic_private__"].__set__
_new: Final = object.__new__


def _model_of(cls: type, fields: dict[str, Any], fields_set: set[str], extra: Any, private: Any) -> Any:
    model: Any = _new(cls)
    _set_fields(model, fields)
    _set_fields_set(model, fields_set)
    _set_extra(model, extra)
    _set_private(model, private)
    return model


@dataclasses.dataclass(frozen=True, slots=True)
class _Template:
    """A message of which every field has the value that an absent one stands for."""

    cls: type
    fields: dict[str, Any]
    fresh: tuple[tuple[str, type], ...]
    size: int
    required: frozenset[str]
    gained: tuple[str, ...]
    has_extra: bool


def _template(number: int) -> _Template:
    cls, fields = KNOWN[number], MESSAGE_FIELDS[number]
    return _Template(
        cls,
        fields,
        tuple((name, type(default)) for name, default in fields.items() if type(default) in (dict, list)),
        len(fields),
        frozenset(name for name, default in fields.items() if default is ...),
        tuple(name for name in shape_of(cls).fields if name not in fields),
        issubclass(cls, BaseMessage),
    )


_TEMPLATES: Final = {number: _template(number) for number in MESSAGE_FIELDS}


def read_message(reader: Reader, data: bytes) -> Any:
    parts = reader.parts(data, 2, 3)
    number, kept = parts[0], as_fields(parts[1])
    template = _TEMPLATES.get(number) if type(number) is int else None
    if template is None:
        raise DecodeError(f"A stored message names the unknown kind {number!r:.80}.")
    fields = template.fields.copy()
    fields.update(kept)
    for name, make in template.fresh:
        if name not in kept:
            fields[name] = make()
    if len(fields) != template.size or not template.required <= kept.keys():
        raise DecodeError(f"A stored {template.cls.__name__} does not have the fields of that kind: {sorted(kept)}.")
    if template.gained:
        _fill(fields, template.gained, shape_of(template.cls))
    fields_set = set(kept) if len(parts) == 2 else _name_set(parts[2])
    return _model_of(template.cls, fields, fields_set, {} if template.has_extra else None, None)


def _name_set(names: Any) -> set[str]:
    for name in as_list(names):
        as_text(name)
    return set(names)


def _fill(fields: dict[str, Any], missing: Iterable[str], shape: Shape) -> None:
    """Give each field that the class gained since the value was stored the default that its declaration has."""
    for name in missing:
        default = shape.defaults.get(name)
        if default is None:
            raise _drift(shape, f"the class has a field {name!r} without a plain default, which is not stored")
        fields[name] = default()


def _drift(shape: Shape, reason: str) -> UnresolvedError:
    advice = "Give the class what is stored, and what it gained a default"
    return UnresolvedError(shape.name, f"its fields have changed: {reason}", advice)


def _class_parts(reader: Reader, data: bytes, code: Code, low: int, high: int | None = None) -> tuple[Shape, list[Any]]:
    parts = reader.parts(data, low, high)
    shape = reader.policy.resolve(parts[0])
    if shape.code != code:
        reason = f"it was stored as {_KINDS[code]}, and the class of that name is none"
        raise UnresolvedError(shape.name, reason, "Give the class another name")
    return shape, parts


_KINDS: Final = {
    Code.ENUM: "an enum",
    Code.DATACLASS: "a dataclass",
    Code.NAMEDTUPLE: "a named tuple",
    Code.MODEL: "a pydantic model",
    Code.SLOTTED: "an object of LangGraph",
    Code.OBJECT: "a plain object",
    Code.SUBCLASS: "a subclass of a built-in type",
}


def _declared(stored: Any, shape: Shape) -> dict[str, Any]:
    """The stored fields in the order and number of the declared ones."""
    fields = as_fields(stored)
    lost = fields.keys() - set(shape.fields)
    if lost:
        raise _drift(shape, f"the class has no {sorted(lost)}, which are stored")
    if len(fields) != len(shape.fields):
        fields = dict(fields)
        _fill(fields, [name for name in shape.fields if name not in fields], shape)
        fields = {name: fields[name] for name in shape.fields}
    return fields


def read_model(reader: Reader, data: bytes) -> Any:
    shape, parts = _class_parts(reader, data, Code.MODEL, 2, 5)
    _, stored, fields_set, extra, private = [*parts, None, None, None][:5]
    if extra is not None and as_fields(extra) and not shape.extra_allowed:
        raise _drift(shape, f"the class does not allow the extra fields {sorted(extra)}")
    names = set(as_fields(stored)) if fields_set is None else _name_set(fields_set)
    return _model_of(shape.cls, _declared(stored, shape), names, extra, _private(private, shape))


def _private(stored: Any, shape: Shape) -> dict[str, Any] | None:
    private = {} if stored is None else dict(as_fields(stored))
    lost = private.keys() - shape.private.keys()
    if lost:
        raise _drift(shape, f"the class has no private {sorted(lost)}, which are stored")
    for name, default in shape.private.items():
        if name not in private and default is not None:
            private[name] = default()
    return private if private or stored is not None else None


def read_dataclass(reader: Reader, data: bytes) -> Any:
    shape, parts = _class_parts(reader, data, Code.DATACLASS, 2)
    return with_fields(shape, parts[1])


def with_fields(shape: Shape, fields: Any) -> Any:
    """A dataclass instance, or an object of LangGraph, with these fields; neither __init__ nor __post_init__ runs."""
    return _with_attributes(_new(shape.cls), _declared(fields, shape), shape)


def _with_attributes(made: Any, attributes: dict[str, Any], shape: Shape) -> Any:
    """Set attributes past __setattr__ and properties: in their slots or in the instance `__dict__`."""
    unslotted = {}
    for name, value in attributes.items():
        slot = shape.slots.get(name)
        if slot is None:
            unslotted[name] = value
        else:
            slot.__set__(made, value)
    if unslotted:
        if shape.instance_dict is None:
            raise _drift(shape, f"the class has no place for {sorted(unslotted)}")
        shape.instance_dict.__set__(made, unslotted)
    return made


def read_named_tuple(reader: Reader, data: bytes) -> Any:
    shape, parts = _class_parts(reader, data, Code.NAMEDTUPLE, 2)
    return named_tuple(shape, parts[1])


def named_tuple(shape: Shape, stored: Any) -> Any:
    """A named tuple with these fields; its __new__ does not run."""
    fields = _declared(stored, shape)
    return tuple.__new__(shape.cls, (fields[name] for name in shape.fields))


def read_slotted(reader: Reader, data: bytes) -> Any:
    shape, parts = _class_parts(reader, data, Code.SLOTTED, 2)
    return with_fields(shape, parts[1])


def read_enum(reader: Reader, data: bytes) -> Enum:
    shape, (_, member) = _class_parts(reader, data, Code.ENUM, 2)
    if type(member) is not str:
        return flag_member(shape, member)
    found = class_attribute(shape.cls, "_member_map_").get(member)
    if found is None:
        raise _drift(shape, f"the enum has no member {member!r:.80}")
    result: Enum = found
    return result


def flag_member(shape: Shape, value: Any) -> Enum:
    """The combination of flags of that value; a class's own _missing_ does not run."""
    cls: Any = shape.cls
    found: Any = None
    if type(value) is int and Flag in mro(cls):
        found = class_attribute(cls, "_value2member_map_").get(value)
        if found is None:
            found = Flag.__dict__["_missing_"].__func__(cls, value)
    if type(found) is not cls:
        raise _drift(shape, f"the enum has no member of value {value!r:.80}")
    result: Enum = found
    return result


def read_object(reader: Reader, data: bytes) -> Any:
    shape, parts = _class_parts(reader, data, Code.OBJECT, 2)
    return _with_attributes(_new(shape.cls), as_fields(parts[1]), shape)


def read_subclass(reader: Reader, data: bytes) -> Any:
    shape, parts = _class_parts(reader, data, Code.SUBCLASS, 3)
    base: Any = shape.builtin_base
    if type(parts[1]) is not base:
        reason = f"it was stored as a {type(parts[1]).__name__}, and the class is a {base.__name__}"
        raise UnresolvedError(shape.name, reason, "Give the class another name")
    made: Any
    if base in (list, dict, set):
        made = base.__new__(shape.cls)
        (base.extend if base is list else base.update)(made, parts[1])
    else:
        made = base.__new__(shape.cls, parts[1])
    return _with_attributes(made, as_fields(parts[2]), shape)
