"""What an agent's answers cost, why it gave them, and what followed from one tool result.

    python examples/attribution.py

The agent has two tools and answers two questions on one thread. Its models are scripted, so no key is needed; they
report tokens as a provider would. Nothing in the agent knows that its runs, steps and calls are recorded.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import tool
    from langchain_core.utils.function_calling import convert_to_openai_tool
    from langgraph.graph import END, START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition
    from langgraph.types import RetryPolicy
    from rich.console import Console
    from rich.table import Table

    from langgraph_wfstore import CallInfo, Price, PriceTable, RunInfo, StepInfo, Thread, WfStoreError, WfStoreSaver
except ImportError as missing:
    sys.exit(f"{missing}. The examples need the extra of that name: pip install 'langgraph-wfstore[examples]'")

QUESTIONS = ("Oslo to Bergen by train, in euro?", "And to Stavanger?")
TARIFF = "Fares from Oslo, one way, in NOK: Bergen 949, Stavanger 1,099, Trondheim 899."
# US dollars for a million tokens. Without a table, cost() takes the prices of the package genai-prices.
PRICES = PriceTable(
    {
        "o4-mini": Price(input=1.10, cache_read=0.275, output=4.40),
        "gpt-4o-mini": Price(input=0.15, cache_read=0.075, output=0.60),
    }
)
console = Console(highlight=False)


# The agent: a plain LangGraph program.


class ScriptedModel(BaseChatModel):
    """A chat model that gives its next line, chosen by what was said so far, and says what that cost in tokens."""

    model: str
    script: list[AIMessage]
    seconds: float

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "openai", "ls_model_name": self.model, "ls_model_type": "chat"}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(item) for item in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        time.sleep(self.seconds)
        if self.model == "gpt-4o-mini":
            said = self.script["Stavanger" in messages[-1].text]
        else:
            said = self.script[sum(isinstance(message, AIMessage) for message in messages)]
        return ChatResult(generations=[ChatGeneration(message=said.model_copy())])


def line(model: str, text: str, tokens: tuple[int, int, int, int], **calls: dict[str, str]) -> AIMessage:
    """One answer. The tokens: input, of which from the cache, output, of which reasoning."""
    given, cached, gave, thought = tokens
    return AIMessage(
        text,
        tool_calls=[{"name": name, "args": args, "id": f"call-{name}-{given}"} for name, args in calls.items()],
        response_metadata={"model_name": model, "finish_reason": "tool_calls" if calls else "stop"},
        usage_metadata={
            "input_tokens": given,
            "output_tokens": gave,
            "total_tokens": given + gave,
            "input_token_details": {"cache_read": cached},
            "output_token_details": {"reasoning": thought},
        },
    )


READER = ScriptedModel(
    model="gpt-4o-mini",
    seconds=0.05,
    script=[line("gpt-4o-mini", "949", (96, 0, 3, 0)), line("gpt-4o-mini", "1099", (97, 0, 4, 0))],
)
THINKER = ScriptedModel(
    model="o4-mini",
    seconds=0.1,
    script=[
        line(
            "o4-mini",
            "",
            (412, 0, 186, 128),
            find_fare={"start": "Oslo", "end": "Bergen"},
            exchange_rate={"currency": "NOK"},
        ),
        line("o4-mini", "It is NOK 949, about 81 euro.", (655, 384, 215, 192)),
        line("o4-mini", "", (694, 640, 91, 64), find_fare={"start": "Oslo", "end": "Stavanger"}),
        line("o4-mini", "It is NOK 1,099, about 94 euro.", (748, 640, 150, 128)),
    ],
)
failures = ["the rates are out of reach"]


@tool
def find_fare(start: str, end: str) -> str:
    """The fare of a train; a smaller model reads it off the tariff."""
    answer = READER.invoke([SystemMessage(TARIFF), HumanMessage(f"The fare from {start} to {end}, as a number?")])
    return f"NOK {answer.text}"


@tool
def exchange_rate(currency: str) -> str:
    """How many of a currency make a euro."""
    time.sleep(0.02)
    if failures:
        raise ConnectionError(failures.pop())
    return f"1 EUR = 11.70 {currency}"


def agent(state: MessagesState) -> dict[str, Any]:
    model = THINKER.bind_tools([find_fare, exchange_rate])
    return {"messages": [model.invoke([SystemMessage("You answer questions about trains."), *state["messages"]])]}


def build(saver: WfStoreSaver) -> Any:
    """The graph. Its tools are tried again when the network fails, as the exchange rates do the first time."""
    builder = StateGraph(MessagesState)
    builder.add_node(agent)
    again = RetryPolicy(initial_interval=0.1, jitter=False)
    builder.add_node("tools", ToolNode([find_fare, exchange_rate]), retry_policy=again)
    builder.add_edge(START, "agent").add_edge("tools", "agent")
    builder.add_conditional_edges("agent", tools_condition, {"tools": "tools", END: END})
    return builder.compile(checkpointer=saver, name="trains")


# What is recorded of it.


def show_runs(thread: Thread) -> None:
    """Every step with the calls that were made in it."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("run, step, call", "attempt", "seconds", "status", "tokens in", "out"):
        table.add_column(column, justify="right" if column not in ("run, step, call", "status") else "left")
    for run, question in zip(thread.runs(), QUESTIONS, strict=True):
        table.add_row(f"[bold]run ..{run.run_id[-6:]}[/] [italic]{question}[/]", "", seconds(run), told(run))
        calls = thread.calls(run.run_id)
        for step in thread.steps(run.run_id):
            table.add_row(f"  step {step.number} {step.node}", str(step.attempt), seconds(step), told(step))
            add_calls(table, [call for call in calls if call.step_id == step.step_id])
    console.print(table)


