"""The contract of capture: every run, step and call of every kind of graph, recorded as it happened."""

from __future__ import annotations

import concurrent.futures
import operator
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt

from langgraph_wfstore.prices import Price, PriceTable

from .api import Api
from .contract import DurabilityContract, assert_sound
from .contract_graphs import CONFIG
from .material import THREAD
from .sample_graphs import Log, Saver, line_graph
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langgraph_wfstore import Thread, WfStoreSaver

PRICES = PriceTable({"scripted-1-answering": Price(input=1, output=10)})


@tool
def search(q: str) -> str:
    """Looks something up."""
    return f"found {q}"


@tool
def fail(q: str) -> str:
    """Raises."""
    raise ValueError(f"cannot {q}")


class Fan(TypedDict, total=False):
    """What parallel tasks found."""

    out: Annotated[list[str], operator.add]


class Noted(MessagesState):
    """A conversation, and what is noted of it."""

    note: str


def agent_graph(saver: Saver, model: Any, *tools: Any) -> Any:
    """The usual loop of a model and its tools."""
    bound = model.bind_tools(tools) if tools else model

    def agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    builder = StateGraph(MessagesState).add_node("agent", agent)
    builder.add_node("tools", ToolNode(list(tools), handle_tool_errors=True))
    builder.add_edge(START, "agent").add_edge("tools", "agent")
    builder.add_conditional_edges("agent", lambda s: "tools" if s["messages"][-1].tool_calls else END, ["tools", END])
    return builder.compile(checkpointer=saver)


def asked(text: str = "what is x?") -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def of(saver: WfStoreSaver, thread_id: str = THREAD) -> Thread:
    assert_sound(saver, thread_id)
    return saver.store.thread(thread_id)


def nodes(thread: Thread, **wanted: Any) -> list[str]:
    """The names of the steps, without LangGraph's own, in the order in which they began."""
    steps = [s for s in thread.steps() if s.node != "__start__"]
    return [s.node for s in steps if all(getattr(s, name) == value for name, value in wanted.items())]


