"""Nothing but SQLite opens a store's file: to close any other descriptor of it gives up the process's locks on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from writing import numbers, put

from langgraph_wfstore import WfStore, WfStoreError, WfStoreSaver
from langgraph_wfstore.cli import main as cli


def _opened_twice(path: Path) -> None:
    WfStore.open(path).close()


def _read_only(path: Path) -> None:
    WfStore.open(path, read_only=True).close()


def _imported(path: Path) -> None:
    with WfStore.open("memory://") as store, pytest.raises(WfStoreError, match="a store that this program has open"):
        store.import_artifact(path)


def _exported_to(path: Path) -> None:
    with WfStoreSaver("memory://") as saver:
        put(saver, "other", 0)
        with pytest.raises(WfStoreError, match="a store that this program has open"):
            saver.store.thread("other").export(path)


def _verified(path: Path) -> None:
    assert cli.main(["verify", str(path), "--quiet"]) == 0


def _given_as_artifact(path: Path) -> None:
    assert cli.main(["import", str(path), str(path.with_name("new.db"))]) == cli.UNUSABLE


@pytest.mark.parametrize(
    "use",
    [_opened_twice, _read_only, _imported, _exported_to, _verified, _given_as_artifact],
    ids=lambda use: use.__name__.strip("_"),
)
@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_open_keeps_its_locks(tmp_path: Path, use: Callable[[Path], None], link: bool) -> None:
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        config = put(saver, "t", 0)
        if link:
            (tmp_path / "link.db").symlink_to(path)
        use(tmp_path / "link.db" if link else path)
        # Another process that takes itself for the last one folds the log in, and removes what this one writes to.
        other = "import sys; from langgraph_wfstore import WfStore; WfStore.open(sys.argv[1]).close()"
        subprocess.run([sys.executable, "-c", other, str(path)], check=True)
        assert Path(f"{path}-wal").exists()
        put(saver, "t", 1, config)
        with WfStoreSaver(path) as again:
            assert numbers(again, "t") == [1, 0]
