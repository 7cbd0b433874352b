"""Classes that the tests of the serializer store: each has something that a careless serializer loses."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections import namedtuple
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel, SecretStr

RAN: list[str] = []
"""What ran of the classes below that must not run anything while they are read."""


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias, on purpose
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Name(enum.StrEnum):
    ANN = "ann"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class NoMissing(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        RAN.append("_missing_")
        return cls.A


class NoMissingFlag(enum.Flag):
    A = 1
    B = 2
    C = 4

    @classmethod
    def _missing_(cls, value: object) -> Any:
        RAN.append("flag _missing_")
        return super()._missing_(value)


@dataclasses.dataclass
class Plain:
    x: Any
    y: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    shared: ClassVar[int] = 3


@dataclasses.dataclass
class Derived:
    seed: dataclasses.InitVar[int]
    total: int = dataclasses.field(init=False)
    kept: int = dataclasses.field(default=7, init=False)

    def __post_init__(self, seed: int) -> None:
        RAN.append("__post_init__")
        self.total = seed * 2

    @functools.cached_property
    def half(self) -> float:
        return self.total / 2


@dataclasses.dataclass
class Node:
    value: Any
    next: Any = None


@dataclasses.dataclass(eq=False)
class Trap:
    """Everything of it that could run says so."""

    x: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        RAN.append("__new__")
        return super().__new__(cls)

    def __init__(self, x: int) -> None:
        RAN.append("__init__")

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("__setattr__")


class PropertyTrap:
    @property
    def inner(self) -> Any:
        RAN.append("property")
        return Plain


@dataclasses.dataclass
class PropertyField:
    x: int


_COUNTED = property(lambda self: self._x, lambda self, value: RAN.append("setter"))
PropertyField.x = _COUNTED  # type: ignore[assignment, misc]  # a property in the place of a field


@dataclasses.dataclass
class WithDel:
    x: int

    def __del__(self) -> None:
        RAN.append("__del__")


class Outer:
    class Inner(enum.Enum):
        A = 1

    @dataclasses.dataclass
    class Data:
        x: int


class Point(NamedTuple):
    x: Any
    y: Any = 0


OldPoint = namedtuple("OldPoint", "a b")


class Child(BaseModel):
    name: str = "c"


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    child: Child
    children: list[Child] = []
    count: int = 0
    _secret: int = PrivateAttr(default=5)

    @functools.cached_property
    def double(self) -> int:
        return self.count * 2

    def model_post_init(self, context: Any) -> None:
        RAN.append("model_post_init")
        super().model_post_init(context)


class Closed(BaseModel):
    a: int
    b: list[int] = []


class Keys(BaseModel):
    key: SecretStr


class Numbers(RootModel[list[int]]):
    pass


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    item: T


IntBox = Box[int]


class MyStr(str):
    pass


class MyList(list[Any]):
    pass


class MyDict(dict[Any, Any]):
    pass


class MyTuple(tuple[Any, ...]):
    pass


class Thing:
    """A plain object."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return type(other) is Thing and other.a == self.a

    __hash__ = None  # type: ignore[assignment]  # as Python marks what is unhashable


class Custom:
    def __reduce__(self) -> Any:
        return (str, ("x",))
