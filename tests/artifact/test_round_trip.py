"""A thread's way through all engines, and what happens to artifacts while others write."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from langgraph.types import Command

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.artifact import exporting, importing, staging
from langgraph_wfstore.artifact.source import Source
from langgraph_wfstore.errors import BackendUnavailableError, IntegrityError, WfStoreError
from langgraph_wfstore.testing.contract_artifacts import records_of
from langgraph_wfstore.testing.contract_subgraphs import nested_graph
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human
from langgraph_wfstore.testing.sample_threads import CONFIG, chat, forked, waiting


def test_from_sqlite_to_postgres_to_redis_and_back(tmp_path, postgres_url, redis_url):
    urls = [tmp_path / "a.db", f"{postgres_url}?schema=travels", f"{redis_url}?prefix=travels", tmp_path / "b.db"]
    with WfStoreSaver(urls[0]) as first:
        waiting(first)
        first.store.thread(THREAD).export(tmp_path / "0.wfz")
        original = records_of(first.store)
    for number, url in enumerate(urls[1:], 1):
        with WfStoreSaver(url) as saver:
            saver.store.import_artifact(tmp_path / f"{number - 1}.wfz")
            assert records_of(saver.store) == original
            saver.store.thread(THREAD).export(tmp_path / f"{number}.wfz")
            if number == len(urls) - 1:
                out = nested_graph(saver, asks=True).invoke(Command(resume="yes"), CONFIG)
                assert out["note"] == "inner said yes"
                assert saver.store.thread(THREAD).verify().ok
    assert len({(tmp_path / f"{number}.wfz").read_bytes() for number in range(len(urls))}) == 1


def test_what_is_put_during_an_export_is_left_out(tmp_path, monkeypatch):
    with WfStoreSaver(tmp_path / "a.db") as saver, WfStoreSaver(":memory:") as other:
        chat(saver)
        head = saver.store.thread(THREAD).head
        lines = Source.lines

        def meanwhile(self):
            chat_graph(saver).invoke(says_human(7), CONFIG)
            return lines(self)

        monkeypatch.setattr(Source, "lines", meanwhile)
        report = saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        assert report.head == head != saver.store.thread(THREAD).head
        assert other.store.import_artifact(tmp_path / "a.wfz").verify(expect_head=head).ok


def test_an_export_begins_anew_if_content_was_removed_meanwhile(tmp_path, monkeypatch):
    with WfStoreSaver(tmp_path / "a.db") as saver, WfStoreSaver(":memory:") as other:
        chat(saver)
        lines, began = Source.lines, []

        def meanwhile(self):
            began.append(self)
            for number, line in enumerate(lines(self)):
                if number == 3 and len(began) == 1:
                    saver.store.prune([THREAD])
                yield line

        monkeypatch.setattr(Source, "lines", meanwhile)
        saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        assert len(began) == 2
        monkeypatch.setattr(Source, "lines", lines)
        assert other.store.import_artifact(tmp_path / "a.wfz").verify().pruned
        assert records_of(other.store) == records_of(saver.store)


def test_an_export_gives_up_if_content_is_removed_again_and_again(tmp_path, monkeypatch):
    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        monkeypatch.setattr(exporting, "stands", lambda *_: False)
        with pytest.raises(BackendUnavailableError, match="removed 10 times"):
            saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        assert list(tmp_path.iterdir()) == []


def test_damaged_content_is_not_exported(tmp_path):
    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        (lineage,) = saver.store.backend._lineages.values()
        number = max(n for n, row in lineage.objects.items() if row.form == 0 and row.data)
        lineage.objects[number] = lineage.objects[number]._replace(data=b"other")
        with pytest.raises(IntegrityError, match="do not match"):
            saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_old_file_and_nothing_else(tmp_path):
    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        (tmp_path / "a.wfz").write_bytes(b"old")

        def fails(_):
            raise RuntimeError("predicate")

        with pytest.raises(RuntimeError, match="predicate"):
            saver.store.thread(THREAD).export(tmp_path / "a.wfz", redact=[fails])
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
        with pytest.raises(WfStoreError, match="there is no directory"):
            saver.store.thread(THREAD).export(tmp_path / "nowhere" / "a.wfz")


@pytest.mark.parametrize("large", [False, True])
def test_many_import_the_same_at_once(tmp_path, monkeypatch, large):
    """One of them makes the thread; the others find it there, or it is refused as busy, and nothing is left over."""
    if large:
        monkeypatch.setattr(staging, "_HELD", 0)
        monkeypatch.setattr(importing, "_RECORDS", 5)
    with WfStoreSaver(":memory:") as source:
        forked(source)
        source.store.thread(THREAD).export(tmp_path / "a.wfz")
        original = records_of(source.store)
    savers = [WfStoreSaver(tmp_path / "b.db") for _ in range(4)]
    at_once = threading.Barrier(4)

    def bring(saver):
        at_once.wait()
        return saver.store.import_artifact(tmp_path / "a.wfz").head

    with ThreadPoolExecutor(4) as pool:
        heads = list(pool.map(bring, savers))
    assert len(set(heads)) == 1
    assert savers[0].store.stats()["threads"] == 1
    assert records_of(savers[0].store) == original
    assert savers[0].store.thread(THREAD).verify().ok
    for saver in savers:
        saver.close()
