"""The codec and the objects behind it: any value comes back, and has one reference however it came to be stored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from plain_puts import examples, memory_store, put, put_writes, values_of

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from deep_equal import same

from langgraph_wfstore.codec import CHUNK, CHUNK_TAG, ELEMENT, SMALL_ELEMENT, Codec, EncodedList, unpack
from langgraph_wfstore.records import Ref
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.values.memo import Memo

SERDE = WfSerializer()
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=60)
)
MESSAGES = st.one_of(
    st.builds(HumanMessage, st.text(max_size=80), id=st.none() | st.text(max_size=3)),
    st.builds(
        AIMessage, st.text(max_size=9), additional_kwargs=st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
    ),
    st.builds(ToolMessage, st.text(max_size=9), tool_call_id=st.text(max_size=3), artifact=st.binary(max_size=9)),
)
LEAVES = st.one_of(SCALARS, st.binary(max_size=90), st.sampled_from([b"", None, "", bytearray(b"x")]))


def _long_list(rows: tuple[list[Any], int]) -> list[Any]:
    unit, times = rows
    return [value for n in range(times) for value in (*unit, n)]


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=12),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.tuples(st.lists(LEAVES, max_size=3), st.integers(50, 300)).map(_long_list),
    )


VALUES = st.recursive(LEAVES | MESSAGES, _containers, max_leaves=8)
LISTS = st.tuples(
    st.lists(LEAVES | MESSAGES | st.fixed_dictionaries({"n": st.integers()}), max_size=6), st.integers(0, 120)
)


@examples(60)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), st.lists(VALUES, max_size=2))
@example({"a": None, "b": b""}, [b"", None])
@example({"a": b"\xa5hello", "b": "hello"}, ["hello", b"\xa5hello"])
@example({"a": {"b": [{"n": n} for n in range(300)], "c": [], "d": list(range(999))}}, [])
def test_what_is_put_comes_back(values, written):
    store = memory_store()
    put(store, "1", None, values)
    put_writes(store, "1", "task", *((i, "w", value) for i, value in enumerate(written)))
    for reader in (store, WfStore(store.backend)):
        found = reader.get("t", "", "1", reader.codec).checkpoint
        assert found is not None
        assert same(found.values, dict(sorted(values.items())))
        assert same([value for _, _, value in found.writes], written)
    assert store.thread("t").verify().ok


def reference(store: WfStore, checkpoint_id: str) -> Ref | None:
    found = store.get("t", "", checkpoint_id, store.codec).checkpoint
    assert found is not None
    return found.record.channels[0].value


@examples(50)
@given(
    LISTS.map(_long_list), st.lists(st.tuples(st.integers(0, 700), st.integers(0, 5), st.integers(0, 5)), max_size=5)
)
def test_the_same_value_has_the_same_reference_no_matter_what_was_stored_before(value, edits):
    fresh = memory_store()
    put(fresh, "last", None, {"a": value})
    store = memory_store()
    parent = None
    before = list(value)
    for number, (at, gone, new) in enumerate(edits, 1):
        before = before[:at] + [{"edit": number}] * new + before[at + gone :]
        put(store, str(number), parent, {"a": before}, version=number)
        parent = str(number)
        if number == 2:
            store = WfStore(store.backend)  # a process that knows nothing
    put(store, "last", parent, {"a": value}, version=99)
    assert reference(store, "last") == reference(fresh, "last")
    assert same(values_of(WfStore(store.backend), "last"), {"a": value})
    again = memory_store()
    put(again, "last", None, {"a": values_of(fresh)["a"]})
    assert reference(again, "last") == reference(fresh, "last")


@examples(40)
@given(LISTS.map(_long_list))
def test_items_hold_every_element_in_order_and_keep_to_their_bounds(value):
    encoded = Codec(SERDE, Memo()).encode(value, "a value")
    if not isinstance(encoded, EncodedList):
        return
    if CHUNK in encoded.flags:
        assert set(encoded.flags) == {CHUNK}
        assert b"".join(leaf.data for leaf in encoded.leaves) == SERDE.dumps_typed(value)[1]
        assert all(leaf.tag == CHUNK_TAG + "wf1" and 259 <= len(leaf.data) <= 4099 for leaf in encoded.leaves[:-1])
        return
    elements = []
    for flag, leaf in zip(encoded.flags, encoded.leaves, strict=True):
        inside = [leaf] if flag == ELEMENT else unpack(leaf.data)
        for item, element in zip(value[len(elements) :], inside, strict=False):
            alone = len(element.data) >= SMALL_ELEMENT or isinstance(item, BaseMessage)
            assert alone == (flag == ELEMENT)
        assert flag == ELEMENT or len(leaf.data) <= 4096 + SMALL_ELEMENT + 8
        elements += [(element.tag, element.data) for element in inside]
    assert elements == [SERDE.dumps_typed(element) for element in value]


@examples(25)
@given(st.integers(0, 4000), st.sampled_from(["numbers", "dicts", "texts"]), st.integers(2000, 4000))
def test_an_insertion_leaves_nearly_all_items_as_they_were(at, kind, count):
    make = {"numbers": lambda n: n, "dicts": lambda n: {"n": n}, "texts": lambda n: f"text {n} " + "x" * 50}[kind]
    value = [make(n) for n in range(count)]
    changed = [*value[:at], make(10**6), *value[at:]]
    codec = Codec(SERDE, Memo())
    before, after = codec.encode(value, ""), codec.encode(changed, "")
    assert isinstance(before, EncodedList) and isinstance(after, EncodedList)
    known = {leaf.key for leaf in before.leaves}
    new = [leaf for leaf in after.leaves if leaf.key not in known]
    assert sum(len(leaf.data) for leaf in new) <= 3 * 4200
