"""What happens between a store and its PostgreSQL: servers die, replies are lost, packets vanish, locks are held."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg.rows import tuple_row
from writing import Writer, assert_nothing_lost, assert_unavailable, numbers, put

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.errors import ThreadNotFoundError
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import config_of
from langgraph_wfstore.testing.postgres_server import PostgresServer, running
from langgraph_wfstore.testing.proxy import Proxy

_made = itertools.count(1)


@pytest.fixture
def url(postgres_url: str) -> str:
    return f"{postgres_url}?schema=faults{next(_made)}"


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    parts = urlsplit(postgres_url)
    with Proxy(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy


def through(proxy: Proxy, url: str, **options: object) -> str:
    """The URL by way of the proxy."""
    parts = urlsplit(url)
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"postgresql://{parts.username}@{proxy.host}:{proxy.port}{parts.path}?{parts.query}{more}"


@contextlib.contextmanager
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url.partition("?")[0], autocommit=True, row_factory=tuple_row) as db:
        yield db


# ------------------------------------------------------------------ servers that go and come


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_again_and_again() -> None:
    with running() as server, WfStoreSaver(server.url) as saver:
        with Writer(saver, ["a", "b", "c"]) as writer:
            for _ in range(5):
                writer.until(9)
                server.kill()
                time.sleep(0.05)
                server.start()
            writer.until(9)
        assert writer.failed == 0
        assert_nothing_lost(writer, saver)


def test_connections_that_the_server_ends_are_not_noticed(url: str) -> None:
    with WfStoreSaver(url) as saver, admin(url) as db:
        ended = 0
        with Writer(saver, ["a", "b"]) as writer:
            for _ in range(20):
                writer.until(2)
                ended += len(
                    db.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wfstore' "
                        "AND datname = current_database()"
                    ).fetchall()
                )
            writer.until(6)
        assert ended >= 20
        assert writer.failed == 0
        assert_nothing_lost(writer, saver)


def test_a_promoted_standby_goes_on_where_the_primary_died() -> None:
    with contextlib.ExitStack() as opened:
        primary = opened.enter_context(running(["synchronous_standby_names=*", "wal_level=replica"]))
        # Until there is a standby, no commit would be acknowledged.
        primary.stop()
        primary.settings = ["synchronous_standby_names=", "wal_level=replica"]
        primary.start()
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="wfstore-standby-")))
        standby = PostgresServer(folder)
        standby.copy_of(primary)
        opened.callback(standby.stop)
        standby.start()
        with admin(primary.url) as db:
            db.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.stop()
        primary.settings = ["wal_level=replica"]
        primary.start()
        proxy = opened.enter_context(Proxy("127.0.0.1", primary.port))
        saver = opened.enter_context(WfStoreSaver(through(proxy, f"{primary.url}?schema=agents")))
        with Writer(saver, ["a"]) as writer:
            writer.until(10)
            primary.kill()
            proxy.retarget("127.0.0.1", standby.port)
            proxy.reset()
            time.sleep(0.2)  # writes meet a server that only reads
            standby.promote()
            writer.until(10)
        assert_nothing_lost(writer, saver)


# ------------------------------------------------------------------ replies that are lost


APPEND = b".append("  # the function that every append calls


def _operations(saver: WfStoreSaver) -> dict[str, Callable[[], object]]:
    """One of each kind, in an order in which each can be done; what they do does not depend on what was lost."""
    state: dict[str, Any] = {}

    def first() -> None:
        state["config"] = put(saver, "t", 0)

    def more() -> None:
        state["config"] = put(saver, "t", 1, state["config"])

    return {
        "the first put of a thread": first,
        "a put": more,
        "put_writes": lambda: saver.put_writes(state["config"], [("number", 7)], "task"),
        "a branch": lambda: saver.store.thread("t").create_branch(
            "other", at=state["config"]["configurable"]["checkpoint_id"]
        ),
        "a copy": lambda: saver.copy_thread("t", "copy"),
        "a setting": lambda: saver.store.set_retention_floor(timedelta(microseconds=1)),
        "a lease": lambda: saver.claim("t", ttl=60).release(),
        "a redaction": lambda: saver.store.thread("t").redact(channels=["list"]),
        "a prune": lambda: saver.prune(["t"]),
        "runs deleted": lambda: saver.delete_for_runs(["run 0"]),
        "a thread deleted": lambda: saver.delete_thread("copy"),
    }


def _counts(store: WfStore) -> Any:
    """What there is: threads with their records and lives, leases' tokens, objects."""
    stats = store.stats()
    return (
        [(info.thread_id, info.life, info.records, info.branches) for info in store.threads()],
        {name: stats[name] for name in ("checkpoints", "writes", "objects", "lists", "redacted", "pruned")},
        store.backend.lease(b"t"),
    )


