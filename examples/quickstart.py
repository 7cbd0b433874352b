"""An agent is killed in the middle of its work, resumed, inspected, verified, and forked.

    python examples/quickstart.py                the store is in a temporary directory
    python examples/quickstart.py --db agent.db  the store is kept, to look at afterwards

The agent answers a question in four steps with two tools; it needs no model and no key. Each process
writes down which steps it really ran, so the output shows what was repeated and what was not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

try:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import tool
    from langgraph.graph import END, START, StateGraph
    from rich.console import Console
    from rich.table import Table

    from langgraph_wfstore import Thread, WfStoreError, WfStoreSaver
except ImportError as missing:
    sys.exit(f"{missing}. The examples need the extra of that name: pip install 'langgraph-wfstore[examples]'")

LIBRARY = Path(__file__).with_suffix("")
QUESTION = "How fast is light by Newcomb's measurements, and how far off is that?"
STEPS = ("analyse", "search", "run_code", "synthesise")
console = Console(highlight=False)


# The agent: a plain LangGraph program. Nothing in it knows about the store.


class State(TypedDict, total=False):
    question: str
    keywords: list[str]
    average: str
    sources: list[str]
    facts: dict[str, str]
    time_ns: float
    km_per_s: int
    answer: str


@tool
def search_library(keywords: list[str]) -> list[str]:
    """The names of the files that mention most of the keywords, best first, at most two."""
    texts = {path.name: path.read_text("utf-8").lower() for path in LIBRARY.glob("*.txt")}
    return sorted(texts, key=lambda name: (-sum(word in texts[name] for word in keywords), name))[:2]


@tool
def run_python(program: str, values: str) -> str:
    """What a program prints, run in a process of its own with the values as its input."""
    python = [sys.executable, "-I", "-c", program]
    return subprocess.run(python, input=values, stdout=subprocess.PIPE, text=True, timeout=30, check=True).stdout


def analyse(state: State) -> State:
    words = re.findall(r"[a-z]{4,}", state["question"].lower())
    return {"keywords": sorted(set(words)), "average": "mean"}


def search(state: State) -> State:
    sources = search_library.invoke({"keywords": state["keywords"]})
    facts: dict[str, str] = {}
    for name in sources:
        for key, value in re.findall(r"^(\w+): (.+)$", (LIBRARY / name).read_text("utf-8"), re.MULTILINE):
            facts[key] = f"{facts[key]} {value}" if key in facts else value
    return {"sources": sources, "facts": facts}


def run_code(state: State) -> State:
    facts = state["facts"]
    program = f"""import json, statistics
