"""WfStore: open a store by URL; put, read and list the checkpoints of its threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .appending.inputs import CheckpointInput, WritesInput
from .appending.putting import EncodedCheckpoint, encode_checkpoint, encode_writes, plan_checkpoint, plan_writes
from .arguments import check_limit, checked_thread_id, is_hidden
from .backends import open_backend
from .backends.base import Backend, Tail
from .branching.branches import branch_named
from .canonical import hex_id
from .codec import Codec, Encoded, Serializer
from .errors import IntegrityError
from .retention import pruning
from .retention import verbs as retention
from .retention.floor import floor_of, set_floor
from .retention.prune_report import PruneReport
from .threads.lookup import kept, latest, load_needs, outline_of
from .threads.metadata import Filter
from .threads.views import Views
from .values.objects import new_secret
from .values.reading import StoredCheckpoint

if TYPE_CHECKING:
    from .artifact.copying import CopyReport
    from .artifact.opening import Limits
    from .thread import Thread

_PAGE = 256
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThreadInfo:
    """One thread in a listing.

    Attributes:
        records: how many records it has, of every kind.
        seals: how many seals; `head` is the last one's id, None if nothing is sealed.
        created: ns since 1970.
    """

    thread_id: str
    life: int
    records: int
    seals: int
    head: str | None
    branches: int
    created: int


@dataclass(frozen=True, slots=True)
class Found:
    """What `get` found: the checkpoint, if there is one, and where the thread stood when it was read."""

    checkpoint: StoredCheckpoint | None
    life: int
    last: int


class WfStore:
    """A store of threads on one storage engine; safe for any number of threads and processes.

    Use `WfStore.open`. A store is a context manager; `close` releases it.
    """

    def __init__(
        self, backend: Backend, *, serde: Serializer | None = None, lineage_secret: Callable[[], bytes] = new_secret
    ) -> None:
        self.backend = backend
        self.closed = False
        self.unattributed_calls = 0
        self.views = Views(backend, lineage_secret)
        self._codec = None if serde is None else Codec(serde, self.views.new_memo())
        self._without_deduplication: set[str] = set()

    @classmethod
    def open(
        cls,
        url: Any,
        read_only: bool = False,
        *,
        serde: Serializer | None = None,
        synchronous: str = "full",
        lineage_secret: Callable[[], bytes] = new_secret,
    ) -> WfStore:
        """Open a store.

        Args:
            url: a path, `sqlite:///relative.db`, `sqlite:////absolute.db` or `:memory:`.
            read_only: never write; the store must exist.
            serde: what values are decoded with in the store's own views, if not with the default.
            synchronous: "full": what was acknowledged survives a power cut; "normal": it survives a crash.
            lineage_secret: gives the 32-byte secret of a new thread; random by default. Given the same
                secrets, the same operations give the same record ids on every engine.

        Raises:
            BackendUnavailableError: the place cannot be opened; StoreNotFoundError of its kind: there is no store, and
                `read_only` makes none.
            IntegrityError: it is damaged.
            WfStoreError: it is not ours, of a newer version, or the URL is of an unknown kind.
        """
        return cls(
            open_backend(url, synchronous=synchronous, read_only=read_only), serde=serde, lineage_secret=lineage_secret
        )

    # ------------------------------------------------------------------ threads

    def threads(
        self, after: str | None = None, limit: int = 100, metadata: Mapping[str, Any] | None = None
    ) -> list[ThreadInfo]:
        """Threads in the order of their creation; no state is loaded.

        Args:
            after: start behind this thread id.
            limit: at most so many; 0 gives none.
            metadata: only threads whose current checkpoint has these metadata (JSON equality); this one reads
                the metadata of a checkpoint per thread looked at.

        Raises:
            ThreadNotFoundError: there is no thread `after`.
            ValueError: the limit is negative.
        """
        check_limit(limit)
        start = 0 if after is None else self.views.tail(after).row.number or 0
        found: list[ThreadInfo] = []
        while len(found) < limit:
            page = self.backend.threads(start, min(_PAGE, limit - len(found)) if metadata is None else _PAGE)
            if not page:
                break
            start = page[-1].row.number or 0
            shown = [tail for tail in page if not is_hidden(tail.row.name)]
            found += [_info(tail) for tail in shown if metadata is None or self._matches(tail, Filter(metadata))]
        return found[:limit]

    def thread_ids(self) -> Iterator[str]:
        """The ids of all threads in the order of their creation, page by page; threads may come and go meanwhile."""
        start = 0
        while page := self.backend.threads(start, _PAGE):
            yield from (_name(tail.row.name) for tail in page if not is_hidden(tail.row.name))
            start = page[-1].row.number or 0

    def _matches(self, tail: Tail, wanted: Filter) -> bool:
        found = self.get(_name(tail.row.name), "", None, self.codec)
        return found.checkpoint is not None and wanted.accepts(found.checkpoint.metadata)

    def thread(self, thread_id: object) -> Thread:
        """The handle of a thread.

        Args:
            thread_id: a str, an int or a UUID; kept as its `str()`.

        Raises:
            ThreadNotFoundError: there is no such thread.
            TypeError: it is no thread id.
        """
        from .thread import Thread

        thread_id = checked_thread_id(thread_id)
        self.views.tail(thread_id)
        return Thread(self, thread_id)

    @property
    def codec(self) -> Codec:
        """What the store's own views decode values with: the serializer it was opened with, or the default one.

        The default gives placeholders for classes that this process does not have.
        """
        if self._codec is None:
            from .serde import WfSerializer

            self._codec = Codec(WfSerializer(placeholders=True), self.views.memo)
        return self._codec

    # ------------------------------------------------------------------ putting

    def put_checkpoint(
        self, thread_id: str, new: CheckpointInput, codec: Codec, queued: Callable[[], None] | None = None
    ) -> None:
        """Store a checkpoint, with its objects and its seal, or nothing.

        Args:
            thread_id: which thread.
            new: the checkpoint.
            codec: what its values are encoded with.
            queued: called as soon as its values may change again.

        Raises:
            UnsupportedValueError: a value cannot be stored.
            ConflictError: another content is stored under the same id.
            ThreadDeletedError: it belongs to a life or a run that was deleted.
            BackendUnavailableError: the engine cannot write.
        """

        view = self.views.of(thread_id)

        def encode() -> EncodedCheckpoint:
            with view.lock:
                self.views.ready(view)
                parent = None if new.parent is None else view.entry(self.backend, new.namespace, new.parent)
            return encode_checkpoint(codec, new, parent)

        self.views.append(view, encode, lambda encoded: plan_checkpoint(view, self.backend, new, encoded), queued)

    def put_writes(
        self, thread_id: str, new: WritesInput, codec: Codec, queued: Callable[[], None] | None = None
    ) -> None:
        """Store the pending writes of one task, all or none; arguments and errors as for `put_checkpoint`."""
        view = self.views.of(thread_id)

        def encode() -> list[Encoded]:
            return encode_writes(codec, new)

        self.views.append(view, encode, lambda values: plan_writes(view, self.backend, new, values), queued)

    # ------------------------------------------------------------------ reading

    def get(
        self,
        thread_id: str,
        namespace: str,
        checkpoint_id: str | None,
        codec: Codec,
        *,
        branch: str | None = None,
        within: str | None = None,
        last_root: str | None = None,
    ) -> Found:
        """A checkpoint with its values, or the latest one.

        Args:
            checkpoint_id: which one; None for the latest of the namespace: the head of the branch, or below the root
                the last one in causal order.
            branch: of the root namespace; None for the current one.
            within: below the root, only what belongs to this root checkpoint or an ancestor of it.
            last_root: what to take in the place of `within` while that is still on its way to the store.

        Raises:
            BranchNotFoundError: the thread has no such branch.
            DecodeError: a value cannot be read.
            IntegrityError: stored bytes are damaged.
        """
        view = self.views.of(thread_id)

        def found() -> Found:
            life, last = view.life, view.last
            if checkpoint_id is None:
                entry = latest(view, self.backend, namespace, branch, (within, last_root))
            else:
                entry = kept(view, self.backend, namespace, checkpoint_id)
            if entry is None:
                return Found(None, life, last)
            outline = outline_of(view, self.backend, entry, {})
            loaded = load_needs(view, self.backend, self.views.shelf, outline.needs())
            return Found(StoredCheckpoint(codec, thread_id, outline, loaded), life, last)

        return self.views.read(view, found)

    def has_branch(self, thread_id: str, name: str) -> bool:
        """Whether the thread has a branch of that name."""
        view = self.views.of(thread_id)
        return self.views.read(view, lambda: branch_named(view, name) is not None)

    def history(
        self,
        thread_id: str,
        namespace: str | None,
        codec: Codec,
        *,
        branch: str | None = None,
        before: tuple[str, str] | None = None,
        wanted: Filter | None = None,
        limit: int | None = None,
    ) -> Iterator[StoredCheckpoint]:
        """The checkpoints of a thread, newest first, in causal order.

        Nothing is held between two steps: what is put meanwhile is newer than what comes next.

        Args:
            namespace: only this one; None for all.
            branch: only the line that ends at this branch's head, with the sub-graphs' checkpoints that belong to it;
                None for all.
            before: (namespace, id) of a checkpoint; only older ones. Namespace "" also stands for "any": LangGraph
                passes the root's id when it looks for a sub-graph's state.
            wanted: only checkpoints with these metadata.
            limit: at most so many.

        Raises:
            BranchNotFoundError: the thread has no such branch.
        """
        from .threads.listing import history

        return history(self.views, thread_id, namespace, codec, before, wanted, limit, branch)

    # ------------------------------------------------------------------ retention

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread and every byte of its content; what its runs put later is refused. No-op if there is none."""
        retention.delete_thread(self.views, self.codec, thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints of these runs, with their writes, in every thread."""
        retention.delete_for_runs(self.views, self.codec, run_ids)

    def prune(
        self,
        thread_ids: Iterable[str] | None = None,
        strategy: str = "keep_latest",
        *,
        keep_last: int | None = None,
        older_than: datetime | timedelta | None = None,
        branches: bool = False,
        dry_run: bool = False,
    ) -> PruneReport:
        """Remove old checkpoints, or old threads; each thread in one atomic change.

        What stays is whole: the head of every branch, what its sub-graphs go on from, checkpoints that wait for an
        answer, and what a delta channel needs. Runs, steps and calls stay. `verify` counts what went as pruned.

        Args:
            thread_ids: which threads, those that do not exist are passed over; None for all of the store.
            strategy: "keep_latest" removes checkpoints and keeps of each line and namespace the last one; "delete"
                removes whole threads, with `older_than` those in which nothing is younger.
            keep_last: so many checkpoints of each line and namespace stay, in the place of one.
            older_than: only what was made before this moment, an aware datetime, or so long before now, goes. By
                itself it keeps the last checkpoint of each line; with `keep_last` only what both allow goes.
                Checkpoints whose time cannot be read stay.
            branches: branches fork-N that are not current, that no branch starts from and that do not wait for an
                answer go too, with `older_than` those in which nothing is younger.
            dry_run: say what would go, and write nothing.

        Returns:
            what went, or would go; it prints as a table.

        Raises:
            RetentionError: something of it is younger than the retention floor; no thread was changed.
            ValueError, TypeError: the arguments mean nothing, or contradict each other.
        """
        asked = pruning.asked_for(strategy, keep_last, older_than, branches, thread_ids is None)
        ids = None if thread_ids is None else pruning.named(thread_ids)
        return pruning.prune(self.views, self.codec, self.thread_ids if ids is None else lambda: ids, asked, dry_run)

    @property
    def retention_floor(self) -> timedelta | None:
        """How old a record must be before anything may remove it; None if there is no such rule."""
        return floor_of(self.backend)

    def set_retention_floor(self, floor: timedelta | None, *, force: bool = False) -> None:
        """Forbid to remove what is younger than this; it is kept in the store, and every process obeys.

        From then on prune, delete_thread, delete_for_runs and `Thread.delete_branch` raise RetentionError if they were
        to remove a checkpoint, or a run, step or call, that is younger, or whose time cannot be read.

        Args:
            floor: above 0; None for no floor.
            force: also lower or remove a floor that is set.

        Raises:
            RetentionError: it is lower than the floor that is set, and `force` is not given.
            ValueError, TypeError: it is no timedelta above 0.
        """
        set_floor(self.backend, floor, force)

    def copy_thread(self, source_id: str, target_id: str) -> None:
        """A new thread with the same history, record ids and objects; no object is copied.

        Raises:
            ThreadNotFoundError: there is no source thread.
            ConflictError: the target exists.
        """
        retention.copy_thread(self.views, source_id, target_id)

    # ------------------------------------------------------------------ artifacts and other stores

    def import_artifact(
        self,
        path: str | PathLike[str],
        thread_id: object = None,
        *,
        limits: Limits | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Thread:
        """Make a thread of an artifact: with all branches, pending writes, interrupts, runs, steps and calls.

        It has the same record ids, verifies, and resumes. The file is taken for hostile: nothing of it is used before
        it was checked, and nothing is visible before the whole thread verified. If the thread is here already, by its
        records, nothing is done.

        Args:
            path: of a file that `Thread.export` has written.
            thread_id: the thread's id here; None for the one that it had.
            limits: how large it may be.
            progress: called with how many records were read, and how many there are.

        Returns:
            the thread. Its `imported` says whether it was made or was here, and then how many values it lacks that the
            artifact holds: content that was withheld, redacted or pruned here does not come back.

        Raises:
            ArtifactError: the file is no artifact, was changed, or exceeds the limits; nothing was imported.
            IntegrityError: its content is not what its ids say; nothing was imported.
            ConflictError: there is another thread of that id.
            TypeError: it is no thread id.
        """
        from .artifact.importing import import_artifact

        report = import_artifact(self, path, thread_id, limits, progress)
        thread = self.thread(report.thread_id)
        thread.imported = report
        return thread

    def copy_to(
        self,
        other: WfStore,
        thread_ids: Iterable[str] | None = None,
        *,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> CopyReport:
        """Copy threads to another store, on whatever engine it is; record ids and everything else stay what they are.

        Each thread comes whole or not at all. Whoever stops it can call it again: what is there is passed over.

        Args:
            other: the store they go to.
            thread_ids: which; None for all.
            progress: called with a thread's id, how many of its records are copied, and how many there are.

        Returns:
            what was copied, was there, perhaps without content that it has here, and was refused: a thread of which the
            other store has another state or another thread, or which is damaged here.

        Raises:
            WfStoreError: the other store is this one, however it was opened.
        """
        from .artifact.copying import copy_to

        return copy_to(self, other, thread_ids, progress)

    def head_statement(self, thread_id: object, sign_with: Any) -> bytes:
        """A signed statement of where a thread stands, which shows later that nothing of it was cut off or replaced.

        Args:
            thread_id: which thread.
            sign_with: as in `Thread.export`; needs the extra `sign`.

        Returns:
            a DSSE envelope, JSON in UTF-8 (FORMAT.md, section 15); `wfstore_verify.py` checks artifacts against it.

        Raises:
            ThreadNotFoundError: there is no such thread.
            WfStoreError: it is no key.
        """
        from .artifact.stating import head_statement

        return head_statement(self, checked_thread_id(thread_id), sign_with)

    # ------------------------------------------------------------------ the whole store

    def stats(self) -> dict[str, Any]:
        """Counts and bytes of the store.

        Returns:
            numbers of threads, checkpoints, writes, runs, steps, calls, pruned records, seals, objects, lists, maps and
            redacted objects;
            `record_bytes` and `object_bytes` as stored, after compression; `file_bytes`, and `free_bytes` of it that
            `compact` gives back; since the store was opened: `without_deduplication`, the serializers that write equal
            values as different bytes, so that what they write is not stored once, `lost_notes`, how many records of
            runs, steps and calls could not be stored, and `unattributed_calls`, how many calls began in this process
            that say of no run that they belong to it.
        """
        return {
            **self.backend.stats(),
            "without_deduplication": sorted(self._without_deduplication),
            "lost_notes": self.views.notes.lost,
            "unattributed_calls": self.unattributed_calls,
        }

    def note_serializer(self, codec: Codec) -> None:
        """Remember, and log once, that a serializer defeats deduplication."""
        name = type(codec.serde).__qualname__
        if name in self._without_deduplication or codec.deduplicates():
            return
        self._without_deduplication.add(name)
        _log.warning(
            "%s writes equal values as different bytes, so nothing it writes is stored once; "
            "store.stats()['without_deduplication'] lists such serializers",
            name,
        )

    def compact(self) -> None:
        """Give unused space back to the file system; what imports have left that were killed goes too."""
        from .artifact.staging import sweep

        sweep(self.backend)
        self.backend.compact()

    def close(self) -> None:
        """Release the store. Safe to call twice."""
        if not self.closed:
            self.views.finish()
        self.closed = True
        self.backend.close()

    def __enter__(self) -> WfStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _info(tail: Tail) -> ThreadInfo:
    row = tail.row
    head = None if tail.seal is None else hex_id(tail.seal)
    return ThreadInfo(_name(row.name), row.life, tail.last, tail.ordinal + 1, head, row.branches, row.created)


def _name(name: bytes) -> str:
    try:
        return name.decode("utf-8", "surrogatepass")
    except (AttributeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"a thread's name is damaged ({error}); found {name!r:.100}, restore a backup") from error
