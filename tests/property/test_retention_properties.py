"""Whatever is removed, what stays is what it was: states, writes, and the history of delta channels."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from plain_puts import examples, memory_store, put, put_writes

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from deep_equal import same

from langgraph_wfstore.store import WfStore
from langgraph_wfstore.threads.delta import delta_history

DELTA = ["log", "notes"]
SEEDS = st.integers(0, 10**9)
Key = tuple[str, str]


def build(store: WfStore, random: Random, size: int) -> None:
    """A thread with lists, dicts, forks, sub-graphs, pending writes, and delta channels with snapshots."""
    made: dict[str, list[str]] = {"": [], "child:1": []}
    rows: list[Any] = []
    for number in range(size):
        namespace = "child:1" if made[""] and not random.randrange(4) else ""
        line = made[namespace]
        parent = random.choice(line[-1:] * 5 + line) if line else None
        own = f"{number:04d}"
        rows.insert(random.randrange(len(rows) + 1), {"row": number, "text": "x" * random.randrange(120)})
        values: dict[str, Any] = {
            "rows": list(rows[random.randrange(3) :]),
            "numbers": list(range(random.randrange(700))),
            "dict": {"list": [{"n": n} for n in range(random.randrange(40))], "same": "always"},
            "same": f"text {random.randrange(3)}",
        }
        for channel in DELTA:
            if not random.randrange(5):
                values[channel] = [f"snapshot {number}"]
        metadata: dict[str, Any] = {"run_id": f"run-{number // 3}", "parents": {"": made[""][-1]} if namespace else {}}
        if random.randrange(4):
            metadata["counters_since_delta_snapshot"] = {c: [1, 1] for c in DELTA if random.randrange(4)}
        put(store, own, parent, values, namespace=namespace, version=number, **metadata)
        line.append(own)
        for task in range(random.randrange(3)):
            anchor = random.choice(made[""][-2:] or ["0000"])
            put_writes(
                store, anchor, f"task-{task}", (0, random.choice([*DELTA, "rows"]), [number, task]), (1, "x", number)
            )
        if not random.randrange(6):
            put_writes(store, (made[""] or ["0000"])[-1], "ask", (-3, "__interrupt__", number), ends_run=True)


def states(store: WfStore) -> dict[Key, Any]:
    """Everything that is shown, as values."""
    return {
        (found.record.namespace, found.record.checkpoint_id): (found.values, found.metadata, found.extra, found.writes)
        for found in store.history("t", None, store.codec)
    }


def histories(store: WfStore, keys: set[Key]) -> dict[Key, Any]:
    """The delta history of each checkpoint, over the channels that its metadata name."""
    found = {}
    for namespace, name in keys:
        shown = store.get("t", namespace, name, store.codec).checkpoint
        assert shown is not None
        channels = list(shown.metadata.get("counters_since_delta_snapshot", {}))
        found[namespace, name] = delta_history(store.views, "t", namespace, name, channels, store.codec)
    return found


def remove(store: WfStore, random: Random, size: int) -> set[str]:
    """One removal; gives the runs that went."""
    if random.randrange(2):
        store.prune(["t"])
        return set()
    runs = {f"run-{random.randrange(size // 3 + 1)}" for _ in range(random.randrange(1, 4))}
    store.delete_for_runs(sorted(runs))
    return runs


@examples(60)
@given(SEEDS, st.integers(1, 25), st.integers(1, 3))
def test_what_is_kept_is_what_it_was(seed, size, removals):
    random = Random(seed)
    store = memory_store()
    build(store, random, size)
    before = states(store)
    history = histories(store, set(before))
    gone: set[str] = set()
    for _ in range(removals):
        gone |= remove(store, random, size)
        for reader in (store, WfStore(store.backend)):
            after = states(reader)
            assert set(after) <= set(before)
            assert all(same(after[key], before[key]) for key in after)
            found = histories(reader, set(after))
            assert all(same(found[key], history[key]) for key in found)
            assert not {metadata["run_id"] for _, metadata, _, _ in after.values()} & gone
        assert store.thread("t").verify().problems == ()


@examples(40)
@given(SEEDS, st.integers(1, 25))
def test_pruning_keeps_the_head_of_every_branch_and_pruning_again_does_nothing(seed, size):
    store = memory_store()
    build(store, Random(seed), size)
    latest = store.get("t", "", None, store.codec).checkpoint
    assert latest is not None
    heads = {branch.head for branch in store.views.of("t").heads.values()}
    store.prune(["t"])
    assert {branch.head for branch in store.views.of("t").heads.values()} <= heads | {0}
    again = store.get("t", "", None, store.codec).checkpoint
    assert again is not None and again.record == latest.record
    head = store.thread("t").head
    store.prune(["t"])
    assert store.thread("t").head == head


@examples(40)
@given(SEEDS, st.integers(1, 20))
def test_a_copy_keeps_what_its_source_loses(seed, size):
    random = Random(seed)
    store = memory_store()
    build(store, random, size)
    before = states(store)
    store.copy_thread("t", "copy")
    remove(store, random, size) if random.randrange(2) else store.delete_thread("t")
    kept = {
        (found.record.namespace, found.record.checkpoint_id): (found.values, found.metadata, found.extra, found.writes)
        for found in store.history("copy", None, store.codec)
    }
    runs = {metadata["run_id"] for _, metadata, _, _ in kept.values()}
    assert all(same(kept[key], before[key]) for key in kept)
    assert set(kept) == {key for key in before if before[key][1]["run_id"] in runs}
    assert store.thread("copy").verify().problems == ()


@examples(30)
@given(SEEDS, st.integers(1, 20))
def test_no_object_stays_that_nothing_needs(seed, size):
    store = memory_store()
    build(store, Random(seed), size)
    store.delete_for_runs([f"run-{n}" for n in range(size)])
    assert states(store) == {}
    assert store.thread("t").verify().problems == ()
    store.delete_thread("t")
    assert store.stats()["objects"] == store.stats()["lists"] == store.stats()["maps"] == 0
