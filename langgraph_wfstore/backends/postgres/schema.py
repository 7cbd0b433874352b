"""The tables in PostgreSQL: their SQL, and bringing a schema up to this version."""

from __future__ import annotations

import hashlib
import shlex
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...errors import BackendUnavailableError, IntegrityError, StoreNotFoundError, WfStoreError

if TYPE_CHECKING:
    from psycopg import Connection

VERSION = 2
_MIGRATIONS = {1: "schema.sql", 2: "schema-2.sql"}  # per version the script that leads to it from the one before
_IN_NO_NAME = ("%", "$wfstore_append$")  # placeholders; what quotes the function's body
_LONGEST = 63  # bytes of a name in PostgreSQL


class Sql:
    """SQL for one schema: `wf.` in a statement stands for its name.

    Args:
        schema: the schema's name.

    Raises:
        ValueError: it is no name.
    """

    def __init__(self, schema: str) -> None:
        bad = any(part in schema for part in _IN_NO_NAME)
        if bad or not schema.isprintable() or not 0 < len(schema.encode()) <= _LONGEST:
            raise ValueError(
                f"a schema's name has 1 to {_LONGEST} bytes, printable and without {' or '.join(_IN_NO_NAME)}, not "
                f"{schema!r:.100}"
            )
        self.schema = schema
        self.name = '"' + schema.replace('"', '""') + '"'
        self._known: dict[str, bytes] = {}

    def __call__(self, statement: str) -> bytes:
        """The statement for this schema, as psycopg takes it."""
        found = self._known.get(statement)
        if found is None:
            found = self._known[statement] = statement.replace("wf.", f"{self.name}.").encode()
        return found

    def script(self, version: int = 0) -> str:
        """What brings a schema of a version up to this one, to be run in one transaction.

        Args:
            version: the one that is there; 0: none.
        """
        parts = [_script(name) for number, name in sorted(_MIGRATIONS.items()) if number > version]
        return "".join(parts).replace("wf.", f"{self.name}.")


def _script(name: str) -> str:
    lines = files("langgraph_wfstore.backends.postgres").joinpath(name).read_text("utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines)


def migration_sql(schema: str = "wfstore", version: int = 0) -> str:
    """The SQL that makes, or brings up to date, the tables of a store, as one transaction.

    For those who run migrations with tools of their own: a store that finds its tables up to date creates nothing
    and needs no right to.

    Args:
        schema: the schema that holds the tables.
        version: what is there already, the row `version` of the table `store`; 0 for nothing.
    """
    sql = Sql(schema)
    return f"BEGIN;\nCREATE SCHEMA IF NOT EXISTS {sql.name};\n{sql.script(version)}COMMIT;\n"


def made_ready(db: Connection[Any], sql: Sql, read_only: bool, place: str) -> bytes:
    """Bring the schema up to this version, if it is not; the store's secret.

    Any number of processes may do so at once. The connection commits every statement by itself.

    Raises:
        WfStoreError: it is of a newer version, or not ours; the connection's encoding cannot name it.
        StoreNotFoundError: there is none, and it may not be made.
        IntegrityError: it holds no secret.
    """
    _check_encoding(db, sql, place)
    version = _version(db, sql, place)
    if version < VERSION:
        if read_only:
            there = f"a store of version {version}" if version else "no store"
            raise StoreNotFoundError(
                f"{place} has {there} in schema {sql.schema!r}, and read_only makes none of version {VERSION}; open it "
                f"without read_only once, or run what {_command(sql, version)} prints"
            )
        _migrate(db, sql, version, place)
    found = db.execute(sql("SELECT value FROM wf.store WHERE name = 'secret'"), binary=True).fetchone()
    if found is None or len(found[0]) != 32:
        raise IntegrityError(f"schema {sql.schema!r} of {place} holds no store secret; restore it from a backup")
    return bytes(found[0])


def _check_encoding(db: Connection[Any], sql: Sql, place: str) -> None:
    """Statements are sent as UTF-8."""
    if not sql.schema.isascii() and db.info.encoding not in ("utf-8", "ascii"):
        raise WfStoreError(
            f"the connection to {place} has client_encoding {db.info.encoding}, which makes another name of schema "
            f"{sql.schema!r}; connect with client_encoding=UTF8"
        )


def _version(db: Connection[Any], sql: Sql, place: str) -> int:
    """The version of the tables; 0 if there are none."""
    from psycopg import errors

    try:
        found = db.execute(sql("SELECT value FROM wf.store WHERE name = 'version'"), binary=True).fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return 0
    except errors.Error as error:
        if isinstance(error, errors.OperationalError | errors.InsufficientPrivilege):
            raise
        raise _not_ours(sql, place) from error
    text = bytes(found[0]) if found is not None else b""
    if not text.isdigit():
        raise _not_ours(sql, place)
    if int(text) > VERSION:
        raise WfStoreError(
            f"schema {sql.schema!r} of {place} is of version {int(text)}, this package knows {VERSION}; upgrade it"
        )
    return int(text)


def _not_ours(sql: Sql, place: str) -> WfStoreError:
    return WfStoreError(f"schema {sql.schema!r} of {place} has a table `store` that is not ours; name another schema")


def _migrate(db: Connection[Any], sql: Sql, version: int, place: str) -> None:
    from psycopg import errors

    lock = int.from_bytes(hashlib.sha256(f"wfstore {sql.schema}".encode()).digest()[:8], "big", signed=True)
    try:
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (lock,))
            if db.execute("SELECT to_regnamespace(%s)", (sql.name,)).fetchone() == (None,):
                db.execute(f"CREATE SCHEMA {sql.name}".encode())
            script = sql.script(_known_version(db, sql))
            if script:
                db.execute(script.encode())
    except errors.InsufficientPrivilege as error:
        raise BackendUnavailableError(
            f"{place} does not let this user make the tables of schema {sql.schema!r} ({str(error).strip()}); run what "
            f"{_command(sql, version)} prints as somebody who may, or grant CREATE"
        ) from error


def _command(sql: Sql, version: int) -> str:
    """What prints the SQL that is missing."""
    there = f" --from-version {version}" if version else ""
    return f"`python -m langgraph_wfstore.backends.postgres --schema {shlex.quote(sql.schema)}{there}`"


def _known_version(db: Connection[Any], sql: Sql) -> int:
    """The version within the migrating transaction: somebody else may have been faster."""
    if db.execute("SELECT to_regclass(%s)", (f"{sql.name}.store",)).fetchone() == (None,):
        return 0
    found = db.execute(sql("SELECT value FROM wf.store WHERE name = 'version'"), binary=True).fetchone()
    return int(bytes(found[0])) if found is not None else 0
