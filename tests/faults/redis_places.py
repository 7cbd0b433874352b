"""Ways to Redis servers, and waiting until they are as they should be."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import redis

from langgraph_wfstore import WfStoreError, WfStoreSaver
from langgraph_wfstore.testing.proxy import Proxy


def through(proxy: Proxy, **options: Any) -> WfStoreSaver:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return WfStoreSaver(f"redis://127.0.0.1:{proxy.port}?{query}")


def until(good: Callable[[], object], seconds: float = 20) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError, WfStoreError):
            if good():
                return
        time.sleep(0.05)
    raise AssertionError(f"it did not come to be within {seconds} s")
