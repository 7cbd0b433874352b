"""The contract of merges that are refused: what both sides changed is a conflict, until the caller says what holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.graph import START, StateGraph

from langgraph_wfstore.errors import (
    CheckpointNotFoundError,
    ConflictError,
    MergeConflictError,
)

from .api import Api
from .contract import Contract, assert_sound
from .contract_merge import MAIN, forked, merged, state_graph
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain
from .sample_graphs import line_graph

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


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
