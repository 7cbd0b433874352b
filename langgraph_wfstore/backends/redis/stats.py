"""Counts and bytes of a store on Redis, thread by thread: nothing blocks the server for long."""

from __future__ import annotations

from collections import Counter

from ..base import CALL, CHECKPOINT, LIST, MAP, OBJECT, REDACTED, RUN, STEP, WRITE
from .client import Caller
from .homes import Homes

_PAGE = 1000


def redis_stats(caller: Caller, homes: Homes) -> dict[str, int]:
    """What `Backend.stats` gives."""
    kinds: Counter[int] = Counter()
    forms: Counter[int] = Counter()
    totals: Counter[str] = Counter()
    lineages: set[bytes] = set()
    for page in homes.numbers(0):
        for number, home in page:
            key = homes.key(home)
            lineage = caller.command("HGET", f"{key[:-1]}t{number}", "l")
            if lineage is None:
                continue
            totals["threads"] += 1
            _count(caller, key, "r", str(number), kinds, totals, "record_bytes")
            first = lineage not in lineages
            lineages.add(lineage)
            if first:
                _count(caller, key, "w", lineage.decode(), forms, Counter(), "object_bytes", totals)
            totals["file_bytes"] += int(caller.script("memory", [key], number, lineage, int(first)))
    return {
        "threads": totals["threads"],
        "checkpoints": kinds[CHECKPOINT],
        "writes": kinds[WRITE],
        "runs": kinds[RUN],
        "steps": kinds[STEP],
        "calls": kinds[CALL],
        "pruned": totals["pruned"],
        "seals": totals["seals"],
        "record_bytes": totals["record_bytes"],
        "objects": forms[OBJECT],
        "lists": forms[LIST],
        "maps": forms[MAP],
        "redacted": forms[REDACTED],
        "object_bytes": totals["object_bytes"],
        "file_bytes": totals["file_bytes"],
        "free_bytes": 0,
    }


def _count(
    caller: Caller,
    key: str,
    what: str,
    number: str,
    kinds: Counter[int],
    totals: Counter[str],
    size: str,
    sizes: Counter[str] | None = None,
) -> None:
    """Add what is in one list."""
    at = 0
    while True:
        count, size_here, seals, pruned, flat = caller.script("stats", [key], what, number, at, at + _PAGE - 1)
        if not count:
            return
        at += count
        totals["seals"] += seals
        totals["pruned"] += pruned
        (totals if sizes is None else sizes)[size] += size_here
        for i in range(0, len(flat), 2):
            kinds[flat[i]] += flat[i + 1]
