"""A compressed thread that is mostly the same again: what the export writes, import and verifier take by default."""

from __future__ import annotations

import zipfile

import pytest

from langgraph_wfstore import WfStore, WfStoreSaver, wfstore_verify
from langgraph_wfstore.artifact import layout
from langgraph_wfstore.artifact.opening import Limits
from langgraph_wfstore.errors import ArtifactError
from langgraph_wfstore.testing.material import THREAD, checkpoint_of, config_of, metadata_of


@pytest.fixture
def saver():
    """A thread of two values, one of which deflates very well."""
    with WfStoreSaver(":memory:") as saver:
        checkpoint = checkpoint_of({"a": "x" * (6 << 20), "b": "something else"}, {"a": 1, "b": 1})
        saver.put(config_of(), checkpoint, metadata_of(0), checkpoint["channel_versions"])
        yield saver


def methods(path) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: info.compress_type for info in archive.infolist() if info.filename != "mimetype"}


def test_what_deflates_better_than_a_hundred_to_one_is_stored_in_a_large_artifact(saver, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "ANYWAY", 2 << 20)
    monkeypatch.setattr(wfstore_verify, "_INFLATED", 2 << 20)
    thread = saver.store.thread(THREAD)
    plain = thread.export(tmp_path / "plain.wfz")
    packed = thread.export(tmp_path / "packed.wfz", compress=True)
    assert packed.identity == plain.identity
    found = methods(tmp_path / "packed.wfz")
    assert [name for name in found if found[name] == zipfile.ZIP_STORED] == ["objects/000001.jsonl"]
    assert wfstore_verify.verify_file(tmp_path / "packed.wfz").problems == []
    with WfStore.open(":memory:") as store:
        assert store.import_artifact(tmp_path / "packed.wfz").verify().ok


def test_in_a_small_artifact_everything_is_deflated(saver, tmp_path):
    saver.store.thread(THREAD).export(tmp_path / "a.wfz", compress=True)
    assert set(methods(tmp_path / "a.wfz").values()) == {zipfile.ZIP_DEFLATED}
    assert wfstore_verify.verify_file(tmp_path / "a.wfz").problems == []


def test_a_file_out_of_proportion_is_refused_with_what_to_do(saver, tmp_path, monkeypatch):
    saver.store.thread(THREAD).export(tmp_path / "a.wfz", compress=True)
    monkeypatch.setattr(layout, "ANYWAY", 2 << 20)
    monkeypatch.setattr(wfstore_verify, "_INFLATED", 2 << 20)
    (problem,) = wfstore_verify.verify_file(tmp_path / "a.wfz").problems
    assert "allow so many (--max-inflated)" in problem
    assert wfstore_verify.verify_file(tmp_path / "a.wfz", max_inflated=10 << 20).problems == []
    with WfStore.open(":memory:") as store:
        with pytest.raises(ArtifactError, match=r"limits=Limits\(bytes=\.\.\., ratio=\.\.\.\)"):
            store.import_artifact(tmp_path / "a.wfz")
        assert store.import_artifact(tmp_path / "a.wfz", limits=Limits(ratio=1000)).verify().ok


def test_a_line_over_the_limit_is_refused_with_what_to_do(saver, tmp_path):
    saver.store.thread(THREAD).export(tmp_path / "a.wfz")
    refusal = pytest.raises(ArtifactError, match=r"limits=Limits\(line=\.\.\.\)")
    with WfStore.open(":memory:") as store, refusal:
        store.import_artifact(tmp_path / "a.wfz", limits=Limits(line=1 << 20))
