"""Canonical JSON and digests: one value, one form; nothing else is accepted; no two meanings share bytes."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_wfstore import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ANY_TEXT = st.text(
    st.one_of(st.characters(), st.characters(categories=["Cs"]), st.sampled_from("\ud83d\ude00\U0001f600"))
)
KEYS = st.text(st.characters(max_codepoint=127), max_size=5)
INTEGERS = st.integers(-canonical.LARGEST_INTEGER, canonical.LARGEST_INTEGER)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), INTEGERS, TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
VERSIONS = st.one_of(INTEGERS, st.integers(-(2**100), 2**100), ANY_TEXT, st.floats())
PARTS = st.lists(st.binary(max_size=6), max_size=6)


@given(JSON)
@example({"a": '\x00\x1f\x7f\u2028/"\\\b\t\n\f\r\U0001f600'})
def test_a_value_comes_back_and_its_form_is_the_one_specified(value):
    data = canonical.encode(value)
    canonical.check(data)
    assert canonical.decode(data) == value
    assert data.decode() == json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@given(st.dictionaries(KEYS, JSON, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert canonical.encode(dict(items)) == canonical.encode(value)


@given(JSON, st.sampled_from([{"indent": 1}, {"separators": (", ", ": ")}, {"ensure_ascii": True}]))
def test_another_form_of_a_value_is_refused(value, options):
    data = canonical.encode(value)
    form = {"separators": (",", ":"), "sort_keys": True, "ensure_ascii": False, **options}
    other = json.dumps(value, **form).encode()
    if other != data:
        with pytest.raises(ValueError, match="canonical"):
            canonical.check(other)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(min_value=2**53))
def test_floats_and_large_integers_are_refused(number):
    with pytest.raises((ValueError, TypeError)):
        canonical.check(json.dumps([number]).encode())


@given(ANY_TEXT)
@example("\ud83d\ude00")
@example("\U0001f600\ud83d\ude00\ud800")
def test_any_text_comes_back(text):
    stored = canonical.decode(canonical.encode(canonical.text(text)))
    assert canonical.from_text(stored) == text


@given(ANY_TEXT, ANY_TEXT)
@example("\ud83d\ude00", "\U0001f600")
@example("\ud83d\ude00\ud800", "\U0001f600\ud800")
def test_two_texts_have_two_forms(a, b):
    assert (canonical.text(a) == canonical.text(b)) == (a == b)


@given(VERSIONS)
def test_any_version_comes_back_with_its_type(version):
    back = canonical.from_version(canonical.decode(canonical.encode(canonical.version(version))))
    assert type(back) is type(version)
    assert back == version or math.isnan(back)
    assert str(back) == str(version)  # -0.0 is not 0.0


@given(VERSIONS, VERSIONS)
@example(1, 1.0)
@example(1, "1")
@example(2**60, str(2**60))
def test_two_versions_have_two_forms(a, b):
    same = type(a) is type(b) and repr(a) == repr(b)
    assert (canonical.version(a) == canonical.version(b)) == same


@given(PARTS, PARTS)
@example([b"ab", b"c"], [b"a", b"bc"])
@example([], [b""])
@example([b"\0" * 8], [b"", b""])
def test_a_digest_tells_how_its_bytes_are_divided(a, b):
    assert (canonical.digest("object", *a) == canonical.digest("object", *b)) == (a == b)


@given(st.binary(max_size=20), st.lists(st.integers(0, 20), max_size=4), st.lists(st.integers(0, 20), max_size=4))
def test_two_divisions_of_the_same_bytes_have_two_digests(data, cuts, others):
    def divided(at: list[int]) -> list[bytes]:
        edges = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
        return [data[start:end] for start, end in pairwise(edges)]

    a, b = divided(cuts), divided(others)
    assert (canonical.digest("list", *a) == canonical.digest("list", *b)) == (a == b)


@given(PARTS, st.sampled_from(["object", "list", "list-leaf", "write"]), st.sampled_from(["object", "list", "seal"]))
def test_digests_of_two_kinds_never_meet(parts, a, b):
    assert (canonical.digest(a, *parts) == canonical.digest(b, *parts)) == (a == b)


@given(st.binary(min_size=32, max_size=32))
def test_the_text_of_a_digest_comes_back(name):
    assert canonical.from_hex_id(canonical.hex_id(name)) == name
