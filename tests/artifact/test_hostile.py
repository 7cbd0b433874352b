"""Artifacts that somebody hostile has made: none is imported, none crashes, and all are refused with a reason.

`WFSTORE_FUZZ` says how many mutations each kind gets; CI takes fewer than one would for a release.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct

import pytest
from rewriting import agreed, archive_of, canonical, members_of

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.artifact import layout
from langgraph_wfstore.artifact.opening import Limits
from langgraph_wfstore.errors import ArtifactError, IntegrityError
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_threads import SAMPLES

COUNT = int(os.environ.get("WFSTORE_FUZZ", "400"))
FREE = ("README.txt", "derived/messages.txt")  # no rule of the format says what stands in them
KINDS = ("forked", "redacted", "lists", "agent")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Artifacts of several kinds of threads, as bytes."""
    folder = tmp_path_factory.mktemp("originals")
    found = {}
    for kind in KINDS:
        with WfStoreSaver(":memory:") as saver:
            SAMPLES[kind](saver)
            saver.store.thread(THREAD).export(folder / "a.wfz")
            found[kind] = (folder / "a.wfz").read_bytes()
    return found


@pytest.fixture
def target(tmp_path):
    """Tries to import bytes: what is refused is to leave nothing; what is not, to be exported again as it came."""
    with WfStore.open(":memory:") as store:
        empty = store.stats()

        def attempt(data: bytes) -> bool:
            path = tmp_path / "hostile.wfz"
            path.write_bytes(data)
            try:
                thread = store.import_artifact(path)
            except (ArtifactError, IntegrityError) as error:
                said = str(error)
            else:
                said = ""
            if said:
                assert "othing was imported" in said or "run thread.verify" in said, said
                assert store.stats() == empty
                return False
            thread.export(tmp_path / "again.wfz")
            assert (tmp_path / "again.wfz").read_bytes() == data, "what was imported is not what the file says"
            store.delete_thread(thread.thread_id)
            return True

        yield attempt


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_changed_dropped_and_added(kind, originals, target):
    data, r = originals[kind], random.Random(kind)
    for _ in range(COUNT):
        at, how = r.randrange(len(data)), r.randrange(5)
        if how == 0:
            bad = data[:at]
        elif how == 1:
            bad = data[:at] + r.randbytes(r.randrange(1, 9)) + data[at:]
        elif how == 2:
            bad = data[:at] + data[at + r.randrange(1, 99) :]
        else:
            bad = data[:at] + bytes([data[at] ^ r.randrange(1, 256)]) + data[at + 1 :]
        assert not target(bad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("agrees", [False, True], ids=["manifest as it was", "manifest made to agree"])
def test_entries_added_dropped_swapped_renamed(kind, agrees, originals, target):
    good, r = members_of(originals[kind]), random.Random(kind)
    names = ["../../etc/passwd", "/etc/passwd", "records/../x", "records\\000001.jsonl", "C:x", "mimetype", "a\0b", "x"]
    names += ["records/000002.jsonl", "objects/000009.jsonl", "signatures/../x.json", "signatures/x.txt", "README.TXT"]
    for _ in range(COUNT // 8):
        members = list(good)
        at, how = r.randrange(len(members)), r.randrange(5)
        if how == 0:
            members.insert(at, (r.choice(names), r.choice(good)[1]))
        elif how == 1:
            members.pop(at)
        elif how == 2:
            other = r.randrange(len(members))
            members[at], members[other] = members[other], members[at]
        elif how == 3:
            members[at] = (r.choice(names), members[at][1])
        else:
            members[at] = (members[at][0], r.choice(good)[1])
        if changed_of(members, agrees) == changed_of(good, agrees):
            continue
        if agrees and "manifest.json" in dict(members):
            try:
                members = agreed(members)
            except ValueError:
                continue  # another member is called manifest.json
        assert not target(archive_of(members))


def changed_of(members, agrees):
    """What a change of must be noticed: with a manifest that agrees not that of what follows from no rule."""
    return [member for member in members if not agrees or member[0] not in FREE]


def some_value(r: random.Random, value: object) -> object:
    """Another value in the place of one."""
    choices: list[object] = [None, True, 0, -1, 1, 7, 2**53, "", "x", "sha256:" + "0" * 64, [], {}, [[]], [1], {"a": 1}]
    if isinstance(value, str) and value:
        at = r.randrange(len(value))
        choices += 9 * [value[:at] + r.choice("0f\ud800é\0"[:4]) + value[at + 1 :]]
    if isinstance(value, int):
        choices += 5 * [value + 1, value - 1]
    return r.choice(choices)


def mutated(r: random.Random, value: object) -> object:
    """A JSON value in which one thing is another."""
    if isinstance(value, dict) and value and r.random() < 0.9:
        key = r.choice(sorted(value))
        how = r.random()
        if how < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if how < 0.15:
            return {**value, "more": 1}
        return {**value, key: mutated(r, value[key])}
    if isinstance(value, list) and value and r.random() < 0.9:
        at, how = r.randrange(len(value)), r.random()
        if how < 0.1:
            return value[:at] + value[at + 1 :]
        if how < 0.2:
            return [*value, value[at]]
        if how < 0.3:
            other = r.randrange(len(value))
            swapped = list(value)
            swapped[at], swapped[other] = value[other], value[at]
            return swapped
        return [*value[:at], mutated(r, value[at]), *value[at + 1 :]]
    return some_value(r, value)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_changed_with_a_manifest_made_to_agree(kind, originals, target):
    """Whoever makes the digests agree gets no further: ids, seals, indexes and order do not."""
    good, r = members_of(originals[kind]), random.Random(kind)
    lines = [at for at, (name, _) in enumerate(good) if name.endswith(".jsonl")]
    for _ in range(COUNT // 2):
        at = r.choice(lines)
        found, how = good[at][1].splitlines(keepends=True), r.randrange(8)
        one, other = r.randrange(len(found)), r.randrange(len(found))
        if how == 0:
            found.pop(one)
        elif how == 1:
            found.insert(one, found[other])
        elif how == 2:
            found[one], found[other] = found[other], found[one]
        else:
            try:
                found[one] = canonical(mutated(r, json.loads(found[one]))) + b"\n"
            except UnicodeEncodeError:
                continue
        members = list(good)
        members[at] = (good[at][0], b"".join(found))
        if members != good:
            target(archive_of(agreed(members)))


@pytest.mark.parametrize("kind", KINDS)
def test_manifests_changed(kind, originals, target):
    good, r = members_of(originals[kind]), random.Random(kind)
    for _ in range(COUNT // 4):
        manifest = mutated(r, {k: v for k, v in json.loads(good[1][1]).items() if k != "thread"})
        if isinstance(manifest, dict):
            manifest["thread"] = THREAD  # which no record states
        try:
            bad = canonical(manifest)
        except UnicodeEncodeError:
            continue
        if bad != good[1][1]:
            target(archive_of([good[0], ("manifest.json", bad), *good[2:]]))


def test_deflated_bytes_changed(originals, tmp_path):
    """Some bits of a deflated member mean nothing: then every member is what it was."""
    path = tmp_path / "a.wfz"
    good = members_of(originals["agent"])
    data, r = archive_of(good, layout.DEFLATED), random.Random(1)
    for _ in range(COUNT):
        at = r.randrange(len(data))
        bad = data[:at] + bytes([data[at] ^ 1 << r.randrange(8)]) + data[at + 1 :]
        path.write_bytes(bad)
        with WfStore.open(":memory:") as store, contextlib.suppress(ArtifactError, IntegrityError):
            store.import_artifact(path)
            assert members_of(bad) == good


class TestBombs:
    """Small files that would be large."""

    def test_a_member_that_inflates_beyond_the_limits(self, originals, tmp_path):
        good = members_of(originals["agent"])
        huge = [(n, b"\n" * (32 << 20) if n == "derived/messages.txt" else d) for n, d in good]
        path = tmp_path / "a.wfz"
        path.write_bytes(archive_of(agreed(huge), layout.DEFLATED))
        assert path.stat().st_size < 1 << 17
        with WfStore.open(":memory:") as store:
            with pytest.raises(ArtifactError, match="more than the limits allow"):
                store.import_artifact(path, limits=Limits(bytes=16 << 20))
            store.import_artifact(path)

    def test_more_than_a_gib_of_a_small_file(self, originals, tmp_path):
        """The sizes that the directory states are believed before anything is inflated."""
        data = bytearray(archive_of(members_of(originals["agent"]), layout.DEFLATED))
        last = data.rindex(b"PK\1\2")
        data[last + 24 : last + 28] = (2**31 - 1).to_bytes(4, "little")
        path = tmp_path / "a.wfz"
        path.write_bytes(bytes(data))
        with WfStore.open(":memory:") as store, pytest.raises(ArtifactError, match="more than the limits allow"):
            store.import_artifact(path)

    def test_entries_that_share_their_bytes(self, originals, target):
        """Two entries of the directory lead to the same bytes."""
        data = bytearray(archive_of(members_of(originals["agent"])))
        first = data.index(b"PK\1\2")
        second = data.index(b"PK\1\2", first + 4)
        data[second + 42 : second + 46] = data[first + 42 : first + 46]
        assert not target(bytes(data))

    def test_more_entries_than_an_artifact_has(self, tmp_path):
        path = tmp_path / "many.wfz"
        path.write_bytes(archive_of([(f"records/{number:06}.jsonl", b"") for number in range(1001)]))
        with WfStore.open(":memory:") as store, pytest.raises(ArtifactError, match="1001 entries, more than 1000"):
            store.import_artifact(path, limits=Limits(members=1000))

    def test_the_number_of_entries_of_a_zip64_archive(self):
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 70_000, 70_000, 1, 2)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 1, 2, 0)
        assert layout.count_of(end64 + struct.pack("<4sLQL", b"PK\6\7", 0, 3, 1) + end) == 70_000
        assert layout.count_of(end) == 0xFFFF

    def test_a_list_that_shares_its_parts_again_and_again(self, originals, target, tmp_path):
        """Twenty lines of nodes say a list of 2^60 items; the limit is met before one of them is made."""
        good = members_of(originals["agent"])
        at = next(i for i, (name, _) in enumerate(good) if name.startswith("objects/"))
        lines = [good[at][1].splitlines(keepends=True)[0], canonical({"leaf": [4] * 8}) + b"\n"]
        lines += [canonical({"node": [number] * 8}) + b"\n" for number in range(2, 22)]
        members = list(good)
        members[at] = (good[at][0], b"".join(lines))
        path = tmp_path / "a.wfz"
        path.write_bytes(archive_of(agreed(members)))
        with WfStore.open(":memory:") as store, pytest.raises(ArtifactError, match="the limit"):
            store.import_artifact(path)

    def test_a_line_that_is_too_long(self, originals, tmp_path):
        path = tmp_path / "a.wfz"
        path.write_bytes(originals["agent"])
        with WfStore.open(":memory:") as store, pytest.raises(ArtifactError, match="longer than 100 bytes, the limit"):
            store.import_artifact(path, limits=Limits(line=100))

    def test_more_items_than_allowed(self, originals, tmp_path):
        path = tmp_path / "a.wfz"
        path.write_bytes(originals["lists"])
        with WfStore.open(":memory:") as store, pytest.raises(ArtifactError, match="more than 50 items, the limit"):
            store.import_artifact(path, limits=Limits(items=50))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\5\6" + bytes(18),
        struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, 0, 0),
        struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 46, 0, 0),
        b"\0" * 200,
        b"SQLite format 3\0" + b"\0" * 4096,
    ],
)
def test_what_is_no_archive(data, target):
    assert not target(data)


def test_files_that_cannot_be_read(tmp_path):
    with WfStore.open(":memory:") as store:
        with pytest.raises(ArtifactError, match="cannot be opened"):
            store.import_artifact(tmp_path / "none.wfz")
        with pytest.raises(ArtifactError, match="no regular file"):
            store.import_artifact(tmp_path)
