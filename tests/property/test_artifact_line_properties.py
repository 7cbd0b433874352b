"""Lines of an artifact: what is written is read again, and only what is written so is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_wfstore.artifact.lines import (
    LeafLine,
    ListLine,
    MapLine,
    MaskLine,
    NodeLine,
    ObjectLine,
    read_value,
    write_value,
)
from langgraph_wfstore.errors import ArtifactError
from langgraph_wfstore.values.masks import write_mask

ids = st.binary(min_size=32, max_size=32)
numbers = st.integers(1, 2**53 - 1)
tags = st.text(st.characters(codec="utf-8") | st.sampled_from(["\ud800", "\udfff"]), max_size=9)
parts = st.lists(numbers, min_size=1, max_size=9).map(tuple)
positions = st.dictionaries(st.integers(0, 2**40), numbers, min_size=1, max_size=5).map(
    lambda d: tuple(sorted(d.items()))
)
masks = st.sampled_from([write_mask({"type": "builtins.str"}), write_mask({"type": "x", "id": "größe"})])
lines = st.one_of(
    st.builds(ObjectLine, ids, tags, st.binary(min_size=16, max_size=16), st.binary(max_size=300)),
    st.builds(ObjectLine, ids, tags, st.binary(min_size=16, max_size=16), st.text(max_size=99).map(str.encode)),
    st.builds(LeafLine, parts),
    st.builds(NodeLine, parts),
    st.builds(ListLine, ids, st.integers(0, 2**40), st.integers(0, 2**40)),
    st.builds(MapLine, ids, numbers, positions),
    st.builds(MaskLine, ids, masks, st.none() | st.integers(0, 2**40)),
)


@given(lines)
def test_what_is_written_is_read(line):
    assert read_value(write_value(line), "here") == line


@given(lines, st.data())
def test_what_is_not_written_so_is_not_read_as_that(line, data):
    """A line with a byte changed is refused, or is the line of something else."""
    good = write_value(line)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        found = read_value(bad, "here")
    except ArtifactError:
        return
    assert found != line
    assert write_value(found) == bad


@pytest.mark.parametrize(
    "change",
    [
        lambda f: {**f, "more": 1},
        lambda f: {**f, "nonce": "00" * 15},
        lambda f: {**f, "nonce": f["nonce"].upper()},
        lambda f: {**f, "latin1": "\u0100"},
        lambda f: {**f, "latin1": 7},
        lambda f: {"id": f["id"], "nonce": f["nonce"], "tag": "t", "base64": "YWJj"},  # latin1 would be shorter
        lambda f: {**f, "id": f["id"][7:]},
        lambda f: {**f, "tag": {"u16": "zz"}},
        lambda _: [],
        lambda _: {"leaf": []},
        lambda _: {"leaf": [1.5]},
        lambda _: {"leaf": [True]},
        lambda _: {"node": [0]},
        lambda _: {"node": "12"},
        lambda f: {"id": f["id"], "map": 1, "lists": [[2, 1], [1, 1]]},
        lambda f: {"id": f["id"], "map": 1, "lists": []},
        lambda f: {"id": f["id"], "list": -1, "count": 1},
        lambda f: {"id": f["id"], "mask": {}},
        lambda f: {"id": f["id"], "mask": {"type": "x"}, "withheld": -1},
    ],
)
def test_lines_that_are_none(change):
    fields = json.loads(write_value(ObjectLine(bytes(range(200, 232)), "t", b"\xaa" * 16, b"abc")))
    bad = json.dumps(change(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(ArtifactError, match="is no line of a value"):
        read_value(bad, "objects/000001.jsonl, line 1,")


@pytest.mark.parametrize("data", [b"", b"{", b'{"leaf": [1]}', b"\xff", b"[" * 5000, b'{"leaf":[1]}\n'])
def test_bytes_that_are_no_canonical_json(data):
    with pytest.raises(ArtifactError, match="is no line of a value"):
        read_value(data, "a line")
