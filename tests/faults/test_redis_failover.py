"""Servers of which there are several: replicas, Sentinels, clusters. Nothing acknowledged may be lost when one goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis_places import until
from writing import Writer, assert_nothing_lost, assert_unavailable, numbers, put

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.redis_server import RedisCluster, RedisServer


@pytest.fixture
def replica(engine: str, server: RedisServer) -> Iterator[RedisServer]:
    with RedisServer(engine, ("replicaof", "127.0.0.1", str(server.port))) as replica:
        with replica.client() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")
        yield replica


def test_a_replica_reads_and_does_not_write(server: RedisServer, replica: RedisServer) -> None:
    with WfStoreSaver(server.url) as saver:
        config = put(saver, "t", 0)
        with server.client() as client:
            assert client.wait(1, 5000) == 1
        with WfStoreSaver(f"{replica.url}?timeout=4") as other:
            assert numbers(other, "t") == [0]
            assert_unavailable(lambda: put(other, "t", 1, config), 4, "read-only replica")
        assert numbers(saver, "t") == [0]


def test_an_append_waits_for_replicas(server: RedisServer, replica: RedisServer) -> None:
    with WfStoreSaver(f"{server.url}?timeout=100&wait_replicas=1&wait_timeout=20") as saver:
        config = put(saver, "t", 0)
    with WfStoreSaver(f"{replica.url}") as other:
        assert numbers(other, "t") == [0]
    replica.kill()
    with server.client() as client:
        until(lambda: client.info("replication")["connected_slaves"] == 0)
    with WfStoreSaver(f"{server.url}?wait_replicas=1&wait_timeout=1") as saver:
        assert_unavailable(lambda: put(saver, "t", 1, config), 10, r"applied .* acknowledged by 0 of 1 replicas")


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
            until(lambda: client.sentinel_slaves("main"))
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
        until(lambda: _open_and_check(cluster.url, writer), 60)


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
