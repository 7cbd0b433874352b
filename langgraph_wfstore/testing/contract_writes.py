"""The contract of put_writes: order, replacement, and batches that arrive before their checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class WritesContract(Contract):
    """Pending writes are found with their checkpoint, in the order in which a run applies them."""

    def test_writes_come_back_with_their_checkpoint(self, api: Api, saver: WfStoreSaver) -> None:
        first, second = put_chain(api, 2)
        api.put_writes(second, [("a", 1), ("b", {"x": (1, 2)}), ("a", None)], "task")
        expected = [("task", "a", 1), ("task", "b", {"x": (1, 2)}), ("task", "a", None)]
        assert api.read(second).pending_writes == expected
        assert [found.pending_writes for found in api.list(config_of())] == [expected, []]
        assert api.read(first).pending_writes == []
        assert_sound(saver, THREAD)

    def test_writes_do_not_touch_the_values_of_their_checkpoint(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of({"a": [1]}))
        api.put_writes(stored, [("a", [2])], "task")
        assert api.read(stored).checkpoint["channel_values"] == {"a": [1]}

    def test_writes_are_ordered_by_task_path_then_task_then_index(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        api.put_writes(stored, [("c", 1), ("c", 2)], "task-a", "~__pregel_pull, z")
        api.put_writes(stored, [("c", 3)], "task-z", "~__pregel_pull, a")
        api.put_writes(stored, [("c", index) for index in range(12)], "task-c", "")
        api.put_writes(stored, [("c", 4)], "task-b", "~__pregel_pull, a")
        tasks = [(task, value) for task, _, value in api.read(stored).pending_writes or []]
        assert tasks == [
            *(("task-c", index) for index in range(12)),
            ("task-b", 4),
            ("task-z", 3),
            ("task-a", 1),
            ("task-a", 2),
        ]

    def test_special_writes_of_a_task_come_before_its_ordinary_ones(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        batch = [("a", 1), *((channel, f"{channel} value") for channel in WRITES_IDX_MAP), ("b", 2)]
        api.put_writes(stored, batch, "task")
        specials = sorted(WRITES_IDX_MAP, key=lambda channel: WRITES_IDX_MAP[channel])
        assert [channel for _, channel, _ in api.read(stored).pending_writes or []] == [*specials, "a", "b"]

    @pytest.mark.parametrize("channel", WRITES_IDX_MAP)
    def test_a_special_write_replaces_the_one_before(self, api: Api, saver: WfStoreSaver, channel: str) -> None:
        stored = put_chain(api, 1)[0]
        for value in ("first", "second", ["third"]):
            api.put_writes(stored, [(channel, value)], "task")
        api.put_writes(stored, [(channel, "of another task")], "task-2")
        assert api.read(stored).pending_writes == [
            ("task", channel, ["third"]),
            ("task-2", channel, "of another task"),
        ]
        assert_sound(saver, THREAD)

    def test_a_special_write_replaces_also_when_the_checkpoint_has_a_child(self, api: Api, saver: WfStoreSaver) -> None:
        parent, _ = put_chain(api, 2)
        api.put_writes(parent, [(RESUME, "late")], "task")
        api.put_writes(parent, [(RESUME, "later")], "task")
        assert api.read(parent).pending_writes == [("task", RESUME, "later")]
        assert_sound(saver, THREAD)

    def test_an_ordinary_write_stays_when_its_task_writes_again(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        api.put_writes(stored, [("a", "first"), ("b", "first")], "task")
        api.put_writes(stored, [("a", "second")], "task")
        api.put_writes(stored, [("a", "third"), ("b", "third"), ("c", "new")], "task")
        assert api.read(stored).pending_writes == [("task", "a", "first"), ("task", "b", "first"), ("task", "c", "new")]

    def test_a_mixed_batch_replaces_its_special_writes_only(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        api.put_writes(stored, [("a", "first"), (RESUME, "first")], "task")
        api.put_writes(stored, [("a", "second"), (RESUME, "second")], "task")
        assert api.read(stored).pending_writes == [("task", RESUME, "second"), ("task", "a", "first")]

    def test_of_several_special_writes_in_one_batch_the_last_counts(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 1)[0]
        for answers in (["1"], ["1", "2"], ["1", "2", "3"]):
            api.put_writes(stored, [("a", answers), *((RESUME, answer) for answer in answers)], "task")
            assert api.read(stored).pending_writes == [("task", RESUME, answers[-1]), ("task", "a", ["1"])]
            assert_sound(saver, THREAD)

    def test_a_second_special_write_with_the_same_value_is_harmless(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 1)[0]
        for _ in range(3):
            api.put_writes(stored, [(INTERRUPT, "ask"), (ERROR, "boom")], "task")
        assert api.read(stored).pending_writes == [("task", INTERRUPT, "ask"), ("task", ERROR, "boom")]
        assert_sound(saver, THREAD)

    def test_an_empty_batch_is_nothing(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        api.put_writes(stored, [], "task")
        assert api.read(stored).pending_writes == []

    def test_writes_may_come_before_their_checkpoint(self, api: Api, saver: WfStoreSaver) -> None:
        parent = put_chain(api, 1)[0]
        checkpoint = checkpoint_of({"a": 1})
        expected = config_of(checkpoint_id=checkpoint["id"])
        api.put_writes(expected, [("a", "early")], "task")
        assert api.get_tuple(expected) is None
        assert api.read(config_of()).config == parent
        assert len(api.list(config_of())) == 1
        assert api.put(parent, checkpoint, metadata_of(1)) == expected
        assert api.read(config_of()).pending_writes == [("task", "a", "early")]
        assert_sound(saver, THREAD)

    def test_writes_may_come_before_their_thread(self, api: Api, reopen: Reopen) -> None:
        checkpoint = checkpoint_of({"a": 1})
        api.put_writes(config_of(checkpoint_id=checkpoint["id"]), [("a", "early")], "task", "~path")
        assert api.get_tuple(config_of()) is None
        assert api.list(None) == []
        stored = api.put(config_of(), checkpoint)
        assert api.on(reopen()).read(stored).pending_writes == [("task", "a", "early")]

    def test_writes_of_parallel_tasks_arrive_in_any_order(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 1)[0]
        for number in (7, 2, 9, 0, 5):
            api.put_writes(stored, [("c", number)], f"task-{number}", f"~{number:010}")
        assert [value for _, _, value in api.read(stored).pending_writes or []] == [0, 2, 5, 7, 9]
        assert_sound(saver, THREAD)

    def test_writes_of_namespaces_are_separate(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of())
        child = api.put(config_of(ns="sub:1"), checkpoint_of(id=id_of(stored)))
        api.put_writes(child, [("a", "child")], "task")
        assert api.read(stored).pending_writes == []
        assert api.read(child).pending_writes == [("task", "a", "child")]

    def test_names_in_writes_may_be_anything(self, api: Api) -> None:
        stored = put_chain(api, 1)[0]
        names = ["größe", "nul\0", "sur\ud800", "'; DROP TABLE writes; --", ""]
        for number, name in enumerate(names):
            api.put_writes(stored, [(name, number)], f"task {name}", f"~{number} {name}")
        assert api.read(stored).pending_writes == [(f"task {name}", name, n) for n, name in enumerate(names)]