class CaptureContract(DurabilityContract):
    """What is recorded of each kind of graph, under each durability."""

    def test_an_agent_with_tools(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("look", "m1", ("search", {"q": "x"}, "c1")), says("it is x", "m2")])
        api.invoke(agent_graph(saver, model, search), asked(), CONFIG, durability=durability)
        thread = of(saver)
        (run,) = thread.runs()
        assert (run.status, run.name, run.durability, run.resumes) == ("ok", "LangGraph", durability, False)
        assert run.input["messages"][0].content == "what is x?" and run.workflow is not None
        assert nodes(thread) == ["agent", "tools", "agent"]
        assert {s.status for s in thread.steps()} == {"ok"} and all(s.seconds is not None for s in thread.steps())
        first, lookup, second = thread.calls()
        assert [c.type for c in (first, lookup, second)] == ["model", "tool", "model"]
        assert [c.node for c in (first, lookup, second)] == ["agent", "tools", "agent"]
        assert (first.name, first.provider, first.model) == ("ScriptedModel", "scripts", "scripted-1-answering")
        assert first.usage is not None and (first.usage.input, first.usage.output) == (10, 5)
        assert first.parameters["temperature"] == 0.5 and "sk-secret" not in repr(first.parameters)
        assert first.tools[0]["function"]["name"] == "search" and first.finish == ("tool_calls",)
        assert [m.content for m in first.input] == ["what is x?"] and first.output.id == "m1"
        assert (first.messages, first.tool_calls) == (("m1",), ("c1",))
        assert (lookup.name, lookup.input, lookup.tool_call_id) == ("search", {"q": "x"}, "c1")
        assert lookup.output.content == "found x" and lookup.normalised_input == {"q": "x"}
        assert [m.content for m in second.input] == ["what is x?", "look", "found x"]
        assert [p["role"] for p in second.normalised_input] == ["user", "assistant", "tool"]
        assert first.content is not None and first.content != second.content
        assert (
            thread.runs()[0].last_checkpoint_id
            == api.get_state(agent_graph(saver, model, search), CONFIG).config["configurable"]["checkpoint_id"]
        )

    def test_a_model_that_streams(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("one two three", "m1")])
        graph = agent_graph(saver, model)
        list(api.stream(graph, asked(), CONFIG, durability=durability, stream_mode="messages"))
        (call,) = of(saver).calls()
        assert call.streamed and call.status == "ok" and call.output.content == "one two three"
        assert call.usage is not None and call.usage.output == 5

    def test_a_tool_that_raises_and_one_that_is_unknown(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        calls: tuple[Any, ...] = (("fail", {"q": "y"}, "c1"), ("nothing", {}, "c2"))
        model = ScriptedModel(answers=[says("", "m1", *calls), says("so be it", "m2")])
        graph = agent_graph(saver, model, fail)
        api.invoke(graph, asked(), CONFIG, durability=durability)
        thread = of(saver)
        (failed,) = thread.calls(kind="tool")
        assert (failed.status, failed.error) == ("error", ("ValueError", "cannot y"))
        state = api.get_state(graph, CONFIG).values["messages"]
        at = next(i for i, m in enumerate(state) if isinstance(m, ToolMessage) and m.tool_call_id == "c2")
        assert "no call of that id was recorded" in str(thread.why(index=at))

    def test_a_model_that_raises(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[RuntimeError("no capacity"), says("now", "m1")])
        graph = agent_graph(saver, model)
        with pytest.raises(RuntimeError, match="no capacity"):
            api.invoke(graph, asked(), CONFIG, durability=durability)
        api.invoke(graph, None, CONFIG, durability=durability)
        thread = of(saver)
        assert [r.status for r in thread.runs()] == ["error", "ok"]
        assert [r.resumes for r in thread.runs()] == [False, True]
        assert [s.status for s in thread.steps() if s.node == "agent"] == ["error", "ok"]
        assert [(c.status, c.error) for c in thread.calls()] == [
            ("error", ("RuntimeError", "no capacity")),
            ("ok", None),
        ]

    def test_retries_are_attempts(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("bad", "m1"), says("good", "m2")])
        tried: list[int] = []

        def node(state: MessagesState) -> dict[str, Any]:
            answer = model.invoke(state["messages"])
            tried.append(1)
            if len(tried) == 1:
                raise ConnectionError("try again")
            return {"messages": [answer]}

        builder = StateGraph(MessagesState)
        builder.add_node("node", node, retry_policy=RetryPolicy(initial_interval=0.001, jitter=False))
        graph = builder.add_edge(START, "node").compile(checkpointer=saver)
        api.invoke(graph, asked(), CONFIG, durability=durability)
        thread = of(saver)
        assert [(s.attempt, s.status) for s in thread.steps()] == [(1, "error"), (2, "ok")]
        assert len({s.task_id for s in thread.steps()}) == 1
        report = thread.cost(pricer=PRICES)
        assert report.total.calls == 2 and report.retries.calls == 1
        assert report.total.cost == 2 * (report.retries.cost or 0)

    def test_parallel_tasks(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def work(given: Any) -> Fan:
            return {"out": [str(search.invoke({"q": given["q"]}))]}

        builder = StateGraph(Fan)
        builder.add_node("work", work)  # type: ignore[arg-type]  # it is given what was sent
        builder.add_conditional_edges(START, lambda s: [Send("work", {"q": str(n)}) for n in range(5)], ["work"])
        api.invoke(builder.compile(checkpointer=saver), {"out": []}, CONFIG, durability=durability)
        thread = of(saver)
        steps = {s.step_id: s for s in thread.steps() if s.node == "work"}
        assert sorted(s.input["q"] for s in steps.values()) == ["0", "1", "2", "3", "4"]
        calls = thread.calls(kind="tool")
        assert {(steps[c.step_id].input["q"], c.input["q"]) for c in calls if c.step_id} == {(n, n) for n in "01234"}

    def test_sub_graphs(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("inner", "m1")])
        inner = agent_graph(None, model)  # type: ignore[arg-type]  # it takes its parent's saver
        builder = StateGraph(MessagesState).add_node("outer", inner).add_edge(START, "outer")
        api.invoke(builder.compile(checkpointer=saver), asked(), CONFIG, durability=durability)
        thread = of(saver)
        outer, agent = (s for s in thread.steps() if s.node != "__start__")
        assert (outer.node, agent.node) == ("outer", "agent") and agent.parent == outer.step_id
        assert agent.namespace.startswith("outer:") and len(thread.runs()) == 1
        (call,) = thread.calls()
        assert call.step_id == agent.step_id

    def test_functional_tasks(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("done", "m1")])

        @task
        def double(x: int) -> int:
            return 2 * x

        @entrypoint(checkpointer=saver)
        def workflow(x: int) -> Any:
            return [double(x).result(), double(x + 1).result(), model.invoke("go").content]

        assert api.invoke(workflow, 1, CONFIG, durability=durability) == [2, 4, "done"]
        thread = of(saver)
        steps = thread.steps()
        assert [s.node for s in steps] == ["workflow", "double", "double"]
        assert [s.input for s in steps] == [1, {"x": 1}, {"x": 2}] and [s.output for s in steps][1:] == [2, 4]
        assert {s.parent for s in steps[1:]} == {steps[0].step_id}
        (call,) = thread.calls()
        assert call.step_id == steps[0].step_id

    def test_interrupts_and_resumes(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def ask(state: Log) -> Log:
            return {"log": [interrupt("sure?")]}

        builder = StateGraph(Log).add_node("ask", ask).add_edge(START, "ask")
        graph = builder.compile(checkpointer=saver)
        api.invoke(graph, {"log": []}, CONFIG, durability=durability)
        (pending,) = api.get_state(graph, CONFIG).interrupts
        api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
        thread = of(saver)
        assert [r.status for r in thread.runs()] == ["interrupted", "ok"]
        assert [(s.status, s.interrupts) for s in thread.steps()] == [("interrupted", (pending.id,)), ("ok", ())]

    def test_a_stop_before_a_node(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        graph = line_graph(saver, "a", "b", interrupt_before=["b"])
        api.invoke(graph, {"log": []}, CONFIG, durability=durability)
        assert [r.status for r in of(saver).runs()] == ["interrupted"] and nodes(of(saver)) == ["a"]

    def test_a_hit_of_the_node_cache_costs_nothing(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        if durability == "exit":
            pytest.skip("LangGraph tells a saver nothing of a cached node then; docs/guide.md says so")
        model = ScriptedModel(answers=[says("once", "m1")])

        def node(state: Log) -> Log:
            return {"note": str(model.invoke("go").content)}

        builder = StateGraph(Log).add_node("node", node, cache_policy=CachePolicy(key_func=lambda s: "same"))
        graph = builder.add_edge(START, "node").compile(checkpointer=saver, cache=InMemoryCache())
        for _ in range(2):
            api.invoke(graph, {"log": []}, CONFIG, durability=durability)
        thread = of(saver)
        assert [s.cached for s in thread.steps()] == [False, True] and len(thread.calls()) == 1
        assert thread.cost(pricer=PRICES).cached_steps == 1

    def test_hits_of_the_node_cache_belong_to_their_supersteps(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        if durability == "exit":
            pytest.skip("LangGraph tells a saver nothing of a cached node then; docs/guide.md says so")
        names = [f"n{at}" for at in range(8)]
        builder = StateGraph(Log)
        for name, before in zip(names, [START, *names], strict=False):
            policy = CachePolicy(key_func=lambda s: "same")
            builder.add_node(name, lambda s: {"note": "once"}, cache_policy=policy).add_edge(before, name)
        graph = builder.compile(checkpointer=saver, cache=InMemoryCache())
        for _ in range(2):
            api.invoke(graph, {"log": []}, CONFIG, durability=durability)
        thread = of(saver)
        # LangGraph hands over the writes of cached tasks side by side.
        first, second = (sorted(thread.steps(r.run_id), key=lambda s: s.number) for r in thread.runs())
        assert [(s.node, s.cached) for s in second] == [(name, True) for name in names]
        assert [s.number - second[0].number for s in second] == [*range(8)] == [s.number - 1 for s in first]
        made_after = {c.checkpoint_id: (c.step or 0) + 1 for c in thread.checkpoints()}
        assert [made_after[s.checkpoint_id or ""] for s in second] == [s.number for s in second]

    def test_a_run_that_left_no_checkpoint_is_deleted_by_the_id_in_its_metadata(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = line_graph(saver, "a", "b")
        config: Any = {**CONFIG, "metadata": {"run_id": "first"}}
        api.invoke(graph, {"log": ["in"]}, config, durability=durability)
        before = len(of(saver).checkpoints())
        for name in ("empty", "other"):  # the graph has ended: nothing is left to run
            api.invoke(graph, None, {**CONFIG, "metadata": {"run_id": name}}, durability=durability)
        thread = of(saver)
        assert [r.metadata_run_id for r in thread.runs()] == ["first", "empty", "other"]
        saver.delete_for_runs(["empty"])
        thread = of(saver)
        assert [r.metadata_run_id for r in thread.runs()] == ["first", "other"]
        assert len(thread.checkpoints()) == before and nodes(thread) == ["a", "b"]

    def test_what_ran_again_at_an_old_checkpoint_is_a_step_of_its_own(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        model = ScriptedModel(answers=[says("first", "m1"), says("second", "m2")])
        graph = agent_graph(saver, model)
        api.invoke(graph, asked(), CONFIG, durability="async")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",))
        api.invoke(graph, None, before.config, durability=durability)
        thread = of(saver)
        steps = [s for s in thread.steps() if s.node == "agent"]
        assert [s.output["messages"][0].content for s in steps] == ["first", "second"]
        assert [r.addressed for r in thread.runs()] == [False, True]
        assert thread.cost(by="branch", pricer=PRICES).abandoned.calls == 1

    def test_calls_without_context_are_counted_and_not_guessed(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def node(state: Log) -> Log:
            thread = threading.Thread(target=search.invoke, args=({"q": "lost"},))
            thread.start()
            thread.join()
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                pool.submit(search.invoke, {"q": "lost too"}).result()
            return {"log": [str(search.invoke({"q": "known"}))]}

        builder = StateGraph(Log).add_node("node", node).add_edge(START, "node")
        api.invoke(builder.compile(checkpointer=saver), {"log": []}, CONFIG, durability=durability)
        thread = of(saver)
        assert [c.input for c in thread.calls()] == [{"q": "known"}]
        assert thread.runs()[0].unattributed == 2 == saver.store.stats()["unattributed_calls"]


class LineageContract(DurabilityContract):
    """Why, and what followed."""

    def test_why_an_answer_goes_back_to_the_question(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("look", "m1", ("search", {"q": "x"}, "c1")), says("it is x", "m2")])
        graph = agent_graph(saver, model, search)
        api.invoke(graph, asked(), CONFIG, durability=durability)
        thread = of(saver)
        first, lookup, second = thread.calls()
        found = thread.why()
        assert [item.id for item in found.walk() if item.kind == "call" and not item.again] == [
            second.call_id,
            first.call_id,
            lookup.call_id,
        ]
        assert found.unknown == [] and found.root.kind == "message" and found.root.id == "m2"
        assert any(item.kind == "input" and item.id == thread.runs()[0].run_id for item in found.walk())
        assert found.as_dict()["root"]["links"][0]["id"] == second.call_id

    def test_what_followed_from_a_tool_result(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        answers = [says("", "m1", ("search", {"q": "x"}, "c1")), says("it is x", "m2"), says("no", "m3")]
        model = ScriptedModel(answers=answers)
        graph = agent_graph(saver, model, search)
        api.invoke(graph, asked(), CONFIG, durability="async")
        fork = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",) and len(s.values["messages"]) == 3)
        api.invoke(graph, None, fork.config, durability=durability)
        thread = of(saver)
        asking, lookup, second, third = thread.calls()
        found = [item.id for item in thread.impact(lookup.call_id).walk() if item.kind == "call"]
        assert found == [lookup.call_id, second.call_id, third.call_id]
        assert len([i for i in thread.impact(lookup.call_id).walk() if i.kind == "branch"]) == 2
        everything = [item.id for item in thread.impact(asking.call_id).walk() if item.kind == "call"]
        assert everything == [asking.call_id, lookup.call_id, second.call_id, third.call_id]
        assert [i.id for i in thread.impact(third.call_id).walk() if i.kind == "call"] == [third.call_id]

    def test_what_followed_is_found_though_writes_came_after_their_checkpoint(
        self, api: Api, saver: WfStoreSaver, durability: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put, put_writes = saver._put, saver._put_writes
        followed: set[str] = set()

        def noted(config: Any, *others: Any) -> Any:
            stored = put(config, *others)
            followed.add(config["configurable"].get("checkpoint_id"))
            return stored

        def late(config: Any, *others: Any) -> None:
            end = time.monotonic() + 0.3
            while config["configurable"]["checkpoint_id"] not in followed and time.monotonic() < end:
                time.sleep(0.001)
            put_writes(config, *others)

        monkeypatch.setattr(saver, "_put", noted)
        monkeypatch.setattr(saver, "_put_writes", late)
        model = ScriptedModel(answers=[says("", "m1", ("search", {"q": "x"}, "c1")), says("it is x", "m2")])
        api.invoke(agent_graph(saver, model, search), asked(), CONFIG, durability=durability)
        asking, lookup, second = of(saver).calls()
        found = [item.id for item in of(saver).impact(asking.call_id).walk() if item.kind == "call"]
        assert found == [asking.call_id, lookup.call_id, second.call_id]

    def test_a_message_that_was_changed_since_is_not_taken_for_the_call_s(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        model = ScriptedModel(answers=[says("true", "m1")])
        graph = agent_graph(saver, model)
        api.invoke(graph, asked(), CONFIG, durability=durability)
        api.update_state(graph, CONFIG, {"messages": [AIMessage("false", id="m1")]}, as_node="agent")
        assert any("changed since" in item.label for item in of(saver).why().unknown)

    def test_what_a_model_was_given_from_another_channel_goes_back_to_the_input(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        model = ScriptedModel(answers=[says("in short: x", "m1")])

        def node(state: Noted) -> dict[str, Any]:
            return {"note": model.invoke([HumanMessage("Sum this up."), *state["messages"]]).content}

        builder = StateGraph(Noted).add_node("node", node).add_edge(START, "node")
        api.invoke(builder.compile(checkpointer=saver), asked(), CONFIG, durability=durability)
        thread = of(saver)
        (call,) = (item for item in thread.why(channel="note", index=None).walk() if item.kind == "call")
        prompt, question = call.links
        assert [(item.kind, item.id) for item in question.links] == [("input", thread.runs()[0].run_id)]
        assert [item.kind for item in prompt.links] == ["value"]  # made in the step

    def test_what_an_error_handler_wrote_leads_to_it_and_on_to_what_followed(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def bad(state: Noted) -> dict[str, Any]:
            raise ValueError("cannot")

        def repair(state: Noted) -> Command[str]:
            return Command(goto="after", update={"note": str(search.invoke({"q": "repair"}))})

        builder = StateGraph(Noted).add_node("bad", bad, error_handler=repair).add_node("after", lambda state: {})
        builder.add_edge(START, "bad")
        api.invoke(builder.compile(checkpointer=saver), asked(), CONFIG, durability=durability)
        thread = of(saver)
        failed, handler, after = thread.steps()
        assert (failed.status, handler.status) == ("error", "ok")
        assert (handler.namespace, handler.checkpoint_id) == ("", failed.checkpoint_id)
        (writer,) = thread.why(channel="note", index=None).root.links
        assert writer.id == handler.step_id
        followed = [item.id for item in thread.impact(thread.calls()[0].call_id).walk() if item.kind == "step"]
        assert followed == [handler.step_id, after.step_id]

    def test_what_a_sub_graph_wrote_goes_on_to_the_calls_inside_it(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        inner = StateGraph(Noted).add_node("look", lambda state: {"note": str(search.invoke({"q": "inside"}))})
        inner.add_node("rest", lambda state: {}).add_edge(START, "look").add_edge("look", "rest")
        builder = StateGraph(Noted).add_node("sub", inner.compile()).add_edge(START, "sub")
        api.invoke(builder.compile(checkpointer=saver), asked(), CONFIG, durability=durability)
        thread = of(saver)
        sub, look, _ = thread.steps()
        (step,) = thread.why(channel="note", index=None).root.links
        assert step.id == sub.step_id and [item.id for item in step.links if item.kind == "step"] == [look.step_id]
        assert thread.calls()[0].call_id in [item.id for item in step.links[-1].links]

    def test_the_value_of_a_plain_channel(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def node(state: Log) -> Log:
            return {"note": str(search.invoke({"q": "n"})), "log": ["node"]}

        builder = StateGraph(Log).add_node("node", node).add_edge(START, "node")
        graph = builder.compile(checkpointer=saver)
        api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
        api.update_state(graph, CONFIG, {"log": ["by hand"]})
        thread = of(saver)
        (call,) = thread.calls()
        whole = thread.why(channel="note", index=None)
        assert call.call_id in [item.id for item in whole.walk()]
        assert any(item.kind == "update" for item in thread.why(channel="log").walk())
        assert any(item.kind == "step" for item in thread.why(channel="log", index=1).walk())
        with pytest.raises(ValueError, match="no channel 'nothing'"):
            thread.why(channel="nothing")
        with pytest.raises(IndexError, match="3 elements"):
            thread.why(channel="log", index=3)
