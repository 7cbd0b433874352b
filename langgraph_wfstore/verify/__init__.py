"""Verify: recompute everything a thread's store says, and name every place where it says something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..backends.base import CHECKPOINT, HIDDEN, KEPT, RUN, SKELETON, WRITE, Backend, RecordRow, Tail
from ..canonical import check, from_hex_id, hex_id
from ..counting import counted
from ..errors import ThreadNotFoundError, WfStoreError
from ..format import Record, body_of, in_order, read_record, read_skeleton, record_id, seal_id
from ..records import SealRecord
from ..retention.statement import Part, stated, statement
from ..threads.columns import columns_of
from ..threads.overtaken import ATTEMPTS, too_often
from ..threads.view import KINDS, Entry, anchor_of, entries_of, space_of
from .branches import BranchReplay
from .merges import check_merges
from .objects import check_objects
from .traces import TRACES, check_traces

_PAGE = 500
_BROKEN = (WfStoreError, ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was written: `where` names the row, `what` says what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        ok: whether nothing is wrong.
        problems: what is wrong, in the order in which it was met.
        sealed: records that a seal covers.
        unsealed: records behind the last seal: there, but not yet vouched for.
        pruned: records whose content was removed, which a removal record states; their ids still verify.
        redacted: values whose content was removed, which a removal record states too; likewise.
        head: the last seal, `sha256:...`; None if nothing is sealed.
        unsealed_ids: their ids.
    """

    ok: bool
    problems: tuple[Problem, ...]
    sealed: int
    unsealed: int
    pruned: int
    head: str | None
    unsealed_ids: tuple[str, ...] = ()
    redacted: int = 0

    def __str__(self) -> str:
        counts = [f"{counted(self.sealed, 'record')} sealed", f"{self.unsealed} not yet sealed"]
        counts += [f"{self.pruned} pruned"] if self.pruned else []
        counts += [f"{counted(self.redacted, 'value')} redacted"] if self.redacted else []
        said = "ok" if self.ok else counted(len(self.problems), "problem")
        return "\n".join([f"{said}: {', '.join(counts)}; head {self.head}", *map(str, self.problems)])


@dataclass(slots=True)
class _Findings:
    problems: list[Problem] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        self.problems.append(Problem(where, what))


def verify_thread(backend: Backend, name: bytes, expect_head: str | None) -> VerifyReport:
    """See `Thread.verify`."""
    for _ in range(ATTEMPTS):
        try:
            tail = backend.find(name)
        except _BROKEN as error:
            problem = Problem("thread", f"its row cannot be read ({error})")
            return VerifyReport(False, (problem,), 0, 0, 0, None)
        if tail is None:
            raise ThreadNotFoundError(
                f"there is no thread {name.decode('utf-8', 'replace')!r} in this store; "
                "store.threads() lists those that there are"
            )
        report = _verify(backend, name, tail, expect_head)
        if report.ok or not _removed_meanwhile(backend, tail):
            return report
    raise too_often(name.decode("utf-8", "replace"))


def _removed_meanwhile(backend: Backend, tail: Tail) -> bool:
    """Whether content was removed while the thread was read, so that what was found proves nothing."""
    try:
        stands = backend.standing(tail.row)
    except _BROKEN:
        return False
    return stands is None or stands[:2] != tail.standing[:2]


def _verify(backend: Backend, name: bytes, tail: Tail, expect_head: str | None) -> VerifyReport:
    findings = _Findings()
    _check_thread(backend, name, tail, findings)
    rows = [row for row in _rows(backend, tail, findings) if row.seq <= tail.last]  # others may go on appending
    if not rows:
        findings.add("thread", "it has no records")
    made = [(row, _checked(row, findings)) for row in rows]
    good = [(row, record) for row, record in made if record is not None or row.state == SKELETON]
    seals, unsealed = _check_seals(rows, findings)
    _check_expected(expect_head, rows, seals, findings)
    redacted: set[Part] = set()
    try:
        entries = entries_of(good)
        _check_links(entries, findings)
        _check_replacements(entries, findings)
        BranchReplay(tail, made, entries, findings.add).run()
        check_merges(made, entries, findings.add)
        check_traces(backend, tail, made, findings.add)
        redacted = check_objects(backend, tail, made, findings.add)
    except _BROKEN as error:
        findings.add("thread", f"it is too damaged to check further ({type(error).__name__}: {error})")
    pruned = _check_removals(made, redacted, findings)
    head = hex_id(seals[-1]) if seals else None
    if (tail.seal, tail.last) != (seals[-1] if seals else None, rows[-1].seq if rows else 0):
        findings.add("thread", "the engine's view of its end differs from its records")
    return VerifyReport(
        ok=not findings.problems,
        problems=tuple(findings.problems),
        sealed=len(rows) - len(unsealed),
        unsealed=len(unsealed),
        pruned=pruned,
        head=head,
        unsealed_ids=tuple(hex_id(name) for name in unsealed),
        redacted=len(redacted),
    )


