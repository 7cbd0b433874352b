"""Merges: a thread that the golden file does not have, against vectors that never change after a release."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import golden_threads
import independent_verifier as other
import make_golden
import pytest
from noticing import assert_both_notice

from langgraph_wfstore.errors import ConflictError
from langgraph_wfstore.store import WfStore

MERGED = json.loads(make_golden.VECTORS.read_text("utf-8"))["merged"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "merged.db"
    with WfStore.open(path, lineage_secret=golden_threads.secrets().__next__) as store:
        golden_threads.build_merged(store)
    return path


def test_the_same_operations_give_the_same_head(path):
    with (
        WfStore.open(":memory:", lineage_secret=golden_threads.secrets().__next__) as memory,
        WfStore.open(path) as file,
    ):
        golden_threads.build_merged(memory)
        for store in (memory, file):
            assert store.threads()[0].records == MERGED["records"]
            assert store.thread("merged").verify(expect_head=MERGED["head"]).problems == ()
            assert store.thread("merged").head == MERGED["head"]


def test_a_merge_goes_on_from_the_head_of_its_branch_or_is_refused(path):
    with WfStore.open(path) as store:
        before = store.threads()
        with pytest.raises(ConflictError, match="head of no branch"):
            golden_threads.merge(store, 12, 10, 7, base=None, branch="main")
        assert store.threads() == before


def test_both_verifiers_find_it_sound(path):
    found = other.verify(path)["merged"]
    assert (found.problems, found.head, found.unsealed) == ([], MERGED["head"], 0)


def test_its_second_parents_come_back(path):
    with WfStore.open(path) as store:
        merged = {c.checkpoint_id: c.merged for c in store.thread("merged").checkpoints() if c.merged}
    assert merged == {"c0005": "c0004", "c0007": "c0005", "c0008": "c0006", "c0010": "c0009"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"parent": 11},
        {"parent": 8, "base": 4},
        {"base": 7},
        {"base": 10},
        {"parent": bytes(32)},
        {"base": bytes(32)},
    ],
    ids=str,
)
def test_what_must_not_follow_is_noticed_by_both_verifiers(wrong, tmp_path, monkeypatch):
    """Merge records that are what their ids say, and yet cannot be."""
    path = tmp_path / "wrong.db"
    with WfStore.open(path) as store:
        golden_threads.build_merged(store)
        view = store.views.of("merged")

        def name(of: Any) -> Any:
            entry = None if isinstance(of, bytes) else view.entry(store.backend, "", f"c{of:04d}")
            return of if entry is None or entry.row is None else entry.row.id

        with view.lock:
            store.views.refresh(view)
            asked = {key: name(value) for key, value in {"parent": 7, "base": 6, **wrong}.items()}
        merged = golden_threads.Merged("c0007", asked["parent"], asked["base"])
        golden_threads.put(store, "merged", 12, 11, {"state": 12}, merged=merged, branch="main")
        ours = store.thread("merged").verify()
    theirs = other.verify(path)["merged"]
    if wrong == {"parent": 8, "base": 4}:  # an ancestor of its own: it can be, but is not where `within` leads
        assert len(ours.problems) == 1 and "within" in str(ours.problems[0])
    assert len(ours.problems) >= 1 and theirs.problems


@pytest.mark.parametrize(
    "what",
    [
        "UPDATE record SET within = NULL WHERE kind = 10 AND key & 255 = {last}",
        "UPDATE record SET anchor = 5 WHERE kind = 10 AND key & 255 = {last}",
        "UPDATE record SET source = 'loop' WHERE kind = 10 AND key & 255 = {last}",
        "UPDATE record SET refs = x'01' WHERE kind = 10 AND key & 255 = {last}",
        "UPDATE record SET state = 2 WHERE kind = 10 AND key & 255 = {last}",
        "UPDATE record SET kind = 6 WHERE kind = 10 AND key & 255 = {last}",
        "DELETE FROM record WHERE kind = 10 AND key & 255 = {last}",
    ],
)
def test_both_verifiers_notice_a_change(what, path):
    def change(db: sqlite3.Connection) -> None:
        last = db.execute("SELECT max(key) & 255 FROM record WHERE kind = 10").fetchone()[0]
        assert db.execute(what.format(last=last)).rowcount == 1

    assert_both_notice(path, change, ["merged"])
