"""The contract of two branches that stand at one checkpoint: what one does there does not count on the other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from langgraph_wfstore.errors import ConflictError

from .api import Api
from .contract import Contract, DurabilityContract, assert_sound
from .contract_branches import isolated
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, checkpoint_of, config_of, metadata_of, put_chain
from .sample_graphs import line_graph

if TYPE_CHECKING:
    from langgraph_wfstore import WfStore, WfStoreSaver
    from langgraph_wfstore.appending.inputs import CheckpointInput, WritesInput

MAIN, NO = config_of(branch="main"), config_of(branch="no")


def write_late(store: WfStore, patched: pytest.MonkeyPatch) -> None:
    """Have what tasks write wait until the next checkpoint was put."""
    put_writes, put_checkpoint, was_put = store.put_writes, store.put_checkpoint, threading.Event()

    def late(thread_id: str, new: WritesInput, *more: Any) -> None:
        if new.task_path and not new.ends_run:
            assert was_put.wait(20)
        put_writes(thread_id, new, *more)

    def put(thread_id: str, new: CheckpointInput, *more: Any) -> None:
        try:
            put_checkpoint(thread_id, new, *more)
        finally:
            was_put.set()

    patched.setattr(store, "put_writes", late)
    patched.setattr(store, "put_checkpoint", put)


def started(saver: WfStoreSaver, head: Any, how: str) -> Any:
    """The config of a branch "no" at a checkpoint: created there, or to be started by the update that names it."""
    if how == "named":
        return {"configurable": {**head.config["configurable"], "branch": "no"}}
    saver.store.thread(THREAD).create_branch("no")
    return NO


@pytest.mark.parametrize("how", ["created", "named"])
class SharedQuestionContract(DurabilityContract):
    """What-if where production waits for an answer."""

    def test_a_decision_that_a_branch_makes_is_not_made_on_main(
        self, api: Api, saver: WfStoreSaver, durability: str, how: str
    ) -> None:
        beside = isolated(api, saver)
        graph = asking_graph(beside.saver, "sure?")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        head = beside.get_state(graph, config_of())
        beside.update_state(graph, started(saver, head, how), {"log": ["what if"]}, as_node="ask")
        assert beside.get_state(graph, config_of()) == head
        assert beside.invoke(graph, None, NO, durability=durability)["log"][-2:] == ["what if", "last after 3"]
        assert beside.get_state(graph, config_of()) == head
        out = beside.invoke(graph, Command(resume="yes"), config_of(), durability=durability)
        assert out["log"][-2:] == ["ask: yes", "last after 3"]
        assert beside.get_state(graph, NO).values["log"][-2:] == ["what if", "last after 3"]
        assert_sound(saver, THREAD)

    def test_a_node_that_a_branch_stands_for_still_runs_on_main(
        self, api: Api, saver: WfStoreSaver, durability: str, how: str
    ) -> None:
        beside = isolated(api, saver)
        graph = line_graph(beside.saver, "a", "b", interrupt_before=["b"])
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        head = beside.get_state(graph, config_of())
        beside.update_state(graph, started(saver, head, how), {"log": ["what if"]}, as_node="b")
        assert beside.invoke(graph, None, config_of(), durability=durability)["log"][-1] == "b after 2"
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("nested", [False, True])
    @pytest.mark.parametrize("first", [0, 1])
    def test_each_branch_has_its_own_answer_if_it_has_a_checkpoint_of_its_own(
        self, api: Api, saver: WfStoreSaver, durability: str, how: str, nested: bool, first: int
    ) -> None:
        beside = isolated(api, saver)
        graph = nested_graph(beside.saver, asks=True) if nested else asking_graph(beside.saver, "sure?")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        head = beside.get_state(graph, config_of())
        if how == "named":
            beside.update_state(graph, started(saver, head, how), None, as_node="__copy__")
        else:
            beside.update_state(graph, started(saver, head, how), {"note": "changed"})
        beside.invoke(graph, None, NO, durability=durability)
        assert beside.get_state(graph, config_of()) == head
        said = {}
        for answer, config in [("yes", MAIN), ("no", NO)][:: -1 if first else 1]:
            out = beside.invoke(graph, Command(resume=answer), config, durability=durability)
            said[answer] = out["note"] if nested else out["log"][2]
        assert said == {answer: f"inner said {answer}" if nested else f"ask: {answer}" for answer in ("yes", "no")}
        assert_sound(saver, THREAD)

    def test_a_question_that_waits_is_no_obstacle_to_merging_the_what_if(
        self, api: Api, saver: WfStoreSaver, durability: str, how: str
    ) -> None:
        beside = isolated(api, saver)
        graph = asking_graph(beside.saver, "sure?")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        head = beside.get_state(graph, config_of())
        beside.update_state(graph, started(saver, head, how), {"note": "what if"})
        saver.store.thread(THREAD).merge("no", "main")
        after = beside.get_state(graph, MAIN)
        assert (after.next, after.values["note"], len(after.interrupts)) == (head.next, "what if", 1)
        out = beside.invoke(graph, Command(resume="yes"), MAIN, durability=durability)
        assert out["log"][2] == "ask: yes"
        assert_sound(saver, THREAD)


class SharedHeadContract(Contract):
    """What would count on both is refused."""

    @pytest.mark.parametrize("switched", [False, True])
    @pytest.mark.parametrize("nested", [False, True])
    @pytest.mark.parametrize("late", [False, True])
    def test_an_answer_of_a_branch_that_stands_at_the_question_of_another_is_refused(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, switched: bool, nested: bool, late: bool
    ) -> None:
        """And with it the results, which LangGraph puts beside the next checkpoint: either may come first."""
        beside = isolated(api, saver)
        graph = nested_graph(beside.saver, asks=True) if nested else asking_graph(beside.saver, "sure?")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability="sync")
        head = beside.get_state(graph, MAIN)
        saver.store.thread(THREAD).create_branch("no")
        if switched:
            saver.store.thread(THREAD).switch("no")
        with monkeypatch.context() as patched:
            if late:
                write_late(saver.store, patched)
            with pytest.raises(ConflictError, match="is the head of branch 'main' too"):
                beside.invoke(graph, Command(resume="no"), config_of() if switched else NO, durability="sync")
        after = beside.get_state(graph, MAIN)
        assert (after.values, after.next) == (head.values, head.next)
        assert not any(channel == "__resume__" for _, channel, _ in beside.read(MAIN).pending_writes or ())
        out = beside.invoke(graph, Command(resume="yes"), MAIN, durability="sync")
        assert out["note"] == "inner said yes" if nested else out["log"][2] == "ask: yes"
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("how", ["created and switched to", "named"])
    def test_what_a_run_writes_counts_though_a_branch_that_began_there_became_current_meanwhile(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        graph = asking_graph(saver, "sure?")
        api.invoke(graph, {"log": ["in"]}, config_of(), durability="sync")
        head = api.get_state(graph, config_of())
        thread, put_writes = saver.store.thread(THREAD), saver.store.put_writes

        def switched(thread_id: str, new: WritesInput, *more: Any) -> None:
            if new.task_path and len(thread.branches()) == 1:
                if how != "named":
                    thread.create_branch("no")
                named: RunnableConfig = {"configurable": {**head.config["configurable"], "branch": "no"}}
                saver.put(named, checkpoint_of({"n": 1}), metadata_of(), {})
                if how != "named":
                    thread.switch("no")
                assert next(branch for branch in thread.branches() if branch.name == "no").current
            put_writes(thread_id, new, *more)

        with monkeypatch.context() as patched:
            patched.setattr(saver.store, "put_writes", switched)
            out = api.invoke(graph, Command(resume="yes"), config_of(), durability="sync")
        assert out["log"][-2:] == ["ask: yes", "last after 3"]
        assert_sound(saver, THREAD)

    def test_what_another_branch_left_undone_can_be_done(self, api: Api, saver: WfStoreSaver) -> None:
        beside = isolated(api, saver)
        graph = asking_graph(beside.saver, "sure?")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability="sync")
        saver.store.thread(THREAD).create_branch("no")
        beside.invoke(graph, {"log": ["never mind"]}, MAIN, durability="sync")
        out = beside.invoke(graph, Command(resume="no"), NO, durability="sync")
        assert out["log"] == ["in", "first after 1", "ask: no", "last after 3"]
        assert_sound(saver, THREAD)

    def test_results_count_for_the_branch_that_the_checkpoint_is_on(self, api: Api, saver: WfStoreSaver) -> None:
        head = put_chain(api, 2)[-1]
        thread = saver.store.thread(THREAD)
        thread.create_branch("no")
        on: Any = {name: {"configurable": {**head["configurable"], "branch": name}} for name in ("main", "no")}
        before = len(saver.store.backend.records(saver.store.views.of(THREAD).number, 0, 100))
        with pytest.raises(ConflictError, match="they were refused"):
            api.put_writes(on["no"], [("n", 5)], "task", "~__pregel_pull, node")
        assert len(saver.store.backend.records(saver.store.views.of(THREAD).number, 0, 100)) == before
        api.put_writes(on["main"], [("n", 6)], "task", "~__pregel_pull, node")
        api.put_writes(on["no"], [("n", 6)], "task", "~__pregel_pull, node")  # as it is there already
        put_chain(api, 1, after=on["main"])
        api.put_writes(on["no"], [("n", 7)], "other", "~__pregel_pull, other")  # nobody else stands here any more
        assert_sound(saver, THREAD)
