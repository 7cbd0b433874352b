"""The contract of real graphs: whatever a program does, it finds the same as with LangGraph's own saver in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, StateUpdate, interrupt

from langgraph_wfstore.errors import UnsupportedValueError

from .api import Api
from .contract import Contract, DurabilityContract, assert_sound
from .gate import fail_on
from .material import THREAD, config_of
from .sample_graphs import (
    DURABILITIES,
    Log,
    Saver,
    chat_graph,
    line_graph,
    plain,
    plain_history,
    plain_snapshot,
    plain_thread,
    says,
    says_human,
)

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

Scenario = Callable[[Api, Saver, str], Any]
CONFIG = config_of(ns=None)


def assert_same_as_in_memory(api: Api, saver: WfStoreSaver, durability: str, scenario: Scenario) -> None:
    """The scenario gives the same with both savers, and the thread verifies."""
    memory = InMemorySaver()
    wanted = scenario(api.on(memory), memory, durability)
    assert scenario(api, saver, durability) == wanted
    assert_sound(saver, THREAD)


class Numbered(TypedDict):
    number: int


class GraphsContract(DurabilityContract):
    """Graphs that run to their end, and states that are read and changed between runs."""

    def test_a_line_of_nodes(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b", "c")
            out = api.invoke(graph, {"log": ["in"], "note": "größe"}, CONFIG, durability=durability)
            return out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_conversation(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = chat_graph(saver)
            for number in range(5):
                api.invoke(graph, says_human(number), CONFIG, durability=durability)
            return plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_stream_of_everything(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b")
            chunks = api.stream(
                graph, {"log": ["in"]}, CONFIG, stream_mode=["values", "updates"], durability=durability
            )
            return [*chunks], plain_history(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_parallel_sends(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            def work(state: Numbered) -> Log:
                return {"log": [f"work {state['number']}"]}

            builder = StateGraph(Log).add_node("plan", says("plan")).add_node("work", work)
            builder.add_node("join", says("join")).add_edge(START, "plan").add_edge("work", "join")
            builder.add_conditional_edges(
                "plan", lambda _: [Send("work", {"number": number}) for number in range(20)], ["work"]
            )
            graph = builder.add_edge("join", END).compile(checkpointer=saver)
            out = api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            return out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_parallel_branches_that_join(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            builder = StateGraph(Log)
            for name in ("left", "right", "join"):
                builder.add_node(name, says(name))
            builder.add_edge(START, "left").add_edge(START, "right").add_edge(["left", "right"], "join")
            graph = builder.compile(checkpointer=saver)
            out = [api.invoke(graph, {"log": [text]}, CONFIG, durability=durability) for text in ("one", "two")]
            return out, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_commands_that_go_and_update(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            def route(state: Log) -> Command[str]:
                target = "loop" if len(state["log"]) < 4 else "done"
                return Command(goto=target, update={"log": [f"to {target}"], "note": target})

            builder = StateGraph(Log).add_node("route", route, destinations=("loop", "done"))
            builder.add_node("loop", says("loop")).add_node("done", says("done"))
            graph = builder.add_edge(START, "route").add_edge("loop", "route").compile(checkpointer=saver)
            out = api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            jumped = api.invoke(graph, Command(goto="done", update={"log": ["jump"]}), CONFIG, durability=durability)
            return out, jumped, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_updates_between_runs(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b")
            api.update_state(graph, CONFIG, {"log": ["before any run"]}, as_node="a")
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            api.update_state(graph, CONFIG, {"log": ["after"], "note": "n"})
            api.update_state(graph, CONFIG, None, as_node=END)
            api.invoke(graph, {"log": ["again"]}, CONFIG, durability=durability)
            return plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_bulk_updates(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b")
            steps = [[StateUpdate({"log": [f"bulk {number}"]}, as_node="a")] for number in range(3)]
            steps.append([StateUpdate({"log": ["x"]}, as_node="a"), StateUpdate({"note": "y"}, as_node="b")])
            api.bulk_update_state(graph, CONFIG, steps)
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            return plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_replays_and_forks(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b", "c")
            api.invoke(graph, {"log": ["in"]}, CONFIG, durability="sync")
            old = next(each for each in api.history(graph, CONFIG) if each.next == ("b",))
            outs = [api.invoke(graph, None, old.config, durability=durability)]
            fork = api.update_state(graph, old.config, {"log": ["edited"]}, as_node="a")
            outs.append(api.invoke(graph, None, fork, durability=durability))
            outs.append(api.invoke(graph, {"log": ["new input"]}, old.config, durability=durability))
            return outs, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_history_with_filter_before_and_limit(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = line_graph(saver, "a", "b")
            for text in ("one", "two", "three"):
                api.invoke(graph, {"log": [text]}, CONFIG, durability=durability)
            middle = [*api.history(graph, CONFIG)][1].config
            return [
                [plain_snapshot(each) for each in api.history(graph, CONFIG, **options)]
                for options in ({"limit": 2}, {"before": middle}, {"filter": {"source": "input"}}, {"limit": 0})
            ]

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_retries(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            attempts: list[int] = []

            def flaky(state: Log) -> Log:
                attempts.append(len(attempts))
                if len(attempts) < 3:
                    raise ConnectionError("not yet")
                return {"log": ["at last"]}

            policy = RetryPolicy(initial_interval=0.0, max_attempts=4, jitter=False)
            builder = StateGraph(Log).add_node("flaky", flaky, retry_policy=policy).add_edge(START, "flaky")
            graph = builder.compile(checkpointer=saver)
            out = api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
            return out, attempts, plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_failed_run_goes_on_without_repeating_what_was_done(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            done: list[str] = []

            def works(state: Log) -> Log:
                done.append("a works")
                return {"log": ["a works"]}

            def fails_once(state: Log) -> Log:
                done.append("b fails")
                if done.count("b fails") == 1:
                    raise ValueError("boom")
                return {"log": ["second try"]}

            builder = StateGraph(Log).add_node("first", says("first")).add_node("a works", works)
            builder.add_node("b fails", fails_once).add_edge(START, "first")
            graph = builder.add_edge("first", "a works").add_edge("first", "b fails").compile(checkpointer=saver)
            one_by_one: RunnableConfig = {**CONFIG, "max_concurrency": 1}
            with pytest.raises(ValueError, match="boom"):
                api.invoke(graph, {"log": ["in"]}, one_by_one, durability=durability)
            failed = plain_thread(api, graph, CONFIG)
            out = api.invoke(graph, None, CONFIG, durability=durability)
            return failed, out, sorted(done), plain_thread(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_the_functional_api(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            done: list[int] = []

            @task
            async def asquare(number: int) -> int:
                done.append(number)
                return number * number

            @task
            def square(number: int) -> int:
                done.append(number)
                return number * number

            @entrypoint(checkpointer=saver)
            def flow(numbers: list[int], *, previous: Any = None) -> Any:
                squares = [future.result() for future in [square(number) for number in numbers]]
                answer = interrupt({"squares": squares})
                return entrypoint.final(value=[squares, answer, previous], save=sum(squares))

            @entrypoint(checkpointer=saver)
            async def aflow(numbers: list[int], *, previous: Any = None) -> Any:
                squares = [await future for future in [asquare(number) for number in numbers]]
                answer = interrupt({"squares": squares})
                return entrypoint.final(value=[squares, answer, previous], save=sum(squares))

            graph = flow if api.is_sync else aflow
            outs = []
            for numbers in ([1, 2, 3], [4, 5]):
                outs.append(plain(api.invoke(graph, numbers, CONFIG, durability=durability)))
                outs.append(plain(api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)))
            return outs, sorted(done), plain_snapshot(api.get_state(graph, CONFIG))

        assert_same_as_in_memory(api, saver, durability, scenario)


class SaverErrorsContract(Contract):
    """An error of the saver reaches whoever started the run."""

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_an_error_of_put_reaches_the_caller(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, durability: str
    ) -> None:
        graph = line_graph(saver, "a", "b")
        api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
        before = plain_history(api, graph, CONFIG)
        with monkeypatch.context() as patch:
            fail_on(saver, "put", patch, lambda config, checkpoint, metadata, _: metadata["step"] >= 4)
            with pytest.raises(OSError, match="the disk is full"):
                api.invoke(line_graph(saver, "a", "b"), {"log": ["again"]}, CONFIG, durability=durability)
        kept = plain_history(api, graph, CONFIG)
        assert [each["values"] for each in kept][-len(before) :] == [each["values"] for each in before]
        assert not any(step.flags for step in saver.store.thread(THREAD).steps())  # none waited for what never came
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", ["sync", "async"])
    def test_an_error_of_put_writes_reaches_the_caller(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, durability: str
    ) -> None:
        fail_on(saver, "put_writes", monkeypatch, lambda config, writes, *_: ("log", ["b after 2"]) in writes)
        with pytest.raises(OSError, match="the disk is full"):
            api.invoke(line_graph(saver, "a", "b"), {"log": ["in"]}, CONFIG, durability=durability)
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_a_value_that_cannot_be_stored_reaches_the_caller_by_its_channel(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def bad(state: Log) -> Any:
            return {"note": (number for number in range(3))}

        good = line_graph(saver, "a")
        api.invoke(good, {"log": ["in"]}, CONFIG, durability=durability)
        graph = StateGraph(Log).add_node("bad", bad).add_edge(START, "bad").compile(checkpointer=saver)
        with pytest.raises(UnsupportedValueError, match="note"):
            api.invoke(graph, {"log": ["more"]}, CONFIG, durability=durability)
        assert_sound(saver, THREAD)
        assert api.invoke(good, {"log": ["on"]}, CONFIG, durability=durability)["log"][-1].startswith("a after")
