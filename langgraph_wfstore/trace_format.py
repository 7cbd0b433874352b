"""Runs, steps, calls and their ends to canonical bytes and back: the trace part of FORMAT.md in code.

A key stands in a body only where its field says something: what is null, empty, 0 or false is left out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from .canonical import Json, encode
from .fields import DICT_REF, DIGEST, INTEGER, INTEGERS, REF, TEXT, TEXTS, TIME, TRUE, Field
from .records import CallRecord, EndRecord, Kind, Ref, RunRecord, StepRecord, Usage

TraceRecord: TypeAlias = RunRecord | StepRecord | CallRecord | EndRecord

_USAGE = Field(INTEGERS.write, lambda value: Usage._make(INTEGERS.read(value)))
_FIELDS: dict[Kind, tuple[type[Any], dict[str, Field]]] = {
    Kind.RUN: (
        RunRecord,
        {
            "run_id": TEXT,
            "seq": INTEGER,
            "started": TIME,
            "name": TEXT,
            "parent": TEXT,
            "checkpoint_id": TEXT,
            "checkpoint_source": TEXT,
            "addressed": TRUE,
            "resumes": TRUE,
            "metadata_run_id": TEXT,
            "durability": TEXT,
            "workflow": TEXT,
            "description": REF,
            "input": REF,
        },
    ),
    Kind.STEP: (
        StepRecord,
        {
            "step_id": TEXT,
            "run_id": TEXT,
            "seq": INTEGER,
            "started": TIME,
            "parent": TEXT,
            "namespace": TEXT,
            "checkpoint_id": TEXT,
            "path": TEXT,
            "node": TEXT,
            "task_id": TEXT,
            "number": INTEGER,
            "attempt": INTEGER,
            "triggers": TEXTS,
            "cached": TRUE,
            "send": INTEGER,
            "input": REF,
        },
    ),
    Kind.CALL: (
        CallRecord,
        {
            "call_id": TEXT,
            "run_id": TEXT,
            "seq": INTEGER,
            "started": TIME,
            "type": TEXT,
            "step": TEXT,
            "parent": TEXT,
            "name": TEXT,
            "provider": TEXT,
            "model": TEXT,
            "tool_call_id": TEXT,
            "parameters": DICT_REF,
            "tools": REF,
            "input": REF,
            "content": DIGEST,
        },
    ),
    Kind.END: (
        EndRecord,
        {
            "of": TEXT,
            "id": TEXT,
            "run_id": TEXT,
            "begin": DIGEST,
            "seq": INTEGER,
            "ended": TIME,
            "status": TEXT,
            "output": REF,
            "content": DIGEST,
            "error": TEXTS,
            "usage": _USAGE,
            "cached": TRUE,
            "model": TEXT,
            "response_id": TEXT,
            "finish": TEXTS,
            "first_token": TIME,
            "messages": TEXTS,
            "tool_calls": TEXTS,
            "interrupts": TEXTS,
            "checkpoint_id": TEXT,
            "unattributed": INTEGER,
            "flags": TEXTS,
        },
    ),
}
KIND_OF: dict[type[Any], Kind] = {cls: kind for kind, (cls, _) in _FIELDS.items()}
# What a field is whose key is left out, where that is not null.
_LEFT_OUT: dict[str, Any] = {
    **dict.fromkeys(("seq", "number", "attempt", "unattributed"), 0),
    **dict.fromkeys(("addressed", "resumes", "cached"), False),
    **dict.fromkeys(("triggers", "finish", "messages", "tool_calls", "interrupts", "flags"), ()),
    **dict.fromkeys(("namespace", "name", "path", "node", "task_id"), ""),
}

_REQUIRED: dict[Kind, frozenset[str]] = {
    Kind.RUN: frozenset({"run_id", "started"}),
    Kind.STEP: frozenset({"run_id", "step_id", "started"}),
    Kind.CALL: frozenset({"run_id", "call_id", "started", "type"}),
    Kind.END: frozenset({"run_id", "id", "of", "begin", "ended", "status"}),
}


def trace_body(record: TraceRecord, version: int) -> bytes:
    """The canonical bytes of a run, step, call or end record of that format version."""
    kind = KIND_OF[type(record)]
    body: dict[str, Json] = {"format": version, "kind": kind.value}
    for (name, field), value in zip(_FIELDS[kind][1].items(), record, strict=True):
        if value or (value is not None and name not in _LEFT_OUT and value != ()):
            body[name] = field.write(value)
    return encode(body)


def read_trace(kind: Kind, fields: dict[str, Json]) -> TraceRecord:
    """The record behind the fields of a canonical body; ValueError or KeyError if they are not one's."""
    cls, known = _FIELDS[kind]
    if unknown := fields.keys() - known.keys() - {"format", "kind"}:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    if missing := _REQUIRED[kind] - fields.keys():
        raise ValueError(f"keys are missing: {sorted(missing)}")
    values = {}
    for name, field in known.items():
        values[name] = field.read(fields[name]) if name in fields else _LEFT_OUT.get(name)
        if name in fields and name in _LEFT_OUT and values[name] == _LEFT_OUT[name]:
            raise ValueError(f"{name} says nothing and is not left out")
    record: TraceRecord = cls(**values)
    if isinstance(record, EndRecord) and record.error is not None and len(record.error) != 2:
        raise ValueError("an error is a type and a message")
    return record


def trace_refs(record: TraceRecord) -> list[Ref]:
    """The values that the record names, in the order of its fields."""
    return [value for value in record if type(value) is Ref]
