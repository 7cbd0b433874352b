"""What a removal record states of a thread: which records and objects have lost their content up to now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..backends.base import KEPT, REDACTED, REMOVAL, SKELETON, RecordRow, Rewrite, Tail
from ..branching.branches import plain_row
from ..format import OF_OBJECT, removal_body, removed_digest, seal_id
from ..records import Kind, RemovalRecord, SealRecord
from ..threads.view import Made
from ..values.content import Content
from ..values.lists import unpack_numbers

REDACTION = "redact"  # what the reason of a redaction begins with
Part = tuple[bytes, int, int, bytes]


class Statement(NamedTuple):
    """How many records and objects have lost their content, and the digest over all."""

    removed: int
    redacted: int
    digest: bytes


def statement(rows: Iterable[RecordRow], redacted: Iterable[Part]) -> Statement:
    """What is to be stated of a thread.

    Args:
        rows: its records, as they are after the removal.
        redacted: as `redacted_parts` gives them.
    """
    gone = [(r.id, r.kind, r.state, r.body if r.state == SKELETON else b"") for r in rows if r.state != KEPT]
    objects = set(redacted)
    return Statement(len(gone), len(objects), removed_digest([*gone, *objects]))


def redacted_parts(rows: Iterable[RecordRow], content: Content) -> set[Part]:
    """The parts of the digest that say which redacted objects the records of a thread reach, and their masks."""
    if not content.redacted:
        return set()
    wanted = {number for row in rows if row.state != SKELETON for number in unpack_numbers(row.refs)}
    found = content.reached(wanted) & content.redacted
    return {(row.id, OF_OBJECT, REDACTED, row.data) for row in map(content.rows.__getitem__, found)}


def stated(made: Iterable[Made]) -> Statement | None:
    """What the last removal record of a thread states; None if there is none."""
    last = None
    for _, record in made:
        last = record if isinstance(record, RemovalRecord) else last
    return None if last is None else Statement(last.removed, last.redacted, last.digest)


def state(change: Rewrite, tail: Tail, said: Statement, reason: str, before: Sequence[RecordRow] = ()) -> None:
    """Add a thread's removal record to a change, and the seal over it.

    Args:
        before: other new records of the thread, which come first.
    """
    number = tail.row.number or 0
    body = removal_body(RemovalRecord(reason, said.removed, said.digest, said.redacted))
    new = [*before, plain_row(REMOVAL, Kind.REMOVAL, body, tail.last + len(before) + 1)]
    seal = SealRecord(tail.ordinal + 1, tail.seal, (*tail.unsealed, *(row.id for row in new)))
    new[-1] = new[-1]._replace(ordinal=seal.ordinal, seal=seal_id(seal))
    change.records += [(number, row) for row in new]
