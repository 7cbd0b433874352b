"""Comparing sequences: the differences lead from one to the other, and back."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_wfstore.diff.comparing import Edit, aligned, applied, edits

# An element is (name, content); equal pairs are equal elements. Names repeat, and may be missing.
elements = st.tuples(st.one_of(st.none(), st.sampled_from("abcdef")), st.integers(0, 3))
lists = st.lists(elements, max_size=12)


def keys(items: list[Any]) -> list[bytes]:
    return [repr(item).encode() for item in items]


def between(old: list[Any], new: list[Any]) -> list[Edit]:
    return edits(keys(old), keys(new), lambda i: old[i][0], lambda j: new[j][0])


def mirrored(edit: Edit) -> Edit:
    kind = {"added": "removed", "removed": "added"}.get(edit.kind, edit.kind)
    return Edit(kind, edit.after, edit.before)


@st.composite
def grown(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """A list, and one that came of it by a few changes: what two branches have."""
    old = draw(lists)
    new = list(old)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(new)))
        new[at : at + draw(st.integers(0, 2))] = draw(st.lists(elements, max_size=2))
    return old, new


pairs = st.one_of(st.tuples(lists, lists), grown())


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_the_differences_lead_from_the_old_list_to_the_new_one(pair: tuple[list[Any], list[Any]]) -> None:
    old, new = pair

    def value(edit: Edit) -> Any:
        assert edit.after is not None
        return new[edit.after]

    assert applied(between(old, new), old, value) == new


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_the_differences_of_the_exchanged_lists_are_the_exchanged_differences(
    pair: tuple[list[Any], list[Any]],
) -> None:
    old, new = pair
    assert sorted(between(new, old), key=repr) == sorted(map(mirrored, between(old, new)), key=repr)


@settings(max_examples=100, deadline=None)
@given(lists)
def test_a_list_does_not_differ_from_itself(items: list[Any]) -> None:
    assert between(items, list(items)) == []


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_each_difference_says_what_it_is(pair: tuple[list[Any], list[Any]]) -> None:
    old, new = pair
    for kind, before, after in between(old, new):
        assert (before is None, after is None) == (kind == "added", kind == "removed")
        if before is not None and after is not None:
            assert (old[before] == new[after]) == (kind == "moved")
            assert kind == "moved" or old[before][0] == new[after][0] is not None


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_nothing_is_added_that_has_a_namesake_that_was_removed(pair: tuple[list[Any], list[Any]]) -> None:
    old, new = pair
    found = between(old, new)
    removed = {old[e.before][0] for e in found if e.kind == "removed" and e.before is not None} - {None}
    added = {new[e.after][0] for e in found if e.kind == "added" and e.after is not None} - {None}
    assert not removed & added


def test_what_is_aligned_rises_on_both_sides() -> None:
    assert aligned([b"a", b"b", b"c", b"d"], [b"b", b"a", b"c", b"d"]) in (
        [(0, 1), (2, 2), (3, 3)],
        [(1, 0), (2, 2), (3, 3)],
    )


def test_long_lists_that_have_nothing_in_order_take_no_quadratic_time() -> None:
    old = [b"%d" % n for n in range(50_000)]
    began = time.perf_counter()
    assert len(edits(old, old[::-1], lambda i: None, lambda j: None)) == len(old) - 1
    assert time.perf_counter() - began < 5  # a quadratic comparison takes minutes
