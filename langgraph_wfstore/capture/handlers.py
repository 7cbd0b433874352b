"""The callback handlers that see every run, step and call of graphs that one of our savers is compiled into.

They are registered once per process with LangChain's `register_configure_hook`, which knows no way back: without an
open saver they return at once. Two are needed. One is called inline, in sync code and on event loops alike, and keeps
track of what is open. What takes time, waiting for the capture barrier and storing, it does itself in sync code; on
an event loop the other one, whose methods are coroutines, does it on the saver's own threads.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, manager
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers.context import register_configure_hook

from .calls import Asked, model_answered, model_asked, retriever_asked, tool_asked
from .recorder import Recorder
from .scopes import current, open_scope, scopes
from .states import CallState, RunState, StepState
from .workflow import versions

_log = logging.getLogger(__name__)
_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
_todo: dict[UUID, tuple[Recorder, Callable[[], None]]] = {}
_running = asyncio._get_running_loop


def watch(recorder: Recorder) -> None:
    """Record what this recorder's graphs do, until it is closed."""
    _register()
    _recorders.add(recorder)


def forget(recorder: Recorder) -> None:
    """Record nothing for this one any more."""
    recorder.closed = True
    _recorders.discard(recorder)
    if not _recorders:  # nobody hears of the ends any more
        scopes.clear()
        _todo.clear()


@functools.cache
def _register() -> None:
    for handler in (_inline, _Awaited()):
        name = f"wfstore_{type(handler).__name__}"
        register_configure_hook(ContextVar(name, default=handler), inheritable=True)
    os.register_at_fork(after_in_child=_after_fork_in_child)
    versions()  # now, and not within the first run


def _after_fork_in_child() -> None:
    """LangChain runs the coroutines of handlers, for sync code on an event loop, on threads that are not here any more.

    Without it the first sync `invoke` of the child on an event loop waits for ever, if the parent had called one there.
    """
    forget_threads = getattr(getattr(manager, "_executor", None), "cache_clear", None)
    if forget_threads is not None:
        forget_threads()


class _Handler(BaseCallbackHandler):
    """Called inline, in the order of the events."""

    run_inline = True

    @property
    def _off(self) -> bool:
        """Whether there is nothing to do for it."""
        return not _recorders

    ignore_chain = ignore_llm = ignore_chat_model = ignore_agent = ignore_retriever = _off
    ignore_retry = ignore_custom_event = property(lambda self: True)


def _safely(method: Callable[..., None]) -> Callable[..., None]:
    """A handler's method that never raises into the host's run."""

    @functools.wraps(method)
    def safe(*args: Any, **kwargs: Any) -> None:
        try:
            method(*args, **kwargs)
        except Exception:  # noqa: BLE001  # a run does not end because its trace cannot be kept
            _log.warning("capture failed in %s; the run goes on", method.__name__, exc_info=True)

    return safe


def _do(run_id: UUID, recorder: Recorder, work: Callable[[], None]) -> None:
    """Do what takes time now, or leave it to the handler that is awaited next."""
    if _running() is None:
        work()
    else:
        _todo[run_id] = recorder, work


async def _offloaded(recorder: Recorder, work: Callable[..., None], *args: object) -> None:
    """Do on the saver's own threads what takes time; nothing once it is closed."""
    if recorder.open:
        await recorder.offload.run(_safely(work), *args)


class _Inline(_Handler):
    """Keeps track of what is open; in sync code it does everything."""

    # ------------------------------------------------------------------ runs and steps

    @_safely
    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A graph, a node, or anything else that LangChain calls a chain."""
        if run_id in scopes:
            return
        above = None if parent_run_id is None else scopes.get(parent_run_id)
        scope = open_scope(run_id, above)
        path = (metadata or {}).get("langgraph_checkpoint_ns")
        if above is not None and above.run is not None and path and path != above.path:
            scope.path = path
            step = scope.own = scope.step = StepState(scope, above, metadata or {}, inputs)
            if _running() is None:
                step.enter(step.loop is None or step.loop.wait())
        else:
            scope.name, scope.given, scope.started = str(kwargs.get("name") or ""), inputs, time.time_ns()
            current.set(run_id)

    @_safely
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A graph or node that came to its end."""
        _end_chain(run_id, "ok", outputs, None)

    @_safely
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A graph or node that was left by an exception, some of which are LangGraph's ways to go elsewhere."""
        if type(error).__name__ == "ParentCommand":
            _end_chain(run_id, "ok", error.args[0] if error.args else None, None)
        else:
            _end_chain(run_id, _status(error), None, error)

    # ------------------------------------------------------------------ calls

    @_safely
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is asked."""
        given = messages[0] if len(messages) == 1 else [item for items in messages for item in items]
        _begin_call(run_id, parent_run_id, lambda common: model_asked(given, common, serialized, kwargs))

    @_safely
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A text model is asked."""
        given = prompts[0] if len(prompts) == 1 else prompts
        _begin_call(run_id, parent_run_id, lambda common: model_asked(given, common, serialized, kwargs))

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A streamed answer goes on."""
        scope = scopes.get(run_id)
        if scope is not None and isinstance(scope.own, CallState) and scope.own.first_token is None:
            scope.own.first_token = time.time_ns()

    @_safely
    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A model has answered."""
        output, facts = model_answered(response)
        _end_call(run_id, "ok", output, None, facts)

    @_safely
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model has not answered, or not to the end."""
        response = kwargs.get("response")
        output, facts = (None, {}) if response is None else model_answered(response)
        _end_call(run_id, _status(error), output or None, error, facts)

    @_safely
    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool is called."""
        _begin_call(run_id, parent_run_id, lambda common: tool_asked(input_str, common, serialized, kwargs))

    @_safely
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool has returned."""
        _end_call(run_id, "ok", output, None, {})

    @_safely
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool has raised."""
        _end_call(run_id, _status(error), None, error, {})

    @_safely
    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A retriever is asked."""
        _begin_call(run_id, parent_run_id, lambda common: retriever_asked(query, common, serialized, kwargs))

    @_safely
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        """A retriever has found something."""
        _end_call(run_id, "ok", list(documents), None, {})

    @_safely
    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A retriever has raised."""
        _end_call(run_id, _status(error), None, error, {})


