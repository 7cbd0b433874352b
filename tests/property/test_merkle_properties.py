"""The Merkle tree, against its definition in RFC 9162, section 2.1, written out."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_wfstore.artifact.merkle import leaf_hash, node_hash, path_of, root_of

entries = st.lists(st.binary(min_size=32, max_size=32), max_size=70)


def by_definition(items: list[bytes]) -> bytes:
    if not items:
        return hashlib.sha256(b"").digest()
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    k = 1
    while k * 2 < len(items):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(items[:k]) + by_definition(items[k:])).digest()


def root_from(entry: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.3.2, step by step."""
    fn, sn, r = index, size - 1, leaf_hash(entry)
    for p in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


@given(entries)
def test_the_root_is_that_of_the_definition(items):
    assert root_of(items) == by_definition(items)


@given(entries.filter(bool), st.data())
def test_a_path_leads_from_its_entry_to_the_root_and_from_no_other(items, data):
    index = data.draw(st.integers(0, len(items) - 1))
    path = path_of(items, index)
    assert root_from(items[index], index, len(items), path) == root_of(items)
    assert root_from(b"another entry", index, len(items), path) != root_of(items)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_path_of_what_is_not_there(index):
    with pytest.raises(IndexError):
        path_of([b"a", b"b", b"c"], index)
