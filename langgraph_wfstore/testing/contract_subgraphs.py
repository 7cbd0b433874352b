"""The contract of sub-graphs: their own namespaces, their own states, and time travel through both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from .api import Api
from .contract import DurabilityContract, assert_sound
from .contract_graphs import CONFIG, assert_same_as_in_memory
from .material import THREAD, config_of
from .sample_graphs import Log, Saver, plain, plain_snapshot, plain_thread, says

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class Counted(TypedDict, total=False):
    """The state of a sub-graph that remembers: how often it was called, and the parent's log."""

    calls: int
    note: str


def nested_graph(saver: Saver, *, asks: bool = False, depth: int = 1) -> Any:
    """A graph with a sub-graph as a node, `depth` deep, that may ask in its middle."""

    def inner(state: Log) -> Log:
        answer = interrupt("inside?") if asks else "nothing"
        return {"note": f"inner said {answer}"}

    child: Any = StateGraph(Log).add_node("before", says("before")).add_node("inner", inner)
    child = child.add_edge(START, "before").add_edge("before", "inner").compile()
    for level in range(depth - 1):
        child = StateGraph(Log).add_node(f"level {level}", child).add_edge(START, f"level {level}").compile()

    builder = StateGraph(Log).add_node("first", says("first")).add_node("sub", child)
    builder.add_node("last", says("last")).add_edge(START, "first").add_edge("first", "sub").add_edge("sub", "last")
    return builder.compile(checkpointer=saver)


def remembering_graph(saver: Saver) -> Any:
    """A graph whose sub-graph keeps a state of its own from turn to turn (`checkpointer=True`)."""

    def count(state: Counted) -> Counted:
        calls = state.get("calls", 0) + 1
        return {"calls": calls, "note": f"call {calls}"}

    child = StateGraph(Counted).add_node("count", count).add_edge(START, "count").compile(checkpointer=True)

    def told(state: Log) -> Log:
        return {"log": [state["note"]]}

    builder = StateGraph(Log).add_node("sub", child).add_node("told", told)
    return builder.add_edge(START, "sub").add_edge("sub", "told").compile(checkpointer=saver)


class SubgraphsContract(DurabilityContract):
    """Sub-graphs with and without a memory of their own, the same as in memory."""

    @pytest.mark.parametrize("depth", [1, 2])
    def test_a_sub_graph_runs_through(self, api: Api, saver: WfStoreSaver, durability: str, depth: int) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = nested_graph(saver, depth=depth)
            outs = [api.invoke(graph, {"log": [text]}, CONFIG, durability=durability) for text in ("one", "two")]
            return outs, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    @pytest.mark.parametrize("depth", [1, 2])
    def test_a_sub_graph_asks_and_goes_on(self, api: Api, saver: WfStoreSaver, durability: str, depth: int) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = nested_graph(saver, asks=True, depth=depth)
            asked = api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            waiting = plain_snapshot(api.get_state(graph, CONFIG, subgraphs=True))
            out = api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
            return plain(asked), waiting, out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_the_state_of_a_waiting_sub_graph_can_be_changed(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = nested_graph(saver, asks=True)
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            waiting = api.get_state(graph, CONFIG, subgraphs=True).tasks[0].state
            assert waiting is not None
            api.update_state(graph, waiting.config, {"log": ["slipped in"]})  # type: ignore[union-attr]  # a snapshot, as asked
            inside = plain_snapshot(api.get_state(graph, CONFIG, subgraphs=True))
            out = api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
            return inside, out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_sub_graph_remembers_from_turn_to_turn(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = remembering_graph(saver)
            outs = [api.invoke(graph, {"log": [text]}, CONFIG, durability=durability) for text in ("one", "two", "3")]
            return outs, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_time_travel_to_before_a_sub_graph(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = nested_graph(saver, asks=True)
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability="sync")
            api.invoke(graph, Command(resume="yes"), CONFIG, durability="sync")
            old = next(each for each in api.history(graph, CONFIG) if each.next == ("sub",))
            asked = api.invoke(graph, None, old.config, durability=durability)
            out = api.invoke(graph, Command(resume="no"), CONFIG, durability=durability)
            return plain(asked), out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_time_travel_inside_a_sub_graph(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = nested_graph(saver, asks=True)
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability="sync")
            inside = api.get_state(graph, CONFIG, subgraphs=True).tasks[0].state
            assert inside is not None
            ns = inside.config["configurable"]["checkpoint_ns"]  # type: ignore[union-attr]  # a snapshot, as asked
            steps = [*api.history(graph, config_of(ns=ns))]
            old = next(each for each in steps if each.next == ("before",))
            asked = api.invoke(graph, None, old.config, durability=durability)
            out = api.invoke(graph, Command(resume="later"), CONFIG, durability=durability)
            return [plain_snapshot(each) for each in steps], plain(asked), out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_replay_gives_a_remembering_sub_graph_its_memory_of_then(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = remembering_graph(saver)
            for text in ("one", "two", "three"):
                api.invoke(graph, {"log": [text]}, CONFIG, durability="sync")
            old = [each for each in api.history(graph, CONFIG) if each.next == ("sub",)][1]
            out = api.invoke(graph, None, old.config, durability=durability)
            return out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_fork_gives_a_remembering_sub_graph_its_memory_of_then(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = remembering_graph(saver)
        for text in ("one", "two", "three"):
            api.invoke(graph, {"log": [text]}, CONFIG, durability=durability)
        ends = [each for each in api.history(graph, CONFIG) if not each.next]
        assert ends[-1].values["log"] == ["one", "call 1"]
        api.update_state(graph, ends[-1].config, {"log": ["fork"]}, as_node="told")
        out = api.invoke(graph, {"log": ["again"]}, CONFIG, durability=durability)
        assert out["log"] == ["one", "call 1", "fork", "again", "call 2"]
        out = api.invoke(graph, {"log": ["more"]}, CONFIG, durability=durability)
        assert out["log"][-1] == "call 3"
        assert_sound(saver, THREAD)
