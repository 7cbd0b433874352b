"""The benchmark's arithmetic on made-up runs, and that a small session gives rows; nothing is timed."""

import json
import sqlite3
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("langgraph.checkpoint.sqlite", reason="the bench extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # bench is not part of the installed package

from bench.__main__ import main
from bench.chats import ReadBackError
from bench.driver import driver
from bench.report import report
from bench.results import Run, Session, Summaries
from bench.savers import SAVERS
from bench.slower_disk import make_commits_slower
from bench.targets import TARGETS, AtMost, Target, TimesBetter, verdict
from bench.workloads import EVERYTHING, Spec, grouped, parse

SIZE = Target("chat-200", "disk_bytes", TimesBetter(100), AtMost(0.8e6, "0.8 MB"))
RATE = Target("micro-2000", "put_per_s", TimesBetter(0.7), TimesBetter(1))


def runs(saver: str, workload: str, metric: str, *values: float) -> list[Run]:
    return [Run(saver, workload, repetition, {metric: value}) for repetition, value in enumerate(values)]


def sizes(own: float) -> list[Run]:
    return runs("sqlite", "chat-200", "disk_bytes", 93e6) + runs("wfstore-sqlite", "chat-200", "disk_bytes", own)


def test_a_summary_is_the_median_with_its_range():
    summary = Summaries(runs("sqlite", "chat-200", "wall_s", 3.0, 1.0, 1.5)).get("chat-200", "sqlite", "wall_s")
    assert (summary.median, summary.low, summary.high) == (1.5, 1.0, 3.0)


def test_a_ratio_says_times_better_whichever_way_better_is():
    smaller = Summaries(sizes(0.5e6))
    assert smaller.ratio("chat-200", "wfstore-sqlite", "sqlite", "disk_bytes") == pytest.approx(186)
    rates = runs("sqlite", "micro-2000", "put_per_s", 4000) + runs("wfstore-sqlite", "micro-2000", "put_per_s", 3000)
    assert Summaries(rates).ratio("micro-2000", "wfstore-sqlite", "sqlite", "put_per_s") == pytest.approx(0.75)


def test_there_is_no_ratio_without_a_baseline_or_to_nothing():
    assert Summaries(sizes(0)).ratio("chat-200", "wfstore-sqlite", "sqlite", "disk_bytes") is None
    assert Summaries(sizes(1e6)).ratio("chat-200", "wfstore-sqlite", None, "disk_bytes") is None
    assert Summaries(sizes(1e6)).ratio("chat-200", "wfstore-sqlite", "aiosqlite", "disk_bytes") is None


@pytest.mark.parametrize(
    ("own", "first_step", "goal"),
    [(0.5e6, "met", "met"), (0.93e6, "met", "not met"), (0.94e6, "not met", "not met")],
)
def test_a_target_is_met_from_its_bound_on(own, first_step, goal):
    measured = Summaries(sizes(own))
    assert (verdict(SIZE, SIZE.first_step, measured), verdict(SIZE, SIZE.goal, measured)) == (first_step, goal)


def test_a_target_without_the_baseline_is_not_measured_but_an_absolute_one_is():
    measured = Summaries(runs("wfstore-sqlite", "chat-200", "disk_bytes", 0.5e6))
    assert verdict(SIZE, SIZE.first_step, measured) == "not measured"
    assert verdict(SIZE, SIZE.goal, measured) == "met"
    assert verdict(RATE, RATE.goal, measured) == "not measured"


def test_one_failed_run_fails_the_target_and_is_shown():
    failed = [*sizes(0.5e6), Run("wfstore-sqlite", "chat-200", 1, error="ReadBackError: chat | lost")]
    assert verdict(SIZE, SIZE.goal, Summaries(failed)) == "failed"
    page = report(Session({}, {}, failed))
    assert "WfStoreSaver: 1 failed" in page
    assert "ReadBackError: chat | lost" in page


def test_the_report_prints_measured_against_target():
    page = report(Session({"Python": "3"}, {"aiosqlite": "ImportError: no"}, sizes(0.9e6)))
    assert "| chat-200 | on disk | 93 MB | 0.9 MB | 103x | 100x | met | ≤ 0.8 MB | not met |" in page
    assert "Skipped aiosqlite: ImportError: no" in page


def test_every_target_belongs_to_a_workload_of_the_default_session():
    assert {target.workload for target in TARGETS} <= {parse(name).name for name in EVERYTHING.split(",")}


def test_a_workload_name_reads_back_and_follow_ups_that_only_read_go_first():
    specs = [parse(name) for name in ("fork-20@chat-200", "history@chat-200", "bigdoc-200")]
    assert [spec.name for spec in specs] == ["fork-20@chat-200", "history@chat-200", "bigdoc-200"]
    assert grouped(specs) == {Spec("chat", 200): [specs[1], specs[0]], specs[2]: []}
    assert parse("resume@chat", quick=True) == Spec("resume", 3, 20)


@pytest.mark.parametrize("name", ["chatt-200", "resume-50", "chat-200@chat-200", "resume-50@bigdoc-200"])
def test_a_wrong_workload_name_is_refused(name):
    with pytest.raises(ValueError, match="workload"):
        parse(name)


def test_a_saver_that_loses_a_message_fails_its_run(tmp_path):
    with driver(SAVERS["ref"], tmp_path, "sync") as opened:
        put = opened.checkpointer.put

        def forgetful(config, checkpoint, metadata, new_versions):
            values = {**checkpoint["channel_values"], "messages": checkpoint["channel_values"].get("messages", [])[:2]}
            return put(config, {**checkpoint, "channel_values": values}, metadata, new_versions)

        opened.checkpointer.put = forgetful
        with pytest.raises(ReadBackError):
            parse("chat-3").measure(opened)


@pytest.mark.parametrize("saver", ["ref", "aref"])
def test_a_quick_session_gives_a_row_per_workload(tmp_path, capsys, saver):
    kept = tmp_path / "runs.json"
    workloads = "chat-6,fork-1@chat-6,history@chat-6"
    assert main(["--quick", "--savers", saver, "--workloads", workloads, "--json", str(kept)]) == 0
    measured = [run["workload"] for run in json.loads(kept.read_text())["runs"]]
    assert measured == ["chat-6", "history@chat-6", "fork-1@chat-6"]
    assert report(Session.load(kept)) == capsys.readouterr().out.removesuffix("\n")


def test_the_disk_can_be_made_slower_for_every_saver(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)  # put back afterwards
    make_commits_slower(1.5)
    monkeypatch.setattr(time, "sleep", waited.append)
    for saver in ("sqlite", "wfstore-states"):
        (tmp_path / saver).mkdir()
        with driver(SAVERS[saver], tmp_path / saver, "sync") as opened:
            waited.clear()
            parse("micro-4").measure(opened)
            assert waited.count(0.0015) == 8, saver  # 4 puts, 4 put_writes
