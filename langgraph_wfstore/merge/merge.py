"""Merging one line of a thread into another: look, merge by channel, put a checkpoint with two parents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ..appending.inputs import CheckpointInput, Merged
from ..appending.putting import EncodedCheckpoint, Plan, plan_checkpoint
from ..backends.base import BranchRow
from ..branching.branches import branch_named
from ..canonical import Version
from ..errors import (
    BackendUnavailableError,
    BranchNotFoundError,
    CheckpointNotFoundError,
    MergeConflictError,
    ThreadNotFoundError,
)
from ..records import Ref
from ..threads.lookup import branch_number, kept, load_needs
from ..threads.merge_base import common_ancestor, parents_of
from ..threads.overtaken import Overtaken
from ..threads.versions import latest_version, next_version
from ..threads.view import Entry
from ..values.reading import Loaded
from .checkpoint_ids import new_checkpoint_id
from .merging import Merging, Resolve, State, Taken, check_resolve
from .pending import Place, carried
from .reducers import Channels
from .schedule import seen_after_merge
from .workflows import description_of

if TYPE_CHECKING:
    from ..store import WfStore

_ATTEMPTS = 100
_COUNTERS = "counters_since_delta_snapshot"


@dataclass(frozen=True)
class Merge:
    """What a merge did.

    Attributes:
        thread_id: of the thread.
        source: what was merged: a branch, or a checkpoint id.
        into: the branch that was merged into.
        checkpoint_id: of the merge, the branch's head now; if nothing was to be merged, of the head as it was.
        base: id of the nearest common ancestor, None if there is none.
        parents: ids of the branch's head before the merge, and of the checkpoint that was merged.
        taken: per channel that changed how its value came about: "theirs", "both" (joined by element) or "resolved".
        kept: channels that both sides changed, resolved as ours.
        already: whether the branch had everything of the source, so that nothing was put.
    """

    thread_id: str
    source: str
    into: str
    checkpoint_id: str
    base: str | None
    parents: tuple[str, str]
    taken: Mapping[str, str]
    kept: tuple[str, ...] = ()
    already: bool = False

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(str(self))

    def __str__(self) -> str:
        if self.already:
            return f"{self.source!r} is merged into {self.into!r} already; its head is checkpoint {self.checkpoint_id}"
        lines = [f"merged {self.source!r} into {self.into!r}: checkpoint {self.checkpoint_id}"]
        lines.append(f"  parents {' and '.join(self.parents)}, base {self.base or 'none'}")
        words = {"theirs": "taken from the source", "both": "joined", "resolved": "resolved"}
        lines += [f"  {name}: {words[how]}" for name, how in self.taken.items()]
        lines += [f"  {name}: kept, as resolved" for name in self.kept]
        return "\n".join(lines)


def merge(
    store: WfStore, thread_id: str, source: str, into: str | None, resolve: Resolve, append: Collection[str]
) -> Merge:
    """See `Thread.merge`."""
    check_resolve(resolve)
    if not isinstance(source, str):
        raise TypeError(f"what is merged is a branch or a checkpoint id, not {type(source).__name__}: {source!r:.100}")
    if isinstance(append, str | bytes) or not isinstance(append, Collection):
        raise TypeError(f"append is a collection of channel names, not {type(append).__name__}: {append!r:.100}")
    overtaken = Overtaken(store.backend, [thread_id])
    for _ in range(_ATTEMPTS):
        try:
            return _Merge(store, thread_id, source, into).run(resolve, append)
        except _Moved:
            continue
        except Exception as error:
            if not overtaken.excuses(error):
                raise
    raise BackendUnavailableError(
        f"the branches of thread {thread_id!r} moved {_ATTEMPTS} times while {source!r} was merged; nothing was "
        "written. Repeat it when fewer runs are active"
    )


class _Moved(Exception):
    """A side has another head meanwhile."""


class _Removed(_Moved, CheckpointNotFoundError):
    """A side, or their base, was removed meanwhile; raised to who asks for a conflict's values afterwards."""


