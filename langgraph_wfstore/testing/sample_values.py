"""Values that other savers lose, change or refuse, by name."""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langgraph.types import Interrupt, Send
from pydantic import BaseModel, ConfigDict


class Shelf:
    """Only a place for a nested class."""

    class Colour(Enum):
        RED = "red"
        BLUE = 7


class Mood(StrEnum):
    CALM = "calm"


class Level(IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: Any


@dataclass
class Order:
    """A dataclass with a field that its constructor doesn't take."""

    items: list[str]
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = len(self.items)


@dataclass(frozen=True, slots=True)
class Coin:
    side: str
    tags: tuple[str, ...] = ()


class Address(BaseModel):
    street: str
    zip: tuple[int, ...] = ()


class Person(BaseModel):
    """A model in a model, with extra fields and a default that was not set."""

    model_config = ConfigDict(extra="allow")
    name: str
    home: Address
    mood: Mood = Mood.CALM
    born: datetime | None = None


def _changed_order() -> Order:
    order = Order(["a"])
    order.total = 99
    return order


def _words() -> defaultdict[str, list[int]]:
    words: defaultdict[str, list[int]] = defaultdict(list)
    words["a"].append(1)
    return words


LC_DICT = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain", "schema", "messages", "HumanMessage"],
    "kwargs": {"content": "not a message"},
}

VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "zero": 0,
    "negative zero": -0.0,
    "an integer beyond 64 bits": 2**64 + 1,
    "a huge negative integer": -(10**400),
    "a float": 0.1,
    "NaN": float("nan"),
    "infinities": [float("inf"), float("-inf")],
    "an empty string": "",
    "a string with NUL": "a\0b",
    "a lone surrogate": "a\ud800b",
    "unicode": "größe 🦜 \u202e",
    "empty bytes": b"",
    "bytes": bytes(range(256)),
    "a bytearray": bytearray(b"\0\xff"),
    "an empty list": [],
    "an empty dict": {},
    "a tuple": (1, "two", (3,)),
    "an empty tuple": (),
    "a set": {1, "two", (3, 4)},
    "an empty set": set(),
    "a frozenset": frozenset({1, 2}),
    "a set of frozensets": {frozenset({1}), frozenset()},
    "a dict with keys of other types": {1: "int", (1, 2): "tuple", None: "none", 1.5: "float", b"b": "bytes"},
    "a dict with True and its order": {"z": True, "a": 1, "m": 1.0},
    "a decimal": Decimal("1.10"),
    "special decimals": [Decimal("NaN"), Decimal("-Infinity"), Decimal("-0")],
    "a complex number": complex(1, -2),
    "a naive datetime": datetime(2024, 1, 2, 3, 4, 5, 678901),
    "a datetime in UTC": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    "a datetime at an offset": datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=-30), "NST")),
    "a datetime in a zone": datetime(2024, 7, 2, 3, 4, 5, tzinfo=ZoneInfo("Europe/Berlin")),
    "the second of two equal times": datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    "date, time and timedelta": [date(2024, 2, 29), time(1, 2, 3, 4, tzinfo=UTC), timedelta(days=-1, microseconds=1)],
    "a zone": ZoneInfo("America/New_York"),
    "a UUID": uuid.UUID(int=7),
    "a path": PurePosixPath("/a/b"),
    "an enum nested in a class": Shelf.Colour.BLUE,
    "a StrEnum": Mood.CALM,
    "an IntEnum": Level.HIGH,
    "enums as keys": {Shelf.Colour.RED: 1, Mood.CALM: 2},
    "a named tuple": Point(1, [Point(2, None)]),
    "a dataclass with an init=False field": _changed_order(),
    "a frozen dataclass with slots": Coin("head", ("a",)),
    "a defaultdict": _words(),
    "a Counter": Counter({"b": 2, "a": -1}),
    "an OrderedDict": OrderedDict([("z", 1), ("a", 2)]),
    "a deque with maxlen": deque([1, 2, 3], maxlen=3),
    "a deque": deque(["a"]),
    "a user's dict with an lc key": LC_DICT,
    "a dict that looks like a message": {"type": "human", "content": "x", "id": None},
    "a pydantic model": Address(street="a", zip=(1, 2)),
    "a nested pydantic model": Person.model_validate(
        {"name": "n", "home": {"street": "s"}, "born": datetime(2000, 1, 1, tzinfo=UTC), "extra": {"k": (1, 2)}}
    ),
    "a model that was not validated": Address.model_construct(street="only"),
    "a human message": HumanMessage("hi", id="h", additional_kwargs={"deep": {"list": [1, (2,)]}}, name="ann"),
    "a message with blocks": HumanMessage([{"type": "text", "text": "a"}, "b"], id="b"),
    "an AI message": AIMessage(
        "",
        id="a",
        tool_calls=[{"name": "search", "args": {"q": "größe", "n": 2**70}, "id": "c1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"logprobs": None},
    ),
    "a message chunk": AIMessageChunk(content="part", id="c"),
    "a tool message": ToolMessage("out", tool_call_id="c1", id="t", artifact={"raw": b"\0", "rows": [(1, 2)]}),
    "a system message": SystemMessage("be brief", id="s"),
    "a document": Document("text", metadata={"source": "a", "at": date(2024, 1, 1)}, id="d"),
    "an interrupt": Interrupt(value={"ask": [1, (2,)]}, id="0" * 32),
    "a Send": Send("node", {"x": (1, 2)}),
    "everything nested": {"a": [{"b": ({"c": [Coin("tail")]}, {1, 2})}], "d": deque([OrderedDict(x=Mood.CALM)])},
}
