"""Threads whose ids and seals are all right, and whose values are not what any writer of ours would have written."""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable
from typing import Any

import by_hand
import pytest
from forging import Put, forge, one_put, with_other_content
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt, Send
from reading import read_everything
from test_hostile import COUNT

from langgraph_wfstore import WfStoreSaver, wfstore_verify
from langgraph_wfstore.backends.base import ObjectRow
from langgraph_wfstore.errors import ArtifactError, DecodeError, IntegrityError
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.testing.material import THREAD, config_of
from langgraph_wfstore.testing.sample_threads import SAMPLES
from langgraph_wfstore.testing.sample_values import VALUES

KINDS = ("agent", "chat", "lists", "forked", "merged", "pruned", "redacted", "waiting")
SERDE = WfSerializer()


def _deep() -> Any:
    value: Any = "x"
    for _ in range(200):
        value = [value]
    return value


OTHERS: list[Any] = [
    *(None, True, 5, -(2**70), "", "text", b"bytes", [], {}, [1, 2], {"a": 1}, {5: [1] * 9}, (1,), 1.5, {1, 2}),
    *({"counters_since_delta_snapshot": 5}, {"counters_since_delta_snapshot": {"log": [2**60, "x"], 5: 1}}),
    *({"wfstore.truncated": 5}, {"source": [], "step": "x", "parents": 5}, {"messages": "x"}, [{"role": 5}]),
    *(Send("a", {}), [Send("a", 5)], Interrupt(value=5, id="i"), [AIMessage("x", id="m1")], _deep()),
    HumanMessage([{"type": "text", "text": "x"}, {"type": "image"}, "y"], id="m1"),
    AIMessage.model_construct(content=5, id=5, tool_calls=5, additional_kwargs=[], response_metadata="x"),
    AIMessage.model_construct(content=None, id="m1", tool_calls=[5, {}, {"id": 5}]),
    AIMessage.model_construct(content=[{"type": 5}, {"type": "text"}, 5], tool_calls=None, usage_metadata=5),
    ToolMessage.model_construct(content={"a": 1}, tool_call_id=5, id=None, status=5),
    HumanMessage.model_construct(content=[None], type=5, name=5),
]


def _encoded() -> list[tuple[str, bytes]]:
    found = []
    for value in [*OTHERS, *VALUES.values()]:
        try:
            found.append(SERDE.dumps_typed(value))
        except Exception:  # noqa: BLE001  # what our serializer refuses nobody can write with it
            continue
    return found


ENCODED = _encoded()


def _mutated(r: random.Random, data: bytes) -> bytes:
    if not data:
        return b"\xc0"
    at = r.randrange(len(data))
    return data[:at] + bytes([r.choice((0, 0x80, 0x90, 0xC0, 0xC3, 0xFF, r.randrange(256)))]) + data[at + 1 :]


class Other:
    """Other content for some of the objects."""

    def __init__(self, seed: object, share: float) -> None:
        self._r = random.Random(str(seed))
        self._share = share

    def __call__(self, row: ObjectRow) -> tuple[str, bytes] | None:
        r = self._r
        if r.random() >= self._share:
            return None
        how = r.randrange(10)
        if how == 0:
            return row.tag, _mutated(r, row.data)
        if how == 1:
            return row.tag, r.choice(ENCODED)[1]
        if how == 2:
            return row.tag, r.randbytes(r.randrange(40))
        return r.choice(ENCODED)


@pytest.fixture(scope="module")
def sources():
    """Stores with the thread of each kind."""
    found = {}
    for kind in KINDS:
        saver = WfStoreSaver(":memory:")
        SAMPLES[kind](saver)
        found[kind] = saver
    yield found
    for saver in found.values():
        saver.close()


@pytest.fixture
def read(tmp_path):
    """Imports an artifact, if it is none that is refused, and reads everything; the errors."""

    def attempt(data: bytes) -> tuple[int, list[Any]] | None:
        path = tmp_path / "hostile.wfz"
        path.write_bytes(data)
        verified = wfstore_verify.verify_file(path)
        with WfStoreSaver(":memory:") as saver:
            if not verified.ok:
                with pytest.raises((ArtifactError, IntegrityError)):
                    saver.store.import_artifact(path)
                return None
            saver.store.import_artifact(path)
            found = read_everything(saver, THREAD, tmp_path)
            with contextlib.suppress(DecodeError):  # it reads what stands in metadata
                saver.store.prune([THREAD])
            return found

    return attempt


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_unchanged_is_read_without_an_error(kind, sources, read):
    made = with_other_content(sources[kind].store, THREAD, lambda row: None)
    found = read(by_hand.archive(by_hand.entries(made)))
    assert found is not None and found[0] > 40
    assert [error for error in found[1] if not isinstance(error, DecodeError)] == found[1] == []


