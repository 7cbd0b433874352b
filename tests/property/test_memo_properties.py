"""The memo: a change of a remembered message is always seen, and copies share nothing that can be changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from plain_puts import examples
from pydantic import BaseModel

from langgraph_wfstore.codec import Codec
from langgraph_wfstore.errors import WfStoreError
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.values.blocks import SIZE, TOGETHER
from langgraph_wfstore.values.elements import Leaf
from langgraph_wfstore.values.memo import Memo
from langgraph_wfstore.values.shelf import Shelf

SERDE = WfSerializer()
NUMBERS = st.integers(0, 9)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(0, 1), st.sampled_from(["", "a", "b", b"a", b""]))
NESTED = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=6,
)
DICTS = st.dictionaries(st.sampled_from("abc"), NESTED, max_size=3)
BLOCKS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.sampled_from("ab")}, optional={"x": NESTED})
)
CALLS = st.lists(
    st.builds(lambda args, at: {"name": "f", "args": args, "id": str(at), "type": "tool_call"}, DICTS, NUMBERS)
)
USAGE = st.none() | st.builds(
    lambda a, b: {"input_tokens": a, "output_tokens": b, "total_tokens": a + b}, NUMBERS, NUMBERS
)
CONTENT = st.sampled_from(["", "a"]) | BLOCKS
BUFFERS = st.sampled_from([bytearray(b"a"), np.arange(3), np.zeros(3, "f4")]).map(copy.deepcopy)
COMMON = {
    "additional_kwargs": DICTS,
    "response_metadata": DICTS,
    "id": st.none() | st.just("id"),
    "name": st.none() | st.just("n"),
}
MESSAGES = st.one_of(
    st.builds(HumanMessage, CONTENT, **COMMON),
    st.builds(HumanMessage, CONTENT, more=NESTED),
    st.builds(SystemMessage, CONTENT),
    st.builds(AIMessage, CONTENT, tool_calls=CALLS, usage_metadata=USAGE, **COMMON),
    st.builds(ToolMessage, CONTENT, tool_call_id=st.just("1"), artifact=NESTED | BUFFERS, **COMMON),
    st.builds(HumanMessage, CONTENT, additional_kwargs=st.builds(lambda b: {"a": [b]}, BUFFERS)),
)


def containers(value: Any) -> list[Any]:
    """Every container below a message or a value that can be changed in place, itself included."""
    if isinstance(value, BaseModel):
        found = [c for inner in value.__dict__.values() for c in containers(inner)]
        for part in (value.__dict__, value.__pydantic_fields_set__, value.__pydantic_extra__):
            found += [part] if part is not None else []
        return found + [c for inner in (value.__pydantic_extra__ or {}).values() for c in containers(inner)]
    if isinstance(value, dict):
        return [value, *(c for inner in value.values() for c in containers(inner))]
    if isinstance(value, list | tuple):
        return ([value] if isinstance(value, list) else []) + [c for inner in value for c in containers(inner)]
    return [value] if isinstance(value, bytearray | np.ndarray | set) else []


def change_container(message: BaseMessage, draw: Callable[..., Any]) -> None:
    """Change one container anywhere below a message in place, most of them only a little."""
    found = draw(st.sampled_from(containers(message)))
    new = draw(NESTED | BUFFERS)
    if isinstance(found, bytearray):
        found += b"b"
    elif isinstance(found, np.ndarray):
        found[0] += 1
    elif isinstance(found, set):
        found ^= {draw(st.sampled_from(["id", "name", "content"]))}
    elif isinstance(found, dict):
        if found and found is not message.__dict__ and draw(st.booleans()):
            del found[draw(st.sampled_from(sorted(found)))]
        else:
            keys = sorted(found) if found is message.__dict__ else [*sorted(found), "a", "new"]
            found[draw(st.sampled_from([k for k in keys if k != "type"]))] = new
    elif found and draw(st.booleans()):
        found[draw(st.integers(0, len(found) - 1))] = new
    else:
        found.append(new)


def same_but_another_type(message: BaseMessage, draw: Callable[..., Any]) -> None:
    """Put a value that compares equal in the place of another one: 1 for True, a bytearray for bytes, ..."""
    kinds = {bytes: bytearray, bool: int, int: float, float: str, tuple: list, list: tuple}
    for found in containers(message):
        places = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
        for at, value in list(places):
            if type(value) in kinds and at != "type" and draw(st.booleans()):
                found[at] = kinds[type(value)](value)


def set_field(message: BaseMessage, draw: Callable[..., Any]) -> None:
    name = draw(st.sampled_from(["content", "additional_kwargs", "response_metadata", "id", "name"]))
    new = draw({"content": CONTENT, "id": st.sampled_from(["id", "other"]), "name": st.none()}.get(name, DICTS))
    setattr(message, name, new)


def set_class(message: BaseMessage, draw: Callable[..., Any]) -> None:
    message.__class__ = draw(st.sampled_from([SystemMessage, HumanMessage, ChatMessage]))


def set_extra(message: BaseMessage, draw: Callable[..., Any]) -> None:
    message.__pydantic_extra__ = draw(st.none() | DICTS)


def rename_field(message: BaseMessage, draw: Callable[..., Any]) -> None:
    items = [("renamed" if name == "name" else name, value) for name, value in message.__dict__.items()]
    message.__dict__.clear()
    message.__dict__.update(items)


CHANGES = [change_container] * 6 + [same_but_another_type] * 2 + [set_field, set_class, set_extra, rename_field]


def outcome(make: Callable[[], tuple[str, bytes]]) -> object:
    """The serialized form, or the type of the error: a change can make a message that cannot be stored."""
    try:
        return make()
    except (WfStoreError, TypeError, ValueError, AttributeError) as error:
        return type(error)


def element(codec: Codec, message: BaseMessage) -> Leaf:
    return codec.memo.recall(message) or codec._unknown(message)


def encoded(codec: Codec, message: BaseMessage) -> object:
    def make() -> tuple[str, bytes]:
        leaf = element(codec, message)
        return leaf.tag, leaf.data

    return outcome(make)


@examples(300)
@given(MESSAGES, st.data())
@example(HumanMessage("", additional_kwargs={"a": [np.arange(3)]}), None)
def test_a_change_is_never_served_as_what_was_before(message, data):
    codec = Codec(SERDE, Memo())
    assert encoded(codec, message) == outcome(lambda: SERDE.dumps_typed(message))
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4)) if data else ():
        change(message, data.draw)
        assert encoded(codec, message) == outcome(lambda: SERDE.dumps_typed(message))
        assert encoded(codec, message) == outcome(lambda: SERDE.dumps_typed(message))


@examples(150)
@given(MESSAGES)
def test_what_has_not_changed_is_remembered_if_it_can_be(message):
    memo = Memo()
    codec = Codec(SERDE, memo)
    first = element(codec, message)
    assert (memo.recall(message) is first) == (memo.look(message) is not None)
    if not any(isinstance(c, bytearray | np.ndarray) for c in containers(message)) and not message.__pydantic_extra__:
        plain = HumanMessage("a", additional_kwargs={"a": 1})
        assert memo.recall(plain) is None and element(codec, plain) is element(codec, plain)


def decoded(codec: Codec, shelf: Shelf, leaf: Leaf) -> Any:
    return codec.decode_element(leaf.key, 1, lambda *_: leaf, shelf)


@examples(200)
@given(MESSAGES, st.data())
@example(HumanMessage("", additional_kwargs={"a": [bytearray(b"a"), np.arange(3)]}), None)
def test_copies_are_equal_and_share_nothing_that_can_be_changed(message, data):
    codec, shelf = Codec(SERDE, Memo()), Shelf()
    leaf = codec._leaf(message)
    shelf.put(leaf.key, leaf)
    copies = [decoded(codec, shelf, leaf) for _ in range(3)]
    mutable = [{id(container) for container in containers(each)} for each in copies]
    assert not mutable[0] & mutable[1] and not mutable[1] & mutable[2] and not mutable[0] & mutable[2]
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4)) if data else ():
        change(copies[0], data.draw)
    for each in (*copies[1:], decoded(codec, shelf, leaf)):
        assert SERDE.dumps_typed(each) == (leaf.tag, leaf.data)
        assert encoded(codec, each) == (leaf.tag, leaf.data)
    assert encoded(codec, copies[0]) == outcome(lambda: SERDE.dumps_typed(copies[0]))


@examples(30)
@given(st.lists(MESSAGES, min_size=1, max_size=8))
def test_a_memo_that_is_full_forgets_and_stays_right(messages):
    codec = Codec(SERDE, Memo(capacity=3))
    for message in messages * 2:
        assert encoded(codec, message) == SERDE.dumps_typed(message)
        assert len(codec.memo._known) + len(codec.memo._before) <= 3


def encoded_list(codec: Codec, values: list[Any]) -> list[object]:
    """The serialized forms of a list's elements as `Codec` finds them."""
    found: list[object] = []
    for value, leaf in zip(values, codec.memo.recall_all(values), strict=True):

        def make(value: Any = value, leaf: Leaf | None = leaf) -> tuple[str, bytes]:
            known = leaf or codec._unknown(value)
            return known.tag, known.data

        found.append(outcome(make))
    return found


