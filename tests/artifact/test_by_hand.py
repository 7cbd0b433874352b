"""The exporter and a second writer, which was written from FORMAT.md alone, give the same members; both verify."""

from __future__ import annotations

import by_hand
import pytest
from rewriting import members_of

from langgraph_wfstore import WfStoreSaver, wfstore_verify
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_threads import SAMPLES

FREE = ("mimetype", "manifest.json", "README.txt", "derived/messages.txt")


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_exporter_writes_what_the_format_says(sample, tmp_path):
    with WfStoreSaver(":memory:") as saver:
        SAMPLES[sample](saver)
        report = saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        expected = by_hand.members(by_hand.contents(saver.store, THREAD))
        found = dict(members_of((tmp_path / "a.wfz").read_bytes()))
        assert [name for name in found if name not in FREE] == [name for name in expected if name not in FREE]
        for name, data in expected.items():
            assert name in FREE or found[name] == data, name
        checked = wfstore_verify.verify_file(tmp_path / "a.wfz", expect_head=report.head, expect_root=report.root)
        assert checked.ok, checked.problems
        assert checked.identity == report.identity


def test_withheld_values_verify(tmp_path):
    with WfStoreSaver(":memory:") as saver:
        SAMPLES["agent"](saver)
        report = saver.store.thread(THREAD).export(tmp_path / "a.wfz", redact=["messages"])
        checked = wfstore_verify.verify_file(tmp_path / "a.wfz", expect_head=report.head)
        assert checked.ok, checked.problems
        assert (checked.withheld, checked.withheld_bytes) == (report.withheld, report.withheld_bytes)
