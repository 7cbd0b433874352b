"""What does not follow from the rest is named, though all digests, indexes and counts around it were made anew."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Iterator
from random import Random
from typing import Any

import by_hand
import pytest
import some_threads

from langgraph_wfstore.wfstore_verify import object_id

OTHER = "sha256:" + "5" * 64


def packed(made: by_hand.Contents) -> bytes:
    return by_hand.archive(by_hand.entries(made))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of what a JSON value consists of."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


def changed(value: Any, path: tuple[Any, ...]) -> None:
    """Change what stands at a path, to something of the same type where there is one."""
    *way, last = path
    for key in way:
        value = value[key]
    old = value[last]
    if isinstance(old, bool):
        value[last] = not old
    elif isinstance(old, int):
        value[last] = old + 1
    elif isinstance(old, str):
        value[last] = old[:-1] + ("1" if old[-1:] == "0" else "0")
    else:
        value[last] = "0" if old is None else None


def _is_vouched_for(line: dict[str, Any], path: tuple[Any, ...]) -> bool:
    """Not: the order in which checkpoints are listed, and what is said of a withheld object."""
    return path != ("position",) and not ("withheld" in line and path[0] in ("mask", "withheld"))


def every_field() -> Iterator[Any]:
    """One line of each shape, with each path in it that there is."""
    seen = set()
    for name in some_threads.NAMES:
        made = some_threads.made(name)
        for folder, lines in (("records", made.records), ("objects", made.objects)):
            for number, line in enumerate(lines):
                kind = line.get("kind") or line.get("body", {}).get("kind")
                for path in leaves(line):
                    shape = (folder, kind, line.get("state"), tuple("*" if type(k) is int else k for k in path))
                    if shape not in seen and _is_vouched_for(line, path):
                        seen.add(shape)
                        yield pytest.param(name, folder, number, path, id=f"{folder} {kind or ''} {path}")


@pytest.mark.parametrize(("name", "folder", "number", "path"), list(every_field()))
def test_a_change_of_any_field_is_named_with_its_line(name, folder, number, path, verified):
    made = some_threads.made(name)
    line = getattr(made, folder)[number]
    changed(line, path)
    problems = verified(packed(made)).problems
    place = f"record {number + 1}:" if folder == "records" else f"objects, line {number + 1}:"
    if "state" in line or path[0] == "mask":
        place = "removals:|" + place
    if path[0] in ("leaf", "node"):
        place = "objects, line [0-9]+:"  # the list's, whose id follows from it
    assert any(re.match(place, problem) for problem in problems), problems


@pytest.mark.parametrize("name", ["traced", "branched", "redacted", "merged", "nested", "withheld of chat"])
def test_any_change_of_any_line_is_noticed(name, verified):
    made = some_threads.made(name)
    random = Random(name)
    for _ in range(60):
        other = copy.deepcopy(made)
        line = random.choice(random.choice([other.records, other.objects]))
        path = random.choice([path for path in leaves(line) if _is_vouched_for(line, path)])
        changed(line, path)
        assert not verified(packed(other)).ok, (line, path)


@pytest.mark.parametrize("name", ["plain", "traced", "branched", "redacted", "merged", "agent", "nested"])
def test_a_record_that_is_dropped_doubled_or_moved_is_noticed(name, verified):
    made = some_threads.made(name)
    whole = verified(packed(made))
    sealed = whole.sealed
    for number in range(len(made.records)):
        for change in ("drop", "double", "swap"):
            other = copy.deepcopy(made)
            if change == "drop":
                del other.records[number]
            elif change == "double":
                other.records.insert(number, other.records[number])
            elif number:
                other.records[number - 1 : number + 1] = other.records[number - 1 : number + 1][::-1]
            if change == "swap" and not number:
                continue
            report = verified(packed(other))
            if report.ok:  # the end can be cut off, but a head kept elsewhere shows it
                assert change == "drop" and number >= sealed - 1
                assert number >= sealed or not verified(packed(other), expect_head=whole.head).ok


def test_what_is_not_sealed_can_be_dropped_unseen_and_is_counted(verified):
    made = some_threads.made("plain")
    assert verified(packed(made)).unsealed == 1
    made.records.pop()
    cut = _without_unnamed(made)
    report = verified(packed(cut))
    assert (report.problems, report.unsealed) == ([], 0)


def _without_unnamed(made: by_hand.Contents) -> by_hand.Contents:
    """Without the objects at the end that only the last record named."""
    kept = {ref for line in made.records for ref in re.findall(r"sha256:[0-9a-f]{64}", str(line))}
    while made.objects[-1]["id"] not in kept:
        made.objects.pop()
    return made


class TestObjects:
    """Lines of objects that are sound one by one."""

    @pytest.mark.parametrize("name", some_threads.NAMES)
    def test_a_line_that_is_dropped_or_doubled_is_noticed(self, name, verified):
        made = some_threads.made(name)
        random = Random(name)
        hidden = str([line for line in made.records if line.get("state") == "hidden"])
        for number in random.sample(range(len(made.objects)), 12):
            if made.objects[number].get("id", "no id") in hidden:
                continue  # a hidden record may name what is gone
            other = copy.deepcopy(made)
            del other.objects[number]
            _renumber(other, lambda n, at=number + 1: n - (n > at))
            assert not verified(packed(other)).ok
            other = copy.deepcopy(made)
            other.objects.insert(number, copy.deepcopy(other.objects[number]))
            _renumber(other, lambda n, at=number + 1: n + (n > at))
            assert any("a second time" in problem for problem in verified(packed(other)).problems)

    @pytest.mark.parametrize("name", some_threads.NAMES)
    def test_lines_in_another_order_are_noticed(self, name, verified):
        made = some_threads.made(name)
        tried = 0
        for number in range(1, len(made.objects)):
            before, line = made.objects[number - 1 : number + 1]
            if number in _numbers_in(line):
                continue  # it would stand before what it names
            other = copy.deepcopy(made)
            other.objects[number - 1 : number + 1] = [copy.deepcopy(line), copy.deepcopy(before)]
            _renumber(other, lambda n, at=number: {at: at + 1, at + 1: at}.get(n, n))
            problems = verified(packed(other)).problems
            assert [p for p in problems if "not where it has to be" in p] == problems and problems, (number, problems)
            tried += 1
            if tried == 40:
                break
        assert tried

    @pytest.mark.parametrize("at", ["first", "middle", "last"])
    def test_a_sound_line_that_nothing_names_is_noticed(self, at, verified):
        made = some_threads.made("many turns")
        number = {"first": 0, "middle": len(made.objects) // 2, "last": len(made.objects)}[at]
        new = {"tag": "bytes", "nonce": "0" * 32, "latin1": "added"}
        new["id"] = "sha256:" + object_id("bytes", bytes(16), b"added").hex()
        made.objects.insert(number, new)
        _renumber(made, lambda n: n + (n > number))
        problems = verified(packed(made)).problems
        assert len(problems) == 1 and "no record names it" in problems[0]

    def test_the_longer_form_of_bytes_is_refused(self, verified):
        made = some_threads.made("plain")
        for line in made.objects:
            if "latin1" in line:
                line["base64"] = base64.b64encode(line.pop("latin1").encode("latin-1")).decode()
                break
        assert "longer form" in verified(packed(made)).problems[0]

    def test_a_withheld_object_is_counted_and_its_removal_is_not_taken_for_a_redaction(self, verified):
        made = some_threads.made("chat")
        for line in made.objects:
            if "tag" in line:
                for key in {"tag", "nonce", "latin1", "base64"} & set(line):
                    del line[key]
                line["mask"] = {"type": "unknown", "counters": []}
        assert verified(packed(made)).problems == ["removals: the last removal record states others"]
        for line in made.objects:
            line |= {"withheld": 1} if "mask" in line else {}
        report = verified(packed(made))
        assert report.ok and report.withheld == report.withheld_bytes > 0


def _numbers_in(line: dict[str, Any]) -> list[int]:
    if "leaf" in line:
        return [n >> 2 for n in line["leaf"]]
    lists = [number for _, number in line.get("lists", [])]
    return [
        *line.get("node", []),
        *([line["list"]] if "list" in line else []),
        *([line["map"]] if lists else []),
        *lists,
    ]


def _renumber(made: by_hand.Contents, new: Any) -> None:
    """Give every number in a line the one that `new` says."""
    for line in made.objects:
        if "leaf" in line:
            line["leaf"] = [new(n >> 2) << 2 | n & 3 for n in line["leaf"]]
        elif "node" in line:
            line["node"] = [new(n) for n in line["node"]]
        elif "list" in line:
            line["list"] = new(line["list"]) if line["list"] else 0
        elif "map" in line:
            line["map"], line["lists"] = new(line["map"]), [[at, new(n)] for at, n in line["lists"]]


class TestManifest:
    """The manifest says what the file says."""

    @pytest.mark.parametrize("name", ["branched", "redacted", "withheld of chat"])
    def test_a_change_of_any_field_is_named(self, name, verified):
        made = some_threads.made(name)
        files = by_hand.members(made)
        stated = by_hand.manifest_of(made, files)
        for path in leaves(stated):
            if path[0] == "thread":
                continue  # no record holds it
            manifest = copy.deepcopy(stated)
            changed(manifest, path)
            problems = self.problems(verified, files, manifest)
            assert len(problems) == 1 and problems[0].startswith(f"manifest.json: {path[0]} is not"), (path, problems)

    def problems(self, verified, files, manifest):
        data = by_hand.archive(
            {"mimetype": by_hand.MIMETYPE, "manifest.json": by_hand.canonical(manifest), **files},
        )
        return verified(data).problems

    @pytest.mark.parametrize("key", ["members", "root", "withheld", "branches", "thread"])
    def test_a_missing_key(self, key, verified):
        made = some_threads.made("chat")
        files = by_hand.members(made)
        manifest = by_hand.manifest_of(made, files)
        del manifest[key]
        assert self.problems(verified, files, manifest)

    def test_what_is_no_number_though_it_equals_one(self, verified):
        made = some_threads.made("chat")
        files = by_hand.members(made)
        assert "current" in str(self.problems(verified, files, by_hand.manifest_of(made, files, current=False)))
        assert "format" in str(self.problems(verified, files, by_hand.manifest_of(made, files, format=True)))

    @pytest.mark.parametrize(
        "data", [b"{}", b"[]", b"null", b"", b'{"a":1,"a":1}', b'{"format": 1}', b"\xff", b"[" * 10**5]
    )
    def test_what_is_no_manifest(self, data, verified):
        files = by_hand.entries(some_threads.made("chat")) | {"manifest.json": data}
        assert not verified(by_hand.archive(files)).ok

    def test_members_in_another_order_or_too_many(self, verified):
        made = some_threads.made("chat")
        files = by_hand.members(made)
        for change in (list.reverse, list.pop, lambda members: members.append(members[0])):
            manifest = by_hand.manifest_of(made, files)
            change(manifest["members"])
            assert "members" in str(self.problems(verified, files, manifest))


@pytest.mark.parametrize("name", ["index/records.txt", "index/objects.txt"])
@pytest.mark.parametrize("change", ["drop", "double", "swap", "id", "member", "offset", "length", "line feed", "space"])
def test_an_index_that_is_not_what_it_must_be_is_named(name, change, verified):
    made = some_threads.made("chat")
    files = by_hand.members(made)
    lines = files[name].splitlines(keepends=True)
    at = {"id": 0, "member": 70, "offset": 83, "length": 96}.get(change)
    if at is not None:
        lines[3] = lines[3][:at] + (b"1" if lines[3][at : at + 1] != b"1" else b"2") + lines[3][at + 1 :]
    elif change == "drop":
        del lines[3]
    elif change == "double":
        lines.insert(3, lines[3])
    elif change == "swap":
        lines[3:5] = lines[3:5][::-1]
    else:
        lines[-1] = lines[-1][:-1] if change == "line feed" else lines[-1][:-1] + b" \n"
    files[name] = b"".join(lines)
    manifest = by_hand.canonical(by_hand.manifest_of(made, files))
    problems = verified(by_hand.archive({"mimetype": by_hand.MIMETYPE, "manifest.json": manifest, **files})).problems
    assert problems and any(problem.startswith(name) for problem in problems)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"body":', b'{ "body":'),
        (b'{"body":', b'{"a":1,"body":'),
        (b'"format":1', b'"format":1.0'),
        (b'"format":1', b'"format":true'),
        (b'"format":1', b'"format":2'),
        (b'"namespace":""', b'"namespace":"\\u0000"'),
        (b'"namespace":""', b'"namespace":null'),
        (b'"parents":[]', b'"parents":{}'),
        (b'"parents":[]', b'"parents":[["a"]]'),
        (b'"kind":"checkpoint"', b'"kind":"unknown"'),
        (b'"kind":"checkpoint"', b'"kind":["checkpoint"]'),
        (b'"v":4', b'"v":' + b"9" * 5000),
        (b'"v":4', b'"v":' + b"[" * 3000 + b"]" * 3000),
        (b'"v":4', b'"v":NaN'),
        (b'"v":4', b'"v":-0'),
        (b'"position":', b'"position":null,"positio":'),
    ],
)
def test_lines_that_are_no_records_are_named_and_break_nothing(old, new, verified):
    made = some_threads.made("branched")
    files = by_hand.members(made)
    assert old in files["records/000001.jsonl"]
    files["records/000001.jsonl"] = files["records/000001.jsonl"].replace(old, new, 1)
    manifest = by_hand.canonical(by_hand.manifest_of(made, files))
    problems = verified(by_hand.archive({"mimetype": by_hand.MIMETYPE, "manifest.json": manifest, **files})).problems
    assert any(re.match("record [0-9]+: ", problem) for problem in problems), problems
