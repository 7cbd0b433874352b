"""The bytes of the archive around its contents: each has one value, and nothing is inflated that cannot be true."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zipfile
import zlib
from random import Random

import by_hand
import pytest
import some_threads

from langgraph_wfstore import wfstore_verify

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


@pytest.fixture(scope="module")
def files():
    return by_hand.entries(some_threads.made("traced"), {"one": b"{}", "two": b"{}"})


@pytest.fixture(scope="module")
def data(files):
    return by_hand.archive(files)


def refused(verified, data, word):
    """It has one problem, which says so, and nothing else was looked at."""
    report = verified(data)
    assert len(report.problems) == 1 and report.problems[0].startswith("archive: "), report.problems
    assert word in report.problems[0]
    assert report.records == 0


def where(data: bytes, header: bytes, name: bytes) -> int:
    """Where a header of an entry begins."""
    skip = {LOCAL: 30, CENTRAL: 46}[header]
    at = data.find(header)
    while data[at + skip : at + skip + len(name)] != name:
        at = data.find(header, at + 1)
        assert at >= 0
    return at


def put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_it_verifies(data, verified):
    assert verified(data).problems == []


def test_what_stands_before_it(data, verified):
    refused(verified, b"#!/bin/sh\n" + data, "before")


def test_what_stands_before_it_with_offsets_that_count_it(files, verified):
    out = io.BytesIO(b"#!/bin/sh\n")
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as file, zipfile.ZipFile(io.BytesIO(by_hand.archive(files))) as old:
        for info in old.infolist():
            file.writestr(info, old.read(info))
    refused(verified, out.getvalue(), "is not what or where it must be")


@pytest.mark.parametrize("more", [b"\0", b"x" * 30, b"PK\5\6" + bytes(18)])
def test_what_stands_behind_it(data, more, verified):
    assert not verified(data + more).ok


def test_a_comment(data, verified):
    refused(verified, put(data, len(data) - 2, b"\3\0") + b"abc", "behind its end")


def test_bytes_between_two_entries(data, verified):
    at = where(data, LOCAL, b"README.txt")
    offset = where(data, CENTRAL, b"mimetype")
    gap = data[:at] + b"hidden" + data[at:]
    moved = bytearray(gap)
    place = offset + 6
    while gap[place : place + 4] == CENTRAL:
        (old,) = struct.unpack("<L", gap[place + 42 : place + 46])
        moved[place + 42 : place + 46] = struct.pack("<L", old + 6 if old >= at else old)
        name, extra, comment = struct.unpack("<3H", gap[place + 28 : place + 34])
        place += 46 + name + extra + comment
    moved[-6:-2] = struct.pack("<L", offset + 6)
    refused(verified, bytes(moved), "README.txt")
    with zipfile.ZipFile(io.BytesIO(bytes(moved))) as file:
        assert file.testzip() is None  # others read it


def test_bytes_between_the_entries_and_the_directory(data, verified):
    at = where(data, CENTRAL, b"mimetype")
    refused(verified, put(data[:at] + b"gap" + data[at:], len(data) + 3 - 6, struct.pack("<L", at + 3)), "between")


def test_entries_that_overlap(data, verified):
    """Two entries of the directory that have the same bytes."""
    first, second = where(data, CENTRAL, b"signatures/one.json"), where(data, CENTRAL, b"signatures/two.json")
    refused(verified, put(data, second + 42, data[first + 42 : first + 46]), "two.json")


@pytest.mark.parametrize("header", [LOCAL, CENTRAL], ids=["local", "central"])
@pytest.mark.parametrize(
    ("field", "at", "new"),
    [
        ("version", 4, b"\x2d\0"),
        ("encrypted", 6, b"\1\0"),
        ("data descriptor", 6, b"\x08\0"),
        ("UTF-8", 6, b"\0\x08"),
        ("method", 8, b"\x0c\0"),
        ("time", 10, b"\1\0"),
        ("date", 12, b"\x22\0"),
        ("crc", 14, b"\0\0\0\0"),
        ("packed", 18, b"\1\0\0\0"),
        ("size", 22, b"\1\0\0\0"),
        ("extra", 28, b"\4\0"),
    ],
)
def test_a_field_of_a_header(header, field, at, new, data, verified):
    at = where(data, header, b"README.txt") + at + (2 if header == CENTRAL else 0)
    report = verified(put(data, at, new))
    assert report.problems and all(problem.startswith("archive: ") for problem in report.problems), field


def test_a_crc_that_both_headers_say_and_that_is_wrong(data, verified):
    for header, at in ((LOCAL, 14), (CENTRAL, 16)):
        data = put(data, where(data, header, b"README.txt") + at, b"\0\0\0\0")
    assert verified(data).problems == ["README.txt: its size or CRC-32 is not what its header says"]


@pytest.mark.parametrize(
    ("field", "at"), [("made by", 4), ("comment", 32), ("disk", 34), ("internal", 36), ("mode", 40)]
)
def test_a_field_that_only_the_directory_has(field, at, data, verified):
    at += where(data, CENTRAL, b"README.txt")
    assert verified(put(data, at, b"\1\1")).problems, field


@pytest.mark.parametrize("at", range(4, 22))
def test_a_field_of_the_end(at, data, verified):
    place = len(data) - 22 + at
    assert not verified(put(data, place, bytes([data[place] ^ 1]))).ok


class TestNames:
    """The entries are those that there must be, in their order."""

    @pytest.mark.parametrize(
        "name",
        [
            *("../evil.json", "signatures/../evil.json", "/etc/passwd", "signatures//x.json", "signatures/.json"),
            *("signatures/a/b.json", "signatures/", "signatures/x.txt", "signatures/x\\y.json", "signatures/ .json"),
            *("records/000002.jsonl.bak", "extra.txt", "signatures/" + "x" * 200 + ".json", "c:/x.json"),
        ],
    )
    def test_a_name_that_no_artifact_has(self, name, files, verified):
        refused(verified, by_hand.archive([*files.items(), (name, b"{}")]), "entry")

    def test_a_name_twice(self, files, verified):
        with pytest.warns(UserWarning, match="Duplicate"):
            twice = by_hand.archive([*files.items(), ("signatures/two.json", b"{}")])
        refused(verified, twice, "order of their names")
        with pytest.warns(UserWarning, match="Duplicate"):
            twice = by_hand.archive([("mimetype", by_hand.MIMETYPE), *files.items()])
        refused(verified, twice, "entry 2 is mimetype")

    def test_a_number_left_out(self, files, verified):
        renamed = [(name.replace("records/000001", "records/000002"), data) for name, data in files.items()]
        refused(verified, by_hand.archive(renamed), "expected records/000001.jsonl")

    @pytest.mark.parametrize(
        "name", ["mimetype", "manifest.json", "README.txt", "index/records.txt", "derived/messages.txt"]
    )
    def test_an_entry_that_is_missing_or_in_another_place(self, name, files, verified):
        left = [(other, data) for other, data in files.items() if other != name]
        assert not verified(by_hand.archive(left)).ok
        assert not verified(by_hand.archive([*left, (name, files[name])])).ok

    def test_a_name_that_is_not_ascii(self, data, verified):
        at = where(data, LOCAL, b"README.txt") + 30, where(data, CENTRAL, b"README.txt") + 46
        refused(verified, put(put(data, at[0], b"\xc3\xa9"), at[1], b"\xc3\xa9"), "not ASCII")

    def test_a_local_header_with_another_name(self, data, verified):
        refused(verified, put(data, where(data, LOCAL, b"README.txt") + 30, b"r"), "README.txt")

    def test_signatures_in_another_order(self, files, verified):
        *others, one, two = files.items()
        refused(verified, by_hand.archive([*others, two, one]), "order of their names")

    def test_another_mimetype(self, files, verified):
        other = {**files, "mimetype": b"application/zip"}
        refused(verified, by_hand.archive(other), "mimetype")
        other = {**files, "mimetype": by_hand.MIMETYPE[::-1]}
        assert "mimetype: it is not" in verified(by_hand.archive(other)).problems[0]
        refused(verified, by_hand.archive(files, ["mimetype"]), "mimetype")


class TestSizes:
    """Nothing is inflated whose size cannot be true, and not more than is in proportion."""

    def test_a_bomb(self, files, verified):
        """2 GiB of zeros in 2 MB: refused before a byte of it is inflated."""
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        mega = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_FULL_FLUSH)
        bomb = self.with_entry(files, "records/000001.jsonl", 2048 * mega + deflater.flush(), 2048 << 20)
        tracemalloc.start()
        report = verified(bomb)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "it would inflate to" in report.problems[0] and len(report.problems) == 1
        assert peak < 1 << 20

    def test_more_than_deflate_can_give(self, files, verified):
        packed = zlib.compress(bytes(1000), 9)[2:-4]
        refused(verified, self.with_entry(files, "README.txt", packed, 1 << 19), "cannot have the size")

    @pytest.mark.parametrize("said", [999, 1001])
    def test_a_size_that_is_not_what_comes_out(self, said, files, verified):
        packed = zlib.compress(bytes(1000), 9)[2:-4]
        problems = verified(self.with_entry(files, "README.txt", packed, said)).problems
        assert any(problem.startswith("README.txt: its size or CRC-32") for problem in problems)

    @pytest.mark.parametrize(
        "packed", [b"", b"\xff" * 9, zlib.compress(b"x" * 99)[2:-4] + b"more", zlib.compress(b"x" * 99)[2:-5]]
    )
    def test_deflated_bytes_that_cannot_be_read(self, packed, files, verified):
        size = 99 if packed else 0
        problems = verified(self.with_entry(files, "README.txt", packed, size, zlib.crc32(b"x" * size))).problems
        assert any(problem.startswith("README.txt: ") for problem in problems)

    def test_what_inflates_to_more_than_the_caller_allows(self, data, verified):
        assert verified(data, max_inflated=10**6).ok
        assert (
            "more than 1000; if you know who made it, allow so many (--max-inflated)"
            in (verified(data, max_inflated=1000).problems[0])
        )

    @pytest.mark.parametrize("name", ["README.txt", "manifest.json", "signatures/one.json", "index/objects.txt"])
    def test_an_entry_that_is_too_large_for_what_is_in_it(self, name, files, verified):
        large = {**files, name: b" " * (3 << 20)}
        refused(verified, by_hand.archive(large, [name]), "too large")

    def with_entry(self, files, name, packed, size, crc=0):
        """An archive one of whose entries is deflated to these bytes, and says that it has this size."""
        out = by_hand.archive({**files, name: packed})
        crc_of = struct.pack("<L", zlib.crc32(packed)), struct.pack("<L", crc)
        for header, shift in ((LOCAL, 0), (CENTRAL, 2)):
            at = where(out, header, name.encode()) + shift
            assert out[at + 14 : at + 18] == crc_of[0]
            out = put(out, at + 8, b"\x08\0")
            out = put(out, at + 14, crc_of[1] + struct.pack("<2L", len(packed), size))
        return out


class TestZip64:
    """What does not fit into the fields of a ZIP archive, and only that, stands in those of Zip64."""

    def test_more_than_65535_entries(self, files, verified):
        """Written by Python's zipfile, whose record of the end is made by system 0: the one byte that differs."""
        many = {f"signatures/{number:05d}.json": b"" for number in range(65536)}
        kept = {name: data for name, data in files.items() if not name.startswith("signatures/")}
        data = by_hand.archive({**kept, **many})
        at = data.rindex(b"PK\6\6")
        assert data[at + 12 : at + 14] == b"\x2d\0"
        report = verified(put(data, at + 13, b"\3"))
        assert report.problems == []
        refused(verified, data, "end")

    def test_its_records_without_need(self, data, verified):
        start, count = where(data, CENTRAL, b"mimetype"), struct.unpack("<H", data[-12:-10])[0]
        size = len(data) - 22 - start
        end = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 0x32D, 45, 0, 0, count, count, size, start)
        end += struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
        refused(verified, data[:-22] + end + data[-22:], "end")
        wide = put(data[:-22] + end + data[-22:], len(data) + len(end) - 14, b"\xff\xff\xff\xff")
        refused(verified, wide, "end")

    def test_sizes_that_need_none(self, data, verified):
        """An extra field of Zip64 in an entry that is small."""
        at = where(data, CENTRAL, b"README.txt")
        extra = struct.pack("<2H2Q", 1, 16, len(by_hand.README), len(by_hand.README))
        wide = put(data, at + 20, b"\xff" * 8)
        wide = put(wide, at + 30, struct.pack("<H", len(extra)))
        wide = wide[: at + 56] + extra + wide[at + 56 :]
        wide = put(wide, len(wide) - 10, struct.pack("<L", len(wide) - 22 - where(data, CENTRAL, b"mimetype")))
        refused(verified, wide, "other fields")

    def test_the_headers_of_an_entry_of_more_than_4_gib(self):
        """As Python's zipfile reads them."""
        large = wfstore_verify.Entry("records/000001.jsonl", 0, 7, 5 << 30, 5 << 30, 6 << 30)
        (info,) = self.read(large)
        assert (info.file_size, info.compress_size, info.header_offset) == (5 << 30, 5 << 30, 6 << 30)
        assert (info.create_version, info.extract_version, info.CRC) == (45, 45, 7)
        far = wfstore_verify.Entry("README.txt", 8, 7, 9, 10, 6 << 30)
        (info,) = self.read(far)
        assert (info.file_size, info.compress_size, info.header_offset, info.extract_version) == (10, 9, 6 << 30, 45)
        assert far.local_header()[4:6] == b"\x14\0" and len(far.local_header()) == 40
        local = large.local_header()
        assert local[18:26] == b"\xff" * 8 and local[-20:] == struct.pack("<2H2Q", 1, 16, 5 << 30, 5 << 30)

    def read(self, entry):
        directory = entry.central_header()
        end = wfstore_verify.end_of_archive(1, len(directory), 0)
        with zipfile.ZipFile(io.BytesIO(directory + end)) as file:
            return file.infolist()

    def test_an_end_of_more_than_4_gib(self):
        end = wfstore_verify.end_of_archive(3, 5 << 30, 6 << 30)
        assert len(end) == 56 + 20 + 22
        assert struct.unpack("<4sQ2H2L4Q", end[:56])[6:] == (3, 3, 5 << 30, 6 << 30)
        assert struct.unpack("<4sLQL", end[56:76])[2] == 11 << 30
        assert end[76:] == struct.pack("<4s4H2LH", END, 0, 0, 3, 3, 0xFFFFFFFF, 0xFFFFFFFF, 0)


