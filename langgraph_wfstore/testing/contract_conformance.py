"""LangGraph's own conformance suite, through the async interface as it is, and through the sync one by an adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from .contract import Contract

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

METHODS = ("put", "put_writes", "get_tuple", "delete_thread", "delete_for_runs", "copy_thread", "prune")


def sync_as_async(saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """A saver whose async methods are the sync ones of `saver`, as far as its class has its own.

    The suite takes the methods that a class overrides for its capabilities, and calls async methods only.
    """

    def forwarded(name: str) -> Any:
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(saver, name)(*args, **kwargs)

        return method

    async def alist(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[CheckpointTuple]:
        for found in [*saver.list(*args, **kwargs)]:
            yield found

    own = [name for name in METHODS if getattr(type(saver), name) is not getattr(BaseCheckpointSaver, name)]
    body: dict[str, Any] = {f"a{name}": forwarded(name) for name in own}
    if type(saver).list is not BaseCheckpointSaver.list:
        body["alist"] = alist
    adapted: type[BaseCheckpointSaver[Any]] = type("SyncAsAsync", (BaseCheckpointSaver,), body)
    return adapted(serde=saver.serde)


class ConformanceContract(Contract):
    """All eight capabilities are there, and pass."""

    @pytest.mark.parametrize("interface", ["sync", "async"])
    def test_langgraphs_conformance_suite_passes(self, saver: WfStoreSaver, interface: str) -> None:
        suite = pytest.importorskip("langgraph.checkpoint.conformance")
        tested = sync_as_async(saver) if interface == "sync" else saver

        async def factory() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
            yield tested

        report = asyncio.run(suite.validate(suite.checkpointer_test(name=f"wfstore {interface}")(factory)))
        results = report.to_dict()["results"]
        assert sorted(results) == sorted(["list", *METHODS])
        assert {name: result for name, result in results.items() if not (result["detected"] and result["passed"])} == {}
