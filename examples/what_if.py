"""What if the agent had decided otherwise? A branch from step 3 answers, and production's head stays where it is.

    python examples/what_if.py

An agent orders laptops in four steps: it collects offers, picks a rule, ranks the offers and drafts an order. Its
model is scripted, so no key is needed. On two branches step 3 runs again on identical inputs, with another rule. They
are compared with what was done; one of them is merged, the other one is discarded.
"""

from __future__ import annotations

import sys
import tempfile
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

try:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool
    from langgraph.graph import START, StateGraph
    from langgraph.graph.message import add_messages
    from rich.console import Console
    from rich.table import Table

    from langgraph_wfstore import ConflictError, Price, PriceTable, Thread, WfStoreError, WfStoreSaver
except ImportError as missing:
    sys.exit(f"{missing}. The examples need the extra of that name: pip install 'langgraph-wfstore[examples]'")

OFFERS = [
    {"shop": "Nordic", "price": 1190, "days": 12, "warranty": 2},
    {"shop": "Volt", "price": 1240, "days": 2, "warranty": 2},
    {"shop": "Acme", "price": 1310, "days": 5, "warranty": 5},
]
PRICES = PriceTable({"drafter": Price(input=2.50, output=10.00)})  # US dollars for a million tokens
console = Console(highlight=False)


# The agent: a plain LangGraph program.


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    offers: list[dict[str, Any]]
    rule: str
    ranked: list[str]
    log: Annotated[list[str], add]


class Drafter(BaseChatModel):
    """A chat model that drafts what it is told to, and says what that cost in tokens."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "example", "ls_model_name": "drafter", "ls_model_type": "chat"}

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        text = messages[-1].text.removeprefix("Draft an order: ")
        usage: Any = {"input_tokens": 400, "output_tokens": 20 * len(text), "total_tokens": 400 + 20 * len(text)}
        said = AIMessage(f"We order {text}.", usage_metadata=usage, response_metadata={"model_name": "drafter"})
        return ChatResult(generations=[ChatGeneration(message=said)])


@tool
def rank(rule: str) -> list[str]:
    """The shops by a rule, best first."""
    best_first = sorted(OFFERS, key=lambda offer: -offer[rule] if rule == "warranty" else offer[rule])
    return [f"{offer['shop']} ({offer['price']} EUR, {offer['days']} days)" for offer in best_first]


def collect(state: State) -> State:
    return {"offers": OFFERS, "log": ["collected 3 offers"]}


def decide(state: State) -> State:
    return {"rule": "price", "log": ["decided by price"]}


def compare(state: State) -> State:
    return {"ranked": rank.invoke({"rule": state["rule"]}), "log": [f"ranked by {state['rule']}"]}


def draft(state: State) -> State:
    said = Drafter().invoke([*state["messages"], HumanMessage(f"Draft an order: ten from {state['ranked'][0]}")])
    return {"messages": [said]}


def build(saver: WfStoreSaver) -> Any:
    builder = StateGraph(State).add_sequence([collect, decide, compare, draft]).add_edge(START, "collect")
    return builder.compile(checkpointer=saver)


# What if.


def on(branch: str | None = None, checkpoint_id: str | None = None) -> Any:
    keys = {"thread_id": "order-7", "branch": branch, "checkpoint_id": checkpoint_id}
    return {"configurable": {name: value for name, value in keys.items() if value is not None}}


def try_rule(graph: Any, rule: str, before_step_3: str) -> None:
    """A branch of its own from before step 3, with another decision and everything else as it was."""
    graph.update_state(on(rule, before_step_3), {"rule": rule}, as_node="decide")
    graph.invoke(None, on(rule))


def show_branches(thread: Thread, title: str) -> None:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("branch", "from", "head", "checkpoints", "runs", "cost"):
        table.add_column(name)
    for branch in thread.branches(cost=True, pricer=PRICES):
        ends = [f"..{end[-6:]}" if end else "-" for end in (branch.base, branch.head)]
        cost = f"{branch.cost.cost:.4f}" if branch.cost is not None and branch.cost.cost is not None else "-"
        name = f"[bold]{branch.name}[/] (current)" if branch.current else branch.name
        table.add_row(name, *ends, str(branch.checkpoints), str(branch.runs), cost)
    console.print(table, "")


def said(graph: Any, branch: str) -> str:
    return str(graph.get_state(on(branch)).values["messages"][-1].text)


def run(path: Path) -> None:
    with WfStoreSaver(path, isolate_forks=True) as saver:
        graph = build(saver)
        graph.invoke({"messages": [HumanMessage("Ten laptops, please.")]}, on())
        thread = saver.store.thread("order-7")
        console.print(f"Production: [bold]{said(graph, 'main')}[/]\n")
        production = thread.branches()[0].head

        before = next(state for state in graph.get_state_history(on()) if state.next == ("compare",))
        for rule in ("days", "warranty"):
            try_rule(graph, rule, before.config["configurable"]["checkpoint_id"])
        for branch in ("main", "days", "warranty"):
            console.print(f"  {branch:9} {said(graph, branch)}")
        console.print()
        show_branches(thread, "Two what-ifs from step 3; production's head is where it was")
        assert thread.branches()[0].head == production

        console.print(thread.diff("main", "days", pricer=PRICES), "")

        console.print("[bold]Merge[/] days into main. Both drafted an order, so the caller must say which one holds:\n")
        try:
            thread.merge("days", into="main", append=["log"])
        except ConflictError as refused:
            console.print(f"{refused}\n", style="yellow")
        console.print(thread.merge("days", into="main", append=["log"], resolve={"ranked": "theirs"}), "")
        thread.delete_branch("warranty")
        show_branches(thread, "days was merged, warranty was discarded")
        console.print(f"Production: [bold]{said(graph, 'main')}[/]")

        report = thread.verify()
        console.print(f"verify: {'ok' if report.ok else report.problems}, {report.sealed} records sealed")
        if not report.ok:
            raise SystemExit(1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(Path(folder) / "agent.db")
        except WfStoreError as error:
            sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
