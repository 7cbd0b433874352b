"""The contract of values: what you put is what you get, of the same type, wherever it stands."""

from __future__ import annotations

import dataclasses
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_wfstore.errors import DecodeError

from ..values.equality import same, same_channels
from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, metadata_of, put_chain
from .sample_values import LC_DICT, VALUES, Address, Coin

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class ValuesContract(Contract):
    """Each value, in each place where LangGraph puts one."""

    @pytest.mark.parametrize("name", VALUES)
    def test_a_value_comes_back_equal_and_of_its_type(self, api: Api, reopen: Reopen, name: str) -> None:
        stored = api.put(config_of(), checkpoint_of({"x": VALUES[name]}))
        for each in (api, api.on(reopen())):
            found = each.read(stored).checkpoint["channel_values"]["x"]
            assert same(found, VALUES[name]), f"put {VALUES[name]!r}, got {found!r}"

    def test_values_come_back_from_lists_and_dicts(self, api: Api, saver: WfStoreSaver) -> None:
        values = {"list": [*VALUES.values()], "dict": dict(VALUES), "lists": {"in": {"a": [*VALUES.values()]}}}
        found = api.read(api.put(config_of(), checkpoint_of(values))).checkpoint["channel_values"]
        for place in (found["list"], found["lists"]["in"]["a"], [*found["dict"].values()]):
            wrong = [name for name, got in zip(VALUES, place, strict=True) if not same(got, VALUES[name])]
            assert wrong == []
        assert [*found["dict"]] == [*VALUES]
        assert_sound(saver, THREAD)

    def test_values_come_back_from_writes(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 1)[0]
        api.put_writes(stored, [*VALUES.items()], "task")
        found = api.read(stored).pending_writes or []
        assert [channel for _, channel, _ in found] == [*VALUES]
        assert [channel for _, channel, got in found if not same(got, VALUES[channel])] == []
        assert_sound(saver, THREAD)

    def test_values_come_back_from_metadata(self, api: Api, saver: WfStoreSaver) -> None:
        stored = api.put(config_of(), checkpoint_of(), metadata_of(0, **VALUES))
        found: dict[str, Any] = dict(api.read(stored).metadata)
        assert [name for name in VALUES if not same(found.get(name), VALUES[name])] == []
        assert_sound(saver, THREAD)

    def test_values_come_back_from_a_list_of_checkpoints(self, api: Api) -> None:
        stored = config_of()
        for name, value in VALUES.items():
            stored = api.put(stored, checkpoint_of({"x": value, "l": [value]}), metadata_of(0, name=name))
        for found in api.list(config_of()):
            name = str(dict(found.metadata)["name"])
            values = found.checkpoint["channel_values"]
            assert same_channels(values, {"x": VALUES[name], "l": [VALUES[name]]}), name

    def test_the_lc_dict_of_a_user_stays_a_dict(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of({"x": LC_DICT, "l": [LC_DICT, {"k": LC_DICT}]}))
        found = api.read(stored).checkpoint["channel_values"]
        assert type(found["x"]) is dict
        assert found == {"x": LC_DICT, "l": [LC_DICT, {"k": LC_DICT}]}

    def test_equal_values_of_different_types_stay_different(self, api: Api) -> None:
        values = {
            "n": [1, True, 1.0],
            "z": [0, False, 0.0, -0.0],
            "s": ["a", b"a"],
            "l": [[1], (1,), {1}],
            "c": [Coin("a"), ("a", ())],
        }
        found = api.read(api.put(config_of(), checkpoint_of(values))).checkpoint["channel_values"]
        assert same_channels(found, values)

    @pytest.mark.parametrize("empty", [None, "", b"", bytearray(), (), [], {}, set()], ids=repr)
    def test_empty_values_of_different_types_stay_different(self, api: Api, saver: WfStoreSaver, empty: Any) -> None:
        values: dict[str, Any] = {"x": empty, "none": None, "s": "", "b": b"", "t": (), "l": [], "d": {}, "e": set()}
        stored = api.put(config_of(), checkpoint_of(values), metadata_of(0, mine=empty))
        api.put_writes(stored, [*values.items()], "task")
        found = api.read(stored)
        assert same_channels(found.checkpoint["channel_values"], values)
        assert same({channel: value for _, channel, value in found.pending_writes or []}, values)
        assert same(dict(found.metadata)["mine"], empty)
        assert_sound(saver, THREAD)

    def test_a_megabyte_comes_back(self, api: Api) -> None:
        values = {"s": "größe" * 200_000, "b": bytes(range(256)) * 4_096}
        assert api.read(api.put(config_of(), checkpoint_of(values))).checkpoint["channel_values"] == values

    def test_a_value_nested_deeply_comes_back(self, api: Api) -> None:
        value: Any = "bottom"
        for number in range(60):
            value = [value] if number % 2 else {"k": value}
        found = api.read(api.put(config_of(), checkpoint_of({"x": value}))).checkpoint["channel_values"]["x"]
        assert found == value


