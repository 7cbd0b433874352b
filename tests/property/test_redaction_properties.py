"""Redactions, prunes, copies and puts in any order: what was not chosen is what it was, and what was chosen is gone."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from plain_puts import examples, put, put_writes

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

import independent_verifier as other
from deep_equal import same

from langgraph_wfstore.backends.memory import MemoryBackend
from langgraph_wfstore.errors import CheckpointNotFoundError
from langgraph_wfstore.redacted import is_redacted
from langgraph_wfstore.redaction.parts import parts
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.threads.delta import delta_history

SEEDS = st.integers(0, 10**9)
Key = tuple[str, str, str]


class Model:
    """A store, what was put into it as it was read first, and the marks of what was redacted since."""

    def __init__(self, store: WfStore, random: Random) -> None:
        self.store = store
        self.random = random
        self.threads = ["t0"]
        self.known: dict[Key, Any] = {}
        self.gone: set[str] = set()
        self._marks = itertools.count()
        self._ids = itertools.count()
        self._line: dict[str, list[str]] = {"t0": []}
        self._rows: dict[str, list[Any]] = {"t0": []}

    # ------------------------------------------------------------------ what is done

    def mark(self) -> str:
        return f"<{next(self._marks):05d}>"

    def text(self) -> str:
        """Most are long enough to be objects of their own."""
        return self.mark() + "x" * self.random.choice([0, 20, 70, 90, 1100])

    def put(self) -> None:
        thread = self.random.choice(self.threads)
        line, rows = self._line[thread], self._rows[thread]
        parent = self.random.choice(line[-1:] * 4 + line) if line else None
        own = f"{next(self._ids):05d}"
        rows.insert(self.random.randrange(len(rows) + 1), self._element())
        values: dict[str, Any] = {
            "rows": rows[self.random.randrange(3) :],
            "numbers": [*range(self.random.randrange(900))],
            "map": {"list": [self._element() for _ in range(self.random.randrange(12))], "note": self.text()},
            "text": self.text(),
            "deep": {"a": [{"b": (self.text(), 1)}, self.mark()]},
            "same": "always the same " + "y" * 90,
        }
        if not self.random.randrange(3):
            values["log"] = [self.text()]
        counters = {"counters_since_delta_snapshot": {"log": [1, 1]}} if self.random.randrange(3) else {}
        extra = {"note": self.text()} if not self.random.randrange(4) else {}
        put(self.store, own, parent, values, thread=thread, version=len(line) + 1, run_id=f"run-{own[:-1]}",
            **counters, **extra)  # fmt: skip
        line.append(own)
        for task in range(self.random.randrange(3)):
            writes = [(0, "log", [self.text()]), (1, "rows", self._element())]
            put_writes(self.store, self.random.choice(line[-2:]), f"task-{own}-{task}", *writes, thread=thread)

    def _element(self) -> Any:
        kind = self.random.randrange(4)
        if kind < 2:
            return (HumanMessage, AIMessage)[kind](self.text(), id=f"m{self.mark()[1:-1]}")
        return {"row": self.text()} if kind == 2 else self.text()

    def redact(self) -> None:
        thread = self.random.choice(self.threads)
        marks = [mark for key, state in self.known.items() for mark in marks_of(state)]
        chosen = {self.random.choice(marks) for _ in range(self.random.randrange(1, 6))} if marks else set()
        if not self.random.randrange(4):
            channel = self.random.choice(["text", "rows", "map", "log"])
            chosen = set()
            for (of, *_), (values, _, _, writes) in self.known.items():
                if of in self.threads:
                    chosen |= set(marks_of(values.get(channel)))
                    chosen |= {m for _, name, value in writes if name == channel for m in marks_of(value)}
            self.store.thread(thread).redact(channels=[channel])
        else:
            self.store.thread(thread).redact(where=lambda v: isinstance(v, str) and any(mark in v for mark in chosen))
        self.gone |= chosen

    def copy(self) -> None:
        source, target = self.random.choice(self.threads), f"t{next(self._ids)}c"
        if not self._line[source]:
            return
        self.store.copy_thread(source, target)
        self.threads.append(target)
        self._line[target], self._rows[target] = [*self._line[source]], [*self._rows[source]]
        self.known |= {(target, *key[1:]): state for key, state in self.known.items() if key[0] == source}

    def prune(self) -> None:
        self.store.prune([self.random.choice(self.threads)])

    def delete_runs(self) -> None:
        self.store.delete_for_runs([f"run-{self.random.randrange(4):04d}"])

    def delete_thread(self) -> None:
        if len(self.threads) > 1:
            gone = self.threads.pop(self.random.randrange(len(self.threads)))
            self.store.delete_thread(gone)
            self.known = {key: state for key, state in self.known.items() if key[0] != gone}

    def branch(self) -> None:
        thread = self.random.choice(self.threads)
        if self._line[thread]:
            try:
                at = self.random.choice(self._line[thread])
                self.store.thread(thread).create_branch(f"b{next(self._ids)}", at)
            except CheckpointNotFoundError:
                return  # it was pruned

    # ------------------------------------------------------------------ what must hold

    def step(self) -> None:
        acts = [self.put] * 6 + [self.redact] * 3 + [self.copy, self.prune, self.delete_runs, self.delete_thread]
        act = self.random.choice([*acts, self.branch])
        if act is not self.put and not any(self._line.values()):
            return
        act()
        self.check()

    def check(self) -> None:
        self._forget_lines()
        for reader in (self.store, WfStore(self.store.backend)):
            for thread in self.threads:
                if not self._line[thread] and self.store.backend.find(thread.encode()) is None:
                    continue
                for found in reader.history(thread, None, reader.codec):
                    key = (thread, found.record.namespace, found.record.checkpoint_id)
                    now = (found.values, found.metadata, found.extra, found.writes)
                    old = self.known.get(key)
                    assert not self.gone.intersection(marks_of(now))
                    if old is None or len(old[3]) != len(now[3]):
                        self.known[key] = now
                    else:
                        assert is_what_is_left(old, now, self.gone), (old, now)
                    channels = list(found.metadata.get("counters_since_delta_snapshot", {}))
                    walked = delta_history(reader.views, thread, "", key[2], channels, reader.codec)
                    assert not self.gone.intersection(marks_of(walked))
                report = reader.thread(thread).verify()
                assert report.ok, report.problems
        assert not self.gone.intersection(marks_of(str(everything(self.store))))

    def _forget_lines(self) -> None:
        """What was pruned is no parent any more."""
        for thread, line in self._line.items():
            if thread in self.threads and line:
                line[:] = [
                    name for name in line if self.store.get(thread, "", name, self.store.codec).checkpoint is not None
                ]


def marks_of(value: Any) -> list[str]:
    """The marks in a value, wherever they stand in it."""
    found = []
    for part in parts(value):
        if isinstance(part, str):
            found += [piece[:5] for piece in part.split("<")[1:] if piece[5:6] == ">"]
    return [f"<{mark}>" for mark in found]


def everything(store: WfStore) -> bytes:
    """The bytes of all records and objects."""
    found = b""
    for tail in store.backend.threads(0, 1000):
        found += b"".join(row.body for row in store.backend.records(tail.row.number or 0, 0, 100_000))
        found += b"".join(row.data for row in store.backend.all_objects(tail.row.lineage or 0))
    return found


def is_what_is_left(old: Any, new: Any, gone: set[str]) -> bool:
    """Whether a value is what it was, but for what holds something that is gone."""
    if not gone.intersection(marks_of(old)):
        return same(new, old)
    if type(old) is type(new) and isinstance(old, dict):
        # Of redacted metadata the record's part is left.
        return set(new) <= set(old) and all(is_what_is_left(old[key], new[key], gone) for key in new)
    if type(old) is type(new) and isinstance(old, tuple) and len(old) == len(new):
        return all(is_what_is_left(a, b, gone) for a, b in zip(old, new, strict=True))
    if isinstance(old, list) and isinstance(new, list):
        return _is_rest(old, new, gone)
    return is_redacted(new) or (isinstance(new, tuple) and all(map(is_redacted, new)))


def _is_rest(old: list[Any], new: list[Any], gone: set[str]) -> bool:
    """Whether a list is what it was, but for elements that hold what is gone, and small ones that were beside those."""
    left = [item for item in new if not is_redacted(item)]
    at = 0
    for item in old:
        if at < len(left) and is_what_is_left(item, left[at], gone):
            at += 1
        elif not gone.intersection(marks_of(item)) and len(repr(item)) > 250:
            return False
    return at == len(left)


def secrets() -> Any:
    """Another secret each time."""
    return (number.to_bytes(32, "big") for number in itertools.count(1)).__next__


@examples(60)
@given(SEEDS, st.integers(1, 30))
def test_what_is_not_chosen_is_what_it_was_and_what_is_chosen_is_gone(seed, steps):
    model = Model(WfStore(MemoryBackend(), lineage_secret=secrets()), Random(seed))
    for _ in range(steps):
        model.step()


@examples(6)
@given(SEEDS, st.integers(10, 25))
def test_in_a_file_it_is_the_same_and_an_independent_verifier_agrees(seed, steps):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "agent.db"
        with WfStore.open(path, lineage_secret=secrets()) as store:
            model = Model(store, Random(seed))
            for _ in range(steps):
                model.step()
            counts = {name: store.thread(name).verify().redacted for name in model.threads if model._line[name]}
        found = other.verify(path)
        assert not [problem for report in found.values() for problem in report.problems]
        assert {name: found[name].redacted for name in counts} == counts
