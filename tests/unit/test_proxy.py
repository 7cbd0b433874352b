"""The proxy of the fault tests: it passes bytes on, and misbehaves as it is told."""

import contextlib
import socket
import socketserver
import threading
import time

import pytest

from langgraph_wfstore.testing.proxy import Proxy


class _Echo(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(ConnectionError):
            for line in self.rfile:
                self.server.seen.append(line)
                self.wfile.write(line)


@pytest.fixture
def echo():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        server.seen = []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo):
    with Proxy(*echo.server_address) as proxy:
        yield proxy


def ask(proxy, line, timeout=5):
    with socket.create_connection((proxy.host, proxy.port), timeout=timeout) as connection:
        connection.sendall(line)
        return connection.recv(100)


def test_bytes_are_passed_on(proxy):
    assert ask(proxy, b"hello\n") == b"hello\n"
    assert proxy.accepted == 1


def test_latency_delays_a_request(proxy):
    proxy.latency = 0.1
    start = time.monotonic()
    assert ask(proxy, b"hello\n") == b"hello\n"
    assert time.monotonic() - start >= 0.1


def test_a_black_hole_answers_nothing_and_keeps_the_connection(proxy, echo):
    proxy.black_hole = True
    with pytest.raises(TimeoutError):
        ask(proxy, b"hello\n", timeout=0.2)
    assert echo.seen == []


def test_a_lost_reply_was_applied(proxy, echo):
    proxy.lose_replies(1, containing=b"this")
    assert ask(proxy, b"that\n") == b"that\n"
    with pytest.raises(ConnectionResetError):
        ask(proxy, b"this\n")
    assert ask(proxy, b"this\n") == b"this\n"
    assert (proxy.lost, echo.seen) == (1, [b"that\n", b"this\n", b"this\n"])


def test_open_connections_are_reset(proxy):
    with socket.create_connection((proxy.host, proxy.port), timeout=5) as connection:
        connection.sendall(b"hello\n")
        assert connection.recv(100) == b"hello\n"
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_connections_are_refused(proxy):
    proxy.refuse = True
    with pytest.raises(ConnectionResetError):
        ask(proxy, b"hello\n")
