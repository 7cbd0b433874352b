"""The contract on PostgreSQL: one server for all, one schema for each test."""

import itertools

import pytest

from langgraph_wfstore.testing import AtUrl, contract_tests

_made = itertools.count(1)


class Postgres(AtUrl):
    @pytest.fixture
    def url(self, postgres_url):
        return f"{postgres_url}?schema=contract{next(_made)}"


globals().update(contract_tests(Postgres))
