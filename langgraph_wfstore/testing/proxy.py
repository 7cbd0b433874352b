"""A TCP proxy between a client and a server that can be told to misbehave, whatever the protocol."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from types import TracebackType

_CHUNK = 1 << 16
_POLL = 0.02


class Proxy:
    """Passes bytes on between clients and one server, until it is told otherwise.

    It listens on loopback at a free port, in threads of its own; use it as a context manager, or call `close`.

    Attributes:
        host, port: where clients connect to.
        latency: seconds that each chunk waits before it is passed on to the server.
        black_hole: bytes are taken from clients and never passed on; connections stay open.
        refuse: new connections are reset at once.
        accepted: how many connections there were.
        lost: how many replies were lost by `lose_replies`.
        held: how many connections have a request that the black hole keeps.

    Args:
        host, port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._lock = threading.Lock()
        self._pairs: list[_Pair] = []
        self._losing = 0
        self._needle = self._instead = b""
        self._closed = False
        self.latency = 0.0
        self.black_hole = False
        self.refuse = False
        self.accepted = 0
        self.lost = 0
        self.held = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(_POLL)
        self.host, self.port = self._listener.getsockname()[:2]
        self._acceptor = threading.Thread(target=self._accept, name="proxy-accept", daemon=True)
        self._acceptor.start()

    def retarget(self, host: str, port: int) -> None:
        """Send new connections to another server."""
        self._server = (host, port)

    def reset(self) -> int:
        """Reset every open connection, as a server that died does; how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.kill()
        return len(pairs)

    def lose_replies(self, times: int = 1, containing: bytes = b"", instead: bytes = b"") -> None:
        """Pass on the next requests that contain these bytes, wait for their replies, drop them and reset.

        Args:
            times: how many requests.
            containing: bytes that a request has somewhere in it; empty for any request.
            instead: what the client is sent before its connection ends, as by a proxy that pools connections.
        """
        with self._lock:
            self._losing, self._needle, self._instead = times, containing, instead

    def close(self) -> None:
        """Stop listening and reset what is open. Safe to call twice."""
        self._closed = True
        self.reset()
        self._acceptor.join(5)
        self._listener.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.accepted += 1
            if self.refuse:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._server, timeout=5)
            except OSError:
                _reset(client)
                continue
            pair = _Pair(self, client, server)
            with self._lock:
                self._pairs.append(pair)
            pair.start()

    def _takes(self, request: bytes) -> bool:
        """Whether the reply to this request is to be lost."""
        with self._lock:
            if self._losing and self._needle in request:
                self._losing -= 1
                return True
            return False

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        with self._lock:
            self.held += 1
        try:
            yield
        finally:
            with self._lock:
                self.held -= 1

    def _forget(self, pair: _Pair) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._pairs.remove(pair)


class _Pair:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._losing = threading.Event()
        self._dead = threading.Event()
        for one in (client, server):
            one.settimeout(None)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for name, work in (("up", self._up), ("down", self._down)):
            threading.Thread(target=work, name=f"proxy-{name}", daemon=True).start()

    def kill(self) -> None:
        self._dead.set()
        _reset(self._client)
        _reset(self._server)
        self._proxy._forget(self)

    def _up(self) -> None:
        proxy, tail = self._proxy, b""
        with contextlib.suppress(OSError):
            while chunk := self._client.recv(_CHUNK):
                if proxy.latency:
                    time.sleep(proxy.latency)
                with proxy._holding():
                    while proxy.black_hole and not self._dead.is_set():
                        time.sleep(_POLL)
                seen, tail = tail + chunk, chunk[-256:]  # what is looked for may lie across two chunks
                if not self._losing.is_set() and proxy._takes(seen):
                    self._losing.set()
                self._server.sendall(chunk)
        self.kill()

    def _down(self) -> None:
        proxy = self._proxy
        with contextlib.suppress(OSError):
            while chunk := self._server.recv(_CHUNK):
                while proxy.black_hole and not self._dead.is_set():
                    time.sleep(_POLL)
                if self._losing.is_set():  # the server has answered, so it has applied it
                    proxy.lost += 1
                    if proxy._instead:
                        self._client.sendall(proxy._instead)
                        self._client.shutdown(socket.SHUT_WR)
                        self._dead.wait(5)  # a reset would take it back
                    break
                self._client.sendall(chunk)
        self.kill()


def _reset(one: socket.socket) -> None:
    """Close it so that the other side sees a reset, not an orderly end."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RD)  # wakes whoever of ours reads from it, and tells the other side nothing
    one.close()
