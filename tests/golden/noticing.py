"""Whether a change of a store's file is noticed: by `verify`, and by the verifier that knows FORMAT.md only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import independent_verifier as other

from langgraph_wfstore import WfStore


def assert_both_notice(path: Path, change: Callable[[sqlite3.Connection], Any], threads: Iterable[str]) -> None:
    """Make a change in a file, and assert that both verifiers find something wrong with one of its threads.

    Args:
        path: the store's file; it is changed.
        change: executes it.
        threads: the ids of the threads that are looked at.
    """
    names = [*threads]
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        change(db)
        assert db.total_changes
    db.close()
    theirs = other.verify(path)
    assert [name for name in names if name in theirs and not theirs[name].ok]
    with WfStore.open(path) as store:
        assert [name for name in names if not store.thread(name).verify().ok]
