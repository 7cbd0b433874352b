"""Every public read of a thread, as a person would do them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from langgraph_wfstore import PriceTable, Thread, WfStoreError, WfStoreSaver
from langgraph_wfstore.records import CheckpointRecord
from langgraph_wfstore.threads.view import read_rows

BY = ("step", "node", "model", "tool", "run", "branch")
Read = tuple[str, Callable[[], Any]]


def read_everything(saver: WfStoreSaver, thread_id: str, folder: Path) -> tuple[int, list[WfStoreError]]:
    """How many reads gave something, and the errors of the others; what is no error of ours is an AssertionError."""
    good, errors = 0, []
    for what, read in _reads(saver, saver.store.thread(thread_id), folder):
        try:
            read()
        except WfStoreError as error:
            errors.append(error)
        except Exception as error:
            if not _is_said(what, error):
                raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error
        else:
            good += 1
    return good, errors


def _is_said(what: str, error: Exception) -> bool:
    """Whether this is what the documentation says of a question about an element that a list does not have."""
    return what == "why" and type(error) is IndexError and "elements at checkpoint" in str(error)


def _reads(saver: WfStoreSaver, thread: Thread, folder: Path) -> Iterator[Read]:
    config: Any = {"configurable": {"thread_id": thread.thread_id}}
    yield "get_tuple", lambda: saver.get_tuple(config)
    kept = _checkpoints(thread)
    for record in kept:
        own: Any = {"checkpoint_ns": record.namespace, "checkpoint_id": record.checkpoint_id}
        own = {"configurable": {**config["configurable"], **own}}
        channels = [channel.name for channel in record.channels if channel.value is not None]
        yield "get_tuple", partial(saver.get_tuple, own)
        yield "history", partial(saver.get_delta_channel_history, config=own, channels=[*channels, "log"])
        yield "checkpoint", partial(lambda *of: thread.checkpoint(*of).values, record.checkpoint_id, record.namespace)
        for channel in channels if not record.namespace else ():
            for index in (None, -1, 0):
                yield "why", partial(lambda *of: str(thread.why(*of)), record.checkpoint_id, channel, index)
    yield from _listings(saver, thread, config)
    yield from _traces(thread)
    roots = [record.checkpoint_id for record in kept if not record.namespace]
    for other in roots[::3]:
        yield "diff", partial(_differences, thread, other, roots[-1])
    yield from _removals(thread, folder)


def _checkpoints(thread: Thread) -> list[CheckpointRecord]:
    backend = thread.store.backend
    tail = backend.find(thread.thread_id.encode())
    assert tail is not None
    made = read_rows(backend.records(tail.row.number or 0, 0, tail.last))
    return [record for row, record in made if isinstance(record, CheckpointRecord) and row.state == 0]


def _listings(saver: WfStoreSaver, thread: Thread, config: Any) -> Iterator[Read]:
    yield "list", lambda: [*saver.list(config)]
    yield "list, filtered", lambda: [*saver.list(config, filter={"other": [1]})]
    yield "checkpoints", lambda: [each.values for each in thread.checkpoints()]
    for branch in thread.branches():
        yield "checkpoints of a branch", partial(thread.checkpoints, branch.name)
    yield "branches", lambda: thread.branches(cost=True, pricer=PriceTable({}))
    yield "threads", lambda: thread.store.threads(metadata={"other": 1})
    yield "verify", lambda: _verified(thread)
    yield "stats", lambda: thread.store.stats()
    for by in BY:
        yield "cost", partial(lambda by: (str(thread.cost(by, PriceTable({}))), str(thread.cost(by))), by)


def _verified(thread: Thread) -> None:
    report = thread.verify()
    assert report.ok, str(report)


def _traces(thread: Thread) -> Iterator[Read]:
    for info in [*thread.runs(), *thread.steps(), *thread.calls()]:
        yield "a trace", info.as_dict
        yield "seconds", partial(getattr, info, "seconds")
        for name in ("input", "output", "description", "parameters", "tools", "normalised_input", "normalised_output"):
            if hasattr(type(info), name):
                yield name, partial(getattr, info, name)
    for call in thread.calls():
        yield "impact", partial(lambda of: str(thread.impact(of)), call.call_id)


def _differences(thread: Thread, a: str, b: str) -> None:
    diff = thread.diff(a, b, PriceTable({}))
    str(diff)
    diff.as_dict()


def _removals(thread: Thread, folder: Path) -> Iterator[Read]:
    """What looks into every value; nothing is changed."""
    yield "export", lambda: thread.export(folder / "again.wfz")
    yield "export, some withheld", lambda: thread.export(folder / "less.wfz", redact=[lambda value: value == "x"])
    yield "export, all withheld", lambda: thread.export(folder / "none.wfz", redact=[lambda value: True])
    yield "redact", lambda: thread.redact(where=lambda value: value == "x", dry_run=True)
    yield "redact all", lambda: thread.redact(where=lambda value: True, dry_run=True)
    yield "redact messages", lambda: thread.redact(messages=["m1"], dry_run=True)
    for record in thread.store.backend.records(1, 0, 3):
        yield "prove", partial(thread.prove, f"sha256:{record.id.hex()}")
