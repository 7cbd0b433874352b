"""The contract of lists as values: however a list changes from checkpoint to checkpoint, each keeps its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage, RemoveMessage

from ..values.equality import same
from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, metadata_of

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def _messages(count: int, tag: str = "m") -> list[AnyMessage]:
    return [HumanMessage(f"{tag} {number} " * 20, id=f"{tag}{number}") for number in range(count)]


def _growing() -> Iterator[Any]:
    for count in range(40):
        yield _messages(count)


def _shrinking() -> Iterator[Any]:
    for count in range(40, -1, -8):
        yield _messages(count)


def _edited_in_the_middle() -> Iterator[Any]:
    messages = _messages(60)
    for place in (30, 0, 59, 31):
        messages[place] = HumanMessage("edited", id=messages[place].id)
        yield [*messages]
    del messages[20:25]
    yield [*messages]
    messages[10:10] = _messages(3, "inserted")
    yield [*messages]
    yield messages[::-1]
    yield messages


def _a_window() -> Iterator[Any]:
    messages = _messages(50)
    for start in range(0, 40, 4):
        yield messages[start : start + 10]


def _duplicates() -> Iterator[Any]:
    for count in (1, 2, 5, 100, 3):
        yield ["same text, longer than a small element should be, so that it stands on its own" for _ in range(count)]
    yield [_messages(1)[0]] * 7
    yield [1, 1, 1, None, None, "", ""]


def _lists_of_lists() -> Iterator[Any]:
    yield [[], [[]], [[], []]]
    yield [[1, 2], [1, 2], [_messages(2)]]
    yield [[1, 2], [1, 3], [_messages(3)]]
    yield [(1, [2]), {"k": [3]}, [4]]


def _lists_in_dicts() -> Iterator[Any]:
    for count in (0, 1, 20, 21, 5):
        yield {"history": _messages(count), "other": [*range(count)], "deep": {"list": _messages(count)}, "n": count}


def _of_all_sizes() -> Iterator[Any]:
    for size in (0, 1, 63, 64, 65, 200, 5_000):
        yield ["x" * size, b"y" * size, "x" * size]


def _churning() -> Iterator[Any]:
    chance = random.Random(7)
    items: list[Any] = [*range(200)]
    for number in range(30):
        place = chance.randrange(len(items))
        match chance.randrange(5):
            case 0:
                items.pop(place)
            case 1:
                items.insert(place, f"new {number}")
            case 2:
                items[place] = {"at": place}
            case 3:
                items.extend(items[place : place + 5])
            case _:
                del items[place : place + 20]
        yield [*items]


SERIES = {
    "a growing list": _growing,
    "a shrinking list": _shrinking,
    "a list edited in the middle": _edited_in_the_middle,
    "a window": _a_window,
    "duplicate elements": _duplicates,
    "lists of lists": _lists_of_lists,
    "lists in dicts": _lists_in_dicts,
    "elements of all sizes": _of_all_sizes,
    "a list that churns": _churning,
}


class ListValuesContract(Contract):
    """Lists in all the ways in which they change."""

    @pytest.mark.parametrize("name", SERIES)
    def test_every_state_of_a_list_is_kept(self, api: Api, saver: WfStoreSaver, reopen: Reopen, name: str) -> None:
        states = [*SERIES[name]()]
        stored = [config_of()]
        for number, state in enumerate(states):
            checkpoint = checkpoint_of({"x": state}, {"x": number + 1})
            stored.append(api.put(stored[-1], checkpoint, metadata_of(number)))
        for each in (api, api.on(reopen())):
            for config, state in zip(stored[1:], states, strict=True):
                assert same(each.read(config).checkpoint["channel_values"]["x"], state)
            listed = [found.checkpoint["channel_values"]["x"] for found in each.list(config_of())]
            assert same(listed, states[::-1])
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("name", SERIES)
    def test_every_state_of_a_list_is_kept_in_forks(self, api: Api, saver: WfStoreSaver, name: str) -> None:
        states = [*SERIES[name]()][-8:]
        base = api.put(config_of(), checkpoint_of({"x": states[0]}))
        forks = [api.put(base, checkpoint_of({"x": state}, {"x": 2}), metadata_of(1, "fork")) for state in states]
        for config, state in zip(forks, states, strict=True):
            assert same(api.read(config).checkpoint["channel_values"]["x"], state)
        assert_sound(saver, THREAD)

    def test_a_list_in_a_write_is_kept(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of({"x": _messages(30)}))
        writes = [("x", _messages(31)), ("x", []), ("x", {"deep": _messages(3)}), ("x", [RemoveMessage(id="m1")])]
        api.put_writes(stored, writes, "task")
        assert same([(channel, value) for _, channel, value in api.read(stored).pending_writes or []], writes)

    def test_a_hundred_thousand_integers_are_kept(self, api: Api, saver: WfStoreSaver) -> None:
        numbers = [*range(100_000)]
        first = api.put(config_of(), checkpoint_of({"x": numbers}))
        changed = [*numbers[:50_000], -1, *numbers[50_001:], 7]
        second = api.put(first, checkpoint_of({"x": changed}, {"x": 2}))
        assert api.read(first).checkpoint["channel_values"]["x"] == numbers
        assert api.read(second).checkpoint["channel_values"]["x"] == changed
        assert_sound(saver, THREAD)

    def test_the_same_list_in_two_channels_and_threads_is_kept_apart(self, api: Api, saver: WfStoreSaver) -> None:
        for thread_id in ("a", "b"):
            first = api.put(config_of(thread_id), checkpoint_of({"x": _messages(10), "y": _messages(10)}))
            api.put(first, checkpoint_of({"x": _messages(10), "y": _messages(11)}, {"x": 1, "y": 2}))
        for thread_id in ("a", "b"):
            values = api.read(config_of(thread_id)).checkpoint["channel_values"]
            assert values == {"x": _messages(10), "y": _messages(11)}
        assert_sound(saver, "a", "b")

    def test_a_list_that_becomes_something_else_and_a_list_again_is_kept(self, api: Api) -> None:
        states: list[Any] = [_messages(5), tuple(_messages(5)), None, {"x": _messages(5)}, _messages(6), "text", []]
        stored = [config_of()]
        for number, state in enumerate(states):
            stored.append(api.put(stored[-1], checkpoint_of({"x": state}, {"x": number + 1})))
        found = [api.read(config).checkpoint["channel_values"]["x"] for config in stored[1:]]
        assert same(found, states)
