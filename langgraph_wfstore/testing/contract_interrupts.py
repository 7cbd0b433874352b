"""The contract of interrupts: a run that waits for a person goes on where it stopped, and repeats nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from .api import Api
from .contract import DurabilityContract, Reopen, assert_sound
from .contract_graphs import CONFIG, assert_same_as_in_memory
from .material import THREAD
from .sample_graphs import Log, Saver, line_graph, plain, plain_snapshot, plain_thread, says

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def asks(name: str, *questions: str) -> Any:
    """A node that asks each question and logs the answers."""

    def node(state: Log) -> Log:
        return {"log": [f"{name}: {interrupt({'ask': question})}" for question in questions]}

    node.__name__ = name
    return node


def asking_graph(saver: Saver, *questions: str) -> Any:
    builder = StateGraph(Log).add_node("first", says("first")).add_node("ask", asks("ask", *questions))
    builder.add_node("last", says("last")).add_edge(START, "first").add_edge("first", "ask").add_edge("ask", "last")
    return builder.compile(checkpointer=saver)


class InterruptsContract(DurabilityContract):
    """Interrupts of all kinds, the same as in memory."""

    @pytest.mark.parametrize("where", ["interrupt_before", "interrupt_after"])
    def test_a_static_interrupt(self, api: Api, saver: WfStoreSaver, durability: str, where: Any) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b", "c", **{where: ["b"]})
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            stopped = plain_thread(api, graph, CONFIG)
            api.update_state(graph, CONFIG, {"note": "while it waits"})
            out = api.invoke(graph, None, CONFIG, durability=durability)
            return stopped, out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_question_and_its_answer(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = asking_graph(saver, "sure?")
            asked = api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            waiting = plain_thread(api, graph, CONFIG)
            out = api.invoke(graph, Command(resume={"answer": ("yes", 1)}), CONFIG, durability=durability)
            return plain(asked), waiting, out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_several_questions_of_one_node(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = asking_graph(saver, "one?", "two?", "three?")
            outs = [plain(api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability))]
            for answer in ("1", "2", "3"):
                outs.append(plain(api.invoke(graph, Command(resume=answer), CONFIG, durability=durability)))
                outs.append(plain_snapshot(api.get_state(graph, CONFIG)))
            return outs, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_questions_of_parallel_nodes(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            done: list[str] = []

            def busy(state: Log) -> Log:
                done.append("busy")
                return {"log": ["busy"]}

            builder = StateGraph(Log).add_node("busy", busy).add_node("last", says("last"))
            for name in ("x", "y"):
                builder.add_node(name, asks(name, f"{name}?"))
            for name in ("x", "y", "busy"):
                builder.add_edge(START, name).add_edge(name, "last")
            graph = builder.compile(checkpointer=saver)
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            asked = {each.value["ask"]: each.id for each in api.get_state(graph, CONFIG).interrupts}
            first = api.invoke(graph, Command(resume={asked["y?"]: "yy"}), CONFIG, durability=durability)
            half = plain_snapshot(api.get_state(graph, CONFIG))
            out = api.invoke(graph, Command(resume={asked["x?"]: "xx"}), CONFIG, durability=durability)
            return plain(first), half, out, done, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_an_answer_with_an_update_and_a_jump(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = asking_graph(saver, "sure?")
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            command: Command[Any] = Command(resume="yes", update={"log": ["meanwhile"], "note": "n"})
            out = api.invoke(graph, command, CONFIG, durability=durability)
            return out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_question_is_asked_again_when_time_goes_back(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = asking_graph(saver, "sure?")
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability="sync")
            api.invoke(graph, Command(resume="yes"), CONFIG, durability="sync")
            old = next(each for each in api.history(graph, CONFIG) if each.next == ("ask",))
            asked = api.invoke(graph, None, old.config, durability=durability)
            out = api.invoke(graph, Command(resume="no"), CONFIG, durability=durability)
            return plain(asked), out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_new_input_drops_an_open_question(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = asking_graph(saver, "sure?")
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            api.invoke(graph, {"log": ["something else"]}, CONFIG, durability=durability)
            out = api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
            return out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_question_is_answered_through_another_saver(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen, durability: str
    ) -> None:
        api.invoke(asking_graph(saver, "one?", "two?"), {"log": ["in"]}, CONFIG, durability=durability)
        for number, answer in enumerate(("1", "2")):
            other = reopen()
            again, graph = api.on(other), asking_graph(other, "one?", "two?")
            (waiting,) = again.get_state(graph, CONFIG).interrupts
            assert waiting.value == {"ask": ("one?", "two?")[number]}
            out = again.invoke(graph, Command(resume=answer), CONFIG, durability=durability)
        assert out["log"] == ["in", "first after 1", "ask: 1", "ask: 2", "last after 4"]
        assert_sound(saver, THREAD)
