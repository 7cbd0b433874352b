"""The capture barrier: a node starts when what the superstep before it saves can no longer be changed by it.

With the default durability LangGraph saves in the background, while the next nodes run. One that changes its state in
place would change what is about to be serialized. The handler runs before a node's body: it holds the node back
until the put and the put_writes of the superstep before are queued. With durability "exit" there is nothing to wait
for; the state is encoded before the first node of a superstep goes, and a run that fails in it saves that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from langgraph.errors import EmptyChannelError

from ..codec import Codec, Encoded, EncodedList
from ..errors import UnsupportedValueError
from ..values.elements import Leaf
from .node_cache import CacheHits

if TYPE_CHECKING:
    from .states import RunState

_PATIENCE = 30.0  # seconds; a put that takes longer has failed in a way that nobody said, or never comes
_TASKS = "__pregel_tasks"  # holds Send packets, out of which LangGraph takes what is not to be saved
_DELTA = "DeltaChannel"  # its value is not what is saved


class Gate:
    """What threads, and tasks of event loops, wait for.

    Whoever changes something asks for those who wait whether they can go on, and wakes only those: a thread that is
    woken for nothing costs more than the question.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = []

    def changed(self) -> None:
        """Wake those who can go on now."""
        if not self._waiting:
            return
        with self._lock:
            asked = [(ready(), ready, wake) for ready, wake in self._waiting]
            self._waiting = [(ready, wake) for go, ready, wake in asked if not go]
        for go, _, wake in asked:
            if go:
                wake()

    def wait(self, ready: Callable[[], bool], patience: float) -> bool:
        """Block until it is ready; False if it is not after `patience` seconds."""
        if ready():
            return True
        turn = threading.Lock()
        turn.acquire()
        with self._entered(ready, turn.release) as waits:
            if waits:
                turn.acquire(timeout=patience)
        return ready()

    async def wait_async(self, ready: Callable[[], bool], patience: float) -> bool:
        """`wait`, without blocking the event loop."""
        if ready():
            return True
        loop, turn = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(turn.set)

        with self._entered(ready, wake) as waits:
            if waits:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(turn.wait(), patience)
        return ready()

    @contextlib.contextmanager
    def _entered(self, ready: Callable[[], bool], wake: Callable[[], None]) -> Iterator[bool]:
        """Be among those who are woken; False if the change has come before that."""
        one = (ready, wake)
        with self._lock:
            self._waiting.append(one)
        try:
            yield not ready()  # after it was entered: a change that saw nobody waiting is seen here
        finally:
            with self._lock:
                if one in self._waiting:
                    self._waiting.remove(one)


