"""Migrating in and out again is the identity, for any tree of checkpoints with any writes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.migration import migrate, migrate_out
from langgraph_wfstore.values.equality import same

CHANNELS = ("a", "b", "größe")
SPECIAL = ("__error__", "__interrupt__", "__resume__")
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
writes = st.lists(
    st.tuples(
        st.sampled_from(("t1", "t2", "t3")),
        st.sampled_from(("", "~__pregel_pull, n", "~__pregel_push, 10", "~__pregel_push, 2")),
        st.lists(st.tuples(st.sampled_from((*CHANNELS, *SPECIAL)), values), min_size=1, max_size=3),
    ),
    max_size=3,
    unique_by=lambda write: write[0],
)


@st.composite
def trees(draw: Any) -> list[dict[str, Any]]:
    """Checkpoints, each with a parent among those before it in its namespace; ids need not be in that order."""
    count = draw(st.integers(1, 7))
    ids = draw(st.permutations([f"{number:04}" for number in range(count)]))
    found: list[dict[str, Any]] = []
    for number, checkpoint_id in enumerate(ids):
        namespace = draw(st.sampled_from(("", "", "sub:1")))
        above = [each["id"] for each in found if each["namespace"] == namespace]
        found.append(
            {
                "id": checkpoint_id,
                "namespace": namespace,
                "parent": draw(st.sampled_from([None, "dangling", *above])),
                "values": draw(st.dictionaries(st.sampled_from(CHANNELS), values, max_size=3)),
                "writes": draw(writes),
                "step": number,
            }
        )
    return found


def put(saver: Any, tree: list[dict[str, Any]]) -> None:
    for each in tree:
        configurable = {"thread_id": "t", "checkpoint_ns": each["namespace"]}
        above = {} if each["parent"] is None else {"checkpoint_id": each["parent"]}
        versions = dict.fromkeys(each["values"], f"{each['step']:032}.{each['id']}")
        checkpoint = {
            "v": 4,
            "id": each["id"],
            "ts": "2026-01-01T00:00:00+00:00",
            "channel_values": each["values"],
            "channel_versions": versions,
            "versions_seen": {"n": versions},
            "updated_channels": sorted(versions),
        }
        metadata = {"source": "loop", "step": each["step"], "parents": {}}
        saver.put({"configurable": {**configurable, **above}}, checkpoint, metadata, versions)
        for task_id, path, some in each["writes"]:
            config = {"configurable": {**configurable, "checkpoint_id": each["id"]}}
            saver.put_writes(config, some, task_id, path)


def said(saver: Any) -> Any:
    found = {}
    for each in saver.list({"configurable": {"thread_id": "t"}}):
        configurable = each.config["configurable"]
        above = each.parent_config and each.parent_config["configurable"]["checkpoint_id"]
        checkpoint = {name: each.checkpoint[name] for name in sorted(each.checkpoint)}
        for part in ("channel_values", "channel_versions"):
            checkpoint[part] = dict(sorted(checkpoint[part].items()))
        checkpoint["versions_seen"] = {"n": dict(sorted(checkpoint["versions_seen"]["n"].items()))}
        key = (configurable["checkpoint_ns"], configurable["checkpoint_id"])
        found[key] = (checkpoint, dict(sorted(each.metadata.items())), above, each.pending_writes)
    newest = saver.get_tuple({"configurable": {"thread_id": "t", "checkpoint_ns": ""}})
    return dict(sorted(found.items())), newest and newest.checkpoint["id"]


@settings(max_examples=150, deadline=None)
@given(trees())
def test_in_and_out_again_is_the_identity(tree: list[dict[str, Any]]) -> None:
    source, target = InMemorySaver(), InMemorySaver()
    put(source, tree)
    with WfStore.open(":memory:") as store:
        report = migrate(source, store)
        assert report.ok, str(report)
        assert same(said(WfStoreSaver(store, capture=False)), said(source))
        report = migrate_out(store, target)
        assert report.ok, str(report)
        assert same(said(target), said(source))
        assert store.thread("t").verify().ok


@settings(max_examples=60, deadline=None)
@given(trees(), st.data())
def test_in_two_goes_is_the_same_as_in_one(tree: list[dict[str, Any]], data: Any) -> None:
    source = InMemorySaver()
    put(source, tree[: data.draw(st.integers(0, len(tree)))])
    with WfStore.open(":memory:") as store:
        assert migrate(source, store).ok
        put(source, tree)
        report = migrate(source, store)
        assert report.ok, str(report)
        assert same(said(WfStoreSaver(store, capture=False)), said(source))
        assert migrate(source, store).moved == 0