@pytest.mark.parametrize("kind", KINDS)
def test_other_content_anywhere_gives_no_errors_but_ours(kind, sources, read):
    imported = 0
    for number in range(max(3, COUNT // 40)):
        other = Other((kind, number), 1.1 if number % 7 == 6 else zlib.crc32(b"%d" % number) % 40 / 100)
        made = with_other_content(sources[kind].store, THREAD, other)
        imported += read(by_hand.archive(by_hand.entries(made))) is not None
    assert imported, "none was imported, so nothing was tested"


# ---------------------------------------------------------------- known cases, one by one


def _value(value: Any) -> Callable[[Put], Any]:
    return lambda put: put.object(SERDE.dumps_typed(value)[1], *_tag(value))[1]


def _tag(value: Any) -> tuple[str, bytes]:
    tag = SERDE.dumps_typed(value)[0]
    return tag, tag.encode()


def _map_with(shell: Any, *positions: int) -> Callable[[Put], Any]:
    def build(put: Put) -> Any:
        number, name = put.object(SERDE.dumps_typed(shell)[1], *_tag(shell))
        lists = []
        for position in positions:
            data = SERDE.dumps_typed(f"element {position}")[1]
            put.list([(0, *put.object(data))])
            lists.append((position, put.last))
        return put.map(number, name, lists)

    return build


def _pack(data: bytes) -> Callable[[Put], Any]:
    return lambda put: put.list([(2, *put.object(data, "pack", b"pack"))])


OPAQUE: dict[str, tuple[str, Callable[[Put], Any], str]] = {
    "metadata that are None": ("metadata", _value(None), "of type NoneType where only a dict"),
    "metadata that are a text": ("metadata", _value("text"), "of type str where only a dict"),
    "metadata that are pairs": ("metadata", _value([("a", 1)]), "of type list where only a dict"),
    "metadata with a shell that is a text": ("metadata", _map_with("text", 0), "of type str where only a dict"),
    "further keys that are a text": ("extra", _value("text"), "of type str where only a dict"),
    "further keys that are a number": ("extra", _value(5), "of type int where only a dict"),
    "a shell that is None": ("channel", _map_with(None, 0), "of type NoneType where only a dict"),
    "a shell that is a list": ("channel", _map_with([1], 0), "of type list where only a dict"),
    "a position beyond the keys": ("channel", _map_with({"a": None}, 0, 7), "key 7 of a dict that has 1"),
    "a pack that ends early": ("channel", _pack(b"\x03wf1\x7f"), "several small elements are none"),
    "a pack with a tag that is no UTF-8": ("channel", _pack(b"\x01\xff\x00"), "several small elements are none"),
    "a pack with a number without an end": ("channel", _pack(b"\xff" * 11), "several small elements are none"),
    "a pack of what is none": ("channel", _pack(b"\x03wf1\x01\xc1"), "not a whole value"),
    "bytes of no value": ("channel", lambda put: put.object(b"\xc1")[1], "not a whole value"),
    "a tag of no serializer": ("channel", lambda put: put.object(b"x", "own", b"own")[1], "tagged 'own'"),
}


@pytest.mark.parametrize("what", OPAQUE)
def test_what_is_opaque_at_import_is_named_when_it_is_read(what, read, tmp_path):
    where, build, said = OPAQUE[what]
    data = by_hand.archive(by_hand.entries(one_put(build, where)))
    found = read(data)
    assert found is not None, "it was refused at import"
    assert {type(error) for error in found[1]} == {DecodeError}
    with WfStoreSaver(":memory:") as saver:
        saver.store.import_artifact(tmp_path / "hostile.wfz")
        with pytest.raises(DecodeError) as caught:
            saver.get_tuple(config_of())
    place = {"metadata": "metadata", "extra": "further keys", "channel": "channel 'z'"}[where]
    message = str(caught.value)
    assert message.startswith(f"thread {THREAD!r}, checkpoint ") and place in message and said in message, message


def test_a_mask_in_the_place_of_a_pack_is_read_as_one_element(read):
    """A reader takes a mask as it is: this one does not say how many elements there were."""

    def build(put: Put) -> Any:
        number, name = put.object(b"x", "pack", b"pack")
        reference = put.list([(2, number, name)])
        put.mask(number, {"type": "builtins.int"})
        return reference

    made = one_put(build)
    found = read(by_hand.archive(by_hand.entries(made)))
    assert found is not None and found[1] == []


def test_times_that_no_calendar_has(sources, read, tmp_path):
    """They are taken as they are; where a day is needed it is the first or last one."""

    def change(number: int, body: Any, ids: list[str]) -> None:
        for key in {"started", "ended", "first_token"} & set(body):
            body[key] = "9" * 30 if number % 2 else "-" + "9" * 30

    made = forge(by_hand.contents(sources["agent"].store, THREAD), change)
    found = read(by_hand.archive(by_hand.entries(made)))
    assert found is not None and found[1] == []


def test_counts_of_a_thousand_digits(sources, read):
    def change(number: int, body: Any, ids: list[str]) -> None:
        large = {"i": "9" * 1000}
        if body["kind"] == "end" and body["of"] == "call":
            body["usage"] = [large, large, large, None, None, large, None, None]
        elif body["kind"] in ("step", "call"):
            body |= {"seq": large} | ({"attempt": large, "number": large, "send": large} if "step_id" in body else {})

    made = forge(by_hand.contents(sources["agent"].store, THREAD), change)
    found = read(by_hand.archive(by_hand.entries(made)))
    assert found is not None and found[1] == []


@pytest.mark.parametrize("send", [-1, -5, 5])
def test_a_send_that_there_is_not(send, sources, read):
    def change(number: int, body: Any, ids: list[str]) -> None:
        if body["kind"] == "step":
            body["send"] = send
            body.pop("input", None)

    made = forge(by_hand.contents(sources["agent"].store, THREAD), change)
    found = read(by_hand.archive(by_hand.entries(made)))
    assert found is not None and found[1] == []
