"""Looking for a text in an artifact: the forms in which a store writes it are found."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_wfstore import WfStoreSaver, canonical
from langgraph_wfstore.artifact import searching
from langgraph_wfstore.artifact.lines import ObjectLine, write_value
from langgraph_wfstore.artifact.searching import holds, pattern_of
from langgraph_wfstore.testing.material import THREAD, checkpoint_of, config_of, metadata_of

TEXTS = st.text(min_size=4, max_size=40)


@given(TEXTS, st.binary(max_size=40), st.binary(max_size=40))
def test_a_text_is_found_in_a_value_whatever_is_around_it(text, before, behind):
    said = text.encode("utf-8", "surrogatepass")
    for around in (0, 100):  # bytes that JSON takes six characters for, so that base64 is shorter
        data = before + said + behind + bytes(around)
        line = write_value(ObjectLine(b"\0" * 32, "wf1", b"\0" * 16, data))
        assert pattern_of(text).search(line)


@given(TEXTS)
def test_a_text_is_found_in_a_record(text):
    body = json.dumps({"error": f"it said {text}!"}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert pattern_of(text).search(body)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_short_text_and_no_other_is_found_in_base64_at_every_place(before, method, tmp_path):
    data = b"\0" * (90 + before) + b"Jane Doe" + b"\0" * 90
    line = write_value(ObjectLine(b"\0" * 32, "wf1", b"\0" * 16, data))
    assert b'"base64"' in line and b"Jane Doe" not in line
    with zipfile.ZipFile(tmp_path / "a.wfz", "w", method) as archive:
        archive.writestr("objects/000001.jsonl", b"x\n" * 50 + line)
    assert holds(tmp_path / "a.wfz", "Jane Doe")
    assert not any(holds(tmp_path / "a.wfz", other) for other in ("Jane Dod", "Jane Dof", "kane Doe", "Iane Doe"))


def test_a_text_across_two_pieces_is_found(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.wfz", "w") as archive:
        archive.writestr("records/000001.jsonl", b"...... Jane Doe ......")
    for size in range(1, 24):
        monkeypatch.setattr(searching, "_READ", size)
        assert holds(tmp_path / "a.wfz", "Jane Doe")


@given(TEXTS)
def test_a_text_beside_a_lone_surrogate_is_found(text):
    for said in (canonical.text(f"\ud800 it said {text} x"), canonical.text(f"\ud83d\ude00 said {text} x")):
        assert isinstance(said, dict) and pattern_of(text).search(canonical.encode({"error": said}))


@given(TEXTS, st.booleans(), st.sampled_from([0, 100]))
def test_a_text_within_json_that_is_a_text_is_found(text, only_ascii, around):
    inner = json.dumps({"query": f"say {text}!"}, ensure_ascii=only_ascii)
    said = inner.encode("utf-8", "surrogatepass")
    line = write_value(ObjectLine(b"\0" * 32, "wf1", b"\0" * 16, said + bytes(around)))
    record = json.dumps({"error": inner}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert pattern_of(text).search(line) and pattern_of(text).search(record)


def test_quotes_within_json_that_is_a_text_are_found_in_a_thread(tmp_path):
    exported([json.dumps({"query": 'say "hello"'})], tmp_path / "a.wfz")
    assert holds(tmp_path / "a.wfz", 'say "hello"') and not holds(tmp_path / "a.wfz", 'say "hallo"')


def exported(value: object, path: Path) -> None:
    with WfStoreSaver(":memory:") as saver:
        checkpoint = checkpoint_of({"z": value}, {"z": 1})
        saver.put(config_of(), checkpoint, metadata_of(0), checkpoint["channel_versions"])
        saver.store.thread(THREAD).export(path)


def test_every_text_of_a_list_that_is_cut_into_chunks_is_found(tmp_path):
    names = [f"person number {number:05}" for number in range(600)]
    exported(names, tmp_path / "a.wfz")
    with zipfile.ZipFile(tmp_path / "a.wfz") as archive:
        everything = b"".join(map(archive.read, archive.namelist()))
    cut = [name for name in names if not pattern_of(name).search(everything)]
    assert cut and all(holds(tmp_path / "a.wfz", name) for name in cut)
    assert not any(holds(tmp_path / "a.wfz", name.replace("person", "persen")) for name in cut)


def test_pieces_of_a_text_in_other_objects_than_chunks_are_not_it(tmp_path):
    for tag, found in (("wf1", False), ("chunk/wf1", True)):
        lines = [
            write_value(ObjectLine(bytes([n]) * 32, tag, b"\0" * 16, d)) for n, d in enumerate([b"x Jane", b" Doe"])
        ]
        with zipfile.ZipFile(tmp_path / "a.wfz", "w") as archive:
            archive.writestr("objects/000001.jsonl", b"".join(line + b"\n" for line in lines))
        assert holds(tmp_path / "a.wfz", "Jane Doe") == found


def test_a_long_form_across_two_pieces_is_found(tmp_path, monkeypatch):
    text = "\x01ä\U0001f600" * 3
    inner = json.dumps({"query": text})
    line = write_value(ObjectLine(b"\0" * 32, "wf1", b"\0" * 16, inner.encode() + bytes(200)))
    assert b'"base64"' in line
    with zipfile.ZipFile(tmp_path / "a.wfz", "w") as archive:
        archive.writestr("objects/000001.jsonl", line + b"\n")
    for size in (*range(1, 40), 100, 150):
        monkeypatch.setattr(searching, "_READ", size)
        assert holds(tmp_path / "a.wfz", text)


def test_what_is_found_by_chance_is_not_looked_for():
    with pytest.raises(ValueError, match="at least 4"):
        pattern_of("abc")
