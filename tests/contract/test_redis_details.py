"""What only Redis has: homes, expiry, clients of one's own, permissions; on every engine that is there."""

import os
import time
import uuid
from contextlib import ExitStack

import pytest
import redis
import redis.asyncio

from langgraph_wfstore import BackendUnavailableError, ThreadDeletedError, WfStore, WfStoreError, WfStoreSaver
from langgraph_wfstore.backends.base import Stale
from langgraph_wfstore.backends.redis import homes, rows
from langgraph_wfstore.backends.redis.append import Appends
from langgraph_wfstore.backends.redis.backend import RedisBackend
from langgraph_wfstore.backends.redis.url import RedisOptions
from langgraph_wfstore.errors import UnsupportedValueError
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of
from langgraph_wfstore.testing.redis_server import redis_url
from langgraph_wfstore.threads import views

# docs/redis.md lists the same.
PERMITTED = (
    "+eval +evalsha +get +set +hget +hset +hsetnx +hmget +hgetall +hdel +hexists +hincrby +exists +del +llen +lrange "
    "+lindex +lset +rpush +copy +strlen +getrange +setrange +zadd +zrem +zrange +zrangebyscore +zrangebylex "
    "+zremrangebyscore +sadd +sismember +pexpireat +time +info +memory|usage +script|load +ping +hello +select "
    "+client|setinfo +client|setname +wait +bgrewriteaof +bgsave"
)


@pytest.fixture(scope="module", params=["redis", "redis-8", "valkey"])
def server(request):
    with redis_url(request.param) as url:
        yield url


@pytest.fixture
def prefix():
    return uuid.uuid4().hex


@pytest.fixture
def url(server, prefix):
    return f"{server}?prefix={prefix}"


@pytest.fixture
def client(server):
    with redis.Redis.from_url(server) as client:
        yield client


@pytest.fixture
def saver(url):
    with WfStoreSaver(url) as saver:
        yield saver


@pytest.fixture
def backend(saver):
    return saver.store.backend


def put(saver, thread_id="t", number=0, config=None, **metadata):
    checkpoint = checkpoint_of({"text": f"value {number} of {thread_id} " + "x" * 2000}, {"text": number + 1})
    return saver.put(
        config or config_of(thread_id), checkpoint, metadata_of(number, **metadata), checkpoint["channel_versions"]
    )


def keys_of(client, prefix):
    return {key.decode() for key in client.keys(f"{prefix}:*")}


def in_homes(keys):
    return {key for key in keys if "{index}" not in key and ":run" not in key and "{run" not in key}


# ------------------------------------------------------------------ expiry


