"""Agents of LangChain's `create_agent`: what is captured of them, without a word of configuration."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from .api import Api
from .contract import DurabilityContract
from .contract_capture import PRICES, asked, fail, nodes, of, search
from .contract_graphs import CONFIG
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class Verdict(BaseModel):
    """What the agent answers with."""

    good: bool


@tool
def approve(what: str) -> str:
    """Asks a human."""
    return f"{what}: {interrupt({'approve': what})}"


@tool
def note(text: str, runtime: ToolRuntime) -> Command[Any]:
    """Writes into the state itself."""
    return Command(update={"messages": [ToolMessage(f"noted {text}", tool_call_id=runtime.tool_call_id)]})


class AgentsContract(DurabilityContract):
    """Model calls, tool calls in LangChain's own ToolNode, steps, tokens and cost of agents that LangChain builds."""

    def test_steps_and_calls(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        asks = (("search", {"q": "x"}, "c1"), ("search", {"q": "y"}, "c2"))
        model = ScriptedModel(answers=[says("look", "m1", *asks), says("it is x", "m2", tokens=(30, 7))])
        agent = create_agent(model, [search], system_prompt="Be brief.", checkpointer=saver, name="helper")
        out = api.invoke(agent, asked(), CONFIG, durability=durability)
        assert out["messages"][-1].content == "it is x"
        thread = of(saver)
        (run,) = thread.runs()
        assert (run.status, run.name) == ("ok", "helper") and run.workflow is not None
        assert nodes(thread) == ["model", "tools", "tools", "model"]
        assert {s.status for s in thread.steps()} == {"ok"}
        models, tools = thread.calls(kind="model"), thread.calls(kind="tool")
        assert [c.node for c in models] == ["model", "model"] and [c.node for c in tools] == ["tools", "tools"]
        assert [(m.type, m.content) for m in models[0].input] == [("system", "Be brief."), ("human", "what is x?")]
        assert models[0].tools[0]["function"]["name"] == "search"
        assert models[0].tool_calls == ("c1", "c2") and models[0].messages == ("m1",)
        assert sorted((c.name, c.input["q"], c.tool_call_id) for c in tools) == [
            ("search", "x", "c1"),
            ("search", "y", "c2"),
        ]
        assert sorted(c.output.content for c in tools) == ["found x", "found y"]
        assert len({c.step_id for c in tools}) == 2 and all(c.parent is None for c in thread.calls())
        assert (run.unattributed, saver.store.stats()["unattributed_calls"]) == (0, 0)

    def test_cost(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        asks = ("search", {"q": "x"}, "c1")
        model = ScriptedModel(answers=[says("look", "m1", asks), says("it is x", "m2", tokens=(30, 7))])
        agent = create_agent(model, [search], checkpointer=saver)
        api.invoke(agent, asked(), CONFIG, durability=durability)
        report = of(saver).cost(by="node", pricer=PRICES)
        assert (report.total.calls, report.total.tool_calls) == (2, 1)
        assert (report.total.input, report.total.output) == (40, 12)
        assert report.total.cost == Decimal(40 + 120) / 1_000_000
        assert {line.key: line.calls + line.tool_calls for line in report.lines} == {"model": 2, "tools": 1}

    def test_why_and_impact(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("look", "m1", ("search", {"q": "x"}, "c1")), says("it is x", "m2")])
        agent = create_agent(model, [search], checkpointer=saver)
        api.invoke(agent, asked(), CONFIG, durability=durability)
        thread = of(saver)
        first, lookup, second = thread.calls()
        found = thread.why()
        assert found.unknown == [] and found.root.id == "m2"
        calls = [link.id for link in found.walk() if link.kind == "call" and not link.again]
        assert calls == [second.call_id, first.call_id, lookup.call_id]
        followed = [link.id for link in thread.impact(lookup.call_id).walk() if link.kind == "call"]
        assert followed == [lookup.call_id, second.call_id]

    def test_an_interrupt_in_a_tool(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("", "m1", ("approve", {"what": "it"}, "c1")), says("done", "m2")])
        agent = create_agent(model, [approve], checkpointer=saver)
        waiting = api.invoke(agent, asked(), CONFIG, durability=durability)["__interrupt__"][0]
        out = api.invoke(agent, Command(resume="yes"), CONFIG, durability=durability)
        assert [m.content for m in out["messages"]][-2:] == ["it: yes", "done"]
        thread = of(saver)
        assert [(r.status, r.resumes) for r in thread.runs()] == [("interrupted", False), ("ok", True)]
        before, after = thread.calls(kind="tool")
        assert (before.status, before.interrupts) == ("interrupted", (waiting.id,))
        assert (after.status, after.output.content) == ("ok", "it: yes")
        assert len(thread.calls(kind="model")) == 2

    def test_a_tool_that_raises(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("", "m1", ("fail", {"q": "x"}, "c1"))])
        agent = create_agent(model, [fail], checkpointer=saver)
        with pytest.raises(ValueError, match="cannot x"):
            api.invoke(agent, asked(), CONFIG, durability=durability)
        thread = of(saver)
        (call,) = thread.calls(kind="tool")
        assert (call.status, call.error) == ("error", ("ValueError", "cannot x"))
        assert [s.status for s in thread.steps() if s.node == "tools"] == ["error"]

    def test_a_tool_that_writes_into_the_state(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("", "m1", ("note", {"text": "x"}, "c1")), says("done", "m2")])
        agent = create_agent(model, [note], checkpointer=saver)
        api.invoke(agent, asked(), CONFIG, durability=durability)
        thread = of(saver)
        (call,) = thread.calls(kind="tool")
        assert call.input == {"text": "x"} and call.tool_call_id == "c1" and call.output.update["messages"]
        assert call.call_id in [link.id for link in thread.why().walk()]

    def test_structured_answers(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("", "m1", ("Verdict", {"good": True}, "c1"))])
        agent = create_agent(model, [search], response_format=ToolStrategy(Verdict), checkpointer=saver)
        out = api.invoke(agent, asked(), CONFIG, durability=durability)
        assert out["structured_response"] == Verdict(good=True)
        thread = of(saver)
        (call,) = thread.calls()
        assert {t["function"]["name"] for t in call.tools} == {"search", "Verdict"} and call.tool_calls == ("c1",)

    def test_middleware_is_a_step_of_its_own(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        model = ScriptedModel(answers=[says("look", "m1", ("search", {"q": "x"}, "c1")), says("never", "m2")])
        limit = ModelCallLimitMiddleware(run_limit=1, exit_behavior="end")
        agent = create_agent(model, [search], middleware=[limit], checkpointer=saver)
        out = api.invoke(agent, asked(), CONFIG, durability=durability)
        assert isinstance(out["messages"][-1], AIMessage)
        thread = of(saver)
        assert len(thread.calls(kind="model")) == 1
        assert "ModelCallLimitMiddleware.before_model" in nodes(thread)
        assert thread.calls(kind="model")[0].node == "model"