def serialized(values: list[Any]) -> list[object]:
    return [outcome(lambda value=value: SERDE.dumps_typed(value)) for value in values]


def edited(values: list[Any], draw: Callable[..., Any]) -> list[Any]:
    """The same elements, some of them changed, gone, or in another place."""
    values = [*values]
    for change in draw(st.lists(st.sampled_from([*CHANGES, *[same_but_another_type] * 4]), max_size=8)):
        message = draw(st.sampled_from(values))
        if isinstance(message, BaseMessage):
            change(message, draw)
    start, end = draw(st.integers(0, 3)), len(values) - draw(st.integers(0, 3))
    one, other = draw(st.integers(0, len(values) - 1)), draw(st.integers(0, len(values) - 1))
    values[one], values[other] = values[other], values[one]
    return values[start:end]


LONG = st.builds(
    lambda some, count: [copy.deepcopy(some[i % len(some)]) for i in range(count)],
    st.lists(MESSAGES.filter(lambda m: Memo().look(m) is not None), min_size=1, max_size=3)
    | st.lists(MESSAGES | st.text("ab", min_size=60, max_size=90), min_size=1, max_size=4),
    st.integers(2 * TOGETHER, 2 * SIZE + 9),
)


@examples(60)
@given(LONG, st.data())
def test_a_change_in_a_long_list_is_never_served_as_what_was_before(values, data):
    codec = Codec(SERDE, Memo())
    for _ in range(3):
        assert encoded_list(codec, values) == serialized(values)
        assert encoded_list(codec, values) == serialized(values)
        values = edited(values, data.draw)
    assert encoded_list(codec, values) == serialized(values)


