"""What Redis and the network do to a store: what was acknowledged is there, and was applied once.

Each test injects faults while something writes, and counts them. Nothing that was acknowledged may be lost.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import children
import pytest
from redis_places import through, until
from writing import Writer, assert_nothing_lost, assert_unavailable, numbers, put

from langgraph_wfstore import BackendUnavailableError, WfStoreError, WfStoreSaver
from langgraph_wfstore.backends.base import Stale
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.testing.proxy import Proxy
from langgraph_wfstore.testing.redis_server import RedisServer

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
    with through(proxy, timeout=2) as saver:
        config = put(saver, "t", 0)
        proxy.black_hole = True
        for work in (lambda: put(saver, "t", 1, config), lambda: saver.get_tuple(config_of("t"))):
            assert_unavailable(work, 2, "did not answer as it should within 2.0 s")
        proxy.black_hole = False
        proxy.reset()
        put(saver, "t", 2, config)
        assert set(numbers(saver, "t")) in ({2, 0}, {2, 1, 0})
        assert_sound(saver, "t")


def test_a_server_that_is_gone_is_said_to_be_so_in_time(proxy: Proxy, server: RedisServer) -> None:
    with through(proxy, timeout=2) as saver:
        put(saver, "t", 0)
        server.kill()
        proxy.reset()
        assert_unavailable(lambda: put(saver, "t", 1), 2, "did not answer as it should within 2.0 s")


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


def test_fifty_threads_wait_for_the_network_at_the_same_time(proxy: Proxy) -> None:
    names = [f"t{i}" for i in range(50)]
    with through(proxy, timeout=20) as saver:
        for name in names:
            put(saver, name, 0)
        proxy.black_hole = True
        workers = [threading.Thread(target=put, args=(saver, name, 1)) for name in names]
        for worker in workers:
            worker.start()
        until(lambda: proxy.held == len(names))  # none of them waits for another one
        proxy.black_hole = False
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers), "a thread hangs"
        assert [len(numbers(saver, name)) for name in names] == [2] * 50


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
            until(lambda: client.info("persistence")["rdb_bgsave_in_progress"] == 0)

        def holds() -> bool:
            return any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

        until(holds)
        saver.store.thread("t").redact(channels=["text"])
        assert not holds()
        assert_sound(saver, "t")


# ------------------------------------------------------------------ processes


def test_one_of_many_that_begin_a_store_makes_its_secret(server: RedisServer) -> None:
    def secret() -> bytes:
        with WfStoreSaver(server.url) as saver:
            return saver.store.backend.store_secret

    started = [children.start(secret) for _ in range(5)]
    assert len({child.outcome() for child in started}) == 1


def test_a_stale_expectation_is_stale_and_no_error_of_the_server(server: RedisServer) -> None:
    with WfStoreSaver(server.url) as saver, WfStoreSaver(server.url) as other:
        config = put(saver, "t", 0)
        tail: Any = saver.store.backend.find(b"t")
        put(other, "t", 1, config)
        with pytest.raises(Stale):
            saver.store.backend.copy(tail, b"copy", 1, 1)
        assert other.store.backend.find(b"copy") is None
