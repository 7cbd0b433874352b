"""What the floor and the reports say where the contract cannot see it: times, damage, read-only stores, printing."""

from __future__ import annotations

import io
import sqlite3
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.console import Console

from langgraph_wfstore import IntegrityError, PrunedThread, PruneReport, RetentionError, WfStore, WfStoreSaver
from langgraph_wfstore.records import CheckpointRecord, Ref
from langgraph_wfstore.retention.dating import limit_ns, moment_ns, moment_text
from langgraph_wfstore.retention.dating import time_of as _time_of
from langgraph_wfstore.retention.floor import check_floor
from langgraph_wfstore.retention.policy import newest
from langgraph_wfstore.retention.removal import whole_of
from langgraph_wfstore.retention.verbs import content_of
from langgraph_wfstore.testing.api import SyncApi
from langgraph_wfstore.testing.contract_pruning import put_aged, shown
from langgraph_wfstore.testing.sample_graphs import line_graph

DAY = timedelta(days=1)
NEW_YEAR = 1767225600 * 10**9


def time_of(ts: str) -> int | None:
    metadata = Ref("object", bytes(32))
    fixed = CheckpointRecord("", "c", None, None, (), (), None, 4, "", metadata, None, None, None, None, ())
    return _time_of(fixed._replace(ts=ts))


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        ("2026-01-01T00:00:00+00:00", NEW_YEAR),
        ("2026-01-01T00:00:00Z", NEW_YEAR),
        ("2026-01-01T02:00:00+02:00", NEW_YEAR),
        ("2026-01-01T00:00:00.000001+00:00", NEW_YEAR + 1000),
        ("0001-01-01T00:00:00+23:59", -62135683140 * 10**9),
        ("2026-01-01T00:00:00", None),
        ("2026-01-01", None),
        ("", None),
        ("yesterday", None),
        ("99999-01-01T00:00:00Z", None),
    ],
)
def test_a_time_stamp_says_a_moment_or_none(ts, expected):
    assert time_of(ts) == expected


def test_a_limit_is_a_moment_in_any_zone_or_a_span_before_now():
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert limit_ns(moment, 0) == moment_ns(moment) == NEW_YEAR
    assert limit_ns(DAY, NEW_YEAR) == NEW_YEAR - 86400 * 10**9
    assert limit_ns(None, 0) is None


def test_a_moment_prints_and_one_that_no_calendar_has_does_not_raise():
    assert moment_text(NEW_YEAR) == "2026-01-01T00:00:00+00:00"
    assert "9999" in moment_text(10**30)


@pytest.mark.parametrize("value", [b"thirty days", b"", "30"])
def test_a_damaged_floor_lets_nothing_go(tmp_path, value):
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        api = SyncApi(saver)
        put_aged(api, [90, 80])
        saver.store.set_retention_floor(DAY)
        with sqlite3.connect(path) as db:
            db.execute("UPDATE store SET value = ? WHERE name = 'setting retention_floor'", (value,))
        db.close()
        for remove in (lambda: saver.prune(["t"]), lambda: saver.delete_thread("t"), lambda: saver.store.prune()):
            with pytest.raises(IntegrityError, match=r"retention.floor"):
                remove()
        assert len(shown(api)) == 2
        if isinstance(value, bytes):
            saver.store.set_retention_floor(2 * DAY, force=True)
            assert saver.store.retention_floor == 2 * DAY


def test_a_dry_run_needs_no_right_to_write(tmp_path):
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        put_aged(SyncApi(saver), [90, 80])
    with WfStore.open(tmp_path / "agent.db", read_only=True) as store:
        assert store.prune(older_than=DAY, dry_run=True).total.checkpoints == 1
        assert store.prune(None, "delete", older_than=DAY, dry_run=True).total.deleted


def test_the_largest_floor_is_kept_and_said():
    with WfStoreSaver(":memory:") as saver:
        put_aged(SyncApi(saver), [90])
        saver.store.set_retention_floor(timedelta.max)
        assert saver.store.retention_floor == timedelta.max
        with pytest.raises(Exception, match="after the year 9999"):
            saver.delete_thread("t")


def test_a_report_prints_as_a_table_of_a_few_threads():
    threads = [PrunedThread(f"thread {n}", branches=("fork-1",), checkpoints=n, bytes=10 * n) for n in range(1, 31)]
    report = PruneReport(False, 40, tuple(threads))
    out = io.StringIO()
    Console(file=out, width=120).print(report)
    for printed in (out.getvalue(), str(report)):
        assert "went, of 40 threads" in printed
        assert "thread 20" in printed and "thread 21" not in printed
        assert "and 10 more" in printed and "fork-1" in printed
        assert [line.split() for line in printed.splitlines() if "total" in line] == [
            ["total", "465", "-", "-", "-", "4650", "-", "-"]
        ]
    assert len(report.as_dict()["threads"]) == 30
    assert str(PruneReport(True, 1, ())).splitlines()[0] == "would go, of 1 thread"


def test_a_thread_is_as_young_as_its_youngest_run_step_or_call():
    with WfStoreSaver(":memory:") as saver:
        before = time.time_ns()
        line_graph(saver, "a").invoke({"log": ["in"]}, {"configurable": {"thread_id": "t"}})
        whole = whole_of(saver.store.backend, saver.store.views.tail("t"))
        whole.entries.clear()
        latest, undated = newest(whole)
        assert latest is not None and latest >= before and not undated
        saver.store.set_retention_floor(DAY)
        with pytest.raises(RetentionError, match=r"(run|step) of run"):
            check_floor(saver.store.backend, "asked", whole, (), content_of(whole)[1])


def test_now_is_what_an_age_counts_from():
    with WfStoreSaver(":memory:") as saver:
        api = SyncApi(saver)
        stored = put_aged(api, [0, 0])
        assert saver.store.prune(older_than=timedelta(minutes=5)).threads == ()
        saver.store.prune(older_than=datetime.now(UTC) + DAY)
        assert len(shown(api)) == 1 and stored
