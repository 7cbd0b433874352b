"""A process that imports a large thread is killed, again and again: the thread is there whole, or not at all."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.testing.contract_artifacts import records_of
from langgraph_wfstore.testing.material import THREAD, checkpoint_of, config_of, metadata_of

IMPORTS = """
import sys
from langgraph_wfstore import WfStore
from langgraph_wfstore.artifact import importing, staging
staging._HELD, staging._LEASE, importing._RECORDS = 0, 10**8, 20
with WfStore.open(sys.argv[1]) as store:
    print("ready", flush=True)
    store.import_artifact(sys.argv[2], progress=lambda done, of: print(done, flush=True))
print("done", flush=True)
"""


@pytest.fixture
def artifact(tmp_path):
    """A thread of some hundred records, and what they are."""
    with WfStoreSaver(":memory:") as saver:
        config = config_of()
        for number in range(300):
            checkpoint = checkpoint_of({"n": f"{number} " * 100}, {"n": number + 1})
            config = saver.put(config, checkpoint, metadata_of(number), {"n": number + 1})
        saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        return tmp_path / "a.wfz", records_of(saver.store)


def killed_import(place, path, lines):
    """Start an import and kill it after so many lines of progress; what it said."""
    command = [sys.executable, "-c", IMPORTS, str(place), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        said = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        return said


def test_a_killed_import_leaves_nothing_to_be_seen(place, artifact):
    path, original = artifact
    r = random.Random(place.partition(":")[0])
    for lines in (1, r.randrange(30, 150), r.randrange(150, 300), 301):
        killed_import(place, path, lines)
        with WfStore.open(place) as store:
            if store.threads():
                assert lines == 301 and records_of(store) == original
    time.sleep(0.2)  # the leases of those that were killed have expired
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(place), str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("done\n")
    with WfStore.open(place) as store:
        assert records_of(store) == original
        assert store.thread(THREAD).verify().ok
        store.compact()
        assert store.stats()["threads"] == 1, "what the killed ones left is still there"
