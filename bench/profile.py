"""Where the time of a workload goes: `python -m bench.profile chat-200`.

Timers around the package's modules, its serializer and SQLite, each without what it calls; `--functions N`
runs it under cProfile instead and lists N functions of any module. LangGraph's background executor is made to run
inline, so that the parts of one thread add up to the wall; it is therefore not the wall that `python -m bench` gives.
A timer costs about a microsecond per entry: parts with very many entries look somewhat larger than they are. The
timers see what the workload measures and nothing else; `--functions` sees its preparation and read-back checks too.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import pkgutil
import pstats
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel._executor import BackgroundExecutor

from bench.driver import driver
from bench.report import table
from bench.savers import SAVERS
from bench.stopwatch import Lap
from bench.timers import Timers, time_modules, time_sqlite
from bench.workloads import Spec, parse

PACKAGE = "langgraph_wfstore"
READING = ("load", "decode", "unpack", "deserial", "_load", "_decode", "_unpack")


def _label(module: str, function: str) -> str:
    """Serializers are told apart by direction; of any other module its name is enough."""
    if not module.startswith("serde"):
        return module
    return "deserialize" if module == "serde.read" or function.startswith(READING) else "serialize"


def _package_modules() -> list[ModuleType]:
    """The package's modules that can be imported here; a backend without its driver is left out."""
    found = []
    package = importlib.import_module(PACKAGE)
    for info in pkgutil.walk_packages(package.__path__, PACKAGE + "."):
        if "__main__" in info.name or ".cli" in info.name or ".testing" in info.name:
            continue
        try:
            found.append(importlib.import_module(info.name))
        except ImportError as error:
            print(f"not timed: {info.name} ({error})", file=sys.stderr)
    return [package, *found]


def _submit_inline(executor: Any, function: Callable[..., Any], *arguments: Any, **named: Any) -> Future[Any]:
    """BackgroundExecutor.submit without its threads: what is submitted has ended when this returns."""
    cancel = named.pop("__cancel_on_exit__", False)
    reraise = named.pop("__reraise_on_exit__", True)
    for option in ("__name__", "__next_tick__"):
        named.pop(option, None)
    future: Future[Any] = Future()
    try:
        future.set_result(copy_context().run(function, *arguments, **named))
    except BaseException as error:  # noqa: BLE001 -- an executor hands over whatever was raised
        future.set_exception(error)
    executor.tasks[future] = (cancel, reraise)
    future.add_done_callback(executor.done)
    return future


def _wall(spec: Spec, saver: str, prepared: Callable[[Any], None]) -> float:
    """The seconds of everything that the workload times; `prepared` gets the opened saver, after a follow-up's chat."""
    with (
        tempfile.TemporaryDirectory(prefix="wfstore-profile-") as directory,
        driver(SAVERS[saver], Path(directory), "async") as opened,
    ):
        if spec.base != spec:
            spec.base.measure(opened)
            opened.stored_bytes()  # closes and opens, so that a follow-up starts as cold as in a session
        prepared(opened.checkpointer)
        before = Lap.total
        spec.measure(opened)
        return Lap.total - before


def parts(spec: Spec, saver: str) -> str:
    """A Markdown table of the parts; the timers stay in place afterwards."""
    timers = Timers()
    time_sqlite(timers)
    for name, label in (("dumps_typed", "serialize"), ("loads_typed", "deserialize")):
        setattr(JsonPlusSerializer, name, timers.wrap(label, getattr(JsonPlusSerializer, name)))
    if saver.startswith("wfstore"):
        time_modules(timers, _package_modules(), _label)

    def prepared(checkpointer: Any) -> None:
        if not saver.startswith("wfstore"):
            kind = type(checkpointer)
            for name in ("put", "put_writes", "get_tuple", "list"):
                setattr(kind, name, timers.wrap("saver", getattr(kind, name)))
        timers.clear()

    wall = _wall(spec, saver, prepared)
    rows = sorted(((seconds, label, timers.entries[label]) for label, seconds in timers.seconds.items()), reverse=True)
    rest = wall - sum(timers.seconds.values())
    lines = [
        [label, f"{seconds:.3f}", f"{seconds / wall:.1%}", str(entries), f"{seconds / entries * 1e6:.1f}"]
        for seconds, label, entries in rows
    ]
    lines.append(["LangGraph and the nodes", f"{rest:.3f}", f"{rest / wall:.1%}", "", ""])
    heads = [f"{saver}, {spec.name}: {wall:.3f} s", "seconds", "of wall", "entries", "us each"]
    return table(heads, lines)


@contextmanager
def _profiled_threads() -> Iterator[list[cProfile.Profile]]:
    """Profile this thread and each one that starts meanwhile."""
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        profile = cProfile.Profile()
        try:
            profile.enable()  # takes the place of this function in the thread
        except ValueError:  # from Python 3.12 on one profile at a time, which sees all threads
            sys.setprofile(None)
        else:
            profiles.append(profile)

    threading.setprofile(begin)
    begin()
    try:
        yield profiles
    finally:
        threading.setprofile(None)
        for profile in profiles:
            profile.disable()


def functions(spec: Spec, saver: str, limit: int) -> None:
    """Print the functions that take the most time themselves, in all threads."""
    with _profiled_threads() as profiles:
        wall = _wall(spec, saver, lambda _: None)
    stats = pstats.Stats(*profiles)
    print(f"\n{saver}, {spec.name} under cProfile: {wall:.3f} s (a profiled call costs several times its own time)\n")
    stats.sort_stats("tottime").print_stats(limit)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workload")
    parser.add_argument("--saver", default="wfstore-sqlite", choices=[n for n, s in SAVERS.items() if not s.is_async])
    parser.add_argument("--functions", type=int, metavar="N", help="list N functions by their own time instead")
    arguments = parser.parse_args()
    if reason := SAVERS[arguments.saver].why_unavailable():
        parser.error(f"{arguments.saver}: {reason}")
    spec = parse(arguments.workload)
    BackgroundExecutor.submit = _submit_inline  # type: ignore[method-assign,assignment]  # only in this process
    if arguments.functions:
        functions(spec, arguments.saver, arguments.functions)
    else:
        print(parts(spec, arguments.saver))


if __name__ == "__main__":
    main()
