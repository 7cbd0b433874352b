"""Each field, mask and line is one of those that the format allows, whatever its ids say."""

from __future__ import annotations

import base64
import io

import by_hand
import pytest
import some_threads
from forging import digest

from langgraph_wfstore.wfstore_verify import (
    Damaged,
    Objects,
    Thread,
    check_mask,
    check_version,
    decode_text,
    lines_of,
    read_body,
    read_bytes,
    read_json,
    read_line,
    read_reference,
)
from langgraph_wfstore.wfstore_verify import Record as Kept

ID = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "text",
    [
        *(5, None, [], {}, {"u8": "00", "u16": "00"}, {"u9": "d800"}, {"u16": "d8"}, {"u16": 5}, {"u16": "zz"}),
        *({"u16": "0061"}, {"u16": "D800"}, {"u16": "d8 00"}, {"u8": "eda080"}, {"u16": "d83dde00"}, {"u8": "61"}),
    ],
    ids=str,
)
def test_what_is_no_text(text):
    with pytest.raises(Damaged):
        decode_text(text)


@pytest.mark.parametrize(
    "version",
    [
        *(
            None,
            True,
            [],
            {},
            {"i": "5"},
            {"i": "09007199254740993"},
            {"i": "+9007199254740993"},
            {"i": 9007199254740993},
        ),
        *({"f": "1"}, {"f": "1.50"}, {"f": "Infinity"}, {"f": "x"}, {"f": "1" * 10**6}, {"f": 1}, {"x": "1"}),
        *({"i": "1", "f": "1.0"}, {"i": "9007199254740991"}, {"i": "-9007199254740991"}, {"i": "-0"}, {"i": " 1" * 20}),
    ],
    ids=lambda version: str(version)[:40],
)
def test_what_is_no_version(version):
    with pytest.raises(Damaged):
        check_version(version)


def test_versions_and_times_of_a_million_digits_cost_no_more_than_reading_them():
    with pytest.raises(Damaged):
        check_version({"i": "1" + "0" * 10**6})
    for kind, field in (("run", {"started": "9" * 10**6}), ("run", {"seq": {"i": "9" * 10**6}})):
        with pytest.raises(Damaged):
            read_body(kind, {"format": 1, "kind": kind, "run_id": "r", "started": "1", **field})


@pytest.mark.parametrize(
    "reference", [None, 5, [ID], {"object": ID}, {"list": ID, "map": ID}, {"list": "x"}, ID[:-1], ID.upper()]
)
def test_what_is_no_reference(reference):
    with pytest.raises(Damaged):
        read_reference(reference)


@pytest.mark.parametrize(
    "data", [b'{"\xc3\xa4":1}', b'{"a":1,"a":1}', b"1.0", b"1e3", b"NaN", b"9007199254740992", b"\xef\xbb\xbf1"]
)
def test_what_is_no_restricted_json(data):
    with pytest.raises(Damaged):
        read_json(data)


WRITE = {"checkpoint_id": "c", "format": 1, "kind": "write", "namespace": "", "task_id": "t", "task_path": ""}
BRANCH = {"base": None, "current": True, "first": ID, "format": 1, "kind": "branch", "name": "b", "number": 1}


@pytest.mark.parametrize(
    "body",
    [
        *(
            {**WRITE, "writes": writes}
            for writes in (None, 5, [5], [[0]], [[0, "c", ID, None, 1]], [["0", "c", ID, None]])
        ),
        *({**WRITE, "writes": writes} for writes in ([[0, 5, ID, None]], [[0, "c", None, None]], [[0, "c", ID, 5]])),
        {**WRITE, "writes": [[1, "c", ID, None], [0, "c", ID, None]]},
        {**WRITE, "writes": [[0, "c", ID, None], [0, "c", ID, None]]},
        *(
            {**BRANCH, **change}
            for change in ({"current": 1}, {"current": None}, {"number": -1}, {"number": "1"}, {"base": 5})
        ),
        *(5, None, [], "x", {}),
    ],
    ids=lambda body: str(body)[-60:],
)
def test_what_is_no_body(body):
    kind = body.get("kind", "write") if isinstance(body, dict) else "write"
    with pytest.raises(Damaged):
        read_body(kind, body)