def _check_thread(backend: Backend, name: bytes, tail: Tail, findings: _Findings) -> None:
    """The thread's own row, and its lineage's secret."""
    row = tail.row
    if row.name != name:
        findings.add("thread", f"its row has the name {row.name!r:.100}")
    if not isinstance(row.secret, bytes) or len(row.secret) != 32:
        findings.add("thread", "its lineage's secret is not 32 bytes")
    try:
        life = 1 + max((life for life, _ in backend.tombstones(name)), default=0)
        if row.life != life:
            findings.add("thread", f"its life is {row.life!r}, the tombstones say {life}")
        for kin in backend.kin(row.lineage or 0):
            found = backend.find(kin.name)
            if found is None or found.row.number != kin.number:
                findings.add("thread", f"a row that shares its lineage, number {kin.number}, is not found by its name")
    except _BROKEN as error:
        findings.add("thread", f"its tombstones, or the threads that share its lineage, cannot be read ({error})")


def _rows(backend: Backend, tail: Tail, findings: _Findings) -> Iterator[RecordRow]:
    """Every row of the thread that can be read; numbers that are missing are named."""
    number = tail.row.number or 0
    after = 0
    while after < tail.last:
        try:
            page = backend.records(number, after, _PAGE)
        except _BROKEN:
            page = _one_by_one(backend, number, after, min(after + _PAGE, tail.last), findings)
            if not page:  # a damaged number of the last record may be billions away
                findings.add(f"record {after + 1}", f"cannot be read, nor can those behind it, up to {tail.last}")
                return
        if not page:
            findings.add(f"record {after + 1}", f"missing, with all up to {tail.last}")
            return
        for row in page:
            for gap in range(after + 1, row.seq):
                if not any(p.where == f"record {gap}" for p in findings.problems[-1000:]):
                    findings.add(f"record {gap}", "missing")
            after = row.seq
            yield row


def _one_by_one(backend: Backend, number: int, after: int, end: int, findings: _Findings) -> list[RecordRow]:
    found = []
    for seq in range(after + 1, end + 1):
        try:
            found += [row for row in backend.records(number, seq - 1, 1) if row.seq == seq]
        except _BROKEN as error:
            findings.add(f"record {seq}", f"cannot be read ({error})")
    return found


def _checked(row: RecordRow, findings: _Findings) -> Record | None:
    """The record of a row, whose id and index columns were recomputed; None if there is none to trust."""
    where = f"record {row.seq}"
    try:
        if row.kind not in KINDS or row.state not in (0, 1, 2):
            findings.add(where, f"unknown kind {row.kind!r} or state {row.state!r}")
            return None
        if not isinstance(row.id, bytes) or len(row.id) != 32:
            findings.add(where, "its id is not a digest")
            return None
        if row.state == SKELETON:
            _check_skeleton(row, findings)
            return None
        if row.state == HIDDEN and row.kind not in (CHECKPOINT, WRITE):
            findings.add(where, "only checkpoints and writes are hidden")
        check(row.body)
        if record_id(KINDS[row.kind], row.body) != row.id:
            findings.add(where, "its content does not match its id")
        record = read_record(KINDS[row.kind], row.body)
        if body_of(record) != row.body:
            findings.add(where, "it is not written as a record of its kind must be")
        if not in_order(record):
            findings.add(where, "what it holds is not in order")
        for name, expected in columns_of(record).items():
            if getattr(row, name) != expected or type(getattr(row, name)) is not type(expected):
                findings.add(where, f"column {name} is {getattr(row, name)!r}, the record says {expected!r}")
        return record
    except _BROKEN as error:
        findings.add(where, f"cannot be read ({error})")
        return None


def _check_skeleton(row: RecordRow, findings: _Findings) -> None:
    where = f"record {row.seq}"
    namespace, checkpoint_id, parent, deleted = read_skeleton(row.body)
    check(row.body)
    if (row.kind in TRACES and (namespace or not deleted)) or (row.kind != CHECKPOINT and parent is not None):
        findings.add(where, "what is left of a removed record is not what one of its kind leaves")
    if row.anchor != (None if row.kind >= RUN else anchor_of(namespace, checkpoint_id)):
        findings.add(where, "what is left of a removed record names another checkpoint than its anchor")
    if row.kind == CHECKPOINT and row.space != space_of(namespace):
        findings.add(where, "what is left of a removed record names another namespace than its index")
    if row.kind not in (CHECKPOINT, WRITE, *TRACES):
        findings.add(where, "only checkpoints, writes, runs, steps, calls and their ends are removed")
    if row.refs != b"":
        findings.add(where, "a removed record says where its values are")
    left = (row.within, row.source, row.step, row.run, *([row.branch] if row.kind != CHECKPOINT or namespace else []))
    if row.kind != CHECKPOINT:
        left += (row.space, row.position)
    if any(value is not None for value in left) or row.refs:
        findings.add(where, "a removed record has index values left")


