"""Servers behind TLS: who is trusted, who is not, and that a refusal comes at once and says why."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis_places import until
from tls import Authority, TlsProxy
from writing import assert_unavailable, numbers, put

from langgraph_wfstore import BackendUnavailableError, WfStoreError, WfStoreSaver
from langgraph_wfstore.backends.redis.client import script
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.proxy import Proxy
from langgraph_wfstore.testing.redis_server import RedisCluster, RedisServer

TIMEOUT = 60
"""Seconds that a store has. What nobody could mend by waiting is said long before."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def certificate(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server", "localhost", "127.0.0.1")


@pytest.fixture
def secured(server: RedisServer, certificate: tuple[Path, Path]) -> Iterator[TlsProxy]:
    with TlsProxy(server.port, certificate) as secured:
        yield secured


def place(port: int, host: str = "localhost", scheme: str = "rediss", **options: object) -> str:
    return f"{scheme}://{host}:{port}?{'&'.join(f'{name}={value}' for name, value in options.items())}"


def assert_works(url: str) -> None:
    """The whole of a short life."""
    with WfStoreSaver(url) as saver:
        config = put(saver, "t", 0)
        saver.put_writes(config, [("number", 7)], "task")
        put(saver, "t", 1, config)
        saver.copy_thread("t", "copy")
        assert len(saver.get_tuple(config).pending_writes) == 1
        assert numbers(saver, "t") == numbers(saver, "copy") == [1, 0]
        saver.prune(["copy"])
        assert_sound(saver, "t", "copy")
    with WfStoreSaver(url) as again:
        assert numbers(again, "t") == [1, 0]


def refused(work: Callable[[], object], *said: str) -> None:
    """It is refused in words that have all of these, long before its time is over."""
    with pytest.raises(BackendUnavailableError) as caught:
        within(work, TIMEOUT / 3)
    assert not [words for words in said if words not in str(caught.value)], caught.value


# ------------------------------------------------------------------ Redis


def test_a_store_behind_tls_works_as_any_other(secured: TlsProxy, authority: Authority) -> None:
    assert_works(place(secured.port, ssl_ca_certs=authority.path))
    assert secured.encrypted > 0


def test_an_address_may_stand_for_the_name(secured: TlsProxy, authority: Authority) -> None:
    assert_works(place(secured.port, "127.0.0.1", ssl_ca_certs=authority.path))


