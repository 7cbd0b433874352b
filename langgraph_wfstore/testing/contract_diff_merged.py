"""The contract of comparing lines that merges have joined: the base, and what belongs to which side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langgraph_wfstore.diff.diff import Side

from .api import Api
from .contract import Contract, DurabilityContract
from .contract_capture import of
from .contract_diff import nodes_of, put_after, statuses
from .contract_diff_lines import counted, of_quietly
from .contract_graphs import CONFIG
from .contract_merge import FORK, MAIN, merged
from .material import checkpoint_of, config_of, id_of, metadata_of, put_chain
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from langgraph_wfstore import WfStoreSaver


def answering_graph(saver: Any) -> Any:
    """A graph whose one node asks a model that gives back what it was told."""

    def answer(state: MessagesState) -> MessagesState:
        said = state["messages"][-1]
        model = ScriptedModel(answers=[says(f"re {said.content}", f"re-{said.id}")])
        return {"messages": [model.invoke(state["messages"])]}

    return StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile(checkpointer=saver)


def tell(api: Api, graph: Any, text: str, config: RunnableConfig, durability: str = "async") -> None:
    api.invoke(graph, {"messages": [HumanMessage(text, id=text)]}, config, durability=durability)


def answers(side: Side) -> list[str]:
    """What the model said on a side."""
    return [call.output.content for call in side.calls]


def ids(side: Side) -> list[str]:
    return [item.checkpoint_id for item in side.checkpoints]


class DiffOfMergedContract(DurabilityContract):
    """Lines that a merge has joined are compared with the last checkpoint that both have, as by `git diff a...b`."""

    def started(self, api: Api, saver: WfStoreSaver, durability: str) -> Any:
        """A question on main, then one more on main and one on fork-1."""
        graph = answering_graph(saver)
        tell(api, graph, "in", CONFIG)
        start = api.get_state(graph, CONFIG).config
        tell(api, graph, "ours", CONFIG, durability)
        tell(api, graph, "theirs", start, durability)
        return graph

    def test_the_base_of_a_branch_that_was_merged_is_what_was_merged(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = self.started(api, saver, durability)
        found = merged(saver)
        tell(api, graph, "more", MAIN, durability)
        tell(api, graph, "further", FORK, durability)
        compared = of(saver).diff("main", "fork-1")
        assert compared.base == found.parents[1]
        assert answers(compared.a) == ["re ours", "re more"] and answers(compared.b) == ["re further"]
        assert nodes_of(compared.a) == ["answer"] * 2 and nodes_of(compared.b) == ["answer"]
        assert (compared.a.cost.calls, compared.b.cost.calls) == (2, 1)
        assert found.checkpoint_id in ids(compared.a)
        changes = next(change for change in compared.b.changes if change.name == "messages").elements
        assert changes is not None
        assert [(change.kind, change.new.content) for change in changes] == [
            ("added", "further"),
            ("added", "re further"),
        ]
        mirrored = of(saver).diff("fork-1", "main")
        assert (compared.a.as_dict(), compared.b.as_dict()) == (mirrored.b.as_dict(), mirrored.a.as_dict())

    def test_a_branch_that_was_merged_has_nothing_of_its_own(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        self.started(api, saver, durability)
        found = merged(saver)
        compared = of(saver).diff("main", "fork-1")
        assert compared.base == found.parents[1] == compared.b.checkpoint_id
        assert (compared.b.checkpoints, compared.b.steps, compared.b.calls, compared.b.changes) == ((), (), (), ())
        assert statuses(compared) == {"messages": "only a"} and answers(compared.a) == ["re ours"]

    def test_what_came_in_by_a_merge_belongs_to_the_side_that_merged_it(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = self.started(api, saver, durability)
        start = next(state for state in api.history(graph, MAIN) if len(state.values["messages"]) == 2)
        tell(api, graph, "third", start.config, durability)
        merged(saver)
        compared = of(saver).diff("main", "fork-2")
        assert compared.base == id_of(start.config)
        assert answers(compared.a) == ["re ours", "re theirs"] and answers(compared.b) == ["re third"]
        merged(saver, "main", "fork-2")
        compared = of(saver).diff("fork-2", "fork-1")
        assert answers(compared.a) == ["re ours", "re third"] and answers(compared.b) == []

    def test_what_two_merges_crossed_is_common(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        graph = self.started(api, saver, durability)
        theirs = api.get_state(graph, FORK).config
        merged(saver)
        tell(api, graph, "more", MAIN, durability)
        tell(api, graph, "further", FORK, durability)
        merged(saver, "main", "fork-1")
        tell(api, graph, "at last", MAIN, durability)
        compared = of(saver).diff("main", "fork-1")
        assert answers(compared.a) == ["re at last"] and answers(compared.b) == ["re further"]
        before = of(saver).diff("fork-1", id_of(theirs))
        assert before.base == id_of(theirs) and answers(before.a) == ["re ours", "re more", "re further"]

    def test_an_unfinished_task_of_what_was_merged_came_in_with_no_merge(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def asks(state: MessagesState) -> MessagesState:
            if state["messages"][-1].content == "ask":
                interrupt("sure?")
            return {"messages": [AIMessage("sure", id=f"re-{state['messages'][-1].id}")]}

        graph: Any = StateGraph(MessagesState).add_node(asks).add_edge(START, "asks").compile(checkpointer=saver)
        tell(api, graph, "in", CONFIG)
        start = api.get_state(graph, CONFIG).config
        tell(api, graph, "ours", CONFIG, durability)
        tell(api, graph, "ask", start, durability)
        assert [len(step.interrupts) for step in of(saver).diff("main", "fork-1").b.steps] == [1]
        merged(saver)
        compared = of(saver).diff("main", id_of(start))
        assert [len(step.interrupts) for step in compared.a.steps] == [0]


class DiffOfMergedLinesContract(Contract):
    """Which checkpoints belong to which side, and what it costs to find out."""

    def test_where_the_common_checkpoint_was_pruned_the_last_common_one_that_is_kept_takes_its_place(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        first = put_chain(api, 2)
        ours = put_chain(api, 2, after=first[-1])
        theirs = put_chain(api, 3, after=first[-1])
        merged(saver, resolve="ours")
        put_chain(api, 1, after=theirs[-1])
        gone = id_of(theirs[-1])
        report = saver.store.prune(["t"])
        assert report.total.checkpoints > 0
        compared = of(saver).diff("main", "fork-1")
        assert compared.base is None and gone not in (*ids(compared.a), *ids(compared.b))
        assert [side.removed for side in (compared.a, compared.b)] == [len(ours), 0]

    def test_many_edits_by_hand_are_looked_at_in_pages(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = put_chain(api, 2)
        at = [stored[0], stored[1]]
        for number in range(100):
            for side in (0, 1):
                values = {"n": number}
                new = checkpoint_of(values, {"n": number + 3})
                at[side] = api.put(at[side], new, metadata_of(number + 2, "update"))
        found = counted(saver, monkeypatch)
        compared = of_quietly(saver).diff("main", "fork-1")
        assert compared.base == id_of(stored[0])
        assert [len(side.checkpoints) for side in (compared.a, compared.b)] == [101, 100]
        assert found["anchored"] <= 16

    def test_a_long_common_past_of_merged_lines_costs_nothing(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        costs = []
        for length in (20, 500):
            thread_id = f"past of {length}"
            config = config_of(thread_id)
            for at in range(length):
                config = put_after(api, config, at, at + 1, n=at)
            ours = put_after(api, config, length, length + 1, n=1)
            theirs = put_after(api, config, length, length + 1, m=1)
            thread = saver.store.thread(thread_id)
            base = thread.merge("fork-1", "main", resolve="ours").parents[1]
            put_after(api, theirs, length + 1, length + 2, m=2)
            with monkeypatch.context() as patch:
                saver.store.views.forget(saver.store.views.of(thread_id))
                saver.store.views.shelf.clear()
                costs.append(counted(saver, patch))
                compared = thread.diff("main", "fork-1")
            assert compared.base == base == id_of(theirs)
            assert ids(compared.a) == [id_of(ours), compared.a.checkpoint_id] and len(compared.b.checkpoints) == 1
        assert costs[1]["statements"] <= costs[0]["statements"] and costs[1]["rows"] <= costs[0]["rows"] + 2