def _check_seals(rows: list[RecordRow], findings: _Findings) -> tuple[list[bytes], list[bytes]]:
    """The seals of the thread, each recomputed over the records since the one before; and what is not sealed."""
    seals: list[bytes] = []
    open_ids: list[bytes] = []
    for row in rows:
        open_ids.append(row.id if isinstance(row.id, bytes) else b"")
        if not isinstance(row.seal, bytes):
            if row.ordinal is not None or row.seal is not None:
                findings.add(f"record {row.seq}", "it has a seal's number and no seal, or what is no seal")
            continue
        if row.ordinal != len(seals):
            findings.add(f"seal {len(seals)}", f"its number is {row.ordinal!r} (at record {row.seq})")
        expected = seal_id(SealRecord(len(seals), seals[-1] if seals else None, tuple(open_ids)))
        if row.seal != expected:
            findings.add(
                f"seal {len(seals)}",
                f"it does not match the {len(open_ids)} records it ends (up to record {row.seq}): one of them was "
                "changed, dropped, added or moved, or the seal was",
            )
        seals.append(row.seal)
        open_ids = []
    return seals, open_ids


def _check_expected(expected: str | None, rows: list[RecordRow], seals: list[bytes], findings: _Findings) -> None:
    if expected is None:
        return
    try:
        known = from_hex_id(expected) in seals
    except ValueError as error:
        findings.add("head", f"the expected head is not a digest ({error})")
        return
    if not known:
        last = max((row.seq for row in rows if row.seal is not None), default=0)
        ends = (
            f"ends with {len(seals)} seals, the last {hex_id(seals[-1])} at record {last}" if seals else "has no seal"
        )
        findings.add(
            "head",
            f"the expected seal {expected} is not in the chain, which {ends}: what the expected one sealed after that "
            "was lost, or the chain was written anew",
        )


def _check_removals(made: list[tuple[RecordRow, Record | None]], redacted: set[Part], findings: _Findings) -> int:
    """Whether the last removal record states exactly the records and objects that lost their content."""
    gone = [r for r, _ in made if r.state in (HIDDEN, SKELETON) and r.kind in KINDS and isinstance(r.id, bytes)]
    found = statement(gone, redacted)
    last = stated(made)
    if last is None:
        if found.removed:
            findings.add("removals", f"{found.removed} records have lost their content and no removal record says so")
        if found.redacted:
            findings.add("removals", f"{found.redacted} values were redacted and no removal record says so")
    elif found != last:
        findings.add(
            "removals",
            f"{found.removed} records and {found.redacted} values have lost their content, the last removal record "
            f"states {last.removed} and {last.redacted}, or others",
        )
    return found.removed


def _check_links(entries: dict[tuple[str, str], Entry], findings: _Findings) -> None:
    """Parents by record id, and the causal order."""
    for entry in entries.values():
        if entry.row is None:
            continue
        where = f"record {entry.row.seq}"
        above = None if entry.parent is None else entries.get((entry.namespace, entry.parent))
        arrived = above is not None and above.row is not None and above.row.seq < entry.row.seq
        if entry.record is not None:
            expected = above.row.id if arrived and above is not None and above.row is not None else None
            if entry.record.parent != expected:
                findings.add(where, "its parent is not the record that has the parent's id")
        if type(entry.row.position) is not int:
            findings.add(where, "it has no position in the causal order")
        elif above is not None and above.row is not None and (above.row.position or 0) >= entry.row.position:
            findings.add(where, "its position in the causal order is not behind its parent's")


def _check_replacements(entries: dict[tuple[str, str], Entry], findings: _Findings) -> None:
    """A write that takes the place of another names it, and comes after it."""
    for entry in entries.values():
        latest: dict[tuple[str, int], bytes] = {}
        for row, record in entry.writes:
            for write in record.writes:
                key = (record.task_id, write.idx)
                if write.replaces != latest.get(key) and (entry.row is None or entry.row.state == KEPT):
                    findings.add(f"record {row.seq}", f"write {write.idx} does not follow the one it replaces")
                latest[key] = row.id
