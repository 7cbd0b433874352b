"""The contract of put, get_tuple and get_next_version: what was put is what is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_wfstore.errors import ConflictError, ThreadNotFoundError, UnsupportedValueError

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, id_of, ids_of, metadata_of, new_ids, put_chain

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def unsupported() -> Any:
    """A value that nobody can store."""
    return (number for number in range(3))


class PutAndGetContract(Contract):
    """A checkpoint comes back whole, and lands whole or not at all."""

    def test_nothing_is_found_in_an_empty_place(self, api: Api) -> None:
        assert api.get_tuple(config_of()) is None
        assert api.get_tuple(config_of(checkpoint_id=new_ids(1)[0])) is None
        assert api.list(config_of()) == []
        assert api.list(None) == []

    def test_a_checkpoint_comes_back_as_it_was_put(self, api: Api) -> None:
        checkpoint = checkpoint_of({"a": 1, "b": ["x"]}, {"a": 3, "b": 2, "gone": 4})
        api.put(config_of(), checkpoint, metadata_of(7, "input"))
        found = api.read(config_of())
        assert found.checkpoint == checkpoint
        assert found.metadata == metadata_of(7, "input")
        assert found.pending_writes == []
        assert found.parent_config is None

    def test_a_returned_config_has_exactly_the_three_keys(self, api: Api) -> None:
        checkpoint = checkpoint_of()
        expected = config_of(checkpoint_id=checkpoint["id"])
        assert api.put({**config_of(user="ann"), "metadata": {"x": 1}, "tags": ["t"]}, checkpoint) == expected
        assert api.read(config_of(user="ann")).config == expected
        assert [found.config for found in api.list(config_of(user="ann"))] == [expected]

    def test_a_branch_is_named_only_to_those_who_named_it(self, api: Api) -> None:
        named = api.put(config_of(branch="main"), checkpoint_of())
        assert named == config_of(checkpoint_id=id_of(named), branch="main")
        assert api.read(config_of(branch="main")).config == named
        assert [found.config for found in api.list(config_of(branch="main"))] == [named]
        assert api.read(config_of()).config == config_of(checkpoint_id=id_of(named))
        child = api.put(api.read(config_of(branch="main")).config, checkpoint_of())
        assert api.read(child).parent_config == named

    def test_a_parent_config_has_exactly_the_three_keys(self, api: Api) -> None:
        parent, child = put_chain(api, 2)
        assert api.read(child).parent_config == parent
        assert [found.parent_config for found in api.list(config_of())] == [parent, None]

    def test_a_checkpoint_is_found_by_its_id(self, api: Api) -> None:
        stored = put_chain(api, 3)
        for number, config in enumerate(stored):
            found = api.read(config)
            assert found.config == config
            assert found.checkpoint["channel_values"] == {"n": number, "list": [*range(number)]}

    def test_an_unknown_id_is_not_found(self, api: Api) -> None:
        put_chain(api, 1)
        assert api.get_tuple(config_of(checkpoint_id=new_ids(1)[0])) is None

    def test_the_sync_and_the_async_interface_see_the_same(self, saver: WfStoreSaver, api: Api) -> None:
        stored = put_chain(api, 2)[-1]
        found = saver.get_tuple(config_of())
        assert found is not None
        assert found == api.read(stored)
        assert saver.get(config_of()) == found.checkpoint

    def test_namespaces_of_a_thread_are_separate(self, api: Api) -> None:
        root = api.put(config_of(), checkpoint_of({"where": "root"}))
        child = api.put(config_of(ns="sub:1|inner:2"), checkpoint_of({"where": "child"}))
        assert api.read(config_of()).config == root
        assert api.read(config_of(ns="sub:1|inner:2")).config == child
        assert api.get_tuple(config_of(ns="sub:1")) is None

    def test_one_id_in_two_namespaces_names_two_checkpoints(self, api: Api) -> None:
        (shared,) = new_ids(1)
        for ns in ("", "sub:1"):
            api.put(config_of(ns=ns), checkpoint_of({"where": ns}, id=shared))
        assert api.read(config_of(checkpoint_id=shared)).checkpoint["channel_values"] == {"where": ""}
        assert api.read(config_of(ns="sub:1", checkpoint_id=shared)).checkpoint["channel_values"] == {"where": "sub:1"}

    def test_a_missing_namespace_means_the_root(self, api: Api) -> None:
        stored = api.put(config_of(ns=None), checkpoint_of({"a": 1}))
        assert stored == config_of(checkpoint_id=id_of(stored))
        assert api.read(config_of(ns=None)).config == stored
        api.put_writes({"configurable": {"thread_id": THREAD, "checkpoint_id": id_of(stored)}}, [("a", 2)], "task")
        assert api.read(config_of()).pending_writes == [("task", "a", 2)]

    def test_absent_channel_values_stay_absent(self, api: Api) -> None:
        first = api.put(config_of(), checkpoint_of({"a": 1, "b": 2}))
        second = api.put(first, checkpoint_of({"a": 1}, {"a": 1, "b": 2}), new_versions={"b": 2})
        assert api.read(second).checkpoint["channel_values"] == {"a": 1}
        assert api.read(first).checkpoint["channel_values"] == {"a": 1, "b": 2}

    def test_a_channel_whose_version_did_not_change_keeps_its_value(self, api: Api) -> None:
        first = api.put(config_of(), checkpoint_of({"a": [1], "b": "old"}))
        second = api.put(first, checkpoint_of({"a": [1], "b": "new"}, {"a": 1, "b": 2}), new_versions={"b": 2})
        third = api.put(second, checkpoint_of({"a": [1], "b": "new"}, {"a": 1, "b": 2}), new_versions={})
        assert api.read(third).checkpoint["channel_values"] == {"a": [1], "b": "new"}

    def test_values_that_no_new_version_names_are_kept(self, api: Api) -> None:
        stored = api.put(config_of(), checkpoint_of({"a": 1, "b": [2]}), new_versions={})
        assert api.read(stored).checkpoint["channel_values"] == {"a": 1, "b": [2]}

    def test_forks_that_use_the_same_versions_keep_their_own_values(self, api: Api) -> None:
        parent = api.put(config_of(), checkpoint_of({"a": "parent", "l": [0]}))
        left = api.put(parent, checkpoint_of({"a": "left", "l": [0, 1]}, {"a": 2, "l": 2}))
        right = api.put(parent, checkpoint_of({"a": "right", "l": [0, 2]}, {"a": 2, "l": 2}))
        assert api.read(parent).checkpoint["channel_values"] == {"a": "parent", "l": [0]}
        assert api.read(left).checkpoint["channel_values"] == {"a": "left", "l": [0, 1]}
        assert api.read(right).checkpoint["channel_values"] == {"a": "right", "l": [0, 2]}

    @pytest.mark.parametrize("version", [7, "00000000000000000000000000000002.0.123", 2.5, 2**60, "", "größe"])
    def test_versions_of_any_type_come_back_as_they_are(self, api: Api, version: Any) -> None:
        seen = {"node": {"a": version}, "größe": {}, "__interrupt__": {"a": version}}
        checkpoint = checkpoint_of({"a": 1}, {"a": version}, versions_seen=seen)
        found = api.read(api.put(config_of(), checkpoint)).checkpoint
        assert found["channel_versions"] == {"a": version}
        assert type(found["channel_versions"]["a"]) is type(version)
        assert found["versions_seen"] == seen

    def test_channel_and_node_names_may_be_anything(self, api: Api) -> None:
        names = ["größe", "a.b:c", 'q"uote', "", " ", "nul\0", "sur\ud800", "'; DROP TABLE checkpoints; --", "__x__"]
        values = dict(zip(names, range(len(names)), strict=True))
        seen = {name: dict.fromkeys(names, 1) for name in names}
        checkpoint = checkpoint_of(values, versions_seen=seen, updated_channels=sorted(names))
        assert api.read(api.put(config_of(), checkpoint)).checkpoint == checkpoint

    @pytest.mark.parametrize(
        "fields",
        [
            {"v": 1},
            {"ts": "2024-01-01T00:00:00.123456+02:00"},
            {"updated_channels": []},
            {"updated_channels": ["b", "a"]},
            {"pending_sends": []},
            {"pending_sends": [("node", {"x": (1, 2)})]},
            {"a_key_of_tomorrow": {"x": [1]}},
        ],
        ids=repr,
    )
    def test_every_key_of_a_checkpoint_is_kept_exactly(self, api: Api, fields: dict[str, Any]) -> None:
        checkpoint = checkpoint_of({"a": 1}, **fields)
        assert api.read(api.put(config_of(), checkpoint)).checkpoint == checkpoint

    def test_a_checkpoint_without_updated_channels_comes_back_without(self, api: Api) -> None:
        checkpoint: dict[str, Any] = dict(checkpoint_of({"a": 1}))
        del checkpoint["updated_channels"]
        found = api.read(api.put(config_of(), cast(Checkpoint, checkpoint))).checkpoint
        assert found.get("updated_channels") is None
        assert {**found, "updated_channels": None} == {**checkpoint, "updated_channels": None}

    def test_what_was_put_is_there_for_another_saver(self, api: Api, reopen: Reopen) -> None:
        stored = put_chain(api, 3)
        other = api.on(reopen())
        assert [found.config for found in other.list(config_of())] == stored[::-1]
        assert other.read(stored[1]) == api.read(stored[1])

    def test_a_clone_with_an_allow_list_is_the_same_saver(self, saver: WfStoreSaver, api: Api) -> None:
        clone = api.on(saver.with_allowlist([("some.module", "SomeClass")]))
        stored = put_chain(clone, 2)
        assert api.read(config_of()).config == stored[-1]
        last = put_chain(api, 1, after=stored[-1])[0]
        assert clone.read(config_of()).config == last


class IdempotenceContract(Contract):
    """The same put again changes nothing, another content under the same id is refused."""

    def test_putting_the_same_checkpoint_again_changes_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        parent = put_chain(api, 1)[0]
        checkpoint, metadata = checkpoint_of({"a": [1, 2]}), metadata_of(1)
        stored = api.put(parent, checkpoint, metadata)
        api.put_writes(stored, [("a", 3)], "task")
        assert api.put(parent, checkpoint, metadata) == stored
        assert ids_of(api.list(config_of())) == [id_of(stored), id_of(parent)]
        assert api.read(stored).pending_writes == [("task", "a", 3)]
        assert_sound(saver, THREAD)

    def test_putting_an_older_checkpoint_again_does_not_make_it_the_latest(self, api: Api) -> None:
        checkpoint = checkpoint_of({"a": 1})
        first = api.put(config_of(), checkpoint)
        second = put_chain(api, 1, after=first)[0]
        api.put(config_of(), checkpoint)
        assert api.read(config_of()).config == second

    @pytest.mark.parametrize("change", ["a value", "the metadata", "the parent", "a version"])
    def test_another_content_under_the_same_id_is_a_conflict(self, api: Api, saver: WfStoreSaver, change: str) -> None:
        first, parent = put_chain(api, 2)
        checkpoint = checkpoint_of({"a": [1]})
        stored = api.put(parent, checkpoint, metadata_of(1))
        before = api.read(stored)
        other = checkpoint_of(
            {"a": [2] if change == "a value" else [1]},
            {"a": 9 if change == "a version" else 1},
            id=checkpoint["id"],
            ts=checkpoint["ts"],
        )
        with pytest.raises(ConflictError, match=checkpoint["id"]):
            api.put(
                first if change == "the parent" else parent,
                other,
                metadata_of(2 if change == "the metadata" else 1),
            )
        assert api.read(stored) == before
        assert len(api.list(config_of())) == 3
        assert_sound(saver, THREAD)


class RefusalContract(Contract):
    """What cannot be stored is refused, by name, before anything is written."""

    @pytest.mark.parametrize(
        "wrap",
        [lambda value: value, lambda value: [1, value], lambda value: {"k": ({"deep": [value]},)}],
        ids=["itself", "in a list", "deep"],
    )
    def test_an_unsupported_value_refuses_the_whole_checkpoint(self, api: Api, saver: WfStoreSaver, wrap: Any) -> None:
        values = {"good": ["kept?"], "the bad one": wrap(unsupported())}
        with pytest.raises(UnsupportedValueError, match="the bad one"):
            api.put(config_of(), checkpoint_of(values))
        assert api.list(None) == []
        assert api.get_tuple(config_of()) is None
        with pytest.raises(ThreadNotFoundError):
            saver.store.thread(THREAD)

    def test_an_unsupported_value_leaves_the_thread_as_it_was(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 2)
        with pytest.raises(UnsupportedValueError, match="bad"):
            api.put(stored[-1], checkpoint_of({"good": 1, "bad": unsupported()}))
        assert [found.config for found in api.list(config_of())] == stored[::-1]
        assert_sound(saver, THREAD)
        after = api.put(stored[-1], checkpoint_of({"good": 1}))
        assert api.read(config_of()).config == after

    def test_an_unsupported_write_refuses_the_whole_batch(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 1)[0]
        with pytest.raises(UnsupportedValueError, match="bad"):
            api.put_writes(stored, [("good", 1), ("bad", [unsupported()]), ("also good", 2)], "task")
        assert api.read(stored).pending_writes == []
        api.put_writes(stored, [("good", "second try")], "task")
        assert api.read(stored).pending_writes == [("task", "good", "second try")]
        assert_sound(saver, THREAD)


class NextVersionContract(Contract):
    """get_next_version continues the type that it finds, whichever saver wrote the thread before."""

    def test_the_first_version_is_an_integer(self, saver: WfStoreSaver) -> None:
        first: Any = saver.get_next_version(None, None)
        assert type(first) is int
        assert first > 0

    @pytest.mark.parametrize("current", [1, 41, 2**60, 0.5, 7.0])
    def test_a_number_continues_as_a_larger_number_of_its_type(self, saver: WfStoreSaver, current: Any) -> None:
        following: Any = saver.get_next_version(current, None)
        assert type(following) is type(current)
        assert following > current

    @pytest.mark.parametrize(
        "current", ["00000000000000000000000000000002.0.123", "00000000000000000000000000000009.0.9999999999999999"]
    )
    def test_a_string_of_another_saver_continues_as_a_larger_string(self, saver: WfStoreSaver, current: Any) -> None:
        versions: list[Any] = [current]
        for _ in range(20):
            versions.append(saver.get_next_version(versions[-1], None))
        assert all(type(version) is str for version in versions)
        assert versions == sorted(set(versions))
        assert versions[1].split(".")[0] == f"{int(current.split('.')[0]) + 1:032}"
