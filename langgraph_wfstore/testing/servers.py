"""What every kind of server of the tests needs: a port, and an error where there is no server."""

from __future__ import annotations

import socket

_HIGHEST = 55000  # a Redis cluster's bus is 10,000 above its port


class ServerNotFoundError(RuntimeError):
    """There is no such server on this machine; the message says how to get one."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        if port <= _HIGHEST:
            return port
