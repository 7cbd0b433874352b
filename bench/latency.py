"""Fifty threads on a server that is 20 ms away, beside one after the other.

python -m bench.latency [--threads 50] [--puts 6] [--latency 0.02]
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from langgraph.checkpoint.base import empty_checkpoint

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing.postgres_server import running
from langgraph_wfstore.testing.proxy import Proxy


def conversation(saver: WfStoreSaver, name: str, puts: int) -> None:
    """Puts and their writes on a thread of its own, each behind the one before."""
    config: Any = {"configurable": {"thread_id": name, "checkpoint_ns": ""}}
    for number in range(puts):
        checkpoint: Any = {**empty_checkpoint(), "channel_values": {"n": number}, "channel_versions": {"n": number + 1}}
        config = saver.put(config, checkpoint, {"source": "loop", "step": number, "parents": {}}, {"n": number + 1})
        saver.put_writes(config, [("n", number)], f"task {number}")


def measure(url: str, threads: int, puts: int) -> tuple[float, float]:
    """Seconds for all conversations side by side, and for a fifth of them one after the other, times five."""
    with WfStoreSaver(url) as saver, ThreadPoolExecutor(threads) as pool:
        conversation(saver, "warm", 1)
        started = time.perf_counter()
        list(pool.map(lambda n: conversation(saver, f"beside {n}", puts), range(threads)))
        beside = time.perf_counter() - started
        started = time.perf_counter()
        for number in range(threads // 5):
            conversation(saver, f"after {number}", puts)
        return beside, (time.perf_counter() - started) * threads / (threads // 5)


def main() -> None:
    made = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    made.add_argument("--threads", type=int, default=50)
    made.add_argument("--puts", type=int, default=6)
    made.add_argument("--latency", type=float, default=0.02)
    given = made.parse_args()
    with running() as server:
        parts = urlsplit(server.url)
        with Proxy("127.0.0.1", parts.port or 0) as proxy:
            proxy.latency = given.latency
            for size in (16, 50):
                url = f"postgresql://wfstore@{proxy.host}:{proxy.port}/postgres?schema=pool{size}&pool_size={size}"
                beside, after = measure(url, given.threads, given.puts)
                print(
                    f"PostgreSQL, {size} connections: {given.threads} threads beside each other {beside:.2f} s, "
                    f"one after the other {after:.2f} s: {after / beside:.1f} times"
                )


if __name__ == "__main__":
    main()