def test_an_operation_whose_reply_is_lost_is_applied_once(url: str, proxy: Proxy) -> None:
    with WfStoreSaver(through(proxy, url)) as saver, WfStoreSaver(f"{url}twin") as twin:
        undisturbed = _operations(twin)
        for name, operation in _operations(saver).items():
            # One statement is a transaction of its own; of several the reply to the last is what counts.
            appends = ("the first put of a thread", "a put", "put_writes", "a branch")
            in_one = APPEND if name in appends else b"INSERT INTO" if name == "a lease" else b"COMMIT"
            proxy.lose_replies(1, in_one)
            operation()
            undisturbed[name]()
            found, expected = _counts(saver.store), _counts(twin.store)
            assert found[:2] == expected[:2], name
            assert (found[2] and found[2].token) == (expected[2] and expected[2].token), name
            assert proxy.lost == 1, name
            proxy.lost = 0
        assert_sound(saver, "t")
        with pytest.raises(ThreadNotFoundError):
            saver.store.thread("copy")


def test_replies_that_are_lost_one_after_the_other_lose_nothing(url: str, proxy: Proxy) -> None:
    with WfStoreSaver(through(proxy, url)) as saver:
        with Writer(saver, ["a", "b"]) as writer:
            for _ in range(25):
                proxy.lose_replies(1, APPEND)
                writer.until(2)
        assert proxy.lost >= 20
        assert writer.failed == 0
        assert_nothing_lost(writer, saver)


@pytest.mark.parametrize("state", ["08P01", "57P01", "XX000"])
@pytest.mark.parametrize("prepare", [0, 1])
def test_an_append_whose_connection_ends_with_an_error_is_applied_once(
    url: str, proxy: Proxy, state: str, prepare: int
) -> None:
    """PgBouncer, say, reports a server that died as FATAL 08P01."""
    said = f"SFATAL\0VFATAL\0C{state}\0Mserver conn crashed\0\0".encode()
    fatal = b"E" + struct.pack("!i", len(said) + 4) + said

    with WfStoreSaver(through(proxy, url, prepare=prepare)) as saver:
        config = put(saver, "t", 0)
        for number in range(1, 4):
            proxy.lose_replies(1, b"wfstore_append_" if prepare else APPEND, fatal)
            saver.put_writes(config, [("number", number)], f"task {number}")
        assert proxy.lost == 3
        found = saver.get_tuple(config)
        assert found is not None and len(found.pending_writes or ()) == 3
        assert_sound(saver, "t")


# ------------------------------------------------------------------ a network that fails


def test_an_operation_on_a_black_hole_ends_within_its_timeout(url: str, proxy: Proxy) -> None:
    with WfStoreSaver(through(proxy, url, timeout=2)) as saver:
        config = put(saver, "t", 0)
        proxy.black_hole = True
        for operation in (lambda: put(saver, "t", 1, config), lambda: saver.get_tuple(config_of("t"))):
            assert_unavailable(operation, 2, "did not serve within 2 s")
        proxy.black_hole = False
        put(saver, "t", 1, config)
        assert_sound(saver, "t")


def test_deadlines_end_waits_also_after_one_of_a_connection_that_was_lost(url: str) -> None:
    with WfStoreSaver(f"{url}&timeout=1") as saver, admin(url) as db:
        put(saver, "t", 0)
        backend: Any = saver.store.backend
        with admin(url) as lost:
            lost.close()
            with backend._connections._deadlines.until(lost, time.monotonic()) as late:
                while not late():
                    time.sleep(0.01)
        with db.transaction():
            db.execute(f"LOCK TABLE {url.rpartition('=')[2]}.record IN ACCESS EXCLUSIVE MODE")
            assert_unavailable(lambda: put(saver, "t", 1), 1, "did not serve within 1 s")


def test_connections_that_were_idle_for_too_long_are_not_noticed(url: str) -> None:
    with WfStoreSaver(f"{url}&options={quote('-c idle_session_timeout=200')}") as saver:
        config = put(saver, "t", 0)
        for _ in range(2):
            time.sleep(0.4)
            assert saver.get_tuple(config) is not None
            time.sleep(0.4)
            saver.put_writes(config, [("number", 1)], "task")
        assert_sound(saver, "t")


def test_a_server_that_cannot_be_reached_is_said_at_once_and_by_its_name(url: str, proxy: Proxy) -> None:
    place = through(proxy, url, timeout=1)
    proxy.refuse = True
    assert_unavailable(lambda: WfStoreSaver(place), 1, rf"postgresql://{proxy.host}:{proxy.port}/postgres")


