"""The part of verify about runs, steps and calls: each ends once, what it was, in a run that began; and their links."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..appending.trace import links_of
from ..backends.base import CALL, END, RUN, STEP, Backend, Tail
from ..records import CallRecord, EndRecord, RunRecord, StepRecord
from ..threads.view import Made

TRACES = (RUN, STEP, CALL, END)
Add = Callable[[str, str], None]


def check_traces(backend: Backend, tail: Tail, made: Sequence[Made], add: Add) -> None:
    """Check a thread's runs, steps, calls and ends, and what they are found by."""
    begun: dict[bytes, tuple[str, str, str]] = {}
    runs: set[str] = set()
    ended: set[bytes] = set()
    expected: set[tuple[int, int]] = set()
    for row, record in made:
        where = f"record {row.seq}"
        if not isinstance(record, RunRecord | StepRecord | CallRecord | EndRecord):
            continue
        expected |= {(row.seq, link) for link in links_of(record)}
        if isinstance(record, RunRecord):
            if record.run_id in runs:
                add(where, f"a second start of run {record.run_id}")
            runs.add(record.run_id)
        elif record.run_id not in runs:
            add(where, f"it belongs to run {record.run_id}, whose start does not stand before it")
        if isinstance(record, EndRecord):
            if begun.get(record.begin) != (record.of, record.id, record.run_id):
                add(where, f"it ends {record.of} {record.id}, and no such start stands before it")
            if record.begin in ended:
                add(where, f"it ends {record.of} {record.id} a second time")
            ended.add(record.begin)
        else:
            if row.id in begun:
                add(where, f"the same start of {record.run_id}'s {_what(record)[0]} stands before it")
            begun[row.id] = _what(record)
    number = tail.row.number or 0
    found = backend.links(number)
    now = backend.row(number)  # after the links: others may go on appending, and each link comes with its record
    last = tail.last if now is None else now.last
    for seq, _ in sorted(expected - found, key=repr):
        add(f"record {seq}", "a link that it is found by is missing")
    for seq, _ in sorted((link for link in found - expected if not tail.last < link[0] <= last), key=repr):
        add(f"record {seq}", "a link leads to it that does not follow from it")


def _what(record: RunRecord | StepRecord | CallRecord) -> tuple[str, str, str]:
    if isinstance(record, RunRecord):
        return "run", record.run_id, record.run_id
    if isinstance(record, StepRecord):
        return "step", record.step_id, record.run_id
    return "call", record.call_id, record.run_id
