"""What all contract classes share: the fixtures that a backend supplies, and the one that runs each test twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import pytest

from .api import APIS, Api

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

Reopen = Callable[[], "WfStoreSaver"]
"""Gives another, independent open saver on the same place."""


class Contract:
    """A subclass gives the fixtures `saver` (open, on a fresh and empty place) and `reopen` (see `Reopen`)."""

    @pytest.fixture(params=APIS)
    def api(self, request: pytest.FixtureRequest, saver: WfStoreSaver) -> Iterator[Api]:
        """The saver through its sync and through its async interface."""
        with APIS[cast(str, request.param)](saver) as api:
            yield api


class DurabilityContract(Contract):
    """What holds under each durability that LangGraph has."""

    @pytest.fixture(params=["sync", "async", "exit"])
    def durability(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


def assert_sound(saver: WfStoreSaver, *thread_ids: str) -> None:
    """Every thread verifies."""
    for thread_id in thread_ids:
        report = saver.store.thread(thread_id).verify()
        assert report.ok, f"thread {thread_id!r} does not verify: {report.problems}"
