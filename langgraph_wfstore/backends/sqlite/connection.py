"""Connections to one SQLite file: creating and checking it, one writer, a few readers, errors in our words."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import BackendUnavailableError, IntegrityError, StoreNotFoundError, WfStoreError

APPLICATION_ID = 0x57665374  # "WfSt"
LAYOUT_VERSION = 1
_READERS = 4


class Connections:
    """The connections of one process to one file.

    Args:
        path: the file.
        schema: the script that makes an empty file ours.
        synchronous: "full" or "normal".
        read_only: never write, not even to create.
        timeout: seconds to wait for another process's lock.
    """

    def __init__(self, path: str, schema: str, synchronous: str, read_only: bool, timeout: float) -> None:
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous is 'full' or 'normal', not {synchronous!r}")
        self.path = path
        self.read_only = read_only
        self._schema = schema
        self._synchronous = synchronous.upper()
        self._timeout = timeout
        self._reset()
        _check_path(path, read_only)
        _all.add(self)
        with translated(path):
            self._make_ours()
        self._file = _identity(path)

    def _reset(self) -> None:
        """Start without connections: at the beginning, and in a forked child, which must not touch its parent's."""
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        self._lazy = False
        self._idle: list[sqlite3.Connection] = []
        self._slots = threading.BoundedSemaphore(_READERS)

    @contextlib.contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; every statement sees the latest commit."""
        with self._slots:
            self._check_open()
            with translated(self.path):
                db = self._idle.pop() if self._idle else self._connect(writing=False)
                try:
                    yield db
                finally:
                    if self._closed:
                        db.close()
                    else:
                        self._idle.append(db)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection whose statements all see the same state."""
        with self.reader() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("ROLLBACK")

    def pause(self) -> None:
        """Wait for those who read, and close every connection; the caller holds the write queue's lock."""
        for _ in range(_READERS):
            self._slots.acquire()
        while self._idle:
            self._idle.pop().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def resume(self) -> None:
        """Let others go on; connections are opened again when they are needed."""
        for _ in range(_READERS):
            self._slots.release()

    def writer(self, *, lazy: bool = False) -> sqlite3.Connection:
        """The connection to write with; its user holds the write queue's lock.

        Args:
            lazy: what is written now need not survive a power cut before what is written later does.
        """
        self._check_open()
        if self.read_only:
            raise BackendUnavailableError(
                f"cannot write to {self.path}: the store was opened with read_only=True; open it without"
            )
        if self._writer is None:
            self._writer = self._connect(writing=True)
            self._lazy = False
        if lazy != self._lazy and self._synchronous == "FULL":
            self._writer.execute("PRAGMA synchronous = NORMAL" if lazy else "PRAGMA synchronous = FULL")
            self._lazy = lazy
        return self._writer

    def close(self) -> None:
        """Close every connection that is not in use; those in use close when they are returned."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        if self._writer is not None:
            with contextlib.suppress(sqlite3.Error):  # another process may be reading; it folds the log in later
                self._writer.execute("PRAGMA busy_timeout = 0")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()
            self._writer = None

    def has_open(self, path: str | os.PathLike[str]) -> bool:
        """Whether these are connections to that file."""
        try:
            return not self._closed and os.path.samefile(self.path, path)
        except (OSError, ValueError):  # one of them is not there, or can be no path
            return False

    def _check_open(self) -> None:
        """Refuse a store that is closed, or whose file is gone: what is written to that ends with this process."""
        if self._closed:
            raise BackendUnavailableError(f"the store {self.path} is closed; open it again")
        if _identity(self.path) != self._file:
            raise BackendUnavailableError(
                f"the file {self.path} was deleted or replaced while the store was open; nothing was read or written. "
                "Put it back, or close the store and open it again"
            )

    def _connect(self, *, writing: bool) -> sqlite3.Connection:
        mode = "ro" if self.read_only else "rwc" if writing else "rw"
        uri = Path(self.path).as_uri() + f"?mode={mode}"
        db = sqlite3.connect(
            uri, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.execute("PRAGMA cache_size = -16000")
        if not writing:
            db.execute("PRAGMA query_only = ON")
        return db

    def _make_ours(self) -> None:
        db = self._connect(writing=True)
        keep = False
        try:
            if self._is_empty(db):
                if self.read_only:
                    raise StoreNotFoundError(
                        f"{self.path} is empty and read_only=True; open it once without read_only to create the store"
                    )
                self._create(db)
            self._check_version(db)
            keep = not self.read_only
        finally:
            if keep:
                self._writer = db
            else:
                db.close()

    @staticmethod
    def _is_empty(db: sqlite3.Connection) -> bool:
        return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] and not _pragma(db, "application_id")

    def _create(self, db: sqlite3.Connection) -> None:
        """Create the tables; any number of processes may do so at once."""
        _patiently(lambda: db.execute("PRAGMA journal_mode = WAL").fetchone(), self._timeout)
        _patiently(lambda: db.execute("BEGIN IMMEDIATE"), self._timeout)
        try:
            if self._is_empty(db):
                for statement in _statements(self._schema):
                    db.execute(statement)
                db.execute("INSERT INTO store VALUES ('secret', ?)", (secrets.token_bytes(32),))
                db.execute("INSERT INTO store VALUES ('created', ?)", (str(time.time_ns()),))
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {LAYOUT_VERSION}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _check_version(self, db: sqlite3.Connection) -> None:
        owner, version = _pragma(db, "application_id"), _pragma(db, "user_version")
        if owner != APPLICATION_ID:
            raise WfStoreError(
                f"{self.path} is an SQLite file of another program (application id {owner:#x}, ours is "
                f"{APPLICATION_ID:#x}); nothing was changed. Give a path of its own to the store"
            )
        if version != LAYOUT_VERSION:
            raise WfStoreError(
                f"{self.path} has layout version {version}, this langgraph_wfstore reads version {LAYOUT_VERSION}; "
                "nothing was changed. Open it with a release that knows that version"
            )


def is_open_here(path: str | os.PathLike[str]) -> bool:
    """Whether a store of this process has a file open.

    Nothing but SQLite may open such a file: a process that closes any descriptor of it gives up all the locks that it
    holds on it (fcntl in POSIX), and with them what tells other processes that its log is still in use.
    """
    return any(each.has_open(path) for each in list(_all))


_all: weakref.WeakSet[Connections] = weakref.WeakSet()


def _identity(path: str) -> tuple[int, int] | None:
    """Which file a path leads to; None: to none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_path(path: str, read_only: bool) -> None:
    """Say what is wrong with a path where SQLite would only say that it cannot open it."""
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        raise BackendUnavailableError(
            f"{path} is a folder; name a file in it, such as {os.path.join(path, 'agent.db')}"
        )
    if not os.path.isdir(folder):
        raise BackendUnavailableError(f"cannot open {path}: there is no folder {folder}; create it, or check the path")
    if os.path.exists(path) and not os.path.isfile(path):  # a FIFO, say, which would be waited for
        raise WfStoreError(f"{path} is no regular file, so it can be no store; nothing was changed. Give another path")
    if read_only and not os.path.exists(path):
        raise StoreNotFoundError(
            f"cannot open {path}: it does not exist, and read_only=True never creates a store; check the path"
        )


