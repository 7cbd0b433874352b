"""What an attack on artifacts found: each is refused, or harmless, and stays so."""

from __future__ import annotations

import itertools
import json
import threading

import pytest

from langgraph_wfstore import WfStore, WfStoreSaver, wfstore_verify
from langgraph_wfstore.appending import trace
from langgraph_wfstore.artifact.lines import RecordLine
from langgraph_wfstore.artifact.opening import Limits
from langgraph_wfstore.artifact.record_rows import RecordRows
from langgraph_wfstore.artifact.value_rows import ValueRows
from langgraph_wfstore.backends.base import KEPT
from langgraph_wfstore.cost import _within
from langgraph_wfstore.errors import ArtifactError, IntegrityError
from langgraph_wfstore.format import label_body, read_record, record_id
from langgraph_wfstore.records import CallRecord, Kind, LabelRecord, RunRecord, StepRecord
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.material import THREAD, config_of
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human
from langgraph_wfstore.testing.sample_threads import CONFIG, agent, chat


def test_an_export_that_withholds_while_others_write(tmp_path):
    with WfStoreSaver(tmp_path / "a.db") as saver, WfStoreSaver(tmp_path / "a.db") as other:
        chat(saver)
        saver.store.copy_thread(THREAD, "copy")
        ended = threading.Event()

        def write():
            for number in itertools.count(10):
                for thread_id in (THREAD, "copy"):
                    chat_graph(other).invoke(says_human(number), config_of(thread_id, ns=None))
                if ended.is_set():
                    return

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(8):
                report = saver.store.thread(THREAD).export(tmp_path / "a.wfz", redact=["messages"])
                assert report.withheld and wfstore_verify.verify_file(tmp_path / "a.wfz").ok
        finally:
            ended.set()
            writer.join()


def test_the_record_of_a_call_takes_what_it_gave_too(tmp_path):
    with WfStoreSaver(":memory:") as saver, WfStoreSaver(":memory:") as other:
        agent(saver)
        thread = saver.store.thread(THREAD)
        (call,) = thread.calls(kind="tool")
        assert call.output.content == "found x"
        thread.export(tmp_path / "a.wfz", redact=[call.record_id])
        (found,) = other.store.import_artifact(tmp_path / "a.wfz").calls(kind="tool")
        assert "found x" not in str(found.output)
        assert all("found x" not in str(m.content) for m in chat_graph(other).get_state(CONFIG).values["messages"])


@pytest.mark.parametrize(
    "change",
    [
        lambda body: {**body, "more": 1},
        lambda body: {**body, "name": {"u8": "78"}},
        lambda body: {**body, "format": True},
    ],
)
def test_a_body_that_could_be_written_otherwise_is_refused(change):
    """Its id is right: whoever made it has hashed it."""
    fields = change(json.loads(label_body(LabelRecord(1, "x"))))
    body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    rows = RecordRows(ValueRows(Limits()))
    line = RecordLine(record_id(Kind.LABEL, body), Kind.LABEL, KEPT, body, None, None)
    with pytest.raises(
        (ArtifactError, IntegrityError), match=r"is not written as a label record must be|cannot be read"
    ):
        rows.take(line, read_record(Kind.LABEL, body), "a line")


def test_a_position_that_leaves_no_room_is_refused(tmp_path):
    from rewriting import agreed, archive_of, members_of

    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        saver.store.thread(THREAD).export(tmp_path / "a.wfz")
    members = dict(members_of((tmp_path / "a.wfz").read_bytes()))
    lines = [json.loads(line) for line in members["records/000001.jsonl"].splitlines()]
    last = max((line for line in lines if "position" in line), key=lambda line: line["position"])
    last["position"] = 2**53 - 1
    members["records/000001.jsonl"] = b"".join(
        json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for line in lines
    )
    (tmp_path / "b.wfz").write_bytes(archive_of(agreed([*members.items()])))
    with WfStore.open(":memory:") as store, pytest.raises(ArtifactError, match="too large for"):
        store.import_artifact(tmp_path / "b.wfz")


@pytest.mark.parametrize("thread_id", ["x" * 10_001, "\0wfstore import 7"])
def test_thread_ids_that_no_thread_can_have(thread_id, tmp_path):
    from rewriting import archive_of, canonical, members_of

    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        with pytest.raises(ValueError, match="thread_id"):
            chat_graph(saver).invoke(says_human(1), config_of(thread_id, ns=None))
    members = members_of((tmp_path / "a.wfz").read_bytes())
    manifest = canonical({**json.loads(members[1][1]), "thread": thread_id})
    (tmp_path / "a.wfz").write_bytes(archive_of([members[0], ("manifest.json", manifest), *members[2:]]))
    with WfStore.open(":memory:") as store:
        for own in (None, "good"):
            with pytest.raises(ArtifactError, match="thread_id"):
                store.import_artifact(tmp_path / "a.wfz", own)
        assert store.threads() == []
    assert not wfstore_verify.verify_file(tmp_path / "a.wfz").ok


def test_steps_that_are_inside_themselves_end_somewhere():
    class Step:
        parent = "b"

    class Other:
        parent = "a"

    assert not _within("a", {"a": Step(), "b": Other()}, {"c"})


def test_what_followed_from_a_call_in_a_step_that_is_inside_itself():
    run = trace.Note(RunRecord("r", 0, 1, "", *(None,) * 3, False, False, *(None,) * 5))
    step = StepRecord("s", "r", 1, 2, "s", "", None, "", "node", "", 0, 0, (), False, None, None)
    call = CallRecord("c", "r", 2, 3, "tool", "s", None, "look", *(None,) * 7)
    with WfStore.open(":memory:") as store:
        view = store.views.of(THREAD)
        notes = [run, trace.Note(step), trace.Note(call)]
        store.views.notes.add(view, trace.NoteBatch(run, notes, None, "r"))
        store.views.notes.push(view, wait=True)
        assert "look" in within(lambda: str(store.thread(THREAD).impact("c")), 10)


def test_a_statement_speaks_for_an_artifact_without_signatures(tmp_path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
    with WfStoreSaver(":memory:") as saver:
        chat(saver)
        saver.store.thread(THREAD).export(tmp_path / "a.wfz")
        statement = saver.store.head_statement(THREAD, key)
    public = key.public_key().public_bytes_raw()
    assert wfstore_verify.verify_file(tmp_path / "a.wfz", key=public, statement=statement).ok
    assert not wfstore_verify.verify_file(tmp_path / "a.wfz", key=public).ok