def test_a_slow_network_and_resets_between_operations_change_nothing(url: str, proxy: Proxy) -> None:
    with WfStoreSaver(through(proxy, url)) as saver:
        proxy.latency = 0.02
        with Writer(saver, ["a"]) as writer:
            for _ in range(10):
                writer.until(1)
                proxy.reset()
        assert_nothing_lost(writer, saver)


def test_as_many_threads_as_there_are_connections_wait_at_the_same_time(url: str, proxy: Proxy) -> None:
    names = [f"t{number}" for number in range(50)]
    with WfStoreSaver(through(proxy, url, pool_size=50)) as saver:
        for name in names:
            put(saver, name, 0)
        backend: Any = saver.store.backend
        with contextlib.ExitStack() as taken:  # a connection is opened for each, so that none has to be later
            for _ in names:
                taken.enter_context(backend._connections._pool.connection(timeout=30))
        proxy.black_hole = True
        workers = [threading.Thread(target=put, args=(saver, name, 1)) for name in names]
        for worker in workers:
            worker.start()
        end = time.monotonic() + 60
        while proxy.held < len(names) and time.monotonic() < end:
            time.sleep(0.02)
        held = proxy.held
        proxy.black_hole = False
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers), "a thread hangs"
        assert held == len(names)  # none of them waited for another one
        assert [len(numbers(saver, name)) for name in names] == [2] * len(names)


def test_an_interrupt_ends_an_append_that_waits(url: str) -> None:
    with WfStoreSaver(f"{url}&timeout=60") as saver, admin(url) as db:
        config = put(saver, "t", 0)
        began = time.monotonic()
        with db.transaction():
            db.execute(f"LOCK TABLE {url.rpartition('=')[2]}.record IN ACCESS EXCLUSIVE MODE")
            interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
            interrupt.start()
            with pytest.raises(KeyboardInterrupt):
                put(saver, "t", 1, config)
        assert time.monotonic() - began < 40
        put(saver, "t", 2, config)
        assert numbers(saver, "t") == [2, 0]
        assert_sound(saver, "t")


# ------------------------------------------------------------------ a server that refuses for a while


def test_serializable_transactions_are_repeated(url: str) -> None:
    strict = f"{url}&options={quote('-c default_transaction_isolation=serializable')}"
    with WfStoreSaver(strict) as saver, WfStoreSaver(strict) as other:
        config = put(saver, "t", 0)

        def write(who: WfStoreSaver, name: str) -> None:
            for number in range(15):
                who.put_writes(config, [("number", number)], f"{name} {number}")

        tasks = [threading.Thread(target=write, args=(who, f"{i}")) for i, who in enumerate((saver, other) * 3)]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join(60)
        assert not any(task.is_alive() for task in tasks), "a thread hangs"
        found = saver.get_tuple(config)
        assert found is not None and len(found.pending_writes or ()) == 6 * 15
        assert_sound(saver, "t")


def test_a_lock_that_is_held_for_a_while_is_waited_for(url: str) -> None:
    schema = url.rpartition("=")[2]
    with WfStoreSaver(f"{url}&timeout=20&options={quote('-c lock_timeout=100')}") as saver, admin(url) as db:
        config = put(saver, "t", 0)
        with Writer(saver, ["a"]) as writer:
            writer.until(3)
            with db.transaction():
                db.execute(f"LOCK TABLE {schema}.record IN ACCESS EXCLUSIVE MODE")
                time.sleep(0.5)
            writer.until(3)
        assert_nothing_lost(writer, saver)
        put(saver, "t", 1, config)
    with WfStoreSaver(f"{url}&timeout=1") as saver, admin(url) as db, db.transaction():
        db.execute(f"LOCK TABLE {schema}.record IN ACCESS EXCLUSIVE MODE")
        assert_unavailable(lambda: put(saver, "t", 2), 1, "did not serve within 1 s")


def test_a_server_without_free_connections_is_waited_for(url: str) -> None:
    with WfStoreSaver(f"{url}&timeout=20") as saver, contextlib.ExitStack() as taken:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(url.partition("?")[0]))
        with let_go_later(taken):
            put(saver, "t", 0)
        assert_sound(saver, "t")


@contextlib.contextmanager
def let_go_later(taken: contextlib.ExitStack) -> Iterator[None]:
    """Let go of what is taken, in a moment."""
    letting_go = threading.Timer(0.5, taken.close)
    letting_go.start()
    try:
        yield
    finally:
        letting_go.join()
