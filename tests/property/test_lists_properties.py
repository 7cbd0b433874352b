"""Lists: the id is of the content alone; a splice gives back the list; small changes cost few bytes."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_puts import examples

from langgraph_wfstore.canonical import digest
from langgraph_wfstore.values import lists

LENGTHS = st.integers(0, 80) | st.integers(0, 3000)
SEEDS = st.integers(0, 10**6)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["append", "insert", "delete", "replace", "move", "reverse", "cut", "again", "double"]),
        st.integers(0, 2**32),
        st.integers(1, 200),
    ),
    max_size=25,
)


def items_of(random: Random, count: int, endings: int) -> list[bytes]:
    """Items of which one in `endings` ends a run; 0: none."""
    out = []
    for _ in range(count):
        last = 0 if endings and not random.randrange(endings) else random.randrange(1, 32)
        out.append(random.randbytes(32) + bytes([last | random.randrange(8) << 5]))
    return out


def runs_of(strings: list[bytes]) -> list[list[bytes]]:
    """The rule of FORMAT.md, section 5, read out loud."""
    found: list[list[bytes]] = []
    run: list[bytes] = []
    for string in strings:
        run.append(string)
        if (len(run) >= 2 and string[-1] & 31 == 0) or len(run) == 1024:
            found.append(run)
            run = []
    return [*found, run] if run else found


def id_of(items: list[bytes]) -> bytes:
    level = [digest("list-leaf", b"".join(run)) for run in runs_of(items)]
    while len(level) > 1:
        level = [digest("list-node", b"".join(run)) for run in runs_of(level)]
    return digest("list", b"".join(level), len(items).to_bytes(8, "big"))


@examples(60)
@given(SEEDS, LENGTHS, st.sampled_from([0, 1, 2, 32, 500]))
def test_the_id_is_the_one_specified(seed, count, endings):
    items = items_of(Random(seed), count, endings)
    assert lists.list_id(items) == id_of(items)
    assert all(2 <= len(group) <= lists.LARGEST_GROUP for group in lists.groups(items)[:-1])


@examples(60)
@given(SEEDS, st.integers(1, 400), st.sampled_from([0, 1, 2, 32]), st.data())
def test_any_change_of_an_item_or_of_the_order_changes_the_id(seed, count, endings, data):
    items = items_of(Random(seed), count, endings)
    at = data.draw(st.integers(0, count - 1))
    changed = {
        "flag": [*items[:at], bytes([items[at][0] ^ 1]) + items[at][1:], *items[at + 1 :]],
        "dropped": items[:at] + items[at + 1 :],
        "doubled": items[: at + 1] + items[at:],
        "moved": [*items[:at], *items[at + 1 :], items[at]],
    }[data.draw(st.sampled_from(["flag", "dropped", "doubled", "moved"]))]
    assert (lists.list_id(changed) == lists.list_id(items)) == (changed == items)


@examples(40)
@given(SEEDS, st.integers(200, 3000), st.data())
def test_the_tree_is_the_same_again_soon_behind_a_change(seed, count, data):
    random = Random(seed)
    items = items_of(random, count, 32)
    at = data.draw(st.integers(0, count))
    gone = data.draw(st.integers(0, 3))
    changed = items[:at] + items_of(random, data.draw(st.integers(0, 3)), 32) + items[at + gone :]
    known = {b"".join(group) for group in lists.groups(items)}
    assert len([group for group in lists.groups(changed) if b"".join(group) not in known]) <= 8


def edited(numbers: list[int], edit: tuple[str, int, int], fresh: int) -> list[int]:
    """The list after one edit; new elements are numbered on from `fresh`."""
    what, where, size = edit
    at = where % (len(numbers) + 1)
    new = [(fresh + i) << 2 | where & 1 for i in range(size)]
    return {
        "append": lambda: numbers + new,
        "insert": lambda: numbers[:at] + new + numbers[at:],
        "delete": lambda: numbers[:at] + numbers[at + size :],
        "replace": lambda: numbers[:at] + new + numbers[at + size :],
        "move": lambda: numbers[:at] + numbers[at + size :] + numbers[at : at + size],
        "reverse": lambda: numbers[:at] + numbers[at : at + size][::-1] + numbers[at + size :],
        "cut": lambda: numbers[at:],
        "again": lambda: numbers,
        "double": lambda: numbers[: at + size] + numbers[at:],
    }[what]()


@examples(80)
@given(st.integers(0, 3000), EDITS)
def test_every_splice_of_a_chain_gives_back_its_list(count, edits):
    numbers = [n << 2 for n in range(1, count + 1)]
    stored: dict[int, lists.StoredList] = {}
    previous = None
    fresh = 10_000
    for own, edit in enumerate(edits, fresh):
        fresh += 1000
        data, base = lists.splice_for(numbers, previous)
        assert lists.base_of(data) == (0 if base is None else base.number)
        assert base is None or stored[base.number] is base
        assert lists.apply_splice(data, [] if base is None else base.numbers) == numbers
        depth = 0 if base is None else base.depth + 1
        assert depth <= len(lists.LITERALS_AT_DEPTH)
        previous = stored[own] = lists.StoredList(own, (), tuple(numbers), depth, base)
        numbers = edited(numbers, edit, fresh)


@examples(15)
@given(st.integers(0, 4000), st.integers(1, 3), st.integers(0, 2**32))
def test_an_append_or_an_insertion_costs_a_bounded_number_of_bytes(count, each, where):
    numbers = [n << 2 for n in range(1, count + 1)]
    previous = None
    sizes = []
    for step in range(300):
        data, base = lists.splice_for(numbers, previous)
        previous = lists.StoredList(10_000 + step, (), tuple(numbers), 0 if base is None else base.depth + 1, base)
        sizes.append(len(data))
        numbers = edited(
            numbers, (("append", "insert")[where & 1], where % (len(numbers) + 1), each), 20_000 + 10 * step
        )
    assert sum(sizes[1:]) / len(sizes) <= 300
    assert sum(sizes) <= 300 * len(sizes) + 3 * count


@examples(60)
@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_varint_comes_back(value, rest):
    out = bytearray()
    lists.put_varint(out, value)
    assert lists.get_varint(bytes(out) + rest, 0) == (value, len(out))
    with pytest.raises(ValueError, match="truncated"):
        lists.get_varint(bytes(out[:-1]), 0)


@examples(60)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_splice_that_copies_more_than_its_base_has_is_refused(size, start, length):
    out = bytearray()
    for number in (7, length << 1, start):
        lists.put_varint(out, number)
    base = list(range(size))
    if start + length > size:
        with pytest.raises(ValueError, match="more than its base"):
            lists.apply_splice(bytes(out), base)
    else:
        assert lists.apply_splice(bytes(out), base) == base[start : start + length]


@examples(60)
@given(st.binary(max_size=40), st.lists(st.integers(0, 100), max_size=5))
def test_any_bytes_are_a_splice_or_a_value_error(data, base):
    with suppress(ValueError):
        assert isinstance(lists.apply_splice(data, base), list)