def test_a_thread_expires_whole_and_a_write_gives_it_time_again(url, client, prefix):
    with WfStoreSaver(f"{url}&ttl=1000") as saver:
        put(saver)
        saver.store.copy_thread("t", "copy")
        home = in_homes(keys_of(client, prefix)) - {key for key in keys_of(client, prefix) if key.endswith("}m")}
        pointers = {key for key in keys_of(client, prefix) if key.endswith("}m")}
        home = {key for key in home if "#" not in key}
        assert len({client.execute_command("PTTL", key) // 100 for key in home}) <= 2
        for key in home:
            client.pexpire(key, 5000)
        put(saver, "copy", 1)
        assert all(client.pttl(key) > 900_000 for key in home), "a write to one of kin renews all of the home"
        assert all(client.pttl(key) == -1 for key in pointers)


def test_what_has_expired_is_gone_and_can_begin_anew(url, client, prefix):
    with WfStoreSaver(f"{url}&ttl=1") as saver:
        put(saver)
        assert saver.get_tuple(config_of("t")) is not None
        time.sleep(1.1)
        assert saver.get_tuple(config_of("t")) is None
        assert saver.store.threads() == []
        assert not {key for key in in_homes(keys_of(client, prefix)) if "#" not in key}
        put(saver, number=1)
        assert_sound(saver, "t")
        assert [info.thread_id for info in saver.store.threads()] == ["t"]


@pytest.mark.parametrize("refresh", [False, True])
def test_reading_renews_only_where_it_is_asked_to(url, client, prefix, refresh):
    with WfStoreSaver(f"{url}&ttl=1000&refresh_on_read={int(refresh)}") as saver:
        put(saver)
        home = {key for key in in_homes(keys_of(client, prefix)) if "#" not in key}
        for key in home:
            client.pexpire(key, 5000)
        assert saver.get_tuple(config_of("t")) is not None
        assert {client.pttl(key) > 5000 for key in home} == {refresh}


# ------------------------------------------------------------------ homes


def test_a_copy_shares_its_objects_and_lives_with_its_source(saver, backend, client, prefix):
    put(saver)
    before = keys_of(client, prefix)
    saver.store.copy_thread("t", "copy")
    new = keys_of(client, prefix) - before
    assert not {key for key in new if "}w" in key or "}g" in key}, "no object was copied"
    assert len([key for key in new if key.endswith("}m")]) == 1
    assert backend.find(b"copy").row.lineage == backend.find(b"t").row.lineage
    assert_sound(saver, "t", "copy")


def test_a_crash_between_pointer_and_copy_leaves_a_name_that_can_be_used(url, saver, backend):
    put(saver)
    tail = backend.find(b"t")
    backend._brought(b"copy", backend._homes.of_number(tail.row.number))
    with WfStoreSaver(url) as other:
        assert other.store.backend.find(b"copy") is None
        put(other, "copy")
        assert other.store.backend.find(b"copy").row.lineage != tail.row.lineage
        assert_sound(other, "copy", "t")
    assert backend.find(b"copy") is not None


def test_lease_and_tombstones_move_with_a_name(saver, backend):
    put(saver)
    put(saver, "copy")
    saver.store.delete_thread("copy")
    held = backend.claim(b"copy", b"me", 10**12)
    tombstones = backend.tombstones(b"copy")
    saver.store.copy_thread("t", "copy")
    assert backend.lease(b"copy") == held
    assert backend.tombstones(b"copy") == tombstones
    assert backend.find(b"copy").row.life == 2
    assert backend.claim(b"copy", b"other", 10**12) == held


def test_a_name_that_moves_to_and_fro_is_found(url, saver, backend):
    for name in ("a", "b"):
        put(saver, name)
    for _ in range(5):  # from the home of a to that of b, and back
        for source in ("a", "b"):
            saver.store.copy_thread(source, "c")
            with WfStore.open(url) as other:
                found = other.backend.find(b"c")
                assert found.row.lineage == backend.find(source.encode()).row.lineage
            saver.store.delete_thread("c")
    assert [life for life, _ in backend.tombstones(b"c")] == list(range(1, 11))
    put(saver, "c")
    saver.store.delete_thread("a")
    put(saver, "a")
    assert_sound(saver, "a", "b", "c")


def test_a_name_goes_home_when_its_own_home_has_the_source(saver, backend):
    put(saver, "a")
    put(saver, "b")
    saver.store.copy_thread("a", "c")
    saver.store.copy_thread("c", "d")
    saver.store.delete_thread("a")
    saver.store.delete_thread("c")
    put(saver, "e")
    saver.store.copy_thread("e", "a")
    saver.store.copy_thread("d", "c")
    assert backend.find(b"c").row.lineage == backend.find(b"d").row.lineage
    assert backend.find(b"a").row.lineage == backend.find(b"e").row.lineage
    assert_sound(saver, "a", "b", "c", "d", "e")


def test_a_thread_that_begins_in_another_process_is_not_overtaken_by_a_copy(url, saver):
    put(saver)
    tail = saver.store.backend.find(b"t")
    with WfStoreSaver(url) as other:
        put(other, "copy")
        with pytest.raises(Stale):
            saver.store.backend.copy(tail, b"copy", 1, 1)
    assert_sound(saver, "t", "copy")


# ------------------------------------------------------------------ runs that were deleted


def test_a_process_that_noted_its_run_before_is_stopped_by_its_deletion(url, saver):
    config = put(saver, number=0, run_id="r")
    with WfStoreSaver(url) as other:
        other.store.backend.mark_deleted_runs([redis_hash(saver, "r")])
    backend = saver.store.backend
    assert backend.deleted_runs([redis_hash(saver, "r")])
    with pytest.raises(ThreadDeletedError):
        put(saver, number=1, config=config, run_id="r")


def test_the_mark_is_in_the_script_that_appends(url, saver, monkeypatch):
    config = put(saver, number=0, run_id="r")
    backend = saver.store.backend
    backend.mark_deleted_runs([redis_hash(saver, "r")])
    monkeypatch.setattr(type(backend), "deleted_runs", lambda self, hashes: set())
    monkeypatch.setattr(type(backend._homes), "note", lambda *args, **named: False)
    monkeypatch.setattr(views, "_ATTEMPTS", 20)
    with pytest.raises(BackendUnavailableError, match="changed 20 times"):
        put(saver, number=1, config=config, run_id="r")


def redis_hash(saver, run_id):
    from langgraph_wfstore.appending.refusals import run_hash

    return run_hash(saver.store.backend.store_secret, run_id)


def test_threads_of_a_run_are_found_with_their_copies(saver, backend):
    from langgraph_wfstore.threads.view import run_of

    put(saver, number=0, run_id="r")
    put(saver, "other", run_id="s")
    saver.store.copy_thread("t", "copy")
    numbers = {backend.find(name).row.number for name in (b"t", b"copy")}
    assert set(backend.threads_of_runs([run_of("r")])) == numbers
    saver.store.delete_thread("t")
    assert backend.threads_of_runs([run_of("r")]) == [backend.find(b"copy").row.number]


# ------------------------------------------------------------------ clients, permissions, the place itself


@pytest.mark.parametrize("protocol", [2, 3])
def test_both_protocols(url, protocol):
    with WfStoreSaver(f"{url}&protocol={protocol}") as saver:
        config = put(saver)
        saver.put_writes(config, [("text", 1)], "task")
        saver.store.copy_thread("t", "copy")
        assert saver.store.backend.stats()["threads"] == 2
        assert saver.store.backend.links(saver.store.backend.find(b"t").row.number) == set()
        assert_sound(saver, "t", "copy")


def test_a_client_of_ones_own_is_used_and_not_closed(server, prefix):
    with redis.Redis.from_url(server) as client:
        with WfStoreSaver(client) as saver:
            assert isinstance(saver.store.backend, RedisBackend)
        backend = RedisBackend(client, options=RedisOptions(prefix=prefix))
        with WfStoreSaver(backend) as saver:
            put(saver)
            assert_sound(saver, "t")
        assert client.ping()


def test_a_client_that_decodes_is_refused(server):
    with (
        redis.Redis.from_url(server, decode_responses=True) as client,
        pytest.raises(WfStoreError, match="decode_responses=False"),
    ):
        WfStoreSaver(client)


def test_a_client_that_does_not_answer_at_once_is_refused(server):
    with redis.Redis.from_url(server) as client, pytest.raises(TypeError, match=r"synchronous client.*Pipeline"):
        WfStoreSaver(client.pipeline())
    with pytest.raises(TypeError, match=r"synchronous client.*asyncio"):
        WfStoreSaver(redis.asyncio.Redis.from_url(server))


def test_an_object_that_the_server_would_not_take_is_refused_at_once(server, prefix, monkeypatch):
    with WfStoreSaver(f"{server}?prefix={prefix}") as saver:
        config = put(saver)
        monkeypatch.setattr(rows, "_LARGEST", 10_000)
        with pytest.raises(UnsupportedValueError, match="Redis takes at most 10000"):
            saver.put_writes(config, [("text", os.urandom(20_000))], "task")
        saver.put_writes(config, [("text", os.urandom(9_000))], "task")
        assert_sound(saver, "t")


def test_the_permissions_that_the_docs_list_suffice_and_the_store_asks_for_no_others(server, client, prefix):
    name = f"user-{prefix}"
    client.execute_command("ACL SETUSER", name, "on", ">word", f"~{prefix}:*", *_permitted(client))
    port = server.rpartition(":")[2]
    try:
        with WfStoreSaver(f"redis://{name}:word@127.0.0.1:{port}?prefix={prefix}&ttl=100") as saver:
            config = put(saver, run_id="r")
            saver.put_writes(config, [("text", 1)], "task")
            saver.store.copy_thread("t", "copy")
            saver.store.thread("t").redact(channels=["text"])
            saver.store.prune(["copy"])
            saver.delete_for_runs(["r"])
            saver.store.backend.claim(b"t", b"me", 10**9)
            saver.store.backend.set_setting("a", b"b", None)
            saver.store.delete_thread("copy")
            saver.store.stats()
            saver.store.compact()
            assert [info.thread_id for info in saver.store.threads()] == ["t"]
            assert_sound(saver, "t")
    finally:
        client.execute_command("ACL DELUSER", name)


def _permitted(client):
    """Redis 6.2 has no permission for the parts of some commands."""
    words = PERMITTED.split()
    if int(client.info("server")["redis_version"].split(".")[0]) < 7:
        words = [word for word in words if word not in ("+client|setinfo",)]
    return words


def test_read_only_reads_and_writes_nothing(url, saver, client, prefix):
    put(saver)
    before = {key: client.dump(key) for key in keys_of(client, prefix)}
    with WfStore.open(url, read_only=True) as store:
        assert store.thread("t").verify().ok
        assert store.stats()["threads"] == 1
        with pytest.raises(BackendUnavailableError, match="read_only"):
            store.delete_thread("t")
    assert {key: client.dump(key) for key in keys_of(client, prefix)} == before


def test_read_only_makes_no_store(url, client, prefix):
    with pytest.raises(BackendUnavailableError, match="no store"):
        WfStore.open(url, read_only=True)
    assert keys_of(client, prefix) == set()


def test_a_store_of_a_newer_layout_is_refused(url, client, prefix):
    client.set(f"{prefix}:{{index}}secret", b"\x02" + b"s" * 32)
    with pytest.raises(WfStoreError, match="layout 2"):
        WfStore.open(url)


def test_stores_with_other_prefixes_see_nothing(server, saver):
    put(saver)
    with WfStoreSaver(f"{server}?prefix=other-{uuid.uuid4().hex}") as other:
        assert other.store.threads() == []
        assert other.get_tuple(config_of("t")) is None


def test_what_leads_nowhere_is_dropped(saver, backend, client, prefix, monkeypatch):
    put(saver, run_id="r")
    dangling = backend._homes.new_number(backend._homes.own(b"k" * 16))
    saver.store.compact()
    assert client.zcard(f"{prefix}:{{index}}threads") == 2, "its creator may still be on the way"
    monkeypatch.setattr(homes, "GRACE", 0)
    saver.store.compact()
    young = backend._homes.new_number(backend._homes.own(b"k" * 16))
    saver.store.compact()
    left = {int(score) for _, score in client.zrange(f"{prefix}:{{index}}threads", 0, -1, withscores=True)}
    assert dangling not in left and young in left
    assert [info.thread_id for info in saver.store.threads()] == ["t"]
    assert [key for key in keys_of(client, prefix) if ":run" in key]


def test_numbers_go_on_from_the_clock_where_another_server_goes_on(saver, backend, client, prefix):
    home = backend._homes.own(b"k" * 16)
    first = backend._homes.new_number(home)
    assert backend._homes.new_number(home) == first + 1
    client.set(f"{prefix}:{{index}}last", b"%d:another" % first)  # a replica that has not seen the second one
    number = backend._homes.new_number(home)
    assert number > 10**15
    assert backend._homes.new_number(home) == number + 1


def test_an_append_that_is_sent_twice_is_applied_once(url, saver, backend):
    """A client of one's own may do that without saying so."""
    sent = []
    with ExitStack() as undo:
        real = Appends.apply

        def twice(self, batch):
            number, lineage = batch.thread.number, batch.thread.lineage
            good = real(self, batch)
            if number is not None:
                self._caller._owned = False
                sent.append(real(self, batch))
                self._caller._owned = True
                assert (batch.thread.number, batch.thread.lineage) == (number, lineage)
            return good

        patch = undo.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(backend._lanes, "apply", twice.__get__(backend._appends))
        config = None
        for number in range(5):
            config = put(saver, number=number, config=config)
    assert sent == [True] * 4
    assert backend.find(b"t").last == 5
    assert_sound(saver, "t")


def test_the_same_operations_give_the_same_record_ids_as_on_sqlite(url, tmp_path):
    checkpoints = [
        checkpoint_of({"text": "x" * 3000, "list": list(range(number))}, {"text": 1, "list": number + 1})
        for number in range(10)
    ]

    def ids(place):
        with WfStore.open(place, lineage_secret=lambda: b"s" * 32) as store, WfStoreSaver(store) as saver:
            config = config_of("t")
            for number, checkpoint in enumerate(checkpoints):
                config = saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])
                saver.put_writes(config, [("text", number)], f"task {number}")
            saver.store.copy_thread("t", "copy")
            rows = [store.backend.records(store.backend.find(name).row.number, 0, 1000) for name in (b"t", b"copy")]
            return [[(row.seq, row.kind, row.id, row.seal, row.body, row.position) for row in each] for each in rows]

    assert ids(url) == ids(tmp_path / "agent.db")
