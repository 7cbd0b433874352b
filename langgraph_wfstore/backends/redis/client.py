"""Clients of Redis, and calls that are applied once or fail within their time."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from ...errors import BackendUnavailableError, WfStoreError
from ..lanes import closed_error
from .tls import refusal
from .url import RedisOptions, RedisPlace

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_ATTEMPTS_OF_A_WAIT = 2  # a client of ours gives up an attempt early enough that another one fits in
# By what the text of an answer has in it; a script puts words of its own around it.
_REFUSALS = {
    "OOM ": "is out of memory; raise maxmemory, or make room. Nothing was written",
    "NOREPLICAS": "has fewer replicas than its min-replicas-to-write asks for. Nothing was written",
    "MISCONF": "cannot save to its disk, and refuses to write. Nothing was written; see the server's log",
    "NOPERM": "does not permit what the store needs; docs/redis.md lists the permissions",
    "NOAUTH": "asks for a password; put it into the URL",
    "WRONGPASS": "refuses the password",
    "CROSSSLOT": "takes keys of one tag for keys of different slots; is there a proxy before it?",
}
_NOTHING = "Nothing was written"
_EARLIER = "An earlier try of this operation may have been applied; look, and repeat it"
_PASSING = ("READONLY", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY ", "UNBLOCKED", "MOVED", "ASK ")


class Script(NamedTuple):
    """A Lua script and the digest that servers know it by."""

    text: bytes
    sha: str


@functools.cache
def script(name: str) -> Script:
    """The script of this name, with what is common to those of a home before it."""
    folder = files("langgraph_wfstore.backends.redis").joinpath("lua")
    text = folder.joinpath(f"{name}.lua").read_bytes()
    if not text.startswith(b"-- Global"):
        text = folder.joinpath("common.lua").read_bytes() + text
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


@functools.cache
def imported() -> Any:
    """The module `redis`.

    Raises:
        WfStoreError: it is not installed.
    """
    try:
        import redis
        import redis.backoff
        import redis.cluster
        import redis.retry
        import redis.sentinel
    except ImportError as error:
        raise WfStoreError(
            "redis:// needs the package redis; install it with: pip install 'langgraph-wfstore[redis]'"
        ) from error
    return redis


def client_for(place: RedisPlace, options: RedisOptions) -> Any:
    """A client of redis-py that never repeats a command by itself."""
    redis = imported()
    share = options.timeout / (8 if place.kind == "cluster" else 4)
    settings: dict[str, Any] = {
        "socket_timeout": share,
        "socket_connect_timeout": share,
        "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    }
    if place.kind == "cluster":
        known = redis.connection.parse_url(place.url)
        known.pop("host", None), known.pop("port", None)
        secure = known.pop("connection_class", None) is redis.connection.SSLConnection
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in place.hosts]
        return redis.RedisCluster(startup_nodes=nodes, ssl=secure, **known, **settings)
    if place.kind == "sentinel":
        known = redis.connection.parse_url(place.url)
        known.pop("host", None), known.pop("port", None)
        sentinel = redis.sentinel.Sentinel(list(place.hosts), sentinel_kwargs=dict(settings), **known, **settings)
        return sentinel.master_for(place.master)
    return redis.Redis.from_url(place.url, **settings)


def _usable(client: Any) -> Any:
    """A client of the caller's own, if it answers commands when they are given."""
    pipelines = imported().client.Pipeline, imported().cluster.ClusterPipeline
    if inspect.iscoroutinefunction(client.execute_command) or isinstance(client, pipelines):
        raise TypeError(
            f"a Redis store takes a synchronous client, redis.Redis or redis.RedisCluster, not {type(client)!r}; its "
            "asynchronous methods need no other"
        )
    return client