class TestFlips:
    """Any byte of the file, at random: nothing breaks, and nothing that was changed verifies."""

    @pytest.mark.parametrize("name", ["traced", "withheld of redacted", "nested", "branched"])
    def test_in_a_stored_file(self, name, verified):
        data = by_hand.archive(by_hand.entries(some_threads.made(name)))
        assert verified(data).ok
        random = Random(name)
        for _ in range(700):
            assert not verified(self.changed(data, random)).ok

    @pytest.mark.parametrize("name", ["traced", "plain"])
    def test_in_a_deflated_file_what_verifies_has_the_same_content(self, name, verified):
        """Some bits of deflated bytes mean nothing, such as those that fill up the last byte."""
        files = by_hand.entries(some_threads.made(name))
        data = by_hand.archive(files, [each for each in files if each != "mimetype"])
        random = Random(name)
        for _ in range(700):
            other = self.changed(data, random)
            if verified(other).ok:
                with zipfile.ZipFile(io.BytesIO(other)) as file:
                    assert {each: file.read(each) for each in file.namelist()} == files

    def test_in_a_file_whose_digests_were_made_anew(self, verified):
        """So that what is behind them is reached: lines, indexes, and the manifest itself."""
        made = some_threads.made("traced")
        files = by_hand.members(made)
        stated = by_hand.canonical(by_hand.manifest_of(made, files))
        random = Random(0)
        names = [*(name for name in files if name not in ("README.txt", "derived/messages.txt")), "manifest.json"]
        for _ in range(700):
            name = random.choice(names)
            changed = {**files, "manifest.json": stated}
            changed[name] = self.changed(changed[name], random)
            if name != "manifest.json":
                members = {each: changed[each] for each in files}
                changed["manifest.json"] = by_hand.canonical(by_hand.manifest_of(made, members))
            order = ["manifest.json", *files]
            report = verified(by_hand.archive({"mimetype": by_hand.MIMETYPE, **{n: changed[n] for n in order}}))
            if report.ok:  # what nothing vouches for: the thread's id, and positions
                assert self.without(changed[name]) == self.without({**files, "manifest.json": stated}[name])

    @staticmethod
    def without(data):
        return re.sub(rb'"position":-?[0-9]+|"thread":"[^"]*"', b"", data)

    @staticmethod
    def changed(data: bytes, random: Random) -> bytes:
        """With a byte or a few changed, dropped, added or repeated."""
        at = random.randrange(len(data))
        length = random.choice([1, 1, 1, 2, 4, 8, 40])
        kind = random.choice(["bit", "bit", "byte", "drop", "add", "copy", "cut"])
        if kind == "bit":
            return put(data, at, bytes([data[at] ^ 1 << random.randrange(8)]))
        if kind == "byte":
            return put(data, at, bytes([(data[at] + random.randrange(1, 256)) % 256]))
        if kind == "drop":
            return data[:at] + data[at + length :]
        if kind == "add":
            return data[:at] + random.randbytes(length) + data[at:]
        if kind == "copy":
            other = random.randrange(len(data))
            made = put(data, at, data[other : other + length])[: len(data)]
            return made if made != data else data + b"x"
        return data[:at]


def test_of_a_changed_signature_nothing_is_said_without_a_key(files, verified):
    data = by_hand.archive({**files, "signatures/one.json": b"garbage"})
    assert verified(data).ok
