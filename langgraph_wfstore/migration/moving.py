"""Moving one thread: nothing of it is put before all of it could be read, and all of it is compared afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from ..arguments import checked_thread_id
from ..errors import BackendUnavailableError, ConflictError, ThreadNotFoundError, WfStoreError
from .comparing import Comparison
from .reader import Reader
from .states import Key, Node, Prepared, Seen, State, ancestors_first

_HELD = 8 << 20  # bytes of a thread's serialized states that are held from reading to comparing
_TOLD = 3  # differences of a thread
_DELTA = "counters_since_delta_snapshot"


class Writer(Protocol):
    """Where threads are moved to.

    Attributes:
        reader: reads back what was put, from the place itself.
        comparison: what counts as equal there.
    """

    reader: Reader
    comparison: Comparison

    def known(self, thread: str) -> Mapping[Key, bool]:
        """The checkpoints that it has of a thread, and whether they are shown: what was pruned is not."""

    def prepare(self, state: State, seen: Seen) -> Prepared:
        """Make a state ready to be put, behind others whose objects were seen; raises if it cannot be stored."""

    def put(self, thread: str, prepared: Prepared, *, last: bool) -> None:
        """Put a checkpoint and its writes."""

    def add_writes(self, thread: str, state: State) -> None:
        """Put pending writes of a checkpoint that is there; those that are there too stay as they are."""

    def make_current(self, thread: str, checkpoint_id: str) -> None:
        """Let this checkpoint of the root namespace be the one that is read where none is named."""


@dataclass
class Moved:
    """What became of one thread.

    Attributes:
        checkpoints, writes: how many were put, or would be.
        found: how many checkpoints were there before.
        pruned: how many of those were pruned there; they are not put again.
        went_on: whether the thread went on in the target since it was moved.
        problems: why it is not there, or not equal.
    """

    thread: str
    checkpoints: int = 0
    writes: int = 0
    found: int = 0
    pruned: int = 0
    went_on: bool = False
    problems: list[str] = field(default_factory=list)


class Mover:
    """Moves threads from a reader to a writer; any number of threads at once.

    Args:
        source: where they are.
        target: where they go.
        scratch: makes a place to try them in; then nothing is put into the target.
    """

    def __init__(self, source: Reader, target: Writer, scratch: Callable[[], Writer] | None = None) -> None:
        self._source = source
        self._target = target
        self._scratch = scratch

    def move(self, thread: Any) -> Moved:
        """Move one thread, or complete it.

        Raises:
            BackendUnavailableError: a storage engine is out of service: no other thread could be moved either.
        """
        moved = Moved(str(thread))
        try:
            moved.thread = checked_thread_id(thread)
            _OneThread(self._source, self._target, self._scratch, thread, moved).run()
        except BackendUnavailableError:
            raise
        except Exception as error:
            if _is_lost(error):
                raise BackendUnavailableError(
                    f"the connection to the PostgreSQL server was lost at thread {moved.thread!r}: {_said(error)}. Run "
                    "again when it is there: what is done is kept"
                ) from error
            moved.problems.append(_said(error))
        finally:
            self._source.done(thread)
        return moved


class _OneThread:
    """The way of one thread."""

    def __init__(
        self, source: Reader, target: Writer, scratch: Callable[[], Writer] | None, thread: Any, moved: Moved
    ) -> None:
        self._source = source
        self._target = target
        self._dry = scratch is not None
        self._into = target if scratch is None else scratch()
        self._thread = thread
        self._moved = moved
        self._held: dict[Key, Prepared] = {}
        self._seen = Seen()

    def run(self) -> None:
        latest = self._source.latest(self._thread)
        nodes = ancestors_first(self._source.outline(self._thread))
        if not nodes:
            raise ThreadNotFoundError(f"there is no thread {self._thread!r} in the source; check the id")
        known = self._target.known(self._moved.thread)
        missing = [node for node in nodes if node.key not in known]
        strangers = known.keys() - {node.key for node in nodes}
        self._moved.found = len(nodes) - len(missing)
        self._moved.went_on = bool(strangers)
        if strangers and missing:
            raise self._parted(missing, strangers)
        self._prepare(missing)
        self._put(missing)
        roots = {node.checkpoint_id for node in nodes if not node.namespace}
        if latest in roots and not strangers and not (self._dry and known):
            self._settle_current(latest)
        self._compare(nodes, known, {node.key for node in missing})

    def _parted(self, missing: list[Node], strangers: set[Key]) -> ConflictError:
        return ConflictError(
            f"the target has another thread of this id: {len(missing)} of its checkpoints are only in the source, "
            f"{missing[0].checkpoint_id!r} is one, and {len(strangers)} only in the target, {min(strangers)[1]!r} is "
            "one. Nothing was written. If it went on in both, copy or delete it in one of them, then run again"
        )

    def _prepare(self, missing: list[Node]) -> None:
        """Read and serialize everything, so that a thread that cannot be moved is not there by half."""
        held = 0
        for node in missing:
            prepared = self._prepared(node)
            held += prepared.size
            if held <= _HELD:
                self._held[node.key] = prepared
            else:
                self._seen.growing = False

    def _prepared(self, node: Node) -> Prepared:
        return self._target.prepare(self._read(node), self._seen)

    def _put(self, missing: list[Node]) -> None:
        for node in missing:
            prepared = self._held.get(node.key) or self._prepared(node)
            self._into.put(self._moved.thread, prepared, last=node is missing[-1])
            self._moved.checkpoints += 1
            self._moved.writes += len(prepared.state.writes)

    def _settle_current(self, latest: str) -> None:
        """Let the target read the same checkpoint where none is named."""
        self._into.make_current(self._moved.thread, latest)
        found = self._into.reader.latest(self._moved.thread)
        if found != latest:
            self._moved.problems.append(
                f"where no checkpoint is named {found!r} is read, not {latest!r} as in the source"
            )

    def _compare(self, nodes: list[Node], known: Mapping[Key, bool], missing: set[Key]) -> None:
        """Read everything back and compare it; add what writes have come since."""
        parents = {(node.namespace, node.parent) for node in nodes}
        above = _shown_parents(nodes, known)
        for node in nodes:
            if known.get(node.key) is False:
                self._moved.pruned += 1
                continue
            writer = self._into if node.key in missing else self._target
            whole = writer is self._target or not known  # a thread that was tried in part has no whole history
            shown = node._replace(parent=above[node.key])
            found = self._differences(writer, shown, end=whole and node.key not in parents, whole=whole)
            self._moved.problems += [f"{_named(node)}: {what}" for what in found]
            if len(self._moved.problems) >= _TOLD:
                return

    def _differences(self, writer: Writer, node: Node, *, end: bool, whole: bool) -> list[str]:
        held = self._held.pop(node.key, None)
        expected = (self._read(node) if held is None else held.state)._replace(node=node)
        name, went_on = self._moved.thread, self._moved.went_on
        compare = writer.comparison if self._source.tables is not None else writer.comparison.without_places()
        found = writer.reader.state(name, node)
        differences = compare.differences(expected, found, more_writes=went_on)
        later = held is None and found is not None and not went_on  # what is held was put a moment ago
        if differences and later and found is not None and (behind := _behind(expected, found, compare)):
            self._moved.writes += behind
            if self._dry:
                return compare.differences(expected._replace(writes=()), found._replace(writes=()))
            writer.add_writes(name, expected)
            differences = compare.differences(expected, writer.reader.state(name, node))
        channels = _delta_channels(expected, end) if whole else []
        if channels and not differences and not went_on:
            differences = self._histories(writer, node, channels)
        return differences

    def _histories(self, writer: Writer, node: Node, channels: list[str]) -> list[str]:
        """Differences in what delta channels are rebuilt from; their values stand in no checkpoint."""
        expected = self._source.history(self._thread, node, channels)
        found = writer.reader.history(self._moved.thread, node, channels)
        return [
            f"the delta channel {channel!r} would be rebuilt from other writes"
            for channel in channels
            if not writer.comparison.same(dict(expected[channel]), dict(found[channel]))
        ]

    def _read(self, node: Node) -> State:
        try:
            state = self._source.state(self._thread, node)
        except BackendUnavailableError:
            raise
        except Exception as error:
            raise WfStoreError(f"{_named(node)} cannot be read: {_said(error)}") from error
        if state is None:
            raise WfStoreError(f"{_named(node)} is not in the source any more, where it was listed; run again")
        return state


def _shown_parents(nodes: list[Node], known: Mapping[Key, bool]) -> dict[Key, str | None]:
    """Of each checkpoint the nearest ancestor that is not pruned in the target."""
    found: dict[Key, str | None] = {}
    for node in nodes:
        above = None if node.parent is None else (node.namespace, node.parent)
        found[node.key] = found[above] if above in found and known.get(above) is False else node.parent
    return found


def _behind(expected: State, found: State, compare: Comparison) -> int:
    """How many pending writes have come to the source since: further ones, and special ones that replaced others."""
    stored = {(place.task_id, place.channel): value for place, value in found.writes if place.idx < 0}
    replaced = [
        place
        for place, value in expected.writes
        if place.idx < 0
        and (place.task_id, place.channel) in stored
        and not compare.same(value, stored[place.task_id, place.channel])
    ]
    return max(0, len(expected.writes) - len(found.writes)) + len(replaced)


def _delta_channels(state: State, end: bool) -> list[str]:
    """The delta channels whose history is to be compared at a checkpoint.

    A history goes back to the nearest value that is stored whole. So those at the ends of lines, and at the checkpoints
    with such a value, are all that there is.
    """
    whole = {name for name, value in state.checkpoint["channel_values"].items() if isinstance(value, _DeltaSnapshot)}
    return sorted(whole | set(state.metadata.get(_DELTA) or ())) if end or whole else []


def _is_lost(error: BaseException | None) -> bool:
    """Whether the reason is that LangGraph's own saver has lost its server; psycopg need not be installed."""
    while error is not None:
        for cls in type(error).__mro__:
            if cls.__module__.startswith("psycopg") and cls.__name__ in ("OperationalError", "InterfaceError"):
                return True
        error = error.__cause__
    return False


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, WfStoreError) else f"{type(error).__name__}: {error}"


def _named(node: Node) -> str:
    within = f" of sub-graph {node.namespace!r}" if node.namespace else ""
    return f"checkpoint {node.checkpoint_id!r}{within}"