class Caller:
    """Calls of scripts and commands on one store.

    Args:
        client: a Redis or RedisCluster of redis-py, or a function that makes one.
        options: timeout, and how many replicas to wait for.
        place: for messages.

    Raises:
        TypeError: the client is asynchronous, or a pipeline.
    """

    def __init__(self, client: Any, options: RedisOptions, place: str, *, owned: bool) -> None:
        self._options = options
        self._place = place
        self._owned = owned
        self._closed = False
        self._reset()
        self._waits = options.wait_replicas > 0 or options.wait_aof
        self._client: Any = self._within(client) if owned else _usable(client)
        self._cluster = isinstance(self._client, imported().RedisCluster)
        if self._client.get_encoder().decode_responses:
            raise WfStoreError("the store keeps bytes: give it a client with decode_responses=False")

    def _reset(self) -> None:
        """Nothing is under way: at the beginning, and in a forked child, which has none of its parent's threads."""
        self._process = os.getpid()
        self._active = 0  # calls that are under way
        self._idle = threading.Condition()

    # ------------------------------------------------------------------ calls

    def script(self, name: str, keys: Sequence[str], *args: Any) -> Any:
        """What a script answers; it must be one that may be sent twice."""
        return self.again(name, keys, lambda _: args)

    def again(self, name: str, keys: Sequence[str], args: Callable[[bool], Sequence[Any]]) -> Any:
        """What a script answers whose arguments say whether an earlier try may have been applied.

        A client of the caller's own may repeat what it sends without saying so: then every try may be a second one.

        Raises:
            BackendUnavailableError: the server cannot be reached in time, or refuses.
        """
        called = script(name)
        tries = 0

        def call() -> Any:
            nonlocal tries
            tries += 1
            given = (len(keys), *keys, *args(tries > 1 or not self._owned))
            if self._waits and name in _WRITING:
                return self._waited(called, keys[0], given)
            try:
                return self._client.execute_command("EVALSHA", called.sha, *given)
            except imported().exceptions.NoScriptError:
                return self._client.execute_command("EVAL", called.text, *given)

        return self._within(call)

    def command(self, *parts: Any) -> Any:
        """What a command answers; it must be one that may be sent twice."""
        return self._within(lambda: self._client.execute_command(*parts))

    def many(self, name: str, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """What a script that only reads answers for each (key, arguments), in few round trips where it can be."""
        if self._cluster or len(calls) < 2:
            return [self.script(name, [key], *args) for key, args in calls]
        called = script(name)

        def call() -> Any:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.execute_command("SCRIPT LOAD", called.text)
                for key, args in calls:
                    pipe.execute_command("EVALSHA", called.sha, 1, key, *args)
                return pipe.execute()[1:]

        found: list[Any] = self._within(call)
        return found

    def node_of(self, key: str) -> Any:
        """The client of the server that holds a key."""
        if not self._cluster:
            return self._client
        return self._client.get_redis_connection(self._client.get_node_from_key(key))

    def on_node(self, key: str, *parts: Any) -> Any:
        """What the server that holds a key answers to a command without a key."""
        return self._within(lambda: self.node_of(key).execute_command(*parts))

    def check_waiting(self, key: str) -> None:
        """Whether the server can do what `wait_aof` asks for; WfStoreError if not."""
        if not self._options.wait_aof:
            return

        def ask() -> None:
            try:
                self.node_of(key).execute_command("WAITAOF", 1, 0, 1)
            except imported().exceptions.ResponseError as error:
                raise WfStoreError(
                    f"{self._place} cannot do what wait_aof=1 asks for ({error}); it needs Redis 7.2 or Valkey 8 with "
                    "appendonly yes"
                ) from error

        self._within(ask)

    def close(self) -> None:
        """Close the client, if it is not the caller's own, once the calls that are under way have ended."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not self._active, self._options.timeout)
        if self._owned:
            self._client.close()

    # ------------------------------------------------------------------ one call

    def _waited(self, called: Script, key: str, given: Sequence[Any]) -> Any:
        """A script and what waits for its effect, on one connection: it is that one's writes that are waited for."""
        options = self._options
        exceptions = imported().exceptions
        milliseconds = max(1, int(options.wait_timeout * 1000))
        answers = []
        for how, what in (("EVALSHA", called.sha), ("EVAL", called.text)):
            with self.node_of(key).pipeline(transaction=False) as pipe:
                pipe.execute_command(how, what, *given)
                if options.wait_aof:
                    pipe.execute_command("WAITAOF", 1, options.wait_replicas, milliseconds)
                else:
                    pipe.execute_command("WAIT", options.wait_replicas, milliseconds)
                answers = pipe.execute(raise_on_error=False)
            if not isinstance(answers[0], exceptions.NoScriptError):
                break
        if isinstance(answers[0], exceptions.MovedError):
            self._client.nodes_manager.initialize()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        local, replicas = answers[1] if options.wait_aof else (1, answers[1])
        if replicas < options.wait_replicas or local < 1:
            raise BackendUnavailableError(
                f"the operation is applied on {self._place}, but acknowledged by {replicas} of "
                f"{options.wait_replicas} replicas"
                + (f" and by {local} local append-only file" if options.wait_aof else "")
                + f" within {options.wait_timeout} s. It may be lost in a failover; look whether it is there"
            )
        return answers[0]

    def _within(self, call: Callable[[], Any]) -> Any:
        """What a call gives; it is repeated while its failure may pass, and there is time."""
        if self._process != os.getpid():
            self._reset()
        with self._idle:
            if self._closed:
                raise closed_error(self._place)
            self._active += 1
        try:
            return self._repeated(call)
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    def _repeated(self, call: Callable[[], Any]) -> Any:
        end = time.monotonic() + self._options.timeout
        pause, again = _FIRST_PAUSE, False
        while True:
            try:
                return call()
            except (imported().exceptions.RedisError, imported().exceptions.RedisClusterException, OSError) as error:
                left = end - time.monotonic()
                if not self._passes(error) or left - pause < self._options.timeout / _ATTEMPTS_OF_A_WAIT:
                    raise self._said(error, again) from error
            time.sleep(pause)
            again = True
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _passes(self, error: Exception) -> bool:
        """Whether trying again may help."""
        exceptions, text = imported().exceptions, str(error)
        if refusal(error) is not None:
            return False
        if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
            return False
        if isinstance(error, exceptions.ResponseError):
            passing = any(word in f"{type(error).__name__} {text}" for word in _PASSING)
            return passing or isinstance(
                error, exceptions.AskError | exceptions.ClusterDownError | exceptions.TryAgainError
            )
        return True

    def _said(self, error: Exception, again: bool) -> Exception:
        """The error of ours that says what happened; `again` where an earlier try may have been applied."""
        exceptions, text = imported().exceptions, f"{error}"
        no_tls = refusal(error)
        if no_tls is not None:
            return BackendUnavailableError(f"the server {self._place} {no_tls}. {_EARLIER if again else _NOTHING}")
        if isinstance(error, exceptions.OutOfMemoryError):
            text = f"OOM {text}"
        for word, what in _REFUSALS.items():
            if word in text:
                return BackendUnavailableError(f"the server {self._place} {what} ({error})")
        if "READONLY" in text or isinstance(error, exceptions.ReadOnlyError):
            return BackendUnavailableError(
                f"the server {self._place} is a read-only replica. Nothing was written; use the master's address, "
                f"redis+sentinel:// or redis+cluster:// ({error})"
            )
        if isinstance(error, exceptions.MovedError | exceptions.AskError) and not self._cluster:
            return BackendUnavailableError(
                f"the server {self._place} belongs to a cluster. Nothing was written; open it by redis+cluster://"
            )
        if isinstance(error, exceptions.ResponseError) and not self._passes(error):
            return BackendUnavailableError(f"the server {self._place} refused: {error}")
        return BackendUnavailableError(
            f"{self._place} did not answer as it should within {self._options.timeout} s "
            f"({type(error).__name__}: {error}). An operation that was on its way may have been applied; look, and "
            "repeat it"
        )


_WRITING = frozenset({"append", "copy", "rewrite", "receive", "leave", "lease", "mark", "setting", "secret", "deleted"})
