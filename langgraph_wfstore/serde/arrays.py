"""numpy arrays and scalars, for a process that has imported numpy; this module never imports it."""

from __future__ import annotations

import math
import re
import sys
from typing import Any, Final

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.serde.classes import Code, Refused
from langgraph_wfstore.serde.shapes import Policy

_SIMPLE_DTYPE: Final = re.compile(r"[<>|][biufcSUVmM][0-9]+(\[[0-9]*[A-Za-z]+\])?", re.ASCII)


def encode(value: Any, policy: Policy) -> tuple[int, Any]:
    """The code and payload of an array or a numpy scalar; Refused for what holds Python objects."""
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.str_):
        return Code.NUMPY_SCALAR, ["str", str.__str__(value)]
    if isinstance(value, numpy.bytes_):
        return Code.NUMPY_SCALAR, ["bytes", bytes(memoryview(value))]
    dtype = _described(value.dtype, numpy)
    if isinstance(value, numpy.generic):
        return Code.NUMPY_SCALAR, [dtype, value.tobytes()]
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    return Code.NDARRAY, [dtype, list(value.shape), order, value.tobytes(order=order)]


def _described(dtype: Any, numpy: Any) -> Any:
    described = dtype.str if dtype.names is None else _lists(dtype.descr)
    if dtype.hasobject or dtype.itemsize == 0 or _dtype(described, numpy) != dtype:
        raise Refused(f"its dtype is {dtype}", "Only dtypes without Python objects can be stored.")
    return described


def _lists(described: Any) -> Any:
    return [_lists(part) for part in described] if isinstance(described, list | tuple) else described


def _dtype(described: Any, numpy: Any) -> Any:
    if isinstance(described, str):
        return numpy.dtype(_simple(described))
    return numpy.dtype([_field(field) for field in described])


def _simple(described: str) -> str:
    # numpy.dtype reads a whole language of strings; only what it writes itself is let through.
    if not _SIMPLE_DTYPE.fullmatch(described):
        raise Refused(f"its dtype is {described!r:.40}", "Only dtypes without Python objects can be stored.")
    return described


def _field(field: list[Any]) -> tuple[Any, ...]:
    name, kind, *shape = field
    title = tuple(name) if isinstance(name, list) else name
    fields = _simple(kind) if isinstance(kind, str) else [_field(part) for part in kind]
    return (title, fields, *(tuple(part) for part in shape))


def decode_array(parts: list[Any]) -> Any:
    """The array that a payload of code NDARRAY describes; its data are its own and writable."""
    numpy = _numpy()
    described, shape, order, data = parts
    dtype = _dtype(described, numpy)
    _check(dtype, shape, data)
    if order not in ("C", "F"):
        raise DecodeError(f"A stored array has the unknown order {order!r:.20}.")
    array = numpy.empty(shape, dtype, order)
    if data:
        flat = numpy.frombuffer(data, dtype)
        array[...] = flat.reshape(shape, order=order)
    return array


def _check(dtype: Any, shape: list[int], data: bytes) -> None:
    if dtype.hasobject or dtype.itemsize == 0:
        raise DecodeError(f"A stored array has the dtype {dtype}, which is never written.")
    if type(data) is not bytes or any(type(n) is not int or n < 0 for n in shape):
        raise DecodeError("A stored array has no well-formed shape or data.")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise DecodeError(f"A stored array of shape {shape} has {len(data)} bytes of data.")


def decode_scalar(parts: list[Any]) -> Any:
    """The scalar that a payload of code NUMPY_SCALAR describes."""
    numpy = _numpy()
    described, data = parts
    if described == "str" and type(data) is str:
        return numpy.str_(data)
    if described == "bytes" and type(data) is bytes:
        return numpy.bytes_(data)
    dtype = _dtype(described, numpy)
    _check(dtype, [1], data)
    return numpy.frombuffer(data, dtype)[0].copy()


def _numpy() -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise DecodeError("The stored value holds numpy data, and numpy is not imported; import numpy before reading.")
    return numpy
