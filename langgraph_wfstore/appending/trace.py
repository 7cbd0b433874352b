"""Preparing appends of runs, steps, calls and their ends. Nothing here writes."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..backends.base import CALL, END, KEPT, RUN, STEP, Backend, RecordRow
from ..canonical import digest, utf8
from ..codec import Encoded, EncodedList
from ..format import record_id, refs_of, trace_record_body
from ..records import CallRecord, EndRecord, RunRecord
from ..threads.view import Made, ThreadView, run_of, signed
from ..trace_format import KIND_OF, TraceRecord
from ..values.lists import StoredList, pack_numbers
from ..values.objects import Lineage, Placement
from .inputs import RunRead
from .putting import Plan, append_of, lookup_numbers, sealed
from .refusals import refuse_deleted

_NUMBERS = {"run": RUN, "step": STEP, "call": CALL, "end": END}


@dataclass(slots=True)
class Note:
    """A run, step, call or end that is to be recorded.

    Attributes:
        record: the record, still without the references to its values and the digest of its content.
        values: per field the value that goes there, encoded.
        content_key: SHA-256 of the normal form of what was asked or came back.
        begin: of an end, the note of what it ends.
        like: whose input a list is probably a continuation of, to store it as a splice.
        id: the record id, once it is known.
        lost: whether it could not be stored.
    """

    record: TraceRecord
    values: Mapping[str, Encoded] = field(default_factory=dict)
    content_key: bytes | None = None
    begin: Note | None = None
    like: str | None = None
    id: bytes | None = None
    lost: bool = False

    @property
    def ends_run(self) -> bool:
        """Whether a run ends with it."""
        return isinstance(self.record, EndRecord) and self.record.of == "run"


@dataclass(slots=True)
class NoteBatch:
    """Notes of one run that are recorded together.

    Attributes:
        run: the note of the run's start.
        read: what the run read, if that is known.
        run_id: what the run is deleted by.
        failures: how often storing them failed.
        planned: whether they were prepared before; then the run may have been deleted meanwhile.
    """

    run: Note
    notes: list[Note]
    read: RunRead | None
    run_id: str | None
    failures: int = 0
    planned: bool = False

    @property
    def started(self) -> int:
        """When the run began, or what of it these notes begin with; ns since 1970."""
        return first.started if not isinstance(first := self.run.record, EndRecord) else first.ended

    def take_lost(self) -> int:
        """Record with these notes what could not be stored before and they stand on; how many notes that is."""
        needed = [self.run, *(note.begin for note in self.notes if note.begin is not None)]
        lost = list({id(note): note for note in needed if note.lost}.values())
        for note in lost:
            note.lost = False
        self.notes = [*lost, *self.notes]
        return len(lost)


def plan_notes(view: ThreadView, backend: Backend, batch: NoteBatch) -> Plan:
    """Prepare an append of notes; the end of a run is sealed.

    Raises:
        ThreadDeletedError: the thread's life or the run was deleted.
    """
    # The append itself is stale if the run was deleted: only then it need be asked about before.
    refuse_deleted(view, backend, batch.read, batch.run_id if batch.planned else None, [])
    batch.planned = True
    notes = batch.notes
    placement = Placement(view.lineage, lookup_numbers(view, backend))
    placement.prepare(value for note in notes for value in note.values.values())
    made: list[Made] = []
    for number, note in enumerate(notes, view.last + 1):
        record = _complete(view, placement, note)
        body = trace_record_body(record)
        kind = KIND_OF[type(record)]
        note.id = record_id(kind, body)
        refs = pack_numbers([placement.numbered[ref.id] for ref in refs_of(record)])
        columns = (*(None,) * 9, run_of(record.run_id), refs, links_of(record))
        made.append((RecordRow(number, _NUMBERS[kind.value], note.id, KEPT, body, *columns), record))
    rows = sealed(view, made) if notes[-1].ends_run else [row for row, _ in made]
    append = append_of(view, backend, placement, rows, batch.run_id)
    append.lazy = True
    return Plan(append, [(row, record) for row, (_, record) in zip(rows, made, strict=True)], placement)


def _complete(view: ThreadView, placement: Placement, note: Note) -> TraceRecord:
    found: dict[str, Any] = {}
    for name, value in note.values.items():
        previous = None
        if note.like is not None and isinstance(value, EncodedList):
            previous = _before(view, note.like)
        found[name] = placement.ref(value, previous)
        if note.like is not None and isinstance(value, EncodedList):
            view.inputs[note.like] = found[name].id
    if note.content_key is not None:
        found["content"] = keyed(view.lineage, note.content_key)
    if note.begin is not None:
        found["begin"] = note.begin.id
    return note.record._replace(**found) if found else note.record


def _before(view: ThreadView, like: str) -> StoredList | None:
    name = view.inputs.get(like)
    return None if name is None else view.lineage.list(name)


def keyed(lineage: Lineage, key: bytes) -> bytes:
    """The digest of a content that a record may hold: who has only records cannot confirm a guess."""
    return hmac.digest(lineage.secret, b"content " + key, "sha256")


def links_of(record: TraceRecord) -> tuple[int, ...]:
    """What a record is found by besides its number and its run: ids of calls, of tool calls, of messages; a run also by
    the run id in its metadata, as its checkpoints are."""
    found = [signed(digest("link", what, utf8(name))) for what, name in _named(record)]
    if isinstance(record, RunRecord) and record.metadata_run_id is not None:
        found.append(run_of(record.metadata_run_id))
    return tuple(dict.fromkeys(found))


def link(what: str, name: str) -> int:
    """What the records of a "call", a "tool" call id or a "message" id, or a "run" inside a step, are found by."""
    return signed(digest("link", what.encode(), utf8(name)))


def _named(record: TraceRecord) -> Iterator[tuple[bytes, str]]:
    if isinstance(record, RunRecord) and record.parent is not None:
        yield b"run", record.parent
    if isinstance(record, CallRecord):
        yield b"call", record.call_id
        if record.tool_call_id is not None:
            yield b"tool", record.tool_call_id
    if isinstance(record, EndRecord):
        for name in record.messages:
            yield b"message", name
        for name in record.tool_calls:
            yield b"tool", name
