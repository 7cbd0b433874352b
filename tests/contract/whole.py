"""How much of the contract runs on each of the servers that one engine of ours serves."""

from __future__ import annotations

import os

from langgraph_wfstore.testing.contract import APIS

WHOLE = os.environ.get("WFSTORE_TEST_WHOLE") == "1"


def served_apis(which: str) -> list[str]:
    """The interfaces that the contract goes through on one server: one of them, or, with WFSTORE_TEST_WHOLE=1, both.

    What is ours is the same on Redis, on Valkey and on a cluster, and async is a mirror of sync. So Redis has one, and
    Valkey and the cluster have the other one.
    """
    assert which in APIS
    return [*APIS] if WHOLE else [which]
