"""What a migration did, or would do."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..counting import counted
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
            f"{counted(self.threads, 'thread')} looked at: {self.moved} {verb}, {self.there} there already",
            f"{counted(self.checkpoints, 'checkpoint')} and {counted(self.writes, 'pending write')} {verb}",
        ]
        if self.went_on:
            went_on = counted(self.went_on, "thread")
            lines.append(f"{went_on} went on in the target since the last migration; nothing was put there")
        if self.pruned:
            lines.append(f"pruned in the target, and not put again: {counted(self.pruned, 'checkpoint')}")
        bad = len({problem.thread_id for problem in self.problems})
        done = "every state was read back and is equal" if self.threads else "there is nothing to migrate"
        lines.append(f"problems in {counted(bad, 'thread')}:" if bad else done)
        lines += [f"  thread {problem.thread_id!r}: {problem.what}" for problem in self.problems]
        return "\n".join(lines)
