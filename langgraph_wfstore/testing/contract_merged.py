"""The contract of what a merge leaves: what runs next, and what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from langgraph_wfstore.errors import (
    ConflictError,
    MergeConflictError,
)

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .contract_delta import Rare, delta_graph
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain
from .sample_graphs import chat_graph, line_graph, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver
from .contract_merge import FORK, MAIN, State, forked, merged, state_graph, thread_of


class MergeScheduleContract(Contract):
    """A merge changes the state, and not what runs next."""

    def test_an_open_question_stays_asked(self, api: Api, saver: WfStoreSaver) -> None:
        graph = asking_graph(saver, "one?", "two?")
        api.invoke(graph, {"log": ["in"]}, config_of())
        start = api.read(config_of()).parent_config
        assert start is not None
        api.invoke(graph, Command(resume="first"), config_of())
        before = api.get_state(graph, MAIN)
        api.update_state(graph, start, {"note": "from the fork"}, as_node="first")
        merged(saver)
        after = api.get_state(graph, MAIN)
        assert after.next == before.next == ("ask",)
        assert [each.value for each in after.interrupts] == [{"ask": "two?"}]
        assert after.values["note"] == "from the fork"
        assert_sound(saver, THREAD)
        out = api.invoke(graph, Command(resume={after.interrupts[0].id: "second"}), MAIN)
        assert out["log"] == ["in", "first after 1", "ask: first", "ask: second", "last after 4"]
        assert_sound(saver, THREAD)

    def test_results_of_tasks_beside_a_question_are_not_made_again(self, api: Api, saver: WfStoreSaver) -> None:
        ran: list[str] = []

        def counts(state: State) -> State:
            ran.append("counts")
            return {"log": ["counted"]}

        def asks(state: State) -> State:
            return {"log": [f"asked: {interrupt('sure?')}"]}

        builder = StateGraph(State).add_node("counts", counts).add_node("asks", asks)
        graph = builder.add_edge(START, "counts").add_edge(START, "asks").compile(checkpointer=saver)
        api.invoke(graph, {"log": ["in"]}, config_of())
        start = api.read(config_of()).parent_config
        assert start is not None
        api.update_state(graph, start, {"note": "from the fork"}, as_node="__start__")
        merged(saver)
        out = api.invoke(graph, Command(resume="yes"), MAIN)
        assert (sorted(out["log"]), out["note"], ran) == (["asked: yes", "counted", "in"], "from the fork", ["counts"])
        assert_sound(saver, THREAD)

    def test_results_that_cannot_be_carried_over_are_refused(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 1)[0]
        ours = api.put(base, checkpoint_of({"n": 1}), metadata_of(1))
        api.put(base, checkpoint_of({"n": 0, "m": 1}, {"n": 1, "m": 2}), metadata_of(1))
        api.put_writes(ours, [("n", 5)], "task", "~__pregel_pull, node")
        info = saver.store.threads()
        with pytest.raises(ConflictError, match="results of task"):
            merged(saver)
        assert saver.store.threads() == info

    def test_a_static_interrupt_stays(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a", "b", interrupt_before=["b"])
        api.invoke(graph, {"log": ["in"]}, config_of())
        states = [*api.history(graph, config_of())]
        api.update_state(graph, states[0].config, {"note": "main"}, as_node="a")
        api.update_state(graph, states[0].config, {"log": ["fork"]}, as_node="a")
        assert api.get_state(graph, MAIN).next == ("b",)
        merged(saver)
        assert api.get_state(graph, MAIN).next == ("b",)
        out = api.invoke(graph, None, MAIN)
        assert out == {"log": ["in", "a after 1", "fork", "b after 3"], "note": "main"}
        assert_sound(saver, THREAD)

    def test_a_finished_branch_stays_finished_though_the_source_goes_on(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a", "b", "c")
        api.invoke(graph, {"log": ["in"]}, config_of())
        old = next(each for each in api.history(graph, config_of()) if each.next == ("b",))
        api.update_state(graph, old.config, {"log": ["fork"], "note": "n"}, as_node="a")
        assert api.get_state(graph, FORK).next == ("b",)
        merged(saver, resolve="theirs")
        after = api.get_state(graph, MAIN)
        assert (after.next, after.values["note"]) == ((), "n")
        assert after.values["log"] == ["in", "a after 1", "b after 2", "c after 3", "fork"]
        merged(saver, "main", "fork-1")
        assert api.get_state(graph, FORK).next == ("b",)
        out = api.invoke(graph, None, FORK)
        assert out["log"] == [*after.values["log"], "b after 5", "c after 6"]
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("order", ["main", "fork-1"])
    def test_channels_that_nodes_subscribe_to_wake_nobody(self, api: Api, saver: WfStoreSaver, order: str) -> None:
        from langgraph.channels import LastValue
        from langgraph.pregel import NodeBuilder, Pregel

        def twice(value: int) -> int:
            return 2 * value

        graph: Any = Pregel(
            nodes={
                "one": NodeBuilder().subscribe_only("a").do(twice).write_to("b"),
                "two": NodeBuilder().subscribe_only("b").do(twice).write_to("c"),
            },
            channels={name: LastValue(int) for name in "abc"},
            input_channels=["a"],
            output_channels=["c"],
            checkpointer=saver,
        )
        api.invoke(graph, {"a": 1}, config_of())
        history = [*api.history(graph, config_of())]
        start = history[-1]
        waiting = next(each for each in history if each.next == ("two",))
        api.invoke(graph, {"a": 5}, start.config)
        into, source = (MAIN, "fork-1") if order == "main" else (FORK, "main")
        before = api.get_state(graph, into)
        merged(saver, source, order, resolve="theirs")
        after = api.get_state(graph, into)
        assert after.next == before.next == ()
        assert after.values == ({"a": 5, "b": 10, "c": 20} if order == "main" else {"a": 5, "b": 2, "c": 4})
        assert api.invoke(graph, {"a": 7}, into) == {"c": 28}
        assert waiting.next == ("two",)
        assert_sound(saver, THREAD)

    def test_a_node_that_a_subscribed_channel_wakes_still_runs_once(self, api: Api, saver: WfStoreSaver) -> None:
        from langgraph.channels import LastValue
        from langgraph.pregel import NodeBuilder, Pregel

        ran: list[int] = []

        def note(value: int) -> int:
            ran.append(value)
            return value

        graph: Any = Pregel(
            nodes={
                "one": NodeBuilder().subscribe_only("a").do(note).write_to("b"),
                "two": NodeBuilder().subscribe_only("b").do(note).write_to("c"),
            },
            channels={name: LastValue(int) for name in "abc"},
            input_channels=["a"],
            output_channels=["c"],
            interrupt_before_nodes=["two"],
            checkpointer=saver,
        )
        api.invoke(graph, {"a": 1}, config_of())
        start = [*api.history(graph, config_of())][-1]
        api.invoke(graph, {"a": 5}, start.config)
        assert api.get_state(graph, MAIN).next == ("two",)
        merged(saver, resolve="theirs")
        assert api.get_state(graph, MAIN).next == ("two",)
        ran.clear()
        assert api.invoke(graph, None, MAIN) == {"c": 5}
        assert ran == [5] and api.get_state(graph, MAIN).next == ()
        assert_sound(saver, THREAD)

    def test_a_functional_workflow_goes_on(self, api: Api, saver: WfStoreSaver) -> None:
        from langgraph.func import entrypoint

        def total(number: int, *, previous: list[int] | None = None) -> Any:
            numbers = [*(previous or []), number]
            return entrypoint.final(value=sum(numbers), save=numbers)

        graph = entrypoint(checkpointer=saver)(total)
        forked(api, graph, 1, [2], [3])
        merged(saver, append=["__previous__"], resolve={"__end__": lambda channel, base, ours, theirs: ours + theirs})
        state = api.get_state(graph, MAIN)
        assert state.next == ()
        assert api.invoke(graph, 4, MAIN) == 10
        assert_sound(saver, THREAD)

    def test_which_channels_were_updated_last_stays_too(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 1)[0]
        for name in ("a", "b"):
            api.put(base, checkpoint_of({name: 1}, {"n": 1, name: 2}, updated_channels=[name]), metadata_of(1))
        merged(saver, resolve="theirs")
        assert api.read(MAIN).checkpoint.get("updated_channels") == ["a"]

    def test_a_sub_graph_that_waits_begins_anew(self, api: Api, saver: WfStoreSaver) -> None:
        graph = nested_graph(saver, asks=True)
        api.invoke(graph, {"log": ["in"]}, config_of())
        before = api.get_state(graph, MAIN)
        start = [*api.history(graph, config_of())][-1]
        api.update_state(graph, start.config, {"note": "fork"}, as_node="__start__")
        merged(saver)
        after = api.get_state(graph, MAIN)
        assert after.next == before.next
        assert after.values["note"] == "fork"
        out = api.invoke(graph, None, MAIN)
        assert out["__interrupt__"]
        out = api.invoke(graph, Command(resume="yes"), MAIN)
        assert "__interrupt__" not in out and api.get_state(graph, MAIN).next == ()
        assert_sound(saver, THREAD)


class MergeStorageContract(Contract):
    """Merges beside everything else that happens to a thread."""

    def merged_thread(self, api: Api, saver: WfStoreSaver) -> Any:
        graph = chat_graph(saver)
        forked(api, graph, says_human(0), [says_human(1)], [says_human(2)])
        merged(saver)
        return graph

    def test_a_delta_channel_that_only_the_graph_can_join_is_kept_or_refused(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        graph = delta_graph(saver, Rare)
        forked(api, graph, {"log": ["in"]}, [{"log": ["main"]}], [{"log": ["fork"]}])
        before = api.get_state(graph, MAIN).values
        answers: list[Any] = [None, "theirs", lambda *values: []]
        for resolve in answers:
            with pytest.raises(MergeConflictError, match="delta channel") as caught:
                merged(saver, resolve=resolve)
            assert [each.channel for each in caught.value.conflicts if each.only_ours] == ["log"]
        counted = api.read(MAIN).metadata["counters_since_delta_snapshot"]
        merged(saver, resolve="ours")
        updates, steps = counted["log"]
        assert tuple(api.read(MAIN).metadata["counters_since_delta_snapshot"]["log"]) == (updates, steps + 1)
        assert api.get_state(graph, MAIN).values["log"] == before["log"]
        api.invoke(graph, {"log": ["more"]}, MAIN)
        found = api.get_state(graph, MAIN).values["log"]
        assert found[: len(before["log"]) + 1] == [*before["log"], "more"]
        assert_sound(saver, THREAD)

    def test_a_delta_channel_that_only_the_branch_changed_stays(self, api: Api, saver: WfStoreSaver) -> None:
        graph = delta_graph(saver, Rare)
        api.invoke(graph, {"log": ["in"]}, config_of())
        start = api.get_state(graph, config_of()).config
        api.invoke(graph, {"log": ["main"]}, config_of())
        api.update_state(graph, start, {"count": 9})
        before = api.get_state(graph, MAIN).values
        found = merged(saver, resolve="theirs")
        assert found.taken == {"count": "theirs"}
        assert api.get_state(graph, MAIN).values == {**before, "count": 9}
        api.invoke(graph, {"log": ["more"]}, MAIN)
        assert api.get_state(graph, MAIN).values["log"][: len(before["log"])] == before["log"]
        assert_sound(saver, THREAD)

    def test_why_a_value_is_there_leads_through_a_merge(self, api: Api, saver: WfStoreSaver) -> None:
        graph = state_graph(saver)
        forked(api, graph, {"note": "base"}, [{"count": 1}], [{"note": "fork"}])
        found = merged(saver)
        thread = thread_of(saver)
        step = next(each for each in thread.steps() if each.output == {"log": ["worked on fork"]})
        element = str(thread.why(found.checkpoint_id, "log", 2))
        assert "came in by a merge" in element and f"…{(step.checkpoint_id or '')[-8:]}" in element
        assert "update_state" not in element
        assert "worked on base" in str(thread.why(found.checkpoint_id, "log", 1))
        assert "merge" not in str(thread.why(found.checkpoint_id, "log", 1))
        whole = str(thread.why(found.checkpoint_id, "note", None))
        assert "came in by a merge" in whole and "given as input" in whole
        resolved = merged(saver, "main", "fork-1")
        assert "unknown" not in str(thread.why(resolved.checkpoint_id, "count", None))

    def test_a_delta_channel_with_results_that_are_not_taken_up_is_refused(self, api: Api, saver: WfStoreSaver) -> None:
        builder = StateGraph(Rare).add_node("writes", lambda state: {"log": ["written"]})
        builder.add_node("asks", lambda state: {"count": interrupt("how many?")})
        graph = builder.add_edge(START, "writes").add_edge(START, "asks").compile(checkpointer=saver)
        api.invoke(graph, {"log": ["in"]}, config_of())
        start = api.read(config_of()).parent_config
        assert start is not None
        api.update_state(graph, start, {"count": 5}, as_node="__start__")
        with pytest.raises(ConflictError, match="results of task"):
            merged(saver, resolve="ours")
        assert api.invoke(graph, Command(resume=3), MAIN) == {"log": ["in", "written"], "count": 3}
        merged(saver, resolve="ours")
        assert api.get_state(graph, MAIN).values == {"log": ["in", "written"], "count": 3}
        assert_sound(saver, THREAD)

    def test_results_that_arrive_meanwhile_are_not_lost(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 1)[0]
        ours = api.put(base, checkpoint_of({"n": 1}, {"n": 2}), metadata_of(1))
        api.put(base, checkpoint_of({"n": 2}, {"n": 2}), metadata_of(1))

        def arrives(channel: str, before: Any, left: Any, right: Any) -> Any:
            api.put_writes(ours, [("n", 5)], "task", "~__pregel_pull, node")
            return right

        with pytest.raises(ConflictError, match="results of task"):
            merged(saver, resolve=arrives)
        assert id_of(api.read(MAIN)) == id_of(ours)

    def test_a_copy_has_the_merge(self, api: Api, saver: WfStoreSaver) -> None:
        graph = self.merged_thread(api, saver)
        api.copy_thread(THREAD, "copy")
        found = [(c.record_id, c.merged) for c in thread_of(saver).checkpoints()]
        assert [(c.record_id, c.merged) for c in saver.store.thread("copy").checkpoints()] == found
        assert saver.store.thread("copy").merge("fork-1", "main").already
        api.invoke(graph, says_human(3), config_of("copy", branch="main"))
        assert_sound(saver, THREAD, "copy")

    def test_pruning_keeps_that_something_was_merged(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        graph = self.merged_thread(api, saver)
        api.invoke(graph, says_human(3), MAIN)
        before = api.get_state(graph, MAIN).values
        api.prune([THREAD])
        for each in (saver, reopen()):
            assert each.store.thread(THREAD).merge("fork-1", "main").already
            assert_sound(each, THREAD)
        assert api.get_state(graph, MAIN).values == before
        api.invoke(graph, says_human(4), FORK)
        found = merged(saver)
        assert found.taken == {"messages": "both"}
        assert_sound(saver, THREAD)

    def test_what_was_merged_may_be_removed(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 2)[-1]
        ours = api.put(base, checkpoint_of({"n": 1, "a": 1}, {"n": 2, "a": 3}), metadata_of(2))
        theirs = api.put(base, checkpoint_of({"n": 1, "b": 1}, {"n": 2, "b": 3}), metadata_of(2, run_id="gone"))
        found = merged(saver)
        api.delete_for_runs(["gone"])
        info = thread_of(saver).checkpoint(found.checkpoint_id)
        assert (info.parent_id, info.merged, info.values) == (id_of(ours), id_of(theirs), {"n": 1, "a": 1, "b": 1})
        saver.store.compact()
        assert thread_of(saver).checkpoint(found.checkpoint_id).values == {"n": 1, "a": 1, "b": 1}
        assert_sound(saver, THREAD)

    def test_without_the_content_of_the_common_ancestor_nothing_is_joined(self, api: Api, saver: WfStoreSaver) -> None:
        base = api.put(config_of(), checkpoint_of({"list": [1], "same": 1}), metadata_of(0, run_id="gone"))
        for number, own in ((2, "a"), (3, "b")):
            values = {"list": [1, number], "same": 1, own: 1}
            api.put(base, checkpoint_of(values, {"list": number, "same": 1, own: 2}), metadata_of(1))
        api.delete_for_runs(["gone"])
        with pytest.raises(MergeConflictError, match="was removed") as caught:
            merged(saver, append=["list"])
        assert [each.channel for each in caught.value.conflicts] == ["a", "b", "list"]
        found = merged(saver, resolve={"a": "ours", "b": "theirs", "list": "theirs"})
        assert found.base == id_of(base)
        assert api.read(MAIN).checkpoint["channel_values"] == {"list": [1, 3], "same": 1, "a": 1, "b": 1}
        assert_sound(saver, THREAD)

    def test_a_branch_that_moves_meanwhile_is_merged_as_it_is_then(self, api: Api, saver: WfStoreSaver) -> None:
        base = put_chain(api, 2)[-1]
        heads = [api.put(base, checkpoint_of({"n": 1, k: 1}, {"n": 2, k: 3}), metadata_of(2)) for k in "ab"]
        calls: list[str] = []

        def moves(channel: str, before: Any, ours: Any, theirs: Any) -> Any:
            calls.append(channel)
            if len(calls) < 3:
                at = heads[len(calls) - 1]
                values = {**api.read(at).checkpoint["channel_values"], "late": len(calls)}
                versions = {**api.read(at).checkpoint["channel_versions"], "late": 9}
                api.put(at, checkpoint_of(values, versions), metadata_of(3))
            return ours

        api.put(heads.pop(0), checkpoint_of({"n": 5, "a": 1}, {"n": 4, "a": 3}), metadata_of(3))
        other = checkpoint_of({"n": 6, "b": 1}, {"n": 4, "b": 3})
        heads = [api.read(MAIN).config, api.put(heads[0], other, metadata_of(3))]
        found = merged(saver, resolve=moves)
        assert calls.count("n") >= 3
        values = api.read(MAIN).checkpoint["channel_values"]
        assert (values["a"], values["b"], values["n"]) == (1, 1, 5) and "late" in values
        assert found.checkpoint_id == id_of(api.read(MAIN).config)
        assert_sound(saver, THREAD)
