"""Proofs: one record is in a thread, and the one file of the standard library can tell."""

from __future__ import annotations

import json

import pytest

from langgraph_wfstore import WfStoreSaver, wfstore_verify
from langgraph_wfstore.backends.base import SKELETON
from langgraph_wfstore.errors import ThreadNotFoundError, WfStoreError
from langgraph_wfstore.testing.contract_artifacts import records_of
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_threads import SAMPLES


def proven(proof, root=None):
    return wfstore_verify.verify_proof(json.dumps(proof).encode(), root or proof["root"])


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_record_of_every_thread_is_proven(sample, tmp_path):
    with WfStoreSaver(":memory:") as saver:
        SAMPLES[sample](saver)
        thread = saver.store.thread(THREAD)
        root = thread.export(tmp_path / "a.wfz").root
        for name, *_ in records_of(saver.store):
            record_id = f"sha256:{name.hex()}"
            for values in (True, False):
                proof = thread.prove(record_id, values)
                report = proven(proof, root)
                assert report.ok, report.problems
                assert proof["root"] == root and proof["records"][0]["record"]["id"] == record_id


@pytest.fixture
def call():
    """A proof of a tool call, in a thread with others."""
    with WfStoreSaver(":memory:") as saver:
        SAMPLES["agent"](saver)
        thread = saver.store.thread(THREAD)
        (found,) = thread.calls(kind="tool")
        yield thread.prove(found.record_id)


def test_a_call_is_proven_with_its_end_and_what_it_was_asked_and_gave(call):
    kinds = [each["record"]["body"]["kind"] for each in call["records"]]
    assert kinds == ["call", "end"] and call["objects"]
    assert any("found x" in line.get("latin1", "") for line in call["objects"])
    assert len(json.dumps(call)) < 8000


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["records"][0]["record"]["body"].update(name="other"),
        lambda p: p["records"][0]["path"].pop(),
        lambda p: p["records"][0]["path"].append(p["root"]),
        lambda p: p["records"][0]["path"].reverse(),
        lambda p: p["records"][0].update(path=p["records"][1]["path"]),
        lambda p: p["objects"][0].update(latin1="other"),
        lambda p: p["objects"].pop(),
        lambda p: p["objects"].append(p["objects"][0]),
        lambda p: p["records"].clear(),
        lambda p: p.update(root="sha256:" + "00" * 32),
        lambda p: p.update(format=2),
    ],
)
def test_a_changed_proof_proves_nothing(call, change):
    root = call["root"]
    assert proven(call, root).ok
    change(call)
    assert not proven(call, root).ok


def test_of_a_removed_record_only_the_id_is_shown():
    """Nothing vouches for what a proof says besides: the record may be there, whole, and of another kind."""
    with WfStoreSaver(":memory:") as saver:
        SAMPLES["of_deleted_run"](saver)
        thread = saver.store.thread(THREAD)
        names = [f"sha256:{name.hex()}" for name, state, *_ in records_of(saver.store) if state == SKELETON]
        whole = next(f"sha256:{name.hex()}" for name, state, *_ in records_of(saver.store) if not state)
        removed, honest = thread.prove(names[0]), thread.prove(whole)
    (row,) = removed["records"]
    lies = json.loads(json.dumps(honest))
    lies["records"] = [{**lies["records"][0], "record": {**row["record"], "id": whole}}]
    lies["objects"] = []
    for proof in (removed, lies):
        report = proven(proof)
        assert report.ok, report.problems
        assert [(each.kind, each.fields, each.removed) for each in report.records] == [("", {}, True)]
        said = "\n".join(wfstore_verify.describe_proof(report))
        assert row["record"]["kind"] not in said and "only that this id is in the tree is shown" in said
        assert "nor that its content was removed" in said


def test_another_root_is_not_the_one(call):
    assert not proven(call, "sha256:" + "11" * 32).ok


def test_bad_input():
    with WfStoreSaver(":memory:") as saver:
        SAMPLES["chat"](saver)
        thread = saver.store.thread(THREAD)
        with pytest.raises(ValueError, match="not a digest"):
            thread.prove("nothing")
        with pytest.raises(WfStoreError, match="has no record sha256:00"):
            thread.prove("sha256:" + "00" * 32)
        saver.store.delete_thread(THREAD)
        with pytest.raises(ThreadNotFoundError):
            thread.prove("sha256:" + "00" * 32)