@pytest.mark.parametrize(
    "mask",
    [
        *(None, [], {}, {"id": "x"}, {"type": 5}, {"type": "t", "content": "x"}, {"type": "t", "id": None}),
        *({"type": "t", "tool_calls": "x"}, {"type": "t", "tool_calls": [5]}, {"type": "t", "items": {}}),
        *({"type": "t", "items": [5]}, {"type": "t", "fields": [["a"]]}, {"type": "t", "fields": [[5, {"type": "t"}]]}),
        *(
            {"type": "t", "fields": [["a", 5]]},
            {"type": "t", "counters": [["a", 5]]},
            {"type": "t", "counters": [["a", [True]]]},
        ),
        {"type": "t", "counters": [[5, [1]]]},
    ],
    ids=str,
)
def test_what_is_no_mask(mask):
    with pytest.raises(Damaged):
        check_mask(mask)


def test_masks():
    check_mask({"type": "t", "id": "i", "tool_call_id": "c", "tool_calls": ["a", {"u16": "d800"}]})
    check_mask({"type": "t", "items": [{"type": "t"}], "fields": [["a", {"type": "t"}]], "counters": [["a", [1, -2]]]})
    deep = {"type": "t"}
    for _ in range(5000):
        deep = {"type": "t", "items": [deep]}
    with pytest.raises(Damaged):
        check_mask(deep)


