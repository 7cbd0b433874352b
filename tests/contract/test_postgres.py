"""The contract on PostgreSQL."""

import itertools
from contextlib import ExitStack

import pytest

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing import contract_tests

_made = itertools.count(1)


class Postgres:
    @pytest.fixture
    def url(self, postgres_url):
        return f"{postgres_url}?schema=contract{next(_made)}"

    @pytest.fixture
    def saver(self, url):
        with WfStoreSaver(url) as saver:
            yield saver

    @pytest.fixture
    def reopen(self, saver, url):
        with ExitStack() as opened:
            yield lambda: opened.enter_context(WfStoreSaver(url))


globals().update(contract_tests(Postgres))