def add_calls(table: Table, calls: list[CallInfo], parent: str | None = None, indent: str = "    ") -> None:
    """The calls inside another call, or directly inside a step, each followed by those inside it."""
    for call in calls:
        if call.parent == parent:
            name = f"{indent}{call.type} {call.model or call.name}"
            counts = (str(call.usage.input), str(call.usage.output)) if call.usage else ()
            table.add_row(name, "", seconds(call), told(call), *counts)
            add_calls(table, calls, call.call_id, f"{indent}  ")


def seconds(info: RunInfo | StepInfo | CallInfo) -> str:
    return "" if info.seconds is None else f"{info.seconds:.2f}"


def told(info: RunInfo | StepInfo | CallInfo) -> str:
    return info.status if info.error is None else f"[red]{info.error[0]}[/]"


def show_costs(thread: Thread) -> None:
    for by in ("step", "node", "model", "tool"):
        console.print(thread.cost(by=by, pricer=PRICES))


def show_lineage(thread: Thread) -> None:
    heading("Why the last answer says what it says")
    console.print(thread.why())
    rate = next(call for call in thread.calls(kind="tool") if call.name == "exchange_rate" and call.status == "ok")
    heading(f"What followed from the exchange rate, {rate.call_id[-6:]}")
    console.print(thread.impact(rate.call_id))


def heading(text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")


def main() -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "trains"}}
    with tempfile.TemporaryDirectory(prefix="wfstore-") as folder, WfStoreSaver(Path(folder, "agent.db")) as saver:
        graph = build(saver)
        for question in QUESTIONS:
            said = graph.invoke({"messages": [("user", question)]}, config)["messages"][-1].text
            console.print(f"[italic]{question}[/] {said}")

        thread = saver.store.thread("trains")
        heading("Runs, steps and calls")
        show_runs(thread)
        heading("What they cost")
        show_costs(thread)
        show_lineage(thread)
        report = thread.verify()
        verdict = "[bold green]ok[/]" if report.ok else "[bold red]not ok[/]"
        console.print(f"\nverify: {verdict}, {report.sealed} records sealed, {report.unsealed} unsealed")
        if not report.ok:
            raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except WfStoreError as error:
        sys.exit(str(error))
