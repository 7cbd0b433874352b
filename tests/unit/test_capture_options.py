"""Capture's options, limits and borders: what is left out is said, and nobody else's run is touched."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from langgraph_wfstore import PriceTable, WfStore, WfStoreSaver
from langgraph_wfstore.backends.base import CALL, END, RUN, STEP, Append, Pending
from langgraph_wfstore.capture import barrier
from langgraph_wfstore.errors import BackendUnavailableError, UnsupportedValueError
from langgraph_wfstore.testing.contract_capture import agent_graph, asked, search
from langgraph_wfstore.testing.sample_graphs import Log, line_graph
from langgraph_wfstore.testing.scripted import ScriptedModel, says
from langgraph_wfstore.tracing.normal import content_key, normalised

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def scripted(*more: AIMessage) -> ScriptedModel:
    return ScriptedModel(answers=[says("secret look", "m1", ("search", {"q": "secret"}, "c1")), says("it is x", "m2")])


def run(saver: Any, thread: str = "t", model: Any = None, *tools: Any) -> Any:
    graph = agent_graph(saver, model or scripted(), *(tools or (search,)))
    graph.invoke(asked("a secret question"), {"configurable": {"thread_id": thread}})
    return graph


def test_capture_can_be_turned_off():
    with WfStoreSaver(":memory:", capture=False) as saver:
        run(saver)
        thread = saver.store.thread("t")
        assert thread.runs() == thread.steps() == thread.calls() == [] and thread.verify().ok
        stats = saver.store.stats()
        assert (stats["runs"], stats["steps"], stats["calls"]) == (0, 0, 0)


def test_capture_can_be_reduced_to_digests():
    with WfStoreSaver(":memory:", capture="digests") as saver:
        run(saver)
        run(saver, model=ScriptedModel(answers=[says("again", "m3")]))
        first, lookup, second, _ = saver.store.thread("t").calls()
        assert [c.type for c in (first, lookup, second)] == ["model", "tool", "model"]
        assert all(c.input is None and c.output is None and c.content and c.output_content for c in (first, lookup))
        assert first.content != second.content and first.usage is not None
        assert saver.store.thread("t").verify().ok


def test_the_messages_of_errors_are_contents_that_digests_leave_out():
    @tool
    def shout(text: str) -> str:
        """Shouts."""
        raise ValueError(f"cannot shout {text}")

    with WfStoreSaver(":memory:", capture="digests") as saver:
        builder = StateGraph(Log).add_node("node", lambda s: {"log": [shout.invoke({"text": "a secret"})]})
        with pytest.raises(ValueError, match="a secret"):
            builder.add_edge(START, "node").compile(checkpointer=saver).invoke({"log": []}, CONFIG)
        thread = saver.store.thread("t")
        for failed in (*thread.calls(), *thread.steps(), *thread.runs()):
            assert failed.error == ("ValueError", '(not recorded: capture="digests")')


@pytest.mark.parametrize("option", [{"capture": "some"}, {"capture_limit": 0}, {"capture_limit": "1"}, {"redact": 7}])
def test_an_option_that_makes_no_sense_is_refused(option: Any):
    with pytest.raises(ValueError, match=next(iter(option))):
        WfStoreSaver(":memory:", **option)


def test_redact_sees_what_is_recorded_before_it_is():
    def redact(value: Any) -> Any:
        if isinstance(value, list):
            return [redact(item) for item in value]
        if isinstance(value, AIMessage | HumanMessage):
            return type(value)("[redacted]", id=value.id)
        return {"q": "[redacted]"} if isinstance(value, dict) and "q" in value else "[redacted]"

    with WfStoreSaver(":memory:", redact=redact) as saver:
        run(saver)
        calls = saver.store.thread("t").calls()
        assert "secret" not in repr([(c.input, c.output) for c in calls])
        assert [m.content for m in calls[0].input] == ["[redacted]"] and calls[1].input == {"q": "[redacted]"}
        steps = saver.store.thread("t").steps()
        assert all(s.output == "[redacted]" for s in steps)


def test_what_redact_fails_on_is_not_recorded():
    def redact(value: Any) -> Any:
        raise KeyError("no")

    with WfStoreSaver(":memory:", redact=redact) as saver:
        run(saver)
        for call in saver.store.thread("t").calls():
            assert set(call.input) == {"wfstore.truncated"} == set(call.output)
            assert call.input["wfstore.truncated"]["why"] == "redact raised KeyError"
            assert "sha256" not in call.input["wfstore.truncated"]


def test_large_values_are_recorded_by_digest_type_and_size():
    @tool
    def large(n: int) -> str:
        """Gives much."""
        return "x" * n

    model = ScriptedModel(answers=[says("", "m1", ("large", {"n": 5000}, "c1")), says("ok", "m2")])
    with WfStoreSaver(":memory:", capture_limit=1000) as saver:
        graph = run(saver, "t", model, large)
        _, call, last = saver.store.thread("t").calls()
        facts = call.output["wfstore.truncated"]
        assert facts["why"] == "too large" and facts["type"].endswith("ToolMessage") and facts["bytes"] > 5000
        assert len(facts["sha256"]) == 64 and call.input == {"n": 5000}
        assert [type(m).__name__ for m in last.input] == ["HumanMessage", "AIMessage", "dict"]
        assert graph.get_state(CONFIG).values["messages"][2].content == "x" * 5000


def test_what_cannot_be_serialized_is_recorded_and_does_not_end_the_run():
    @tool
    def odd(q: str) -> Any:
        """Gives what nobody can store."""
        return threading.Lock()

    def node(state: Log) -> Log:
        odd.invoke({"q": "lock"})
        return {"log": ["done"]}

    with WfStoreSaver(":memory:") as saver:
        graph = StateGraph(Log).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)
        assert graph.invoke({"log": []}, CONFIG)["log"] == ["done"]
        (call,) = saver.store.thread("t").calls()
        facts = call.output["wfstore.truncated"]
        assert facts["why"] == "not serializable" and facts["type"] == "_thread.lock" and facts["of"] == "repr"


def test_the_step_of_a_node_that_gives_what_contains_itself_is_ended(caplog: pytest.LogCaptureFixture):
    def node(state: Log) -> Log:
        log: list[Any] = ["done"]
        log.append(log)
        return {"log": log}

    with WfStoreSaver(":memory:") as saver:
        graph = StateGraph(Log).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)
        with pytest.raises(UnsupportedValueError, match="contains itself"):
            graph.invoke({"log": []}, CONFIG)
        (step,) = saver.store.thread("t").steps()
        assert step.status != "open" and not caplog.records


def test_a_graph_with_another_saver_is_nobody_s_business():
    with WfStoreSaver(":memory:") as saver:
        run(InMemorySaver())
        assert list(saver.store.thread_ids()) == []
        assert saver.store.stats()["unattributed_calls"] == 0


def test_calls_of_chains_and_graphs_without_context_are_counted_too():
    asks = RunnableLambda(lambda text: text) | ScriptedModel(answers=[says("lost", "m1")])
    inner = StateGraph(Log).add_node("asks", lambda s: {"log": [asks.invoke("go").content]}).add_edge(START, "asks")
    lost = inner.compile()
    kept = inner.compile(checkpointer=InMemorySaver())

    def node(state: Log) -> Log:
        for work in (
            lambda: asks.invoke("go"),
            lambda: lost.invoke({"log": []}),
            lambda: kept.invoke({"log": []}, CONFIG),
        ):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        asks.invoke("go", {"callbacks": []})
        return {"log": [str(asks.invoke("go").content)]}

    with WfStoreSaver(":memory:") as saver:
        graph = StateGraph(Log).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)
        graph.invoke({"log": []}, CONFIG)
        thread = saver.store.thread("t")
        assert len(thread.calls()) == 1  # and that of the graph with another saver is nobody's business
        assert thread.runs()[0].unattributed == 3 == saver.store.stats()["unattributed_calls"]


def test_two_stores_record_their_own_runs_only():
    with WfStoreSaver(":memory:") as one, WfStoreSaver(":memory:") as other:
        run(one, "a")
        run(other, "b")
        assert [list(s.store.thread_ids()) for s in (one, other)] == [["a"], ["b"]]
        assert [len(s.store.thread(t).calls()) for s, t in ((one, "a"), (other, "b"))] == [3, 3]


def test_a_clone_records_as_its_saver_does_until_that_is_closed():
    store = WfStore.open(":memory:")
    saver = WfStoreSaver(store)
    clone = saver.with_allowlist([("some.module", "Name")])
    run(clone, "a")
    assert len(store.thread("a").runs()) == 1
    saver.close()
    run(clone, "b")
    assert store.thread("b").runs() == []
    store.close()


def test_a_closed_store_records_nothing(caplog: pytest.LogCaptureFixture):
    saver = WfStoreSaver(":memory:")

    def node(state: Log) -> Log:
        saver.close()
        return {"log": ["late"]}

    graph = StateGraph(Log).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="closed"):
        graph.invoke({"log": []}, CONFIG)
    assert "capture failed" not in caplog.text


def test_a_graph_in_a_node_of_another_with_a_thread_of_its_own_is_a_run_of_its_own():
    with WfStoreSaver(":memory:") as saver:
        inner = line_graph(saver, "inner")

        def node(state: Log) -> Log:
            inner.invoke({"log": []}, {"configurable": {"thread_id": "inner thread"}})
            return {"log": ["outer"]}

        outer = StateGraph(Log).add_node("outer", node).add_edge(START, "outer").compile(checkpointer=saver)
        outer.invoke({"log": []}, CONFIG)
        (own,) = saver.store.thread("t").steps()
        (run_inside,) = saver.store.thread("inner thread").runs()
        assert run_inside.parent == own.step_id
        assert [s.node for s in saver.store.thread("inner thread").steps()] == ["inner"]


def test_a_sync_graph_inside_a_running_event_loop():
    async def inside(saver: WfStoreSaver) -> None:
        run(saver)

    with WfStoreSaver(":memory:") as saver:
        asyncio.run(inside(saver))
        thread = saver.store.thread("t")
        assert [r.status for r in thread.runs()] == ["ok"] and len(thread.calls()) == 3 and thread.verify().ok
        assert {s.status for s in thread.steps()} == {"ok"}


def test_each_step_of_a_stream_may_run_in_a_context_of_its_own():
    import contextvars

    with WfStoreSaver(":memory:") as saver:
        stream = agent_graph(saver, scripted(), search).stream(asked(), CONFIG)
        while contextvars.Context().run(next, stream, None) is not None:
            pass
        thread = saver.store.thread("t")
        assert [r.status for r in thread.runs()] == ["ok"] and len(thread.calls()) == 3


def test_a_stream_that_is_left_is_cancelled():
    with WfStoreSaver(":memory:") as saver:
        stream = line_graph(saver, "a", "b", "c").stream({"log": []}, CONFIG)
        next(stream)
        stream.close()
        assert [r.status for r in saver.store.thread("t").runs()] == ["cancelled"]


def test_what_a_superstep_notes_is_one_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = [f"n{at}" for at in range(20)]
    kinds: list[set[int]] = []
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        append = saver.store.backend.append

        def counted(batch: Append) -> Pending:
            kinds.append({row.kind for row in batch.records})
            return append(batch)

        monkeypatch.setattr(saver.store.backend, "append", counted)
        line_graph(saver, *names).invoke({"log": []}, CONFIG, durability="sync")
        noted = [found for found in kinds if found & {RUN, STEP, CALL, END}]
        assert len(noted) <= 24 and sum({STEP, END} <= found for found in noted) >= 10
        assert [s.node for s in saver.store.thread("t").steps()] == names


def test_what_was_noted_of_a_run_is_stored_when_its_store_is_closed_in_the_middle(tmp_path: Path):
    saver = WfStoreSaver(tmp_path / "agent.db")

    def node(state: Log) -> Log:
        saver.close()
        return {"note": "closed"}

    builder = StateGraph(Log).add_node("node", node).add_edge(START, "node")
    with pytest.raises(BackendUnavailableError):
        builder.compile(checkpointer=saver).invoke({"log": []}, CONFIG, durability="sync")
    with WfStore.open(tmp_path / "agent.db") as store:
        assert [(s.node, s.status) for s in store.thread("t").steps()] == [("node", "open")]


async def left(saver: Any, mode: Any) -> list[str]:
    """What the event loop is told when a stream is left in the middle."""
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context.get("message"))))
    model = ScriptedModel(answers=[says("a b c d e f", "m1")])

    async def node(state: Log) -> Log:
        return {"note": "".join([str(piece.content) async for piece in model.astream("go")])}

    builder = StateGraph(Log).add_node("a", node).add_node("b", node).add_edge(START, "a").add_edge("a", "b")
    async for _ in builder.compile(checkpointer=saver).astream({"log": []}, CONFIG, stream_mode=mode):
        break
    while len(asyncio.all_tasks()) > 1:  # LangGraph cleans up
        await asyncio.sleep(0.001)
    return told


@pytest.mark.parametrize("mode", ["values", "updates", "messages"])
def test_leaving_an_async_stream_logs_no_more_than_in_memory(
    mode: Any, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
):
    caplog.set_level(logging.INFO)
    logged = []
    with WfStoreSaver(":memory:") as ours:
        for saver in (InMemorySaver(), ours):
            told = asyncio.run(left(saver, mode))
            gc.collect()
            messages = sorted({(r.name, r.levelname, r.getMessage()) for r in caplog.records})
            logged.append((told, messages, sorted(str(warning.message) for warning in recwarn)))
            caplog.clear()
            recwarn.clear()
        assert logged[1] == logged[0]
        assert [r.status for r in ours.store.thread("t").runs()] == ["cancelled"]


def test_a_changed_graph_is_visible():
    with WfStoreSaver(":memory:") as saver:
        line_graph(saver, "a", "b", interrupt_before=["b"]).invoke({"log": []}, CONFIG)
        line_graph(saver, "a", "b", "c").invoke(None, CONFIG)
        line_graph(saver, "a", "b", "c").invoke({"log": []}, CONFIG)
        first, second, third = saver.store.thread("t").runs()
        assert first.workflow != second.workflow == third.workflow and second.resumes
        assert set(first.description["nodes"]) == {"__start__", "a", "b"}  # type: ignore[index]  # it is there
        assert "c" in second.description["nodes"]  # type: ignore[index]  # it is there


def test_a_changed_object_as_a_node_is_visible():
    class One:
        def __call__(self, state: Log) -> Log:
            return {"log": ["one"]}

    class Other:
        def __call__(self, state: Log) -> Log:
            return {"log": ["other"]}

    with WfStoreSaver(":memory:") as saver:
        for node in (One(), One(), Other()):
            builder = StateGraph(Log).add_node("node", node).add_edge(START, "node")
            builder.compile(checkpointer=saver).invoke({"log": []}, CONFIG)
        first, second, third = (run.workflow for run in saver.store.thread("t").runs())
    assert first == second != third


def test_delete_for_runs_removes_what_was_recorded_of_them():
    with WfStoreSaver(":memory:") as saver:
        run(saver)
        thread = saver.store.thread("t")
        (old,) = thread.runs()
        run(saver, model=ScriptedModel(answers=[says("kept", "m3")]))
        saver.delete_for_runs([old.run_id])
        assert [r.run_id for r in thread.runs()] != [old.run_id] and len(thread.runs()) == 1
        assert [c.output.content for c in thread.calls()] == ["kept"] and thread.verify().ok
        saver.prune(["t"])
        assert len(thread.calls()) == 1 and thread.verify().ok


def test_a_copy_counts_no_call_twice():
    prices = PriceTable({})
    with WfStoreSaver(":memory:") as saver:
        run(saver)
        saver.copy_thread("t", "copy")
        run(saver, "copy", ScriptedModel(answers=[says("more", "m3")]))
        reports = [saver.store.thread(name).cost(pricer=prices) for name in ("t", "copy")]
        assert [r.total.calls for r in reports] == [2, 1] and reports[1].copied.calls == 2
        assert reports[0].total.cost is None and reports[0].total.unpriced == ("scripted-1-answering (scripts)",)


def test_equal_conversations_have_equal_contents_whatever_their_ids():
    one = [HumanMessage("hi", id="1"), AIMessage([{"type": "text", "text": "yes"}], id="2", name="x")]
    other = [HumanMessage("hi"), AIMessage("yes", response_metadata={"model": "m"})]
    assert normalised(one) == normalised(other) and content_key(one) == content_key(other)
    assert content_key(one) != content_key(other[:1])
    assert content_key('{"b": 1, "a": [2]}') == content_key({"a": [2], "b": 1})


def test_a_saver_that_captures_nothing_does_not_begin_to_when_another_one_does():
    with WfStoreSaver(":memory:"), WfStoreSaver(":memory:", capture=False) as saver:
        run(saver)
        assert saver.store.thread("t").runs() == []


def test_redact_sees_the_messages_of_errors():
    @tool
    def leaks(q: str) -> str:
        """Raises with a secret."""
        raise ValueError("secret-token")

    model = ScriptedModel(answers=[says("", "m1", ("leaks", {"q": "x"}, "c1")), says("ok", "m2")])
    with WfStoreSaver(":memory:", redact=lambda v: "[gone]" if isinstance(v, str) else v) as saver:
        run(saver, "t", model, leaks)
        assert [c.error for c in saver.store.thread("t").calls(kind="tool")] == [("ValueError", "[gone]")]


def test_why_says_where_it_cannot_go_on():
    with WfStoreSaver(":memory:", capture="digests") as saver:
        run(saver)
        assert any("not recorded" in link.label for link in saver.store.thread("t").why().unknown)
    with WfStoreSaver(":memory:") as saver:
        run(saver)
        saver.prune(["t"])
        assert any("oldest checkpoint" in link.label for link in saver.store.thread("t").why(index=0).unknown)


async def test_closing_a_saver_ends_the_threads_that_its_capture_used():
    before = set(threading.enumerate())
    saver = WfStoreSaver(":memory:")
    graph = agent_graph(saver, scripted(), search)
    await asyncio.gather(*(graph.ainvoke(asked(), {"configurable": {"thread_id": f"t{n}"}}) for n in range(8)))
    assert [t for t in set(threading.enumerate()) - before if t.name.startswith("wfstore_")]
    saver.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("wfstore_")]


def test_a_sub_graph_that_saves_nothing_holds_nobody_back():
    with WfStoreSaver(":memory:") as saver:
        inner = StateGraph(Log).add_node("inner", lambda s: {"log": ["inner"]}).add_edge(START, "inner")
        builder = StateGraph(Log).add_node("sub", inner.compile(checkpointer=False))
        builder.add_node("next", lambda s: {"log": ["next"]}).add_edge(START, "sub").add_edge("sub", "next")
        builder.compile(checkpointer=saver).invoke({"log": []}, CONFIG)
        steps = saver.store.thread("t").steps()
        assert [s.node for s in steps] == ["sub", "inner", "next"] and not any(s.flags for s in steps)


@pytest.mark.parametrize("inside", [None, InMemorySaver], ids=["without a saver", "with another saver"])
def test_a_graph_of_nobody_s_called_in_a_node_with_a_thread_of_its_own_holds_nobody_back(
    inside: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(barrier, "_PATIENCE", 0.2)
    inner = line_graph(inside and inside(), "first", "second")

    def node(state: Log) -> Log:
        inner.invoke({"log": []}, {"configurable": {"thread_id": "elsewhere"}})
        return {"log": ["node"]}

    with WfStoreSaver(":memory:") as saver:
        builder = StateGraph(Log).add_node("node", node).add_node("next", lambda s: {"log": ["next"]})
        builder.add_edge(START, "node").add_edge("node", "next")
        builder.compile(checkpointer=saver).invoke({"log": []}, CONFIG)
        steps = saver.store.thread("t").steps()
        assert [s.node for s in steps] == ["node", "first", "second", "next"] and not any(s.flags for s in steps)
        assert [s.checkpoint_id is None for s in steps] == [False, True, True, False]


async def test_a_model_call_that_is_cancelled_is_ended_with_its_step():
    from langgraph_wfstore.capture.scopes import scopes

    class Slow(ScriptedModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(30)

    async def node(state: Log) -> Log:
        return {"log": [str((await Slow(answers=[]).ainvoke("go")).content)]}

    with WfStoreSaver(":memory:") as saver:
        graph = StateGraph(Log).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(graph.ainvoke({"log": []}, CONFIG), 0.5)
        thread = saver.store.thread("t")
        assert [c.status for c in thread.calls()] == ["cancelled"] == [s.status for s in thread.steps()]
        assert not scopes and thread.verify().ok
