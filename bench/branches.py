"""Ten thousand checkpoints in 500 branches: `python -m bench.branches` prints times and statement counts."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from langgraph_wfstore import WfStore
from langgraph_wfstore.appending.inputs import CheckpointInput
from langgraph_wfstore.thread import Thread

BRANCHES, LENGTH, TIMES = 500, 20, 7


def fill(store: WfStore) -> list[str]:
    """A chat of 20 checkpoints, and 499 branches from places of it and of the first ten of them; gives all ids."""
    ids: list[str] = []
    messages: dict[str, list[Any]] = {}
    for branch in range(BRANCHES):
        parent = ids[(branch * 79) % min(len(ids), 200)] if ids else None
        said = list(messages[parent]) if parent is not None else []
        for number in range(LENGTH):
            kind = HumanMessage if number % 2 == 0 else AIMessage
            said = [*said, kind(f"branch {branch}, message {number}: " + "words " * 20, id=f"{branch}-{number}")]
            new = f"{branch:04d}-{number:04d}"
            put(store, new, parent, said, f"branch {branch}" if branch and not number else None, len(said))
            messages[new] = said
            ids.append(new)
            parent = new
    return ids


def put(store: WfStore, name: str, parent: str | None, said: list[Any], branch: str | None, step: int) -> None:
    """One checkpoint."""
    new = CheckpointInput(
        namespace="",
        checkpoint_id=name,
        parent=parent,
        values={"messages": said},
        versions={"messages": step},
        new_versions=["messages"],
        versions_seen={},
        updated_channels=["messages"],
        v=4,
        ts="2026-01-01T00:00:00+00:00",
        metadata={"source": "loop", "step": step, "parents": {}},
        extra={},
        branch=branch,
    )
    store.put_checkpoint("t", new, store.codec)


class Statements:
    """Counts the statements of a SQLite store, on every connection that it opens from now on."""

    def __init__(self, store: WfStore) -> None:
        self.count = 0
        connections: Any = store.backend._connections  # type: ignore[attr-defined]  # of SQLite
        connect = connections._connect

        def counting(**options: Any) -> Any:
            db = connect(**options)
            db.set_trace_callback(self._seen)
            return db

        connections._connect = counting
        for db in connections._idle:
            db.set_trace_callback(self._seen)

    def _seen(self, statement: str) -> None:
        self.count += 1


def timed(what: str, path: Path, work: Callable[[Thread], Any]) -> None:
    """Print the median time of some calls, each of a store that was just opened and of one that is warm."""
    cold: list[float] = []
    warm: list[float] = []
    counts = []
    for _ in range(TIMES):
        with WfStore.open(path) as store:
            seen = Statements(store)
            thread = store.thread("t")
            for times in (cold, warm):
                before, begin = seen.count, time.perf_counter()
                work(thread)
                times.append(time.perf_counter() - begin)
                counts.append(seen.count - before)
    medians = [f"{statistics.median(times) * 1000:.1f} ms" for times in (cold, warm)]
    print(f"| {what} | {' | '.join(medians)} | {statistics.median(counts[::2]):.0f} |")


def main() -> None:
    """Fill a file and measure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.db"
        with WfStore.open(path) as store:
            begin = time.perf_counter()
            fill(store)
            seconds = time.perf_counter() - begin
            print(f"{BRANCHES * LENGTH} checkpoints put in {seconds:.1f} s, {path.stat().st_size} bytes\n")
        print("| | just opened | warm | statements |\n|---|---|---|---|")
        names = iter(range(1, BRANCHES))
        timed("`thread.branches()`", path, lambda thread: thread.branches())
        timed("`thread.switch(name)`", path, lambda thread: thread.switch(f"branch {next(names)}"))
        timed("`thread.create_branch(name)`", path, lambda thread: thread.create_branch(f"new {next(names)}"))
        timed("head of a branch, read", path, lambda t: t.store.get("t", "", None, t.store.codec, branch="branch 499"))
        timed("`thread.checkpoints(branch)`", path, lambda thread: thread.checkpoints(branch="branch 499"))
        timed("`thread.diff(branch, branch)`", path, lambda thread: thread.diff("branch 250", "branch 499"))


if __name__ == "__main__":
    main()
