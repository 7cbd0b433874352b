"""From the lines of records to the rows of a store: every id is recomputed before there is a row."""

from __future__ import annotations

from ..appending.trace import links_of
from ..backends.base import CHECKPOINT, HIDDEN, REMOVAL, RUN, RecordRow
from ..branching.branches import plain_row
from ..canonical import hex_id
from ..errors import ArtifactError, IntegrityError
from ..format import (
    Record,
    body_of,
    read_skeleton,
    record_id,
    refs_of,
    removal_body,
    removed_digest,
    seal_id,
    skeleton_body,
)
from ..records import BranchRecord, CheckpointRecord, Kind, MergeRecord, RemovalRecord, SealRecord
from ..retention.statement import REDACTION, Part
from ..threads.columns import columns_of
from ..threads.order import STRIDE_BITS
from ..threads.view import KINDS, anchor_of, space_of
from ..trace_format import KIND_OF
from ..values.lists import pack_numbers
from .lines import RecordLine
from .manifest import Facts
from .value_rows import ValueRows

WITHHELD = f"{REDACTION}: withheld at export"
_NUMBERS = {kind: number for number, kind in KINDS.items()}


class RecordRows:
    """Takes the lines of records in their order.

    Attributes:
        facts: what a manifest says of them.
        rows: those that were made since they were taken away the last time.
    """

    def __init__(self, values: ValueRows) -> None:
        self.facts = Facts()
        self.rows: list[RecordRow] = []
        self._values = values
        self._seals = 0
        self._last_position = 0
        self._seal: bytes | None = None
        self._unsealed: list[bytes] = []
        self._gone: list[Part] = []
        self._roots: dict[bytes, str] = {}  # ids of checkpoints of the root namespace, by record id

    def take(self, line: RecordLine, record: Record | None, where: str) -> None:
        """Take a line, behind those of the values that it names, with the record that its body is.

        Raises:
            ArtifactError: it does not fit to what is before it.
            IntegrityError: its id is not that of its content.
        """
        if record is not None and record_id(line.kind, line.body) != line.id:
            raise IntegrityError(
                f"{where} is not the record {hex_id(line.id)} that it says: it was changed. Nothing was imported"
            )
        if line.body != (skeleton_body(*read_skeleton(line.body)) if record is None else body_of(record)):
            raise ArtifactError(f"{where} is not written as a {line.kind.value} record must be. Nothing was imported")
        branch = self.facts.record(line, record)
        seq = len(self.facts.ids)
        kind = _NUMBERS[line.kind]
        row = RecordRow(seq, kind, line.id, line.state, line.body, None, None, *(None,) * 8)
        if record is None:
            row = self._skeleton(row)
            self._gone.append((line.id, kind, line.state, line.body))
        else:
            row = row._replace(**{**columns_of(record), "refs": self._refs(line, record, where)})
            if line.state == HIDDEN:
                self._gone.append((line.id, kind, line.state, b""))
        if kind == CHECKPOINT:
            self._last_position = max(self._last_position, line.position or 0)
            row = row._replace(position=line.position, branch=branch)
        self._unsealed.append(line.id)
        if line.seal is not None:
            row = row._replace(ordinal=self._seals, seal=line.seal)
            self._sealed(line.seal)
        self.rows.append(self._placed(row, record, where))

    def _sealed(self, seal: bytes) -> None:
        self._seals += 1
        self._seal = seal
        self._unsealed = []

    def _placed(self, row: RecordRow, record: Record | None, where: str) -> RecordRow:
        """The row with what depends on others: of a merge, of a trace, of the checkpoint that a branch begins with."""
        if isinstance(record, CheckpointRecord) and not record.namespace:
            self._roots[row.id] = record.checkpoint_id
        elif isinstance(record, MergeRecord):
            if record.checkpoint not in self._roots or record.parent not in self._roots:
                raise ArtifactError(f"{where} merges what is no checkpoint before it. Nothing was imported")
            anchor, within = (anchor_of("", self._roots[name]) for name in (record.checkpoint, record.parent))
            return row._replace(anchor=anchor, within=within)
        elif isinstance(record, BranchRecord):
            if record.first is not None:
                self._put_on_branch(record, where)
        elif type(record) in KIND_OF:
            return row._replace(links=links_of(record))  # type: ignore[arg-type]  # by the line above
        return row

    def _put_on_branch(self, record: BranchRecord, where: str) -> None:
        if not self.rows or self.rows[-1].id != record.first:
            raise ArtifactError(
                f"{where} does not follow the checkpoint that it puts on a branch. Nothing was imported"
            )
        self.rows[-1] = self.rows[-1]._replace(branch=record.number)

    def _skeleton(self, row: RecordRow) -> RecordRow:
        namespace, checkpoint_id, _, _ = read_skeleton(row.body)
        if row.kind == CHECKPOINT and not namespace:
            self._roots[row.id] = checkpoint_id
        return row._replace(
            anchor=None if row.kind >= RUN else anchor_of(namespace, checkpoint_id),
            space=space_of(namespace) if row.kind == CHECKPOINT else None,
        )

    def _refs(self, line: RecordLine, record: Record, where: str) -> bytes:
        numbers = []
        gone = set(line.missing)
        if gone and line.missing != tuple(dict.fromkeys(ref.id for ref in refs_of(record) if ref.id in gone)):
            raise ArtifactError(
                f"{where} says that values are missing which it does not name, or not in their order. Nothing was "
                "imported"
            )
        for ref in refs_of(record):
            number = self._values.numbers.get(ref.id, 0)
            if bool(number) == (ref.id in line.missing):
                raise ArtifactError(
                    f"{where} names the value {hex_id(ref.id)}, which is not there, or is there and said to be "
                    "missing. Nothing was imported"
                )
            numbers.append(number)
        return pack_numbers(numbers)

    def finish(self) -> None:
        """There are no more lines. ArtifactError if no checkpoint could be listed behind those that there are."""
        if self._last_position > len(self.facts.ids) << STRIDE_BITS:
            raise ArtifactError(
                f"a checkpoint has the position {self._last_position}, which is too large for {len(self.facts.ids)} "
                "records. Nothing was imported"
            )

    def state_withheld(self) -> None:
        """Add the removal record that states what was withheld as redacted, and its seal."""
        removed = removed_digest([*self._gone, *self._values.masked])
        record = RemovalRecord(WITHHELD, len(self._gone), removed, len(self._values.masked))
        row = plain_row(REMOVAL, Kind.REMOVAL, removal_body(record), len(self.facts.ids) + 1)
        seal = seal_id(SealRecord(self._seals, self._seal, (*self._unsealed, row.id)))
        self.rows.append(row._replace(ordinal=self._seals, seal=seal))