def _is_archive(path: str) -> bool:
    """Whether what is no database is an archive. Not to be asked of a file that may be one, see `is_open_here`."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\3\4"
    except OSError:  # not there yet, or not to be read: SQLite says what is wrong
        return False


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [s for s in "\n".join(lines).split(";") if s.strip()]


def _patiently(work: Callable[[], object], timeout: float) -> None:
    """Retry while another process holds the file: changing the journal mode does not wait by itself."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.02))


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what sqlite3 raises into an error that says what was found and what to do."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        raise translation(path, error) from error


def translation(path: str, error: Exception) -> Exception:
    """The error in our words, if it is one of sqlite3's; else itself."""
    if isinstance(error, OverflowError):
        return IntegrityError(f"{path} holds a number that cannot be ({error}); restore it from a backup")
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB and _is_archive(path):
        return WfStoreError(
            f"{path} is a ZIP archive, not a store; nothing was changed. If it is an artifact, a thread as one file: "
            "wfstore verify FILE verifies it, wfstore import FILE STORE brings it into a store"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return IntegrityError(
            f"{path} is not a sound SQLite file ({error}); nothing was written. If it was one, restore it from a "
            "backup, or try `sqlite3 FILE .recover`; else check the path"
        )
    advice = _ADVICE.get(code, "see the SQLite error for the cause")
    return BackendUnavailableError(f"{path}: {error}; nothing of this operation was written. {advice}")


_ADVICE = {
    sqlite3.SQLITE_BUSY: "Another process has held the write lock for longer than the timeout; see which one",
    sqlite3.SQLITE_FULL: "The disk is full; free space and repeat the operation, what was acknowledged is safe",
    sqlite3.SQLITE_IOERR: "The operating system refused to read or write; check disk, quota and file size limit",
    sqlite3.SQLITE_READONLY: "The file or its folder is read-only; make both writable, or open with read_only=True",
    sqlite3.SQLITE_CANTOPEN: "Check that the folder exists and that the process may write to it",
    sqlite3.SQLITE_PERM: "Check the permissions of the file and its folder",
}
