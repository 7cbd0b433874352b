"""Looking for a text in an artifact: every form in which it can stand there is found."""

from __future__ import annotations

import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_wfstore.artifact import searching
from langgraph_wfstore.artifact.lines import ObjectLine, write_value
from langgraph_wfstore.artifact.searching import holds, pattern_of

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


def test_what_is_found_by_chance_is_not_looked_for():
    with pytest.raises(ValueError, match="at least 4"):
        pattern_of("abc")
