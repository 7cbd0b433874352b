"""A source whose server goes away: the migration stops, says so, and goes on when it is run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver

from langgraph_wfstore import BackendUnavailableError, WfStore
from langgraph_wfstore.migration import MigrationReport, migrate
from langgraph_wfstore.testing.sample_graphs import line_graph

THREADS = 40


def test_a_lost_connection_ends_the_migration_and_the_next_run_completes_it(postgres_url: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE DATABASE lost_source")
        url = postgres_url.rpartition("/")[0] + "/lost_source"
        with PostgresSaver.from_conn_string(url) as saver:
            saver.setup()
            for number in range(THREADS):
                config: Any = {"configurable": {"thread_id": f"t{number}"}}
                line_graph(saver, "a", "b").invoke({"log": ["in"]}, config)

        def cut(report: MigrationReport) -> None:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'lost_source'")

        with pytest.raises(BackendUnavailableError, match="was lost at thread"):
            migrate(url, tmp_path / "store.db", progress=cut)
        with WfStore.open(tmp_path / "store.db") as store:
            assert 0 < len(list(store.thread_ids())) < THREADS
        report = migrate(url, tmp_path / "store.db")
        assert report.ok, str(report)
        assert report.threads == THREADS
        db.execute("DROP DATABASE lost_source WITH (FORCE)")
