"""What was written stays readable and keeps its ids: vectors, and a file, that never change after a release.

Everything is checked twice: through the package, and by `independent_verifier`, which knows FORMAT.md only.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import golden_threads
import independent_verifier as other
import make_golden
import pytest
from noticing import assert_both_notice

from langgraph_wfstore import canonical, format
from langgraph_wfstore import wfstore_verify as rules
from langgraph_wfstore.appending import trace
from langgraph_wfstore.backends import packing
from langgraph_wfstore.errors import IntegrityError
from langgraph_wfstore.records import CallRecord, EndRecord, Kind, Ref, SealRecord
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.threads import view
from langgraph_wfstore.tracing import normal
from langgraph_wfstore.values import lists, objects

V = json.loads(make_golden.VECTORS.read_text("utf-8"))
BODIES = make_golden.BODIES
TRACES = ("run", "step", "call", "end")


def unhex(*texts: str) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _saying_nothing() -> Iterator[tuple[str, str, Any]]:
    """Kind, key, and what a key must not say."""
    empty: dict[str, list[Any]] = {"count0": [0, {"i": "0"}], "text0": [""], "flag": [False]}
    for kind in TRACES:
        for name, what in rules.FIELDS[kind].items():
            listed = [[]] if what in ("texts", "error", "usage") else []
            for value in (None, *empty.get(what, []), *listed):
                yield kind, name, value


def _plain(value: Any) -> Any:
    """A field as the independent verifier gives it."""
    if isinstance(value, Ref):
        return ("object", "list", "map").index(value.form), value.id
    return list(value) if isinstance(value, tuple) else value


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return Path(shutil.copy(make_golden.FILE, tmp_path))


class TestVectors:
    def test_digests_are_domain_separated_and_length_prefixed(self):
        for vector in V["digests"]:
            parts = unhex(*vector["parts"])
            for digest in (canonical.digest, rules.digest):
                assert digest(vector["kind"], *parts).hex() == vector["digest"]

    def test_a_value_has_one_canonical_form(self):
        for vector in V["canonical"]:
            data = bytes.fromhex(vector["bytes"])
            assert canonical.encode(vector["value"]) == rules.canonical(vector["value"]) == data
            assert canonical.decode(data) == rules.parse(data) == vector["value"]
            canonical.check(data)

    def test_any_other_form_is_refused(self):
        for text in V["refused"]:
            with pytest.raises((ValueError, TypeError)):
                canonical.check(text.encode())
            with pytest.raises(rules.Damaged):
                rules.parse(text.encode())

    def test_texts(self):
        for vector in V["texts"]:
            text = "".join(map(chr, vector["code points"]))
            assert canonical.text(text) == rules.encode_text(text) == vector["json"]
            assert canonical.from_text(vector["json"]) == rules.decode_text(vector["json"]) == text

    def test_names_are_in_the_order_of_their_bytes(self):
        names = [canonical.from_text(name) for name in V["order of names"]]
        assert sorted(set(names), key=canonical.utf8) == names
        rules.check_names([[name] for name in V["order of names"]])

    def test_versions(self):
        for vector in V["versions"]:
            text = vector["text"]
            made = {"int": int, "float": float, "str": lambda points: "".join(map(chr, points))}[vector["type"]](text)
            assert canonical.version(made) == vector["json"]
            rules.check_version(vector["json"])
            back = canonical.from_version(vector["json"])
            assert type(back) is type(made) and (repr(back) == repr(made) or math.isnan(made))

    def test_object_ids(self):
        for vector in V["objects"]:
            secret, data, key, nonce = unhex(*(vector[name] for name in ("secret", "bytes", "key", "nonce")))
            assert hashlib.sha256(data).digest() == key and objects.nonce_for(secret, key) == nonce
            found = (objects.object_id(vector["tag"], nonce, key), other.object_id(secret, vector["tag"], data))
            assert [name.hex() for name in found] == [vector["id"]] * 2

    @pytest.mark.parametrize("vector", V["lists"], ids=lambda v: f"{v['items']} {v['count']}")
    def test_list_ids(self, vector):
        items = make_golden.items_of(vector["items"], vector["count"])
        assert lists.list_id(items).hex() == other.list_id(items).hex() == vector["id"]

    def test_map_ids(self):
        for vector in V["maps"]:
            shell, holes = bytes.fromhex(vector["shell"]), [(at, bytes.fromhex(name)) for at, name in vector["lists"]]
            assert objects.map_id(shell, holes).hex() == rules.map_id(shell, holes).hex() == vector["id"]

    def test_records_of_each_kind(self):
        assert {vector["kind"] for vector in V["records"]} == set(rules.KINDS)
        for vector, (kind, record) in zip(V["records"], make_golden.RECORDS, strict=True):
            body = vector["body"].encode()
            assert BODIES[kind](record) == body and format.read_record(kind, body) == record
            assert format.record_id(kind, body).hex() == rules.digest(vector["kind"], body).hex() == vector["id"]
            fields = rules.read_body(vector["kind"], rules.parse(body))
            assert fields.keys() <= rules.FIELDS[vector["kind"]].keys()

    @pytest.mark.parametrize("kind", TRACES)
    def test_of_a_trace_the_keys_that_say_nothing_are_left_out(self, kind):
        bodies = [rules.parse(v["body"].encode()) for v in V["records"] if v["kind"] == kind]
        known = rules.FIELDS[kind]
        needed = {name for name, what in known.items() if what.endswith("!")}
        assert set(bodies[0]) == {"format", "kind", *needed}
        assert set(bodies[1]) == {"format", "kind", *known}
        for body in bodies:
            assert set(rules.read_body(kind, body)) == set(body) - {"format", "kind"}

    def test_of_a_trace_both_readers_find_the_same(self):
        for vector, (_, record) in zip(V["records"], make_golden.RECORDS, strict=True):
            if vector["kind"] not in TRACES:
                continue
            found = rules.read_body(vector["kind"], rules.parse(vector["body"].encode()))
            fields = {name: _plain(value) for name, value in record._asdict().items()}
            assert {name: fields[name] for name in found} == found
            assert not [name for name in set(fields) - set(found) if fields[name] not in (None, 0, "", False, [])]
            names = [name for name, what in rules.FIELDS[vector["kind"]].items() if what in ("ref", "dict")]
            assert [_plain(ref) for ref in format.refs_of(record)] == [found[name] for name in names if name in found]
            assert set(trace.links_of(record)) == other.links_of(vector["kind"], found)

    @pytest.mark.parametrize(("kind", "name", "value"), list(_saying_nothing()))
    def test_a_key_that_says_nothing_is_refused(self, kind, name, value):
        for vector in (v for v in V["records"] if v["kind"] == kind):
            fields = rules.parse(vector["body"].encode()) | {name: value}
            body = canonical.encode(fields)
            canonical.check(body)
            with pytest.raises(IntegrityError):
                format.read_record(Kind(kind), body)
            with pytest.raises(rules.Damaged):
                rules.read_body(kind, fields)

    @pytest.mark.parametrize(
        ("kind", "change"),
        [
            ("end", {"error": ["only a type"]}),
            ("end", {"error": ["three", "of", "them"]}),
            ("end", {"usage": [1, 2]}),
            ("end", {"usage": [1.5, *[None] * 7]}),
            ("end", {"begin": "sha256:00"}),
            ("end", {"finish": "stop"}),
            ("end", {"first_token": 5}),
            ("run", {"started": "05"}),
            ("run", {"started": "+5"}),
            ("run", {"started": " 5"}),
            ("run", {"addressed": 1}),
            ("run", {"further": 1}),
            ("step", {"number": "1"}),
            ("step", {"number": {"f": "1.0"}}),
            ("step", {"input": {"pack": "sha256:" + "0" * 64}}),
            ("call", {"format": 2}),
            ("call", {"kind": "step"}),
        ],
    )  # fmt: skip
    def test_what_no_trace_says_is_refused(self, kind, change):
        fields = next(rules.parse(v["body"].encode()) for v in V["records"] if v["kind"] == kind) | change
        with pytest.raises(rules.Damaged):
            rules.read_body(kind, fields)
        with pytest.raises((IntegrityError, TypeError)):
            format.read_record(Kind(kind), json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())

    def test_what_a_writer_may_not_leave_out(self):
        for vector in (v for v in V["records"] if v["kind"] in TRACES):
            fields = rules.parse(vector["body"].encode())
            for name, what in rules.FIELDS[vector["kind"]].items():
                if what.endswith("!"):
                    with pytest.raises(rules.Damaged):
                        rules.read_body(vector["kind"], {k: v for k, v in fields.items() if k != name})

    @pytest.mark.parametrize("v", [1.0, 1.5, True, 2**53])
    def test_a_record_that_could_not_be_read_again_is_not_written(self, v):
        with pytest.raises((TypeError, ValueError)):
            format.checkpoint_body(replace(make_golden.CHECKPOINT, v=v))

    def test_seals_in_their_chain(self):
        previous = None
        for ordinal, vector in enumerate(V["seals"]):
            ids = unhex(*vector["records"])
            seal = SealRecord(ordinal, previous, tuple(ids))
            assert format.seal_body(seal).decode() == vector["body"]
            assert format.seal_id(seal) == rules.seal_id(ordinal, previous, ids) == bytes.fromhex(vector["id"])
            previous = format.seal_id(seal)

    def test_what_a_removal_states(self):
        parts = [(bytes.fromhex(n), kind, state, bytes.fromhex(rest)) for n, kind, state, rest in V["removed"]["parts"]]
        for digest in (format.removed_digest, rules.removed_digest):
            assert digest(parts).hex() == digest(parts[::-1]).hex() == V["removed"]["digest"]
        assert format.read_skeleton(parts[0][3]) == ("", "c\ud800", None, True)

    def test_index_columns(self):
        assert view.anchor_of("ns\ud800", "id") == V["index"]["anchor"]
        assert other.index("anchor", rules.utf8("ns\ud800"), b"id") == V["index"]["anchor"]
        assert view.space_of("ns\ud800") == other.index("namespace", rules.utf8("ns\ud800")) == V["index"]["namespace"]
        assert (view.space_of(""), view.run_of("run")) == (V["index"]["root"], V["index"]["run"])
        assert other.index("run", b"run") == V["index"]["run"]

    def test_links(self):
        for vector in V["links"]:
            name = canonical.from_text(vector["id"])
            assert trace.link(vector["what"], name) == vector["link"]
            assert other.index("link", vector["what"].encode(), rules.utf8(name)) == vector["link"]

    @pytest.mark.parametrize("vector", V["contents"], ids=lambda v: v["value"])
    def test_keyed_digests_of_contents(self, vector):
        value = make_golden.contents()[vector["value"]]
        key = bytes.fromhex(vector["key"])
        assert normal.normalised(value) == vector["form"]
        assert normal.content_key(value) == other.content_key(vector["form"], vector["messages"]) == key
        lineage = objects.Lineage(make_golden.SECRET, 0, complete=True)
        found = (trace.keyed(lineage, key), other.content(make_golden.SECRET, key))
        assert [digest.hex() for digest in found] == [vector["content"]] * 2

    def test_packed_bytes_stay_readable(self):
        dictionary = files("langgraph_wfstore.backends").joinpath("dictionary-1.zdict").read_bytes()
        assert hashlib.sha256(dictionary).hexdigest() == V["dictionary-1 sha256"]
        assert {vector["stored"][:2] for vector in V["packed"]} == {"00", "01", "02"}
        for vector in V["packed"]:
            stored, data = bytes.fromhex(vector["stored"]), bytes.fromhex(vector["bytes"]) * vector["times"]
            assert packing.unpack(stored) == other.Unpacker(dictionary).unpack(stored) == data

    def test_stored_lists_stay_readable(self):
        for vector in V["stored lists"]:
            data, base, numbers = bytes.fromhex(vector["stored"]), vector["base"], vector["numbers"]
            assert lists.apply_splice(data, base) == numbers
            assert other.stored_list(data, {7: base}) == (lists.base_of(data), numbers)

    @pytest.mark.parametrize("vector", V["values"], ids=lambda v: v["value"])
    def test_which_values_are_objects_lists_and_maps(self, vector):
        value = make_golden.values()[vector["value"]]
        assert {"value": vector["value"], **make_golden._form(value)} == vector

    def test_the_cut_of_a_list_of_scalars_is_the_one_that_is_specified(self):
        from langgraph_wfstore.codec import _CHUNKS

        for data in (bytes(range(256)) * 50, b"x" * 9000, b"x" * 255 + bytes(600), b"x" * 4095 + bytes(9)):
            cut, at = [], 0
            while at < len(data):
                left = len(data) - at
                ends = (k for k in range(256, 4097) if k + 3 <= left and max(data[at + k : at + k + 3]) < 0x20)
                size = next(ends, None)
                size = min(left, 4096) if size is None else size + 3
                cut.append(data[at : at + size])
                at += size
            assert _CHUNKS.findall(data) == cut


class TestFile:
    def test_it_verifies_with_the_head_it_was_given(self, golden):
        with WfStore.open(golden) as store:
            assert {info.thread_id for info in store.threads()} == set(V["file"])
            for thread_id, expected in V["file"].items():
                report = store.thread(thread_id).verify(expect_head=expected["head"])
                assert (report.problems, report.head) == ((), expected["head"])
                assert report.sealed + report.unsealed == expected["records"]

    def test_the_independent_verifier_finds_the_same(self, golden):
        found = other.verify(golden)
        with WfStore.open(golden) as store:
            for thread_id, report in found.items():
                ours = store.thread(thread_id).verify()
                assert report.problems == [] and ours.ok
                assert (report.head, report.sealed, report.unsealed, report.pruned) == (
                    ours.head,
                    ours.sealed,
                    ours.unsealed,
                    ours.pruned,
                )
        assert set(found) == set(V["file"])
        assert found["plain"].unsealed and found["plain"].pruned and all(found["plain"].counts.values())

    def test_the_independent_verifier_imports_the_offline_verifier_and_nothing_else_of_ours(self):
        tree = ast.parse(Path(other.__file__).read_text("utf-8"))
        names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        ours = [name for name in names if name.startswith("langgraph")]
        assert ours and all(name.startswith("langgraph_wfstore.wfstore_verify") for name in ours)

    def test_its_states_come_back(self, golden):
        with WfStore.open(golden) as store:
            chat = store.get("chat", "", None, store.codec).checkpoint
            assert chat is not None and chat.record.checkpoint_id == "c0041"
            assert [m.content for m in chat.values["messages"]][:2] == ["Question 1: what is 1 times 1?", "It is 1."]
            asked = store.get("chat", "", "c0012", store.codec).checkpoint
            assert asked is not None and ("ask", "__resume__", ["no", "yes"]) in asked.writes
            plain = store.get("plain", "", "c0020", store.codec).checkpoint
            assert plain is not None and plain.values["state"]["name"] == "größe \ud800 " + golden_threads.PAIR
            assert plain.values["numbers"] == list(range(420)) and plain.values["small"] == [
                {"n": n} for n in range(50)
            ]
            assert plain.values["none"] is None and plain.values["empty"] == b""
            assert plain.versions["big"] == 2**70 + 20

    @pytest.mark.parametrize("thread_id", ["traced", "copy of traced"])
    def test_its_runs_steps_and_calls_come_back(self, thread_id, golden):
        with WfStore.open(golden) as store:
            found = store.thread(thread_id).traces.of()
            runs, steps, calls = found.runs(), found.steps(), found.calls()
            assert [(run.run_id, run.status, run.parent) for run in runs] == [
                ("kept", "interrupted", None),
                ("died \ud800", "open", "kept-step"),
            ]
            assert (runs[0].input, runs[0].description) == ({"question": "kept"}, {"nodes": ["agent"]})
            assert (runs[0].started, runs[0].seconds, runs[0].unattributed) == (golden_threads.BEGAN, 11 / 1e9, 1)
            assert [(step.step_id, step.status, step.attempt) for step in steps] == [
                ("kept-step", "ok", 1),
                ("kept-asking", "interrupted", 0),
                ("died-step", "open", 1),
            ]
            assert [call.call_id for call in calls] == ["kept-model-0", "kept-model-1", "kept-look"]
            assert [call.input for call in calls] == [*(golden_threads.TALK[:n] for n in (20, 22)), {"at": "größe"}]
            assert calls[1].output == golden_threads.TALK[22] and calls[1].content != calls[0].content
            assert calls[0].usage is not None and calls[0].usage == (120, 7, 0, None, None, 2**60, None, None)
            assert calls[2].error == ("ValueError", "nothing there \ud800")
            asked_by = store.thread(thread_id).traces.linked([trace.link("tool", "look-1")])
            assert [type(record) for _, record in asked_by] == [EndRecord, EndRecord, CallRecord]
            assert len(store.thread(thread_id).traces.linked([trace.link("run", "kept-step")])) == 1
            assert store.thread(thread_id).traces.linked([trace.link("call", "gone-look")]) == []

    def test_of_a_deleted_run_skeletons_are_left(self, golden):
        with sqlite3.connect(golden) as db:
            rows = db.execute("SELECT kind, body, run, refs FROM record WHERE kind >= 5 AND state <> 0").fetchall()
        db.close()
        assert sorted(row[0] for row in rows) == sorted([5, 6, 6, 7, 7, 7, *[8] * 6] * 2)
        for _, body, run, refs in rows:
            assert (packing.unpack(body), run, refs) == (b'["","gone",null,true]', None, b"")
            assert format.read_skeleton(packing.unpack(body)) == ("", "gone", None, True)

    def test_what_must_not_follow_is_noticed_by_both_verifiers(self, golden):
        """Records that are what their ids say, and yet cannot be."""
        for number, what in enumerate(WRONG, 1):
            path = Path(shutil.copy(golden, golden.with_name(f"wrong-{number}.db")))
            with WfStore.open(path) as store:
                WRONG[what](store)
                ours = store.thread("traced").verify()
                assert len(ours.problems) == 1, (what, ours.problems)
            assert len(other.verify(path)["traced"].problems) == 1, what

    def test_it_takes_new_runs(self, golden):
        with WfStore.open(golden) as store:
            run = trace.Note(golden_threads.run_record("new"))
            golden_threads.keep(store, "traced", run)
            report = store.thread("traced").verify(expect_head=V["file"]["traced"]["head"])
            assert (report.ok, report.unsealed) == (True, 3)
            golden_threads.keep(store, "traced", golden_threads.end_note(run, 1), run="new")
            assert store.thread("traced").verify().unsealed == 0
        found = other.verify(golden)
        assert found["traced"].ok and found["traced"].unsealed == 0

    def test_it_takes_new_checkpoints(self, golden):
        with WfStore.open(golden) as store:
            golden_threads.put(store, "plain", 50, 31, {"none": "new"})
            assert store.thread("plain").verify(expect_head=V["file"]["plain"]["head"]).ok
        assert all(report.ok for report in other.verify(golden).values())

    @pytest.mark.parametrize("url", [":memory:", "file"])
    def test_the_same_operations_give_the_same_head(self, url, tmp_path):
        with WfStore.open(
            tmp_path / "again.db" if url == "file" else url, lineage_secret=golden_threads.secrets().__next__
        ) as store:
            golden_threads.build(store)
            for thread_id in ("plain", "traced"):
                assert store.thread(thread_id).head == V["file"][thread_id]["head"]


def _kept(store: WfStore, name: str) -> trace.Note:
    """The note of a start that is in the golden file."""
    for row, record in store.thread("traced").traces.of().begins:
        if name in (record.run_id, getattr(record, "step_id", None), getattr(record, "call_id", None)):
            return trace.Note(record, id=row.id)
    raise AssertionError(name)


def _wrong_end(begin: str, **fields: Any) -> Callable[[WfStore], None]:
    """Add an end of what begins in the golden file, with other fields than it has to have."""

    def add(store: WfStore) -> None:
        note = golden_threads.end_note(_kept(store, begin), 99)
        golden_threads.keep(store, "traced", trace.Note(note.record._replace(**fields), begin=note.begin))

    return add


WRONG: dict[str, Callable[[WfStore], None]] = {
    "a second start": lambda store: golden_threads.keep(
        store, "traced", trace.Note(golden_threads.run_record("kept", seq=7))
    ),
    "no start": lambda store: golden_threads.keep(
        store, "traced", trace.Note(golden_threads.step_record("unknown", "s", 1))
    ),
    "a second end": _wrong_end("kept-step"),
    "another kind": _wrong_end("died-step", of="call"),
    "another id": _wrong_end("died-step", id="kept-step"),
    "another run": _wrong_end("died-step", run_id="kept"),
    "no such start": lambda store: golden_threads.keep(
        store, "traced", trace.Note(EndRecord("step", "s", "kept", bytes(32), 9, 9, "ok"))
    ),
}  # fmt: skip


def _body(db: sqlite3.Connection, where: str, old: bytes, new: bytes) -> None:
    """Replace a part of every body that has it."""
    for key, body in db.execute(f"SELECT key, body FROM record WHERE {where}").fetchall():
        data = packing.unpack(body)
        if old in data:
            db.execute("UPDATE record SET body = ? WHERE key = ?", (b"\0" + data.replace(old, new), key))


def _swap_ids(db: sqlite3.Connection) -> None:
    (a, first), (b, second) = db.execute("SELECT key, id FROM object WHERE form = 0 ORDER BY key LIMIT 2").fetchall()
    db.execute("UPDATE object SET id = zeroblob(32) WHERE key = ?", (a,))
    db.execute("UPDATE object SET id = ? WHERE key = ?", (first, b))
    db.execute("UPDATE object SET id = ? WHERE key = ?", (second, a))


LONGER = "CAST(body || x'00' AS BLOB) WHERE body > x'02'"
MORE_REFS = "CAST(x'01' || refs AS BLOB) WHERE refs > x''"
ADDED = "SELECT key + 500, id, form, tag, nonce, data, lookup"
LAST = "(SELECT max(key) FROM record WHERE seal IS NOT NULL)"
TAMPERING: dict[str, Any] = {
    "a kept record's content": lambda db: _body(db, "state = 0 AND kind = 0", b'"step":2', b'"step":3'),
    "a skeleton's parent": lambda db: _body(db, "state = 2 AND kind = 0", b'"c0003",', b'"c0002",'),
    "a skeleton's kind": lambda db: db.execute("UPDATE record SET kind = 1, space = NULL WHERE state = 2 AND kind = 0"),
    "bytes behind a frame": lambda db: db.execute("UPDATE record SET body = " + LONGER),
    "a record's id": lambda db: db.execute(f"UPDATE record SET id = zeroblob(32) WHERE key = {LAST}"),
    "a seal": lambda db: db.execute(f"UPDATE record SET seal = zeroblob(32) WHERE key = {LAST}"),
    "a seal's number": lambda db: db.execute(f"UPDATE record SET ordinal = ordinal + 1 WHERE key = {LAST}"),
    "a dropped record": lambda db: db.execute("DELETE FROM record WHERE key & 4294967295 = 5"),
    "a hidden record that is shown": lambda db: db.execute("UPDATE record SET state = 0 WHERE state = 1"),
    "a kept record that is hidden": lambda db: db.execute(f"UPDATE record SET state = 1 WHERE key = {LAST}"),
    "an anchor": lambda db: db.execute("UPDATE record SET anchor = 5 WHERE anchor IS NOT NULL AND state = 0"),
    "a branch": lambda db: db.execute("UPDATE record SET branch = 0 WHERE branch = 1"),
    "an object's bytes": lambda db: db.execute("UPDATE object SET data = x'00c0' WHERE form = 0"),
    "an object's tag": lambda db: db.execute("UPDATE object SET tag = 'bytes' WHERE tag = 'wf1'"),
    "two objects' ids": _swap_ids,
    "a dropped object": lambda db: db.execute("DELETE FROM object WHERE form = 0 AND key & 15 = 15"),
    "an added object": lambda db: db.execute(f"INSERT INTO object {ADDED} FROM object LIMIT 1"),
    "a list": lambda db: db.execute("UPDATE object SET data = x'00000301' || x'04' WHERE form = 1"),
    "a map": lambda db: db.execute("UPDATE object SET data = x'0001' WHERE form = 2"),
    "where a record's values are": lambda db: db.execute(f"UPDATE record SET refs = {MORE_REFS}"),
    "a branch record's values": lambda db: db.execute("UPDATE record SET refs = x'01' WHERE kind = 2"),
    "a lineage's secret": lambda db: db.execute("UPDATE lineage SET secret = zeroblob(32)"),
    "the current branch": lambda db: db.execute("UPDATE thread SET current = current + 1"),
    "a branch's name": lambda db: db.execute("UPDATE branch SET name = x'61' WHERE number = 1"),
    "a call's model": lambda db: _body(db, "kind = 7", b'"model":"m"', b'"model":"n"'),
    "an end's tokens": lambda db: _body(db, "kind = 8", b'"usage":[120,', b'"usage":[121,'),
    "a deleted run's id": lambda db: _body(db, "kind = 5 AND state = 2", b'"gone"', b'"went"'),
    "a deleted step's kind": lambda db: db.execute("UPDATE record SET kind = 7 WHERE kind = 6 AND state = 2"),
    "a deleted call's run": lambda db: db.execute("UPDATE record SET run = 5 WHERE kind = 7 AND state = 2"),
    "a step's run": lambda db: db.execute("UPDATE record SET run = 5 WHERE kind = 6 AND state = 0"),
    "a run's run": lambda db: db.execute("UPDATE record SET run = NULL WHERE kind = 5 AND state = 0"),
    "a call's anchor": lambda db: db.execute("UPDATE record SET anchor = 5 WHERE kind = 7"),
    "a call's values": lambda db: db.execute("UPDATE record SET refs = x'' WHERE kind = 7"),
    "an end that is hidden": lambda db: db.execute("UPDATE record SET state = 1 WHERE kind = 8 AND state = 0"),
    "a dropped link": lambda db: db.execute("DELETE FROM link WHERE seq IN (SELECT max(seq) FROM link)"),
    "an added link": lambda db: db.execute("INSERT INTO link SELECT thread, link + 1, seq FROM link"),
    "a link of a skeleton": lambda db: db.execute(
        "INSERT INTO link SELECT key >> 32, 5, key & 4294967295 FROM record WHERE kind = 7 AND state = 2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_both_verifiers_notice_a_change_of(what, golden):
    assert_both_notice(golden, TAMPERING[what], V["file"])