class LoopState:
    """What is known of one invocation of one graph, root or sub-graph, and of what it saves.

    Args:
        loop: LangGraph's PregelLoop.
        namespace: its checkpoint namespace.

    Attributes:
        run: the run it is part of.
        begun: ids of the tasks that have started.
        touched: whether a node has run since the last checkpoint, so that any channel may have been changed in place.
        interrupted: whether a task of it was interrupted.
        untracked: channels that are never to be saved.
        hits: of its node cache, still to be noted.
    """

    def __init__(self, loop: Any, namespace: str) -> None:
        self._loop = weakref.ref(loop)
        self.namespace = namespace
        self.run: RunState | None = None
        self.begun: set[str] = set()
        self.touched = False
        self.interrupted = False
        self.hits = CacheHits()
        self._gate = Gate()
        self._queued: str | None = None
        self._failed = False
        self._unwritten: set[str] = set()
        self._snapshot: tuple[str | None, dict[str, Encoded]] = (None, {})
        self._before: tuple[str | None, dict[str, object]] = (None, {})
        self._beside: list[str] = []
        self._running_now = 0
        self._lock = threading.Lock()
        self.untracked = frozenset(
            name for name, spec in getattr(loop, "specs", {}).items() if type(spec).__name__ == "UntrackedValue"
        )

    @property
    def loop(self) -> Any:
        """LangGraph's loop, None if it is gone."""
        return self._loop()

    @property
    def durability(self) -> str | None:
        """LangGraph's durability mode."""
        return getattr(self.loop, "durability", None)

    @property
    def saves(self) -> bool:
        """Whether the graph saves while it runs."""
        return self.durability != "exit" and getattr(self.loop, "checkpointer", None) is not None

    @property
    def checkpoint_id(self) -> str | None:
        """The checkpoint whose superstep runs."""
        checkpoint = getattr(self.loop, "checkpoint", None)
        return checkpoint["id"] if checkpoint is not None else None

    # ------------------------------------------------------------------ what the saver says

    def put(self, checkpoint_id: str) -> None:
        """A checkpoint is queued: nothing is read from live values any more."""
        self._queued = checkpoint_id
        self._gate.changed()

    def wrote(self, task_id: str) -> None:
        """The writes of a task are queued."""
        self._unwritten.discard(task_id)
        self._gate.changed()

    def fail(self) -> None:
        """A put failed: LangGraph will raise its error, and nobody need wait."""
        self._failed = True
        self._gate.changed()

    # ------------------------------------------------------------------ what the handlers say

    def ended(self, task_id: str) -> None:
        """A task ended well: LangGraph is about to save its writes."""
        if self.saves:
            self._unwritten.add(task_id)

    def ready(self, checkpoint_id: str | None) -> bool:
        """Whether a node of this checkpoint's superstep may go."""
        if self._failed or not self.saves:
            return True
        saved = checkpoint_id in (self._queued, getattr(self.loop, "checkpoint_id_saved", None), None)
        if not saved and (put := self._put_under_way()) is not None and put.done():
            return True  # before it came to the saver: somebody stands between, and it failed there
        return saved and not (self._unwritten - self._running())

    def _put_under_way(self) -> Any:
        """LangGraph's future of the last put that it began; None if there is none."""
        return getattr(self.loop, "_put_checkpoint_fut", None)

    def _watch_put(self) -> None:
        """Look again when LangGraph's put has ended, however it did."""
        put = self._put_under_way()
        if isinstance(put, asyncio.Future):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing comes any more
                put.get_loop().call_soon_threadsafe(put.add_done_callback, lambda _: self._gate.changed())
        elif put is not None:
            put.add_done_callback(lambda _: self._gate.changed())

    def _running(self) -> set[str]:
        """Tasks of the superstep that runs: their writes may come later."""
        return set(getattr(self.loop, "tasks", ()))

    def wait(self) -> bool:
        """Hold a node back; False if that took too long."""
        checkpoint_id = self.checkpoint_id
        if self.ready(checkpoint_id):
            return True
        self._watch_put()
        return self._gate.wait(lambda: self.ready(checkpoint_id), _PATIENCE)

    async def wait_async(self) -> bool:
        """`wait`, without blocking the event loop, which has to save meanwhile."""
        checkpoint_id = self.checkpoint_id
        if self.ready(checkpoint_id):
            return True
        self._watch_put()
        return await self._gate.wait_async(lambda: self.ready(checkpoint_id), _PATIENCE)

    # ------------------------------------------------------------------ states as they were before nodes ran

    def enter(self, node: str, codec: Codec) -> None:
        """A node is about to run: keep what is needed of the state as it is before any of its superstep has."""
        self.touched = True
        if getattr(self.loop, "checkpointer", None) is None:
            return
        checkpoint_id = self.checkpoint_id
        beside = len(getattr(self.loop, "tasks", ())) > 1
        with self._lock:
            if self.durability == "exit" and self._snapshot[0] != checkpoint_id:
                self._snapshot = (checkpoint_id, self._encoded(codec))
            if beside:
                if self._before[0] != checkpoint_id:
                    self._before, self._beside = (checkpoint_id, _looks(self._encoded(codec))), []
                    self._running_now = 0  # of one that was cancelled before it ran nobody says that it has ended
                self._beside.append(node)
                self._running_now += 1

    def leave(self, codec: Codec) -> tuple[str, ...]:
        """A node has run; what is to be said of it: channels that it, or one that ran beside it, changed in place."""
        with self._lock:
            if not self._running_now:
                return ()
            self._running_now -= 1
            if self._running_now or self._before[0] != self.checkpoint_id or self._more_to_come():
                return ()
            now, before = _looks(self._encoded(codec)), self._before[1]
            changed = sorted(name for name in before if now.get(name) != before[name])
            self._before = (self._before[0], {**before, **{name: now.get(name) for name in changed}})
            names = " and ".join(dict.fromkeys(self._beside))
        return tuple(f"channel {name!r} was changed in place while {names} ran side by side" for name in changed)

    def _more_to_come(self) -> bool:
        """Whether tasks of the superstep are still to begin: the last one to end looks for all."""
        tasks = [*self.loop.tasks.items()]  # others may add to it meanwhile
        return any(
            not (task_id in self.begun or task.writes) and _is_sure_to_begin(task) for task_id, task in reversed(tasks)
        )

    def snapshot(self, checkpoint_id: str) -> dict[str, Encoded]:
        """With durability "exit" the values of this checkpoint before its superstep ran; none if it did not run."""
        return self._snapshot[1] if self._snapshot[0] == checkpoint_id else {}

    def _encoded(self, codec: Codec) -> dict[str, Encoded]:
        """The channels as they are now; what cannot be encoded is left to the put, which says so."""
        found: dict[str, Encoded] = {}
        for name, channel in self.loop.channels.items():
            if name in self.untracked or (self.untracked and name == _TASKS) or type(channel).__name__ == _DELTA:
                continue
            with contextlib.suppress(UnsupportedValueError, EmptyChannelError):
                found[name] = codec.encode(channel.checkpoint(), f"channel {name!r}")
        return found


def _is_sure_to_begin(task: Any) -> bool:
    """Whether a handler is going to hear of a task.

    A functional task may be cancelled before it begins, and a node that only writes to channels calls no handler.
    """
    return len(task.path) <= 3 and getattr(task.proc, "trace", True) is not False


def _looks(values: dict[str, Encoded]) -> dict[str, object]:
    """What tells changed values from unchanged ones."""
    return {name: _look(value) for name, value in values.items()}


def _look(value: Encoded) -> object:
    if isinstance(value, Leaf):
        return value.key
    if isinstance(value, EncodedList):
        return tuple([leaf.key for leaf in value.leaves])
    return (value.shell.key, *[(at, _look(items)) for at, items in value.holes])