def test_a_certificate_of_another_authority_is_refused(secured: TlsProxy, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    url = place(secured.port, ssl_ca_certs=other.path, timeout=TIMEOUT)
    refused(
        lambda: WfStoreSaver(url), "certificate", "ssl_ca_certs", "Nothing was written", f"localhost:{secured.port}"
    )
    assert secured.encrypted == 0


def test_without_an_authority_those_of_the_system_count(secured: TlsProxy) -> None:
    refused(lambda: WfStoreSaver(place(secured.port, timeout=TIMEOUT)), "certificate", "ssl_ca_certs")


def test_a_certificate_of_another_host_is_refused(server: RedisServer, authority: Authority) -> None:
    with TlsProxy(server.port, authority.issue("elsewhere", "elsewhere.example")) as secured:
        url = place(secured.port, ssl_ca_certs=authority.path, timeout=TIMEOUT)
        refused(lambda: WfStoreSaver(url), "certificate", "localhost", "Nothing was written")
        assert_works(f"{url}&ssl_check_hostname=false")


def test_the_check_can_be_left_out_by_name_only(secured: TlsProxy) -> None:
    assert_works(place(secured.port, ssl_cert_reqs="none"))


def test_a_server_may_ask_for_a_certificate(server: RedisServer, authority: Authority, certificate: Any) -> None:
    with TlsProxy(server.port, certificate, clients=authority) as secured:
        url = place(secured.port, ssl_ca_certs=authority.path, timeout=TIMEOUT)
        refused(lambda: WfStoreSaver(url), "ssl_certfile", f"localhost:{secured.port}")
        own, key = authority.issue("agent", word=b"word")
        assert_works(f"{url}&ssl_certfile={own}&ssl_keyfile={key}&ssl_password=word")


def test_tls_to_a_server_without_it_is_refused(server: RedisServer, authority: Authority) -> None:
    url = place(server.port, ssl_ca_certs=authority.path, timeout=2)
    assert_unavailable(lambda: WfStoreSaver(url), 2, f"localhost:{server.port}")


def test_a_certificate_that_changes_under_an_open_store_is_refused_and_what_was_on_its_way_is_not_denied(
    proxy: Proxy, certificate: Any, authority: Authority, tmp_path: Path
) -> None:
    impostor = Authority(tmp_path, "other").issue("impostor", "localhost")
    with contextlib.ExitStack() as opened:
        secured = opened.enter_context(TlsProxy(proxy.port, certificate))
        url = place(secured.port, ssl_ca_certs=authority.path, timeout=TIMEOUT)
        saver = opened.enter_context(WfStoreSaver(url))
        config = put(saver, "t", 0)
        secured.present(impostor)
        proxy.reset()
        refused(lambda: put(saver, "t", 1, config), "certificate")
        secured.present(certificate)
        assert numbers(saver, "t") == [0]
        # On the connection that is open: it is applied, its reply is lost, and there is no other way to ask.
        secured.present(impostor)
        proxy.lose_replies(1, containing=script("append").sha.encode())
        refused(
            lambda: put(saver, "t", 2, config), "certificate", "earlier try of this operation may have been applied"
        )
        secured.present(certificate)
        assert numbers(saver, "t") == [2, 0]
        assert_sound(saver, "t")


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel"])
def test_options_of_tls_without_tls_are_refused(scheme: str) -> None:
    with pytest.raises(WfStoreError, match=r"ssl_ca_certs .* rediss"):
        WfStoreSaver(f"{scheme}://localhost:1/main?ssl_ca_certs=x.pem")


def test_an_authority_that_is_no_file_is_said_to_be_so() -> None:
    url = place(1, ssl_ca_certs="/nowhere/authority.pem", timeout=TIMEOUT)
    with pytest.raises(WfStoreError, match=r"ssl_ca_certs='/nowhere/authority.pem' is not there"):
        WfStoreSaver(url)


def test_a_cluster_behind_tls_works_as_any_other(certificate: Any, authority: Authority) -> None:
    with contextlib.ExitStack() as opened:
        cluster = opened.enter_context(RedisCluster("valkey"))
        ports = []
        for server in cluster.servers:
            secured = opened.enter_context(TlsProxy(server.port, certificate))
            server.command("CONFIG", "SET", "cluster-announce-bus-port", str(server.port + 10000))
            server.command("CONFIG", "SET", "cluster-announce-port", str(secured.port))
            ports.append(secured.port)
        with cluster.servers[0].client() as client:
            until(lambda: all(f":{port}" in str(client.execute_command("CLUSTER NODES")) for port in ports))
        url = place(ports[0], "127.0.0.1", "rediss+cluster", ssl_ca_certs=authority.path)
        assert_works(url)
        refused(
            lambda: WfStoreSaver(f"{url.partition('?')[0]}?timeout={TIMEOUT}"), "certificate", "Nothing was written"
        )


# ------------------------------------------------------------------ PostgreSQL


@pytest.fixture
def postgres(postgres_url: str, certificate: tuple[Path, Path]) -> Iterator[TlsProxy]:
    with TlsProxy(urlsplit(postgres_url).port or 5432, certificate, postgres=True) as secured:
        yield secured


def postgres_place(url: str, port: int, host: str = "localhost", **options: object) -> str:
    parts = urlsplit(url)
    given = "&".join(f"{name}={value}" for name, value in {"sslmode": "verify-full", **options}.items())
    return f"postgresql://{parts.username}@{host}:{port}{parts.path}?timeout={TIMEOUT}&{given}"


def test_postgresql_behind_tls_works_as_any_other(postgres_url: str, postgres: TlsProxy, authority: Authority) -> None:
    assert_works(postgres_place(postgres_url, postgres.port, sslrootcert=authority.path, schema="tls"))
    assert postgres.encrypted > 0


def test_postgresql_with_a_certificate_of_another_authority_is_refused(
    postgres_url: str, postgres: TlsProxy, tmp_path: Path
) -> None:
    url = postgres_place(postgres_url, postgres.port, sslrootcert=Authority(tmp_path, "other").path)
    refused(lambda: WfStoreSaver(url), "certificate verify failed", f"localhost:{postgres.port}")
    assert postgres.encrypted == 0


def test_postgresql_with_a_certificate_of_another_host_is_refused(postgres_url: str, authority: Authority) -> None:
    elsewhere = authority.issue("elsewhere", "elsewhere.example")
    with TlsProxy(urlsplit(postgres_url).port or 5432, elsewhere, postgres=True) as secured:
        url = postgres_place(postgres_url, secured.port, sslrootcert=authority.path)
        refused(lambda: WfStoreSaver(url), "elsewhere.example", "localhost")


def test_postgresql_without_tls_is_refused_where_tls_is_asked_for(postgres_url: str, authority: Authority) -> None:
    port = urlsplit(postgres_url).port or 5432
    url = postgres_place(postgres_url, port, sslrootcert=authority.path)
    refused(lambda: WfStoreSaver(url), "does not support SSL")
