"""Equality of models is that of their parts, also where plain fields are compared in one step."""

from __future__ import annotations

import array
import math
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from langgraph_wfstore.threads.metadata import json_equal
from langgraph_wfstore.values.equality import same


class Box(BaseModel):
    what: Any


class Text(str):
    __slots__ = ()


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        (1, Number.ONE),
        (0.0, -0.0),
        (b"a", bytearray(b"a")),
        (array.array("b", b"a"), b"a"),
        ("a", b"a"),
        ("a", Text("a")),
        ((1,), [1]),
        ({1}, frozenset({1})),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"1": 1}, {1: 1}),
        (None, {}),
    ],
)
@pytest.mark.parametrize("around", [lambda value: value, lambda value: [value], lambda value: {"k": (value,)}])
def test_what_differs_in_a_model_makes_it_differ(left, right, around):
    assert not same(Box(what=around(left)), Box(what=around(right)))
    assert not same(Box(what=around(right)), Box(what=around(left)))
    assert same(Box(what=around(left)), Box(what=around(left)))


@pytest.mark.parametrize("value", [math.nan, {"a", "b", "c"}, datetime.now(UTC), b"a", Box(what=[1]), "\ud800", 2**70])
def test_what_cannot_be_compared_in_one_step_is_compared_part_by_part(value):
    assert same(Box(what=[value]), Box(what=[value]))
    assert not same(Box(what=[value]), Box(what=[value, 1]))


def test_a_tuple_is_a_list_only_to_langgraph():
    assert same(Box(what=(1,)), Box(what=[1]), as_langgraph=True)
    assert not same(Box(what=(1,)), Box(what=[1]))


def test_a_filter_compares_arrays_of_numpy_whole():
    assert json_equal(np.arange(3), np.arange(3))
    assert not json_equal(np.arange(3), np.arange(4))
    assert not json_equal(np.arange(3), [0, 1, 2])
