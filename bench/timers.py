"""Exclusive timers: what each part of a program takes itself, without the parts that it calls."""

from __future__ import annotations

import functools
import inspect
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from bench.stopwatch import Lap

WRITING = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"})


class Timers:
    """Seconds and entries per label, with a stack per thread: threads that overlap add up to more than the wall."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.entries: dict[str, int] = {}
        self._lock = threading.Lock()
        self._local = threading.local()

    def clear(self) -> None:
        with self._lock:
            self.seconds.clear()
            self.entries.clear()

    def call(self, label: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the function under the label, while a lap runs; a call from the same label is part of that entry."""
        if not Lap.running:
            return function(*arguments, **named)
        stack: list[list[Any]] = self._local.__dict__.setdefault("stack", [])
        if stack and stack[-1][0] == label:
            return function(*arguments, **named)
        stack.append([label, 0.0])
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent = time.perf_counter() - started
            inner = stack.pop()[1]
            if stack:
                stack[-1][1] += spent
            with self._lock:
                self.seconds[label] = self.seconds.get(label, 0.0) + spent - inner
                self.entries[label] = self.entries.get(label, 0) + 1

    def wrap(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function under the label; a generator is timed while it produces, not while it waits."""
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def producing(*arguments: Any, **named: Any) -> Iterator[Any]:
                items = function(*arguments, **named)
                ended = object()
                while (item := self.call(label, next, items, ended)) is not ended:
                    yield item

            return producing

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            return self.call(label, function, *arguments, **named)

        return timed


def time_sqlite(timers: Timers) -> None:
    """Make every connection opened from now on tell its statements and its commits apart."""
    connect = sqlite3.connect

    def timed_connect(*arguments: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **named: Any) -> Any:
        return connect(*arguments, factory=_connection_class(timers, factory), **named)

    sqlite3.connect = timed_connect


def _sql_label(connection: sqlite3.Connection, statement: str) -> str:
    word = statement.lstrip("( \n\t").split(None, 1)[0].rstrip(";").upper() if statement.strip() else ""
    if word in ("COMMIT", "END"):
        return "SQL commit"
    if word == "BEGIN":
        return "SQL begin (waits for the lock)"
    if word in WRITING and connection.isolation_level is None and not connection.in_transaction:
        return "SQL statement and its own commit"
    return "SQL write" if word in WRITING else "SQL read"


def _connection_class(timers: Timers, base: type[sqlite3.Connection]) -> type[sqlite3.Connection]:
    class TimedCursor(sqlite3.Cursor):
        def execute(self, statement: str, *arguments: Any) -> Any:
            return timers.call(_sql_label(self.connection, statement), super().execute, statement, *arguments)

        def executemany(self, statement: str, *arguments: Any) -> Any:
            return timers.call(_sql_label(self.connection, statement), super().executemany, statement, *arguments)

        def fetchone(self) -> Any:
            return timers.call("SQL read", super().fetchone)

        def fetchmany(self, *arguments: Any) -> Any:
            return timers.call("SQL read", super().fetchmany, *arguments)

        def fetchall(self) -> Any:
            return timers.call("SQL read", super().fetchall)

        def __next__(self) -> Any:
            return timers.call("SQL read", super().__next__)

    class TimedConnection(base):  # type: ignore[misc, valid-type]  # the class that the caller asked for
        def cursor(self, *arguments: Any) -> Any:
            return super().cursor(*(arguments or (TimedCursor,)))

        def commit(self) -> None:
            timers.call("SQL commit", super().commit)

        def __exit__(self, *failure: Any) -> Any:
            return timers.call("SQL commit", super().__exit__, *failure)

    return TimedConnection


def time_modules(timers: Timers, modules: list[ModuleType], label: Callable[[str, str], str]) -> None:
    """Put every function and method defined in the modules under `label(module, function)`.

    Names that other modules imported are replaced too; a function kept in a table or a closure is not.
    """
    replaced: dict[int, Callable[..., Any]] = {}
    own = {module.__name__ for module in modules}
    for module in modules:
        short = module.__name__.partition(".")[2] or module.__name__
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value.__module__ in own:
                if value.__module__ == module.__name__ and not _asynchronous(value):
                    replaced[id(value)] = timers.wrap(label(short, name), value)
            elif isinstance(value, type) and value.__module__ == module.__name__:
                _time_class(timers, value, functools.partial(label, short))
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and id(value) in replaced:
                setattr(module, name, replaced[id(value)])


def _time_class(timers: Timers, owner: type, label: Callable[[str], str]) -> None:
    for name, value in list(vars(owner).items()):
        if name.startswith("__"):
            continue
        kind = type(value) if isinstance(value, staticmethod | classmethod) else None
        function = value.__func__ if kind else value
        if not isinstance(function, FunctionType) or function.__module__ != owner.__module__ or _asynchronous(function):
            continue
        timed = timers.wrap(label(name), function)
        setattr(owner, name, kind(timed) if kind else timed)


def _asynchronous(function: FunctionType) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
