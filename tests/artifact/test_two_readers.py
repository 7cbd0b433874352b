"""What the import refuses the offline verifier refuses, and the other way round: both look at the same files."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import by_hand
import pytest
import some_threads
from forging import Put, forge, one_put
from test_hostile import COUNT, mutated

from langgraph_wfstore import WfStore, WfStoreSaver
from langgraph_wfstore.errors import ArtifactError, IntegrityError
from langgraph_wfstore.testing.material import THREAD
from langgraph_wfstore.testing.sample_threads import SAMPLES
from langgraph_wfstore.wfstore_verify import verify_file

OTHER = "sha256:" + "5" * 64
Change = Callable[[by_hand.Contents], Any]


@pytest.fixture
def refused(tmp_path):
    """Whether both refuse a file; an AssertionError where they do not agree."""
    path = tmp_path / "a.wfz"

    def attempt(data: bytes) -> bool:
        path.write_bytes(data)
        problems = verify_file(path).problems
        said = None
        with WfStore.open(":memory:") as store:
            try:
                assert store.import_artifact(path).verify().ok
            except (ArtifactError, IntegrityError) as error:
                said = str(error)
                assert store.threads() == []
        assert bool(problems) == (said is not None), (problems, said)
        return bool(problems)

    return attempt


# ---------------------------------------------------------------- the archive


def _files(name: str = "chat", **options: Any) -> dict[str, bytes]:
    return by_hand.entries(some_threads.made(name), **options)


def _signed(*names: str, size: int = 0) -> bytes:
    return by_hand.archive(_files(signatures=dict.fromkeys(names, b"{}" + b" " * size)))


def _with_readme(size: int) -> bytes:
    made = some_threads.made("chat")
    files = by_hand.members(made, readme=b"x" * size)
    manifest = by_hand.canonical(by_hand.manifest_of(made, files))
    return by_hand.archive({"mimetype": by_hand.MIMETYPE, "manifest.json": manifest, **files})


def _signature_first() -> bytes:
    files = _files(signatures={"a": b"{}"})
    order = sorted(files, key=lambda name: (name not in ("mimetype", "manifest.json"), name != "signatures/a.json"))
    return by_hand.archive([(name, files[name]) for name in order])


def _of_thread(thread: Any) -> bytes:
    made = some_threads.made("chat")
    made.thread = thread
    return by_hand.archive(by_hand.entries(made))


ARCHIVES: dict[str, tuple[Callable[[], bytes], bool]] = {
    "a signature": (lambda: _signed("a"), False),
    "a signature with a short name": (lambda: _signed("_", "-", "0"), False),
    "a signature with a long name": (lambda: _signed("a" * 184), False),
    "a signature with a longer name": (lambda: _signed("a" * 185), True),
    "a signature with 101 letters": (lambda: _signed("a" * 101), False),
    "a hidden signature": (lambda: _signed(".x"), True),
    "a signature called as the folder above": (lambda: _signed(".."), True),
    "a signature without a name": (lambda: _signed(""), True),
    "a signature with a slash": (lambda: _signed("a/b"), True),
    "a signature of 1 MiB": (lambda: _signed("a", size=(1 << 20) - 2), False),
    "a signature of more": (lambda: _signed("a", size=(1 << 20) - 1), True),
    "a signature of 2 MiB": (lambda: _signed("a", size=2 << 20), True),
    "a signature before the members": (_signature_first, True),
    "a README of 1 MiB": (lambda: _with_readme(1 << 20), False),
    "a README of more": (lambda: _with_readme((1 << 20) + 1), True),
    "a mimetype that is deflated": (lambda: by_hand.archive(_files(), deflate=["mimetype"]), True),
    "everything else deflated": (lambda: by_hand.archive(_files(), deflate=[*_files()][1:]), False),
    "a thread id of 10,000 bytes": (lambda: _of_thread("x" * 10_000), False),
    "a thread id of 10,001 bytes": (lambda: _of_thread("x" * 10_001), True),
    "a thread id of 20,000 bytes": (lambda: _of_thread("ä" * 10_000), True),
    "a thread id without a letter": (lambda: _of_thread(""), False),
    "a thread id that imports use": (lambda: _of_thread("\0wfstore import 1"), True),
    "a thread id with a surrogate": (lambda: _of_thread({"u16": "d800"}), False),
    "a thread id that could be written otherwise": (lambda: _of_thread({"u16": "0061"}), True),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives(what, refused):
    make, is_refused = ARCHIVES[what]
    assert refused(make()) == is_refused


# ---------------------------------------------------------------- masks

M = {"type": "t"}


def _deep(levels: int, key: str) -> Any:
    mask: Any = M
    for _ in range(levels):
        mask = {"type": "t", key: [mask] if key == "items" else [["a", mask]]}
    return mask


MASKS: dict[str, tuple[Any, bool]] = {
    "a type": (M, False),
    "all keys": (
        {**M, "id": "i", "tool_call_id": "c", "tool_calls": ["a"], "items": [M], "fields": [["a", M]]}
        | {"counters": [["a", [1, -2]]]},
        False,
    ),
    "nothing in arrays": ({**M, "tool_calls": [], "items": [], "fields": [], "counters": []}, False),
    "no type": ({"id": "i"}, True),
    "a key more": ({**M, "content": "x"}, True),
    "64 levels of items": (_deep(64, "items"), False),
    "65 levels of items": (_deep(65, "items"), True),
    "64 levels of fields": (_deep(64, "fields"), False),
    "65 levels of fields": (_deep(65, "fields"), True),
    "300 levels": (_deep(300, "items"), True),
    "a text that could be written otherwise": ({"type": {"u16": "0061"}}, True),
    "a text with a surrogate": ({"type": {"u16": "d800"}}, False),
    "an integer beyond 53 bits": ({**M, "counters": [["a", [2**53]]]}, True),
    **{
        f"{key} {value!r}": ({**M, key: value}, True)
        for key, values in {
            "type": [5, None, [], {}],
            "id": [5, None, []],
            "tool_call_id": [5, None],
            "tool_calls": ["x", {}, [5], None, {"a": 1}],
            "items": ["x", {}, [5], None, {"type": "t"}, [[]], [{}]],
            "fields": ["x", {}, [5], [["a"]], [["a", 5]], [[5, M]], [["a", [1]]], [["a", M, 1]], None],
            "counters": ["x", {}, [["a", 5]], [["a", [True]]], [["a", ["1"]]], [[5, [1]]], [["a", M]], [["a"]], None],
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("what", MASKS)
@pytest.mark.parametrize("withheld", [True, False])
def test_masks(what, withheld, refused):
    mask, is_refused = MASKS[what]
    made = some_threads.made("withheld of redacted" if withheld else "redacted")
    line = next(
        line
        for line in made.objects
        if ("withheld" in line if withheld else "mask" in line) and "counters" not in line["mask"]
    )
    line["mask"] = mask
    assert refused(by_hand.archive(by_hand.entries(forge(made, lambda *_: None)))) == is_refused


@pytest.mark.parametrize("shape", ["object", "map"])
@pytest.mark.parametrize("counters", [True, False])
def test_metadata_that_were_withheld_have_counters(shape, counters, refused):
    made = one_put(_map_of(0) if shape == "map" else lambda put: put.object(b"\x80")[1], "metadata")
    name = made.records[0]["body"]["metadata"]
    line = next(line for line in made.objects if line.get("id") == (name["map"] if shape == "map" else name))
    line = made.objects[line["map"] - 1] if shape == "map" else line
    own = line["id"]
    line.clear()
    line |= {"id": own, "mask": {"type": "builtins.dict"} | ({"counters": []} if counters else {}), "withheld": 5}
    assert refused(by_hand.archive(by_hand.entries(made))) != counters


# ---------------------------------------------------------------- records


def _set(kind: str, key: str, value: Any, which: int = 0) -> Change:
    """Change a field of the record of that kind that comes at this place among them."""

    def change(made: by_hand.Contents) -> Any:
        seen = [-1]

        def of_record(number: int, body: dict[str, Any], ids: list[str]) -> None:
            if body["kind"] == kind:
                seen[0] += 1
                if seen[0] == which:
                    body[key] = value(body, ids) if callable(value) else value

        return forge(made, of_record)

    return change


def _version(version: Any) -> Change:
    return _set("checkpoint", "channels", lambda body, ids: [[n, version, r] for n, _, r in body["channels"]], 0)


def _a_branch(body: dict[str, Any], ids: list[str]) -> str:
    lines = some_threads.made("branched").records
    return next(ids[n] for n, line in enumerate(lines) if line.get("body", {}).get("kind") == "branch")


def _line(change: Callable[[dict[str, Any]], Any], which: int = 3) -> Change:
    return lambda made: change(made.records[which])


def _labelled(name: Any) -> Change:
    def change(made: by_hand.Contents) -> Any:
        number = next(line["body"]["number"] for line in made.records if line.get("body", {}).get("kind") == "label")
        last = [
            line["body"]
            for line in made.records
            if line.get("body", {}).get("kind") == "label" and line["body"]["number"] == number
        ][-1]
        last["name"] = name
        if name is not None:
            made.branches = [[n, name if n == number else old, *rest] for n, old, *rest in made.branches]
        return forge(made, lambda *_: None)

    return change


RECORDS: dict[str, tuple[str, Change, bool]] = {
    "nothing": ("agent", lambda made: forge(made, lambda *_: None), False),
    "removed below 0": ("redacted", _set("removal", "removed", -1), True),
    "a label without a letter": ("branched", _labelled(""), True),
    "a label of 255 bytes": ("branched", _labelled("x" * 255), False),
    "a label of 256 bytes": ("branched", _labelled("x" * 256), True),
    "a switch to an unknown branch": ("branched", _set("switch", "number", 77), True),
    "a switch to the largest number": ("branched", _set("switch", "number", 2**53 - 1), True),
    "a switch to a number below 0": ("branched", _set("switch", "number", -1), True),
    "a switch to what is not there": ("branched", _set("switch", "checkpoint", OTHER), True),
    "a switch to what is no checkpoint": ("branched", _set("switch", "checkpoint", _a_branch), True),
    "a version of a thousand digits": ("agent", _version({"i": "1" * 1000}), False),
    "a version of more": ("agent", _version({"i": "1" * 1001}), True),
    "a version below 0 of a thousand digits": ("agent", _version({"i": "-" + "1" * 1000}), False),
    "a version of 5,000 digits": ("agent", _version({"i": "1" * 5000}), True),
    "a version that is small": ("agent", _version({"i": "5"}), True),
    "a large version": ("agent", _version({"i": "9007199254740993"}), False),
    "a version that is a list": ("agent", _version([1]), True),
    "a float as Python writes none": ("agent", _version({"f": "1.50"}), True),
    "a float": ("agent", _version({"f": "nan"}), False),
    "a time of 30 digits": ("agent", _set("end", "ended", "9" * 30), False),
    "a time below 0 of 30 digits": ("agent", _set("end", "ended", "-" + "9" * 30), False),
    "a time of 31 digits": ("agent", _set("end", "ended", "9" * 31), True),
    "a time of 4,000 digits": ("agent", _set("end", "ended", "9" * 4000), True),
    "a start of 4,000 digits": ("agent", _set("call", "started", "9" * 4000), True),
    "a count of a thousand digits": ("agent", _set("step", "attempt", {"i": "9" * 1000}), False),
    "a count of more": ("agent", _set("step", "attempt", {"i": "9" * 1001}), True),
    "metadata that are a list": (
        "agent",
        _set("checkpoint", "metadata", lambda body, ids: {"list": _a_list("agent")}, 3),
        True,
    ),
    "further keys that are a list": ("agent", _set("checkpoint", "extra", {"list": OTHER}, 3), True),
    "parameters that are a list": ("agent", _set("call", "parameters", {"list": OTHER}), True),
    "names out of order": ("agent", _set("checkpoint", "channels", lambda b, ids: b["channels"][::-1], 3), True),
    "nodes out of order": (
        "agent",
        _set("checkpoint", "versions_seen", lambda b, ids: b["versions_seen"][::-1], 4),
        True,
    ),
    "a name twice": ("agent", _set("checkpoint", "versions_seen", [["a", []], ["a", []]], 1), True),
    "parents out of order": ("agent", _set("checkpoint", "parents", [["b", "x"], ["a", "x"]], 1), True),
    "writes out of order": ("agent", _set("write", "writes", lambda b, ids: [*b["writes"], *b["writes"]], 1), True),
    "an upper-case id": ("agent", _line(lambda line: line.update(id=_upper(line["id"]))), True),
    "an id with spaces": ("agent", _line(lambda line: line.update(id=line["id"][:-2] + "  ")), True),
    "nothing missing": ("nested", _line(lambda line: line.update(missing=[])), True),
    "a hidden run": ("agent", _line(lambda line: line.update(state="hidden"), 0), True),
    "a position that leaves no room": ("agent", lambda made: _last_position(made, 2**53 - 1), True),
    "a position that does": ("agent", lambda made: _last_position(made, len(made.records) << 20), False),
}


def _a_list(name: str) -> str:
    return next(line["id"] for line in some_threads.made(name).objects if "list" in line)


def _upper(name: str) -> str:
    return "sha256:" + name[7:].upper()


def _last_position(made: by_hand.Contents, position: int) -> None:
    max((line for line in made.records if "position" in line), key=lambda line: line["position"])["position"] = position


@pytest.mark.parametrize("what", RECORDS)
def test_records(what, refused):
    name, change, is_refused = RECORDS[what]
    made = some_threads.made(name)
    change(made)
    assert refused(by_hand.archive(by_hand.entries(made))) == is_refused


@pytest.fixture(scope="module")
def deleted():
    """A thread one of whose runs was deleted, and one that was pruned."""
    found = {}
    for kind in ("of_deleted_run", "pruned"):
        with WfStoreSaver(":memory:") as saver:
            SAMPLES[kind](saver)
            found[kind] = by_hand.contents(saver.store, THREAD)
    return found


LEFT: dict[str, tuple[str, Callable[[list[Any]], list[Any]], bool]] = {
    **{
        f"a {kind} as it is": (kind, lambda left: left, False) for kind in ("run", "step", "end", "checkpoint", "write")
    },
    **{
        f"a {kind} {what}": (kind, change, True)
        for kind in ("run", "step", "end")
        for what, change in {
            "with a namespace": lambda left: ["x", *left[1:]],
            "with a parent": lambda left: [*left[:2], "x", True],
            "that was not deleted": lambda left: [*left[:3], False],
            "without an id": lambda left: ["", None, None, True],
        }.items()
    },
    "a write with a parent": ("write", lambda left: [*left[:2], "x", left[3]], True),
    "a checkpoint without an id": ("checkpoint", lambda left: [left[0], None, *left[2:]], True),
    "a checkpoint without a namespace": ("checkpoint", lambda left: [None, *left[1:]], True),
    "deleted by a number": ("checkpoint", lambda left: [*left[:3], 1], True),
    "three of four": ("checkpoint", lambda left: left[:3], True),
    "five": ("checkpoint", lambda left: [*left, None], True),
    "an object": ("write", lambda left: {"a": left}, True),
    "a text that could be written otherwise": ("write", lambda left: [left[0], {"u16": "0061"}, *left[2:]], True),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_of_removed_records(what, deleted, refused):
    kind, change, is_refused = LEFT[what]
    made = copy.deepcopy(deleted["of_deleted_run"])
    lines = [line for line in made.records if "left" in line and line["kind"] == kind]
    lines[-1]["left"] = change(lines[-1]["left"])
    assert refused(by_hand.archive(by_hand.entries(forge(made, lambda *_: None)))) == is_refused


MISSING: dict[str, tuple[Callable[[list[str]], list[str]], bool]] = {
    "as it is": (lambda names: names, False),
    "one too many": (lambda names: [*names, OTHER], True),
    "one twice": (lambda names: [*names, names[0]], True),
    "none": (lambda names: [], True),
    "upper-case": (lambda names: [_upper(name) for name in names], True),
    "in another order": (lambda names: names[::-1], True),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_of_hidden_records(what, deleted, refused):
    change, is_refused = MISSING[what]
    made = copy.deepcopy(deleted["pruned"])
    line = max(made.records, key=lambda line: len(line.get("missing", [])))
    assert len(line["missing"]) > 1
    line["missing"] = change(line["missing"])
    assert refused(by_hand.archive(by_hand.entries(made))) == is_refused


# ---------------------------------------------------------------- values


def _nothing(put: Put) -> Any:
    return put.object(b"x")[1]


def _list_of(*order: int) -> Callable[[Put], Any]:
    """A list of two objects, whose lines stand in that order."""

    def build(put: Put) -> Any:
        names = {}
        for each in order:
            number, name = put.object(b"element %d" % each)
            names[each] = number, name
        return put.list([(0, *names[0]), (0, *names[1])])

    return build


def _map_of(*positions: int) -> Callable[[Put], Any]:
    def build(put: Put) -> Any:
        number, shell = put.object(b"\x80")
        lists = []
        for each in positions:
            put.list([(0, *put.object(b"element %d" % each))])
            lists.append((each, put.last))
        return put.map(number, shell, lists)

    return build


def _twice_a_leaf(put: Put) -> Any:
    item = put.object(b"element")
    put.leaf([(0, *item)])
    return put.list([(0, *item)])


def _not_named(put: Put) -> Any:
    put.object(b"not named")
    return put.object(b"x")[1]


def _map_of_one(put: Put, element: bytes, shell: tuple[int, str] | None = None) -> Any:
    """A map of one list of one element; its shell is what has this number and id, or an object."""
    number, name = shell or put.object(b"\x81\xa1a\xc0")
    put.list([(0, *put.object(element))])
    return put.map(number, name, [(0, put.last)])


def _first_a(kind: str, then: str) -> Callable[[Put], Any]:
    """A list or a map, and a second value that names it as an item, as its shell or as its list."""

    def build(put: Put) -> Any:
        first = _map_of_one(put, b"one") if kind == "map" else put.list([(0, *put.object(b"one"))])
        number, name = put.last, first[kind]
        if then == "item":
            return [first, put.list([(0, number, name)])]
        if then == "shell":
            return [first, _map_of_one(put, b"two", (number, name))]
        return [first, put.map(*put.object(b"\x81\xa1a\xc0"), [(0, number)])]

    return build


VALUES: dict[str, tuple[Callable[[Put], Any], bool]] = {
    "an object": (_nothing, False),
    "an object that nothing names": (_not_named, True),
    "a tag with a surrogate": (lambda put: put.object(b"x", {"u16": "d800"}, b"\xed\xa0\x80")[1], True),
    "a tag that could be written otherwise": (lambda put: put.object(b"x", {"u16": "0061"}, b"a")[1], True),
    "a list": (_list_of(0, 1), False),
    "a list whose items stand in another order": (_list_of(1, 0), True),
    "a list without items": (lambda put: put.list([]), False),
    "a flag that no item has": (lambda put: put.list([(3, *put.object(b"x"))]), True),
    "a leaf twice": (_twice_a_leaf, True),
    "a map": (_map_of(0), False),
    "a map without lists": (_map_of(), True),
    "a map with a list at a large position": (_map_of(2**53 - 1), False),
    "a map whose lists are not in order": (_map_of(1, 0), True),
    "a list that an earlier value is": (_first_a("list", "list"), False),
    "a list that an earlier value is, as a shell": (_first_a("list", "shell"), True),
    "a list that an earlier value is, as an item": (_first_a("list", "item"), True),
    "a map that an earlier value is, as a shell": (_first_a("map", "shell"), True),
    "a map that an earlier value is, as an item": (_first_a("map", "item"), True),
    "a map that an earlier value is, as a list": (_first_a("map", "list"), True),
}


@pytest.mark.parametrize("what", VALUES)
def test_values(what, refused):
    build, is_refused = VALUES[what]
    assert refused(by_hand.archive(by_hand.entries(one_put(build)))) == is_refused


# ---------------------------------------------------------------- anything else


@pytest.mark.parametrize("name", some_threads.NAMES)
def test_both_agree_on_whatever_is_changed(name, refused):
    """Something anywhere in a thread is another; ids, seals, statements, indexes and manifest are made to agree."""
    r = random.Random(name)
    for _ in range(COUNT // 10):
        made = some_threads.made(name)
        at = r.randrange(len(made.records))
        if r.randrange(3) == 0 and made.objects:
            line = made.objects[r.randrange(len(made.objects))]
            changed = mutated(r, line)
            if not isinstance(changed, dict):
                continue
            line.clear()
            line |= changed
        elif r.randrange(4) == 0:
            changed = mutated(r, {k: v for k, v in made.records[at].items() if k not in ("id", "body")})
            if not isinstance(changed, dict):
                continue
            made.records[at] = {k: v for k, v in made.records[at].items() if k in ("id", "body")} | changed

        def change(number: int, body: dict[str, Any], ids: list[str], at: int = at) -> None:
            if number == at:
                found = mutated(r, {k: v for k, v in body.items() if k != "kind"})
                if isinstance(found, dict):
                    kind = body["kind"]
                    body.clear()
                    body |= {**found, "kind": kind}

        try:
            data = by_hand.archive(by_hand.entries(forge(made, change if r.randrange(2) else lambda *_: None)))
        except (KeyError, TypeError, AttributeError, ValueError, IndexError, UnicodeEncodeError):
            continue  # it cannot even be written
        refused(data)
