"""Pools and connections of the user's own: what they may be, and what their owner may do with them meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import psycopg
import pytest
from postgres_schemas import CONFIG, next_schema, run_sql, talk
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from langgraph_wfstore import BackendUnavailableError, WfStoreSaver
from langgraph_wfstore.backends.postgres import PostgresBackend
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.sample_graphs import chat_graph

CLOSES_DURING_AN_APPEND = """
import threading, time, psycopg
from langgraph_wfstore import BackendUnavailableError, WfStoreSaver
from langgraph_wfstore.backends.postgres import PostgresBackend
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of

db, other = psycopg.connect({url!r}, autocommit=True), psycopg.connect({url!r})
saver = WfStoreSaver(PostgresBackend(db, schema={schema!r}, prepare={prepare}))

def put(number):
    return saver.put(config_of("t"), checkpoint_of({{"n": number}}, {{"n": 1}}), metadata_of(0), {{"n": 1}})

def refused():
    try:
        put(1)
    except BackendUnavailableError as error:
        print("connection socket closed" if "closed" in str(error) else error)

put(0)
other.execute("LOCK TABLE {schema}.record IN ACCESS EXCLUSIVE MODE")
writing = threading.Thread(target=refused)
writing.start()
while other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
    time.sleep(0.01)
db.close()
other.rollback()
writing.join()
"""

NOTIFIES_WHEN_A_RECORD_COMES = """
CREATE FUNCTION wf.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY news, 'written'; RETURN NULL; END $$;
CREATE TRIGGER telling AFTER INSERT ON wf.record FOR EACH ROW EXECUTE FUNCTION wf.tell();
"""


@pytest.fixture
def schema() -> str:
    return next_schema()


class TestBorrowed:
    def test_a_pool_of_ones_own_is_used_and_stays_open(self, postgres_url, schema):
        for autocommit in (True, False):
            with ConnectionPool(
                postgres_url, kwargs={"autocommit": autocommit}, min_size=1, max_size=2, open=True
            ) as pool:
                with WfStoreSaver(PostgresBackend(pool, schema=schema)) as saver:
                    talk(saver, f"{autocommit}")
                with pool.connection() as db:
                    assert db.autocommit is autocommit
                    assert db.execute("SELECT 1").fetchone() == (1,)
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 4

    def test_a_pool_or_a_connection_opens_a_saver_as_a_url_does(self, postgres_url):
        with ConnectionPool(postgres_url, open=True) as pool, WfStoreSaver(pool) as saver:
            talk(saver)
        with psycopg.connect(postgres_url, autocommit=True) as db, WfStoreSaver(db) as saver:
            assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 2

    def test_a_connection_serves_threads_one_after_the_other(self, postgres_url, schema):
        with (
            psycopg.connect(postgres_url, autocommit=True) as db,
            WfStoreSaver(PostgresBackend(db, schema=schema)) as saver,
        ):
            graph = chat_graph(saver)
            ids = [f"thread {n}" for n in range(6)]
            running = [
                threading.Thread(
                    target=graph.invoke, args=({"messages": [("user", "x")]}, {"configurable": {"thread_id": name}})
                )
                for name in ids
            ]
            for each in running:
                each.start()
            for each in running:
                each.join()
            assert_sound(saver, *ids)

    def test_its_owner_may_use_a_connection_meanwhile(self, postgres_url, schema):
        stop, found = threading.Event(), []

        def use(db: psycopg.Connection[Any]) -> None:
            while not stop.is_set():
                found.append(db.execute("SELECT 1 FROM pg_sleep(0.0005)").fetchone())

        with (
            psycopg.connect(postgres_url, autocommit=True) as db,
            WfStoreSaver(PostgresBackend(db, schema=schema)) as saver,
        ):
            owner = threading.Thread(target=use, args=(db,))
            owner.start()
            try:
                for turn in range(20):
                    talk(saver, f"{turn}")
            finally:
                stop.set()
                owner.join()
            assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 40
            assert set(found) == {(1,)}
            assert_sound(saver, "t")

    @pytest.mark.parametrize("cursors", [psycopg.Cursor, psycopg.RawCursor])
    def test_rows_and_cursors_may_be_of_the_owners_kind(self, postgres_url, schema, cursors):
        kind = {"row_factory": dict_row, "cursor_factory": cursors}
        with psycopg.connect(postgres_url, autocommit=True, **kind) as db:
            with WfStoreSaver(PostgresBackend(db, schema=schema)) as saver:
                talk(saver)
            assert db.execute("SELECT 1 AS one").fetchone() == {"one": 1}
        with ConnectionPool(postgres_url, kwargs=kind, min_size=1, max_size=2, open=True) as pool:
            with WfStoreSaver(PostgresBackend(pool, schema=schema)) as saver:
                talk(saver)
                saver.copy_thread("t", "copy")
                saver.store.thread("copy").redact(channels=["messages"])
                assert saver.store.stats()["threads"] == 2
                assert_sound(saver, "t")
            with pool.connection() as db:
                assert db.execute("SELECT 1 AS one").fetchone() == {"one": 1}

    @pytest.mark.parametrize(
        ("what", "said"),
        [
            (lambda db: db.transaction(), "has a transaction open"),
            (lambda db: db.pipeline(), "has a pipeline open"),
            (lambda db: db.cursor().copy("COPY nothing FROM STDIN"), "has a COPY, a stream or `notifies` open"),
        ],
    )
    def test_what_its_owner_has_open_is_waited_for_and_then_said(self, postgres_url, schema, what, said):
        with (
            psycopg.connect(postgres_url, autocommit=True) as db,
            WfStoreSaver(PostgresBackend(db, schema=schema, timeout=2)) as saver,
        ):
            talk(saver)
            db.execute("CREATE TEMPORARY TABLE nothing (x int)")
            config: Any = chat_graph(saver).get_state(CONFIG).config
            with what(db), pytest.raises(BackendUnavailableError, match=f"{said}.*nothing was written"):
                within(lambda: saver.put_writes(config, [("a", 1)], "task"), 20)
            letting_go = threading.Event()

            def hold() -> None:
                with what(db):
                    letting_go.set()
                    time.sleep(0.1)

            owner = threading.Thread(target=hold)
            owner.start()
            letting_go.wait(10)
            talk(saver)
            owner.join()
            assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 4

    @pytest.mark.parametrize("prepare", [False, True])
    def test_its_owner_may_close_a_connection_during_an_append(self, postgres_url, schema, prepare):
        program = CLOSES_DURING_AN_APPEND.format(url=postgres_url, schema=schema, prepare=prepare)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "connection socket closed\n"), done.stderr

    def test_what_is_notified_during_an_append_is_heard_after_it(self, postgres_url, schema):
        with (
            psycopg.connect(postgres_url, autocommit=True) as db,
            WfStoreSaver(PostgresBackend(db, schema=schema), capture=False) as saver,
        ):
            talk(saver)
            config: Any = chat_graph(saver).get_state(CONFIG).config
            heard: list[str] = []
            db.add_notify_handler(lambda notice: heard.append(notice.payload))
            db.execute("LISTEN news")
            run_sql(postgres_url, NOTIFIES_WHEN_A_RECORD_COMES.replace("wf.", f"{schema}."))
            saver.put_writes(config, [("a", 1)], "task")
            assert heard == ["written"]

    @pytest.mark.parametrize("prepare", [False, True])
    def test_appends_are_prepared_once_for_each_connection_if_that_is_wanted(self, postgres_url, schema, prepare):
        with psycopg.connect(postgres_url, autocommit=True, prepare_threshold=None) as db:
            for turn in range(2):  # two stores on one connection
                with WfStoreSaver(PostgresBackend(db, schema=schema, prepare=prepare)) as saver:
                    talk(saver, f"{turn}")
                    talk(saver, f"{turn} again")
                    db.execute("DISCARD ALL")  # as a pool may do between two of its users
                    talk(saver, f"{turn} after it")
                    assert_sound(saver, "t")
                    mine = db.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%.append(%'")
                    assert mine.fetchone() == ((1 if prepare else 0),)
                    assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 6 * (turn + 1)

    def test_a_connection_that_is_closed_is_refused(self, postgres_url):
        db = psycopg.connect(postgres_url, autocommit=True)
        db.close()
        with pytest.raises(BackendUnavailableError, match="connection to PostgreSQL is closed"):
            PostgresBackend(db)

    def test_a_connection_within_a_transaction_is_refused(self, postgres_url, schema):
        with psycopg.connect(postgres_url) as db, pytest.raises(ValueError, match="autocommit"):
            PostgresBackend(db, schema=schema)