class _Awaited(_Handler):
    """Does on an event loop what takes time: waits without blocking it, and stores on threads of our own.

    LangChain may call it before the inline handler, or after: each event is first seen by that one, here if need be.
    """

    @property
    def _off(self) -> bool:
        return not _recorders or _running() is None

    ignore_chain = ignore_llm = ignore_chat_model = ignore_agent = ignore_retriever = _off

    async def on_chain_start(self, serialized: dict[str, Any], inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Hold a node back until what it could change is queued."""
        _inline.on_chain_start(serialized, inputs, run_id=run_id, **kwargs)
        scope = scopes.get(run_id)
        if scope is not None and isinstance(scope.own, StepState):
            step = scope.own
            try:
                in_time = step.loop is None or await step.loop.wait_async()
                await _offloaded(step.run.recorder, step.enter, in_time)
            except asyncio.CancelledError:
                scopes.pop(run_id, None)  # LangChain reports no end of what was cancelled before it ran
                raise


def _awaited(name: str) -> Callable[..., Coroutine[Any, Any, None]]:
    """The method of that name: what takes time of the inline handler's, awaited."""

    async def method(self: _Awaited, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        getattr(_inline, name)(*args, run_id=run_id, **kwargs)
        todo = _todo.pop(run_id, None)
        if todo is not None:
            await _offloaded(*todo)

    return method


for _event in ("chat_model_start", "llm_start", "llm_end", "llm_error", "chain_end", "chain_error"):
    setattr(_Awaited, f"on_{_event}", _awaited(f"on_{_event}"))
for _event in ("tool_start", "tool_end", "tool_error", "retriever_start", "retriever_end", "retriever_error"):
    setattr(_Awaited, f"on_{_event}", _awaited(f"on_{_event}"))
_inline = _Inline()


def _status(error: BaseException) -> str:
    """What an exception means for what it leaves."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "GraphInterrupt" in names:
        return "interrupted"
    if names & {"CancelledError", "KeyboardInterrupt", "SystemExit", "GeneratorExit", "GraphDrained"}:
        return "cancelled"
    return "error"


def _end_chain(run_id: UUID, status: str, output: Any, error: BaseException | None) -> None:
    scope = scopes.pop(run_id, None)
    if scope is None:
        return
    own = scope.own
    if isinstance(own, StepState):
        own.ended(status)
        left = [] if status == "ok" else _left_open(own)

        def end() -> None:
            for call in left:
                call.end(status, None, error, {})
            own.end(status, output, error)

        _do(run_id, own.run.recorder, end)
    elif isinstance(own, RunState):
        own.recorder.unbind(own)
        _do(run_id, own.recorder, lambda: own.end(status, error))


def _left_open(step: StepState) -> list[CallState]:
    """The calls that are open where a step ends by an exception: LangChain reports no end of a cancelled model."""
    found = {
        key: scope.own
        for key, scope in list(scopes.items())
        if isinstance(scope.own, CallState) and scope.own.step is step
    }
    for key in found:
        scopes.pop(key, None)
    return list(found.values())


def _begin_call(run_id: UUID, parent_run_id: UUID | None, make: Callable[[dict[str, Any]], Asked]) -> None:
    if run_id in scopes:
        return
    above = None if parent_run_id is None else scopes.get(parent_run_id)
    scope = open_scope(run_id, above)
    if scope.run is None:
        if not _saved_by_others():
            _count_unattributed()
        return
    call = CallState(scope, make)
    scope.own = scope.call = call
    _do(run_id, call.run.recorder, call.enter)


def _saved_by_others() -> bool:
    """Whether it is in a graph with another saver that something is called."""
    config = var_child_runnable_config.get() or {}
    saver = config.get("configurable", {}).get("__pregel_checkpointer")
    return saver is not None and getattr(saver, "_recorder", None) not in _recorders


def _count_unattributed() -> None:
    """A call that nothing says where it belongs: while a run of ours is open it may have been part of it."""
    for store in {recorder.store for recorder in list(_recorders)}:
        store.unattributed_calls += 1
    for recorder in list(_recorders):
        for run in list(recorder.active):
            run.unattributed += 1


def _end_call(run_id: UUID, status: str, output: Any, error: BaseException | None, facts: dict[str, Any]) -> None:
    scope = scopes.pop(run_id, None)
    if scope is not None and isinstance(scope.own, CallState):
        call = scope.own
        call.known(facts)
        _do(run_id, call.run.recorder, lambda: call.end(status, output, error, facts))
