"""The branch part of verify: every put is replayed by the rules of order.py, and compared with what is stored."""

from __future__ import annotations

from collections.abc import Callable

from ..backends.base import KEPT, BranchRow, RecordRow, Tail
from ..canonical import utf8
from ..format import Record
from ..records import BranchRecord, SwitchRecord
from ..view import Entry


class BranchReplay:
    """Which branch each checkpoint of the root namespace must be on.

    Args:
        made: the thread's rows with their records, in order.
        add: takes a place and what is wrong there.
    """

    def __init__(
        self,
        tail: Tail,
        made: list[tuple[RecordRow, Record | None]],
        entries: dict[tuple[str, str], Entry],
        add: Callable[[str, str], None],
    ) -> None:
        self._tail = tail
        self._made = made
        self._entries = entries
        self._add = add
        self._starts: dict[bytes, BranchRecord] = {}
        self._by_id = {row.id: row for row, _ in made}

    def run(self) -> None:
        """Add a problem for everything that does not follow."""
        current = 0
        starts: dict[int, BranchRecord] = {}
        for _, record in self._made:
            if isinstance(record, BranchRecord):
                starts[record.number] = record
                self._starts[record.first] = record
                current = record.number if record.current else current
            elif isinstance(record, SwitchRecord):
                current = record.number
                if record.checkpoint not in self._by_id:
                    self._add("thread", f"the checkpoint that made branch {record.number} current is not there")
        roots = [e for e in self._entries.values() if not e.namespace and e.row is not None]
        for entry in sorted(roots, key=lambda e: e.row.seq if e.row is not None else 0):
            self._check(entry)
        self._check_rows(starts)
        thread = self._tail.row
        if thread.current != current:
            self._add("thread", f"branch {thread.current} is current, the records say branch {current}")
        if thread.branches != len(starts) + 1:
            self._add("thread", f"it has {thread.branches} branches, the records say {len(starts) + 1}")
        nested = any(e.namespace for e in self._entries.values() if e.row is not None)
        if thread.nested != nested:
            self._add("thread", f"nested is {thread.nested}, the records say {nested}")

    def _check(self, entry: Entry) -> None:
        assert entry.row is not None
        row = entry.row
        start = self._starts.get(row.id)
        above = None if entry.parent is None else self._entries.get(("", entry.parent))
        if start is not None:
            expected = start.number
            if above is not None and above.row is not None and above.row.seq < row.seq and start.base != above.row.id:
                self._add(f"record {row.seq}", "its branch record names another base than its parent")
        elif above is not None and above.row is not None and above.row.seq < row.seq:
            expected = above.row.branch or 0
        else:
            expected = 0
        if row.branch != expected:
            self._add(f"record {row.seq}", f"it is on branch {row.branch}, the records say branch {expected}")

    def _check_rows(self, starts: dict[int, BranchRecord]) -> None:
        stored = {branch.number: branch for branch in self._tail.branches}
        if not starts:
            if stored:
                self._add("branches", "there are rows of branches that no record started")
            return
        if set(stored) != {0, *starts}:
            self._add("branches", f"there are rows for {sorted(stored)}, the records started {sorted(starts)}")
        for number, branch in stored.items():
            start = starts.get(number)
            if start is not None:
                base = self._by_id.get(start.base) if start.base is not None else None
                if branch.name != utf8(start.name) or branch.base != (None if base is None else base.seq):
                    self._add(f"branch {number}", "its name or base is not what its record says")
            elif branch.name != b"main" or branch.base is not None:
                self._add(f"branch {number}", "its name or base is not that of the first branch")
            self._check_head(branch)

    def _check_head(self, branch: BranchRow) -> None:
        line = [
            e.row
            for e in self._entries.values()
            if not e.namespace and e.row is not None and e.row.branch == branch.number
        ]
        last = max(line, key=lambda row: row.seq, default=None)
        expected = 0
        seen: set[int] = set()
        entry = next((e for e in self._entries.values() if last is not None and e.row is last), None)
        while entry is not None and entry.row is not None and entry.row.seq not in seen:
            seen.add(entry.row.seq)
            if entry.row.state == KEPT:
                expected = entry.row.seq
                break
            entry = None if entry.parent is None else self._entries.get(("", entry.parent))
        if branch.head != expected:
            self._add(f"branch {branch.number}", f"its head is record {branch.head}, the records say {expected}")
