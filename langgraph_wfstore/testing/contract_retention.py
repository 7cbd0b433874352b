"""The contract of removal: delete_thread, delete_for_runs, prune; what is gone stays gone, what stays is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from langgraph_wfstore.errors import ThreadDeletedError, ThreadNotFoundError

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, before_of, checkpoint_of, config_of, id_of, ids_of, metadata_of, new_ids, put_chain
from .sample_graphs import DURABILITIES, Log, chat_graph, line_graph, says, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class DeleteThreadContract(Contract):
    """A deleted thread is gone, its id is free, and nobody brings it back by accident."""

    def test_a_deleted_thread_is_gone(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        api.put(config_of(ns="sub:1"), checkpoint_of({"a": 1}))
        api.put_writes(stored[-1], [("a", 1)], "task")
        kept = put_chain(api, 2, "kept")
        api.delete_thread(THREAD)
        assert api.get_tuple(config_of()) is None
        assert all(api.get_tuple(config) is None for config in stored)
        assert api.list(config_of(ns=None)) == []
        assert ids_of(api.list(None)) == ids_of(kept)[::-1]
        assert [each.thread_id for each in saver.store.threads()] == ["kept"]
        with pytest.raises(ThreadNotFoundError):
            saver.store.thread(THREAD)
        assert_sound(saver, "kept")

    def test_deleting_what_is_not_there_is_nothing(self, api: Api) -> None:
        api.delete_thread("never there")
        put_chain(api, 1)
        for _ in range(3):
            api.delete_thread(THREAD)
        assert api.list(None) == []

    def test_deleting_a_thread_leaves_another_with_the_same_values_whole(self, api: Api, saver: WfStoreSaver) -> None:
        values = {"text": "the same in both " * 50, "list": [f"element {number} " * 20 for number in range(50)]}
        for thread_id in ("a", "b"):
            first = api.put(config_of(thread_id), checkpoint_of(values))
            api.put_writes(first, [("list", values["list"])], "task")
        api.delete_thread("a")
        saver.store.compact()
        found = api.read(config_of("b"))
        assert found.checkpoint["channel_values"] == values
        assert found.pending_writes == [("task", "list", values["list"])]
        assert_sound(saver, "b")

    def test_a_fresh_start_on_a_deleted_id_works(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        for life in range(3):
            for number in range(2):
                api.invoke(graph, says_human(10 * life + number), config_of())
            state = api.get_state(graph, config_of())
            assert [each.id for each in state.values["messages"]] == [
                f"{who}{10 * life + number}" for number in range(2) for who in ("h", "re-h")
            ]
            assert_sound(saver, THREAD)
            api.delete_thread(THREAD)

    def test_a_late_put_of_a_deleted_life_is_refused_by_its_parent(self, api: Api, reopen: Reopen) -> None:
        stored = put_chain(api, 3)
        api.delete_thread(THREAD)
        for each in (api, api.on(reopen())):
            for parent in stored:
                with pytest.raises(ThreadDeletedError, match=THREAD):
                    each.put(parent, checkpoint_of({"a": "late"}))
        assert api.list(None) == []

    def test_a_late_put_of_a_deleted_life_is_refused_by_its_id(self, api: Api, reopen: Reopen) -> None:
        checkpoint = checkpoint_of({"a": 1})
        api.put(config_of(), checkpoint)
        api.delete_thread(THREAD)
        for each in (api, api.on(reopen())):
            with pytest.raises(ThreadDeletedError):
                each.put(config_of(), checkpoint)
        assert api.list(None) == []

    def test_late_writes_of_a_deleted_life_are_refused(self, api: Api, reopen: Reopen) -> None:
        stored = put_chain(api, 2)
        child = api.put(config_of(ns="sub:1"), checkpoint_of())
        api.delete_thread(THREAD)
        for each in (api, api.on(reopen())):
            for config in (*stored, child):
                with pytest.raises(ThreadDeletedError):
                    each.put_writes(config, [("a", "late")], "task")
        assert api.list(None) == []

    def test_a_late_put_is_refused_in_every_later_life(self, api: Api, saver: WfStoreSaver) -> None:
        lives: list[RunnableConfig] = []
        for _ in range(3):
            lives.append(put_chain(api, 2)[-1])
            for parent in lives[:-1]:
                with pytest.raises(ThreadDeletedError):
                    api.put(parent, checkpoint_of({"a": "late"}))
                with pytest.raises(ThreadDeletedError):
                    api.put_writes(parent, [("a", "late")], "task")
            assert api.read(config_of()).config == lives[-1]
            assert len(api.list(config_of())) == 2
            assert_sound(saver, THREAD)
            api.delete_thread(THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_a_run_whose_thread_is_deleted_in_its_middle_is_refused(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        api.invoke(line_graph(saver, "a"), {"log": ["in"]}, config_of(), durability=durability)

        def deletes(state: Log) -> Log:
            saver.delete_thread(THREAD)
            return {"log": ["deleted"]}

        builder = StateGraph(Log).add_node("deletes", deletes).add_node("after", says("after"))
        graph = builder.add_edge(START, "deletes").add_edge("deletes", "after").compile(checkpointer=saver)
        with pytest.raises(ThreadDeletedError):
            api.invoke(graph, {"log": ["more"]}, config_of(), durability=durability)
        assert api.list(None) == []
        out = api.invoke(line_graph(saver, "a"), {"log": ["fresh"]}, config_of(), durability=durability)
        assert out["log"] == ["fresh", "a after 1"]
        assert_sound(saver, THREAD)


class DeleteForRunsContract(Contract):
    """A deleted run is gone from its threads, the rest stays."""

    def runs(self, api: Api, *names: str) -> dict[str, list[RunnableConfig]]:
        """One after the other, each run with two root checkpoints and one of a sub-graph."""
        stored: dict[str, list[RunnableConfig]] = {}
        last: RunnableConfig | None = None
        for name in names:
            stored[name] = put_chain(api, 2, after=last, run_id=name)
            last = stored[name][-1]
            parents = {"": id_of(last)}
            child = api.put(config_of(ns=f"sub:{name}"), checkpoint_of(), metadata_of(0, run_id=name, parents=parents))
            stored[name].append(child)
        return stored

    def test_a_deleted_run_is_gone_and_the_rest_stays(self, api: Api, saver: WfStoreSaver) -> None:
        stored = self.runs(api, "a", "b", "c")
        api.delete_for_runs(["b"])
        assert all(api.get_tuple(config) is None for config in stored["b"])
        expected = {*ids_of(stored["a"]), *ids_of(stored["c"])}
        assert {*ids_of(api.list(config_of(ns=None)))} == expected
        assert api.list(None, filter={"run_id": "b"}) == []
        assert api.read(config_of()).config == stored["c"][1]
        assert_sound(saver, THREAD)

    def test_parents_skip_to_the_nearest_that_is_kept(self, api: Api) -> None:
        stored = self.runs(api, "a", "b", "c")
        api.delete_for_runs(["b"])
        assert api.read(stored["c"][0]).parent_config == stored["a"][1]
        api.delete_for_runs(["a"])
        assert api.read(stored["c"][0]).parent_config is None

    def test_deleting_the_last_run_makes_the_one_before_the_latest(self, api: Api, saver: WfStoreSaver) -> None:
        stored = self.runs(api, "a", "b")
        api.delete_for_runs(["b"])
        assert api.read(config_of()).config == stored["a"][1]
        last = put_chain(api, 1, after=stored["a"][1], run_id="c")[0]
        assert api.read(config_of()).config == last
        assert_sound(saver, THREAD)

    def test_deleting_every_run_leaves_nothing_to_find(self, api: Api) -> None:
        self.runs(api, "a", "b")
        api.delete_for_runs(["a", "b"])
        assert api.get_tuple(config_of()) is None
        assert api.list(None) == []

    def test_a_run_is_deleted_from_every_thread(self, api: Api, saver: WfStoreSaver) -> None:
        for thread_id in ("x", "y"):
            first = put_chain(api, 1, thread_id, run_id="keep")[0]
            put_chain(api, 1, thread_id, after=first, run_id="gone")
        api.delete_for_runs(["gone", "unknown"])
        assert sorted(found.metadata["run_id"] for found in api.list(None)) == ["keep", "keep"]
        assert_sound(saver, "x", "y")

    def test_before_takes_the_id_of_what_was_removed(self, api: Api) -> None:
        stored = self.runs(api, "a", "b", "c")
        api.delete_for_runs(["b"])
        found = api.list(config_of(), before=before_of(id_of(stored["b"][0])))
        assert ids_of(found) == ids_of([stored["a"][1], stored["a"][0]])

    def test_late_puts_and_writes_of_a_deleted_run_are_refused(self, api: Api, reopen: Reopen) -> None:
        stored = self.runs(api, "a", "b")
        api.delete_for_runs(["b"])
        for each in (api, api.on(reopen())):
            with pytest.raises(ThreadDeletedError):
                each.put(stored["b"][1], checkpoint_of(), metadata_of(9, run_id="b"))
            with pytest.raises(ThreadDeletedError):
                each.put_writes(stored["b"][1], [("a", "late")], "task")
        assert len(api.list(config_of(ns=None))) == 3

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_a_run_that_is_deleted_in_its_middle_is_refused(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        line = line_graph(saver, "a")
        api.invoke(line, {"log": ["in"]}, {**config_of(), "metadata": {"run_id": "kept"}}, durability="sync")
        before = api.read(config_of())

        def deletes(state: Log) -> Log:
            saver.delete_for_runs(["doomed"])
            return {"log": ["deleted"]}

        builder = StateGraph(Log).add_node("deletes", deletes).add_node("after", says("after"))
        graph = builder.add_edge(START, "deletes").add_edge("deletes", "after").compile(checkpointer=saver)
        doomed: RunnableConfig = {**config_of(), "metadata": {"run_id": "doomed"}}
        with pytest.raises(ThreadDeletedError):
            api.invoke(graph, {"log": ["more"]}, doomed, durability=durability)
        assert api.list(None, filter={"run_id": "doomed"}) == []
        assert api.read(config_of()).checkpoint == before.checkpoint
        assert_sound(saver, THREAD)

    def test_no_runs_and_unknown_runs_are_nothing(self, api: Api) -> None:
        stored = self.runs(api, "a")
        api.delete_for_runs([])
        api.delete_for_runs(["unknown", "", "größe\0"])
        assert len(api.list(config_of(ns=None))) == len(stored["a"])


class PruneContract(Contract):
    """Pruning keeps what the next run needs."""

    def test_the_latest_of_each_namespace_is_kept(self, api: Api, saver: WfStoreSaver) -> None:
        kept = [put_chain(api, 4, ns=ns)[-1] for ns in ("", "sub:1", "sub:2|inner:3")]
        before = [api.read(config) for config in kept]
        others = put_chain(api, 3, "another")
        api.prune([THREAD])
        listed = api.list(config_of(ns=None))
        assert sorted(ids_of(listed)) == sorted(ids_of(kept))
        for config, found in zip(kept, before, strict=True):
            assert api.read(config) == found._replace(parent_config=None)
        assert len(api.list(config_of("another"))) == len(others)
        assert_sound(saver, THREAD, "another")

    def test_the_latest_is_the_causal_one_and_not_the_largest_id(self, api: Api, saver: WfStoreSaver) -> None:
        parent = config_of()
        for number, checkpoint_id in enumerate(new_ids(4)[::-1]):
            parent = api.put(parent, checkpoint_of({"n": number}, id=checkpoint_id))
        api.prune([THREAD])
        assert [found.config for found in api.list(config_of())] == [parent]
        assert_sound(saver, THREAD)

    def test_of_a_forked_thread_the_latest_is_kept_and_nothing_before_it(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a", "b")
        api.invoke(graph, {"log": ["in"]}, config_of())
        old = next(each for each in api.history(graph, config_of()) if each.next == ("b",))
        fork = api.update_state(graph, old.config, {"log": ["fork"]}, as_node="a")
        api.prune([THREAD])
        kept = api.list(config_of())
        assert id_of(kept[0]) == id_of(fork)
        assert [found.parent_config for found in kept] == [None] * len(kept)
        assert api.get_tuple(old.config) is None
        assert api.invoke(graph, None, config_of())["log"] == ["in", "a after 1", "fork", "b after 3"]
        assert_sound(saver, THREAD)

    def test_a_pruned_thread_goes_on(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        for number in range(6):
            api.invoke(graph, says_human(number), config_of())
            if number % 2:
                api.prune([THREAD])
                saver.store.compact()
        messages = api.get_state(graph, config_of()).values["messages"]
        assert [each.id for each in messages] == [f"{who}{n}" for n in range(6) for who in ("h", "re-h")]
        assert len(api.list(config_of())) == 1
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_an_open_question_survives(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        graph = asking_graph(saver, "one?", "two?")
        api.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        for answer in ("1", "2"):
            api.prune([THREAD])
            assert len(api.get_state(graph, config_of()).interrupts) == 1
            out = api.invoke(graph, Command(resume=answer), config_of(), durability=durability)
        assert out["log"] == ["in", "first after 1", "ask: 1", "ask: 2", "last after 4"]
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_an_open_question_of_a_sub_graph_survives(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        graph = nested_graph(saver, asks=True)
        api.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        api.prune([THREAD])
        waiting = api.get_state(graph, config_of(), subgraphs=True).tasks[0].state
        assert waiting is not None
        out = api.invoke(graph, Command(resume="yes"), config_of(), durability=durability)
        assert out["note"] == "inner said yes"
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_finished_tasks_of_a_failed_step_are_not_repeated(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        done: list[str] = []

        def works(state: Log) -> Log:
            done.append("a works")
            return {"log": ["a works"]}

        def fails_once(state: Log) -> Log:
            done.append("b fails")
            if done.count("b fails") == 1:
                raise ValueError("boom")
            return {"log": ["second try"]}

        builder = StateGraph(Log).add_node("a works", works).add_node("b fails", fails_once)
        graph = builder.add_edge(START, "a works").add_edge(START, "b fails").compile(checkpointer=saver)
        one_by_one: RunnableConfig = {**config_of(), "max_concurrency": 1}
        with pytest.raises(ValueError, match="boom"):
            api.invoke(graph, {"log": ["in"]}, one_by_one, durability=durability)
        api.prune([THREAD])
        out = api.invoke(graph, None, config_of(), durability=durability)
        assert sorted(out["log"]) == ["a works", "in", "second try"]
        assert sorted(done) == ["a works", "b fails", "b fails"]

    def test_pruning_twice_is_pruning_once(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 4)
        api.prune([THREAD])
        before = api.list(config_of())
        api.prune([THREAD, "unknown"])
        api.prune([])
        assert api.list(config_of()) == before
        assert_sound(saver, THREAD)

    def test_the_strategy_delete_removes_the_thread(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        api.prune([THREAD], strategy="delete")
        assert api.list(config_of(ns=None)) == []
        with pytest.raises(ThreadDeletedError):
            api.put(stored[-1], checkpoint_of({"a": "late"}))
        fresh = put_chain(api, 2)
        assert api.read(config_of()).config == fresh[-1]
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("strategy", ["keep_all", "", "KEEP_LATEST", None])
    def test_an_unknown_strategy_is_a_value_error(self, api: Api, strategy: Any) -> None:
        put_chain(api, 3)
        with pytest.raises(ValueError, match="strategy"):
            api.prune([THREAD], strategy=strategy)
        assert len(api.list(config_of())) == 3

    def test_a_late_put_on_a_pruned_checkpoint_is_kept(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        api.prune([THREAD])
        late = api.put(stored[0], checkpoint_of({"n": "late"}))
        assert api.read(late).checkpoint["channel_values"] == {"n": "late"}
        assert {*ids_of(api.list(config_of()))} == {*ids_of([late, stored[-1]])}
        assert_sound(saver, THREAD)
