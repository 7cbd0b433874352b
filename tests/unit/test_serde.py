"""The serializer gives back what it was given, refuses the rest with a place, and trusts no stored byte."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import fractions
import ipaddress
import math
import os
import pathlib
import re
import subprocess
import sys
import threading
import types
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import ormsgpack
import pytest
import serde_samples as samples
from deep_equal import same
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.runnables.utils import AddableDict
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.store.base import Item
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import AnyUrl, BaseModel, PostgresDsn, SecretBytes, SecretStr

from langgraph_wfstore.errors import DecodeError, UnsupportedValueError
from langgraph_wfstore.serde import Placeholder, WfSerializer
from langgraph_wfstore.serde.classes import Code

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2024, 10, 27, 2, 30, 1, 999999)
DERIVED = samples.Derived(4)
CACHED = samples.Model(child=samples.Child(), count=3, extra={"a": (1,)})
CACHED._secret = 9
SET_LATER = AIMessage("x")
SET_LATER.id = "later"
SET_LATER.name = None

STANDARD = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    -(2**63) - 1,
    10**5000,
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "a\0b",
    "größe 🎉",
    "\ud800",
    "a\udfffb",
    b"",
    b"\xc4\0",
    bytearray(b"\xffx"),
    [bytearray(b"x"), b"x"],
    {"a": {"b": [bytearray(b"y")]}},
    (bytearray(b"z"),),
    [],
    [[], [[]], [()]],
    (),
    (1, (2, [3, (4,)])),
    {},
    {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}},
    {"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["true"]},
    {1: "a", "1": "b", (1, 2): "c", None: "d", 1.5: "e", b"1": "f", frozenset({1}): "g"},
    {True: 1, 0: 2},
    {"b": 1, "a": 2},
    {samples.Colour.RED: 1, samples.Level.LOW: 2, samples.Name.ANN: 3},
    {(samples.Colour.RED, (1,)): 1, dt.date(2020, 1, 1): 2, uuid.UUID(int=1): 3, decimal.Decimal("1.50"): 4},
    {"\ud800": 1},
    {math.nan: 1},
    {2**70: 1, -1: 2},
    set(),
    {1, "a", None, (1, 2), 2**70, "\ud800"},
    frozenset({frozenset({1}), b"x"}),
    {(1, 2), (3,)},
    {samples.Colour.RED, samples.Level.LOW, samples.Name.ANN},
    decimal.Decimal("1.10"),
    decimal.Decimal("-0"),
    decimal.Decimal("sNaN12"),
    decimal.Decimal("-Infinity"),
    decimal.Decimal("1E+1000000"),
    fractions.Fraction(-3, 10**30),
    complex(-0.0, math.nan),
    NOW,
    NOW.replace(fold=1, tzinfo=BERLIN),
    NOW.replace(tzinfo=dt.UTC),
    NOW.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3, microseconds=5), "odd")),
    dt.date(1, 1, 1),
    dt.time(1, 2, 3, 4, fold=1),
    dt.time(1, tzinfo=dt.timezone(dt.timedelta(minutes=-90))),
    dt.timedelta(-5, 3, 1),
    dt.timedelta.max,
    dt.UTC,
    dt.timezone(dt.timedelta(hours=2), "X"),
    BERLIN,
    uuid.UUID(int=2**127 + 1),
    uuid.UUID(int=5, is_safe=uuid.SafeUUID.safe),
    uuid.UUID(int=5, is_safe=uuid.SafeUUID.unsafe),
    pathlib.PurePosixPath("/a/../b"),
    pathlib.PureWindowsPath("C:\\x"),
    pathlib.Path("x/y"),
    re.compile(r"a(?i:b)+", re.MULTILINE),
    re.compile(rb"\xff", re.DOTALL),
    ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_address("fe80::1%eth0"),
    ipaddress.ip_interface("10.0.0.1/8"),
    ipaddress.ip_interface("::1/64"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("::/16"),
    range(10),
    range(5, -(10**30), -2),
    slice(None, "a", (1,)),
    deque([1, (2,)]),
    deque([1, 2], maxlen=2),
    deque(maxlen=0),
    defaultdict(None, {1: 2}),
    defaultdict(list, {"a": [1]}),
    Counter({"a": 2, (1,): -1}),
    OrderedDict([("b", 1), ("a", 2), (3, 4)]),
    SecretStr("s\ud800"),
    SecretBytes(b"s"),
]

CLASSES = [
    samples.Colour.RED,
    samples.Colour.PAIR,
    samples.Level.HIGH,
    samples.Name.ANN,
    samples.Access.READ,
    samples.Access.READ | samples.Access.WRITE,
    samples.Access(0),
    samples.Bits(3),
    samples.Bits(64),
    samples.Outer.Inner.A,
    samples.Outer.Data(1),
    samples.Plain(1),
    samples.Plain({"a": samples.Plain((1,), [samples.Colour.RED])}, [bytearray(b"x")]),
    samples.Frozen((1, {2})),
    DERIVED,
    samples.Point(1),
    samples.Point([samples.Point(1, 2)], {"a": (1,)}),
    samples.OldPoint(1, "\ud800"),
    samples.Child(),
    samples.Child(name="x"),
    CACHED,
    samples.Closed(a=1, b=[2]),
    samples.Closed.model_construct(_fields_set={"b"}, a="not an int", b=[]),
    samples.Keys(key=SecretStr("s")),
    samples.Numbers([1, 2]),
    samples.IntBox(item=1),
]

CALL = {"name": "f", "args": {"a": [1, {"b": None}]}, "id": "1", "type": "tool_call"}
MESSAGES = [
    HumanMessage("hi"),
    HumanMessage("hi", id="1", name="n", extra_field=(1, 2)),
    HumanMessage([{"type": "text", "text": "a"}, "b", {"type": "image_url", "image_url": {"url": "data:"}}]),
    HumanMessage("hi", additional_kwargs={"a": {1: 2}}, response_metadata={"t": (1,)}),
    HumanMessage(""),
    HumanMessage("x", id=None, additional_kwargs={}),
    AIMessage("hi"),
    SET_LATER,
    AIMessage(
        "",
        tool_calls=[CALL],
        invalid_tool_calls=[{"name": "x", "args": "{", "id": "2", "error": None, "type": "invalid_tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    SystemMessage("s"),
    ToolMessage("t", tool_call_id="1", artifact=np.arange(3), status="error"),
    ToolMessage("t", tool_call_id="1"),
    ChatMessage("c", role="r"),
    FunctionMessage("f", name="n"),
    RemoveMessage(id="1"),
    HumanMessageChunk("h"),
    AIMessageChunk("a", tool_call_chunks=[{"name": "f", "args": "{", "id": "1", "index": 0}]),
    AIMessageChunk("a", chunk_position="last"),
    SystemMessageChunk("s"),
    ToolMessageChunk("t", tool_call_id="1"),
    ChatMessageChunk("c", role="r"),
    FunctionMessageChunk("f", name="n"),
    Document("d", id="1", metadata={"a": 1}),
    Document("d"),
]

LANGGRAPH = [
    Send("node", {"a": (1, 2)}),
    Send("node", HumanMessage("x"), timeout=TimeoutPolicy(run_timeout=3.0)),
    Command(update={"a": 1}, goto=("x", Send("y", 1)), resume={"i": 1}, graph=Command.PARENT),
    Command(goto=[Send("y", [HumanMessage("x")])]),
    Interrupt({"q": (1,)}, id="abc"),
    Overwrite([1, 2]),
    TimeoutPolicy(run_timeout=1.0),
    _DeltaSnapshot([HumanMessage("x")]),
    Item(value={"a": (1,)}, key="k", namespace=("a", "b"), created_at=NOW, updated_at=NOW.replace(tzinfo=dt.UTC)),
]

ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(10)[::3],
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.array(5),
    np.zeros((0, 3)),
    np.array(["a", "größe"]),
    np.array([b"a"]),
    np.array([True]),
    np.array(["2020-01-01"], dtype="M8[ns]"),
    np.array([1], dtype=">i4"),
    np.array([1 + 2j]),
    np.array([(1, b"a", [[1, 2]])], dtype=[("x", "<i4"), ("y", "S3"), ("z", "<f8", (1, 2))]),
    np.array([((1,),)], dtype=[("o", [("i", "<i2")])]),
]

SCALARS = [
    np.float64(-0.0),
    np.float32(1.5),
    np.int8(-3),
    np.bool_(True),
    np.str_("a\0"),
    np.str_(""),
    np.bytes_(b"a\0"),
    np.datetime64("2020-01-01T00:00:00", "ns"),
    np.timedelta64(3, "D"),
    np.complex64(1j),
]


def round_trip(value, **options):
    serializer = WfSerializer(**options)
    return serializer.loads_typed(serializer.dumps_typed(value))


def stored(code, payload):
    """Bytes of an object with this code; `payload` is packed unless it is bytes."""
    data = payload if isinstance(payload, bytes) else ormsgpack.packb(payload)
    return "wf1", ormsgpack.packb(ormsgpack.Ext(code, data))


def load(code, payload, **options):
    return WfSerializer(**options).loads_typed(stored(code, payload))


def short(value):
    return type(value).__name__


@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: [v], lambda v: {"k": (v, {1: v})}], ids=["alone", "list", "deep"]
)
@pytest.mark.parametrize("value", [*STANDARD, *CLASSES, *LANGGRAPH], ids=short)
def test_a_value_comes_back_equal_and_of_the_same_type(value, wrap):
    assert same(round_trip(wrap(value)), wrap(value))


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v, "\ud800"]], ids=["fast", "slow"])
@pytest.mark.parametrize("message", [m for m in MESSAGES if getattr(m, "artifact", None) is None], ids=short)
def test_a_message_comes_back_with_every_field_in_place(message, wrap):
    assert same(round_trip(wrap(message)), wrap(message))


@pytest.mark.parametrize("array", ARRAYS, ids=short)
def test_an_array_comes_back_with_dtype_shape_order_and_writable(array):
    again = round_trip(array)
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert again.flags.writeable
    assert array.ndim < 2 or not array.flags.f_contiguous or again.flags.f_contiguous


@pytest.mark.parametrize("scalar", SCALARS, ids=short)
def test_a_numpy_scalar_comes_back_of_its_type(scalar):
    again = round_trip(scalar)
    assert type(again) is type(scalar)
    assert again.dtype == scalar.dtype
    assert again.tobytes() == scalar.tobytes()


def test_an_artifact_that_is_an_array_does_not_confuse_the_message():
    message = ToolMessage("t", tool_call_id="1", artifact=np.arange(3))
    assert round_trip(message).artifact.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [*STANDARD, *CLASSES, *MESSAGES, *LANGGRAPH, *ARRAYS], ids=short)
def test_the_slow_path_writes_the_same_bytes_as_the_fast_one(value):
    from langgraph_wfstore.serde.shapes import Policy
    from langgraph_wfstore.serde.write import _SlowWriter, write

    assert _SlowWriter(Policy()).pack([value], None) == write([value], Policy())


def test_the_slow_path_writes_long_containers_like_the_fast_one():
    from langgraph_wfstore.serde.shapes import Policy
    from langgraph_wfstore.serde.write import _SlowWriter, write

    for count in (15, 16, 65535, 65536):
        for value in (["x"] * count, {str(i): "x" for i in range(count)}, set(range(count))):
            assert _SlowWriter(Policy()).pack(value, None) == write(value, Policy())


def test_a_message_takes_less_than_half_of_the_bytes_that_langgraph_takes():
    message = AIMessage("hello there how are you", id="abcdefgh-1234")
    assert len(WfSerializer().dumps_typed(message)[1]) * 2 < len(JsonPlusSerializer().dumps_typed(message)[1])


def test_decoded_messages_share_no_mutable_default():
    first, second = round_trip([HumanMessage("a"), HumanMessage("b")])
    first.additional_kwargs["x"] = 1
    assert second.additional_kwargs == {}
    assert round_trip(HumanMessage("c")).additional_kwargs == {}


def test_an_exception_becomes_its_repr_as_in_langgraph():
    error = ValueError("boom")
    expected = JsonPlusSerializer().loads_typed(JsonPlusSerializer().dumps_typed(error))
    assert round_trip(error) == expected == "ValueError('boom')"
    assert round_trip({"e": [error]}) == {"e": ["ValueError('boom')"]}


def test_it_is_langgraphs_serializer_protocol():
    assert isinstance(WfSerializer(), SerializerProtocol)


def test_none_and_bytes_have_their_own_tags():
    assert WfSerializer().dumps_typed(None) == ("null", b"")
    assert WfSerializer().dumps_typed(b"x") == ("bytes", b"x")


# --- what cannot be stored ---


@dataclasses.dataclass
class Shadowed:
    x: int


ORIGINAL = Shadowed


@dataclasses.dataclass
class Shadowed:  # type: ignore[no-redef]  # the name is taken again, on purpose
    x: int


def local_class():
    @dataclasses.dataclass
    class Local:
        x: int

    return Local(1)


def with_attribute(value, name="stray"):
    object.__setattr__(value, name, 1)
    return value


class MyZone(dt.tzinfo):
    pass


def parametrized():
    return samples.Box[bytes](item=b"x")


def incomplete():
    return samples.Derived.__new__(samples.Derived)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (lambda: 1, "function"),
        (threading.Lock(), "lock"),
        ((i for i in ()), "generator"),
        (samples.Plain, "type"),
        (os, "module"),
        (os.path.join, "function"),
        (object(), "object"),
        (memoryview(b"x"), "memoryview"),
        (samples.MyStr("x"), "MyStr"),
        (samples.MyList([1]), "MyList"),
        (samples.MyDict(a=1), "MyDict"),
        (samples.MyTuple((1,)), "MyTuple"),
        (samples.Thing(1), "Thing"),
        (samples.Custom(), "Custom"),
        (local_class(), "Define the class at module level"),
        (ORIGINAL(1), "Define the class at module level"),
        (with_attribute(samples.Plain(1)), "stray"),
        (incomplete(), "not set"),
        (defaultdict(lambda: 1), "default_factory"),
        (dt.datetime(2020, 1, 1, tzinfo=MyZone()), "time zone"),
        (np.array([object()]), "dtype"),
        (np.ma.array([1]), "MaskedArray"),
        (types.SimpleNamespace(a=1), "SimpleNamespace"),
        (sys.version_info, "version_info"),
        (samples.WithDel(1), "__del__"),
        (with_attribute(Counter()), "attributes"),
        (with_attribute(OrderedDict()), "attributes"),
        (ipaddress.ip_address, "function"),
        (samples.Model.model_construct(), "without its constructor"),
        (parametrized(), "class Name(Box[bytes]): pass"),
        (AnyUrl("https://example.org/"), "str(url)"),
        (PostgresDsn("postgresql://u@a,b/x"), "str(url)"),
    ],
    ids=short,
)
def test_what_could_not_be_read_back_is_refused_with_its_place(value, says):
    with pytest.raises(UnsupportedValueError, match=re.escape(says)):
        round_trip(value)
    with pytest.raises(UnsupportedValueError, match=re.escape("value['a'][3].y[0]")):
        round_trip({"a": [1, 2, 3, samples.Plain(1, y=[value])]})


def test_the_place_of_a_refusal_is_named_in_every_kind_of_container():
    bad = samples.Custom()
    for value, place in [
        ((1, bad), "value[1]"),
        (deque([bad]), "value[0]"),
        ({1: bad}, "value[1]"),
        ({(1, 2): [bad]}, "value[(1, 2)][0]"),
        (Counter({"a": bad}), "value['a']"),
        (defaultdict(list, {"a": bad}), "value['a']"),
        (samples.Point(1, bad), "value.y"),
        (samples.Model(child=samples.Child(), stray=bad), "value.stray"),
        (AIMessage("x", additional_kwargs={"k": bad}), "value.additional_kwargs['k']"),
        (Send("n", bad), "value.arg"),
    ]:
        with pytest.raises(UnsupportedValueError, match=re.escape(f"at {place}:")):
            round_trip(value)


def test_a_cycle_is_refused_and_a_shared_part_is_not():
    loop: list = []
    loop.append({"x": (loop,)})
    node = samples.Node(1)
    node.next = node
    for value in (loop, node, {"n": samples.Node(1, [node])}):
        with pytest.raises(UnsupportedValueError, match="contains itself"):
            round_trip(value)
    shared = [1]
    assert round_trip([shared, shared]) == [[1], [1]]


def nested(levels, wrap):
    value = None
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = [lambda v: [v], lambda v: {"a": v}, lambda v: (v,), lambda v: {1: v}, samples.Node, lambda v: [(v,)]]


@pytest.mark.parametrize("wrap", WRAPS)
def test_deep_nesting_works_or_is_refused_and_what_is_written_can_be_read(wrap):
    assert same(round_trip(nested(90, wrap)), nested(90, wrap))
    for levels in (100, 101, 150, 200, 254, 255, 256, 257, 400):
        try:
            data = WfSerializer().dumps_typed(nested(levels, wrap))
        except UnsupportedValueError:
            continue
        WfSerializer().loads_typed(data)
    with pytest.raises(UnsupportedValueError, match="too deeply"):
        round_trip(nested(3000, wrap))


def test_objects_between_long_runs_of_lists_are_refused_or_can_be_read():
    for objects in (2, 4, 5, 6, 9):
        for run in (10, 40, 60, 200):
            value = None
            for _ in range(objects):
                value = (nested(run, lambda v: [v]), [value])
                for _ in range(run):
                    value = [value]
            try:
                data = WfSerializer().dumps_typed(value)
            except UnsupportedValueError:
                continue
            WfSerializer().loads_typed(data)


def test_what_a_cached_property_keeps_is_left_out():
    cached = samples.Model(child=samples.Child(), count=3)
    derived = samples.Derived(4)
    assert (cached.double, derived.half) == (6, 4.0)
    again = round_trip([cached, derived])
    assert "double" not in vars(again[0])
    assert "half" not in vars(again[1])
    assert (again[0].double, again[1].half) == (6, 4.0)


def test_a_message_whose_fields_stand_in_another_order_keeps_it():
    message = HumanMessage("x")
    object.__setattr__(message, "__dict__", dict(reversed(message.__dict__.items())))
    assert same(round_trip(message), message)


def test_a_pattern_that_would_print_is_refused(capsys):
    with pytest.raises(UnsupportedValueError, match=r"re\.DEBUG"):
        round_trip(re.compile("x", re.DEBUG))


def test_a_failing_repr_or_property_gives_a_refusal_not_its_own_error():
    class BadRepr(Exception):
        def __repr__(self):
            raise KeyError("no")

    with pytest.raises(UnsupportedValueError, match="KeyError"):
        round_trip([BadRepr()])


# --- determinism ---

PRINT_BYTES = """
import sys; sys.path[:0] = [{tests!r}]
import serde_samples as s
from langchain_core.messages import HumanMessage
from langgraph_wfstore.serde import WfSerializer
value = [set("abcdefgh"), frozenset({{("x", 1), "y", s.Colour.RED, s.Point("q")}}), {{"z": {{s.Name.ANN, "b", None}}}},
         s.Model(child=s.Child(), a=1, b=2, c=3), HumanMessage("x", name=None, id="1", response_metadata={{}}),
         {{"\\ud800", "a", "b", "c"}}]
