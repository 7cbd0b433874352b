"""What Redis and the network do to a store: what was acknowledged is there, and was applied once.

Each test injects faults while something writes, and counts them. Nothing that was acknowledged may be lost.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import children
import pytest
import redis

from langgraph_wfstore import BackendUnavailableError, WfStoreError, WfStoreSaver
from langgraph_wfstore.backends.base import Stale
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.testing.proxy import Proxy
from langgraph_wfstore.testing.redis_server import RedisCluster, RedisServer

ENGINES = ("redis", "valkey")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(engine: str) -> Iterator[RedisServer]:
    with RedisServer(engine) as server:
        yield server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy


def through(proxy: Proxy, **options: Any) -> WfStoreSaver:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return WfStoreSaver(f"redis://127.0.0.1:{proxy.port}?{query}")


def put(saver: WfStoreSaver, thread_id: str, number: int, config: Any = None) -> Any:
    values = {"number": number, "text": f"{number} " + "x" * 1500, "list": [f"element {i} " * 9 for i in range(number)]}
    checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
    config = config or config_of(thread_id)
    return saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])


def numbers(saver: WfStoreSaver, thread_id: str) -> list[int]:
    """Of the checkpoints that are there, newest first."""
    return [found.checkpoint["channel_values"]["number"] for found in saver.list(config_of(thread_id))]


@dataclass
class Writer:
    """Writes to threads of its own until it is told to stop, and notes what was acknowledged."""

    saver: WfStoreSaver
    names: list[str]
    acknowledged: dict[str, list[int]] = field(default_factory=dict)
    failed: int = 0
    wrong: list[Exception] = field(default_factory=list)

    def __enter__(self) -> Writer:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in self.names]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a writer hangs"
        if self.wrong:
            raise self.wrong[0]

    def until(self, count: int, seconds: float = 30) -> None:
        """Wait for so many more acknowledged operations."""
        wanted, end = self.total + count, time.monotonic() + seconds
        while self.total < wanted and time.monotonic() < end and not self.wrong:
            time.sleep(0.01)
        assert self.total >= wanted or self.wrong, "the writers make no progress"

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def _write(self, name: str) -> None:
        done = self.acknowledged.setdefault(name, [])
        config, number = None, 0
        while not self._stop.is_set():
            try:
                config = put(self.saver, name, number, config)
                done.append(number)
            except BackendUnavailableError:
                self.failed += 1  # it may have been applied: go on from what is there
                config = self._newest(name)
            except Exception as error:  # noqa: BLE001 - the test raises it
                self.wrong.append(error)
                return
            number += 1

    def _newest(self, name: str) -> Any:
        while not self._stop.is_set():
            try:
                found = self.saver.get_tuple(config_of(name))
                return None if found is None else found.config
            except BackendUnavailableError:
                time.sleep(0.02)
        return None


def assert_nothing_lost(writer: Writer, saver: WfStoreSaver) -> None:
    for name, acknowledged in writer.acknowledged.items():
        there = numbers(saver, name)
        assert not set(acknowledged) - set(there), f"{name} lost what was acknowledged"
        assert len(there) == len(set(there)), f"{name} has something twice"
        assert_sound(saver, name)


# ------------------------------------------------------------------ replies


@pytest.mark.parametrize(
    "operation",
    ["put", "first put", "copy", "delete", "redact", "setting", "claim"],
)
def test_an_operation_whose_reply_is_lost_is_applied_once(proxy: Proxy, operation: str) -> None:
    with through(proxy, timeout=4) as saver:
        backend: Any = saver.store.backend
        config = put(saver, "t", 0)
        saver.store.copy_thread("t", "warm")  # so that the server knows the scripts, and each is sent once
        for warm in ("warm", "t"):
            saver.store.thread(warm).redact(channels=["nothing"])
        work: dict[str, tuple[str, Callable[[], Any]]] = {
            "put": ("append", lambda: put(saver, "t", 1, config)),
            "first put": ("append", lambda: put(saver, "new", 1)),
            "copy": ("copy", lambda: saver.store.copy_thread("t", "copy")),
            "delete": ("rewrite", lambda: saver.store.delete_thread("warm")),
            "redact": ("rewrite", lambda: saver.store.thread("t").redact(channels=["text"])),
            "setting": ("setting", lambda: backend.set_setting("a", b"b", None)),
            "claim": ("lease", lambda: backend.claim(b"t", b"me", 10**12)),
        }
        script, act = work[operation]
        _load(backend, script)
        proxy.lose_replies(1, containing=_sha(script))
        act()
        assert proxy.lost == 1
        assert numbers(saver, "t") == ([1, 0] if operation == "put" else [0])
        assert {info.thread_id for info in saver.store.threads()} == {
            "put": {"t", "warm"},
            "first put": {"t", "warm", "new"},
            "copy": {"t", "warm", "copy"},
            "delete": {"t"},
        }.get(operation, {"t", "warm"})
        if operation == "setting":
            assert backend.setting("a") == b"b"
        if operation == "claim":
            assert backend.lease(b"t").token == 1
        assert_sound(saver, *(info.thread_id for info in saver.store.threads()))


def _sha(name: str) -> bytes:
    from langgraph_wfstore.backends.redis.client import script

    return script(name).sha.encode()


def _load(backend: Any, name: str) -> None:
    from langgraph_wfstore.backends.redis.client import script

    backend._caller.command("SCRIPT LOAD", script(name).text)


def test_many_lost_replies_while_several_threads_write(proxy: Proxy) -> None:
    with through(proxy, timeout=4) as saver:
        with Writer(saver, [f"t{i}" for i in range(4)]) as writer:
            for _ in range(15):
                writer.until(8)
                proxy.lose_replies(1, containing=_sha("append"))
            writer.until(20)
        assert proxy.lost >= 10
        assert writer.failed == 0
        assert_nothing_lost(writer, saver)


# ------------------------------------------------------------------ the network


def test_a_black_hole_ends_an_operation_in_its_time(proxy: Proxy) -> None:
    with through(proxy, timeout=1) as saver:
        config = put(saver, "t", 0)
        proxy.black_hole = True
        start = time.monotonic()
        for work in (lambda: put(saver, "t", 1, config), lambda: saver.get_tuple(config_of("t"))):
            with pytest.raises(BackendUnavailableError, match="did not answer"):
                work()
        assert time.monotonic() - start < 2 * 1.5
        proxy.black_hole = False
        proxy.reset()
        put(saver, "t", 2, config)
        assert set(numbers(saver, "t")) in ({2, 0}, {2, 1, 0})
        assert_sound(saver, "t")


def test_a_server_that_is_gone_is_said_to_be_so_in_time(proxy: Proxy, server: RedisServer) -> None:
    with through(proxy, timeout=1) as saver:
        put(saver, "t", 0)
        server.kill()
        proxy.reset()
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError):
            put(saver, "t", 1)
        assert time.monotonic() - start < 1.5


def test_resets_while_several_threads_write(proxy: Proxy) -> None:
    with through(proxy, timeout=4) as saver:
        with Writer(saver, [f"t{i}" for i in range(4)]) as writer:
            injected = 0
            for _ in range(15):
                writer.until(8)
                injected += proxy.reset()
            writer.until(20)
        assert injected >= 15
        assert_nothing_lost(writer, saver)


def test_many_threads_wait_for_a_slow_network_together(proxy: Proxy) -> None:
    names = [f"t{i}" for i in range(50)]
    with through(proxy, timeout=10) as saver:
        for name in names:
            put(saver, name, 0)

        def timed(work: Callable[[], object]) -> float:
            start = time.monotonic()
            work()
            return time.monotonic() - start

        def together(number: int) -> None:
            workers = [threading.Thread(target=put, args=(saver, name, number)) for name in names]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(30)

        together(1)  # each of them has a connection from now on
        proxy.latency = 0.1
        alone = timed(lambda: put(saver, names[0], 2))
        assert alone >= 0.1
        assert timed(lambda: together(3)) < alone * len(names) / 5
        proxy.latency = 0.0
        assert [len(numbers(saver, name)) for name in names] == [4] + [3] * 49


# ------------------------------------------------------------------ the server


def test_connections_that_the_server_ends(server: RedisServer) -> None:
    with WfStoreSaver(f"{server.url}?timeout=4") as saver, server.client() as other:
        with Writer(saver, [f"t{i}" for i in range(4)]) as writer:
            injected = 0
            for _ in range(15):
                writer.until(8)
                injected += int(other.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes"))
            writer.until(20)
        assert injected >= 15
        assert_nothing_lost(writer, saver)


def test_a_server_that_is_killed_and_started_again_has_what_was_acknowledged(engine: str) -> None:
    settings = (("appendonly", "yes"), ("appendfsync", "always"))
    with RedisServer(engine, *settings) as server, WfStoreSaver(f"{server.url}?timeout=6") as saver:
        with Writer(saver, [f"t{i}" for i in range(4)]) as writer:
            for _ in range(6):
                writer.until(12)
                server.kill()
                server.start()
            writer.until(20)
        assert_nothing_lost(writer, saver)


def test_a_server_out_of_memory_refuses_and_keeps_all(server: RedisServer) -> None:
    with WfStoreSaver(f"{server.url}?timeout=2") as saver, server.client() as other:
        config = put(saver, "t", 0)
        other.config_set("maxmemory", 1)
        refused: list[Callable[[], Any]] = [
            lambda: put(saver, "t", 1, config),
            lambda: put(saver, "new", 1),
            lambda: saver.store.copy_thread("t", "copy"),
            lambda: saver.store.delete_thread("t"),
            lambda: saver.store.thread("t").redact(channels=["text"]),
        ]
        for work in refused:
            with pytest.raises(BackendUnavailableError, match="out of memory"):
                work()
        assert numbers(saver, "t") == [0]
        other.config_set("maxmemory", 0)
        put(saver, "t", 2, config)
        put(saver, "new", 2)
        assert numbers(saver, "t") == [2, 0]
        assert_sound(saver, "t", "new")


def test_too_few_replicas_refuse(server: RedisServer) -> None:
    with WfStoreSaver(f"{server.url}?timeout=2") as saver, server.client() as other:
        config = put(saver, "t", 0)
        other.config_set("min-replicas-to-write", 1)
        with pytest.raises(BackendUnavailableError, match="min-replicas-to-write"):
            put(saver, "t", 1, config)
        other.config_set("min-replicas-to-write", 0)
        put(saver, "t", 2, config)
        assert numbers(saver, "t") == [2, 0]
        assert_sound(saver, "t")


@pytest.fixture
def replica(engine: str, server: RedisServer) -> Iterator[RedisServer]:
    with RedisServer(engine, ("replicaof", "127.0.0.1", str(server.port))) as replica:
        with replica.client() as client:
            _until(lambda: client.info("replication")["master_link_status"] == "up")
        yield replica


def _until(good: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError, WfStoreError):
            if good():
                return
        time.sleep(0.05)
    raise AssertionError(f"it did not come to be within {seconds} s")


def test_a_replica_reads_and_does_not_write(server: RedisServer, replica: RedisServer) -> None:
    with WfStoreSaver(server.url) as saver:
        config = put(saver, "t", 0)
        with server.client() as client:
            assert client.wait(1, 5000) == 1
        with WfStoreSaver(f"{replica.url}?timeout=1") as other:
            assert numbers(other, "t") == [0]
            with pytest.raises(BackendUnavailableError, match="read-only replica"):
                put(other, "t", 1, config)
        assert numbers(saver, "t") == [0]


def test_an_append_waits_for_replicas(server: RedisServer, replica: RedisServer) -> None:
    with WfStoreSaver(f"{server.url}?wait_replicas=1&wait_timeout=2") as saver:
        config = put(saver, "t", 0)
        with WfStoreSaver(f"{replica.url}") as other:
            assert numbers(other, "t") == [0]
        replica.kill()
        with server.client() as client:
            _until(lambda: client.info("replication")["connected_slaves"] == 0)
        with pytest.raises(BackendUnavailableError, match=r"applied .* acknowledged by 0 of 1 replicas"):
            put(saver, "t", 1, config)


def test_the_append_only_file_is_waited_for_where_the_server_can(engine: str) -> None:
    with RedisServer(engine, ("appendonly", "yes"), ("appendfsync", "everysec")) as server:
        url = f"{server.url}?wait_aof=1&wait_timeout=5"
        if b"unknown command" in server.command("WAITAOF", "0", "0", "1"):  # from before Redis 7.2, as the wheel's is
            with pytest.raises(WfStoreError, match="wait_aof=1"):
                WfStoreSaver(url)
            return
        with WfStoreSaver(url) as saver:
            config = put(saver, "t", 0)
            config = put(saver, "t", 1, config)
            server.kill()
            server.start()
            assert numbers(saver, "t") == [1, 0]


def test_what_was_redacted_is_in_no_file_of_the_server(engine: str, tmp_path: Any) -> None:
    folder = str(tmp_path)
    with RedisServer(engine, ("appendonly", "yes"), ("dir", folder)) as server, WfStoreSaver(server.url) as saver:
        secret = uuid.uuid4().hex  # too short to be packed: it stands in the files as it is
        checkpoint = checkpoint_of({"text": secret}, {"text": 1})
        saver.put(config_of("t"), checkpoint, metadata_of(), {"text": 1})
        with server.client() as client:
            client.bgsave()
            _until(lambda: client.info("persistence")["rdb_bgsave_in_progress"] == 0)

        def holds() -> bool:
            return any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

        _until(holds)
        saver.store.thread("t").redact(channels=["text"])
        assert not holds()
        assert_sound(saver, "t")


# ------------------------------------------------------------------ processes and clusters


def test_many_processes_write_to_one_thread(server: RedisServer) -> None:
    operations, processes = 15, 4
    url = f"{server.url}?timeout=20"
    with WfStoreSaver(url) as saver:
        config = put(saver, "t", 0)

    def write(who: int) -> int:
        with WfStoreSaver(url) as saver:
            for number in range(operations):
                checkpoint = checkpoint_of({"number": who * 1000 + number}, {"number": number + 1})
                saver.put(config, checkpoint, metadata_of(number), {"number": number + 1})
        return operations

    started = [children.start(write, who) for who in range(1, processes + 1)]
    assert [child.outcome(60) for child in started] == [operations] * processes
    with WfStoreSaver(url) as saver:
        there = numbers(saver, "t")
        assert sorted(there) == [0] + [who * 1000 + n for who in range(1, processes + 1) for n in range(operations)]
        assert_sound(saver, "t")


def test_one_of_many_that_begin_a_store_makes_its_secret(server: RedisServer) -> None:
    def secret() -> bytes:
        with WfStoreSaver(server.url) as saver:
            return saver.store.backend.store_secret

    started = [children.start(secret) for _ in range(5)]
    assert len({child.outcome() for child in started}) == 1


def test_a_fork_goes_on_with_the_store_that_its_parent_has_open(server: RedisServer) -> None:
    with WfStoreSaver(f"{server.url}?timeout=10") as saver:
        put(saver, "t", 0)

        def write(name: str) -> list[int]:
            put(saver, name, 1)
            put(saver, "t", 1)
            return numbers(saver, name)

        started = [children.start(write, name) for name in ("a", "b")]
        put(saver, "c", 1)
        assert [child.outcome() for child in started] == [[1], [1]]
        assert sorted(numbers(saver, "t")) == [0, 1, 1]
        assert_sound(saver, "t", "a", "b", "c")


def test_sentinels_lead_to_the_new_master(
    engine: str, server: RedisServer, replica: RedisServer, tmp_path: Any
) -> None:
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor main 127.0.0.1 {server.port} 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
    )
    with RedisServer.sentinel(engine, config) as sentinel:
        with sentinel.client() as client:
            _until(lambda: client.sentinel_slaves("main"))
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main?timeout=20&wait_replicas=1&wait_timeout=5"
        with WfStoreSaver(url) as saver:
            config_of_first = put(saver, "t", 0)
        with WfStoreSaver(url.partition("&")[0]) as saver:
            server.kill()
            put(saver, "t", 1, config_of_first)
            assert numbers(saver, "t") == [1, 0]
            assert_sound(saver, "t")


def test_a_cluster_fails_over_while_several_threads_write(engine: str) -> None:
    with RedisCluster(engine, masters=3, replicas=1) as cluster:
        url = f"{cluster.url}?timeout=20&wait_replicas=1&wait_timeout=2"
        with WfStoreSaver(url) as saver:
            with Writer(saver, [f"t{i}" for i in range(6)]) as writer:
                writer.until(40)
                cluster.servers[0].kill()
                time.sleep(2)
                writer.until(60, 60)
                cluster.servers[0].start()
                writer.until(40, 60)
            assert len(writer.acknowledged) == 6
        _until(lambda: _open_and_check(cluster.url, writer), 60)


def _open_and_check(url: str, writer: Writer) -> bool:
    with WfStoreSaver(f"{url}?timeout=10") as saver:
        assert_nothing_lost(writer, saver)
    return True


def test_a_slot_moves_while_its_thread_is_written_to(engine: str) -> None:
    with RedisCluster(engine) as cluster, WfStoreSaver(f"{cluster.url}?timeout=10") as saver:
        put(saver, "warm", 0)
        with Writer(saver, ["t0", "t1", "t2"]) as writer:
            writer.until(15)
            backend: Any = saver.store.backend
            moved = 0
            for name in ("t0", "t1", "t2"):
                home = backend._homes.key(backend._homes.own(backend._homes.name_key(name.encode())))
                moved += _move_slot(cluster, home)
                writer.until(10)
        assert moved == 3
        assert_nothing_lost(writer, saver)


def _move_slot(cluster: RedisCluster, key: str) -> int:
    """Move the slot of a key to another master, key by key, as an operator does."""
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(server.client()) for server in cluster.servers]
        names = [_text(client.execute_command("CLUSTER MYID")) for client in clients]
        slot = int(clients[0].execute_command("CLUSTER KEYSLOT", key))
        source = next(i for i, client in enumerate(clients) if _holds(client, slot))
        target = (source + 1) % len(clients)
        clients[target].execute_command(f"CLUSTER SETSLOT {slot} IMPORTING {names[source]}")
        clients[source].execute_command(f"CLUSTER SETSLOT {slot} MIGRATING {names[target]}")
        while keys := clients[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            port = cluster.servers[target].port
            clients[source].execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
        for i in (target, source, *range(len(clients))):
            clients[i].execute_command(f"CLUSTER SETSLOT {slot} NODE {names[target]}")
    return 1


def _holds(client: Any, slot: int) -> bool:
    """Whether a server answers for a slot itself."""
    try:
        lines = client.execute_command("CLUSTER NODES")
    except redis.RedisError:
        return False
    if isinstance(lines, dict):
        own = next(node for node in lines.values() if "myself" in node["flags"])
        return any(int(span[0]) <= slot <= int(span[-1]) for span in own["slots"])
    own = next(line for line in _text(lines).splitlines() if "myself" in line)
    spans = (part.partition("-") for part in own.split()[8:] if not part.startswith("["))
    return any(int(low) <= slot <= int(high or low) for low, _, high in spans)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_a_stale_expectation_is_stale_and_no_error_of_the_server(server: RedisServer) -> None:
    with WfStoreSaver(server.url) as saver, WfStoreSaver(server.url) as other:
        config = put(saver, "t", 0)
        tail: Any = saver.store.backend.find(b"t")
        put(other, "t", 1, config)
        with pytest.raises(Stale):
            saver.store.backend.copy(tail, b"copy", 1, 1)
        assert other.store.backend.find(b"copy") is None
