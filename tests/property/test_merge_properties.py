"""Merging is an algebra: an unchanged side gives the other one, order aside no side is special, nothing is lost."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import assume, given
from hypothesis import strategies as st
from plain_puts import examples, memory_store, put

from langgraph_wfstore.appending.inputs import CheckpointInput, Merged
from langgraph_wfstore.errors import MergeConflictError
from langgraph_wfstore.merge.element_merge import Clash, merged_dict, merged_list
from langgraph_wfstore.merge.reducers import Channels
from langgraph_wfstore.merge.schedule import seen_after_merge
from langgraph_wfstore.records import Channel, CheckpointRecord, Ref
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.threads.merge_base import common_ancestor, parents_of


class Message(NamedTuple):
    """As far as a merge looks at one."""

    id: str
    content: int
    type: str = "human"


def token(value: Any) -> object:
    return value


NUMBERS = st.lists(st.integers(0, 3), max_size=6)
MESSAGES = st.lists(st.builds(Message, st.sampled_from("abcdefg"), st.integers(0, 1)), unique_by=lambda m: m.id)
DICTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


def outcome(merge: Any, base: Any, ours: Any, theirs: Any) -> Any:
    """What is merged, None for a clash."""
    try:
        return merge(base, ours, theirs, token)
    except Clash:
        return None


def bag(value: Any) -> Any:
    return Counter(value) if isinstance(value, list) else value


@examples(300)
@given(st.one_of(*(st.tuples(kind, kind) for kind in (NUMBERS, MESSAGES))))
def test_a_list_with_an_unchanged_side_is_the_other_one_or_a_clash(pair):
    base, changed = pair
    for found in (outcome(merged_list, base, base, changed), outcome(merged_list, base, changed, base)):
        assert found is None or found == changed


@examples(300)
@given(DICTS, DICTS)
def test_a_dict_with_an_unchanged_side_is_the_other_one(base, changed):
    assert outcome(merged_dict, base, base, changed) == outcome(merged_dict, base, changed, base) == changed


@examples(300)
@given(st.one_of(*(st.tuples(kind, kind, kind) for kind in (NUMBERS, MESSAGES))))
def test_lists_are_merged_in_either_direction_alike_up_to_order(three):
    base, ours, theirs = three
    assert bag(outcome(merged_list, base, ours, theirs)) == bag(outcome(merged_list, base, theirs, ours))


@examples(100)
@given(MESSAGES.filter(lambda found: len(found) > 1), MESSAGES)
def test_messages_that_one_side_moved_are_not_merged(base, more):
    new = [message for message in more if message.id not in {each.id for each in base}]
    assert outcome(merged_list, base, base[::-1], base + new) is None
    assert outcome(merged_list, base, base + new, base[::-1]) is None


@examples(300)
@given(DICTS, DICTS, DICTS)
def test_dicts_are_merged_in_either_direction_alike(base, ours, theirs):
    assert outcome(merged_dict, base, ours, theirs) == outcome(merged_dict, base, theirs, ours)


@examples(300)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_nothing_that_was_appended_is_lost_or_doubled(base, more, others):
    found = merged_list(base, base + more, base + others, token)
    assert found == base + more + others


@examples(300)
@given(MESSAGES, MESSAGES, MESSAGES)
def test_of_messages_every_change_of_either_side_is_there_once(base, ours, theirs):
    found = outcome(merged_list, base, ours, theirs)
    assume(found is not None)
    before, here, there, after = ({m.id: m for m in side} for side in (base, ours, theirs, found))
    assert len(after) == len(found)
    for name in {*before, *here, *there}:
        changed = [side.get(name) for side in (here, there) if side.get(name) != before.get(name)]
        assert after.get(name) == (changed[0] if changed else before.get(name))


CHANNELS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 2))


def merged_values(base: dict[str, int], ours: dict[str, int], theirs: dict[str, int]) -> Any:
    """The values of a merge of two checkpoints; None for conflicts, whose channels are given then."""
    store = memory_store()
    put(store, "c1", None, base)
    put(store, "c2", "c1", ours, version=2)
    put(store, "c3", "c1", theirs, version=2)
    try:
        store.thread("t").merge("fork-1", "main")
    except MergeConflictError as error:
        return None, {conflict.channel for conflict in error.conflicts}
    assert store.thread("t").verify().problems == ()
    return _head(store), set()


def _head(store: WfStore) -> dict[str, Any] | None:
    found = store.get("t", "", None, store.codec, branch="main").checkpoint
    return None if found is None else found.values


@examples(60)
@given(CHANNELS, CHANNELS)
def test_a_state_with_an_unchanged_side_is_the_other_one(base, changed):
    assert merged_values(base, base, changed) == merged_values(base, changed, base) == (changed, set())


@examples(100)
@given(CHANNELS, CHANNELS, CHANNELS)
def test_states_are_merged_in_either_direction_alike_and_so_are_conflicts_found(base, ours, theirs):
    assert merged_values(base, ours, theirs) == merged_values(base, theirs, ours)


@examples(60)
@given(CHANNELS, CHANNELS, CHANNELS)
def test_a_merged_state_has_each_change_of_either_side(base, ours, theirs):
    found, conflicts = merged_values(base, ours, theirs)
    clashing = {
        name
        for name in {*base, *ours, *theirs}
        if len({ours.get(name), theirs.get(name), base.get(name)}) == 3 and ours.get(name) != theirs.get(name)
    }
    assert conflicts == clashing
    for name in {*base, *ours, *theirs} if found is not None else ():
        changed = [side.get(name) for side in (ours, theirs) if side.get(name) != base.get(name)]
        assert found.get(name) == (changed[0] if changed else base.get(name))


@examples(60)
@given(st.integers(0, 10**9).map(Random), st.integers(2, 25))
def test_the_common_ancestor_is_the_last_one_in_causal_order_of_all(random, size):
    store = memory_store()
    above: dict[str, list[str]] = {}
    for number in range(size):
        name = f"{random.randrange(10**6):06d}-{number}"
        names = random.sample(sorted(above), min(len(above), random.choice([0, *[1] * 5, *[2] * 4])))
        both = _put_below(store, name, names)
        above.update({f"{name}-below": names[:1]} if len(both) == 2 else {})
        above[name] = both
    assert store.thread("t").verify().problems == ()
    listed = [c.checkpoint_id for c in store.thread("t").checkpoints()]
    view = store.views.of("t")
    for _ in range(10):
        pair = [random.choice(sorted(above)) for _ in range(2)]
        shared = _ancestors(above, pair[0]) & _ancestors(above, pair[1])
        expected = next((name for name in listed if name in shared), None)
        with view.lock:
            entries = [view.entry(store.backend, "", name) for name in pair]
            assert entries[0] is not None and entries[1] is not None
            found = common_ancestor(lambda e: parents_of(view, store.backend, e), entries[0], entries[1])
        assert (None if found is None else found.checkpoint_id) == expected
        _compare(store, above, listed, *pair)
    _prune_and_compare(store, above, random)


def _prune_and_compare(store: WfStore, above: dict[str, list[str]], random: Random) -> None:
    store.prune(["t"], keep_last=random.randrange(1, 4))
    listed = [c.checkpoint_id for c in store.thread("t").checkpoints()]
    pages = {"_FIRST_PAGE": random.randrange(1, 4), "_LARGEST_PAGE": random.randrange(1, 30)}
    with patch.multiple("langgraph_wfstore.diff.lines", **pages):
        for _ in range(5):
            _compare(store, above, listed, *(random.choice(listed) for _ in range(2)))


def _compare(store: WfStore, above: dict[str, list[str]], listed: list[str], a: str, b: str) -> None:
    """A diff's base is the last common checkpoint that is kept; a side has what the other one does not go back to."""
    behind = _ancestors(above, a), _ancestors(above, b)
    found = store.thread("t").diff(a, b)
    assert found.base == next((name for name in listed if name in behind[0] & behind[1]), None)
    for side, own in ((found.a, behind[0] - behind[1]), (found.b, behind[1] - behind[0])):
        assert [c.checkpoint_id for c in side.checkpoints] == [name for name in listed[::-1] if name in own]
        assert side.removed == len(own) - len(side.checkpoints)