@examples(60)
@given(LONG, st.data())
def test_long_lists_that_are_read_share_nothing_and_are_known_until_they_change(values, data):
    codec, shelf = Codec(SERDE, Memo()), Shelf()
    leaves = [codec.memo.recall(value) or codec._unknown(value) for value in values]
    for leaf in leaves:
        shelf.put(leaf.key, leaf)
    names = tuple(leaf.key for leaf in leaves)
    by_name = {leaf.key: leaf for leaf in leaves}

    def read(start: int) -> list[Any]:
        numbers = [4 * i for i in range(len(names) - start)]
        return codec.decode_list(names[start:], numbers, lambda name, _: by_name[name], shelf)

    copies = [read(start) for start in (0, 0, data.draw(st.integers(0, 5)), 0)]
    for each in copies:
        assert serialized(each) == serialized(values)[len(values) - len(each) :]
        assert [type(message) for message in each] == [type(message) for message in values][len(values) - len(each) :]
        assert encoded_list(codec, each) == serialized(each)
    mutable = [{id(container) for message in each for container in containers(message)} for each in copies]
    assert all(not a & b for i, a in enumerate(mutable) for b in mutable[:i])
    changed = edited(copies[0], data.draw)
    assert encoded_list(codec, changed) == serialized(changed)
    assert serialized(read(0)) == serialized(copies[3])


def test_elements_side_by_side_become_blocks():
    codec = Codec(SERDE, Memo())
    messages = [HumanMessage(f"text {i}", id=f"{i}") for i in range(5 * TOGETHER)]
    for _ in range(3):
        encoded_list(codec, messages)
    assert len(codec.memo._blocks) == 5
    starts = range(0, 5 * TOGETHER, TOGETHER)
    found = zip(codec.memo._blocks.values(), starts, strict=True)
    blocks = [(block, messages[at : at + TOGETHER]) for block, at in found]
    assert all(block.holds(side_by_side) for block, side_by_side in blocks)
    messages[20].additional_kwargs["new"] = 1
    assert [block.holds(side_by_side) for block, side_by_side in blocks] == [True, False, True, True, True]


def test_an_equal_value_of_another_type_in_a_block_is_a_change():
    codec = Codec(SERDE, Memo())
    messages = [ToolMessage("a", tool_call_id=f"{i}", artifact=True) for i in range(TOGETHER)]
    for _ in range(3):
        encoded_list(codec, messages)
    assert len(codec.memo._blocks) == 1
    messages[3].artifact = 1
    assert encoded_list(codec, messages) == serialized(messages)


@given(
    st.lists(st.text(st.sampled_from("ab\ud800é"), min_size=60, max_size=70) | st.binary(min_size=60, max_size=70)),
    st.integers(1, 400),
)
@example(["a" * 64, b"a" * 64, "a" * 64, b"a" * 64], 400)
@example(["a" * 64] * 3 + [b"a" * 64] * 3, 64)
def test_texts_and_bytes_are_serialized_once_while_they_are_remembered(values, characters):
    serde = Counting()
    codec = Codec(serde, Memo(characters=characters))
    for value in values:
        found, plain = codec.encode(value, "a channel"), Codec(SERDE, Memo()).encode(value, "a channel")
        assert isinstance(found, Leaf) and isinstance(plain, Leaf)
        assert (found.tag, found.data, found.key) == (plain.tag, plain.data, plain.key)
        if len(value) >= 64:
            serde.taken = 0
            codec.encode(value[:1] + value[1:], "an equal one")
            assert serde.taken == 0


class Counting(WfSerializer):
    """A serializer that counts what it is given."""

    taken = 0

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.taken += 1
        return super().dumps_typed(obj)
