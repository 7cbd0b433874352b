"""The contract on SQLite files: in memory, and on the disk what many do at once, as its waits give them their turns."""

import tempfile

import pytest

from langgraph_wfstore.testing import AtUrl, contract_tests

AT_ONCE = ["TestConcurrency", "TestEventLoops", "TestConflicts", "TestLeases", "TestIteration"]


class Sqlite(AtUrl):
    @pytest.fixture
    def url(self, quick_folder):
        with tempfile.TemporaryDirectory(dir=quick_folder) as folder:
            yield f"sqlite:///{folder}/agent.db"


class OnDisk(AtUrl):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/agent.db"


globals().update(contract_tests(Sqlite))
globals().update({name: contract_tests(OnDisk)[name] for name in AT_ONCE})
