"""The contract on PostgreSQL: one server and one schema for all, with nothing in it when a test begins.

To make the tables for every test anew costs the server more than most tests do; what makes them has tests of its own.
"""

import uuid

import psycopg
import pytest

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.backends.postgres import migration_sql
from langgraph_wfstore.testing import AtUrl, contract_tests
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of

# What a test has left in a transaction fails the next one, and does not stop it.
EMPTIED = """
BEGIN; SET LOCAL lock_timeout = '10s'; {deletes}
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences
WHERE schemaname = '{schema}'; {first_rows}"""


class Schema:
    """A schema of a name that no other process has: a server may be one that is shared."""

    def __init__(self, server: str, db: psycopg.Connection) -> None:
        self.name = f"contract_{uuid.uuid4().hex}"
        self.url = f"{server}?schema={self.name}"
        self._db = db

    def rows(self) -> dict[str, int]:
        """How many rows each table has; no table before a store was opened."""
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        tables = [name for (name,) in self._db.execute(query, (self.name,))]
        return {t: self._db.execute(f"SELECT count(*) FROM {self.name}.{t}").fetchone()[0] for t in tables}

    def empty(self) -> None:
        """Bring every table to what it is when it is made: the store has another secret, and numbers begin at 1."""
        deletes = "".join(f"DELETE FROM {self.name}.{table};" for table, count in self.rows().items() if count)
        if deletes:
            script = migration_sql(self.name)
            store = script[script.index("INSERT INTO") :].partition(";")[0]
            version_to_end = script[script.rindex("INSERT INTO") :]
            first_rows = f"{store};{version_to_end}"
            self._db.execute(EMPTIED.format(deletes=deletes, schema=self.name, first_rows=first_rows))

    def drop(self) -> None:
        self._db.execute(f"DROP SCHEMA IF EXISTS {self.name} CASCADE")


@pytest.fixture(scope="module")
def connection(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as db:
        yield db


@pytest.fixture(scope="module")
def contract_schema(postgres_url, connection):
    schema = Schema(postgres_url, connection)
    yield schema
    schema.drop()


class Postgres(AtUrl):
    @pytest.fixture
    def url(self, contract_schema):
        yield contract_schema.url
        contract_schema.empty()


globals().update(contract_tests(Postgres))


def test_an_emptied_schema_is_as_a_new_one(postgres_url, connection):
    schema = Schema(postgres_url, connection)
    try:
        secrets, first = [], []
        for _ in range(2):
            with WfStoreSaver(schema.url) as saver:
                secrets.append(saver.store.backend.store_secret)
                first.append(schema.rows())
                assert saver.store.threads() == []
                checkpoint = checkpoint_of({"a": "x" * 2000})
                saver.put(config_of("t"), checkpoint, metadata_of(), checkpoint["channel_versions"])
                found = saver.store.backend.find(b"t")
                assert (found.row.number, found.row.lineage) == (1, 1)
                assert schema.rows() != first[-1]
            schema.empty()
            assert schema.rows() == first[0]
        assert first[0] == first[1]
        assert secrets[0] != secrets[1]
    finally:
        schema.drop()
