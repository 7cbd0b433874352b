"""Two savers in turn in one process, a few operations each: `python -m bench.pair put`.

Where a machine's speed drifts within seconds, whole runs compare badly. Here the savers alternate every 40 operations,
or every conversation of 5 turns, and the ratio of each pair counts; its median repeats within a few per cent.

    put, put_writes   the micro workload's operations
    turns             conversations of 5 turns, each on a thread of its own; LangGraph's background executor runs inline
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from langchain_core.messages import AnyMessage
from langgraph.pregel._executor import BackgroundExecutor

from bench.chats import THREAD_TURNS, chat_graph, turns
from bench.content import answer, human
from bench.driver import Driver, driver
from bench.micro import THREAD, WINDOW, _checkpoints, _put_writes, _puts
from bench.profile import _submit_inline
from bench.savers import SAVERS

CHUNK = 40
Work = Iterator[Callable[[], None]]


def micro(opened: Driver, what: str, chunks: int) -> Work:
    """Chunks of puts, or of put_writes on checkpoints that were put before."""
    size = chunks * CHUNK
    messages: list[AnyMessage] = [
        make(THREAD, turn) for turn in range((size + WINDOW) // 2 + 1) for make in (human, answer)
    ]
    checkpoints = _checkpoints(opened, messages, size)
    operations = {"put": _puts(checkpoints), "put_writes": _put_writes(checkpoints, messages)}[what]
    each = {"put": opened.put_each, "put_writes": opened.put_writes_each}[what]
    if what == "put_writes":
        opened.put_each(_puts(checkpoints))
    for start in range(0, size, CHUNK):
        yield lambda start=start: each(operations[start : start + CHUNK])  # type: ignore[misc]  # mypy: no default types


def conversations(opened: Driver, what: str, chunks: int) -> Work:
    """Conversations, each on a thread of its own."""
    graph = chat_graph(opened)
    for number in range(chunks):

        def one(number: int = number) -> None:
            for value, config in turns(f"thread {number}", THREAD_TURNS):
                opened.invoke(graph, value, config)

        yield one


def pairs(what: str, savers: tuple[str, str], chunks: int) -> list[tuple[float, float]]:
    """Seconds of each chunk, per saver."""
    make = conversations if what == "turns" else micro
    with ExitStack() as stack:
        works = []
        for name in savers:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wfstore-pair-")))
            works.append(make(stack.enter_context(driver(SAVERS[name], directory, "async")), what, chunks))
        return [(_seconds(one), _seconds(other)) for one, other in zip(*works, strict=True)]


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("put", "put_writes", "turns"))
    parser.add_argument("--chunks", type=int, default=60, help="default %(default)s")
    parser.add_argument("--savers", nargs=2, default=("wfstore-sqlite", "sqlite"), metavar=("A", "B"))
    arguments = parser.parse_args()
    BackgroundExecutor.submit = _submit_inline  # type: ignore[method-assign,assignment]  # only in this process
    found = pairs(arguments.what, tuple(arguments.savers), arguments.chunks)
    per = CHUNK if arguments.what != "turns" else THREAD_TURNS
    for name, seconds in zip(arguments.savers, zip(*found, strict=True), strict=True):
        print(f"{name:16} {statistics.median(seconds) / per * 1e6:8.0f} us each")
    print(f"ratio B/A, median of pairs: {statistics.median(b / a for a, b in found):.2f}")


if __name__ == "__main__":
    main()
