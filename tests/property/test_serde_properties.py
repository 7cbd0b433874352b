"""For any value: what is stored comes back. For any bytes: a value or a DecodeError, and nothing imported."""

from __future__ import annotations

import datetime as dt
import sys
import zoneinfo
from collections import Counter, OrderedDict, deque
from pathlib import Path

import numpy as np
import ormsgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command, Interrupt, Send

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

import serde_samples as samples
from deep_equal import same

from langgraph_wfstore.errors import DecodeError, UnsupportedValueError
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.serde.classes import KNOWN, Code
from langgraph_wfstore.serde.shapes import Policy
from langgraph_wfstore.serde.write import _SlowWriter

SERIALIZER = WfSerializer()
ZONES = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(minutes=-7), "n"), zoneinfo.ZoneInfo("Europe/Berlin")])
TEXT = st.one_of(st.text(), st.text(st.characters(), max_size=5), st.just("\ud800"))
HASHABLE_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    TEXT,
    st.binary(),
    st.complex_numbers(),
    st.decimals().filter(lambda d: not d.is_snan()),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.timedeltas(),
    st.builds(dt.datetime.replace, st.datetimes(), fold=st.integers(0, 1), tzinfo=ZONES),
    st.times(),
    st.ip_addresses(),
    st.sampled_from([*samples.Colour, *samples.Level, *samples.Name, samples.Access(3)]),
    st.builds(range, st.integers(-9, 9), st.integers(), st.integers(1, 9)),
)
HASHABLE = st.recursive(
    HASHABLE_LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(samples.Frozen, inner),
        st.builds(samples.Point, inner, inner),
    ),
    max_leaves=5,
)


def containers(inner):
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXT, inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=3).map(OrderedDict),
        st.dictionaries(HASHABLE, st.integers(), max_size=3).map(Counter),
        st.lists(inner, max_size=4).map(lambda items: deque(items, maxlen=7)),
        st.builds(samples.Plain, inner, st.lists(inner, max_size=2)),
        st.builds(samples.Point, inner, inner),
        st.builds(HumanMessage, TEXT, id=st.none() | TEXT, additional_kwargs=st.dictionaries(TEXT, inner, max_size=2)),
        st.builds(lambda c, extra: AIMessage(c, extra_field=extra), st.just([{"type": "text", "text": "x"}]), inner),
        st.builds(ToolMessage, st.text(), tool_call_id=st.text(), artifact=inner),
        st.builds(Send, st.text(), inner),
        st.builds(Interrupt, inner, id=st.text()),
        st.builds(Command, update=inner, resume=inner),
    )


VALUES = st.recursive(
    st.one_of(HASHABLE, st.binary().map(bytearray), st.sets(HASHABLE, max_size=3)), containers, max_leaves=12
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_any_value_comes_back_the_same(value):
    assert same(SERIALIZER.loads_typed(SERIALIZER.dumps_typed(value)), value)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_both_paths_write_the_same_bytes_and_writing_again_gives_them_again(value):
    data = SERIALIZER.dumps_typed([value])
    assert _SlowWriter(Policy()).pack([value], None) == data[1]
    assert SERIALIZER.dumps_typed(SERIALIZER.loads_typed(data)) == data


@settings(max_examples=200, deadline=None)
@given(st.lists(HASHABLE, max_size=8), st.randoms())
def test_the_bytes_of_a_set_do_not_depend_on_the_order_in_which_it_was_filled(items, random):
    items = list({SERIALIZER.dumps_typed([i])[1]: i for i in set(items)}.values())
    shuffled = random.sample(items, len(items))
    first, second = set(items), set(shuffled)
    assert SERIALIZER.dumps_typed(first) == SERIALIZER.dumps_typed(second)


def decodes_or_refuses(data, serializer=SERIALIZER, tag="wf1"):
    modules = set(sys.modules)
    samples.RAN.clear()
    try:
        value = serializer.loads_typed((tag, data))
    except DecodeError:
        return
    finally:
        assert set(sys.modules) == modules
        assert samples.RAN == []
    try:
        again = serializer.dumps_typed(value)
    except UnsupportedValueError:
        return
    serializer.loads_typed(again)


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc9\xff\xff\xff\xff\x13")
@example(b"\x91" * 2000)
def test_any_bytes_are_a_value_or_a_decode_error(data):
    decodes_or_refuses(data)
    decodes_or_refuses(data, tag="msgpack")
    decodes_or_refuses(data, tag="json")


@settings(max_examples=1000, deadline=None)
@given(VALUES, st.data())
def test_mutated_bytes_are_a_value_or_a_decode_error(value, data):
    stored = bytearray(SERIALIZER.dumps_typed([value])[1])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] = data.draw(st.integers(0, 255))
    decodes_or_refuses(bytes(stored))
    decodes_or_refuses(bytes(stored), WfSerializer(placeholders=True))
    decodes_or_refuses(bytes(stored), WfSerializer(strict=True))


NAMES = st.sampled_from(
    [
        *KNOWN,
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "builtins:object",
        "builtins:dict",
        "enum:Enum",
        "serde_samples:Trap",
        "serde_samples:Plain",
        "serde_samples:Model",
        "serde_samples:Colour",
        "serde_samples:NoMissing",
        "serde_samples:NoMissingFlag",
        "serde_samples:Point",
        "serde_samples:PropertyField",
        "serde_samples:MyStr",
        "antigravity:x",
    ]
)
WORDS = st.sampled_from(["x", "y", "a", "content", "type", "id", "child", "A", "RED", "<i8", "C", "IPv4Address", "int"])
ATOMS = st.one_of(NAMES, WORDS, st.none(), st.integers(-3, 99), st.binary(max_size=9), st.floats())
PARTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(WORDS, inner, max_size=4),
        st.builds(lambda code, part: ormsgpack.Ext(code, ormsgpack.packb(part)), st.sampled_from(list(Code)), inner),
        st.builds(ormsgpack.Ext, st.sampled_from(list(Code)), st.binary(max_size=20)),
    ),
    max_leaves=10,
)


@settings(max_examples=2000, deadline=None)
@given(st.sampled_from([*Code, 0, 1, 2, 3, 4, 5, 6, 7]), NAMES, st.lists(PARTS, max_size=4))
def test_well_formed_bytes_with_hostile_content_are_a_value_or_a_decode_error(code, name, parts):
    for payload in ([name, *parts], parts):
        data = ormsgpack.packb(ormsgpack.Ext(int(code), ormsgpack.packb(payload)))
        decodes_or_refuses(data)
        decodes_or_refuses(data, WfSerializer(placeholders=True))
        decodes_or_refuses(data, tag="msgpack")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["<i4", ">f8", "|b1", "<U3", "|S2", "<c16", "<M8[s]"]),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from("CF"),
    st.data(),
)
def test_any_array_comes_back_the_same(dtype, shape, order, data):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = data.draw(st.binary(min_size=size, max_size=size)) if dtype != "<U3" else bytes(size)
    array = np.frombuffer(raw, dtype).reshape(shape, order=order) if size else np.zeros(shape, dtype)
    again = SERIALIZER.loads_typed(SERIALIZER.dumps_typed(array))
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
