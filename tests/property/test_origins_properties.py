"""The checkpoint that an element came with is found without decoding lists, and is the one that decoding them gives."""

from __future__ import annotations

from typing import Any, TypedDict

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.lineage.evidence import Evidence
from langgraph_wfstore.lineage.origins import Origins, place_in

# Small texts share packs, long ones are objects; a few different ones, so that elements come, go and come again.
ELEMENTS = st.one_of(st.integers(0, 4).map(str), st.integers(0, 6).map(lambda n: f"{n} " * 60))
LISTS = st.lists(st.lists(ELEMENTS, max_size=20), min_size=1, max_size=7)


class State(TypedDict):
    plain: list[Any]


def expected(lists: list[list[Any]], element: Any) -> int:
    """Going back, the first list that has it while the one before has not."""
    return max(at for at in range(len(lists)) if element in lists[at] and (at == 0 or element not in lists[at - 1]))


@settings(max_examples=40, deadline=None)
@given(LISTS)
def test_origins_are_those_of_the_decoded_lists(lists: list[list[Any]]):
    builder = StateGraph(State).add_node("node", lambda state: {}).add_edge(START, "node")
    config: Any = {"configurable": {"thread_id": "t"}}
    with WfStoreSaver(":memory:", capture=False) as saver:
        graph = builder.compile(checkpointer=saver)
        for value in lists:
            graph.update_state(config, {"plain": value}, as_node="node")
        evidence = Evidence(saver.store, "t")
        head = evidence.ancestry.entry(evidence.ancestry.head())
        assert head is not None and head.record is not None
        ids = [found.checkpoint_id for found in reversed(list(saver.store.thread("t").checkpoints()))]
        origins = Origins(evidence, head.checkpoint_id, "plain")
        place = place_in(head, head.record, "plain")
        assert place is not None
        names = evidence.items.ids(*place)
        assert names is not None and len(names) == len(lists[-1])
        for at, (name, element) in enumerate(zip(names, lists[-1], strict=True)):
            found = origins.of_element(name)
            assert found is not None and found.checkpoint_id == ids[expected(lists, element)]
            assert evidence.items.element(*place, at) == element
