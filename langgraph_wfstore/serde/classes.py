"""What the serializer knows about classes: ext codes, the closed list of known classes, and how a class is found.

Nothing here imports a module that a stored name asks for (unless the user allowed that name), and nothing runs code of
the classes that it looks at: attributes are read from the `__dict__` of classes and modules, never with `getattr`.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from enum import IntEnum
from typing import Any, Final

from langchain_core import documents, messages
from langchain_core.messages import base as message_base
from langchain_core.runnables.utils import AddableDict
from langgraph import types as lg_types
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.store import base as lg_store

from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.redacted import Redacted


class Code(IntEnum):
    """The msgpack ext codes of format `wf1`; serde/__init__.py has the payloads. A number is never given again."""

    BIG_INT = 16
    RAW_STR = 17
    BYTEARRAY = 18
    TUPLE = 19
    SET = 20
    FROZENSET = 21
    DICT = 22
    COMPLEX = 23
    DECIMAL = 24
    FRACTION = 25
    DATETIME = 26
    DATE = 27
    TIME = 28
    TIMEDELTA = 29
    TIMEZONE = 30
    ZONEINFO = 31
    UUID = 32
    PATH = 33
    PATTERN = 34
    IPADDRESS = 35
    RANGE = 36
    SLICE = 37
    DEQUE = 38
    DEFAULTDICT = 39
    COUNTER = 40
    ORDEREDDICT = 41
    NDARRAY = 42
    NUMPY_SCALAR = 43
    SECRET = 44
    ENUM = 48
    DATACLASS = 49
    NAMEDTUPLE = 50
    MODEL = 51
    SLOTTED = 52
    MESSAGE = 53
    OBJECT = 54
    SUBCLASS = 55


PLACEHOLDER_CODES: Final = frozenset((Code.DEFAULTDICT, *range(Code.ENUM, Code.SUBCLASS + 1)))

# The numbers stand in stored bytes: append only, never change one.
KNOWN: Final[dict[int, type]] = {
    1: messages.HumanMessage,
    2: messages.AIMessage,
    3: messages.SystemMessage,
    4: messages.ToolMessage,
    5: messages.ChatMessage,
    6: messages.FunctionMessage,
    7: messages.RemoveMessage,
    8: messages.HumanMessageChunk,
    9: messages.AIMessageChunk,
    10: messages.SystemMessageChunk,
    11: messages.ToolMessageChunk,
    12: messages.ChatMessageChunk,
    13: messages.FunctionMessageChunk,
    14: documents.Document,
    15: message_base.BaseMessage,
    16: message_base.BaseMessageChunk,
    17: message_base.TextAccessor,
    18: AddableDict,
    32: lg_types.Send,
    33: lg_types.Command,
    34: lg_types.Interrupt,
    35: lg_types.Overwrite,
    36: lg_types.TimeoutPolicy,
    37: _DeltaSnapshot,
    38: lg_types.StateSnapshot,
    39: lg_types.PregelTask,
    40: lg_store.Item,
    41: lg_store.SearchItem,
    42: lg_store.GetOp,
    48: Redacted,
}
KNOWN_NUMBERS: Final[dict[type, int]] = {cls: number for number, cls in KNOWN.items()}
KNOWN_NAMES: Final = {(cls.__module__, cls.__qualname__): cls for cls in KNOWN.values()}

_MESSAGE: Final[dict[str, Any]] = {
    "content": ...,
    "additional_kwargs": {},
    "response_metadata": {},
    "type": ...,
    "name": None,
    "id": None,
}
_AI: Final = {**_MESSAGE, "tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
_TOOL: Final = {**_MESSAGE, "tool_call_id": ..., "artifact": None, "status": "success"}
_ROLE: Final = {**_MESSAGE, "role": ...}

# Fields of code MESSAGE in order, with the value that an absent one stands for (`...`: never absent).
# Part of the stored format: a change needs a new number in KNOWN.
MESSAGE_FIELDS: Final[dict[int, dict[str, Any]]] = {
    1: {**_MESSAGE, "type": "human"},
    2: {**_AI, "type": "ai"},
    3: {**_MESSAGE, "type": "system"},
    4: {**_TOOL, "type": "tool"},
    5: {**_ROLE, "type": "chat"},
    6: {**_MESSAGE, "type": "function"},
    7: {**_MESSAGE, "type": "remove", "content": ""},
    8: {**_MESSAGE, "type": "HumanMessageChunk"},
    9: {**_AI, "type": "AIMessageChunk", "tool_call_chunks": [], "chunk_position": None},
    10: {**_MESSAGE, "type": "SystemMessageChunk"},
    11: {**_TOOL, "type": "ToolMessageChunk"},
    12: {**_ROLE, "type": "ChatMessageChunk"},
    13: {**_MESSAGE, "type": "FunctionMessageChunk"},
    14: {"id": None, "metadata": {}, "page_content": ..., "type": "Document"},
}

# What a missing field may be filled with by calling it, and what a stored defaultdict may name.
SAFE_FACTORIES: Final[dict[str, type]] = {
    t.__name__: t for t in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)
}

_MRO: Final = type.__dict__["__mro__"].__get__
class_dict: Final = type.__dict__["__dict__"].__get__


def mro(cls: type) -> tuple[type, ...]:
    """The classes that `cls` really inherits from, whatever its metaclass claims."""
    found: tuple[type, ...] = _MRO(cls)
    return found


def class_attribute(cls: type, name: str) -> Any:
    """What the class or a base has under `name`, without running a descriptor; None if there is nothing."""
    for base in mro(cls):
        namespace = class_dict(base)
        if name in namespace:
            return namespace[name]
    return None


def find_class(module: str, qualname: str) -> type | str:
    """The class of that name among the modules that are already imported, or the reason why there is none."""
    loaded = sys.modules.get(module)
    if loaded is None:
        return f"module {module!r} is not imported"
    if not issubclass(type(loaded), types.ModuleType):
        return f"{module!r} is not a real module"
    namespace: Any = object.__getattribute__(loaded, "__dict__")
    found = namespace.get(qualname)
    if found is None:
        for part in qualname.split("."):
            found = namespace.get(part)
            if not issubclass(type(found), type):
                return f"module {module!r} has no class {qualname!r}"
            namespace = class_dict(found)
    if not issubclass(type(found), type):
        return f"module {module!r} has no class {qualname!r}"
    cls: type = found
    return cls


def class_name(cls: type) -> tuple[str, str]:
    """The module and qualified name by which a class says it can be found."""
    module = class_dict(cls).get("__module__")
    qualname = type.__dict__["__qualname__"].__get__(cls)
    return (module if isinstance(module, str) else type.__dict__["__module__"].__get__(cls)), qualname


class Refused(Exception):
    """Why a class or a value cannot be written or read, and what to do."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice


class UnresolvedError(DecodeError):
    """The stored bytes are sound, but the class that they name cannot be rebuilt here."""

    def __init__(self, type_name: str, reason: str, advice: str = "") -> None:
        module, _, qualname = type_name.partition(":")
        advice = advice or (
            f"Import {module} before reading, or pass allow=[({module!r}, {qualname!r})] if it may be rebuilt"
        )
        super().__init__(
            f"Cannot rebuild a stored {type_name}: {reason}. {advice}, or pass placeholders=True to read the rest."
        )
        self.type_name = type_name


@dataclasses.dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands for a stored object whose class cannot be rebuilt here; storing it again gives the same bytes.

    `type_name` is `module:qualname` as stored, `code` and `payload` are the ext code and the bytes of the object.
    """

    type_name: str
    code: int
    payload: bytes
