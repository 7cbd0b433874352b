"""What all contract classes share: the fixtures that a backend supplies, and the one that runs each test twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from langgraph_wfstore import WfStoreSaver

from .api import APIS, Api

Reopen = Callable[[], WfStoreSaver]
"""Gives another, independent open saver on the same place."""


class Contract:
    """A subclass gives the fixtures `saver` (open, on a fresh and empty place) and `reopen` (see `Reopen`)."""

    @pytest.fixture(params=APIS)
    def api(self, request: pytest.FixtureRequest, saver: WfStoreSaver) -> Iterator[Api]:
        """The saver through its sync and through its async interface."""
        with APIS[cast(str, request.param)](saver) as api:
            yield api


class AtUrl:
    """The fixtures `saver` and `reopen` of a place that a URL leads to: a subclass gives the fixture `url`."""

    @pytest.fixture
    def saver(self, url: str) -> Iterator[WfStoreSaver]:
        with WfStoreSaver(url) as saver:
            yield saver

    @pytest.fixture
    def reopen(self, saver: WfStoreSaver, url: str) -> Iterator[Reopen]:
        with ExitStack() as opened:
            yield lambda: opened.enter_context(WfStoreSaver(url))


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
