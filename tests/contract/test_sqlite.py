"""The contract on SQLite files."""

from contextlib import ExitStack

import pytest

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing import contract_tests


class Sqlite:
    @pytest.fixture
    def saver(self, tmp_path):
        with WfStoreSaver(tmp_path / "agent.db") as saver:
            yield saver

    @pytest.fixture
    def reopen(self, saver, tmp_path):
        with ExitStack() as opened:
            yield lambda: opened.enter_context(WfStoreSaver(f"sqlite:///{tmp_path}/agent.db"))


globals().update(contract_tests(Sqlite))
