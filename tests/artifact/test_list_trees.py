"""List trees: their lines are checked one by one, and a tree that breaks the grouping rule is no list."""

from __future__ import annotations

import hashlib
import time
from random import Random
from typing import Any

import by_hand
import pytest
from forging import digest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_wfstore import wfstore_verify
from langgraph_wfstore.values.lists import list_id
from langgraph_wfstore.wfstore_verify import LIST, Damaged, Objects, digest_text


def objects_of(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Lines of objects, all different."""
    lines = []
    for number in range(count):
        data = f"{seed} {number}".encode()
        name = digest("object", b"t", bytes(16), hashlib.sha256(data).digest())
        lines.append({"id": name, "tag": "t", "nonce": "00" * 16, "latin1": data.decode()})
    return lines


class Tree:
    """Writes the lines of a list, grouped as a test says."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = [*lines]
        self.digests = {number: bytes.fromhex(line["id"][7:]) for number, line in enumerate(lines, 1)}

    def leaf(self, numbers: list[int], flag: int = 0) -> int:
        items = b"".join(bytes([flag]) + self.digests[number] for number in numbers)
        return self._add({"leaf": [number << 2 | flag for number in numbers]}, digest("list-leaf", items))

    def node(self, numbers: list[int]) -> int:
        parts = b"".join(self.digests[number] for number in numbers)
        return self._add({"node": numbers}, digest("list-node", parts))

    def _add(self, line: dict[str, Any], name: str) -> int:
        self.lines.append(line)
        self.digests[len(self.lines)] = bytes.fromhex(name[7:])
        return len(self.lines)

    def problems(self, top: int, count: int) -> list[str]:
        """What is wrong with the list of that top."""
        name = digest("list", self.digests[top] if top else b"", count.to_bytes(8, "big"))
        self.lines.append({"id": name, "list": top, "count": count})
        return problems_of(self.lines, name)

    def closes(self, number: int) -> bool:
        return self.digests[number][-1] % 32 == 0


def problems_of(lines: list[dict[str, Any]], name: str) -> list[str]:
    objects = Objects([(LIST, bytes.fromhex(name[7:]))])
    found = []
    for line in lines:
        try:
            objects.add_line(by_hand.canonical(line))
        except Damaged as error:
            found.append(str(error))
    return found + objects.finish()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3000), st.integers(0, 5))
def test_the_tree_of_any_list_verifies(count, seed):
    tree = Tree(objects_of(count, seed))
    level = list(range(1, count + 1))
    make = tree.leaf
    while len(level) > 1 or make == tree.leaf:
        runs, run = [], []
        for number in level:
            run.append(number)
            if len(run) > 1 and tree.closes(number):
                runs.append(run)
                run = []
        runs += [run] if run else []
        level = [make(run) for run in runs]
        make = tree.node
        if not level:
            break
    top = level[0] if level else 0
    items = [b"\0" + tree.digests[number] for number in range(1, count + 1)]
    assert tree.problems(top, count) == []
    assert tree.lines[-1]["id"] == digest_text(list_id(items))


@pytest.fixture
def tree():
    """Forty objects: the first that ends a run is the tenth or so."""
    return Tree(objects_of(40))


def first_closing(tree):
    return next(number for number in range(2, 40) if tree.closes(number))


def test_a_run_that_goes_on_where_it_must_end(tree):
    assert first_closing(tree) < 39
    top = tree.leaf(list(range(1, 41)))
    assert "it goes on where a run ends" in tree.problems(top, 40)[0]


def test_a_run_that_ends_where_none_may_end(tree):
    end = first_closing(tree)
    leaves = [tree.leaf(list(range(1, end))), tree.leaf([end])]
    problems = tree.problems(tree.node(leaves), end)
    assert "a run below it ends where none may end" in problems[0]


def test_an_open_run_deep_below_is_seen(tree):
    """It is the last of its node, and not the last of its level."""
    end = first_closing(tree)
    closed = tree.leaf(list(range(1, end + 1)))
    opened = tree.leaf([end + 1])
    left = tree.node([closed, opened])
    right = tree.node([tree.leaf([end + 2])])
    problems = tree.problems(tree.node([left, right]), end + 2)
    assert "ends where none may end" in problems[0]


