"""What goes and what stays: which checkpoints a prune, or the end of a branch, removes. Nothing here writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ..backends.base import BranchRow
from ..records import CallRecord, RunRecord, StepRecord
from ..threads.view import Entry
from .dating import time_of
from .families import Families
from .removal import Key, Whole, line_to

INTERRUPT = "__interrupt__"  # LangGraph's name of the channel of open questions
_AUTOMATIC = re.compile(rb"fork-[1-9][0-9]*")


class Policy(NamedTuple):
    """Which checkpoints of a thread go.

    Attributes:
        delete: whole threads go.
        keep_last: of each line and namespace so many stay; None where only `before` decides.
        before: ns since 1970; only what is older goes. None: everything may.
        branches: whether branches that nobody named or uses go too.
    """

    delete: bool
    keep_last: int | None
    before: int | None
    branches: bool


class Selection(NamedTuple):
    """What goes of one thread.

    Attributes:
        gone: checkpoints.
        branches: numbers of the branches that go with all they have.
        undated: how many checkpoints would go as well if their time could be read.
        waiting: how many would go as well if no question were open.
    """

    gone: set[Key]
    branches: frozenset[int]
    undated: int
    waiting: int


class _Rules(NamedTuple):
    """A policy, and whether what cannot be dated, and what waits for an answer, stays."""

    policy: Policy
    dates: bool = True
    waits: bool = True

    def old(self, entry: Entry) -> bool:
        """Whether a checkpoint is as old as what may go."""
        if self.policy.before is None:
            return True
        time = time_of(entry.record)
        return not self.dates if time is None else time < self.policy.before


def select(whole: Whole, policy: Policy) -> Selection:
    """What a policy removes from a thread whose lines go on.

    The last checkpoints of every line that stays stay, the sub-graphs' checkpoints that belong to them, and what waits
    for an answer.
    """
    families = Families(whole)
    rules = _Rules(policy)
    gone, idle = _gone(whole, families, rules)
    undated = waiting = 0
    if policy.before is not None and any(time_of(entry.record) is None for entry in families.shown):
        undated = len(_gone(whole, families, rules._replace(dates=False))[0] - gone)
    if any(map(asks, families.shown)):
        waiting = len(_gone(whole, families, rules._replace(waits=False))[0] - gone)
    return Selection(gone, idle, undated, waiting)


def _gone(whole: Whole, families: Families, rules: _Rules) -> tuple[set[Key], frozenset[int]]:
    idle = _unreferenced(whole, families, rules) if rules.policy.branches else frozenset()
    lost = only_on(whole, families, idle) if idle else set()
    ends = families.ends(idle)
    last = families.last_of_lines(ends, rules.policy.keep_last or 1)
    roots = {("", e.checkpoint_id) for e in families.roots if rules.old(e) and e.checkpoint_id not in last}
    below = {(e.namespace, e.checkpoint_id) for e in families.below if rules.old(e)}
    staying = [e for e in families.roots if ("", e.checkpoint_id) not in roots]
    below -= families.belonging(staying)
    below -= families.unplaced(lost) | _by_line(families, rules.policy, ends, lost)
    gone = roots | below
    return (gone - _needed_for_answers(families, gone) if rules.waits else gone), idle


def _by_line(families: Families, policy: Policy, ends: list[Entry], lost: set[Key]) -> set[Key]:
    """Of each namespace the last ones, of all and of every line; a policy of age alone does not ask for them."""
    if policy.keep_last is None and policy.before is not None:
        return set()
    count = policy.keep_last or 1
    kept = last_of_each((e for e in reversed(families.below) if (e.namespace, e.checkpoint_id) not in lost), count)
    for end in ends:
        kept |= last_of_each(families.below_line(end), count)
    return kept


def last_of_each(entries: Iterable[Entry], count: int) -> set[Key]:
    """The first so many of each namespace."""
    seen: Counter[str] = Counter()
    found = set()
    for entry in entries:
        seen[entry.namespace] += 1
        if seen[entry.namespace] <= count:
            found.add((entry.namespace, entry.checkpoint_id))
    return found


def asks(entry: Entry) -> bool:
    """Whether a task of a checkpoint's superstep has asked a question."""
    return any(write.channel == INTERRUPT for _, record in entry.writes for write in record.writes)


def _needed_for_answers(families: Families, gone: set[Key]) -> set[Key]:
    """What has to stay because it asked a question and nothing goes on from there, with what the answer needs."""
    found: set[Key] = set()
    for entry in families.shown:
        if (entry.namespace, entry.checkpoint_id) in gone and asks(entry) and families.is_last(entry):
            around = {(entry.namespace, entry.checkpoint_id), *(() if entry.record is None else entry.record.parents)}
            root = families.root_of(entry) if entry.namespace else entry
            found |= around | (set() if root is None else families.belonging([root]))
    return found & gone


def unreferenced(whole: Whole) -> set[int]:
    """Numbers of the branches that nobody named, that are not current, that no branch that stays starts from, and at
    whose head no question is open."""
    return set(_unreferenced(whole, Families(whole), _Rules(Policy(False, None, None, True))))


def _unreferenced(whole: Whole, families: Families, rules: _Rules) -> frozenset[int]:
    branches = {branch.number: branch for branch in whole.tail.branches if branch.name}
    idle = {n for n, branch in branches.items() if _is_idle(branch, whole, families, rules)}
    while True:
        bases = {branch.base for n, branch in branches.items() if n not in idle and branch.base}
        based = {families.branch_of(base) for base in bases}
        if idle.isdisjoint(based):
            return frozenset(idle)
        idle -= based


def _is_idle(branch: BranchRow, whole: Whole, families: Families, rules: _Rules) -> bool:
    if not branch.number or branch.number == whole.tail.row.current or not _AUTOMATIC.fullmatch(branch.name):
        return False
    head = families.by_number.get(branch.head)
    if rules.waits and head is not None and any(map(asks, [head, *families.last_under(head)])):
        return False
    own = [
        entry for entry in families.by_number.values() if entry.row is not None and entry.row.branch == branch.number
    ]
    return all(map(rules.old, [e for root in own for e in (root, *families.under(root)) if e.shown]))


def only_on(whole: Whole, families: Families, numbers: frozenset[int]) -> set[Key]:
    """The checkpoints that no line of another branch has: of these branches, and of those deleted before."""
    named = {branch.number: branch.head for branch in whole.tail.branches if branch.name}
    heads = {head for number, head in named.items() if number not in numbers}
    ends = [families.by_number[head] for head in heads if head in families.by_number]
    kept = {anchor for end in ends for anchor in line_to(whole, end)}
    roots = [
        root
        for root in families.by_number.values()
        if root.row is not None
        and root.row.anchor not in kept
        and (root.row.branch in numbers or root.row.branch not in named)
    ]
    return {(e.namespace, e.checkpoint_id) for root in roots for e in (root, *families.under(root)) if e.shown}


def newest(whole: Whole) -> tuple[int | None, int]:
    """When the newest checkpoint was made, or the newest run, step or call began; and how many cannot be dated."""
    shown = [time_of(entry.record) for entry in whole.entries.values() if entry.shown]
    traces = [record.started for _, record in whole.made if isinstance(record, RunRecord | StepRecord | CallRecord)]
    return max((time for time in [*shown, *traces] if time is not None), default=None), shown.count(None)
