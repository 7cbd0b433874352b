"""The parts of a merge: what a description says of channels, versions, ids."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict
from uuid import UUID

import pytest
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_wfstore.capture.workflow import describe
from langgraph_wfstore.merge.checkpoint_ids import new_checkpoint_id
from langgraph_wfstore.merge.element_merge import Clash, merged_list
from langgraph_wfstore.merge.reducers import Channels
from langgraph_wfstore.threads.versions import is_later, latest_version, next_version


def graph_with(**reducers: Any) -> dict[str, Any]:
    state: Any = TypedDict("state", {name: Annotated[list, of] for name, of in reducers.items()})
    graph = StateGraph(state).add_node("node", lambda found: {}).add_edge(START, "node").compile()
    return describe(graph)[1]


def longer(left: list[Any], right: list[Any]) -> list[Any]:
    return max(left, right, key=len)


class TestChannels:
    def test_reducers_whose_effect_is_known_join(self):
        known = Channels([graph_with(a=operator.add, b=operator.or_, c=lambda x, y: x + y, d=longer)])
        assert [known.joined(name) for name in ("a", "b", "c", "d", "other")] == [(list,), (dict,), (), (), ()]

    def test_messages_join(self):
        builder = StateGraph(MessagesState).add_node("node", lambda found: {}).add_edge(START, "node")
        assert Channels([describe(builder.compile())[1]]).joined("messages") == (list,)

    def test_both_sides_must_have_the_same_reducer(self):
        known = Channels([graph_with(a=operator.add, b=operator.add), graph_with(a=longer, b=operator.add)])
        assert (known.joined("a"), known.joined("b")) == ((), (list,))
        assert "different reducers" in known.said("a")
        assert Channels([graph_with(a=operator.add), None]).joined("a") == ()

    def test_what_the_caller_names_joins(self):
        assert Channels([None, None], ["a"]).joined("a") == (list, dict)
        assert Channels([None, None], ["a"]).joined("b") == ()

    def test_channels_that_schedule(self):
        known = Channels([graph_with(a=operator.add)])
        names = ["__start__", "branch:to:node", "join:a+b:c", "__pregel_tasks", "a", "__previous__"]
        assert [known.schedules(name) for name in names] == [True] * 4 + [False] * 2

    def test_subscribers(self):
        known = Channels([graph_with(a=operator.add)])
        assert known.subscribers("branch:to:node") == {"node"} and known.subscribers("a") == set()

    @pytest.mark.parametrize("damaged", [{}, {"channels": 1, "nodes": []}, {"channels": {"a": 1}, "nodes": {"n": 2}}])
    def test_a_description_of_another_form_says_nothing(self, damaged):
        known = Channels([damaged, damaged])
        assert (known.joined("a"), known.nodes(), known.schedules("a")) == ((), [], False)


@pytest.mark.parametrize(
    ("versions", "latest", "following"),
    [
        ([1, 3, 2], 3, 4),
        ([1.5, 0.5], 1.5, 2.5),
        (["00002.0.7", "00010.0.1"], "00010.0.1", "00011.0.1"),
        (["0009", 5], "0009", "0010"),
        ([], None, 1),
    ],
)
def test_versions_go_on_from_the_latest(versions, latest, following):
    assert latest_version(versions) == latest
    assert next_version(latest) == following and type(next_version(latest)) is type(following)
    assert is_later(following, latest) and not is_later(latest, following) and not is_later(None, None)


def test_checkpoint_ids_sort_by_time_among_those_of_langgraph():
    names = []
    for step in range(-1, 200):
        names += [str(uuid6(clock_seq=step)), new_checkpoint_id(step), new_checkpoint_id(step)]
    ours = [UUID(name) for name in names if name not in names[::3]]
    assert {(name.version, name.variant) for name in ours} == {(6, UUID(names[0]).variant)}
    assert len(set(names)) == len(names) and sorted(names[1::3]) == names[1::3]
    assert sorted(map(str, ours)) == [str(name) for name in ours]
    assert sum(left < right for left, right in zip(names[::3], names[1::3], strict=True)) > 150


def test_the_message_of_a_clash_names_what_clashes():
    with pytest.raises(Clash, match="removed or changed"):
        merged_list([1], [2], [1, 3], lambda value: value)
    with pytest.raises(Clash, match="elsewhere than at the end"):
        merged_list([1], [2, 1], [3, 1], lambda value: value)
