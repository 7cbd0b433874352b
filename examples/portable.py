"""One thread, one file: from a laptop to an auditor and to production, where it goes on.

    python examples/portable.py

An agent is about to pay an invoice and asks a human first. Its thread is exported from the laptop's SQLite file; an
auditor checks the file with one script and nothing installed, and finds a changed copy out; another one gets it
without what the customer said, or just the proof of one tool call; production imports it, answers the question, and
the agent goes on there. Its model is scripted, so no key is needed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, TypedDict

try:
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_core.tools import tool
    from langgraph.graph import START, StateGraph
    from langgraph.graph.message import add_messages
    from langgraph.types import Command, interrupt
    from rich.console import Console

    from langgraph_wfstore import WfStoreError, WfStoreSaver, wfstore_verify
    from langgraph_wfstore.artifact.searching import holds
except ImportError as missing:
    sys.exit(f"{missing}. The examples need the extra of that name: pip install 'langgraph-wfstore[examples]'")

CONFIG: Any = {"configurable": {"thread_id": "invoice-4711"}}
console = Console(highlight=False)


# The agent: a plain LangGraph program.


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    amount: float
    paid: str


@tool
def read_invoice(number: str) -> dict[str, Any]:
    """What an invoice says."""
    return {"number": number, "to": "ACME Ltd", "amount": 1840.50}


def read(state: State) -> State:
    invoice = read_invoice.invoke({"number": "4711"})
    return {"amount": invoice["amount"], "messages": [AIMessage(f"{invoice['to']} asks for {invoice['amount']} EUR.")]}


def approve(state: State) -> State:
    answer = interrupt(f"Pay {state['amount']} EUR?")
    return {"messages": [HumanMessage(answer)]}


def pay(state: State) -> State:
    done = "paid" if state["messages"][-1].text == "yes" else "not paid"
    return {"paid": done, "messages": [AIMessage(f"The invoice is {done}.")]}


def build(saver: WfStoreSaver) -> Any:
    builder = StateGraph(State).add_sequence([read, approve, pay]).add_edge(START, "read")
    return builder.compile(checkpointer=saver)


# The auditor: Python, one script and the file; none of our packages is there (-I -S).


def audit(script: Path, file: Path, *arguments: str) -> int:
    command = [sys.executable, "-I", "-S", str(script), str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=script.parent, check=False)
    for line in done.stdout.splitlines():
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if done.stderr:
        sys.exit(done.stderr)
    console.print()
    return done.returncode


def run(folder: Path) -> None:
    script = Path(shutil.copy(wfstore_verify.__file__, folder))
    with WfStoreSaver(folder / "laptop.db") as laptop:
        asked = build(laptop).invoke({"messages": [HumanMessage("Please pay our invoice, Jane Doe.")]}, CONFIG)
        console.print(f"The agent asks: [bold]{asked['__interrupt__'][0].value}[/]\n")
        thread = laptop.store.thread("invoice-4711")
        whole = thread.export(folder / "invoice.wfz")
        console.print(f"[bold]Exported[/] {whole.path.name}: {whole.records} records, {whole.bytes:,} bytes\n")
        for_others = thread.export(folder / "redacted.wfz", redact=[lambda value: "Jane Doe" in str(value)])
        (call,) = thread.calls(kind="tool")
        proof = folder / "proof.json"
        proof.write_text(json.dumps(thread.prove(call.record_id)), "utf-8")

    console.print("[bold]The auditor[/] checks the file with one script, against the head that she was told:\n")
    assert audit(script, whole.path, "--expect-head", str(whole.head)) == 0

    console.print("[bold]A changed copy:[/] 1840.5 became 9840.5\n")
    changed = folder / "changed.wfz"
    changed.write_bytes(whole.path.read_bytes().replace(b"1840.5 EUR", b"9840.5 EUR"))
    assert audit(script, changed, "--quiet") == 1

    console.print(f"[bold]Without what the customer said:[/] {for_others.withheld} values are withheld; it verifies\n")
    assert holds(whole.path, "Jane Doe") and not holds(for_others.path, "Jane Doe")
    assert audit(script, for_others.path, "--expect-head", str(whole.head), "--quiet") == 0

    console.print("[bold]Only the proof[/] that the tool was called, and what it gave:\n")
    assert audit(script, proof, "--expect-root", whole.root) == 0

    with WfStoreSaver(folder / "production.db") as production:
        thread = production.store.import_artifact(whole.path)
        report = thread.verify(expect_head=whole.head)
        console.print(f"[bold]Imported[/] into production: verify {'ok' if report.ok else report.problems}")
        done = build(production).invoke(Command(resume="yes"), CONFIG)
        console.print(f"Answered there with yes: [bold]{done['messages'][-1].text}[/]")
        report = thread.verify(expect_head=whole.head)
        console.print(f"verify: {'ok' if report.ok else report.problems}, {report.sealed} records sealed")
        if not report.ok:
            raise SystemExit(1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(Path(folder))
        except WfStoreError as error:
            sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
