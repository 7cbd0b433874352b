"""A server that comes back as it was a moment before: verify names what is gone, and what is there can be used.

Append-only files that lack their end, snapshots, base backups: what was acknowledged since is lost. It is lost by whole
operations, on all threads alike, and a store that was open meanwhile must not take what it remembers for what is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Protocol

import pytest
from writing import numbers, put

from langgraph_wfstore import ConflictError, ThreadDeletedError, WfStoreSaver
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import config_of
from langgraph_wfstore.testing.postgres_server import PostgresServer, running
from langgraph_wfstore.testing.redis_server import RedisServer


class Forgetful(Protocol):
    """A server that can be set back."""

    url: str

    def keep(self) -> None:
        """Keep its data as they are now."""

    def set_back(self) -> None:
        """Kill it, and start it with the data that were kept."""


class RedisThatForgets:
    """On an append-only file, or on snapshots."""

    def __init__(self, engine: str, folder: Path, *, snapshots: bool) -> None:
        self._data, self._kept = folder / "data", folder / "kept"
        self._data.mkdir()
        self._snapshots = snapshots
        files = () if snapshots else (("appendonly", "yes"), ("appendfsync", "everysec"))
        self.server = RedisServer(engine, ("dir", str(self._data)), *files)
        self.url = self.server.url

    def keep(self) -> None:
        if self._snapshots:
            assert self.server.command("SAVE") == b"+OK"
        else:
            self.server.stop()  # it syncs its file
            self.server.start()
        shutil.copytree(self._data, self._kept)

    def set_back(self) -> None:
        self.server.kill()
        shutil.rmtree(self._data)
        self._kept.rename(self._data)
        self.server.start()


class PostgresThatForgets:
    """From a copy of its folder."""

    def __init__(self, server: PostgresServer) -> None:
        self._server, self.url = server, server.url

    def keep(self) -> None:
        self._server.shut_down()
        shutil.copytree(self._server.folder / "data", self._server.folder / "kept")
        self._server.start()

    def set_back(self) -> None:
        self._server.kill()
        shutil.rmtree(self._server.folder / "data")
        (self._server.folder / "kept").rename(self._server.folder / "data")
        self._server.give_away()
        self._server.start()


@pytest.fixture(params=["redis file", "valkey file", "valkey snapshot", "postgres"])
def forgetful(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forgetful]:
    if request.param == "postgres":
        with running(["synchronous_commit=off"]) as server:
            yield PostgresThatForgets(server)
        return
    engine, _, how = request.param.partition(" ")
    found = RedisThatForgets(engine, tmp_path, snapshots=how == "snapshot")
    with found.server:
        yield found


def head(saver: WfStoreSaver) -> str:
    """What its owner keeps elsewhere."""
    found = saver.store.thread("t").head
    assert found is not None
    return found


def test_verify_names_what_is_missing_against_a_head_that_was_kept(forgetful: Forgetful) -> None:
    with WfStoreSaver(forgetful.url) as saver:
        config = put(saver, "t", 1, put(saver, "t", 0))
        old = head(saver)
        forgetful.keep()
        config = put(saver, "t", 2, config)
        saver.put_writes(config, [("number", 7)], "task")
        kept = head(saver)
        forgetful.set_back()
        for asked in (saver, WfStoreSaver(forgetful.url)):
            with asked:
                report = asked.store.thread("t").verify(expect_head=kept)
                assert [problem.where for problem in report.problems] == ["head"]
                what = report.problems[0].what
                assert kept in what and f"ends with 2 seals, the last {old} at record 2" in what, what
                assert report.head == old and report.sealed == 2
                assert asked.store.thread("t").verify(expect_head=old).ok, "what is there is whole"
                assert numbers(asked, "t") == [1, 0]


def test_the_thread_goes_on_from_what_is_there(forgetful: Forgetful) -> None:
    with WfStoreSaver(forgetful.url) as saver, ExitStack() as opened:
        first = put(saver, "t", 0)
        forgetful.keep()
        lost = put(saver, "t", 6, first)  # with more objects than what takes its place
        forgetful.set_back()
        other = opened.enter_context(WfStoreSaver(forgetful.url))
        put(other, "t", 2, first)
        # The store that was open remembers another record of that number as the last one, and goes on from it. Such
        # a late put is kept: its parent is not there, but its state is its own.
        late = put(saver, "t", 4, lost)
        again = put(saver, "t", 3, first)
        assert set(numbers(saver, "t")) == set(numbers(other, "t")) == {0, 2, 3, 4}
        for asked in (saver, other):
            assert_sound(asked, "t")
            found = asked.get_tuple(late)
            assert found is not None and found.checkpoint["channel_values"]["number"] == 4
            found = asked.get_tuple(again)
            assert found is not None and found.checkpoint["channel_values"]["number"] == 3
            assert asked.get_tuple(lost) is None


def test_writes_to_a_checkpoint_that_was_lost_wait_for_it(forgetful: Forgetful) -> None:
    with WfStoreSaver(forgetful.url) as saver:
        first = put(saver, "t", 0)
        forgetful.keep()
        lost = put(saver, "t", 1, first)
        forgetful.set_back()
        saver.put_writes(lost, [("number", 7)], "task")
        assert numbers(saver, "t") == [0]
        assert_sound(saver, "t")


def test_objects_that_were_lost_are_stored_again(forgetful: Forgetful) -> None:
    """The same text as in what was lost: a store that was open must not point at what is no more."""
    with WfStoreSaver(forgetful.url) as saver:
        first = put(saver, "t", 0)
        forgetful.keep()
        put(saver, "t", 5, first)
        forgetful.set_back()
        again = put(saver, "t", 5, first)
        for asked in (saver, WfStoreSaver(forgetful.url)):
            with asked:
                found = asked.get_tuple(again)
                assert found is not None and found.checkpoint["channel_values"]["text"].startswith("5 x")
                assert numbers(asked, "t") == [5, 0]
                assert_sound(asked, "t")


def test_objects_that_a_copy_lost_are_stored_again(forgetful: Forgetful) -> None:
    """Copies share their objects: the thread itself has lost nothing, and yet what it could have pointed at is gone."""
    with WfStoreSaver(forgetful.url) as saver:
        first = put(saver, "t", 0)
        saver.copy_thread("t", "copy")
        copied = saver.get_tuple(config_of("copy"))
        assert copied is not None
        forgetful.keep()
        put(saver, "copy", 5, copied.config)
        forgetful.set_back()
        again = put(saver, "t", 5, first)
        for asked in (saver, WfStoreSaver(forgetful.url)):
            with asked:
                assert_sound(asked, "t", "copy")
                found = asked.get_tuple(again)
                assert found is not None and found.checkpoint["channel_values"]["text"].startswith("5 x")
                assert (numbers(asked, "t"), numbers(asked, "copy")) == ([5, 0], [0])


def test_a_thread_that_was_lost_begins_anew(forgetful: Forgetful) -> None:
    with WfStoreSaver(forgetful.url) as saver:
        put(saver, "other", 0)
        forgetful.keep()
        config = put(saver, "t", 1, put(saver, "t", 0))
        forgetful.set_back()
        assert [info.thread_id for info in saver.store.threads()] == ["other"]
        assert saver.get_tuple(config_of("t")) is None
        put(saver, "t", 2, config)
        with WfStoreSaver(forgetful.url) as again:
            assert numbers(saver, "t") == numbers(again, "t") == [2]
            assert_sound(again, "t", "other")


def test_a_deletion_that_was_lost_is_undone_and_can_be_repeated(forgetful: Forgetful) -> None:
    with WfStoreSaver(forgetful.url) as saver:
        config = put(saver, "t", 0)
        forgetful.keep()
        saver.delete_thread("t")
        with pytest.raises(ThreadDeletedError):
            put(saver, "t", 1, config)
        forgetful.set_back()
        assert numbers(saver, "t") == [0]
        with WfStoreSaver(forgetful.url) as other:
            config = put(other, "t", 2, config)  # nothing there says that its life has ended
            assert numbers(other, "t") == numbers(saver, "t") == [2, 0]
            saver.delete_thread("t")
            with pytest.raises(ThreadDeletedError):
                put(other, "t", 3, config)
            assert other.get_tuple(config_of("t")) is None


def test_a_lease_that_was_lost_can_be_given_to_another(forgetful: Forgetful) -> None:
    with WfStoreSaver(forgetful.url) as saver, WfStoreSaver(forgetful.url) as other:
        put(saver, "t", 0)
        forgetful.keep()
        held = saver.claim("t", ttl=600)
        with pytest.raises(ConflictError):
            other.claim("t", ttl=600)
        forgetful.set_back()
        given = other.claim("t", ttl=600)
        assert given.token == held.token, "docs/redis.md and docs/postgres.md say that it may be the same"


# ------------------------------------------------------------------ an append-only file without its end


def end_of_file(folder: Path) -> Path:
    """The file that the server appends to: one, or the last of a folder."""
    return max(folder.rglob("*.aof"), key=lambda path: (".incr." in path.name, path.stat().st_mtime))


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_a_file_that_is_cut_anywhere_holds_whole_operations(engine: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    settings = (("dir", str(folder)), ("appendonly", "yes"), ("appendfsync", "everysec"))
    heads: dict[int, str] = {}
    with RedisServer(engine, *settings) as server:
        with WfStoreSaver(server.url) as saver:
            config = put(saver, "t", 0)
            server.stop()
            begin = end_of_file(folder).stat().st_size
            server.start()
            for number in range(1, 12):
                config = put(saver, "t", number, config)
                saver.put_writes(config, [("number", number)], f"task {number}")
                heads[number] = head(saver)
        server.stop()
        whole = end_of_file(folder).read_bytes()
        random, seen = Random(7), set[int]()
        for at in sorted(random.sample(range(begin, len(whole)), 12)):
            end_of_file(folder).write_bytes(whole[:at])
            server.start()
            with WfStoreSaver(server.url) as saver:
                there = numbers(saver, "t")
                assert there == [*range(len(there))][::-1], "a part of what came before is missing"
                seen.add(len(there))
                assert_sound(saver, "t")
                for number, kept in heads.items():
                    assert saver.store.thread("t").verify(expect_head=kept).ok == (number < len(there)), number
            server.kill()
        assert len(seen) > 5, f"the cuts were all at the same place: {seen}"
