"""Whatever a policy removes, it is what a simple model removes, and what stays is what it was."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from plain_puts import examples, memory_store, put
from test_retention_properties import DELTA, Key, histories, states

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from deep_equal import same

from langgraph_wfstore.appending.inputs import WritesInput
from langgraph_wfstore.errors import RetentionError
from langgraph_wfstore.retention.policy import unreferenced
from langgraph_wfstore.retention.removal import whole_of
from langgraph_wfstore.store import WfStore

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
NAMESPACES = ["child:1", "child:2", "remembers", "child:1|inner:1"]


@dataclass
class Put:
    """A checkpoint as it was put; `time` is None if it says none."""

    parent: str | None
    time: datetime | None
    asks: bool = False


@dataclass
class Model:
    """The root checkpoints of a thread."""

    roots: dict[str, Put] = field(default_factory=dict)
    below: dict[Key, str] = field(default_factory=dict)
    times: dict[Key, datetime | None] = field(default_factory=dict)
    asking: set[Key] = field(default_factory=set)

    def line(self, head: str | None) -> list[str]:
        found = []
        while head is not None:
            found.append(head)
            head = self.roots[head].parent
        return found


def moment(random: Random, number: int) -> tuple[datetime | None, str]:
    """Mostly later than the one before; sometimes none that can be read."""
    if not random.randrange(12):
        return None, random.choice(["", "soon", "2026-01-01T00:00:00"])
    at = NOW - (60 - number) * DAY + random.randrange(-5, 6) * DAY
    return at, at.isoformat()


def build(store: WfStore, random: Random, size: int) -> Model:
    """A thread with branches, named and not, sub-graphs, questions, and delta channels with snapshots."""
    model = Model()
    last: dict[str, str] = {}
    for number in range(size):
        namespace = random.choice(NAMESPACES) if model.roots and not random.randrange(3) else ""
        own = f"{number:03d}"
        at, ts = moment(random, number)
        values: dict[str, Any] = {
            "rows": [{"row": n, "text": f"{n} " * 30} for n in range(random.randrange(12))],
            **{channel: [f"snapshot {number}"] for channel in DELTA if not random.randrange(4)},
        }
        counters = {"counters_since_delta_snapshot": {c: [1, 1] for c in DELTA}} if random.randrange(3) else {}
        names = [*model.roots]
        if namespace:
            root = random.choice(names[-3:])
            model.below[namespace, own] = root
            parent = last.get(namespace)
            last[namespace] = own
            put(store, own, parent, values, namespace=namespace, version=number, ts=ts, parents={"": root}, **counters)
        else:
            parent = random.choice(names[-1:] * 3 + names) if names else None
            branch = random.choice([None, None, None, f"named {number}"]) if names else None
            isolated = bool(random.randrange(2))
            put(store, own, parent, values, version=number, ts=ts, branch=branch, isolated=isolated, **counters)
            model.roots[own] = Put(parent, at)
        key = (namespace, own)
        model.times[key] = at
        write(store, random, key, number)
        if not random.randrange(9):
            name = random.choice(["fork-{}", "made {}"]).format(100 + number)
            store.thread("t").create_branch(name, random.choice([*model.roots]))
        if not random.randrange(7):
            asked = WritesInput(namespace, own, "ask", "", [(-3, "__interrupt__", number)], ends_run=True)
            store.put_writes("t", asked, store.codec)
            model.asking.add(key)
    return model


def write(store: WfStore, random: Random, key: Key, number: int) -> None:
    for task in range(random.randrange(3)):
        channel = random.choice([*DELTA, "rows"])
        store.put_writes("t", WritesInput(*key, f"task {task}", "", [(0, channel, [number, task])]), store.codec)


def policy_of(random: Random) -> dict[str, Any]:
    keep_last = random.choice([None, None, 1, 2, 4])
    older_than = random.choice([None, NOW - random.randrange(20, 70) * DAY])
    return {"keep_last": keep_last, "older_than": older_than, "branches": not random.randrange(2)}


def heads(store: WfStore) -> dict[str, tuple[str | None, bool]]:
    return {branch.name: (branch.head, branch.current) for branch in store.thread("t").branches()}


def expected_branches(store: WfStore, model: Model, older_than: datetime | None) -> set[str]:
    """Names of the branches that go, by the words of the documentation."""
    branches = {b.name: b for b in store.thread("t").branches()}
    starts = {name: b.base for name, b in branches.items()}
    own = {name: set(model.line(b.head)) - set(model.line(b.base)) for name, b in branches.items()}

    def may_go(name: str) -> bool:
        under = {key for key, root in model.below.items() if root in own[name]}
        keys = under | {("", each) for each in own[name]}
        old = older_than is None or all((at := model.times[key]) is not None and at < older_than for key in keys)
        head = branches[name].head
        last = {namespace: each for (namespace, each), root in model.below.items() if root == head}
        asks = {("", head), *last.items()} & model.asking
        return name.startswith("fork-") and not branches[name].current and old and not asks

    going = {name for name in branches if may_go(name)}
    while used := {n for n in going for other in branches if other not in going and starts[other] in own[n]}:
        going -= used
    return going


def expected_roots(store: WfStore, model: Model, policy: dict[str, Any], going: set[str]) -> set[str]:
    """Root checkpoints that stay."""
    kept: set[str] = set()
    for name, (head, _) in heads(store).items():
        if name not in going:
            kept |= set(model.line(head)[: policy["keep_last"] or 1])
    if policy["older_than"] is not None:
        kept |= {each for each, one in model.roots.items() if one.time is None or one.time >= policy["older_than"]}
    return kept


@examples(100)
@given(st.integers(0, 10**9).map(Random), st.integers(1, 30))
def test_a_policy_removes_what_a_model_says_and_what_stays_is_what_it_was(random: Random, size: int) -> None:
    store = memory_store()
    model = build(store, random, size)
    before, branches = states(store), heads(store)
    history = histories(store, set(before))
    policy = policy_of(random)
    going = expected_branches(store, model, policy["older_than"]) if policy["branches"] else set()
    roots = expected_roots(store, model, policy, going)
    stats = store.stats()
    dry = store.prune(["t"], dry_run=True, **policy)
    assert store.stats() == stats
    report = store.prune(["t"], **policy)
    assert report.threads == dry.threads
    objects = [sum(each[name] for name in ("objects", "lists", "maps")) for each in (stats, store.stats())]
    assert report.total.objects == objects[0] - objects[1]
    for reader in (store, WfStore(store.backend)):
        after = states(reader)
        assert {name for namespace, name in after if not namespace} == roots
        assert all(same(after[key], before[key]) for key in after)
        found = histories(reader, set(after))
        assert all(same(found[key], history[key]) for key in found)
        assert heads(reader) == {name: branch for name, branch in branches.items() if name not in going}
    assert report.total.checkpoints == len(before) - len(after)
    assert set(report.total.branches) == going
    assert store.thread("t").verify().problems == ()
    assert store.prune(["t"], **policy).total.checkpoints == 0
    check_sub_graphs(model, policy, set(after))
    check_memories(model, set(after), roots)
    check_parents(store, model, roots)


def check_parents(store: WfStore, model: Model, roots: set[str]) -> None:
    for name in roots:
        found = store.get("t", "", name, store.codec).checkpoint
        assert found is not None
        above = [each for each in model.line(name)[1:] if each in roots]
        assert found.parent == (above[0] if above else None)


def check_sub_graphs(model: Model, policy: dict[str, Any], after: set[Key]) -> None:
    """Of every root checkpoint that stays, what its sub-graphs go on from stays; what is young stays."""
    for (namespace, name), root in model.below.items():
        stays = (namespace, name) in after
        at = model.times[namespace, name]
        if ("", root) in after:
            later = [n for (ns, n), r in model.below.items() if (ns, r) == (namespace, root) and n > name]
            assert stays or later
        elif policy["older_than"] is not None and policy["keep_last"] is None and at is not None and ":" in namespace:
            assert stays == (at >= policy["older_than"]) or (namespace, name) in model.asking


def check_memories(model: Model, after: set[Key], roots: set[str]) -> None:
    """Of a sub-graph that remembers, the last that a root checkpoint that stays, or an ancestor, has stays."""
    for root in roots:
        for above in model.line(root):
            if saved := [n for (namespace, n), r in model.below.items() if (namespace, r) == ("remembers", above)]:
                assert ("remembers", max(saved)) in after
                break


@examples(40)
@given(st.integers(0, 10**9).map(Random), st.integers(1, 25))
def test_nothing_younger_than_the_floor_goes(random: Random, size: int) -> None:
    store = memory_store()
    model = build(store, random, size)
    floor = random.randrange(20, 70) * DAY
    store.set_retention_floor(floor)
    before = states(store)
    head = store.thread("t").head
    what = random.choice(["prune", "delete", "branch"])
    try:
        if what == "prune":
            store.prune(**policy_of(random))
        elif what == "delete":
            store.delete_thread("t")
        else:
            idle = [name for name, (_, current) in heads(store).items() if name != "main" and not current]
            store.thread("t").delete_branch(random.choice(idle)) if idle else None
    except RetentionError:
        assert store.thread("t").head == head
        assert states(store).keys() == before.keys()
        return
    kept = set() if what == "delete" else set(states(store))
    gone = [model.times[key] for key in before.keys() - kept]
    assert all(at is not None and at <= datetime.now(UTC) - floor for at in gone)


@examples(40)
@given(st.integers(0, 10**9).map(Random), st.integers(1, 25))
def test_the_branches_that_nobody_uses_are_those_of_the_model(random: Random, size: int) -> None:
    store = memory_store()
    model = build(store, random, size)
    whole = whole_of(store.backend, store.views.tail("t"))
    names = {branch.number: branch.name.decode() for branch in whole.tail.branches}
    assert {names[number] for number in unreferenced(whole)} == expected_branches(store, model, None)
