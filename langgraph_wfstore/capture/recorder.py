"""Records the runs of one saver: encodes what was seen, within limits, and hands it to the store."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ..appending.inputs import CheckpointInput, RunRead, WritesInput
from ..appending.trace import Note
from ..codec import Codec, Encoded, EncodedList
from ..errors import WfStoreError
from ..offload import Offload
from ..store import WfStore
from ..threads.view import ThreadView
from ..tracing.infos import TRUNCATED
from ..tracing.normal import content_key, hash_of, message
from ..values.elements import Leaf
from .barrier import LoopState
from .node_cache import was_cached
from .scopes import calling_loop, control_of, current, scopes
from .soon import soon
from .states import RunState, cached_step, described
from .workflow import describe

_log = logging.getLogger(__name__)
_KEYS_HELD = 100_000
_LOOPS_HELD = 10_000
LIMIT = 1 << 20  # bytes of one value of a call
Mode = Literal["full", "digests"]


class Recorder:
    """What one saver, and its clones, record.

    Args:
        store: where to.
        codec: what values are encoded with.
        offload: the saver's executor, for what takes time on event loops.
        mode: "full", or "digests": of inputs and outputs only keyed digests.
        redact: applied to what calls and steps were given and gave, before it is encoded.
        limit: bytes that one value of a call may have.

    Attributes:
        active: runs that are open.
    """

    def __init__(
        self,
        store: WfStore,
        codec: Codec,
        offload: Offload,
        mode: Mode,
        redact: Callable[[Any], Any] | None,
        limit: int,
    ) -> None:
        self.store = store
        self.codec = codec
        self.offload = offload
        self.closed = False
        self.active: set[RunState] = set()
        self._mode = mode
        self._redact = redact
        self._limit = limit
        self._loops: dict[tuple[int, str, str], tuple[object, LoopState]] = {}
        self._message_keys: dict[bytes, bytes] = {}

    @property
    def open(self) -> bool:
        """Whether it records."""
        return not (self.closed or self.store.closed)

    # ------------------------------------------------------------------ whose loop

    def bind(
        self, configurable: Mapping[str, Any], thread_id: str, namespace: str, run_id: str | None
    ) -> Binding | None:
        """Find out which graph is about to start, if the saver is called by one that starts."""
        control, name = control_of(configurable), current.get()
        scope = None if name is None else scopes.get(name)
        if control is None or scope is None or not self.open:
            return None
        calling = calling_loop()
        if calling is None:
            return None
        graph, loop = calling
        if scope.loop is not None and scope.loop.loop is loop:
            return None
        state = scope.loop = LoopState(loop, namespace)
        run = scope.run
        if run is None or run.recorder is not self or run.thread_id != thread_id or not loop.is_nested:
            addressed = configurable.get("checkpoint_id") is not None
            run = RunState(self, thread_id, scope, state, graph=graph, addressed=addressed, metadata_run_id=run_id)
            scope.run, scope.own = run, run
            scope.step = scope.call = None
            self.active.add(run)
        state.run = scope.run
        scope.given = None
        if len(self._loops) >= _LOOPS_HELD:
            self._loops.pop(next(iter(self._loops)))
        self._loops[id(control), thread_id, namespace] = (control, state)
        return Binding(run if scope.own is run else None)

    def loop_of(self, configurable: Mapping[str, Any], thread_id: str, namespace: str) -> LoopState | None:
        """The loop that a put comes from."""
        control = control_of(configurable)
        known = None if control is None else self._loops.get((id(control), thread_id, namespace))
        return known[1] if known is not None and known[0] is control else None

    @contextlib.contextmanager
    def putting(self, configurable: Mapping[str, Any], thread_id: str, new: CheckpointInput) -> Iterator[Putting]:
        """A checkpoint is put: nodes wait for it, and may have changed in place what it does not say is new."""
        state = self.loop_of(configurable, thread_id, new.namespace)
        if state is None:
            yield Putting(new, None)
            return
        if state.touched:
            new = new._replace(inherits=False, encoded=state.snapshot(new.checkpoint_id))
            state.touched = False
        try:
            yield Putting(new, lambda: state.put(new.checkpoint_id))
        except BaseException:
            state.fail()
            raise
        state.put(new.checkpoint_id)
        if state.hits and state.run is not None:
            self._settle_hits(state, state.run)

    @contextlib.contextmanager
    def writing(
        self, configurable: Mapping[str, Any], thread_id: str, new: WritesInput
    ) -> Iterator[Callable[[], None] | None]:
        """Writes are put: the nodes of the next superstep wait for them."""
        state = self.loop_of(configurable, thread_id, new.namespace)
        if state is None:
            yield None
            return
        self._note_cached(state, new)
        try:
            yield lambda: state.wrote(new.task_id)
        except BaseException:
            state.fail()
            raise
        state.wrote(new.task_id)

    def unbind(self, run: RunState) -> None:
        """A run has ended."""
        self.active.discard(run)
        for key, (_, state) in list(self._loops.items()):
            if state.run is run and state.hits:  # their checkpoint was never put
                self._settle_hits(state, run, int(getattr(state.loop, "step", 0)))
            if state is run.root or state.loop is None:
                self._loops.pop(key, None)

    def _note_cached(self, state: LoopState, new: WritesInput) -> None:
        """Writes come of a task that never started: the node cache gave them, which costs nothing."""
        if state.run is not None and new.task_id not in state.begun and was_cached(state.loop, new):
            state.begun.add(new.task_id)
            state.hits.add(new)
            self._settle_hits(state, state.run)

    def _settle_hits(self, state: LoopState, run: RunState, last: int | None = None) -> None:
        state.hits.settle(
            lambda new: self._superstep(run, new, last),
            lambda new, number: self.keep(run, cached_step(run, state, new, number), send=False),
        )

    def _superstep(self, run: RunState, new: WritesInput, last: int | None) -> int | None:
        """The superstep behind the checkpoint that writes belong to; `last` while that was not put."""
        view = self.store.views.of(run.thread_id)
        with view.lock:
            self.store.views.ready(view)
            entry = view.entry(self.store.backend, new.namespace, new.checkpoint_id)
        record = None if entry is None else entry.record
        return last if record is None or record.step is None else record.step + 1

    # ------------------------------------------------------------------ values

    def described(self, error: BaseException | None) -> tuple[str, str] | None:
        """Type and message of an error; of the message what `redact` makes of it, nothing if contents are not kept."""
        found = described(error)
        if found is not None and self._mode == "digests":
            return found[0], '(not recorded: capture="digests")'
        if found is None or self._redact is None:
            return found
        try:
            return found[0], str(self._redact(found[1]))
        except Exception as broken:  # noqa: BLE001  # what could not be redacted is not stored
            return found[0], f"(not recorded: redact raised {type(broken).__name__})"

    def encoded(self, values: Mapping[str, Any], note: Note | None, *, limited: bool = True) -> dict[str, Encoded]:
        """Values of a record as they are to be stored.

        Args:
            values: by field; None is left out.
            note: the record they belong to.
            limited: whether large values are stored by digest, type and size only; those that are part of the state are
                stored in any case.
        """
        if self._mode == "digests":
            values = {name: value for name, value in values.items() if name == "description"}
        found = {}
        for name, value in values.items():
            if value is not None:
                found[name] = self._encoded(name, value, limited)
        return found

    def _encoded(self, name: str, value: Any, limited: bool) -> Encoded:
        if self._redact is not None and name in ("input", "output"):
            try:
                value = self._redact(value)
            except Exception as error:  # noqa: BLE001  # what could not be redacted is not stored
                return self.codec.encode(truncated(value, f"redact raised {type(error).__name__}", digest=False), name)
        try:
            encoded = self.codec.encode(value, name)
        except WfStoreError:
            encoded = self._by_parts(value)
        if not limited or _largest(encoded) <= self._limit:
            return encoded
        if isinstance(encoded, EncodedList) and len(encoded.leaves) == len(value):
            items = [
                item if leaf.size <= self._limit else truncated(item, "too large", leaf.size, leaf.key)
                for item, leaf in zip(value, encoded.leaves, strict=True)
            ]
            return self.codec.encode(items, name)
        data = b"".join(leaf.data for leaf in _leaves(encoded))
        return self.codec.encode(truncated(value, "too large", len(data), hashlib.sha256(data).digest()), name)

    def _by_parts(self, value: Any) -> Encoded:
        """A value that the serializer refuses, with what it refuses in it replaced."""
        if type(value) in (dict, list):
            items = value.items() if type(value) is dict else enumerate(value)
            parts = {key: self._kept(item) for key, item in items}
            try:
                return self.codec.encode(parts if type(value) is dict else list(parts.values()), "a value")
            except WfStoreError:
                pass
        return self.codec.encode(truncated(value, "not serializable"), "a value")

    def _kept(self, item: Any) -> Any:
        try:
            self.codec.encode(item, "a part")
        except WfStoreError:
            return truncated(item, "not serializable")
        return item

    def content_key(self, value: Any) -> bytes | None:
        """What the digest of a call's input or output is made of; None if it has no normal form.

        It is made of what was there before `redact`: so a message in the state is known as the one that a call gave.
        """
        try:
            if isinstance(value, list) and value and all(hasattr(item, "additional_kwargs") for item in value):
                return hashlib.sha256(b"".join([self._message_key(item) for item in value])).digest()
            return content_key(value)
        except Exception:  # noqa: BLE001  # values of the user's may raise anything when they are looked at
            _log.debug("a value of type %s has no normal form", type(value), exc_info=True)
            return None

    def _message_key(self, item: Any) -> bytes:
        leaf = self.codec.element(item)
        key = self._message_keys.get(leaf.key)
        if key is None:
            if len(self._message_keys) >= _KEYS_HELD:
                self._message_keys.clear()
            key = self._message_keys[leaf.key] = hash_of(message(item))
        return key

    def workflow(self, run: RunState) -> tuple[str | None, dict[str, Any] | None]:
        """Fingerprint and description of the graph that runs."""
        return (None, None) if run.graph is None else describe(run.graph)

    # ------------------------------------------------------------------ storing

    def _push_later(self, view: ThreadView) -> None:
        """Commit notes that nothing else of their thread has taken along."""
        if self.open and (view.sent or view.waiting):
            try:
                self.store.views.notes.push(view, wait=False)
            except Exception:  # noqa: BLE001  # the store was closed meanwhile, say
                _log.debug("notes were not committed ahead of their time", exc_info=True)

    def keep(self, run: RunState, notes: Sequence[Note], *, send: bool = True, wait: bool = False) -> None:
        """Record notes.

        Args:
            send: have them committed now, without waiting; else with what the thread stores next, or in 50 ms.
            wait: until they are committed.
        """
        if not self.open:
            return
        views = self.store.views
        view = views.of(run.thread_id)
        with run.lock:  # the run's own start comes first
            views.notes.add(view, run.batch(notes))
        if send or wait:
            views.notes.push(view, wait=wait)
        else:
            soon(view, self._push_later)


class Putting(NamedTuple):
    """A checkpoint as it is to be put, and what is to be called when it is queued."""

    checkpoint: CheckpointInput
    queued: Callable[[], None] | None


class Binding:
    """A graph that starts, until its saver has read what it starts from."""

    def __init__(self, run: RunState | None) -> None:
        self._run = run

    def loaded(self, checkpoint_id: str | None, source: str | None, read: RunRead) -> None:
        """What it starts from."""
        if self._run is not None:
            self._run.loaded(checkpoint_id, source, read)


def truncated(
    value: Any, why: str, size: int | None = None, key: bytes | None = None, *, digest: bool = True
) -> dict[str, Any]:
    """What stands in the place of a value that is not stored: why, its type, and size and SHA-256 of its bytes.

    Args:
        size, key: of its serialized bytes; those of its `repr` are taken if it has none.
    """
    facts: dict[str, Any] = {"why": why, "type": f"{type(value).__module__}.{type(value).__qualname__}"}
    if digest and key is None:
        try:
            shown = repr(value).encode("utf-8", "surrogatepass")
        except Exception as error:  # noqa: BLE001  # a value of the user's
            facts["repr"] = f"raised {type(error).__name__}"
        else:
            size, key = len(shown), hashlib.sha256(shown).digest()
            facts["of"] = "repr"
    if digest and key is not None:
        facts |= {"bytes": size, "sha256": key.hex()}
    return {TRUNCATED: facts}


def _largest(encoded: Encoded) -> int:
    return max((leaf.size for leaf in _leaves(encoded)), default=0)


def _leaves(encoded: Encoded) -> list[Leaf]:
    if isinstance(encoded, Leaf):
        return [encoded]
    if isinstance(encoded, EncodedList):
        return encoded.leaves
    return [encoded.shell, *(leaf for _, items in encoded.holes for leaf in items.leaves)]
