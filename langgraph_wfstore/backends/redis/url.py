"""What a Redis URL says: where the servers are, and the options that are ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from ...errors import WfStoreError
from .tls import FILES, check_files

SCHEMES = ("redis://", "rediss://", "unix://", "redis+cluster://", "rediss+cluster://", "redis+sentinel://")
_PASSED_ON = frozenset(
    {"protocol", "client_name", "max_connections", "health_check_interval", "username", "password", "db"}
    | {*FILES, "ssl_cert_reqs", "ssl_check_hostname", "ssl_password"}
)


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How a store uses its server.

    Attributes:
        prefix: what every key starts with; stores with different prefixes do not see each other.
        timeout: seconds within which every operation succeeds or fails.
        ttl: seconds after its last write when a thread expires, with everything that shares its content; 0 for never.
        refresh_on_read: whether reading a thread counts as writing for `ttl`.
        wait_replicas: how many replicas must have an append before it is acknowledged.
        wait_timeout: seconds to wait for them.
        wait_aof: wait until the server, and so many replicas as `wait_replicas`, have it in the append-only file.
    """

    prefix: str = "wfstore"
    timeout: float = 10.0
    ttl: float = 0.0
    refresh_on_read: bool = False
    wait_replicas: int = 0
    wait_timeout: float = 1.0
    wait_aof: bool = False

    def __post_init__(self) -> None:
        if not self.prefix or any(c in self.prefix for c in "{}\0"):
            raise WfStoreError(f"the key prefix {self.prefix!r} is empty or has braces; take another one")
        if self.timeout <= 0 or self.timeout > 300:
            raise WfStoreError(f"timeout={self.timeout!r} is not between 0 and 300 seconds")
        if self.ttl < 0 or self.wait_replicas < 0 or self.wait_timeout <= 0:
            raise WfStoreError("ttl and wait_replicas must not be negative, and wait_timeout must be positive")


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where a store is.

    Attributes:
        kind: "single", "cluster" or "sentinel".
        url: for redis-py; of a cluster or of Sentinels that of the first host.
        hosts: all hosts that the URL names.
        master: the name that Sentinels know the master by.
        shown: the URL without its password, for messages.
    """

    kind: str
    url: str
    hosts: tuple[tuple[str, int], ...]
    master: str
    shown: str


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


_READ: dict[str, Callable[[str], Any]] = {
    "prefix": str,
    "timeout": float,
    "ttl": float,
    "refresh_on_read": _flag,
    "wait_replicas": int,
    "wait_timeout": float,
    "wait_aof": _flag,
}
OPTIONS = tuple(each.name for each in fields(RedisOptions))


def parse_url(url: str) -> tuple[RedisPlace, RedisOptions]:
    """The servers and the options that a URL names.

    Args:
        url: redis://, rediss:// (TLS), unix://, redis+cluster:// or rediss+cluster:// (several hosts separated by
            commas), or redis+sentinel://host1,host2/master-name.

    Raises:
        WfStoreError: it is of another kind, or has an option that nobody knows, or one with a wrong value, or names a
            file that is not there.
    """
    parts = urlsplit(url)
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    passed: list[tuple[str, str]] = []
    ours: dict[str, Any] = {}
    master = ""
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name == "master" and parts.scheme == "redis+sentinel":
            master = text
        elif name in _READ:
            try:
                ours[name] = _READ[name](text)
            except ValueError as error:
                raise WfStoreError(f"{shown}: option {name}={text!r} cannot be read ({error})") from None
        elif name in _PASSED_ON:
            passed.append((name, text))
        else:
            raise WfStoreError(f"{shown}: there is no option {name!r}; known are {', '.join((*OPTIONS, *_PASSED_ON))}")
    _check_tls(shown, parts.scheme, passed)
    kind = {"cluster": "cluster", "sentinel": "sentinel"}.get(parts.scheme.partition("+")[2], "single")
    user, at, netloc = parts.netloc.rpartition("@")
    hosts = tuple(_host(each, 26379 if kind == "sentinel" else 6379) for each in netloc.split(",") if each)
    path = parts.path
    if kind != "single":
        if not hosts:
            raise WfStoreError(f"{shown} names no host")
        host, port = hosts[0]
        netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if kind == "sentinel":
        name, _, database = path.strip("/").partition("/")
        master, path = master or unquote(name), f"/{database}" if database else ""
        if not master:
            raise WfStoreError(f"{shown} names no master; write redis+sentinel://host:26379/name-of-the-master")
    scheme = parts.scheme.partition("+")[0]
    clean = urlunsplit((scheme, user + at + netloc, path, urlencode(passed), ""))
    return RedisPlace(kind, clean, hosts, master, shown), RedisOptions(**ours)


def _check_tls(shown: str, scheme: str, passed: list[tuple[str, str]]) -> None:
    for name, _ in passed:
        if name.startswith("ssl_") and not scheme.startswith("rediss"):
            raise WfStoreError(
                f"{shown}: {name} is for TLS, which is rediss:// or rediss+cluster://; Sentinels with TLS are given as "
                "a client of redis-py"
            )
    check_files(shown, passed)


def _host(text: str, port: int) -> tuple[str, int]:
    """The host and the port; an IPv6 address stands in brackets."""
    name, found, number = text.rpartition(":")
    if not found or text.endswith("]"):
        return text.strip("[]"), port
    if not number.isdigit():
        raise WfStoreError(f"{text!r} is no host and port")
    return name.strip("[]"), int(number)