values = [{facts["offset_ns"]} + int(word) for word in input().split()]
ns = statistics.{state["average"]}(values)
print(json.dumps({{"time_ns": round(ns, 1), "km_per_s": round({facts["distance_m"]} / ns * 1e6)}}))"""
    result: State = json.loads(run_python.invoke({"program": program, "values": facts["values_ns"]}))
    return result


def synthesise(state: State) -> State:
    speed, today = state["km_per_s"], int(state["facts"]["today_km_per_s"])
    return {"answer": f"{speed:,} km/s by the {state['average']}, {abs(speed - today)} off"}


def build(saver: WfStoreSaver, log: Path, pause_in: str = "") -> Any:
    """The graph on this saver. Every step is logged with its process; one may pause before its result is stored."""

    def logged(step: Callable[[State], State]) -> Any:
        def run(state: State) -> State:
            write(log, f"{os.getpid()} {step.__name__} began")
            update = step(state)
            if step.__name__ == pause_in:
                print("paused", flush=True)
                sys.stdin.read()
            write(log, f"{os.getpid()} {step.__name__} done")
            return update

        return run

    builder = StateGraph(State)
    builder.add_sequence([(step.__name__, logged(step)) for step in (analyse, search, run_code, synthesise)])
    builder.add_edge(START, "analyse").add_edge("synthesise", END)
    return builder.compile(checkpointer=saver)


def write(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        print(line, file=file)


def begun(log: Path, pid: int) -> list[str]:
    """The steps that a process began, in order."""
    lines = [line.split() for line in log.read_text("utf-8").splitlines()]
    return [step for who, step, what in lines if who == str(pid) and what == "began"]


# What the two child processes do. With durability="sync" a step is stored before the next one begins.


def thread_config(thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


def start(db: str, log: Path, thread_id: str) -> None:
    with WfStoreSaver(db) as saver:
        graph = build(saver, log, pause_in="run_code")
        graph.invoke({"question": QUESTION}, thread_config(thread_id), durability="sync")


def resume(db: str, log: Path, thread_id: str) -> None:
    with WfStoreSaver(db) as saver:
        build(saver, log).invoke(None, thread_config(thread_id), durability="sync")


# What the parent process does.


def child(role: str, db: str, log: Path, thread_id: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", role, db, str(log), thread_id]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_and_resume(db: str, log: Path, thread_id: str) -> None:
    with child("start", db, log, thread_id) as first:
        if first.stdout is None or first.stdout.readline() != "paused\n":
            raise SystemExit("The first process ended before its third step; its error is above.")
        first.kill()
    with child("resume", db, log, thread_id) as second:
        second.communicate()
    if second.returncode:
        raise SystemExit("The second process failed; its error is above.")

    console.print(f"Process {first.pid} was killed in the middle of step 3 (exit code {first.returncode}).")
    console.print(f"Process {second.pid} resumed the thread by its id, {thread_id}. What they ran:\n")
    table = new_table("step", f"process {first.pid}", f"process {second.pid}", "times begun")
    before, after = begun(log, first.pid), begun(log, second.pid)
    for step in STEPS:
        told = "[red]killed[/]" if step == before[-1] else "done" if step in before else "-"
        table.add_row(step, told, "done" if step in after else "-", str((before + after).count(step)))
    console.print(table)


def show_history(thread: Thread) -> None:
    table = new_table("step", "after", "checkpoint", "record", "new in the state")
    known: dict[str, Any] = {}
    for info in reversed(thread.checkpoints()):
        state = {key: info.values[key] for key in State.__annotations__ if key in info.values}
        news = [f"{key}: {value}" for key, value in state.items() if known.get(key) != value]
        short = "\n".join(line if len(line) < 39 else line[:36] + ".." for line in news)
        after = ("input", "START", *STEPS)[(info.step or 0) + 1]
        table.add_row(str(info.step), after, f"..{info.checkpoint_id[-6:]}", info.record_id[7:15], short)
        known = state
    console.print(table)


def show_verified(thread: Thread) -> None:
    report = thread.verify()
    verdict = "[bold green]ok[/]" if report.ok else "[bold red]not ok[/]"
    console.print(f"\nverify {thread.thread_id}: {verdict}, {report.sealed} records sealed, {report.unsealed} unsealed")
    for problem in report.problems:
        console.print(f"  {problem.where}: {problem.what}")
    if not report.ok:
        raise SystemExit(1)


def fork(saver: WfStoreSaver, log: Path, thread_id: str, copy_id: str) -> None:
    """Copy the thread, go back to where step 3 comes next, decide otherwise, and run on from there."""
    graph = build(saver, log)
    saver.copy_thread(thread_id, copy_id)
    before_step_3 = next(s for s in graph.get_state_history(thread_config(copy_id)) if s.next == ("run_code",))
    changed = graph.update_state(before_step_3.config, {"average": "median"})
    graph.invoke(None, changed, durability="sync")
    console.print(f"{copy_id} ran only {' and '.join(begun(log, os.getpid()))}. What differs:\n")


def compare(first: Thread, copy: Thread) -> None:
    a, b = (thread.checkpoints(limit=1)[0].values for thread in (first, copy))
    table = new_table("", first.thread_id, copy.thread_id)
    for key in State.__annotations__:
        if a[key] != b[key]:
            table.add_row(key, str(a[key]), str(b[key]))
    console.print(table)
    of_first, of_copy = ({info.record_id for info in thread.checkpoints()} for thread in (first, copy))
    shared, own = len(of_first & of_copy), len(of_copy - of_first)
    console.print(f"\nThe threads share {shared} checkpoint records; the copy has {own} of its own.")


def heading(text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")


def new_table(*columns: str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, help="the file to keep; by default one in a temporary directory")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        role, db, log, thread_id = options.child
        (start if role == "start" else resume)(db, Path(log), thread_id)
        return

    with tempfile.TemporaryDirectory(prefix="wfstore-") as folder:
        db, log = str((options.db or Path(folder, "agent.db")).absolute()), Path(folder, "steps.log")
        thread_id = f"light-{secrets.token_hex(2)}"
        copy_id = f"{thread_id}-median"
        console.print(f"[italic]{QUESTION}")

        heading("Kill and resume")
        kill_and_resume(db, log, thread_id)
        with WfStoreSaver(db) as saver:
            first = saver.store.thread(thread_id)
            heading("History")
            show_history(first)
            show_verified(first)
            heading("Fork at step 3, with another decision")
            fork(saver, log, thread_id, copy_id)
            copy = saver.store.thread(copy_id)
            compare(first, copy)
            show_verified(copy)
        if options.db:
            console.print(f"Both threads are kept in {options.db}.", soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except WfStoreError as error:
        sys.exit(str(error))
