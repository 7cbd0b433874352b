"""The contract of merging: what one side changed is taken, what both changed is joined or refused."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from langgraph_wfstore.errors import (
    BranchNotFoundError,
    CheckpointNotFoundError,
    ThreadNotFoundError,
)
from langgraph_wfstore.merge.merge import Merge

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain
from .sample_graphs import chat_graph, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import Thread, WfStoreSaver

MAIN, FORK = config_of(branch="main"), config_of(branch="fork-1")


class State(TypedDict, total=False):
    """Channels of every kind that a merge tells apart."""

    messages: Annotated[list[Any], add_messages]
    log: Annotated[list[str], operator.add]
    tags: Annotated[dict[str, Any], operator.or_]
    own: Annotated[list[str], lambda left, right: left + right]
    note: str
    count: int


def state_graph(saver: Any, *answers: Any) -> Any:
    """A node that writes what it is told by the input's note."""

    def work(state: State) -> State:
        return {"log": [f"worked on {state.get('note')}"]}

    return (
        StateGraph(State)
        .add_node("work", work)
        .add_edge(START, "work")
        .add_edge("work", "__end__")
        .compile(checkpointer=saver)
    )


def forked(api: Api, graph: Any, base: Any, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    """A thread with a line of inputs on `main`, and one on `fork-1` from behind the first input."""
    api.invoke(graph, base, config_of())
    start = api.get_state(graph, config_of()).config
    for each in ours:
        api.invoke(graph, each, config_of())
    config: RunnableConfig = start
    for each in theirs:
        api.invoke(graph, each, config)
        config = FORK


def merged(saver: WfStoreSaver, source: str = "fork-1", into: str | None = "main", **options: Any) -> Merge:
    return thread_of(saver).merge(source, into, **options)


def thread_of(saver: WfStoreSaver) -> Thread:
    return saver.store.thread(THREAD)


def texts(messages: Sequence[Any]) -> list[tuple[str, str]]:
    return [(message.id, message.content) for message in messages]


class MergeContract(Contract):
    """Merges of real runs."""

    def test_a_conversation_takes_what_the_fork_added_and_goes_on(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        forked(api, graph, says_human(0), [says_human(1)], [says_human(2), says_human(3)])
        before = [api.get_state(graph, config) for config in (MAIN, FORK)]
        found = merged(saver)
        after = api.get_state(graph, MAIN)
        names = [f"{who}{number}" for number in range(4) for who in ("h", "re-h")]
        assert [each.id for each in after.values["messages"]] == names
        assert (after.next, after.config["configurable"]["checkpoint_id"]) == ((), found.checkpoint_id)
        assert after.parent_config == before[0].config
        assert api.get_state(graph, FORK) == before[1]
        assert found.taken == {"messages": "both"} and not found.already
        assert (found.into, found.parents) == ("main", (id_of(before[0].config), id_of(before[1].config)))
        assert_sound(saver, THREAD)
        api.invoke(graph, says_human(4), MAIN)
        names += ["h4", "re-h4"]
        assert [each.id for each in api.get_state(graph, MAIN).values["messages"]] == names
        assert [each.id for each in api.get_state(graph, FORK).values["messages"]] == [*names[:2], *names[4:8]]
        assert_sound(saver, THREAD)

    def test_the_merge_says_what_it_is(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        graph = chat_graph(saver)
        forked(api, graph, says_human(0), [says_human(1)], [says_human(2)])
        found = merged(saver)
        for each in (saver, reopen()):
            info = each.store.thread(THREAD).checkpoint(found.checkpoint_id)
            assert (info.parent_id, info.merged) == found.parents
            assert (info.source, info.step) == ("update", 5)
            assert info.metadata["merge"] == {
                "branch": "fork-1",
                "checkpoint_id": found.parents[1],
                "base": found.base,
            }
            line = each.store.thread(THREAD).checkpoints("main")
            assert [c.merged for c in line] == [found.parents[1]] + [None] * (len(line) - 1)
            assert next(c.merged for c in each.store.thread(THREAD).checkpoints()) == found.parents[1]
        text = str(found)
        assert "'fork-1' into 'main'" in text and found.checkpoint_id in text and "messages: joined" in text

    def test_a_channel_that_one_side_changed_takes_its_value(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        forked(api, graph, {"note": "base", "count": 1}, [{"count": 2}], [{"note": "fork"}])
        found = merged(saver)
        values = api.get_state(graph, MAIN).values
        assert (values["note"], values["count"]) == ("fork", 2)
        assert values["log"] == ["worked on base", "worked on base", "worked on fork"]
        assert found.taken == {"note": "theirs", "log": "both"}
        assert_sound(saver, THREAD)

    def test_the_same_change_on_both_sides_is_no_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        forked(api, graph, {"note": "base"}, [{"note": "same"}], [{"note": "same"}])
        assert merged(saver).taken == {"log": "both"} or merged(saver).already
        assert api.get_state(graph, MAIN).values["note"] == "same"

    def test_dicts_are_joined_by_key(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        base = {"tags": {"a": 1, "b": [1, 2]}}
        forked(api, graph, base, [{"tags": {"c": 3, "b": [1, 2, 3]}}], [{"tags": {"d": 4, "a": 9}}])
        merged(saver)
        assert api.get_state(graph, MAIN).values["tags"] == {"a": 9, "b": [1, 2, 3], "c": 3, "d": 4}
        assert_sound(saver, THREAD)

    def test_messages_that_one_side_changed_or_removed_are_changed_or_removed(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        graph = state_graph(saver)
        base = {"messages": [HumanMessage(f"text {n}", id=f"m{n}") for n in range(4)]}
        ours = {"messages": [HumanMessage("changed by ours", id="m0"), HumanMessage("ours", id="o")]}
        theirs = [RemoveMessage(id="m1"), HumanMessage("changed by theirs", id="m2"), AIMessage("theirs", id="t")]
        forked(api, graph, base, [ours], [{"messages": theirs}])
        merged(saver)
        assert texts(api.get_state(graph, MAIN).values["messages"]) == [
            ("m0", "changed by ours"),
            ("m2", "changed by theirs"),
            ("m3", "text 3"),
            ("o", "ours"),
            ("t", "theirs"),
        ]
        assert_sound(saver, THREAD)

    def test_long_lists_are_joined_and_what_they_share_is_stored_once(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        base = {"messages": [HumanMessage(f"{n} " * 50, id=f"m{n}") for n in range(300)]}
        forked(api, graph, base, [{"messages": [HumanMessage("o", id="o")]}], [{"messages": [AIMessage("t", id="t")]}])
        before = saver.store.stats()
        merged(saver)
        after = saver.store.stats()
        found = api.get_state(graph, MAIN).values["messages"]
        assert [each.id for each in found] == [*(f"m{n}" for n in range(300)), "o", "t"]
        assert after["objects"] - before["objects"] <= 4 and after["object_bytes"] - before["object_bytes"] < 2000
        assert_sound(saver, THREAD)

    def test_a_branch_without_changes_of_its_own_takes_the_state_of_the_source(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        graph = state_graph(saver)
        forked(api, graph, {"note": "base"}, [], [])
        start = api.get_state(graph, config_of()).config
        api.invoke(graph, {"note": "on main"}, config_of())
        api.update_state(graph, start, {"count": 1})
        before = api.get_state(graph, MAIN)
        found = merged(saver, "main", "fork-1", resolve="theirs")
        assert found.base == id_of(start) and found.parents[1] == id_of(before.config)
        after = api.get_state(graph, FORK)
        assert after.values == {**before.values, "count": 1}
        forward = thread_of(saver).merge("fork-1", "main")
        assert forward.base == forward.parents[0]
        assert api.get_state(graph, MAIN).values == after.values
        assert api.get_state(graph, MAIN).config["configurable"]["checkpoint_id"] == forward.checkpoint_id
        assert_sound(saver, THREAD)

    def test_merging_again_is_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        forked(api, graph, says_human(0), [says_human(1)], [says_human(2)])
        first = merged(saver)
        records = saver.store.threads()[0].records
        again = [merged(saver), merged(saver, first.parents[1]), merged(saver, "main"), merged(saver, first.base or "")]
        assert all(each.already and each.checkpoint_id == first.checkpoint_id for each in again)
        assert "already" in str(again[0])
        assert saver.store.threads()[0].records == records

    def test_a_second_merge_is_against_what_was_merged_before(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        forked(api, graph, {"note": "base"}, [{"count": 1}], [{"note": "first"}])
        first = merged(saver)
        api.invoke(graph, {"note": "second"}, FORK)
        second = merged(saver)
        assert second.base == first.parents[1]
        values = api.get_state(graph, MAIN).values
        assert values["note"] == "second"
        assert values["log"] == [f"worked on {note}" for note in ("base", "base", "first", "second")]
        assert_sound(saver, THREAD)

    def test_both_branches_may_take_each_other_in_turn(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        forked(api, graph, says_human(0), [says_human(1)], [says_human(2)])
        for number in range(3, 9, 2):
            merged(saver)
            api.invoke(graph, says_human(number), MAIN)
            merged(saver, "main", "fork-1")
            api.invoke(graph, says_human(number + 1), FORK)
        merged(saver)
        found = [each.id for each in api.get_state(graph, MAIN).values["messages"]]
        assert found == [f"{who}{number}" for number in range(9) for who in ("h", "re-h")]
        assert_sound(saver, THREAD)

    def test_the_current_branch_is_merged_into_by_default(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        forked(api, graph, says_human(0), [says_human(1)], [says_human(2)])
        current = api.read(config_of()).config
        found = merged(saver, "main", None)
        assert (found.into, found.parents[0]) == ("fork-1", id_of(current))
        assert id_of(api.read(config_of()).config) == found.checkpoint_id

    def test_nothing_is_merged_that_is_not_there(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 1)[0]
        put_chain(api, 2, after=base)
        put_chain(api, 1, after=base)
        thread = thread_of(saver)
        with pytest.raises(ValueError, match="append"):
            thread.merge("fork-1", "main", append=["unknown"])
        with pytest.raises(BranchNotFoundError, match="unknown"):
            thread.merge("unknown")
        with pytest.raises(BranchNotFoundError, match="unknown"):
            thread.merge("main", "unknown")
        with pytest.raises(ValueError, match="resolve"):
            thread.merge("main", resolve="mine")
        with pytest.raises(TypeError, match="append"):
            thread.merge("main", append="messages")
        api.delete_thread(THREAD)
        with pytest.raises(ThreadNotFoundError):
            thread.merge("main")

    def test_a_branch_without_checkpoints_is_not_merged(self, api: Api, saver: WfStoreSaver) -> None:
        first = put_chain(api, 1, run_id="gone")[0]
        put_chain(api, 1, after=first, run_id="gone")
        api.put(first, checkpoint_of({"n": 7}), metadata_of(1, run_id="kept"))
        api.delete_for_runs(["gone"])
        with pytest.raises(CheckpointNotFoundError, match="main"):
            merged(saver)
