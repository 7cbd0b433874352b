"""What goes and what stays: which checkpoints a prune, or the end of a branch, removes. Nothing here writes."""

from __future__ import annotations

from .removal import Key, Whole, line_to
from .view import Entry


def latest_of(whole: Whole) -> set[Key]:
    """What "keep_latest" keeps: the head of every branch, and per namespace and head the last that belongs to it."""
    shown = sorted(
        ((e.row.position or 0, key, e) for key, e in whole.entries.items() if e.shown and e.row is not None),
        key=lambda item: (item[0], item[1]),
    )
    heads: dict[int, Entry] = {}
    for _, _, entry in shown:
        if not entry.namespace and entry.row is not None:
            heads[entry.row.branch or 0] = entry
    named = {branch.head for branch in whole.tail.branches}
    ends = [*heads.values(), *(e for _, _, e in shown if e.row is not None and e.row.seq in named)]
    kept = {("", entry.checkpoint_id) for entry in ends}
    below = [(key, e) for _, key, e in shown if e.namespace]
    kept |= set({key[0]: key for key, _ in below}.values())
    for head in ends:
        line = line_to(whole, head)
        kept |= set({key[0]: key for key, e in below if e.row is not None and e.row.within in line}.values())
    return kept


def only_on(whole: Whole, numbers: frozenset[int]) -> set[Key]:
    """The checkpoints that no line of another branch has: of these branches, and of those deleted before."""
    named = {branch.number: branch.head for branch in whole.tail.branches if branch.name}
    heads = {head for number, head in named.items() if number not in numbers}
    ends = [entry for entry in whole.entries.values() if entry.row is not None and entry.row.seq in heads]
    kept = {anchor for end in ends for anchor in line_to(whole, end)}
    shown = [(key, e.row) for key, e in whole.entries.items() if e.shown and e.row is not None]
    roots = {
        row.anchor: key
        for key, row in shown
        if not key[0] and row.anchor not in kept and (row.branch in numbers or row.branch not in named)
    }
    return {*roots.values(), *(key for key, row in shown if key[0] and row.within in roots)}
