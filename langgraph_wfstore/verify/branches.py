"""The branch part of verify: every put is replayed by the rules of branches, and compared with what is stored."""

from __future__ import annotations

from collections.abc import Callable

from ..backends.base import CHECKPOINT, KEPT, BranchRow, RecordRow, Tail
from ..canonical import utf8
from ..format import Record
from ..records import BranchRecord, LabelRecord, SwitchRecord
from ..threads.view import MAIN, Entry


class BranchReplay:
    """Which branches there must be, and which one each checkpoint of the root namespace must be on.

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
        self._by_id = {row.id: row for row, _ in made}
        self._by_number = {e.row.seq: e for e in entries.values() if e.row is not None and not e.namespace}
        self._stated: dict[bytes, BranchRecord] = {}
        self._rows = {0: BranchRow(0, MAIN, None, 0)}
        self._current = 0

    def run(self) -> None:
        """Add a problem for everything that does not follow."""
        previous: RecordRow | None = None
        for row, record in self._made:
            if isinstance(record, BranchRecord):
                self._begin(f"record {row.seq}", record, previous)
            elif isinstance(record, LabelRecord):
                self._label(f"record {row.seq}", record)
            elif isinstance(record, SwitchRecord):
                self._switch(row, record)
            previous = row
        for _, entry in sorted(self._by_number.items()):
            self._check(entry)
        self._check_rows()
        self._check_thread()

    def _begin(self, where: str, record: BranchRecord, previous: RecordRow | None) -> None:
        base = None if record.base is None else self._by_id.get(record.base)
        known = self._rows.get(record.number)
        if known is None:
            self._rows[record.number] = BranchRow(
                record.number, utf8(record.name), None if base is None else base.seq, 0
            )
            if record.number != len(self._rows) - 1:
                self._add(where, f"it starts branch {record.number}, which is not the next one")
        elif known.name != utf8(record.name) or record.first is None:
            self._add(where, f"branch {record.number} was there before, and is not what this record says")
        if record.first is not None:
            self._stated[record.first] = record
            if previous is None or previous.id != record.first or previous.kind != CHECKPOINT:
                self._add(where, "it does not follow the checkpoint that it puts on a branch")
        elif base is None or base.seq not in self._by_number:
            self._add(where, "it starts a branch from no checkpoint")
        self._current = record.number if record.current else self._current

    def _label(self, where: str, record: LabelRecord) -> None:
        known = self._rows.get(record.number)
        if known is None or not record.number or not known.name:
            self._add(where, f"it names branch {record.number}, which cannot be named")
        else:
            name = b"" if record.name is None else utf8(record.name)
            self._rows[record.number] = known._replace(name=name)

    def _switch(self, row: RecordRow, record: SwitchRecord) -> None:
        self._current = record.number
        where, switched = f"record {row.seq}", self._by_id.get(record.checkpoint)
        if record.number not in self._rows:
            self._add(where, f"it makes branch {record.number} current, which no record before it started")
        if switched is None or switched.seq not in self._by_number or switched.seq > row.seq:
            self._add(where, f"the checkpoint that made branch {record.number} current is not there before it")

    def _check(self, entry: Entry) -> None:
        assert entry.row is not None
        row = entry.row
        stated = self._stated.get(row.id)
        above = None if entry.parent is None else self._entries.get(("", entry.parent))
        arrived = above is not None and above.row is not None and above.row.seq < row.seq
        if stated is not None:
            expected = stated.number
            if arrived and above is not None and above.row is not None and stated.base != above.row.id:
                self._add(f"record {row.seq}", "its branch record names another base than its parent")
        else:
            expected = above.row.branch or 0 if arrived and above is not None and above.row is not None else 0
        if row.branch != expected:
            self._add(f"record {row.seq}", f"it is on branch {row.branch}, the records say branch {expected}")

    def _check_rows(self) -> None:
        stored = {branch.number: branch for branch in self._tail.branches}
        if len(self._rows) == 1:
            if stored:
                self._add("branches", "there are rows of branches that no record started")
            return
        if stored.keys() != self._rows.keys():
            self._add("branches", f"there are rows for {sorted(stored)}, the records started {sorted(self._rows)}")
        last: dict[int, int] = {}
        for number, entry in sorted(self._by_number.items()):
            if entry.row is not None:
                last[entry.row.branch or 0] = number
        for number, branch in stored.items():
            expected = self._rows.get(number)
            if expected is not None and branch[1:3] != expected[1:3]:
                self._add(f"branch {number}", "its name or base is not what its records say")
            head = self._shown(last.get(number, branch.base)) if branch.name else 0
            if branch.head != head:
                self._add(f"branch {number}", f"its head is record {branch.head}, the records say {head}")

    def _shown(self, number: int | None) -> int:
        """The number of a checkpoint, or of its nearest ancestor that is shown; 0 if there is none."""
        seen: set[int] = set()
        entry = None if number is None else self._by_number.get(number)
        while entry is not None and entry.row is not None and entry.row.seq not in seen:
            if entry.row.state == KEPT:
                return entry.row.seq
            seen.add(entry.row.seq)
            entry = None if entry.parent is None else self._entries.get(("", entry.parent))
        return 0

    def _check_thread(self) -> None:
        thread = self._tail.row
        if thread.current != self._current:
            self._add("thread", f"branch {thread.current} is current, the records say branch {self._current}")
        if thread.branches != len(self._rows):
            self._add("thread", f"it has {thread.branches} branches, the records say {len(self._rows)}")
        nested = any(e.namespace for e in self._entries.values() if e.row is not None)
        if thread.nested != nested:
            self._add("thread", f"nested is {thread.nested}, the records say {nested}")
