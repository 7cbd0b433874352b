"""Proofs: some records of a thread, with their values, and the root that vouches for them."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import by_hand
import pytest
import some_threads
from hypothesis import given
from hypothesis import strategies as st
from test_tampered_lines import changed, leaves

from langgraph_wfstore import wfstore_verify
from langgraph_wfstore.wfstore_verify import Damaged, Tree, root_of_path, verify_proof


def dumped(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


@given(st.integers(1, 70), st.data())
def test_every_path_leads_to_the_root_and_no_other_does(size, data):
    ids = [bytes([number]) * 32 for number in range(size)]
    tree = Tree()
    for name in ids:
        tree.add(name)
    root = tree.root()
    assert root == by_hand.merkle_root(ids)
    index = data.draw(st.integers(0, size - 1))
    path = by_hand.inclusion_path(index, ids)
    assert root_of_path(ids[index], index, size, path) == root
    assert root_of_path(b"x" * 32, index, size, path) != root
    for other in (path[:-1], [*path, path[0]] if path else [ids[0]], path[1:]):
        if other != path:
            with pytest.raises(Damaged):
                root_of_path(ids[index], index, size, other)
    if path:
        assert root_of_path(ids[index], index, size, [*path[:-1], b"x" * 32]) != root


@pytest.mark.parametrize("name", some_threads.NAMES)
@pytest.mark.parametrize("values", [True, False])
def test_any_records_of_a_thread_are_proven(name, values):
    made = some_threads.made(name)
    random = Random(name)
    for count in (1, 2, 5, len(made.records)):
        indexes = sorted(random.sample(range(len(made.records)), count))
        document = by_hand.proof(made, indexes, values)
        report = verify_proof(dumped(document), document["root"])
        assert report.problems == []
        assert [(proven.index, proven.id) for proven in report.records] == [
            (index, made.records[index]["id"]) for index in indexes
        ]
        assert [proven.removed for proven in report.records] == ["left" in made.records[index] for index in indexes]
        assert any(proven.values for proven in report.records) == bool(document["objects"])


def proof_of_a_call(**options: Any) -> tuple[by_hand.Contents, Any]:
    """The first model call of a thread, and its end."""
    made = some_threads.made("agent")
    indexes = [
        number
        for number, line in enumerate(made.records)
        if line["body"]["kind"] == "call" or line["body"].get("of") == "call"
    ][:2]
    return made, by_hand.proof(made, indexes, **options)


def test_any_change_is_noticed():
    _, document = proof_of_a_call()
    root = document["root"]
    unseen = []
    for path in leaves(document):
        other = copy.deepcopy(document)
        changed(other, path)
        if verify_proof(dumped(other), root).ok:
            unseen.append(path)
    assert {path[0] if len(path) == 1 else path[-1] for path in unseen} <= {"thread", "seal", "size"}
    for key in document:
        other = copy.deepcopy(document)
        del other[key]
        assert not verify_proof(dumped(other), root).ok
        assert not verify_proof(dumped({**document, key: None}), root).ok


def test_another_root():
    _, document = proof_of_a_call()
    other = "sha256:" + "0" * 64
    assert "expected" in verify_proof(dumped(document), other).problems[0]
    document["root"] = other
    assert any("does not lead to the root" in problem for problem in verify_proof(dumped(document), other).problems)


def test_records_in_another_order_twice_or_none():
    _, document = proof_of_a_call(values=False)
    records = document["records"]
    for wrong in (records[::-1], [records[0], *records], []):
        assert not verify_proof(dumped({**document, "records": wrong}), document["root"]).ok


def test_values_that_are_missing_or_too_many():
    made, document = proof_of_a_call()
    whole = by_hand.proof(made, list(range(len(made.records))))
    for wrong in (document["objects"][:-1], document["objects"][1:], whole["objects"]):
        assert not verify_proof(dumped({**document, "objects": wrong}), document["root"]).ok


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 10**5, b'{"a":' * 10**5, b'{"a":1,"a":1}', b'{"size":1.5}'),
        b'{"thread":"\\ud800"}',
    ],
    ids=lambda data: data[:20].decode("latin-1"),
)
def test_what_is_no_proof(data):
    assert not verify_proof(data, "sha256:" + "0" * 64).ok


def test_random_changes_break_nothing():
    _, document = proof_of_a_call()
    data, random = by_hand.canonical(document), Random(0)
    for _ in range(500):
        other = bytearray(data)
        for _ in range(random.choice([1, 1, 3])):
            other[random.randrange(len(other))] = random.randrange(256)
        report = verify_proof(bytes(other), document["root"])
        if report.ok and bytes(other) != data:
            kept = json.loads(other)
            bodies = [[row["record"]["body"] for row in one["records"]] for one in (kept, document)]
            assert bodies[0] == bodies[1] and kept["objects"] == document["objects"]


class TestTheCommandLine:
    def run(self, document, tmp_path, capsys, *more):
        path = tmp_path / "proof.json"
        path.write_bytes(dumped(document))
        code = wfstore_verify.main([str(path), *more])
        return code, capsys.readouterr()

    def test_what_is_proven_is_shown_with_its_values_as_text(self, tmp_path, capsys):
        _, document = proof_of_a_call()
        code, said = self.run(document, tmp_path, capsys, "--expect-root", document["root"])
        assert code == 0 and said.out.endswith("VERIFIED\n")
        body = document["records"][0]["record"]["body"]
        for word in ("call " + document["records"][0]["record"]["id"], body["call_id"], body["run_id"], "scripted-1"):
            assert word in said.out
        assert "what is x?" in said.out and "status        ok" in said.out
        assert "This does not show:" in said.out

    def test_strings_bytes_and_what_is_redacted_or_withheld(self, tmp_path, capsys):
        found = (("plain", "a line of some length"), ("redacted", "| redacted"), ("withheld of chat", "| withheld, "))
        for name, word in found:
            made = some_threads.made(name)
            document = by_hand.proof(made, list(range(len(made.records))))
            code, said = self.run(document, tmp_path, capsys, "--expect-root", document["root"])
            assert code == 0 and word in said.out

    def test_a_changed_one_exits_with_1(self, tmp_path, capsys):
        _, document = proof_of_a_call()
        document["records"][0]["record"]["body"]["name"] = "other"
        code, said = self.run(document, tmp_path, capsys, "--expect-root", document["root"])
        assert code == 1 and "record 1 of the proof: its content does not match its id" in said.out

    def test_a_root_is_needed_and_nothing_else_is_taken(self, tmp_path, capsys):
        _, document = proof_of_a_call()
        assert self.run(document, tmp_path, capsys)[0] == 2
        root = ("--expect-root", document["root"])
        assert self.run(document, tmp_path, capsys, *root, "--expect-head", document["root"])[0] == 2


def test_text_of_values():
    assert wfstore_verify.readable("wf1", b"\xa5hello") == "hello"
    assert wfstore_verify.readable("wf1", b"\xd9\x28" + b"x" * 40) == "x" * 40
    assert wfstore_verify.readable("wf1", b"\xa5hell") == "·hell"
    assert wfstore_verify.readable("bytes", "größe\n\x1b[2J".encode()) == "größe\n·[2J"
    assert wfstore_verify.readable("wf1", b"") == ""
    long = wfstore_verify.readable("bytes", b"y" * 10_000)
    assert long.endswith(" ... of 10000 bytes") and len(long) < 4100
