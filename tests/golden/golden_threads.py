"""The threads of the golden files: the same operations, with the same secrets, ids and times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_wfstore.appending import trace
from langgraph_wfstore.appending.inputs import CheckpointInput, Merged, WritesInput
from langgraph_wfstore.records import CallRecord, EndRecord, RunRecord, StepRecord, Usage
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.tracing import normal

PAIR = "\ud83d" + "\ude00"  # two code points, not one character


def secrets() -> Iterator[bytes]:
    """The lineage secrets of the golden threads, in the order of their start."""
    for number in range(1, 100):
        yield bytes([number]) * 32


def build(store: WfStore) -> None:
    """Every operation behind the golden file.

    There is plain data in the thread "plain", messages in the thread "chat", and runs in the thread "traced".
    """
    _plain(store)
    _chat(store)
    store.copy_thread("plain", "copy of plain")
    _traced(store)
    store.copy_thread("traced", "copy of traced")
    _branched(store)
    store.copy_thread("branched", "copy of branched")


def put(
    store: WfStore,
    thread: str,
    number: int,
    parent: int | None,
    values: dict[str, Any],
    namespace: str = "",
    merged: Merged | None = None,
    branch: str | None = None,
    **metadata: Any,
) -> None:
    """Put checkpoint `number` of a thread, with everything in it that could be written in two ways."""
    new = CheckpointInput(
        namespace=namespace,
        checkpoint_id=f"c{number:04d}",
        parent=None if parent is None else f"c{parent:04d}",
        values=values,
        versions={
            **dict.fromkeys(values, number),
            "größe": float(number),
            "text": f"{number:05d}.x",
            "big": 2**70 + number,
        },
        new_versions=list(values),
        versions_seen={"agent": dict.fromkeys(values, number - 1), "z" + PAIR: {"\ud800": 1}},
        updated_channels=sorted(values),
        v=4,
        ts=f"2026-01-01T00:00:{number:02d}+00:00",
        metadata={"source": "loop", "step": number, "run_id": f"run-{number // 8}", **metadata},
        extra={"pending_sends": []} if number % 5 == 0 else {},
        merged=merged,
        branch=branch,
    )
    store.put_checkpoint(thread, new, store.codec)


def write(
    store: WfStore, thread: str, number: int, task: str, *writes: tuple[int, str, Any], ends: bool = False
) -> None:
    """Put writes of one task, as (index, channel, value), at checkpoint `number`."""
    new = WritesInput("", f"c{number:04d}", task, f"~__pregel_pull, {task}", writes, ends_run=ends)
    store.put_writes(thread, new, store.codec)


def _plain(store: WfStore) -> None:
    rows: list[Any] = []
    for number in range(1, 21):
        rows.append({"row": number, "text": f"a line of some length, number {number}, " * (1 + number % 3)})
        values = {
            "rows": list(rows),
            "numbers": list(range(400 + number)),
            "small": [{"n": n} for n in range(30 + number)],
            "state": {
                "name": "größe \ud800 " + PAIR,
                "plan": [f"step {n} of the plan: " + "x" * 40 for n in range(number)],
            },
            "none": None,
            "empty": b"",
        }
        delta = {"counters_since_delta_snapshot": {"log": [number % 4, 1]}}
        if number % 4 == 0:
            values["log"] = [f"entry {n}" for n in range(number)]
        write(store, "plain", number - 1, f"task-{number}", (0, "log", [f"entry {number}"]), (1, "other", number))
        put(store, "plain", number, number - 1 if number > 1 else None, values, **delta)
        if number in (10, 20):
            put(store, "plain", number + 50, None, {"inner": number}, "child:1", parents={"": f"c{number:04d}"})
    put(store, "plain", 30, 7, {"none": "a fork"}, source="fork")
    store.prune(["plain"])
    for number in (21, 22, 23):
        put(store, "plain", number, number - 1, {"rows": rows[:number], "log": list(range(number))})
    put(store, "plain", 31, 21, {"none": "a fork of what is kept"}, source="update")
    write(store, "plain", 23, "late", (0, "log", ["not yet sealed"]))


def build_merged(store: WfStore) -> None:
    """The thread "merged": two lines that were merged into each other, a third one that has another beginning."""
    for number, parent in ((1, None), (2, 1), (3, 2)):
        put(store, "merged", number, parent, {"state": number})
    put(store, "merged", 4, 1, {"state": 4}, source="fork", run_id="of the fork")
    merge(store, 5, 3, 4, base=1, branch="main")
    put(store, "merged", 6, 4, {"state": 6}, branch="fork-1")
    merge(store, 7, 6, 5, base=4, branch="fork-1")
    merge(store, 8, 5, 6, base=4, branch="main")
    put(store, "merged", 9, None, {"state": 9})
    merge(store, 10, 8, 9, base=None, branch="main")
    put(store, "merged", 11, 10, {"state": 11}, branch="main")
    store.delete_for_runs(["of the fork"])


def merge(store: WfStore, number: int, parent: int, other: int, base: int | None, branch: str) -> None:
    """Put a checkpoint of the thread "merged" that merges `other` into `parent`; `base` is their common ancestor."""

    def record(of: int) -> bytes:
        found = store.get("merged", "", f"c{of:04d}", store.codec).checkpoint
        assert found is not None
        return found.record_id

    merged = Merged(f"c{other:04d}", record(other), None if base is None else record(base))
    put(store, "merged", number, parent, {"state": number}, merged=merged, branch=branch, source="update")


def _chat(store: WfStore) -> None:
    messages: list[BaseMessage] = []
    for number in range(1, 13):
        messages.append(HumanMessage(f"Question {number}: what is {number} times {number}?", id=f"h{number}"))
        messages.append(AIMessage(f"It is {number * number}.", id=f"a{number}", response_metadata={"model": "m"}))
        put(store, "chat", number, number - 1 if number > 1 else None, {"messages": list(messages), "turns": number})
    write(store, "chat", 12, "ask", (-3, "__interrupt__", [{"value": "go on?", "id": "i1"}]), ends=True)
    write(store, "chat", 12, "ask", (-4, "__resume__", ["no"]))
    write(store, "chat", 12, "ask", (-4, "__resume__", ["no", "yes"]))
    write(store, "chat", 12, "ask", (0, "messages", messages[-1:]))
    put(store, "chat", 13, 12, {"messages": messages[4:], "turns": 13})
    put(store, "chat", 40, 6, {"messages": messages[:6], "turns": 4}, source="fork")
    store.delete_for_runs(["run-0"])
    put(store, "chat", 41, 40, {"messages": messages[:8], "turns": 5})


BEGAN = 1_767_225_600_000_000_000
TALK = [{"role": "user", "text": f"message {n}: " + "what was said, " * 5} for n in range(24)]


def _branched(store: WfStore) -> None:
    """Branches that were created, renamed, gone on with, switched to and deleted."""
    for number in range(1, 5):
        put(store, "branched", number, number - 1 or None, {"talk": TALK[:number]}, run_id="kept")
    thread = store.thread("branched")
    thread.create_branch("created", "c0002")
    thread.create_branch("to be deleted " + PAIR, "c0001")
    put(store, "branched", 5, 2, {"talk": TALK[:9]}, branch="created", run_id="gone")
    put(store, "branched", 6, 1, {"talk": TALK[:7]}, branch="to be deleted " + PAIR, run_id="kept")
    put(store, "branched", 7, 3, {"talk": TALK[:8]}, run_id="kept")
    thread.rename_branch("fork-1", "renamed \ud800")
    thread.switch("main")
    store.delete_for_runs(["gone"])
    put(store, "branched", 8, 2, {"talk": TALK[:5]}, branch="created", run_id="kept")
    thread.delete_branch("to be deleted " + PAIR)
    thread.create_branch("without a checkpoint", "c0004")


def run_record(run_id: str, **fields: Any) -> RunRecord:
    """The start of a run that says as little as possible, but for `fields`."""
    return RunRecord(run_id, 0, BEGAN, "", *(None,) * 3, False, False, *(None,) * 5)._replace(**fields)


def step_record(run_id: str, step_id: str, seq: int, **fields: Any) -> StepRecord:
    """As `run_record`, of a step."""
    record = StepRecord(step_id, run_id, seq, BEGAN + seq, None, "", None, "", "", "", 0, 0, (), False, None, None)
    return record._replace(**fields)


def call_record(run_id: str, call_id: str, seq: int, **fields: Any) -> CallRecord:
    """As `run_record`, of a call."""
    record = CallRecord(call_id, run_id, seq, BEGAN + seq, "tool", None, None, "", *(None,) * 7)
    return record._replace(**fields)


def end_note(begin: trace.Note, seq: int, values: Any = None, key: bytes | None = None, **fields: Any) -> trace.Note:
    """The end of what a note began."""
    of = trace.KIND_OF[type(begin.record)].value
    own: str = getattr(begin.record, f"{of}_id")
    record = EndRecord(of, own, begin.record.run_id, b"", seq, BEGAN + seq, "ok")._replace(**fields)
    return trace.Note(record, values or {}, key, begin)


def keep(store: WfStore, thread: str, *notes: trace.Note, run: str | None = None) -> None:
    """Store notes of one run, and wait until they are."""
    known = store.views.of(thread)
    store.views.notes.add(known, trace.NoteBatch(notes[0], notes, None, run or notes[0].record.run_id))
    store.views.notes.push(known, wait=True)


def _traced(store: WfStore) -> None:
    _traced_run(store, "kept", None, "run-kept")
    put(store, "traced", 2, 1, {"talk": TALK}, run_id="run-kept")
    _traced_run(store, "gone", "run-gone", "run-gone")
    put(store, "traced", 13, 2, {"talk": TALK[:20]}, run_id="run-gone")
    put(store, "traced", 4, 2, {"talk": TALK[:22]}, run_id="run-kept")
    store.delete_for_runs(["run-gone"])
    store.prune(["traced"])
    died = trace.Note(run_record("died \ud800", parent="kept-step"))
    keep(store, "traced", died, trace.Note(step_record("died \ud800", "died-step", 1, attempt=1, node="agent")))


def _traced_run(store: WfStore, run_id: str, metadata_run_id: str | None, deleted_by: str) -> None:
    """A run: a step with two model calls and a tool call, and a step that is interrupted."""

    def values(**found: Any) -> dict[str, Any]:
        return {name: store.codec.encode(value, "x") for name, value in found.items()}

    facts: dict[str, Any] = {"name": "graph", "metadata_run_id": metadata_run_id, "durability": "sync"}
    run = trace.Note(run_record(run_id, **facts), values(input={"question": run_id}, description={"nodes": ["agent"]}))
    names: dict[str, Any] = {"namespace": "", "checkpoint_id": "c0001", "path": "agent:t1", "node": "agent"}
    names |= {"task_id": "t1", "number": 1, "attempt": 1, "triggers": ("branch:to:agent",)}
    step = trace.Note(step_record(run_id, f"{run_id}-step", 1, **names))
    keep(store, "traced", run, step, run=deleted_by)
    if run_id == "kept":
        put(store, "traced", 1, None, {"talk": TALK[:2]}, run_id=deleted_by)
    seq = 1
    for number, size in enumerate((20, 22)):
        facts = {"type": "model", "step": f"{run_id}-step", "name": "Model", "provider": "p", "model": "m"}
        call = trace.Note(
            call_record(run_id, f"{run_id}-model-{number}", seq + 1, **facts),
            values(input=TALK[:size], parameters={"temperature": 0}, tools=[{"name": "look"}]),
            normal.content_key(TALK[:size]),
            like=f"{run_id} agent",
        )
        keep(store, "traced", call, run=deleted_by)
        facts = {"usage": Usage(100 + size, 7, 0, reasoning=2**60), "finish": ("stop",), "response_id": "r"}
        facts |= {"messages": (f"m{number}",), "tool_calls": ("look-1", "look-1"), "first_token": BEGAN + seq}
        end = end_note(call, seq + 2, values(output=TALK[size]), normal.content_key(TALK[size]), **facts)
        keep(store, "traced", end, run=deleted_by)
        seq += 2
    facts = {"step": f"{run_id}-step", "name": "look", "tool_call_id": "look-1"}
    tool = trace.Note(call_record(run_id, f"{run_id}-look", seq + 1, **facts), values(input={"at": "größe"}))
    error = ("ValueError", "nothing there \ud800")
    ends = [
        end_note(tool, seq + 2, status="error", error=error),
        end_note(step, seq + 3, values(output={"talk": TALK})),
    ]
    keep(store, "traced", tool, *ends, run=deleted_by)
    asking = trace.Note(step_record(run_id, f"{run_id}-asking", seq + 4, node="ask", send=0), values(input=[1]))
    asked = end_note(asking, seq + 5, status="interrupted", interrupts=("i1",), flags=("late",))
    done = end_note(run, seq + 6, status="interrupted", checkpoint_id="c0002", unattributed=1)
    keep(store, "traced", asking, asked, done, run=deleted_by)
