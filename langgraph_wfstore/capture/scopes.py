"""What a process knows of the callback runs that are open, and of the graph that a saver is called by."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from .barrier import LoopState
    from .states import CallState, RunState, StepState

_FRAMES = 12
_SCOPES_HELD = 100_000


class Scope:
    """One callback run: of a graph, of a node, of anything inside a node.

    Attributes:
        id: LangChain's run id.
        name, given, started: of what may turn out to be a graph: its name, its input, and ns since 1970.
        run: the recorded run that it belongs to.
        path: the namespace of the task that it is in, as LangGraph writes it into metadata; None outside of tasks.
        step, call: the step, and the call, that it is or is in.
        loop: of a graph, what is known of it.
        own: the run, step or call that it is itself.
    """

    __slots__ = ("call", "given", "id", "loop", "name", "own", "path", "run", "started", "step")

    def __init__(self, run_id: UUID, parent: Scope | None) -> None:
        self.id = run_id
        self.name = ""
        self.given: Any = None
        self.started = 0
        self.own: RunState | StepState | CallState | None = None
        self.loop: LoopState | None = None
        self.run: RunState | None = None if parent is None else parent.run
        self.path: str | None = None if parent is None else parent.path
        self.step: StepState | None = None if parent is None else parent.step
        self.call: CallState | None = None if parent is None else parent.call


scopes: dict[UUID, Scope] = {}
# The last callback run that may be a graph; a graph's loop starts, and calls its saver, before any other does.
current: ContextVar[UUID | None] = ContextVar("wfstore_scope", default=None)


def open_scope(run_id: UUID, parent: Scope | None) -> Scope:
    """A new callback run."""
    scope = Scope(run_id, parent)
    if len(scopes) >= _SCOPES_HELD:  # there are callback runs whose end nobody reports
        scopes.pop(next(iter(scopes)), None)
    scopes[run_id] = scope
    return scope


def calling_loop() -> tuple[Any, Any] | None:
    """The graph and its loop that a saver is called by while the loop starts; None if something else calls it.

    LangGraph hands a saver neither. Both are on the stack: `PregelLoop.__enter__`, and `Pregel.stream` above it.
    """
    frame: FrameType | None = sys._getframe(1)
    loop = None
    for _ in range(_FRAMES):
        if frame is None:
            break
        name = frame.f_code.co_name
        if loop is None and name in ("__enter__", "__aenter__"):
            found = frame.f_locals.get("self")
            loop = found if hasattr(found, "checkpoint_config") and hasattr(found, "put_writes") else None
        elif loop is not None and name in ("stream", "astream"):
            return frame.f_locals.get("self"), loop
        frame = frame.f_back
    return None if loop is None else (None, loop)


def control_of(configurable: Mapping[str, Any]) -> object | None:
    """LangGraph's RunControl, one object per invocation, which the configs of a graph and its sub-graphs lead to."""
    return getattr(configurable.get("__pregel_runtime"), "control", None)
