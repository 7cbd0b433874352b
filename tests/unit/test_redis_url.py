"""What a Redis URL says: servers, and options that are ours; and records as they lie in Redis."""

import pytest

from langgraph_wfstore import WfStore, WfStoreError
from langgraph_wfstore.backends.base import CHECKPOINT, ObjectRow, RecordRow
from langgraph_wfstore.backends.redis.map import packed_map
from langgraph_wfstore.backends.redis.rows import object_bytes, object_of, record_bytes, record_of
from langgraph_wfstore.backends.redis.url import RedisOptions, parse_url


def test_our_options_are_taken_out_of_the_url():
    url = "redis://:secret@host:1/2?prefix=p&timeout=2.5&ttl=60&refresh_on_read=1&wait_replicas=2&protocol=3"
    place, options = parse_url(url + "&wait_timeout=0.5&wait_aof=1")
    assert place.url == "redis://:secret@host:1/2?protocol=3"
    assert options == RedisOptions("p", 2.5, 60.0, True, 2, 0.5, True)
    assert "secret" not in place.shown


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "master"),
    [
        ("redis://h", "single", (("h", 6379),), ""),
        ("rediss://h:7", "single", (("h", 7),), ""),
        ("redis+cluster://a:1,b,[::1]:3", "cluster", (("a", 1), ("b", 6379), ("::1", 3)), ""),
        ("redis+sentinel://a,b:2/main/1", "sentinel", (("a", 26379), ("b", 2)), "main"),
        ("redis+sentinel://a?master=main", "sentinel", (("a", 26379),), "main"),
    ],
)
def test_hosts_and_master(url, kind, hosts, master):
    place, _ = parse_url(url)
    assert (place.kind, place.hosts, place.master) == (kind, hosts, master)


def test_the_scheme_of_a_cluster_with_tls_is_that_of_redis_py():
    assert parse_url("rediss+cluster://u:p@a:1,b:2?ssl_cert_reqs=none")[0].url == "rediss://u:p@a:1?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?retries=3", "no option 'retries'"),
        ("?timeout=soon", "timeout='soon'"),
        ("?timeout=0", "between 0 and 300"),
        ("?refresh_on_read=yes", "refresh_on_read='yes'"),
        ("?prefix=a{b", "braces"),
        ("?wait_replicas=-1", "negative"),
    ],
)
def test_an_option_that_cannot_be_read_is_named(query, said):
    with pytest.raises(WfStoreError, match=said):
        parse_url(f"redis://host{query}")


def test_a_sentinel_url_names_the_master():
    with pytest.raises(WfStoreError, match="names no master"):
        parse_url("redis+sentinel://host")


def test_a_server_that_is_not_there_is_said_to_be_so_in_time():
    with pytest.raises(WfStoreError, match="did not answer"):
        WfStore.open("redis://127.0.0.1:1?timeout=0.3")


EDGES = (None, 0, 1, -1, (1 << 63) - 1, -(1 << 63))


@pytest.mark.parametrize("value", EDGES)
@pytest.mark.parametrize("text", [None, "", "loop", "größe \ud800"])
def test_a_record_comes_back_as_it_was(value, text):
    row = RecordRow(
        *(7, CHECKPOINT, b"i" * 32, 1, b"body" * 100, value, None if value is None else b"s" * 32, value, value),
        *(None if value is None else abs(value) >> 11, value, value, text, value, value, b"refs", ()),
    )
    assert record_of(7, record_bytes(row)) == row


@pytest.mark.parametrize("nonce", [None, b"n" * 16])
@pytest.mark.parametrize("tag", ["", "msgpack", "x" * 200])
def test_an_object_comes_back_as_it_was(nonce, tag):
    row = ObjectRow(3, b"o" * 32, 2, tag, nonce, b"data" * 1000)
    assert object_of(3, object_bytes(row)) == row


def test_a_map_for_scripts_holds_no_other_values():
    assert packed_map({"a": [1, True, b"\xff", "x"]}).startswith(b"\x81\xa1a\x94")
    with pytest.raises(TypeError, match="NoneType"):
        packed_map({"a": None})
