"""Threads whose ids and seals are all right, and whose values are not what any writer of ours would have written."""

from __future__ import annotations

import random
import zlib
from typing import Any

import by_hand
import pytest
from forging import with_other_content
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Interrupt, Send
from reading import read_everything
from test_hostile import COUNT

from langgraph_wfstore import WfStoreSaver, wfstore_verify
from langgraph_wfstore.backends.base import ObjectRow
from langgraph_wfstore.errors import ArtifactError, DecodeError, IntegrityError
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.testing.material import THREAD
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
            return read_everything(saver, THREAD, tmp_path)

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
