"""Thread: the handle a person explores."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from . import verify
from .arguments import check_limit, checked_branch_name
from .artifact.exporting import ExportReport, export
from .artifact.proving import prove
from .artifact.withholding import Selector
from .branching import verbs as branching
from .branching.verbs import BranchInfo
from .canonical import hex_id, utf8
from .cost import CostReport
from .cost import report as cost_report
from .diff.diff import Diff
from .diff.diffing import diff
from .errors import CheckpointNotFoundError
from .lineage.impact import impact
from .lineage.lineage import Lineage
from .lineage.why import why
from .merge.merge import Merge, merge
from .merge.merging import Resolve
from .prices import Pricer
from .redaction.redacting import RedactReport, redact, selection_of
from .retention import verbs as retention
from .threads.ancestry import places
from .threads.overtaken import steadily
from .tracing.infos import CallInfo, RunInfo, StepInfo, checked_kind
from .tracing.traces import Traces
from .values.reading import StoredCheckpoint

if TYPE_CHECKING:
    from .artifact.importing import ImportReport
    from .store import WfStore

_T = TypeVar("_T")


@dataclass(frozen=True)
class CheckpointInfo:
    """One checkpoint in a thread's history.

    Attributes:
        record_id: `sha256:...` of its record.
        parent_id: the nearest ancestor that is kept.
        merged: of a merge the id of the other parent, what was merged; it may have been removed since. Else None.
        writes: (task id, channel) of the writes that are stored for the next superstep.
    """

    thread_id: str
    namespace: str
    checkpoint_id: str
    record_id: str
    parent_id: str | None
    source: str | None
    step: int | None
    ts: str
    metadata: dict[str, Any]
    writes: tuple[tuple[str, str], ...]
    merged: str | None
    _stored: StoredCheckpoint

    @cached_property
    def values(self) -> dict[str, Any]:
        """The channel values; DecodeError if one cannot be read."""
        return self._stored.values


class Thread:
    """One thread of a store; made by `store.thread(thread_id)`.

    Args:
        store: the open store.
        thread_id: which thread.

    Attributes:
        imported: what `store.import_artifact` did; None if the handle is not from there.
    """

    def __init__(self, store: WfStore, thread_id: str) -> None:
        self.store = store
        self.thread_id = thread_id
        self.imported: ImportReport | None = None

    def __repr__(self) -> str:
        return f"Thread({self.thread_id!r})"

    @property
    def head(self) -> str | None:
        """The last seal of the thread's chain, `sha256:...`: keep it elsewhere to prove later that nothing is missing.

        Raises:
            ThreadNotFoundError: the thread is gone.
        """
        tail = self.store.views.tail(self.thread_id)
        return None if tail.seal is None else hex_id(tail.seal)

    def checkpoints(self, branch: str | None = None, ns: str = "", limit: int | None = None) -> list[CheckpointInfo]:
        """Checkpoints, newest first.

        Args:
            branch: only the line that ends at this branch's head, below the root what belongs to it; None for all.
            ns: the checkpoint namespace; "" is the root graph's.
            limit: at most so many; 0 gives none.

        Raises:
            BranchNotFoundError: the thread has no such branch.
            ValueError: the limit is negative.
        """
        check_limit(limit)
        if branch is not None:
            checked_branch_name(branch)
        found = self.store.history(self.thread_id, ns, self.store.codec, branch=branch, limit=limit)
        return [_info(self.thread_id, stored) for stored in found]

    def checkpoint(self, checkpoint_id: str, ns: str = "") -> CheckpointInfo:
        """One checkpoint.

        Raises:
            CheckpointNotFoundError: there is none of that id, or it was pruned.
        """
        found = self.store.get(self.thread_id, ns, checkpoint_id, self.store.codec).checkpoint
        if found is None:
            raise CheckpointNotFoundError(
                f"thread {self.thread_id!r} has no checkpoint {checkpoint_id!r} in namespace {ns!r}, or it was pruned; "
                "thread.checkpoints() lists those that there are"
            )
        return _info(self.thread_id, found)

    def _steadily(self, work: Callable[[], _T]) -> _T:
        """What several reads give together, though others remove content meanwhile."""
        return steadily(self.store.backend, self.thread_id, work)

    # ------------------------------------------------------------------ branches

    def branches(self, *, cost: bool = False, pricer: Pricer | None = None) -> list[BranchInfo]:
        """The branches, in the order of their starts, "main" first.

        Args:
            cost: whether to count what each branch's model calls cost.
            pricer: see `cost`.

        Raises:
            ThreadNotFoundError: the thread is gone.
            ImportError: prices are needed and genai-prices is not installed.
        """
        return self._steadily(lambda: branching.branches_of(self.store, self.thread_id, cost, pricer))

    def create_branch(self, name: str, at: str | None = None) -> None:
        """Give a name to a line that starts from a checkpoint; `configurable={"branch": name}` then goes on there.

        The current branch stays what it is.

        Args:
            name: 1 to 255 bytes of UTF-8, unused in this thread.
            at: id of a checkpoint of the root namespace; None for the head of the current branch.

        Raises:
            ConflictError: the thread has a branch of that name.
            CheckpointNotFoundError: there is no such checkpoint, or it was pruned.
        """
        branching.create_branch(self.store.views, self.thread_id, name, at)

    def rename_branch(self, name: str, to: str) -> None:
        """Give another name to a branch; the old one is free then.

        Raises:
            BranchNotFoundError: the thread has no branch `name`.
            ConflictError: it has a branch `to`, or `name` is the first branch, which is always "main".
        """
        branching.rename_branch(self.store.views, self.thread_id, name, to)

    def switch(self, name: str) -> None:
        """Make a branch the current one: what is read, and gone on with, where a config names no branch.

        Raises:
            BranchNotFoundError: the thread has no such branch.
            CheckpointNotFoundError: nothing of it is left to go on from.
        """
        branching.switch_branch(self.store.views, self.thread_id, name)

    def delete_branch(self, name: str) -> None:
        """Remove a branch: its name, and the checkpoints that no other branch's line has, in every namespace.

        What was recorded of its runs, steps and calls stays, so that what they cost is still known; `delete_for_runs`
        removes that too.

        Raises:
            BranchNotFoundError: the thread has no such branch.
            ConflictError: it is the current branch, or the first one, which always stays.
        """
        retention.delete_branch(self.store.views, self.store.codec, self.thread_id, name)

    # ------------------------------------------------------------------ runs, steps, calls

    @property
    def traces(self) -> Traces:
        """What is recorded of the thread's runs."""
        return Traces(self.store, self.thread_id)

    def runs(self) -> list[RunInfo]:
        """The runs, in the order of their arrival."""
        return self.traces.of().runs()

    def steps(self, run_id: str | None = None) -> list[StepInfo]:
        """The steps of a run, or of all, in the order in which they began."""
        return self.traces.of(None if run_id is None else [run_id]).steps()

    def calls(self, run_id: str | None = None, kind: str | None = None) -> list[CallInfo]:
        """The model calls, tool calls and retrievals of a run, or of all, in the order in which they began.

        Args:
            kind: "model", "tool" or "retriever"; None for all.

        Raises:
            ValueError: the kind is another one.
        """
        kind = checked_kind(kind)
        return self.traces.of(None if run_id is None else [run_id]).calls(kind)

    def cost(self, by: str = "step", pricer: Pricer | None = None) -> CostReport:
        """What the thread's model calls cost, every call counted once.

        Args:
            by: "step", "node", "model", "tool", "run" or "branch".
            pricer: gives the prices, see `prices.Pricer`; a `PriceTable` of your own, or None for those of the package
                genai-prices (the extra `cost`), in US dollars.

        Returns:
            a report that prints as a table. What has no known price is named, and never counted as 0.

        Raises:
            ValueError: `by` is none of these.
            ImportError: prices are needed and genai-prices is not installed.
            ThreadNotFoundError: the thread is gone.
        """
        self.store.views.tail(self.thread_id)

        def report() -> CostReport:
            trace = self.traces.of()
            return cost_report(trace, by, pricer, places(self.store, self.thread_id, trace))

        return self._steadily(report)

    def why(self, checkpoint_id: str | None = None, channel: str = "messages", index: int | None = -1) -> Lineage:
        """Why a value is what it is: from it back to the inputs, along recorded links.

        Args:
            checkpoint_id: of the root namespace; None for the head of the current branch.
            channel: which channel.
            index: which element of a list, negative from its end; None for the whole value.

        Returns:
            a tree that prints readably: which step wrote it, from which model call, which messages that saw, which tool
            calls those came from, in which runs of which workflow. Where a link is not recorded it says so.

        Raises:
            CheckpointNotFoundError: there is no such checkpoint.
            ValueError: it has no such channel.
            IndexError: the channel has no such element.
        """
        self.store.views.tail(self.thread_id)
        return self._steadily(lambda: why(self.store, self.thread_id, checkpoint_id, channel, index))

    def impact(self, call_id: str) -> Lineage:
        """What followed from a call, on every branch.

        Args:
            call_id: of a model call, tool call or retrieval; see `calls`.

        Returns:
            a tree by branch, run and step, with the calls in each; per step from which one it follows, through which
            channels.

        Raises:
            CallNotFoundError: the thread has no such call.
        """
        self.store.views.tail(self.thread_id)
        return self._steadily(lambda: impact(self.store, self.thread_id, call_id))

    def diff(self, a: str, b: str, pricer: Pricer | None = None) -> Diff:
        """What differs between two branches, or checkpoints, since the last checkpoint that both go back to.

        After a merge a line goes back to both parents.

        Args:
            a, b: names of branches, or checkpoint ids of the root namespace.
            pricer: gives the prices, as in `cost`; without it, and without genai-prices, no price is known.

        Returns:
            the common base, and for each side its checkpoints, steps, changes by channel and element, calls and cost.
            It prints readably. Only values that differ are decoded, when they are asked for.

        Raises:
            CheckpointNotFoundError: there is no branch and no checkpoint of that name, or it is not kept.
            ValueError: it is the name of a branch and the id of a checkpoint.
            ThreadNotFoundError: the thread is gone.
        """
        self.store.views.tail(self.thread_id)
        return self._steadily(lambda: diff(self.store, self.thread_id, a, b, pricer))

    def merge(
        self, source: str, into: str | None = None, *, resolve: Resolve = None, append: Collection[str] = ()
    ) -> Merge:
        """Merge one line of the thread into another, three-way against their nearest common ancestor.

        A channel that one side changed takes that side's value. Of one that both changed, lists and dicts are joined by
        element if a reducer that the run recorded, or `append`, says that they may be. Everything else is a conflict.
        What runs next stays what it was. Nothing of the source's sub-graphs and unfinished tasks is taken over.

        Args:
            source: a branch, or the id of a checkpoint of the root namespace.
            into: the branch that goes on from the merge; None for the current one.
            resolve: what to do about conflicts: "ours", "theirs", a function of (channel, base, ours, theirs) that
                gives the value, called anew if a branch moves meanwhile, or a dict of these by channel.
            append: channels whose lists and dicts are joined, whatever is recorded of their reducers.

        Returns:
            what was done: the new checkpoint, with both parents, and what was taken per channel. If the branch has
            everything of the source, nothing is put, and it says so.

        Raises:
            MergeConflictError: both sides changed the same; it lists all conflicts, and nothing was written.
            BranchNotFoundError: there is no such branch, or no such checkpoint.
            CheckpointNotFoundError: a branch has no checkpoint.
            ConflictError: the branch has unfinished tasks whose results the merge would lose.
            ValueError: `resolve` is something else, or `append` names a channel that is not there.
        """
        return merge(self.store, self.thread_id, source, into, resolve, append)

    def redact(
        self,
        *,
        channels: Iterable[str] | None = None,
        messages: Iterable[str] | None = None,
        where: Callable[[Any], object] | None = None,
        calls: Iterable[str] | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> RedactReport:
        """Remove the content of chosen values, for good, wherever it stands in this thread and its copies.

        Ids of records and values stay, and the chain verifies. A redacted message is read as one of the same class and
        id that says "[redacted]", any other value as a `Redacted`. What is asked for adds up.

        Args:
            channels: names; every value that these ever had, in checkpoints and writes, in every namespace, and in what
                runs and steps were given and gave; with the messages in it, wherever they stand.
            messages: ids; every version of these messages, and copies without an id that say the same.
            where: a function of one value; it is called with every stored value and with everything in it, and what it
                is true of goes.
            calls: ids of model calls, tool calls and retrievals; their parameters, tools, input and output, with the
                messages in it, wherever they stand.
            reason: what for; it is recorded, and can never be removed.
            dry_run: change nothing, only say what would go.

        Raises:
            ThreadNotFoundError: the thread is gone.
            CallNotFoundError: there is no such call.
            ValueError: nothing is asked for.
            whatever `where` raises. Nothing was changed then.
        """
        selection = selection_of(channels, messages, where, calls)
        return redact(self.store.views, self.store.codec, self.thread_id, selection, reason, dry_run)

    def export(
        self,
        path: str | PathLike[str],
        redact: Selector | Iterable[Selector] = (),
        compress: bool = False,
        sign_with: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write the thread to one file, an artifact, that verifies and imports anywhere (FORMAT.md, section 15).

        The same thread gives the same bytes on every engine. The file is complete when it has its name. What is put
        meanwhile is left out.

        Args:
            path: where it goes, as a rule `*.wfz`; what is there is replaced.
            redact: what to leave out: names of channels, ids of records (`sha256:...`), and functions that are called
                with every stored value and with everything in it; with copies of the messages in it, wherever they
                stand. Content goes, ids stay, and the artifact verifies and says what is withheld.
            compress: deflate the members. It does not change the artifact's identity.
            sign_with: an Ed25519 private key, see `artifact.signing.signer_of`; needs the extra `sign`.
            progress: called with how many records are written, and how many there are.

        Raises:
            ThreadNotFoundError: the thread is gone.
            IntegrityError: what is stored is damaged.
            WfStoreError: nothing was found of what `redact` names, or the directory or the key is none.
            whatever a function of `redact` raises. No file is left then.
        """
        return export(self.store, self.thread_id, path, redact, compress, sign_with, progress)

    def prove(self, record_id: str, values: bool = True) -> dict[str, Any]:
        """A small document which proves that a record is in the thread, without the rest of it.

        `wfstore_verify.py` checks it against the root that an artifact, a signature or a head statement gives.

        Args:
            record_id: `sha256:...`; of a run, step or call its end is proven too, if it has ended. Of one whose content
                was removed only the id is proven.
            values: whether the values that the records name are part of it.

        Returns:
            what `json.dumps` takes (FORMAT.md, section 15).

        Raises:
            WfStoreError: the thread has no such record.
            ValueError: it is no id.
        """
        return prove(self.store, self.thread_id, record_id, values)

    def verify(self, expect_head: str | None = None) -> verify.VerifyReport:
        """Recompute everything that can be recomputed: records, links, seals, objects, lists, indexes.

        Args:
            expect_head: a seal (`sha256:...`) that must be in the chain, kept from an earlier `head`; a chain that
                was cut before it is reported.

        Returns:
            a report; it never raises for what it finds in the store.

        Raises:
            ThreadNotFoundError: the thread is gone.
            BackendUnavailableError: others remove content from it faster than it can be read.
        """
        return verify.verify_thread(self.store.backend, utf8(self.thread_id), expect_head)


def _info(thread_id: str, stored: StoredCheckpoint) -> CheckpointInfo:
    record = stored.record
    return CheckpointInfo(
        thread_id=thread_id,
        namespace=record.namespace,
        checkpoint_id=record.checkpoint_id,
        record_id=hex_id(stored.record_id),
        parent_id=stored.parent,
        source=record.source,
        step=record.step,
        ts=record.ts,
        metadata=stored.metadata,
        writes=stored.written,
        merged=stored.merged,
        _stored=stored,
    )
