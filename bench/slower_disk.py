"""A disk on which a durable commit takes longer: what SQLite commits in this process waits afterwards."""

from __future__ import annotations

import sqlite3
import time
from typing import Any


def make_commits_slower(milliseconds: float) -> None:
    """Let every commit of every SQLite connection that is opened from now on take that much longer.

    The wait is without Python's global lock, as that for a disk is; whoever commits holds SQLite's lock no longer than
    it would, which favours savers that commit from several connections.
    """
    seconds, connect = milliseconds / 1e3, sqlite3.connect

    class Slower(sqlite3.Connection):
        """Waits after each commit."""

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            found = super().execute(sql, *parameters)
            if sql == "COMMIT":
                time.sleep(seconds)
            return found

        def commit(self) -> None:
            writes = self.in_transaction
            super().commit()
            if writes:
                time.sleep(seconds)

    def connect_slower(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened: sqlite3.Connection = connect(*arguments, **{"factory": Slower, **options})
        return opened

    sqlite3.connect = connect_slower  # type: ignore[assignment]  # only in this process, which measures
