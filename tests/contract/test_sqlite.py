"""The contract on SQLite files."""

import pytest

from langgraph_wfstore.testing import AtUrl, contract_tests


class Sqlite(AtUrl):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/agent.db"


globals().update(contract_tests(Sqlite))
