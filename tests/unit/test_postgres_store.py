"""How a PostgreSQL store is opened: URLs, schemas, rights, versions; sizes, encodings, forks; what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from postgres_schemas import CONFIG, next_schema, run_sql, talk

from langgraph_wfstore import BackendUnavailableError, ThreadDeletedError, WfStore, WfStoreError, WfStoreSaver
from langgraph_wfstore.appending.refusals import run_hash
from langgraph_wfstore.backends.postgres import PostgresBackend, append, migration_sql
from langgraph_wfstore.backends.postgres.options import Options, options_of
from langgraph_wfstore.errors import IntegrityError, UnsupportedValueError
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.sample_graphs import chat_graph

DEFAULTS = Options("wfstore", 16, 30.0, False)


@pytest.fixture
def schema() -> str:
    return next_schema()


def test_the_sql_of_the_page_gives_what_it_says(postgres_url: str, schema: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text("utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    statements = [each for block in blocks for each in re.split(r";\n", block) if each.strip()]
    with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
        talk(saver)
        records = saver.store.stats()["checkpoints"]
        with psycopg.connect(postgres_url) as db:
            found = [db.execute(each.replace("wfstore", schema).encode()).fetchall() for each in statements]
    assert len(found) == 5
    sizes, threads = found[0], found[1]
    assert {"record", "object", "thread"} <= {str(row[0]) for row in sizes}
    assert all(row[1] + row[2] + row[3] == row[4] for row in sizes)
    ((thread, count, *held),) = threads
    assert thread == "t" and count >= records and all(size > 0 for size in held)


class TestOptions:
    def test_our_parameters_are_taken_out_of_the_url_and_the_rest_stays(self):
        found = options_of(
            "postgresql://me:secret@host:5433/db?schema=agents&pool_size=3&timeout=2.5&prepare=1&sslmode=require",
            DEFAULTS,
        )
        assert found[:4] == ("agents", 3, 2.5, True)
        assert found.source == "postgresql://me:secret@host:5433/db?sslmode=require"
        assert found.place == "postgresql://host:5433/db"

    def test_settings_of_the_server_keep_their_spaces(self):
        found = options_of("postgresql:///db?options=-c%20lock_timeout%3D100", DEFAULTS)
        assert psycopg.conninfo.conninfo_to_dict(found.source)["options"] == "-c lock_timeout=100"

    @pytest.mark.parametrize("wrong", ["pool_size=0", "pool_size=x", "timeout=0", "timeout=-1", "prepare=maybe"])
    def test_values_that_cannot_be_are_refused_by_name(self, wrong):
        with pytest.raises(ValueError, match=wrong.partition("=")[0] + "|could not convert|invalid literal"):
            options_of(f"postgresql://host/db?{wrong}", DEFAULTS)

    def test_an_unknown_parameter_is_named_and_the_password_is_not(self):
        with pytest.raises(WfStoreError, match="poolsize") as raised:
            options_of("postgresql://me:secret@host/db?poolsize=3", DEFAULTS)
        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize("name", ["", "x" * 64, "a%s", "a\0b"])
    def test_a_schema_needs_a_name(self, postgres_url, name):
        with pytest.raises(ValueError, match="schema's name"):
            PostgresBackend(postgres_url, schema=name)


class TestOpening:
    @pytest.mark.parametrize("name", ["agents", "Größe", 'with "quotes" and space', "wf.odd"])
    def test_a_schema_of_ones_own(self, postgres_url, name):
        backend = PostgresBackend(postgres_url, schema=name)
        with WfStoreSaver(backend) as saver:
            talk(saver)
            assert_sound(saver, "t")
        with psycopg.connect(postgres_url) as db:
            found = db.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = %s", (name,))
            assert found.fetchone() == (11,)

    def test_what_is_no_database_is_refused(self):
        with pytest.raises(TypeError, match="opened by a path or a URL"):
            WfStore.open(object())

    def test_a_wrong_password_or_database_is_said_at_once(self, postgres_url):
        with pytest.raises(BackendUnavailableError, match='database "nowhere" does not exist'):
            WfStore.open(postgres_url.replace("/postgres", "/nowhere"))

    def test_read_only_makes_nothing_and_writes_nothing(self, postgres_url, schema):
        url = f"{postgres_url}?schema={schema}"
        with pytest.raises(BackendUnavailableError, match=schema):
            WfStore.open(url, read_only=True)
        with psycopg.connect(postgres_url) as db:
            assert db.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone() == (None,)
        with WfStoreSaver(url) as saver:
            talk(saver)
        with WfStore.open(url, read_only=True) as store:
            assert store.thread("t").verify().ok
            with pytest.raises(BackendUnavailableError, match="reading only"):
                store.delete_thread("t")

    def test_a_closed_store_says_so(self, postgres_url, schema):
        saver = WfStoreSaver(f"{postgres_url}?schema={schema}")
        saver.close()
        saver.close()
        with pytest.raises(BackendUnavailableError, match="closed"):
            saver.get_tuple(CONFIG)

    def test_normal_is_lazy_about_the_servers_disk_and_full_is_not(self, postgres_url, schema):
        seen: dict[str, set[str]] = {}
        for synchronous in ("normal", "full"):
            name = f"{schema}{synchronous}"
            with WfStoreSaver(f"{postgres_url}?schema={name}", synchronous=synchronous) as saver:
                run_sql(postgres_url, NOTES_HOW_IT_COMMITS.replace("wf.", f"{name}."))
                talk(saver)
            with psycopg.connect(postgres_url) as db:
                seen[synchronous] = {how for (how,) in db.execute(f"SELECT how FROM {name}.noted".encode())}
        assert seen == {"normal": {"off"}, "full": {"off", "on"}}  # notes of capture may be lazy, states are not


NOTES_HOW_IT_COMMITS = """
CREATE TABLE wf.noted (how text);
CREATE FUNCTION wf.note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO wf.noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER noting AFTER INSERT ON wf.record DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wf.note();
"""


def at_once(count: int, work: Callable[[], Any]) -> list[Any]:
    """What as many threads give that do the same at once; what one of them raises is raised."""
    with ThreadPoolExecutor(count) as pool:
        return [each.result() for each in [pool.submit(work) for _ in range(count)]]


def make_version_1(url: str, schema: str, *then: str) -> None:
    """Take back what version 2 brought; then more SQL."""
    run_sql(
        url,
        f"DROP FUNCTION {schema}.append",
        f"DELETE FROM {schema}.store WHERE name = 'deleted runs'",
        f"UPDATE {schema}.store SET value = '\\x31' WHERE name = 'version'",
        *then,
    )


class TestSchema:
    def test_many_that_start_at_once_make_one_store(self, postgres_url, schema):
        def start() -> bytes:
            with WfStore.open(f"{postgres_url}?schema={schema}") as store:
                return store.backend.store_secret

        assert len(set(at_once(12, start))) == 1

    def test_many_that_start_at_once_bring_a_store_of_version_1_up_to_date(self, postgres_url, schema):
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            talk(saver)
            secret = saver.store.backend.store_secret
        make_version_1(postgres_url, schema)
        told = rf"a store of version 1 .* 2; .* --schema {schema} --from-version 1`"
        with pytest.raises(BackendUnavailableError, match=told):
            WfStore.open(f"{postgres_url}?schema={schema}", read_only=True)

        def start() -> bytes:
            with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
                talk(saver)
                return saver.store.backend.store_secret

        assert at_once(6, start) == [secret] * 6
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            assert_sound(saver, "t")
            assert len(saver.store.thread("t").runs()) == 7

    @pytest.mark.parametrize("name", ["a%b", "a$wfstore_append$b", "x" * 64, ""])
    def test_a_schema_that_could_not_be_written_is_refused(self, postgres_url, name):
        with pytest.raises(ValueError, match="a schema's name has 1 to 63 bytes"):
            WfStore.open(f"{postgres_url}?schema={quote(name)}")

    @pytest.mark.parametrize("name", ["o'b {}", 'a"b {}', "a\\b {}", "wf.a {}", "$1 {}", "größe {}"])
    def test_a_schema_may_have_any_other_name(self, postgres_url, schema, name):
        with WfStoreSaver(f"{postgres_url}?schema={quote(name.format(schema))}") as saver:
            talk(saver)
            saver.copy_thread("t", "copy")
            saver.delete_thread("t")
            saver.store.compact()
            assert saver.store.stats()["file_bytes"] > 0
            assert_sound(saver, "copy")

    def test_the_printed_sql_of_a_later_version_leaves_alone_what_is_there(self, postgres_url, schema):
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            talk(saver)
        make_version_1(postgres_url, schema, migration_sql(schema, 1))
        with WfStore.open(f"{postgres_url}?schema={schema}", read_only=True) as store:
            assert store.thread("t").verify().ok

    def test_the_printed_sql_makes_tables_that_a_user_without_rights_can_use(self, postgres_url, schema):
        command = [sys.executable, "-m", "langgraph_wfstore.backends.postgres", "--schema", schema]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert printed == migration_sql(schema)
        role = f"role_{schema}"
        run_sql(
            postgres_url,
            f"CREATE ROLE {role} LOGIN",
            "REVOKE CREATE ON DATABASE postgres FROM PUBLIC",
        )
        as_role = postgres_url.replace("wfstore@", f"{role}@")
        with pytest.raises(
            BackendUnavailableError, match=rf"python -m langgraph_wfstore\.backends\.postgres --schema {schema}`"
        ):
            WfStore.open(f"{as_role}?schema={schema}")
        run_sql(
            postgres_url,
            printed,
            f"GRANT USAGE ON SCHEMA {schema} TO {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        )
        with WfStoreSaver(f"{as_role}?schema={schema}") as saver:
            talk(saver)
            saver.copy_thread("t", "copy")
            saver.delete_thread("t")
            assert_sound(saver, "copy")
            # What only the owner may do is not passed over in silence.
            with pytest.raises(BackendUnavailableError, match="owner of the tables"):
                saver.store.thread("copy").redact(channels=["messages"])
            with pytest.raises(BackendUnavailableError, match="owner of the tables"):
                saver.store.compact()
            assert saver.store.thread("copy").verify().redacted > 0

    def test_a_newer_version_and_a_foreign_table_are_refused(self, postgres_url, schema):
        url = f"{postgres_url}?schema={schema}"
        WfStore.open(url).close()
        run_sql(postgres_url, f"UPDATE {schema}.store SET value = '\\x39' WHERE name = 'version'")
        with pytest.raises(WfStoreError, match="version 9"):
            WfStore.open(url)
        run_sql(
            postgres_url,
            f"DROP SCHEMA {schema} CASCADE",
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {schema}.store (x int)",
        )
        with pytest.raises(WfStoreError, match="not ours"):
            WfStore.open(url)

    def test_a_lost_secret_is_damage(self, postgres_url, schema):
        url = f"{postgres_url}?schema={schema}"
        WfStore.open(url).close()
        run_sql(postgres_url, f"DELETE FROM {schema}.store WHERE name = 'secret'")
        with pytest.raises(IntegrityError, match="secret"):
            WfStore.open(url)


class TestSizes:
    def test_what_no_message_to_the_server_can_hold_is_said_at_once(self, postgres_url, schema, monkeypatch):
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            talk(saver)
            monkeypatch.setattr(append, "_LARGEST", 50_000)
            config: Any = chat_graph(saver).get_state(CONFIG).config
            for many, size in ((1, 60_000), (3, 20_000)):  # one value; their sum
                writes = [(f"a{number}", os.urandom(size)) for number in range(many)]
                with pytest.raises(UnsupportedValueError, match="PostgreSQL takes at most 50000"):
                    saver.put_writes(config, writes, "task")
            saver.put_writes(config, [("a", os.urandom(20_000))], "task")
            assert_sound(saver, "t")


class TestEncodings:
    def test_a_schema_has_the_name_it_was_given_in_a_database_of_another_encoding(self, postgres_url, schema):
        name, database = f"größe {schema}", f"latin_{schema}"
        run_sql(postgres_url, f"CREATE DATABASE {database} ENCODING LATIN1 TEMPLATE template0 LOCALE 'C'")
        url = postgres_url.replace("/postgres", f"/{database}")
        with WfStoreSaver(f"{url}?schema={quote(name)}") as saver:
            talk(saver)
        make_version_1(f"{url}?client_encoding=UTF8", f'"{name}"')
        assert len(set(at_once(4, lambda: secret_of(f"{url}?schema={quote(name)}")))) == 1
        with psycopg.connect(url, client_encoding="UTF8") as db:
            assert db.execute("SELECT to_regnamespace(%s) IS NULL", (f'"{name}"',)).fetchone() == (False,)

    def test_a_connection_of_another_encoding_is_refused_where_it_would_change_the_name(self, postgres_url, schema):
        with psycopg.connect(postgres_url, autocommit=True, client_encoding="LATIN1") as db:
            with pytest.raises(WfStoreError, match="client_encoding"):
                PostgresBackend(db, schema=f"größe {schema}")
            with WfStoreSaver(PostgresBackend(db, schema=schema)) as saver:
                talk(saver)
                refuse_records(postgres_url, schema)
                with pytest.raises(BackendUnavailableError, match="größe ist falsch"):
                    saver.put_writes(chat_graph(saver).get_state(CONFIG).config, [("a", 1)], "task")


def secret_of(url: str) -> bytes:
    with WfStore.open(url) as store:
        return store.backend.store_secret


def refuse_records(url: str, schema: str) -> None:
    run_sql(
        url,
        f"CREATE FUNCTION {schema}.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'größe ist falsch'; END $$",
        f"CREATE TRIGGER no BEFORE INSERT ON {schema}.record FOR EACH ROW EXECUTE FUNCTION {schema}.no()",
    )


class TestDeletedRuns:
    @pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
    @pytest.mark.parametrize("begun", [True, False])
    def test_an_append_that_waits_for_the_deletion_of_its_run_sees_it(self, postgres_url, schema, begun, level):
        options = quote(f"-c default_transaction_isolation={level}".replace(level, level.replace(" ", "\\ ")))
        with WfStoreSaver(f"{postgres_url}?schema={schema}&options={options}", capture=False) as saver:
            if begun:
                talk(saver)
            config: Any = {"configurable": {"thread_id": "t", "run_id": "r"}}
            backend: Any = saver.store.backend
            before = [info.records for info in saver.store.threads()]
            refused: list[BaseException] = []

            def run() -> None:
                try:
                    chat_graph(saver).invoke({"messages": [("user", "late")]}, config)
                except ThreadDeletedError as error:
                    refused.append(error)

            with psycopg.connect(postgres_url) as db, db.transaction():
                backend._rewrites.mark_deleted_runs(db, [run_hash(backend.store_secret, "r")])  # not committed yet
                running = threading.Thread(target=run)
                running.start()
                with psycopg.connect(postgres_url, autocommit=True) as other:
                    while other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
                        assert running.is_alive()
                        time.sleep(0.01)
            running.join()
            assert refused
            assert [info.records for info in saver.store.threads()] == before


class TestForks:
    def test_a_forked_child_uses_connections_of_its_own(self, postgres_url, schema):
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            talk(saver, "of the parent")
            read, write = os.pipe()
            pid = os.fork()
            if not pid:
                try:
                    talk(saver, "of the child")
                    os.write(write, b"done")
                finally:
                    os._exit(0)
            os.close(write)
            assert os.read(read, 10) == b"done"
            os.waitpid(pid, 0)
            talk(saver, "of the parent again")
            assert len(chat_graph(saver).get_state(CONFIG).values["messages"]) == 6
            assert_sound(saver, "t")


class TestTidying:
    def test_compact_gives_bytes_back_and_forgets_old_operations(self, postgres_url, schema):
        with WfStoreSaver(f"{postgres_url}?schema={schema}") as saver:
            for number in range(30):
                talk(saver, f"{number} " + "x" * 2000)
            saver.copy_thread("t", "copy")
            saver.delete_thread("t")
            saver.delete_thread("copy")
            run_sql(postgres_url, f"UPDATE {schema}.operation SET made = now() - interval '2 days'")
            before = saver.store.stats()["file_bytes"]
            saver.store.compact()
            assert saver.store.stats()["file_bytes"] < before / 2
            with psycopg.connect(postgres_url) as db:
                assert db.execute(f"SELECT count(*) FROM {schema}.operation".encode()).fetchone() == (0,)
