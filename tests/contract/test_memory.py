"""The contract in memory; another saver on the same place is one on the same store."""

import pytest

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing import contract_tests


class Memory:
    @pytest.fixture
    def saver(self):
        with WfStoreSaver(":memory:") as saver:
            yield saver

    @pytest.fixture
    def reopen(self, saver):
        return lambda: WfStoreSaver(saver.store)


globals().update(contract_tests(Memory))
