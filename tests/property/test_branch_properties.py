"""Whatever is put and whatever is done to branches, names, heads, lines and states are those of a simple model."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from plain_puts import examples, memory_store, put, values_of

from langgraph_wfstore.store import WfStore

NAMES = ["a", "b", "c"]


@dataclass
class Model:
    """Lines of checkpoint ids by branch name, in the order of the branches' starts; and which one is current."""

    lines: dict[str, list[str]] = field(default_factory=lambda: {"main": []})
    current: str = "main"
    parents: dict[str, str | None] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def line_to(self, checkpoint_id: str | None) -> list[str]:
        line: list[str] = []
        while checkpoint_id is not None:
            line.insert(0, checkpoint_id)
            checkpoint_id = self.parents[checkpoint_id]
        return line

    def put(self, checkpoint_id: str, parent: str | None, branch: str | None) -> None:
        """An isolated put: what it starts does not become current."""
        heads = {name: line[-1] if line else None for name, line in self.lines.items()}
        self.parents[checkpoint_id] = parent
        own = None if parent is None else self.own[parent]
        goes_on = [name for name in (branch, self.current, own) if name in heads and heads[name] == parent is not None]
        if branch is not None and branch not in heads:
            name = branch
        elif goes_on:
            name = goes_on[0]
        elif not any(heads.values()):
            name = "main"
        else:
            name = next(f"fork-{n}" for n in range(1, 100) if f"fork-{n}" not in heads)
        self.lines[name] = self.line_to(checkpoint_id)
        self.own[checkpoint_id] = name

    def kept(self) -> list[str]:
        return [each for each in self.parents if any(each in line for line in self.lines.values())]

    def rename(self, name: str, to: str) -> None:
        self.lines = {to if each == name else each: line for each, line in self.lines.items()}
        self.own = {each: to if on == name else on for each, on in self.own.items()}
        self.current = to if self.current == name else self.current

    def delete(self, name: str) -> None:
        del self.lines[name]
        self.own = {each: "" if on == name else on for each, on in self.own.items()}
        kept = self.kept()
        self.parents = {each: parent for each, parent in self.parents.items() if each in kept}


def one_step(random: Random, store: WfStore, model: Model, number: int) -> None:
    """Do one thing to the store and to the model."""
    ids, names = model.kept(), [*model.lines]
    free = [name for name in NAMES if name not in names]
    what = random.choice(["put"] * 6 + ["create", "rename", "switch", "delete"])
    if what == "put" or not ids:
        heads = [line[-1] for line in model.lines.values() if line]
        parent = random.choice([*heads * 2, *ids]) if ids else None
        branch = random.choice([None, None, random.choice(names), *free[:1]]) if ids else None
        put(store, f"{number:03d}", parent, {"n": number}, version=number, branch=branch, isolated=True)
        model.put(f"{number:03d}", parent, branch)
        return
    thread = store.thread("t")
    if what == "create" and free:
        base = random.choice(ids)
        thread.create_branch(free[0], base)
        model.lines[free[0]] = model.line_to(base)
    elif what == "rename" and free and len(names) > 1:
        thread.rename_branch(names[-1], free[0])
        model.rename(names[-1], free[0])
    elif what == "switch":
        name = random.choice(names)
        if model.lines[name]:
            thread.switch(name)
            model.current = name
    elif what == "delete":
        name = random.choice(names)
        if name not in ("main", model.current):
            thread.delete_branch(name)
            model.delete(name)


def seen(store: WfStore) -> Model:
    """What the store says, as far as the model says it."""
    thread = store.thread("t")
    branches = thread.branches()
    lines = {b.name: [c.checkpoint_id for c in thread.checkpoints(branch=b.name)][::-1] for b in branches}
    assert {b.name: b.head for b in branches} == {name: line[-1] if line else None for name, line in lines.items()}
    return Model(lines, next(b.name for b in branches if b.current))


@examples(120)
@given(st.integers(0, 10**9).map(Random), st.integers(1, 40))
def test_branches_are_those_of_a_model(random: Random, steps: int) -> None:
    store, model = memory_store(), Model()
    for number in range(steps):
        one_step(random, store, model, number)
        if random.random() < 0.2 or number == steps - 1:
            other = WfStore(store.backend)  # what another process finds
            assert (seen(other).lines, seen(other).current) == (model.lines, model.current)
            assert (seen(store).lines, seen(store).current) == (model.lines, model.current)
            assert store.thread("t").verify().problems == ()
    for checkpoint_id in model.kept():
        assert values_of(store, checkpoint_id) == {"n": int(checkpoint_id)}
    assert {c.checkpoint_id for c in store.thread("t").checkpoints()} == {*model.kept()}
    store.prune(["t"])
    heads = {name: line[-1] if line else None for name, line in model.lines.items()}
    assert {b.name: b.head for b in store.thread("t").branches()} == heads
    assert store.thread("t").verify().problems == ()