print(WfSerializer().dumps_typed(value)[1].hex(), WfSerializer().dumps_typed(value[:5])[1].hex())
"""


def test_the_bytes_do_not_depend_on_the_hash_seed():
    program = PRINT_BYTES.format(tests=str(pathlib.Path(__file__).parent))
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 100


def test_the_bytes_of_the_format_do_not_change():
    assert WfSerializer().dumps_typed(HumanMessage("hi", id="1"))[1].hex() == (
        "c71335920182a7" + b"content".hex() + "a2" + b"hi".hex() + "a2" + b"id".hex() + "a1" + b"1".hex()
    )
    assert WfSerializer().dumps_typed((1, {2: "x"}))[1].hex() == "d7139201d6169202a178"
    assert WfSerializer().dumps_typed({3, 1, 2})[1].hex() == "d61493010203"
    point = b"serde_samples:Point".hex()
    assert WfSerializer().dumps_typed(samples.Point(1))[1].hex() == f"c71c3292b3{point}82a17801a17900"


# --- bytes that were not written by us ---


@pytest.mark.parametrize("placeholders", [False, True])
@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (Code.DATACLASS, ["subprocess:Popen", {"args": "true"}]),
        (Code.DATACLASS, ["os:system", {"command": "true"}]),
        (Code.DATACLASS, ["builtins:eval", {"x": "1"}]),
        (Code.DATACLASS, ["importlib:import_module", {"name": "this"}]),
        (Code.DATACLASS, ["builtins:object", {}]),
        (Code.DATACLASS, ["builtins:type", {}]),
        (Code.DATACLASS, ["serde_samples:Colour", {"x": 1}]),
        (Code.DATACLASS, ["serde_samples:RAN", {"x": 1}]),
        (Code.DATACLASS, ["serde_samples:PropertyTrap.inner", {"x": 1}]),
        (Code.DATACLASS, ["serde_samples:Plain.__init__", {"x": 1}]),
        (Code.DATACLASS, ["serde_samples:Plain.__class__", {"x": 1}]),
        (Code.DATACLASS, ["serde_samples:WithDel", {"x": 1}]),
        (Code.DATACLASS, ["antigravity:x", {"x": 1}]),
        (Code.DATACLASS, ["os.path:join", {}]),
        (Code.DATACLASS, [":", {}]),
        (Code.ENUM, ["subprocess:Popen", "x"]),
        (Code.ENUM, ["serde_samples:NoMissing", "B"]),
        (Code.ENUM, ["serde_samples:NoMissing", 2]),
        (Code.ENUM, ["serde_samples:NoMissing", "_missing_"]),
        (Code.ENUM, ["serde_samples:NoMissing", [1]]),
        (Code.ENUM, ["enum:Enum", "x"]),
        (Code.NAMEDTUPLE, ["os:stat_result", {}]),
        (Code.NAMEDTUPLE, ["builtins:tuple", {}]),
        (Code.MODEL, ["serde_samples:Plain", {"x": 1}]),
        (Code.MODEL, ["pydantic:BaseModel.__init__", {"x": 1}]),
        (Code.OBJECT, ["serde_samples:Thing", {"a": 1}]),
        (Code.OBJECT, ["subprocess:Popen", {"pid": 1}]),
        (Code.OBJECT, ["builtins:object", {}]),
        (Code.SUBCLASS, ["serde_samples:MyStr", "x", {}]),
        (Code.SLOTTED, ["serde_samples:Frozen", {"x": 1}]),
        (Code.SLOTTED, [34, {"value": 1, "id": "x", "response_schema": None}]),
    ],
    ids=str,
)
def test_bytes_that_name_what_is_not_a_data_type_make_nothing(code, payload, placeholders):
    samples.RAN.clear()
    modules = set(sys.modules)
    if placeholders:
        assert payload == [":", {}] or isinstance(load(code, payload, placeholders=True), Placeholder)
    else:
        with pytest.raises(DecodeError):
            load(code, payload)
    assert samples.RAN == []
    assert set(sys.modules) == modules


def test_reading_runs_no_code_of_the_class():
    data = WfSerializer().dumps_typed([DERIVED, CACHED])
    samples.RAN.clear()
    trap = load(Code.DATACLASS, ["serde_samples:Trap", {"x": 1}])
    field = load(Code.DATACLASS, ["serde_samples:PropertyField", {"x": 5}])
    flags = load(Code.ENUM, ["serde_samples:NoMissingFlag", 3])
    WfSerializer().loads_typed(data)
    assert samples.RAN == []
    assert (trap.x, vars(field), flags.value) == (1, {"x": 5}, 3)


def test_a_hostile_module_attribute_or_module_is_not_asked(monkeypatch):
    class Lazy(types.ModuleType):
        def __getattr__(self, name):
            samples.RAN.append("module __getattr__")
            return samples.Plain

        def __getattribute__(self, name):
            samples.RAN.append("module __getattribute__")
            return super().__getattribute__(name)

    class Liar:
        @property
        def __class__(self):
            samples.RAN.append("__class__")
            return type

    lazy = Lazy("lazy_module")
    lazy.__dict__["Liar"] = Liar()
    monkeypatch.setitem(sys.modules, "namespace", types.SimpleNamespace(Plain=samples.Plain))
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    monkeypatch.setitem(sys.modules, "not_a_module", Liar())
    samples.RAN.clear()
    for name in ("lazy_module:Plain", "lazy_module:Liar", "lazy_module:Liar.x", "not_a_module:x", "namespace:Plain"):
        with pytest.raises(DecodeError):
            load(Code.DATACLASS, [name, {"x": 1}])
    assert samples.RAN == []


def test_an_unimported_module_is_named_and_not_imported():
    with pytest.raises(DecodeError, match=r"antigravity:Fly.*not imported.*allow=.*placeholders=True"):
        load(Code.DATACLASS, ["antigravity:Fly", {}])
    assert "antigravity" not in sys.modules


def test_only_an_allowed_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "late_module.py").write_text("import dataclasses\n@dataclasses.dataclass\nclass Late:\n    x: int\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DecodeError, match="not imported"):
        load(Code.DATACLASS, ["late_module:Late", {"x": 1}])
    assert load(Code.DATACLASS, ["late_module:Late", {"x": 1}], allow=[("late_module", "Late")]).x == 1


def test_strict_reads_and_writes_only_what_is_known_or_allowed():
    plain = samples.Plain(1)
    data = WfSerializer().dumps_typed([plain])
    with pytest.raises(DecodeError, match="strict=True"):
        WfSerializer(strict=True).loads_typed(data)
    with pytest.raises(UnsupportedValueError, match="strict=True"):
        WfSerializer(strict=True).dumps_typed([plain])
    for allow in ([samples.Plain], [("serde_samples", "Plain")]):
        assert round_trip(plain, strict=True, allow=allow) == plain
        assert WfSerializer(strict=True).with_allowlist(allow).loads_typed(data) == [plain]
    for value in [*MESSAGES[:3], *LANGGRAPH]:
        assert round_trip(value, strict=True) == value


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("value", [AIMessage("said").text, AddableDict({"a": (1,)})], ids=short)
def test_what_langchain_hands_out_as_text_or_dict_comes_back_of_its_type(value, strict):
    again = round_trip({"answer": value, "all": [value]}, strict=strict)
    assert again == {"answer": value, "all": [value]}
    assert type(again["answer"]) is type(again["all"][0]) is type(value)


def test_langgraph_allows_nested_classes_by_their_last_name():
    allowed = WfSerializer(strict=True).with_allowlist({("serde_samples", "Inner")})
    assert allowed.loads_typed(allowed.dumps_typed(samples.Outer.Inner.A)) is samples.Outer.Inner.A


def test_with_allowlist_leaves_the_original_alone():
    strict = WfSerializer(strict=True)
    strict.with_allowlist([samples.Plain])
    with pytest.raises(UnsupportedValueError):
        strict.dumps_typed(samples.Plain(1))


def test_an_allow_list_takes_only_classes_and_names():
    with pytest.raises(TypeError):
        WfSerializer(allow=["serde_samples"])


@pytest.mark.parametrize(
    "value",
    [
        samples.Thing((1,)),
        samples.MyStr("x"),
        samples.MyList([1, (2,)]),
        samples.MyDict({1: 2}),
        samples.MyTuple((1, 2)),
        samples.WithDel(1),
    ],
    ids=short,
)
def test_plain_objects_and_subclasses_come_back_if_they_are_allowed(value):
    again = round_trip([value], allow=[type(value)])[0]
    assert type(again) is type(value)
    assert again == value


def test_attributes_of_an_allowed_subclass_come_back():
    value = with_attribute(samples.MyStr("x"), "note")
    assert round_trip(value, allow=[samples.MyStr]).note == 1


def test_an_allowed_class_with_a_pickle_method_of_its_own_is_refused():
    with pytest.raises(UnsupportedValueError, match="__reduce__"):
        round_trip(samples.Custom(), allow=[samples.Custom])


def test_a_default_factory_may_be_an_allowed_class():
    value = defaultdict(samples.Thing, {"a": 1})
    assert round_trip(value, allow=[samples.Thing]).default_factory is samples.Thing
    data = WfSerializer(allow=[samples.Thing]).dumps_typed(value)
    with pytest.raises(DecodeError, match="allow list"):
        WfSerializer().loads_typed(data)
    with pytest.raises(DecodeError):
        load(Code.DEFAULTDICT, ["os:system", []])


def test_a_placeholder_keeps_the_bytes_and_the_rest_of_the_value():
    original = WfSerializer().dumps_typed({"a": (samples.Plain([1]), 1), "b": {samples.Colour.RED}})
    partial = WfSerializer(strict=True, placeholders=True)
    value = partial.loads_typed(original)
    held = value["a"][0]
    assert isinstance(held, Placeholder)
    assert held.type_name == "serde_samples:Plain"
    with pytest.raises(dataclasses.FrozenInstanceError):
        held.payload = b""
    assert partial.dumps_typed(value) == WfSerializer().dumps_typed(value) == original


def test_a_class_that_moved_but_is_still_exported_is_found(monkeypatch):
    module = types.ModuleType("old_home")
    module.__dict__["Plain"] = samples.Plain
    monkeypatch.setitem(sys.modules, "old_home", module)
    assert load(Code.DATACLASS, ["old_home:Plain", {"x": 1, "y": []}]) == samples.Plain(1)


# --- classes that changed since ---


def test_a_field_gained_with_a_default_is_filled():
    assert load(Code.DATACLASS, ["serde_samples:Plain", {"x": 1}]) == samples.Plain(1)
    assert load(Code.NAMEDTUPLE, ["serde_samples:Point", {"x": 1}]) == samples.Point(1, 0)
    assert same(load(Code.MODEL, ["serde_samples:Closed", {"a": 1}]), samples.Closed(a=1))
    child = {"child": 1, "children": [], "count": 0}
    assert load(Code.MODEL, ["serde_samples:Model", child, None, {}])._secret == 5


@pytest.mark.parametrize(
    ("code", "payload", "field"),
    [
        (Code.DATACLASS, ["serde_samples:Plain", {"y": []}], "x"),
        (Code.DATACLASS, ["serde_samples:Plain", {"x": 1, "gone": 2}], "gone"),
        (Code.DATACLASS, ["serde_samples:Frozen", {"x": 1, "shared": 2}], "shared"),
        (Code.NAMEDTUPLE, ["serde_samples:OldPoint", {"a": 1}], "b"),
        (Code.NAMEDTUPLE, ["serde_samples:OldPoint", {"a": 1, "b": 2, "c": 3}], "c"),
        (Code.MODEL, ["serde_samples:Closed", {"b": []}], "a"),
        (Code.MODEL, ["serde_samples:Closed", {"a": 1, "b": [], "c": 1}], "c"),
        (Code.MODEL, ["serde_samples:Closed", {"a": 1, "b": []}, None, {"extra": 1}], "extra"),
        (Code.MODEL, ["serde_samples:Closed", {"a": 1, "b": []}, None, None, {"_hidden": 1}], "_hidden"),
        (Code.ENUM, ["serde_samples:Colour", "GREEN"], "GREEN"),
    ],
    ids=str,
)
def test_fields_that_do_not_fit_any_more_are_named(code, payload, field):
    says = rf"serde_samples:\w+: its fields have changed.*{field}.*Give the class"
    with pytest.raises(DecodeError, match=says) as found:
        load(code, payload)
    assert "allow=" not in str(found.value)


@pytest.mark.parametrize(
    ("code", "payload", "advice"),
    [
        (Code.DATACLASS, ["serde_samples:Gone", {"x": 1}], "Gone = ..."),
        (Code.MODEL, ["serde_samples:Box[date]", {"item": 1}], "`Name = Box[date]`"),
        (Code.DATACLASS, ["serde_samples:Colour", {"x": 1}], "another name"),
        (Code.DATACLASS, ["not_imported:Plain", {"x": 1}], "Import not_imported before reading"),
        (Code.OBJECT, ["serde_samples:Thing", {"a": 1}], "allow=[('serde_samples', 'Thing')]"),
    ],
    ids=str,
)
def test_the_advice_fits_why_a_class_cannot_be_rebuilt(code, payload, advice):
    with pytest.raises(DecodeError, match="placeholders=True") as found:
        load(code, payload)
    assert advice in str(found.value)
    assert ("allow=" in str(found.value)) == (payload[0] in ("not_imported:Plain", "serde_samples:Thing"))


# --- damaged bytes ---

WHOLE = WfSerializer().dumps_typed({"a": [HumanMessage("x"), (1, {2}), samples.Plain(1), 2.5, b"y"]})[1]


def test_every_truncation_and_any_trailing_byte_is_a_decode_error():
    for end in range(len(WHOLE)):
        with pytest.raises(DecodeError):
            WfSerializer().loads_typed(("wf1", WHOLE[:end]))
    for large in ("x" * 70000, {"doc": b"x" * 70000}, ["x" * 70000] * 40, (b"x" * 70000,)):
        data = WfSerializer().dumps_typed(large)[1]
        assert WfSerializer().loads_typed(("wf1", data)) == large
        for damaged in (data[:-1], data + b"\0", data + b"\xc0"):
            with pytest.raises(DecodeError):
                WfSerializer().loads_typed(("wf1", damaged))
    for extra in (b"\0", b"\xc0", b"\xc1", WHOLE):
        with pytest.raises(DecodeError):
            WfSerializer().loads_typed(("wf1", WHOLE + extra))
    with pytest.raises(DecodeError, match="after the end"):
        load(Code.TUPLE, b"\x90\x00")


@pytest.mark.parametrize("tag", ["wf2", "pickle", "", "x" * 10**6])
def test_an_unknown_tag_is_a_decode_error(tag):
    with pytest.raises(DecodeError, match="No reader for values tagged"):
        WfSerializer().loads_typed((tag, b"x"))


@pytest.mark.parametrize("code", [0, 7, 15, 47, 99, 127])
def test_an_unknown_type_code_is_a_decode_error(code):
    with pytest.raises(DecodeError, match="unknown type code"):
        load(code, b"\xc0")


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (Code.DECIMAL, b"x" * 1000),
        (Code.DECIMAL, b"\xff"),
        (Code.RAW_STR, b"\xff"),
        (Code.SET, [1, 1]),
        (Code.SET, [[]]),
        (Code.DICT, [1]),
        (Code.DICT, [1, 2, 1, 3]),
        (Code.DICT, [[], 1]),
        (Code.FRACTION, [1, 0]),
        (Code.DATETIME, [1] * 9),
        (Code.DATE, [2020, 2, 30]),
        (Code.TIMEDELTA, [10**10, 0, 0]),
        (Code.TIMEZONE, [2, 0, 0]),
        (Code.ZONEINFO, b"../../etc/passwd"),
        (Code.ZONEINFO, b"os.path"),
        (Code.ZONEINFO, b"No/Where"),
        (Code.UUID, b"x"),
        (Code.PATH, ["system", "x"]),
        (Code.PATTERN, ["(", 0]),
        (Code.PATTERN, ["(" * 5000, 0]),
        (Code.PATTERN, ["x", re.DEBUG.value]),
        (Code.IPADDRESS, ["IPv4Address", "x"]),
        (Code.RANGE, [0, 1, 0]),
        (Code.DEQUE, [1, [1, 2]]),
        (Code.DEQUE, [-1, []]),
        (Code.NDARRAY, ["|O", [1], "C", b"x" * 8]),
        (Code.NDARRAY, ["<i8", [2**40], "C", b"x" * 8]),
        (Code.NDARRAY, ["<U0", [2**40], "C", b""]),
        (Code.NDARRAY, ["int64", [1], "C", b"x" * 8]),
        (Code.NDARRAY, ["O", [1], "C", b"x" * 8]),
        (Code.NDARRAY, [[["a", "|O"]], [1], "C", b"x" * 8]),
        (Code.MESSAGE, [1, {}]),
        (Code.MESSAGE, [1, {"content": "x", "evil": 1}]),
        (Code.MESSAGE, [99, {"content": "x"}]),
        (Code.MESSAGE, [1, {"content": "x"}, 3]),
        (Code.MODEL, [99, {}]),
        (Code.MODEL, [1, {"content": "x"}, [1]]),
    ],
    ids=str,
)
def test_a_malformed_payload_is_a_decode_error(code, payload):
    with pytest.raises(DecodeError):
        load(code, payload)


def test_an_array_that_claims_more_than_it_holds_takes_no_memory():
    with pytest.raises(DecodeError, match="bytes of data"):
        load(Code.NDARRAY, ["<i8", [2**40], "C", b"x" * 8])


def test_an_odd_zone_key_is_not_looked_up():
    for key in (b"a.b/c", b"../x", b"/etc/localtime", b"Europe/Berlin/"):
        with pytest.raises(DecodeError, match="impossible key"):
            load(Code.ZONEINFO, key)


def tower(levels, native):
    data = b"\xc0"
    for _ in range(levels):
        data = ormsgpack.packb(ormsgpack.Ext(Code.TUPLE, b"\x91" * (native + 1) + data))
    return data


@pytest.mark.parametrize(("levels", "native"), [(300, 0), (20, 1000), (99, 300), (5000, 0), (1, 5000)])
def test_a_tower_of_nested_objects_is_a_decode_error_and_does_not_end_the_process(levels, native):
    results = []

    def read():
        try:
            WfSerializer().loads_typed(("wf1", tower(levels, native)))
        except DecodeError as error:
            results.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert len(results) == 1


def test_numpy_data_without_numpy_says_to_import_it(monkeypatch):
    data = WfSerializer().dumps_typed(np.arange(3))
    monkeypatch.delitem(sys.modules, "numpy")
    with pytest.raises(DecodeError, match="import numpy"):
        WfSerializer().loads_typed(data)


# --- what LangGraph's serializer wrote ---

READABLE = [
    1,
    {"a": [1.5, None]},
    {1: 2},
    {1},
    frozenset(["a"]),
    deque([1]),
    NOW,
    NOW.replace(tzinfo=dt.UTC),
    dt.date(2020, 1, 1),
    dt.time(1, 2, tzinfo=dt.UTC),
    dt.timedelta(1, 2, 3),
    dt.timezone(dt.timedelta(hours=2)),
    BERLIN,
    decimal.Decimal("1.10"),
    uuid.UUID(int=3),
    ipaddress.ip_address("::1"),
    ipaddress.ip_network("10.0.0.0/8"),
    pathlib.PosixPath("/a/b"),
    re.compile("a", re.IGNORECASE),
    SecretStr("s"),
    samples.Colour.RED,
    samples.Access.READ | samples.Access.WRITE,
    samples.Plain(1),
    samples.Frozen([1]),
    samples.Point(1, 2),
    _DeltaSnapshot([1]),
    Send("n", {"a": 1}),
    Send("n", 1, timeout=TimeoutPolicy(run_timeout=2.0)),
    Command(update={"a": 1}, goto=["x"]),
    Interrupt("v", id="i"),
    Item(value={}, key="k", namespace=("a",), created_at=NOW, updated_at=NOW),
    *[m for m in MESSAGES if getattr(m, "artifact", None) is None],
]


@pytest.mark.parametrize("value", READABLE, ids=short)
def test_what_langgraphs_serializer_wrote_reads_as_it_does_there(value):
    plus = JsonPlusSerializer(allowed_msgpack_modules=True)
    data = plus.dumps_typed([value])
    assert data[0] == "msgpack"
    again = WfSerializer().loads_typed(data)
    assert again == plus.loads_typed(data)
    assert type(again[0]) is type(plus.loads_typed(data)[0])


def test_an_enum_whose_value_langgraph_wrote_as_a_list_is_found_again():
    data = JsonPlusSerializer().dumps_typed(samples.Colour.PAIR)
    assert WfSerializer().loads_typed(data) is samples.Colour.PAIR


def test_the_plain_tags_of_langgraph_are_read():
    plus = JsonPlusSerializer()
    for value in (None, b"x", bytearray(b"x"), "text", [1]):
        assert same(WfSerializer().loads_typed(plus.dumps_typed(value)), value)
    array = WfSerializer().loads_typed(plus.dumps_typed(np.arange(4).reshape(2, 2)))
    assert array.tolist() == [[0, 1], [2, 3]]


def test_a_model_that_langgraph_wrote_needs_to_be_allowed_because_its_validators_run():
    model = samples.Model(child=samples.Child(name="n"), count=2)
    data = JsonPlusSerializer().dumps_typed(model)
    with pytest.raises(DecodeError, match="allow="):
        WfSerializer().loads_typed(data)
    assert WfSerializer(allow=[samples.Model]).loads_typed(data) == model


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        (0, ["os", "system", "true"]),
        (1, ["subprocess", "Popen", [["true"]]]),
        (2, ["builtins", "eval", {}]),
        (3, ["builtins", "str", "x", "upper"]),
        (5, ["antigravity", "X", {}, "model_validate_json"]),
        (0, ["collections", "Counter", "x"]),
        (0, ["uuid", "UUID", "not hex"]),
        (1, ["re", "compile", ["("]]),
        (0, [1, 2, 3]),
        (0, ["x"]),
        (9, ["x"]),
    ],
    ids=str,
)
def test_hostile_bytes_in_langgraphs_format_are_a_decode_error(code, payload):
    modules = set(sys.modules)
    data = ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(payload)))
    with pytest.raises(DecodeError):
        WfSerializer().loads_typed(("msgpack", data))
    assert set(sys.modules) == modules


def test_the_old_json_of_langgraph_is_read_with_the_same_care():
    def load_json(text: bytes) -> Any:
        return WfSerializer().loads_typed(("json", text))

    message = (
        b'{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"],'
        b' "kwargs": {"content": "x", "type": "human"}}'
    )
    assert load_json(b'{"a": [' + message + b"]}")["a"][0].content == "x"
    when = (
        b'{"lc": 2, "type": "constructor", "id": ["datetime", "datetime"], "method": "fromisoformat",'
        b' "args": ["2020-01-01"]}'
    )
    assert load_json(when) == dt.datetime(2020, 1, 1)
    assert load_json(b'{"lc": 3}') == {"lc": 3}
    for hostile in (
        b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["true"]}',
        b'{"lc": 1, "type": "constructor", "id": ["langchain", "prompts", "prompt", "PromptTemplate"], "kwargs": {}}',
        b'{"lc": 2, "type": "constructor", "id": [1], "args": []}',
        b"{",
        b"\xff",
        "[1]".encode("utf-16"),
        b"[" * 100000,
    ):
        with pytest.raises(DecodeError):
            load_json(hostile)


def test_one_serializer_serves_many_threads():
    serializer = WfSerializer()
    values = [*CLASSES, *LANGGRAPH, *MESSAGES[:6]]
    failures = []

    def work():
        for value in values * 5:
            if not same(serializer.loads_typed(serializer.dumps_typed(value)), value):
                failures.append(value)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_models_made_at_run_time_are_refused_and_not_remembered():
    from langgraph_wfstore.serde.encode import ENCODERS

    made = type("Made", (BaseModel,), {"__module__": __name__})
    before = len(ENCODERS)
    with pytest.raises(UnsupportedValueError, match="module level"):
        round_trip(made())
    assert len(ENCODERS) == before
