"""The contract suite itself: it is complete, and its equality sees differences."""

from collections import Counter, defaultdict, deque
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy
import pytest
from langchain_core.messages import HumanMessage

from langgraph_wfstore.testing import PARTS, contract_tests
from langgraph_wfstore.testing.contract import Contract, DurabilityContract
from langgraph_wfstore.testing.sample_values import VALUES, Address, Coin, Level, Mood
from langgraph_wfstore.values.equality import same

BERLIN = ZoneInfo("Europe/Berlin")


def test_every_part_is_taken():
    parts = {*Contract.__subclasses__(), *DurabilityContract.__subclasses__()} - {DurabilityContract}
    assert {*PARTS} == {part for part in parts if part.__module__.startswith(Contract.__module__)}
    assert len(contract_tests(type("Fixtures", (), {}))) == len(PARTS)


@pytest.mark.parametrize("name", VALUES)
def test_a_sample_is_the_same_as_itself_and_as_no_other(name):
    assert [other for other in VALUES if same(VALUES[name], VALUES[other])] == [name]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (Decimal("1.0"), Decimal("1.00")),
        ((1,), [1]),
        ([1, (2,)], [1, [2]]),
        ({1}, {True}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": (1,)}, {"a": [1]}),
        (Counter(a=1), {"a": 1}),
        (defaultdict(list), defaultdict(dict)),
        (deque([1], maxlen=1), deque([1])),
        (Mood.CALM, "calm"),
        (Level.HIGH, 3),
        (b"a", bytearray(b"a")),
        (Coin("a", ("b",)), Coin("a", ("c",))),
        (Address(street="a"), Address(street="b")),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=BERLIN)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=timezone(timedelta(0), "x"))),
        (datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1)),
    ],
    ids=repr,
)
def test_what_differs_is_not_the_same(left, right):
    assert not same(left, right)
    assert not same([left], [right])


class Slotted:
    __slots__ = ("of",)

    def __init__(self, of):
        self.of = of


class Tagged(list):
    pass


def _tagged(items, tag):
    made = Tagged(items)
    made.tag = tag
    return made


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: numpy.array([1.0, numpy.nan]), numpy.array([1.0, 2.0])),
        (lambda: numpy.array([1, 2]), numpy.array([1, 2], dtype="int32")),
        (lambda: numpy.array([["a"]], dtype=object), numpy.array([[1]], dtype=object)),
        (lambda: numpy.float32(1), numpy.float64(1)),
        (lambda: Slotted([1]), Slotted([2])),
        (lambda: _tagged([1], "a"), _tagged([1], "b")),
        (lambda: {float("nan")}, {1.0}),
        (lambda: complex(0.0, float("nan")), complex(-0.0, float("nan"))),
    ],
    ids=range(8),
)
def test_what_has_no_plain_equality_of_its_own_is_compared_by_its_parts(make, other):
    assert same(make(), make())
    assert not same(make(), other)


def test_what_langgraphs_serializer_does_not_keep_is_the_same_where_that_is_asked_for():
    assert not same(HumanMessage("x"), HumanMessage("x", name=None))
    assert same(HumanMessage("x"), HumanMessage("x", name=None), as_langgraph=True)
    assert same({"a": [(1, [2])]}, {"a": ([1, (2,)],)}, as_langgraph=True)
    assert not same((1, 2), [1, True], as_langgraph=True)
    assert not same((1,), {1}, as_langgraph=True)
