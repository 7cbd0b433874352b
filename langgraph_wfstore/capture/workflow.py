"""What ran: a fingerprint of a compiled graph, and what it is made of."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import re
import types
import weakref
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("langgraph", "langgraph-checkpoint", "langgraph-prebuilt", "langchain-core", "langchain")
_VERSIONED = ("langgraph.", "langchain_core.", "langchain.")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_LONG = 100  # characters of a type
_DEPTH = 6
_known: weakref.WeakKeyDictionary[Any, tuple[str, dict[str, Any]]] = weakref.WeakKeyDictionary()


def describe(graph: Any) -> tuple[str, dict[str, Any]]:
    """Fingerprint (`sha256:...`) and description of a compiled graph.

    The description has the graph's name, its nodes with the sources of their functions as digests, what triggers them
    and what they can lead to, its channels with their types and reducers, and the versions of Python and of the
    packages that run it. The fingerprint is the SHA-256 of the description as JSON with sorted keys: two graphs of the
    same one are the same workflow, in any process.
    """
    found = _known.get(graph)
    if found is None:
        description = {
            "name": str(getattr(graph, "name", "") or ""),
            "nodes": {str(name): _node(node) for name, node in sorted(getattr(graph, "nodes", {}).items())},
            "edges": _edges(graph),
            "channels": {str(name): _channel(spec) for name, spec in sorted(getattr(graph, "channels", {}).items())},
            "interrupt": {
                "before": _names(getattr(graph, "interrupt_before_nodes", ())),
                "after": _names(getattr(graph, "interrupt_after_nodes", ())),
            },
            "packages": versions(),
        }
        data = json.dumps(description, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
        found = f"sha256:{hashlib.sha256(data).hexdigest()}", description
        _known[graph] = found
    return found


def _names(value: Any) -> Any:
    return value if isinstance(value, str) else sorted(map(str, value or ()))


def _edges(graph: Any) -> list[list[str]]:
    """What a builder was told: [from, to], and [from, branch, to or "?"] for conditional edges."""
    builder = getattr(graph, "builder", None)
    edges = [[str(a), str(b)] for a, b in getattr(builder, "edges", ())]
    for starts, end in getattr(builder, "waiting_edges", ()):
        edges += [[str(start), str(end)] for start in starts]
    for start, branches in getattr(builder, "branches", {}).items():
        for name, branch in branches.items():
            ends = getattr(branch, "ends", None) or {"?": "?"}
            source = _sources(getattr(branch, "path", None))
            edges += [[str(start), str(name), str(end), *source] for end in sorted(map(str, ends.values()))]
    return sorted(edges)


def _node(node: Any) -> dict[str, Any]:
    return {
        "triggers": sorted(map(str, getattr(node, "triggers", ()))),
        "reads": _names(getattr(node, "channels", ())),
        "sources": _sources(getattr(node, "bound", node)),
        "writers": len(getattr(node, "writers", ())),
    }


def _channel(spec: Any) -> dict[str, Any]:
    kind = spec if isinstance(spec, type) else type(spec)
    found = {"type": kind.__qualname__, "value": _type_name(getattr(spec, "typ", None))}
    operator = getattr(spec, "operator", None) or getattr(spec, "reducer", None)
    if operator is not None:
        found["reducer"] = (
            f"{getattr(operator, '__module__', '')}.{getattr(operator, '__qualname__', repr(type(operator)))}"
        )
        found["source"] = ",".join(_sources(operator))
    return found


def _type_name(kind: Any) -> str:
    while hasattr(kind, "__metadata__"):  # Annotated
        kind = kind.__origin__
    if isinstance(kind, type) and not hasattr(kind, "__args__"):
        return f"{kind.__module__}.{kind.__qualname__}"
    name = _ADDRESS.sub("", str(kind))
    return name if len(name) <= _LONG else f"{name[:_LONG]}... {hashlib.sha256(name.encode()).hexdigest()}"


def _sources(value: Any) -> list[str]:
    """`module.name sha256` of each function that a runnable, or a node with a graph in it, runs.

    Those of the packages whose versions are given are left out.
    """
    found = (f for f in _functions(value, _DEPTH, {}) if not str(getattr(f, "__module__", "")).startswith(_VERSIONED))
    return sorted({f"{_name_of(f)} {_digest(f)}" for f in found})


def _functions(value: Any, depth: int, seen: dict[int, Any]) -> Iterable[Any]:
    if value is None or not depth or id(value) in seen:
        return
    seen[id(value)] = value  # held, so that its id stays its own
    if isinstance(value, types.FunctionType):
        yield value
        yield from _functions(getattr(value, "__wrapped__", None), depth - 1, seen)
        return
    if isinstance(value, types.MethodType):
        yield value.__func__
        return
    if isinstance(value, type):
        yield value
        return
    yield from _functions(_attribute(type(value), "__call__"), depth - 1, seen)  # a node may be an object
    for name in ("func", "afunc", "bound", "path", "__wrapped__", "runnable", "_run", "_func", "_afunc"):
        yield from _functions(_attribute(value, name), depth - 1, seen)
    for name in ("steps", "nodes", "tools_by_name", "mapper"):
        parts = _attribute(value, name)
        for part in parts.values() if isinstance(parts, dict) else parts if isinstance(parts, list | tuple) else ():
            yield from _functions(part, depth - 1, seen)


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001  # an object of the user's; what it does not show is not described
        return None


def _name_of(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


def _digest(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return _source_digest(function if code is None else code)


@lru_cache(maxsize=10_000)
def _source_digest(code: Any) -> str:
    """SHA-256 of the source; of the byte code, marked as that, where there is no source."""
    try:
        return hashlib.sha256(inspect.getsource(code).encode("utf-8", "surrogatepass")).hexdigest()
    except (OSError, TypeError, SyntaxError, IndexError):
        if not isinstance(code, types.CodeType):
            return "unknown"
        return "code:" + hashlib.sha256(repr(_plain_code(code)).encode()).hexdigest()


def _plain_code(code: types.CodeType) -> tuple[Any, ...]:
    return code.co_code.hex(), code.co_names, code.co_varnames, [_constant(c) for c in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _plain_code(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """The versions of Python and of the packages that run graphs; looking for them takes tens of ms the first time."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