def test_an_open_run_below_one_that_ends_as_it_must_is_seen():
    """A leaf of one item, which ends no run, but whose digest ends that of the node above."""
    tree = Tree(objects_of(400))
    end = first_closing(tree)
    closed = tree.leaf(list(range(1, end + 1)))
    opened = next(number for number in map(tree.leaf, ([n] for n in range(end + 1, 401))) if tree.closes(number))
    left = tree.node([closed, opened])
    problems = tree.problems(tree.node([left, tree.node([closed])]), 2 * end + 1)
    assert any("ends where none may end" in problem for problem in problems)


def test_a_top_that_names_one_line_only(tree):
    assert "names one line only" in tree.problems(tree.node([tree.leaf([1, 2])]), 2)[0]


@pytest.mark.parametrize("count", [0, 1, 3, 2**53 - 1])
def test_another_count(count, tree):
    assert "and says" in tree.problems(tree.leaf([1, 2]), count)[0]


def test_levels_that_are_mixed(tree):
    end = first_closing(tree)
    low = tree.leaf(list(range(1, end + 1)))
    high = tree.node([low, tree.leaf([end + 1])])
    assert "not of one level" in tree.problems(tree.node([low, high]), 2 * end + 1)[0]


@pytest.mark.parametrize(
    "numbers", [[0], [41], [99], [-1], [True], ["1"], [1.5], [], list(range(1, 40)) * 40, None, {}]
)
def test_what_a_leaf_cannot_name(numbers, tree):
    flagged = [n << 2 if type(n) is int else n for n in numbers] if isinstance(numbers, list) else numbers
    objects = Objects([])
    for line in tree.lines:
        objects.add_line(by_hand.canonical(line))
    with pytest.raises(Damaged):
        objects.add({"leaf": flagged})
    with pytest.raises(Damaged):
        objects.add({"node": numbers})


def test_an_unknown_flag(tree):
    assert "unknown flag" in tree.problems(tree.leaf([1, 2], flag=3), 2)[0]


def test_a_leaf_that_stands_there_twice(tree):
    first = tree.leaf([1, 2])
    assert "a second time" in str(tree.problems(tree.node([first, tree.leaf([1, 2])]), 4))


def test_trees_that_share_nodes_cost_what_their_lines_cost():
    """Each line names lines of the level below again and again: the items could never be counted one by one."""
    objects = Objects([])
    for line in objects_of(100):
        objects.add(line)
    began = time.process_time()
    with pytest.raises(Damaged, match="more items than a list can have"):
        add_levels(objects, 60)
    assert objects.lines[-2] is not None and objects.lines[-2].level >= 25 and len(objects.lines) < 10_000
    assert time.process_time() - began < 20


def add_levels(objects: Objects, count: int) -> None:
    below = list(range(1, len(objects.lines) + 1))
    for level in range(count):
        below = level_of(objects, below, "node" if level else "leaf")


def level_of(objects: Objects, below: list[int], kind: str) -> list[int]:
    """A level of lines that end as runs must, of which some end a run of the next one."""
    ids = {number: line.id for number in below if (line := objects.lines[number - 1]) is not None}
    enders = [number for number in below if ids[number][-1] % 32 == 0]
    others = [number for number in below if ids[number][-1] % 32]
    random = Random(len(objects.lines))
    made: list[int] = []
    ends = False
    while len(made) < 40 or not ends:
        run = [*random.sample(others, 3), random.choice(enders)]
        objects.add({kind: [number << 2 for number in run] if kind == "leaf" else run})
        line = objects.lines[-1]
        assert line is not None and line.closed
        made.append(len(objects.lines))
        ends = ends or line.id[-1] % 32 == 0
    return made


def test_a_chain_of_nodes_is_no_recursion():
    """A hundred thousand levels of one line each."""
    objects = Objects([])
    for line in objects_of(2):
        objects.add(line)
    objects.add({"leaf": [4, 8]})
    for number in range(3, 100_003):
        objects.add({"node": [number]})
    assert objects.lines[-1] is not None and objects.lines[-1].level == 100_000


def test_the_rule_for_the_end_of_a_run():
    assert [wfstore_verify.ends_run(n, bytes([32])) for n in (1, 2, 1023, 1024)] == [False, True, True, True]
    assert [wfstore_verify.ends_run(n, bytes([33])) for n in (1, 2, 1023, 1024)] == [False, False, False, True]
