"""Comparing checkpoints of random trees: the base is the last common one, the changes lead from it to each side."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.diff.comparing import applied
from langgraph_wfstore.diff.diff import ChannelChange, Diff, Side
from langgraph_wfstore.testing.material import checkpoint_of, config_of, id_of, metadata_of

elements = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(["a", "b", "text " * 20, "other text " * 20]),
    st.builds(lambda n, text: HumanMessage(text * 9, id=f"m{n}"), st.integers(0, 4), st.sampled_from("xy")),
    st.fixed_dictionaries({"k": st.integers(0, 2), "text": st.just("long " * 20)}),
)
lists = st.lists(elements, max_size=8)
dicts = st.dictionaries(st.sampled_from("abc"), st.one_of(elements, lists), max_size=3)
states = st.fixed_dictionaries({}, optional={"list": lists, "dict": dicts, "value": elements})
# Each checkpoint: which of the earlier ones it follows, counted from the last; and its state.
trees = st.lists(st.tuples(st.integers(0, 3), states), min_size=2, max_size=8)
kept = st.lists(lists, min_size=3, max_size=3)


class Tree:
    """A thread with these checkpoints."""

    def __init__(self, saver: WfStoreSaver, plan: list[tuple[int, dict[str, Any]]]) -> None:
        self.parents: list[int | None] = []
        self.states = [state for _, state in plan]
        configs: list[Any] = []
        for at, (back, state) in enumerate(plan):
            parent = None if at == 0 else max(0, at - 1 - back)
            config = config_of() if parent is None else configs[parent]
            configs.append(saver.put(config, checkpoint_of(state, dict.fromkeys(state, at + 1)), metadata_of(at), {}))
            self.parents.append(parent)
        self.ids = [id_of(config) for config in configs]
        self.thread = saver.store.thread("t")

    def line(self, at: int | None) -> list[int]:
        found = []
        while at is not None:
            found.append(at)
            at = self.parents[at]
        return found


def key(value: Any) -> str:
    return repr(value)


def follows(change: ChannelChange, old: Any, new: Any) -> None:
    """The change says how to get from the old value to the new one."""
    assert key(change.old) == key(old) and key(change.new) == key(new)
    if (isinstance(new, list) and isinstance(old, list | None)) or (isinstance(old, list) and new is None):
        assert change.elements is not None
        assert key(applied(change.elements, old or [], lambda edit: edit.new)) == key(new or [])
        for edit in change.elements:
            assert edit.before is None or key(edit.old) == key((old or [])[edit.before])
    else:
        assert change.elements is None
    if isinstance(new, dict) and isinstance(old, dict):
        assert change.keys is not None
        made = {k: v for k, v in old.items() if k in new} | {c.key: c.new for c in change.keys if c.kind != "removed"}
        assert {k: key(v) for k, v in made.items()} == {k: key(v) for k, v in new.items()}
        assert all(key(old.get(c.key)) != key(new.get(c.key)) or (c.key in old) != (c.key in new) for c in change.keys)


def check_side(side: Side, base: dict[str, Any], state: dict[str, Any]) -> None:
    changed = {name for name in {*base, *state} if name not in base or name not in state or differs(base, state, name)}
    assert {change.name for change in side.changes} == changed
    for change in side.changes:
        follows(change, base.get(change.name), state.get(change.name))


def differs(a: dict[str, Any], b: dict[str, Any], name: str) -> bool:
    return (name in a) != (name in b) or key(a.get(name)) != key(b.get(name))


def check_status(diff: Diff, base: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> None:
    for channel in diff.channels:
        name = channel.name
        by_a, by_b, apart = differs(base, a, name), differs(base, b, name), differs(a, b, name)
        expected = "only a" if by_a and not by_b else "only b" if by_b and not by_a else "same"
        if by_a and by_b:
            expected = "both differently" if apart else "both alike"
        assert channel.status == expected
        assert (channel.between is None) == (not apart)
        if channel.between is not None:
            follows(channel.between, a.get(name), b.get(name))


@settings(max_examples=60, deadline=None)
@given(trees, st.data())
def test_what_differs_leads_from_the_last_common_checkpoint_to_each_side(plan: list[Any], data: st.DataObject) -> None:
    with WfStoreSaver(":memory:") as saver:
        tree = Tree(saver, plan)
        i, j = (data.draw(st.integers(0, len(plan) - 1)) for _ in range(2))
        found = tree.thread.diff(tree.ids[i], tree.ids[j])
        base = next(at for at in tree.line(i) if at in tree.line(j))
        assert found.base == tree.ids[base]
        for side, head in ((found.a, i), (found.b, j)):
            since = [tree.ids[at] for at in tree.line(head) if at > base][::-1]
            assert [item.checkpoint_id for item in side.checkpoints] == since
            check_side(side, tree.states[base], tree.states[head])
        check_status(found, tree.states[base], tree.states[i], tree.states[j])
        mirrored = tree.thread.diff(tree.ids[j], tree.ids[i])
        assert (found.a.as_dict(), found.b.as_dict()) == (mirrored.b.as_dict(), mirrored.a.as_dict())
        assert json.loads(json.dumps(found.as_dict()))["base"] == found.base and str(found)
        itself = tree.thread.diff(tree.ids[i], tree.ids[i])
        assert itself.empty and not itself.a.changes and {c.status for c in itself.channels} <= {"same"}
