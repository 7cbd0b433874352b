"""What a migration did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field

from .moving import Moved


@dataclass(frozen=True, slots=True)
class MigrationProblem:
    """Why a thread is not in the target, or not equal there."""

    thread_id: str
    what: str


@dataclass(slots=True)
class MigrationReport:
    """What a migration did, or would do; it prints as text.

    Attributes:
        dry_run: whether nothing was written.
        total: how many threads there are to look at.
        threads: how many were looked at.
        moved: threads that were put, in whole or in part.
        there: threads of which nothing had to be put.
        went_on: of those the ones that went on in the target since.
        checkpoints, writes: how many were put.
        pruned: checkpoints that were pruned in the target, and so are not put again.
        problems: why threads are not there or not equal.
    """

    dry_run: bool
    total: int = 0
    threads: int = 0
    moved: int = 0
    there: int = 0
    went_on: int = 0
    checkpoints: int = 0
    writes: int = 0
    pruned: int = 0
    problems: list[MigrationProblem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every thread is in the target, with equal states."""
        return not self.problems

    def add(self, moved: Moved) -> None:
        """Count one thread."""
        self.threads += 1
        self.problems += [MigrationProblem(moved.thread, what) for what in moved.problems]
        self.checkpoints += moved.checkpoints
        self.writes += moved.writes
        self.pruned += moved.pruned
        self.went_on += moved.went_on and not moved.problems
        if moved.checkpoints or moved.writes:
            self.moved += 1
        elif not moved.problems:
            self.there += 1

    def __str__(self) -> str:
        verb = "would be put" if self.dry_run else "put"
        lines = [
            f"{self.threads} threads looked at, {self.moved} of them {verb}, {self.there} were there",
            f"{self.checkpoints} checkpoints and {self.writes} pending writes {verb}",
        ]
        if self.went_on:
            lines.append(f"{self.went_on} threads went on in the target since they were moved; nothing was put to them")
        if self.pruned:
            lines.append(f"{self.pruned} checkpoints were pruned in the target, and are not put again")
        bad = len({problem.thread_id for problem in self.problems})
        lines.append(f"problems in {bad} threads:" if bad else "every state was read back and is equal")
        lines += [f"  thread {problem.thread_id!r}: {problem.what}" for problem in self.problems]
        return "\n".join(lines)