class LostClassContract(Contract):
    """A class that is gone is an error with a name, never a silent None or dict."""

    @pytest.fixture
    def lost(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A dataclass of a module that `monkeypatch.undo` takes away again."""
        module = types.ModuleType("a_module_that_goes")
        gone = dataclasses.make_dataclass("Gone", [("x", int)], namespace={"__module__": module.__name__})
        vars(module)["Gone"] = gone
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return gone(7)

    def test_a_lost_class_in_a_channel_is_a_decode_error_that_names_it(
        self, api: Api, reopen: Reopen, lost: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = api.put(config_of("the thread"), checkpoint_of({"fine": 1, "the channel": [lost]}))
        assert api.read(stored).checkpoint["channel_values"]["the channel"] == [lost]
        monkeypatch.undo()
        with pytest.raises(DecodeError, match="Gone") as error:
            api.on(reopen()).get_tuple(stored)
        assert all(each in str(error.value) for each in ("the thread", "the channel", "a_module_that_goes", "allow"))

    def test_a_lost_class_in_a_write_is_a_decode_error_that_names_it(
        self, api: Api, reopen: Reopen, lost: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = put_chain(api, 1, "the thread")[0]
        api.put_writes(stored, [("the channel", lost)], "task")
        monkeypatch.undo()
        with pytest.raises(DecodeError, match="Gone") as error:
            api.on(reopen()).get_tuple(stored)
        assert all(each in str(error.value) for each in ("the thread", "the channel", "a_module_that_goes", "allow"))


class MutationContract(Contract):
    """Nothing that a caller holds is shared with what is stored."""

    def values(self) -> dict[str, Any]:
        return {
            "messages": [
                HumanMessage("hi", id="h", additional_kwargs={"deep": {"list": [1]}}),
                AIMessage("", id="a", tool_calls=[{"name": "f", "args": {"x": [1]}, "id": "c", "type": "tool_call"}]),
            ],
            "nested": {"list": [1, {"k": [2]}], "set": {1}},
            "model": Address(street="s"),
            "plain": [1, 2],
        }

    def spoil(self, values: dict[str, Any]) -> None:
        """Changes everything that can be changed, at every depth."""
        if "messages" in values:
            values["messages"][0].additional_kwargs["deep"]["list"].append("spoilt")
            values["messages"][0].content = "spoilt"
            values["messages"][1].tool_calls[0]["args"]["x"].append("spoilt")
            values["messages"].append("spoilt")
        values["nested"]["list"][1]["k"].append("spoilt")
        values["nested"]["list"].insert(0, "spoilt")
        values["nested"]["set"].add("spoilt")
        values["nested"]["new"] = "spoilt"
        values["model"].street = "spoilt"
        values["plain"].clear()
        values["spoilt"] = True

    def test_changing_what_was_read_changes_nothing_stored(self, api: Api, saver: WfStoreSaver) -> None:
        stored = api.put(config_of(), checkpoint_of(self.values()))
        for _ in range(3):
            found = api.read(stored)
            assert same_channels(found.checkpoint["channel_values"], self.values())
            self.spoil(found.checkpoint["channel_values"])
            found.checkpoint["channel_versions"]["plain"] = 99
            found.metadata["step"] = 99
            found.config["configurable"]["thread_id"] = "spoilt"
        assert api.read(stored).checkpoint["channel_versions"]["plain"] == 1
        assert api.read(stored).metadata["step"] == 0
        assert_sound(saver, THREAD)

    def test_changing_what_was_listed_changes_nothing_stored(self, api: Api) -> None:
        first = api.put(config_of(), checkpoint_of(self.values()))
        api.put(first, checkpoint_of(self.values()))
        for _ in range(2):
            for found in api.list(config_of()):
                assert same_channels(found.checkpoint["channel_values"], self.values())
                self.spoil(found.checkpoint["channel_values"])

    def test_two_readers_share_nothing(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of(self.values()))
        one, two = api.read(stored), api.read(stored)
        self.spoil(one.checkpoint["channel_values"])
        assert same_channels(two.checkpoint["channel_values"], self.values())

    def test_changing_what_was_put_changes_nothing_stored(self, api: Api, saver: WfStoreSaver) -> None:
        checkpoint, metadata = checkpoint_of(self.values()), metadata_of(0, mine={"list": [1]})
        stored = api.put(config_of(), checkpoint, metadata)
        self.spoil(checkpoint["channel_values"])
        checkpoint["channel_versions"]["plain"] = 99
        checkpoint["versions_seen"]["node"] = {"a": 1}
        dict(metadata)["mine"]["list"].append("spoilt")  # type: ignore[index]  # not a key of the TypedDict
        found = api.read(stored)
        assert same_channels(found.checkpoint["channel_values"], self.values())
        assert found.checkpoint["channel_versions"]["plain"] == 1
        assert found.checkpoint["versions_seen"] == {}
        assert found.metadata == metadata_of(0, mine={"list": [1]})
        assert_sound(saver, THREAD)

    def test_an_object_changed_in_place_between_puts_is_stored_in_both_states(self, api: Api) -> None:
        values = self.values()
        first = api.put(config_of(), checkpoint_of(values))
        self.spoil(values)
        del values["spoilt"]
        versions = dict.fromkeys(values, 2)
        second = api.put(first, checkpoint_of(values, {**versions}))
        assert same_channels(api.read(first).checkpoint["channel_values"], self.values())
        assert same_channels(api.read(second).checkpoint["channel_values"], values)

    def test_a_message_changed_in_depth_between_puts_is_stored_in_every_state(self, api: Api) -> None:
        message = HumanMessage("hi", id="h", additional_kwargs={"deep": [{"n": 0}]})
        stored = [api.put(config_of(), checkpoint_of({"messages": [message]}))]
        for number in range(1, 5):
            message.additional_kwargs["deep"][0]["n"] = number
            stored.append(api.put(stored[-1], checkpoint_of({"messages": [message]}, {"messages": number + 1})))
        found = [api.read(each).checkpoint["channel_values"]["messages"][0] for each in stored]
        assert [each.additional_kwargs["deep"][0]["n"] for each in found] == [0, 1, 2, 3, 4]

    def test_changing_a_write_changes_nothing_stored(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        values = self.values()
        api.put_writes(stored, [("w", values)], "task")
        self.spoil(values)
        for _ in range(2):
            ((_, _, found),) = api.read(stored).pending_writes or []
            assert same(found, self.values())
            self.spoil(found)

    def test_changing_what_was_read_and_putting_it_stores_the_change(self, api: Api) -> None:
        first = api.put(config_of(), checkpoint_of(self.values()))
        values = api.read(first).checkpoint["channel_values"]
        self.spoil(values)
        second = api.put(first, checkpoint_of(values, dict.fromkeys(values, 2)))
        assert same_channels(api.read(second).checkpoint["channel_values"], values)
        assert same_channels(api.read(first).checkpoint["channel_values"], self.values())
