"""The order of object lines: of values of any shape that share parts, one order is right and every other is noticed."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import by_hand
import pytest
from forging import digest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_wfstore.wfstore_verify import LIST, MAP, OBJECT, Damaged, Objects

Value = tuple[str, Any]  # ("object", number), ("list", numbers of objects), ("map", (shell, [lists]))


class Writer:
    """Writes values as FORMAT.md says: each that has no line gets one behind those of what it consists of."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.ids: dict[int, bytes] = {}
        self.known: dict[Any, int] = {}

    def place(self, value: Value) -> int:
        kind, what = value
        key = repr(value)
        if key in self.known:
            return self.known[key]
        if kind == "object":
            data = f"object {what}"
            name = digest("object", b"t", bytes(16), hashlib.sha256(data.encode()).digest())
            return self.add(key, {"id": name, "tag": "t", "nonce": "00" * 16, "latin1": data}, name)
        if kind == "list":
            items = [self.place(("object", n)) for n in what]
            level = [b"\0" + self.ids[n] for n in items]
            numbers, step = [n << 2 for n in items], "leaf"
            while True:
                names = []
                new = []
                for run in by_hand._runs(level):
                    named, numbers = numbers[: len(run)], numbers[len(run) :]
                    name = digest(f"list-{step}", b"".join(run))
                    new.append(self.add((step, *named), {step: named}, name))
                    names.append(bytes.fromhex(name[7:]))
                level, numbers, step = names, new, "node"
                if len(level) == 1:
                    break
            name = digest("list", level[0], len(items).to_bytes(8, "big"))
            return self.add(key, {"id": name, "list": numbers[0], "count": len(items)}, name)
        shell, lists = what
        number, rows = (
            self.place(("object", shell)),
            [[at, self.place(("list", each))] for at, each in enumerate(lists)],
        )
        parts = [part for at, n in rows for part in (at.to_bytes(8, "big"), self.ids[n])]
        name = digest("map", self.ids[number], *parts)
        return self.add(key, {"id": name, "map": number, "lists": rows}, name)

    def add(self, key: Any, line: Any, name: str) -> int:
        if key not in self.known:
            self.lines.append(line)
            self.known[key] = len(self.lines)
            self.ids[len(self.lines)] = bytes.fromhex(name[7:])
        return self.known[key]


def values(random: Random) -> list[Value]:
    """Values that share objects, beginnings of lists, and lists."""
    lists = [tuple(random.randrange(12) for _ in range(random.choice([1, 2, 3, 8, 90]))) for _ in range(4)]
    lists += [(*lists[0], random.randrange(12)), lists[3][:40]]
    found: list[Value] = []
    for _ in range(random.randrange(1, 7)):
        kind = random.choice(["object", "list", "map", "map"])
        if kind == "object":
            found.append((kind, random.randrange(14)))
        elif kind == "list":
            found.append((kind, random.choice(lists)))
        else:
            found.append((kind, (random.randrange(14), random.choices(lists, k=random.randrange(1, 4)))))
    return found


def written(random: Random) -> tuple[list[Any], list[tuple[int, bytes]]]:
    writer = Writer()
    named = [(writer.place(value), value[0]) for value in values(random)]
    forms = {"object": OBJECT, "list": LIST, "map": MAP}
    return writer.lines, list(dict.fromkeys((forms[kind], writer.ids[number]) for number, kind in named))


def problems(lines: list[Any], named: list[tuple[int, bytes]]) -> list[str]:
    objects = Objects(named)
    found = []
    for line in lines:
        try:
            objects.add(line)
        except Damaged as error:
            found.append(str(error))
    return found + objects.finish()


def needed(line: Any) -> list[int]:
    if "leaf" in line:
        return [n >> 2 for n in line["leaf"]]
    if "map" in line:
        return [line["map"], *(n for _, n in line["lists"])]
    return [line["list"]] if "list" in line else line.get("node", [])


def renumbered(line: Any, new: dict[int, int]) -> Any:
    line = dict(line)
    if "leaf" in line:
        line["leaf"] = [new[n >> 2] << 2 | n & 3 for n in line["leaf"]]
    elif "node" in line:
        line["node"] = [new[n] for n in line["node"]]
    elif "list" in line:
        line["list"] = new[line["list"]]
    elif "map" in line:
        line["map"], line["lists"] = new[line["map"]], [[at, new[n]] for at, n in line["lists"]]
    return line


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 10**9))
def test_the_right_order_is_taken(seed):
    assert problems(*written(Random(seed))) == []


@settings(deadline=None, max_examples=400)
@given(st.integers(0, 10**9))
def test_any_other_order_in_which_nothing_stands_before_what_it_consists_of_is_noticed(seed):
    random = Random(seed)
    lines, named = written(random)
    order = list(range(1, len(lines) + 1))
    if random.random() < 0.5 and len(lines) > 1:  # one line moves
        moved = order.pop(random.randrange(len(order)))
        order.insert(random.randrange(len(order) + 1), moved)
    else:  # any order of parts before wholes
        left, order = set(order), []
        while left:
            ready = [n for n in left if not left.intersection(needed(lines[n - 1]))]
            order.append(random.choice(ready))
            left.remove(order[-1])
    new = {old: number for number, old in enumerate(order, 1)}
    changed = [renumbered(lines[old - 1], new) for old in order]
    if changed != lines:
        assert problems(changed, named)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**9))
def test_values_that_records_name_in_another_order_or_not_at_all(seed):
    random = Random(seed)
    lines, named = written(random)
    gone = random.choice(named)
    numbers = {line["id"]: number for number, line in enumerate(lines, 1) if "id" in line}
    if numbers["sha256:" + gone[1].hex()] not in {n for line in lines for n in needed(line)}:
        assert problems(lines, [ref for ref in named if ref != gone])


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_lines_that_are_missing_at_the_end(cut):
    lines, named = written(Random(7))
    assert len(lines) > 5
    assert "missing" in problems(lines[:-cut], named)[-1]
