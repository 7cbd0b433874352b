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
    ConflictError,
    MergeConflictError,
    ThreadNotFoundError,
)
from langgraph_wfstore.merge.merge import Merge

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain
from .sample_graphs import chat_graph, line_graph, says_human

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


class MergeConflictContract(Contract):
    """What both sides changed is refused, all of it at once, unless the caller says what counts."""

    def diverged(self, api: Api, saver: WfStoreSaver) -> Any:
        graph = state_graph(saver)
        forked(
            api,
            graph,
            {"note": "base", "count": 0, "own": ["a"]},
            [{"note": "ours", "count": 1, "own": ["b"]}],
            [{"note": "theirs", "count": 2, "own": ["c"]}],
        )
        return graph

    def test_all_conflicts_are_listed_and_nothing_is_written(self, api: Api, saver: WfStoreSaver) -> None:
        graph = self.diverged(api, saver)
        before, info = api.get_state(graph, MAIN), saver.store.threads()
        with pytest.raises(MergeConflictError, match="nothing was written") as caught:
            merged(saver)
        assert isinstance(caught.value, ConflictError)
        conflicts = {each.channel: each for each in caught.value.conflicts}
        assert sorted(conflicts) == ["count", "note", "own"]
        assert all(name in str(caught.value) for name in conflicts)
        assert [(c.base, c.ours, c.theirs) for _, c in sorted(conflicts.items())] == [
            (0, 1, 2),
            ("base", "ours", "theirs"),
            (["a"], ["a", "b"], ["a", "c"]),
        ]
        ids = [(c.base_id, c.ours_id, c.theirs_id) for c in conflicts.values()]
        assert all(str(name).startswith("sha256:") for each in ids for name in each)
        assert "lambda" in conflicts["own"].why and "no reducer" in conflicts["note"].why
        assert api.get_state(graph, MAIN) == before and saver.store.threads() == info

    @pytest.mark.parametrize(("resolve", "expected"), [("ours", "ours"), ("theirs", "theirs")])
    def test_a_side_can_be_preferred(self, api: Api, saver: WfStoreSaver, resolve: str, expected: str) -> None:
        graph = self.diverged(api, saver)
        found = merged(saver, resolve=resolve)
        values = api.get_state(graph, MAIN).values
        assert values["note"] == expected
        assert values["log"] == [f"worked on {who}" for who in ("base", "ours", "theirs")]
        assert (sorted(found.kept) if resolve == "ours" else sorted(set(found.taken) - {"log"})) == [
            "count",
            "note",
            "own",
        ]
        assert_sound(saver, THREAD)

    def test_each_channel_can_be_resolved_in_its_own_way(self, api: Api, saver: WfStoreSaver) -> None:
        graph = self.diverged(api, saver)
        asked: list[tuple[Any, ...]] = []

        def both(*values: Any) -> Any:
            asked.append(values)
            return f"{values[2]} and {values[3]}"

        with pytest.raises(MergeConflictError) as caught:
            merged(saver, resolve={"note": both, "count": "theirs"})
        assert [each.channel for each in caught.value.conflicts] == ["own"]
        found = merged(saver, resolve={"note": both, "count": "theirs"}, append=["own"])
        assert asked[-1] == ("note", "base", "ours", "theirs")
        values = api.get_state(graph, MAIN).values
        assert (values["note"], values["count"], values["own"]) == ("ours and theirs", 2, ["a", "b", "c"])
        assert found.taken["note"] == "resolved" and "resolved" in str(found)
        assert_sound(saver, THREAD)

    def test_one_function_can_resolve_all(self, api: Api, saver: WfStoreSaver) -> None:
        graph = self.diverged(api, saver)
        merged(saver, resolve=lambda channel, base, ours, theirs: {"count": 3}.get(channel, theirs))
        values = api.get_state(graph, MAIN).values
        assert (values["note"], values["count"], values["own"]) == ("theirs", 3, ["a", "c"])

    def test_what_resolves_may_raise_and_nothing_is_written(self, api: Api, saver: WfStoreSaver) -> None:
        self.diverged(api, saver)
        info = saver.store.threads()

        def refuses(*values: Any) -> Any:
            raise KeyError("cannot say")

        with pytest.raises(KeyError, match="cannot say"):
            merged(saver, resolve=refuses)
        assert saver.store.threads() == info

    def test_a_message_that_both_changed_is_a_conflict_that_names_it(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        base = {"messages": [HumanMessage("text", id="m0"), HumanMessage("text", id="m1")]}
        ours = {"messages": [HumanMessage("ours", id="m0")]}
        theirs = {"messages": [HumanMessage("theirs", id="m0"), RemoveMessage(id="m1")]}
        forked(api, graph, base, [ours], [theirs])
        with pytest.raises(MergeConflictError, match="message 'm0'"):
            merged(saver)

    def test_a_message_that_one_changed_and_one_removed_is_a_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        base = {"messages": [HumanMessage("text", id="m0"), HumanMessage("text", id="m1")]}
        forked(api, graph, base, [{"messages": [RemoveMessage(id="m1")]}], [{"messages": [HumanMessage("x", id="m1")]}])
        with pytest.raises(MergeConflictError, match="message 'm1'"):
            merged(saver)

    def test_of_several_workflows_that_of_the_heads_counts(self, api: Api, saver: WfStoreSaver) -> None:
        api.invoke(line_graph(saver, "other"), {"log": ["in"]}, config_of())
        start = api.get_state(line_graph(saver, "other"), config_of()).config
        graph = state_graph(saver)
        api.invoke(graph, {"log": ["main"]}, config_of())
        api.invoke(graph, {"log": ["fork"]}, start)
        assert merged(saver).taken == {"log": "both"}
        assert_sound(saver, THREAD)

    def test_workflows_with_different_reducers_do_not_join(self, api: Api, saver: WfStoreSaver) -> None:
        class Other(TypedDict, total=False):
            log: Annotated[list[str], lambda left, right: left + right]

        graph = state_graph(saver)
        other: Any = StateGraph(Other).add_node("work", lambda state: {"log": ["other"]})
        other = other.add_edge(START, "work").compile(checkpointer=saver)
        api.invoke(graph, {"log": ["in"]}, config_of())
        start = api.get_state(graph, config_of()).config
        api.invoke(graph, {"log": ["same"]}, config_of())
        api.invoke(other, {"log": ["fork"]}, start)
        with pytest.raises(MergeConflictError, match="different reducers"):
            merged(saver)
        merged(saver, append=["log"])
        assert_sound(saver, THREAD)

    def test_without_a_recorded_reducer_two_lists_are_a_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 3)[-1]
        ours, theirs = [*range(2), "ours"], [*range(2), "theirs"]
        for values in (ours, theirs):
            api.put(base, checkpoint_of({"n": 2, "list": values}, {"n": 3, "list": 4}), metadata_of(3))
        with pytest.raises(MergeConflictError, match="no reducer") as caught:
            merged(saver)
        assert [each.channel for each in caught.value.conflicts] == ["list"]
        merged(saver, append=["list"])
        assert api.read(MAIN).checkpoint["channel_values"] == {"n": 2, "list": [0, 1, "ours", "theirs"]}
        assert_sound(saver, THREAD)

    def test_a_list_that_was_not_only_appended_to_is_a_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 3)[-1]
        for values in ([0, 1, 2], [5, 1]):
            api.put(base, checkpoint_of({"n": 2, "list": values}, {"n": 3, "list": 4}), metadata_of(3))
        with pytest.raises(MergeConflictError, match="removed or changed"):
            merged(saver, append=["list"])

    def test_lines_without_a_common_ancestor_conflict_wherever_they_differ(self, api: Api, saver: WfStoreSaver) -> None:
        for values in ({"a": 1, "same": 1, "list": [1]}, {"b": 2, "same": 1, "list": [2]}):
            api.put(config_of(), checkpoint_of(values), metadata_of(0))
        with pytest.raises(MergeConflictError) as caught:
            merged(saver)
        assert [each.channel for each in caught.value.conflicts] == ["list"]
        found = merged(saver, append=["list"])
        assert found.base is None
        assert api.read(MAIN).checkpoint["channel_values"] == {"a": 1, "b": 2, "same": 1, "list": [1, 2]}
        assert_sound(saver, THREAD)

    def test_what_one_side_removed_and_one_changed_is_a_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        base = api.put(config_of(), checkpoint_of({"a": 1, "b": 1}), metadata_of(0))
        api.put(base, checkpoint_of({"b": 1}, {"a": 2, "b": 1}), metadata_of(1))
        api.put(base, checkpoint_of({"a": 3}, {"a": 3, "b": 3}), metadata_of(1))
        with pytest.raises(MergeConflictError, match="removed") as caught:
            merged(saver)
        assert [(c.channel, c.ours, c.theirs) for c in caught.value.conflicts] == [("a", None, 3)]
        merged(saver, resolve="theirs")
        assert api.read(MAIN).checkpoint["channel_values"] == {"a": 3}
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("first", ["1", "00002.0.7", 1.5])
    def test_versions_go_on_in_the_type_that_is_found(self, api: Api, saver: WfStoreSaver, first: Any) -> None:
        later = saver.get_next_version(first, None)
        base = api.put(config_of(), checkpoint_of({"a": 1, "b": 1}, {"a": first, "b": first}), metadata_of(0))
        api.put(base, checkpoint_of({"a": 2, "b": 1}, {"a": later, "b": first}), metadata_of(1))
        last = saver.get_next_version(later, None)
        api.put(base, checkpoint_of({"a": 1, "b": 2}, {"a": first, "b": last}), metadata_of(1))
        merged(saver)
        found = api.read(MAIN).checkpoint["channel_versions"]
        assert found == {"a": later, "b": saver.get_next_version(last, None)}
        assert type(found["b"]) is type(first)

    def test_arguments_that_mean_nothing_are_refused(self, api: Api, saver: WfStoreSaver) -> None:
        base, _ = put_chain(api, 2)
        thread = saver.store.thread(THREAD)
        nothings: tuple[Any, ...] = (1, None, True, b"x", [])
        for odd in nothings:
            with pytest.raises(TypeError, match="a branch or a checkpoint id"):
                thread.merge(odd)
        with pytest.raises(TypeError, match="append is"):
            thread.merge(id_of(base), append=5)  # type: ignore[arg-type]  # what this is about
        for arguments in ({"append": ["nope"]}, {"resolve": {"nope": "ours"}}):
            with pytest.raises(ValueError, match="names 'nope'"):
                thread.merge(id_of(base), **arguments)  # though there is nothing to merge
        thread.create_branch(id_of(base))
        with pytest.raises(ValueError, match="both a branch and a checkpoint id"):
            thread.merge(id_of(base))
        with pytest.raises(TypeError, match="a checkpoint id is a str"):
            thread.create_branch("b", at=[])  # type: ignore[arg-type]  # what this is about
        with pytest.raises(CheckpointNotFoundError, match="no checkpoint ''"):
            thread.create_branch("b", at="")
