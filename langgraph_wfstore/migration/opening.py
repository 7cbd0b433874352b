"""Opening LangGraph's own savers by path or URL: a source without writing to it, a target with its tables."""

from __future__ import annotations

import contextlib
import importlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ..errors import BackendUnavailableError, StoreNotFoundError, WfStoreError

_POSTGRES = ("postgresql://", "postgres://")
_TABLES = {"checkpoints", "writes"}
_OURS = 0x57665374  # the application id of a store's own file


def is_place(source: object) -> bool:
    """Whether it is a path or URL, not a saver."""
    return isinstance(source, str | os.PathLike)


@contextlib.contextmanager
def opened_source(place: str | os.PathLike[str]) -> Iterator[Any]:
    """The saver of an SQLite file or a PostgreSQL database; nothing is written there.

    Args:
        place: path of a file that SqliteSaver or AsyncSqliteSaver wrote, `sqlite:///path`, or `postgresql://...` of
            PostgresSaver or AsyncPostgresSaver.

    Raises:
        StoreNotFoundError: there is no such file, or no such tables.
        BackendUnavailableError: it cannot be opened.
        WfStoreError: it is a file of another kind, or the saver's package is not installed.
    """
    if (url := os.fspath(place)).startswith(_POSTGRES):
        with _postgres(url) as saver:
            _check_tables(saver, url)
            yield saver
        return
    path = _path(url)
    if not os.path.isfile(path):
        what = "it is a folder, not a file" if os.path.isdir(path) else "there is no such file"
        raise StoreNotFoundError(f"cannot read {path}: {what}; check the path of the source")
    saver_class = _class("sqlite", "SqliteSaver")
    with contextlib.closing(_connected(path, "ro")) as connection:
        columns = _columns(connection, path)
        saver = saver_class(connection)
        saver.is_setup = True  # its set-up would write
        saver._has_task_path = "task_path" in columns
        yield saver


@contextlib.contextmanager
def opened_target(place: str | os.PathLike[str]) -> Iterator[Any]:
    """The saver of an SQLite file or a PostgreSQL database, ready to be put into.

    Raises:
        as for `opened_source`.
    """
    if (url := os.fspath(place)).startswith(_POSTGRES):
        with _postgres(url) as saver:
            saver.setup()
            yield saver
        return
    path = _path(url)
    saver_class = _class("sqlite", "SqliteSaver")
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.path.isdir(folder):
        what = "it is a folder; name a file in it" if os.path.isdir(path) else f"there is no folder {folder}; create it"
        raise BackendUnavailableError(f"cannot open {path}: {what}, or check the path of the target")
    with contextlib.closing(_connected(path, "rwc")) as connection:
        found = _tables(connection, path)
        if found and not found & _TABLES:  # a set-up that was killed has left only one of them
            raise _no_saver(path, found)
        yield saver_class(connection)


def _path(url: str) -> str:
    path = unquote(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else url
    if "://" in path or path in ("", ":memory:"):
        raise WfStoreError(
            f"{url!r} names no checkpointer; give the path of an SQLite file, or postgresql://user@host/database. From "
            "Python any BaseCheckpointSaver can be given"
        )
    return path


def _class(package: str, name: str) -> Any:
    try:
        return getattr(importlib.import_module(f"langgraph.checkpoint.{package}"), name)
    except ImportError as error:
        raise WfStoreError(
            f"{name} needs packages that are not installed ({error}); pip install 'langgraph-wfstore[migrate]'"
        ) from error


def _connected(path: str, mode: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode={mode}", uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise BackendUnavailableError(f"cannot open {path}: {error}; check the path and its permissions") from error


def _tables(connection: sqlite3.Connection, path: str) -> set[str]:
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] == _OURS:
            raise WfStoreError(f"{path} is a store, not a file of SqliteSaver; nothing was written")
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            raise WfStoreError(
                f"{path} is no SQLite file; nothing was written. Check the path; an artifact (.wfz) is brought into a "
                "store by wfstore import"
            ) from error
        raise BackendUnavailableError(
            f"cannot read {path}: {error}. If its folder is read-only, copy the file with its -wal and -shm elsewhere"
        ) from error


def _columns(connection: sqlite3.Connection, path: str) -> set[str]:
    """The columns of the table of writes."""
    if not (found := _tables(connection, path)) >= _TABLES:
        raise _no_saver(path, found)
    return {row[1] for row in connection.execute("PRAGMA table_info(writes)")}


def _no_saver(path: str, found: set[str]) -> WfStoreError:
    kind = StoreNotFoundError if found <= _TABLES else WfStoreError
    return kind(
        f"{path} is no file of SqliteSaver: it has the tables {sorted(found)}, not {sorted(_TABLES)}; nothing was "
        "written. Check the path"
    )


@contextlib.contextmanager
def _postgres(url: str) -> Iterator[Any]:
    saver_class = _class("postgres", "PostgresSaver")
    import psycopg

    with contextlib.ExitStack() as stack:
        try:
            saver = stack.enter_context(saver_class.from_conn_string(url))
        except psycopg.Error as error:
            raise BackendUnavailableError(f"cannot connect to the PostgreSQL server: {error}; check the URL") from error
        yield saver


def _check_tables(saver: Any, url: str) -> None:
    found = saver.conn.execute(
        "SELECT count(*) AS found FROM information_schema.columns WHERE (table_name, column_name) IN "
        "(('checkpoints', 'parent_checkpoint_id'), ('checkpoint_blobs', 'version'), ('checkpoint_writes', 'task_path'))"
        " AND table_schema = ANY (current_schemas(false))"
    ).fetchone()
    if found["found"] != 3:
        place = url.rpartition("@")[2]
        raise StoreNotFoundError(
            f"{place} holds no tables of the installed PostgresSaver's version; check database and search_path, or "
            "run PostgresSaver.setup() on it once, which brings old tables up to date"
        )