class _Merge:
    """One attempt: what was found of the sides, and the checkpoint that comes of it."""

    def __init__(self, store: WfStore, thread_id: str, source: str, into: str | None) -> None:
        self._store = store
        self._backend = store.backend
        self._view = view = store.views.of(thread_id)
        self._thread_id = thread_id
        self._source = source
        self._into = into
        with view.lock:
            store.views.refresh(view)
            if not view.stored:
                raise ThreadNotFoundError(f"thread {thread_id!r} is gone; store.threads() lists what there is")
            self._branch, self._ours, self._theirs = self._sides()
            self._looked_at = (
                *(self._branch.number, self._branch.name, _id(self._ours), _id(self._theirs)),
                [row.id for row in self._ours.write_rows],
            )
            self._base = common_ancestor(lambda e: parents_of(view, self._backend, e), self._ours, self._theirs)

    def _sides(self) -> tuple[BranchRow, Entry, Entry]:
        """The branch to merge into, its head, and what is merged. The view's lock is held."""
        view = self._view
        branch = view.heads[branch_number(view, self._into)]
        ours = view.head(self._backend, branch.number)
        number = branch_named(view, self._source)
        theirs = kept(view, self._backend, "", self._source)
        if number is not None and theirs is not None:
            raise ValueError(
                f"{self._source!r} is both a branch and a checkpoint id of thread {self._thread_id!r}, so that it does "
                "not say what is meant; rename the branch"
            )
        if number is not None:
            theirs = view.head(self._backend, number)
        elif theirs is None:
            raise BranchNotFoundError(
                f"thread {view.thread_id!r} has no branch and no checkpoint of the root namespace "
                f"{self._source!r}; thread.branches() and thread.checkpoints() list what there is"
            )
        if ours is None or theirs is None:
            raise CheckpointNotFoundError(
                f"branch {_name(branch) if ours is None else self._source!r} of thread {view.thread_id!r} has no "
                "checkpoint; there is nothing to merge"
            )
        return branch, ours, theirs

    def run(self, resolve: Resolve, append: Collection[str]) -> Merge:
        """Merge and put; `_Moved` if a side has another head by then."""
        self._expect_channels("append", append)
        self._expect_channels("resolve", resolve if isinstance(resolve, Mapping) else ())
        if self._base is self._theirs or (self._base is not None and _id(self._base) == _id(self._theirs)):
            return self._result(self._ours.checkpoint_id, {}, (), already=True)
        known = Channels([self._description(self._ours), self._description(self._theirs)], append)
        merging = Merging(
            self._state("base") if self._base is not None and self._base.shown else None,
            self._state("ours"),
            self._state("theirs"),
            self._base is not None and not self._base.shown,
            known,
            self._read,
            self._token,
        )
        merging.run(resolve)
        if merging.conflicts:
            raise MergeConflictError(self._refusal(merging), merging.conflicts)
        new, encoded = self._checkpoint(merging.taken, known)
        self._put(new, encoded)
        taken = {name: taken.how for name, taken in merging.taken.items()}
        return self._result(new.checkpoint_id, taken, tuple(merging.kept))

    # ------------------------------------------------------------------ what is there

    @cached_property
    def _entries(self) -> dict[str, Entry | None]:
        return {"base": self._base, "ours": self._ours, "theirs": self._theirs}

    def _state(self, side: str) -> State:
        entry = self._entries[side]
        assert entry is not None
        counters = self._metadata(side).get(_COUNTERS)
        return State(entry.channels, tuple(counters) if isinstance(counters, dict) else ())

    def _metadata(self, side: str) -> dict[str, Any]:
        entry = self._entries[side]
        assert entry is not None and entry.record is not None
        found = self._load(entry, entry.record.metadata)
        return found if isinstance(found, dict) else {}

    def _read(self, side: str, name: str) -> Any:
        """The value of a channel on a side; None if it has none there."""
        entry = self._entries[side]
        channel = None if entry is None else entry.channels.get(name)
        return None if entry is None or channel is None or channel.value is None else self._load(entry, channel.value)

    def _load(self, entry: Entry, ref: Ref, number: int | None = None) -> Any:
        """A value that a checkpoint names, or whose number is known."""
        views = self._store.views

        def load() -> Loaded:
            found = kept(self._view, self._backend, "", entry.checkpoint_id)
            if found is None or found.row is None or _id(found) != _id(entry):
                raise _Removed(
                    f"checkpoint {entry.checkpoint_id!r} of thread {self._thread_id!r} was removed meanwhile; "
                    "merge again"
                )
            needs = [(ref, found.numbers()[ref.id] if number is None else number)]
            return load_needs(self._view, self._backend, views.shelf, needs)

        return views.read(self._view, load).value(self._store.codec, ref)

    def _token(self, value: Any) -> object:
        leaf = self._store.codec.element(value)
        return leaf.tag, leaf.key

    def _description(self, entry: Entry) -> Mapping[str, Any] | None:
        return description_of(self._store, self._thread_id, entry)

    def _expect_channels(self, argument: str, names: Collection[str]) -> None:
        there = {*self._ours.channels, *self._theirs.channels}
        unknown = sorted(map(repr, set(names) - there))
        if unknown:
            raise ValueError(f"{argument} names {', '.join(unknown)}; the channels are {', '.join(sorted(there))}")

    def _refusal(self, merging: Merging) -> str:
        listed = "".join(f"\n  {conflict}" for conflict in merging.conflicts)
        only = [repr(conflict.channel) for conflict in merging.conflicts if conflict.only_ours]
        hint = f"; {', '.join(only)} can only be resolved as 'ours'" if only else ""
        return (
            f"{self._source!r} cannot be merged into {_name(self._branch)!r} of thread {self._thread_id!r}: "
            f"{len(merging.conflicts)} channels conflict; nothing was written. Resolve them: resolve='ours', "
            "'theirs', a function, or a dict of these by channel; or name channels whose lists or dicts are joined in "
            f"append{hint}{listed}"
        )

    # ------------------------------------------------------------------ what comes of it

    def _checkpoint(self, taken: Mapping[str, Taken], known: Channels) -> tuple[CheckpointInput, EncodedCheckpoint]:
        ours, theirs = self._ours.record, self._theirs.record
        base = None if self._base is None else _id(self._base)
        assert ours is not None and theirs is not None
        before = {c.name: c.version for c in ours.channels if c.version is not None}
        last = latest_version([*before.values(), *(c.version for c in theirs.channels if c.version is not None)])
        versions: dict[str, Version] = {**before, **dict.fromkeys(taken, next_version(last))}
        metadata = self._new_metadata(taken)
        step = metadata["step"]
        codec = self._store.codec
        channels: dict[str, Any] = {c.name: c.value for c in ours.channels if c.value is not None}
        for name, value in taken.items():
            channels.pop(name, None)
            if value.how == "theirs":
                channels.update({} if value.ref is None else {name: value.ref})
            else:
                channels[name] = codec.encode(value.value, f"channel {name!r}")
        extra = {} if ours.extra is None else self._load(self._ours, ours.extra)
        new = CheckpointInput(
            namespace="",
            checkpoint_id=new_checkpoint_id(step),
            parent=self._ours.checkpoint_id,
            values={},
            versions=versions,
            new_versions=tuple(taken),
            versions_seen=seen_after_merge(ours, theirs, {name: versions[name] for name in taken}, known),
            updated_channels=ours.updated_channels,
            v=ours.v,
            ts=datetime.now(UTC).isoformat(),
            metadata=metadata,
            extra=extra,
            branch=_name(self._branch),
            merged=Merged(self._theirs.checkpoint_id, _id(self._theirs), base),
        )
        here = Place(self._ours.checkpoint_id, step), Place(new.checkpoint_id, step + 1)
        load = partial(self._load, self._ours)
        pending = carried(self._ours, *here, known, self._state("ours").deltas, codec, load)
        what = codec.encode(metadata, "the checkpoint's metadata")
        more = codec.encode(extra, "the checkpoint's further keys") if extra else None
        return new, EncodedCheckpoint(channels, what, more, pending=pending)

    def _new_metadata(self, taken: Mapping[str, Taken]) -> dict[str, Any]:
        before = self._metadata("ours")
        step = before.get("step")
        found = {
            "source": "update",
            "step": step + 1 if type(step) is int else 0,
            "parents": before.get("parents", {}),
            "merge": {
                "branch": self._branch_of(self._theirs),
                "checkpoint_id": self._theirs.checkpoint_id,
                "base": None if self._base is None else self._base.checkpoint_id,
            },
        }
        counters = before.get(_COUNTERS)
        if isinstance(counters, dict):  # as LangGraph counts an update_state; what is stored whole counts anew
            found[_COUNTERS] = {k: (n, steps + 1) for k, (n, steps) in counters.items() if k not in taken}
        return found

    def _put(self, new: CheckpointInput, encoded: EncodedCheckpoint) -> None:
        view = self._view

        def plan(encoded: EncodedCheckpoint) -> Plan | None:
            if not view.stored:
                raise _Moved
            branch, ours, theirs = self._sides()
            found = branch.number, branch.name, _id(ours), _id(theirs), [row.id for row in ours.write_rows]
            if found != self._looked_at:
                raise _Moved
            return plan_checkpoint(view, self._backend, new, encoded._replace(numbers=theirs.numbers()))

        self._store.views.append(view, lambda: encoded, plan)

    def _branch_of(self, entry: Entry) -> str:
        assert entry.row is not None
        with self._view.lock:
            return _name(self._view.heads[entry.row.branch or 0])

    def _result(
        self, checkpoint_id: str, taken: Mapping[str, str], kept: Sequence[str], already: bool = False
    ) -> Merge:
        base = None if self._base is None else self._base.checkpoint_id
        parents = self._ours.checkpoint_id, self._theirs.checkpoint_id
        into = _name(self._branch)
        return Merge(self._thread_id, self._source, into, checkpoint_id, base, parents, taken, tuple(kept), already)


def _id(entry: Entry) -> bytes:
    assert entry.row is not None
    return entry.row.id


def _name(branch: BranchRow) -> str:
    return branch.name.decode("utf-8", "surrogatepass")
