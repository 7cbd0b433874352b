"""What looking at the order of lines costs: each line of a value is walked once, however often it is named."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_wfstore.artifact.lines import LeafLine, ListLine, MapLine, NodeLine, ObjectLine, ValueLine
from langgraph_wfstore.artifact.order import Order
from langgraph_wfstore.errors import ArtifactError

KEYS, ITEMS, OF_A_LEAF = 60, 600, 60


class Counted(dict[int, ValueLine]):
    """Lines by number; counts how often one is asked for."""

    asked = 0

    def __getitem__(self, number: int) -> ValueLine:
        self.asked += 1
        return super().__getitem__(number)

    def __contains__(self, number: object) -> bool:
        self.asked += 1
        return super().__contains__(number)


class Lines:
    """Puts lines in their order, as the value of one record."""

    def __init__(self) -> None:
        self.order = Order()
        self.block = self.order._block = Counted()
        self.named = 0  # numbers that the lines name

    def put(self, line: Any, named: int = 0) -> int:
        self.order.take(line)
        self.named += named
        return len(self.block)

    def tree(self) -> int:
        """A tree of items, whose objects stand before it; the number of its top."""
        items = [self.put(ObjectLine(b"item %d" % n, "wf1", b"", b"")) for n in range(ITEMS)]
        runs = [items[at : at + OF_A_LEAF] for at in range(0, ITEMS, OF_A_LEAF)]
        leaves = [self.put(LeafLine(tuple(n << 2 for n in run)), len(run)) for run in runs]
        return self.put(NodeLine(tuple(leaves)), len(leaves))

    def end(self, shell: int, lists: list[int]) -> None:
        self.put(MapLine(b"map", shell, tuple(enumerate(lists))), 1 + len(lists))
        self.order.end(b"map", "a line")


def test_a_list_that_many_keys_of_a_map_name_is_walked_once():
    lines = Lines()
    shell = lines.put(ObjectLine(b"shell", "wf1", b"", b""))
    one = lines.put(ListLine(b"list", lines.tree(), ITEMS), 1)
    lines.end(shell, [one] * KEYS)
    assert lines.block.asked < 5 * (len(lines.block) + lines.named)


@pytest.mark.parametrize("levels", [1, 12])
def test_a_tree_that_many_lists_have_is_walked_once(levels):
    lines = Lines()
    shell = lines.put(ObjectLine(b"shell", "wf1", b"", b""))
    top = lines.tree()
    for _ in range(levels):
        top = lines.put(NodeLine((top, top)), 2)
    lists = [lines.put(ListLine(b"list %d" % n, top, ITEMS << levels), 1) for n in range(KEYS)]
    lines.end(shell, lists)
    assert lines.block.asked < 5 * (len(lines.block) + lines.named)


def test_lists_of_which_one_begins_with_the_other_are_in_order_and_not_otherwise():
    def put(lines: Lines, turned: bool) -> None:
        shell = lines.put(ObjectLine(b"shell", "wf1", b"", b""))
        first, second = (lines.put(ObjectLine(name, "wf1", b"", b"")) for name in (b"1", b"2"))
        leaf = lines.put(LeafLine((first << 2, second << 2)))
        top = lines.put(NodeLine((leaf,)))
        short = lines.put(ListLine(b"short", top, 2))
        third = lines.put(ObjectLine(b"3", "wf1", b"", b""))
        more = lines.put(LeafLine((third << 2, first << 2)))
        both = lines.put(NodeLine((leaf, more)))
        long = lines.put(ListLine(b"long", both, 4))
        lines.end(shell, [long, short] if turned else [short, long, short])

    put(Lines(), False)
    with pytest.raises(ArtifactError, match="not where it has to be"):
        put(Lines(), True)


def test_a_node_that_names_itself_is_walked_once_too():
    """It is refused, but by what checks the lines one by one."""
    lines = Lines()
    shell = lines.put(ObjectLine(b"shell", "wf1", b"", b""))
    node = lines.put(NodeLine((2, 2)))
    lines.end(shell, [lines.put(ListLine(b"list", node, 1))])
    assert lines.block.asked < 50