@pytest.mark.parametrize(
    "change",
    [
        *({"nonce": "0" * 31}, {"nonce": "Z" * 32}, {"nonce": None}, {"tag": 5}, {"latin1": 5}, {"latin1": "\u0100"}),
        *({"latin1": None}, {"id": "x"}, {"more": 1}, {"base64": "AAAA"}),
    ],
    ids=str,
)
def test_what_is_no_object(change):
    name = digest(
        "object", b"t", bytes(16), bytes.fromhex("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
    )
    line = {"id": name, "tag": "t", "nonce": "00" * 16, "latin1": "x"}
    Objects([]).add(line)
    for wrong in ({**line, **change}, {k: v for k, v in line.items() if k not in change}):
        if wrong != line:
            with pytest.raises(Damaged):
                Objects([]).add(wrong)


@pytest.mark.parametrize(
    "line", [None, 5, [], {}, {"leaf": [4], "id": ID}, {"id": ID}, {"withheld": 5}, {"id": ID, "mask": None}]
)
def test_what_is_no_line_of_objects(line):
    with pytest.raises(Damaged):
        Objects([]).add(line)


def test_bytes_stand_in_the_shorter_form():
    assert read_bytes("latin1", "aä") == b"a\xe4"
    binary = bytes(range(256))
    assert read_bytes("base64", base64.b64encode(binary).decode()) == binary
    for form, value in (
        *(("latin1", binary.decode("latin-1")), ("base64", "YWFh"), ("base64", "/+=="), ("base64", "AB==")),
        *(
            ("base64", "gIC A"),
            ("base64", "gICA\n"),
            ("base64", "gI-_"),
            ("base64", "é"),
            ("base64", "gIB="),
            ("base64", 5),
        ),
    ):
        with pytest.raises(Damaged):
            read_bytes(form, value)


@pytest.mark.parametrize(
    "line",
    [
        *(None, 5, [], {}, {"id": 5}, {"id": ID}, {"id": ID, "body": []}, {"id": ID, "body": {"kind": {}}}),
        *({"id": ID, "body": BRANCH, "state": "gone"}, {"id": ID, "body": BRANCH, "state": None}),
        *(
            {"id": ID, "body": BRANCH, "seal": None},
            {"id": ID, "body": BRANCH, "position": 1},
            {"id": ID, "body": BRANCH},
        ),
        *({"id": ID, "kind": "write", "left": ["", "c", None, False]}, {"id": ID, "state": "removed", "kind": "write"}),
        {"id": ID, "state": "removed", "kind": "write", "left": ["", "c", None, False], "body": {}},
        {"id": ID, "state": "hidden", "kind": "write", "left": ["", "c", None, False]},
        {"id": ID, "state": "removed", "kind": "checkpoint", "left": ["", "c", None, False], "position": "1"},
        {"id": ID, "state": "removed", "kind": "seal", "left": ["", "c", None, False]},
    ],
    ids=str,
)
def test_what_is_no_line_of_records(line):
    with pytest.raises(Damaged):
        read_line(line, Kept(1, "", b"", 0))


def test_a_checkpoint_without_a_place_in_a_store():
    """In a table it can be null; in an artifact it is refused before."""
    problems: list[str] = []
    thread = Thread(problems)
    record = Kept(1, "checkpoint", b"x" * 32, 2, None, None, b"[]")
    record.facts = {"namespace": "", "checkpoint_id": "c", "parent_checkpoint_id": None}
    thread.add(record)
    thread.finish([])
    assert "record 1: it has no position" in problems


def test_lines():
    assert list(lines_of([b"a\nb", b"", b"c", b"\n\n", b"d\n"])) == [b"a", b"bc", b"", b"d"]
    for pieces in ([b"a"], [b"a\n", b"b"]):
        with pytest.raises(Damaged):
            list(lines_of(pieces))


def test_a_thread_without_records_and_members_that_end_too_early(verified):
    made = some_threads.made("chat")
    empty = by_hand.Contents([], [], "t", [[0, "main", None, None]], 0)
    assert verified(by_hand.archive(by_hand.entries(empty))).problems == ["records: there are none"]
    files = by_hand.entries(made)
    files["records/000001.jsonl"] = files["records/000001.jsonl"][:-1]
    assert "records/000001.jsonl: its last line has no line feed" in verified(by_hand.archive(files)).problems
    files["records/000001.jsonl"] = b""
    assert any(
        "records/000001.jsonl: it does not end" in problem for problem in verified(by_hand.archive(files)).problems
    )


def test_many_problems_are_printed_up_to_a_number(tmp_path, capsys):
    from langgraph_wfstore.wfstore_verify import main

    made = some_threads.made("many turns")
    for line in made.records:
        line["body"]["format"] = 2
    (tmp_path / "t.wfz").write_bytes(by_hand.archive(by_hand.entries(made)))
    assert main([str(tmp_path / "t.wfz")]) == 1
    out = capsys.readouterr().out
    assert "... and " in out and out.count("problem  ") == 201 and out.endswith("NOT VERIFIED\n")


def test_what_is_withheld_and_not_sealed_is_said(tmp_path, capsys):
    from langgraph_wfstore.wfstore_verify import main

    for name in ("withheld of chat", "plain"):
        (tmp_path / "t.wfz").write_bytes(by_hand.archive(by_hand.entries(some_threads.made(name))))
        assert main([str(tmp_path / "t.wfz")]) == 0
        out = capsys.readouterr().out
        assert ("withheld objects" in out) == (name != "plain") and ("no seal covers them" in out) == (name == "plain")


def test_a_file_that_is_cut_while_it_is_read():
    from langgraph_wfstore.wfstore_verify import Archive, Artifact, Report

    class Cut(io.BytesIO):
        """Ends early once its directory was read."""

        cut = False

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            return data[: len(data) // 2] if self.cut else data

    file = Cut(by_hand.archive(by_hand.entries(some_threads.made("chat"))))
    report = Report()
    artifact = Artifact(Archive(file), report)
    file.cut = True
    artifact.verify(None)
    assert any("cut while it was read" in problem for problem in report.problems)
