"""What a redaction leaves stays readable and keeps its meaning: masks, statements, and a file, checked twice."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import independent_verifier as other
import make_golden
import make_redaction
import pytest
from noticing import assert_both_notice

from langgraph_wfstore import Redacted, WfStore, format
from langgraph_wfstore import wfstore_verify as rules
from langgraph_wfstore.backends import packing
from langgraph_wfstore.records import Kind, RemovalRecord
from langgraph_wfstore.redacted import TEXT
from langgraph_wfstore.values import masks

V = json.loads(make_redaction.VECTORS.read_text("utf-8"))
SECRET = make_redaction.SECRET


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copy(make_redaction.FILE, tmp_path))


def test_masks_are_what_they_were_and_hold_nothing_of_the_content():
    now = make_redaction.vectors()
    assert now["masks"] == V["masks"]
    for vector in V["masks"]:
        mask = vector["mask"].encode()
        assert SECRET.encode() not in mask and b"look" not in mask
        masks.read_mask(mask)
        rules.check_mask(rules.parse(mask))


@pytest.mark.parametrize("mask", ["[]", '{"id":"x"}', '{"content":"x","type":"t"}', '{"type":1}', '{"type": "t"}'])
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r"mask|canonical|text"):
        masks.read_mask(mask.encode())
    with pytest.raises(rules.Damaged):
        rules.check_mask(rules.parse(mask.encode()))


def test_what_a_removal_states_of_objects():
    parts = [(bytes.fromhex(n), kind, state, bytes.fromhex(rest)) for n, kind, state, rest in V["removed"]["parts"]]
    assert parts == make_redaction.removed()
    for digest in (format.removed_digest, rules.removed_digest):
        assert digest(parts).hex() == digest(parts[::-1]).hex() == V["removed"]["digest"]
    body = V["record"]["body"].encode()
    record = format.read_record(Kind.REMOVAL, body)
    assert record == RemovalRecord("redact: größe", 1, format.removed_digest(parts), 2)
    assert format.record_id(Kind.REMOVAL, body).hex() == rules.digest("removal", body).hex() == V["record"]["id"]


def test_a_removal_that_counts_no_redacted_object_does_not_say_so():
    body = format.removal_body(RemovalRecord("prune", 1, make_golden.ID[0]))
    assert b"redacted" not in body
    with pytest.raises(format.IntegrityError):
        format.read_record(Kind.REMOVAL, body.replace(b'"removed"', b'"redacted":0,"removed"'))


def test_the_file_verifies_with_the_heads_it_was_given(golden):
    found = other.verify(golden)
    with WfStore.open(golden) as store:
        for thread_id, expected in V["file"].items():
            ours, theirs = store.thread(thread_id).verify(expect_head=expected["head"]), found[thread_id]
            assert (ours.problems, theirs.problems) == ((), [])
            assert ours.head == theirs.head == expected["head"]
            assert ours.redacted == theirs.redacted == expected["redacted"] > 0
            assert (ours.sealed, ours.unsealed, ours.pruned) == (theirs.sealed, theirs.unsealed, theirs.pruned)
    assert set(found) == set(V["file"]) and found["redacted"].pruned


def test_its_states_come_back(golden):
    with WfStore.open(golden) as store:
        found = store.get("copy", "", "c0002", store.codec).checkpoint
        assert found is not None
        values = found.values
        texts = [message.content for message in values["messages"]]
        assert texts == [TEXT if n == 3 else f"{SECRET} {n} " + "m" * 80 for n in range(12)]
        assert values["kept"] == [f"kept {n} " + "k" * 80 for n in range(12)]
        assert isinstance(values["log"], Redacted) and all(isinstance(item, Redacted) for item in values["small"])
        again = store.get("redacted", "", "c0005", store.codec).checkpoint
        assert again is not None and [m.content for m in again.values["messages"]] == [f"{SECRET} again"]


def test_the_same_operations_give_the_same_heads():
    with WfStore.open(":memory:", lineage_secret=make_redaction.secrets().__next__) as store:
        make_redaction.build(store)
        assert {info.thread_id: info.head for info in store.threads()} == {n: f["head"] for n, f in V["file"].items()}


def _mask(db: sqlite3.Connection, old: bytes, new: bytes) -> None:
    for key, data in db.execute("SELECT key, data FROM object WHERE form = 3").fetchall():
        mask = packing.unpack(data)
        if old in mask:
            db.execute("UPDATE object SET data = ? WHERE key = ?", (b"\0" + mask.replace(old, new), key))


def _unstated(db: sqlite3.Connection) -> None:
    """Redact what no removal record states."""
    (key,) = db.execute("SELECT max(key) FROM object WHERE form = 0").fetchone()
    mask = b'\0{"type":"builtins.str"}'
    db.execute("UPDATE object SET form = 3, tag = '', nonce = NULL, data = ?, lookup = NULL WHERE key = ?", (mask, key))


TAMPERING: dict[str, Any] = {
    "a mask's id": lambda db: _mask(db, b'"h3"', b'"h4"'),
    "a mask's class": lambda db: _mask(db, b"builtins.str", b"builtins.int"),
    "a mask to what is none": lambda db: _mask(db, b'"type":"builtins.str"', b'"text":"builtins.str"'),
    "a redacted object's nonce": lambda db: db.execute("UPDATE object SET nonce = zeroblob(16) WHERE form = 3"),
    "a redacted object's tag": lambda db: db.execute("UPDATE object SET tag = 'wf1' WHERE form = 3"),
    "a redacted object's form": lambda db: db.execute("UPDATE object SET form = 0, tag = 'wf1' WHERE form = 3"),
    "a redacted object's id": lambda db: db.execute("UPDATE object SET id = zeroblob(32) WHERE form = 3"),
    "a kept object's nonce": lambda db: db.execute("UPDATE object SET nonce = zeroblob(16) WHERE nonce IS NOT NULL"),
    "a kept object's nonce to none": lambda db: db.execute("UPDATE object SET nonce = NULL WHERE nonce IS NOT NULL"),
    "a value that nobody said is redacted": _unstated,
}


@pytest.mark.parametrize("what", TAMPERING)
def test_both_verifiers_notice_a_change_of(what, golden):
    assert_both_notice(golden, TAMPERING[what], V["file"])
