"""Tampering: a change of any stored cell, a dropped, added, swapped or moved row is named by verify."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tampering
from tampered_store import build

from langgraph_wfstore import WfStoreSaver
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of

ROW_KINDS = {
    "record": {
        "checkpoint, ends a seal",
        "checkpoint below the root, ends a seal",
        "checkpoint",
        "write",
        "write, not sealed",
        "write, ends a seal",
        "branch, ends a seal",
        "merge, ends a seal",
        "merge",
        "removal, ends a seal",
        "hidden checkpoint, ends a seal",
        "skeleton of checkpoint, ends a seal",
        "skeleton of write",
        "run",
        "run, not sealed",
        "step",
        "step, not sealed",
        "call",
        "call, not sealed",
        "end",
        "end, not sealed",
        "end, ends a seal",
        "skeleton of run",
        "skeleton of step",
        "skeleton of call",
        "skeleton of end",
        "skeleton of end, ends a seal",
    },
    "object": {"object", "pack", "chunk", "list", "spliced list", "map", "redacted", "object with a nonce"},
    "branch": {"first", "other"},
    "thread": {"plain", "branched", "nested"},
    "store": {"secret", "created"},
    "tombstone": {"of a thread that lives", "of a thread that is gone"},
}


@pytest.fixture(scope="module")
def found(quick_folder: Path) -> tampering.Report:
    folder = quick_folder / "tampered"
    folder.mkdir()
    report = tampering.report(folder)
    print(f"\n{report}")
    return report


def test_every_change_that_is_not_exempt_is_named(found: tampering.Report) -> None:
    assert not found.unnamed, "\n".join(["verify finds nothing wrong after:", *map(str, found.unnamed)])


def test_verify_raises_nothing_but_our_own_errors(found: tampering.Report) -> None:
    assert not found.raised, "\n".join(f"{tamper}: {error!r}" for tamper, error in found.raised)


def test_what_is_exempt_changes_nothing_that_can_be_read(found: tampering.Report) -> None:
    harmful = [str(tamper) for tamper, harmless in found.exempt if not harmless]
    assert not harmful, "\n".join(["these change what is read, and verify finds nothing wrong:", *harmful])


def test_no_exemption_is_idle(found: tampering.Report) -> None:
    assert not found.idle, "verify names every change here: these need no exemption"


def test_only_what_leaves_a_store_that_could_be_as_it_is_needs_a_kept_head(found: tampering.Report) -> None:
    others = [str(tamper) for tamper in found.by_head if not tampering.needs_a_head(tamper)]
    assert not others, "\n".join(["verify should name these without a kept head:", *others])


def test_every_column_and_every_kind_of_row_was_tampered_with(found: tampering.Report, tmp_path: Path) -> None:
    build(tmp_path / "fresh.db")
    columns = tampering.Rows.read(tmp_path / "fresh.db").columns
    assert found.touched == {(table, column) for table, names in columns.items() for column in (*names, "*")}
    for table, kinds in ROW_KINDS.items():
        assert kinds <= {kind for of, kind in found.row_kinds if of == table}
    assert sum(found.tried.values()) > 1500


def test_a_file_put_back_to_an_older_state_is_named_against_a_kept_head(tmp_path: Path) -> None:
    with WfStoreSaver(tmp_path / "new.db") as saver:
        config = saver.put(config_of(), checkpoint_of({"n": 0}), metadata_of(), {})
    shutil.copyfile(tmp_path / "new.db", tmp_path / "old.db")
    with WfStoreSaver(tmp_path / "new.db") as saver:
        saver.put(config, checkpoint_of({"n": 1}), metadata_of(1), {})
        head = saver.store.thread("t").head
    with WfStoreSaver(tmp_path / "old.db") as saver:
        assert saver.store.thread("t").verify().ok
        assert not saver.store.thread("t").verify(expect_head=head).ok