def _put_below(store: WfStore, name: str, names: list[str]) -> list[str]:
    """Put a checkpoint; of two parents the first one is put first, so that it is the head of a branch. Gives both."""
    merged = None
    if len(names) == 2:
        put(store, f"{name}-below", names[0], {"n": 1})
        names = [f"{name}-below", names[1]]
        found = store.get("t", "", names[1], store.codec).checkpoint
        assert found is not None
        merged = Merged(names[1], found.record_id, None)
    new = CheckpointInput(
        *("", name, names[0] if names else None, {"n": 1}, {"n": 1}, ["n"], {}, None, 4, ""),
        metadata={"source": "loop" if merged is None else "update", "step": 1},
        extra={},
        merged=merged,
        branch=_branch_of(store, names[0]) if merged is not None else None,
    )
    store.put_checkpoint("t", new, store.codec)
    return names


def _branch_of(store: WfStore, name: str) -> str:
    view = store.views.of("t")
    entry = view.entry(store.backend, "", name)
    assert entry is not None and entry.row is not None
    return view.heads[entry.row.branch or 0].name.decode()


def _ancestors(above: dict[str, list[str]], name: str) -> set[str]:
    found = {name}
    todo = [name]
    while todo:
        new = set(above[todo.pop()]) - found
        found |= new
        todo += new
    return found


NODES = ["one", "two", "three"]
VERSIONS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 4))
SEEN = st.dictionaries(st.sampled_from(NODES), VERSIONS)


def record_of(versions: dict[str, int], seen: dict[str, dict[str, int]], without: set[str]) -> CheckpointRecord:
    channels = tuple(
        Channel(name, version, None if name in without else Ref("object", bytes(32)))
        for name, version in versions.items()
    )
    found = tuple((node, tuple(each.items())) for node, each in seen.items())
    return CheckpointRecord("", "c", None, None, channels, found, None, 4, "", Ref("object", b""), *(None,) * 4, ())


def waiting(versions: dict[str, int], seen: dict[str, Any], without: set[str]) -> set[tuple[str, str]]:
    """The nodes that LangGraph would run, each with the channel that makes it."""
    return {
        (node, name)
        for node in NODES
        for name, version in versions.items()
        if name not in without and version > seen.get(node, {}).get(name, 0)
    }


@examples(300)
@given(VERSIONS, SEEN, VERSIONS, SEEN, st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc")))
def test_a_merge_makes_exactly_those_nodes_wait_that_waited_before(ours, seen, theirs, others, without, taken):
    description = {"nodes": {node: {"triggers": ["a", "b", "c"]} for node in NODES}}
    changed = dict.fromkeys(taken & {*ours, *theirs}, 9)
    found = seen_after_merge(
        record_of(ours, seen, without), record_of(theirs, others, set()), changed, Channels([description])
    )
    after = waiting({**ours, **changed}, found, without - set(changed))
    assert after == waiting(ours, seen, without)
