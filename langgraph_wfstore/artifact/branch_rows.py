"""Which branches a thread has, from its records alone (FORMAT.md, section 9, rule 7)."""

from __future__ import annotations

from typing import NamedTuple

from ..backends.base import KEPT, BranchRow
from ..canonical import utf8
from ..format import Record, read_skeleton
from ..records import BranchRecord, CheckpointRecord, LabelRecord, SwitchRecord
from ..threads.view import MAIN
from .lines import RecordLine


class _Root(NamedTuple):
    """A checkpoint of the root namespace; `parent` is the number of its parent, 0 if there is none before it."""

    shown: bool
    parent: int
    branch: int


class BranchRows:
    """Takes the records of a thread in their order.

    Attributes:
        current: number of the branch that is read by default.
        nested: whether there is a checkpoint below the root.
    """

    def __init__(self) -> None:
        self.current = 0
        self.nested = False
        self._rows = {0: BranchRow(0, MAIN, None, 0)}
        self._roots: dict[int, _Root] = {}
        self._numbers: dict[bytes, int] = {}
        self._by_checkpoint: dict[str, int] = {}

    def checkpoint(self, seq: int, name: bytes, key: tuple[str, str, str | None], state: int) -> int | None:
        """Take a checkpoint.

        Args:
            name: the record id.
            key: namespace, checkpoint id, parent's id.

        Returns:
            the number of its parent's branch, on which it is if no branch record follows; None below the root.
        """
        namespace, checkpoint_id, above = key
        if namespace:
            self.nested = True
            return None
        parent = 0 if above is None else self._by_checkpoint.get(above, 0)
        branch = self._roots[parent].branch if parent else 0
        self._roots[seq] = _Root(state == KEPT, parent, branch)
        self._numbers[name] = seq
        self._by_checkpoint[checkpoint_id] = seq
        return branch

    def other(self, record: Record | None) -> None:
        """Take a record of another kind; those that say nothing of branches are passed over."""
        if isinstance(record, BranchRecord):
            base = None if record.base is None else self._numbers.get(record.base)
            self._rows.setdefault(record.number, BranchRow(record.number, utf8(record.name), base, 0))
            self.current = record.number if record.current else self.current
            first = 0 if record.first is None else self._numbers.get(record.first, 0)
            if first:
                self._roots[first] = self._roots[first]._replace(branch=record.number)
        elif isinstance(record, LabelRecord):
            known = self._rows.get(record.number)
            if known is not None:
                name = b"" if record.name is None else utf8(record.name)
                self._rows[record.number] = known._replace(name=name)
        elif isinstance(record, SwitchRecord):
            self.current = record.number

    def rows(self) -> list[BranchRow]:
        """All branches with their heads, by number; of one that was deleted the name is empty and the head 0."""
        last = {root.branch: seq for seq, root in self._roots.items()}
        found = []
        for number, row in sorted(self._rows.items()):
            head = self._shown(last.get(number, row.base or 0)) if row.name else 0
            found.append(row._replace(head=head))
        return found

    def _shown(self, seq: int) -> int:
        while seq and not self._roots[seq].shown:
            seq = self._roots[seq].parent
        return seq


def key_of(line: RecordLine, record: Record | None) -> tuple[str, str, str | None]:
    """Namespace, checkpoint id and parent's id of a checkpoint, removed or not."""
    if isinstance(record, CheckpointRecord):
        return record.namespace, record.checkpoint_id, record.parent_checkpoint_id
    return read_skeleton(line.body)[:3]
