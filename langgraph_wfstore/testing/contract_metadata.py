"""The contract of metadata: lossless, merged as LangGraph merges them, and filtered by JSON equality."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from ..values.equality import same
from .api import Api
from .contract import Contract, assert_sound
from .material import THREAD, checkpoint_of, config_of, ids_of, metadata_of, new_ids, put_chain

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class Tier(StrEnum):
    """What a user may put into metadata as text."""

    GOLD = "gold"
    SILVER = "silver"


class MetadataContract(Contract):
    """What LangGraph and users put into metadata comes back, with the config's own merged in."""

    @pytest.mark.parametrize(
        "value",
        [
            {"bot": {"messages": [HumanMessage("hi", id="h"), AIMessage("ho", id="a")]}},
            datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            uuid.UUID(int=5),
            "nul \0 inside",
            "sur\ud800rogate",
            2**80,
            float("nan"),
            {"messages": (1, 2)},
            {"deep": {"list": [1, {"x": None}], "t": True}},
            None,
            b"\0\xff",
            {1, 2},
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_value_of_any_kind_comes_back_equal(self, api: Api, saver: WfStoreSaver, value: Any) -> None:
        metadata = metadata_of(3, writes=value, mine=value)
        found = api.read(api.put(config_of(), checkpoint_of(), metadata)).metadata
        assert same(found, metadata), found
        assert_sound(saver, THREAD)

    def test_metadata_may_have_any_keys(self, api: Api) -> None:
        keys = ["a.b", "a:b", 'q"', "größe", "nul\0", "sur\ud800", "", "'; DROP TABLE t; --", "__mine__", "$", "a[0]"]
        mine: dict[str, Any] = dict(zip(keys, range(len(keys)), strict=True))
        metadata = metadata_of(1, **mine)
        assert api.read(api.put(config_of(), checkpoint_of(), metadata)).metadata == metadata

    def test_metadata_without_source_and_step_are_fine(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of(), {})
        assert api.read(stored).metadata == {}
        stub = api.put(config_of("stub"), checkpoint_of(), {"step": -2})
        assert api.read(stub).metadata == {"step": -2}

    def test_scalars_of_the_config_are_merged_in(self, api: Api) -> None:
        config: RunnableConfig = {
            "configurable": {
                **config_of()["configurable"],
                "user": "ann",
                "both": "configurable",
                "flag": False,
                "ratio": 0.5,
                "a_list": [1],
                "__private": "no",
                "checkpoint_map": {},
                "langgraph_step": 4,
            },
            "metadata": {"run_id": "r", "both": "metadata", "count": 3, "a_dict": {}, "nothing": None, "step": 99},
        }
        metadata = metadata_of(5, mine=[1])
        found = api.read(api.put(config, checkpoint_of(), metadata)).metadata
        assert found == {
            **metadata,
            "run_id": "r",
            "both": "metadata",
            "count": 3,
            "user": "ann",
            "flag": False,
            "ratio": 0.5,
        }

    def test_a_scalar_of_the_config_whose_class_cannot_be_stored_is_merged_in_as_the_plain_one(self, api: Api) -> None:
        class Text(str):
            __slots__ = ()

        class Whole(int):
            pass

        class Ratio(float):
            pass

        config: RunnableConfig = {
            **config_of(user=Text("ann"), tier=Tier.GOLD),
            "metadata": {"n": Whole(3), "f": Ratio(1)},
        }
        found = api.read(api.put(config, checkpoint_of(), metadata_of(0))).metadata
        assert same(found, metadata_of(0, n=3, f=1.0, user="ann", tier=Tier.GOLD)), found

    def test_nul_in_merged_strings_is_kept(self, api: Api) -> None:
        config: RunnableConfig = {**config_of(user="a\0b"), "metadata": {"run": "c\0d"}}
        found = api.read(api.put(config, checkpoint_of(), metadata_of(0, own="e\0f")))
        assert found.metadata == metadata_of(0, own="e\0f", user="a\0b", run="c\0d")


class FilterContract(Contract):
    """A filter matches a checkpoint if each of its keys is stored there with a value that is equal as JSON."""

    def matches(self, api: Api, stored: Iterable[Any], wanted: Any) -> list[int]:
        """Numbers of the checkpoints, each with one of `stored` as metadata `k`, that the filter `k: wanted` gives."""
        for number, value in enumerate(stored):
            more = {} if value is MISSING else {"k": value}
            api.put(config_of(), checkpoint_of(), metadata_of(number, **more))
        return sorted(found.metadata["step"] for found in api.list(config_of(), filter={"k": wanted}))

    @pytest.mark.parametrize(
        "key",
        [
            "a.b",
            "$.a",
            "a:b",
            ":a",
            "a'b",
            'a"b',
            "a\\b",
            "a b",
            "a%_",
            "a[0]",
            "?",
            "größe",
            "🦜",
            "nul\0",
            "sur\ud800",
            "",
            '"; DROP TABLE checkpoints; --',
            "') OR 1=1 --",
            "thread_id",
            "checkpoint_id",
        ],
    )
    def test_any_key_can_be_filtered_by(self, api: Api, key: str) -> None:
        for number, value in enumerate(["yes", "no"]):
            api.put(config_of(), checkpoint_of(), metadata_of(number, **{key: value}))
        api.put(config_of(), checkpoint_of(), metadata_of(2, a={"b": "yes"}, other="yes"))
        assert [found.metadata["step"] for found in api.list(config_of(), filter={key: "yes"})] == [0]
        assert api.list(config_of(), filter={key: "neither"}) == []

    @pytest.mark.parametrize(
        "value",
        ["", "größe", "nul\0", "sur\ud800", "it's", '"; DROP TABLE t; --', "%", "1", "null", "true", "x" * 5000],
        ids=lambda value: value[:12].encode("ascii", "backslashreplace").decode(),
    )
    def test_any_string_can_be_filtered_by(self, api: Api, value: str) -> None:
        assert self.matches(api, ["other", value, value + " ", 1, None, True, MISSING], value) == [1]

    def test_true_is_not_one(self, api: Api) -> None:
        assert self.matches(api, [True, 1, "true", "True", False], True) == [0]
        assert self.matches_again(api, 1) == [1]

    def test_false_is_not_zero_nor_null(self, api: Api) -> None:
        assert self.matches(api, [0, False, None, "", MISSING, []], False) == [1]
        assert self.matches_again(api, 0) == [0]

    def test_none_matches_a_stored_null_only(self, api: Api) -> None:
        assert self.matches(api, [None, MISSING, "null", 0, "", {}, []], None) == [0]

    def test_a_number_is_not_its_text(self, api: Api) -> None:
        assert self.matches(api, ["1", 1, "1.0"], 1) == [1]
        assert self.matches_again(api, "1") == [0]

    def test_text_is_text_whatever_its_class(self, api: Api) -> None:
        said = AIMessage("gold").text  # of a subclass of str
        assert self.matches(api, ["gold", Tier.GOLD, said, "silver", Tier.SILVER, 1], "gold") == [0, 1, 2]
        assert self.matches_again(api, Tier.GOLD) == [0, 1, 2]
        assert self.matches_again(api, said) == [0, 1, 2]

    def test_big_integers_are_compared_exactly(self, api: Api) -> None:
        numbers = [2**53, 2**53 + 1, 2**63, 2**63 + 1, 2**80, 2**80 + 1, -(2**80)]
        assert self.matches(api, numbers, 2**53 + 1) == [1]
        assert self.matches_again(api, 2**63) == [2]
        assert self.matches_again(api, 2**80 + 1) == [5]
        assert self.matches_again(api, -(2**80)) == [6]

    def test_nested_values_match_in_any_order_of_keys(self, api: Api) -> None:
        stored = [{"a": [1, {"x": None, "y": 2}], "b": "c"}, {"a": [1, {"x": None}], "b": "c"}, {"b": "c"}]
        assert self.matches(api, stored, {"b": "c", "a": [1, {"y": 2, "x": None}]}) == [0]

    def test_a_nested_value_matches_whole_not_in_part(self, api: Api) -> None:
        assert self.matches(api, [{"a": 1, "b": 2}, {"a": 1}, [{"a": 1}]], {"a": 1}) == [1]

    def test_nested_booleans_and_nulls_are_told_apart(self, api: Api) -> None:
        stored = [{"x": [True]}, {"x": [1]}, {"x": [None]}, {"x": []}, {}]
        assert self.matches(api, stored, {"x": [True]}) == [0]
        assert self.matches_again(api, {"x": [1]}) == [1]
        assert self.matches_again(api, {"x": [None]}) == [2]
        assert self.matches_again(api, {}) == [4]

    def test_lists_match_in_their_order_only(self, api: Api) -> None:
        assert self.matches(api, [[1, 2], [2, 1], [1], [1, 2, 3]], [1, 2]) == [0]

    def test_every_key_of_a_filter_must_match(self, api: Api) -> None:
        for step, source, run in [(0, "input", "a"), (1, "loop", "a"), (2, "loop", "b"), (1, "update", "b")]:
            api.put(config_of(), checkpoint_of(), metadata_of(step, source, run_id=run))

        def found(**wanted: Any) -> list[tuple[Any, Any]]:
            tuples = api.list(config_of(), filter=wanted)
            return sorted((each.metadata["step"], each.metadata["source"]) for each in tuples)

        assert found(source="loop") == [(1, "loop"), (2, "loop")]
        assert found(step=1) == [(1, "loop"), (1, "update")]
        assert found(run_id="a") == [(0, "input"), (1, "loop")]
        assert found(run_id="b", step=1) == [(1, "update")]
        assert found(source="fork") == []
        assert found(source="loop", missing="x") == []
        assert len(found()) == 4

    def test_a_filter_finds_what_the_config_merged_in(self, api: Api) -> None:
        api.put({**config_of(user="ann"), "metadata": {"run_id": "r"}}, checkpoint_of(), metadata_of(0))
        api.put(config_of(user="bob"), checkpoint_of(), metadata_of(1))
        assert [each.metadata["step"] for each in api.list(config_of(), filter={"user": "ann", "run_id": "r"})] == [0]

    def test_a_filter_works_with_before_and_limit(self, api: Api) -> None:
        stored: list[RunnableConfig] = []
        for number in range(10):
            parent = stored[-1] if stored else config_of()
            stored.append(api.put(parent, checkpoint_of(), metadata_of(number, even=number % 2 == 0)))
        ids = ids_of(stored)
        assert ids_of(api.list(config_of(), filter={"even": True}, limit=2)) == [ids[8], ids[6]]
        assert ids_of(api.list(config_of(), filter={"even": True}, before=stored[6])) == [ids[4], ids[2], ids[0]]
        assert ids_of(api.list(config_of(), filter={"even": False}, before=stored[6], limit=2)) == [ids[5], ids[3]]
        assert api.list(config_of(), filter={"even": True}, limit=0) == []

    def test_a_filter_works_on_all_threads(self, api: Api) -> None:
        for thread_id in ("a", "b", "c"):
            put_chain(api, 2, thread_id, who=thread_id if thread_id != "c" else "a")
        found = api.list(None, filter={"who": "a", "step": 1})
        assert sorted(each.config["configurable"]["thread_id"] for each in found) == ["a", "c"]

    def test_a_filter_works_with_a_checkpoint_id(self, api: Api) -> None:
        first, second = put_chain(api, 2)
        assert ids_of(api.list(second, filter={"step": 1})) == ids_of([second])
        assert api.list(first, filter={"step": 1}) == []
        assert api.list(config_of(checkpoint_id=new_ids(1)[0]), filter={"step": 1}) == []

    def matches_again(self, api: Api, wanted: Any) -> list[int]:
        return self.matches(api, [], wanted)


MISSING = object()
