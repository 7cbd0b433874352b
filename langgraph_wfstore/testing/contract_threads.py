"""The contract of thread ids, and of the list of threads."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from langgraph_wfstore.errors import ThreadNotFoundError

from .api import Api
from .contract import Contract, assert_sound
from .material import checkpoint_of, config_of, id_of, metadata_of, put_chain

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

NAMES = [
    "plain",
    "",
    " ",
    "größe 🦜",
    "nul\0",
    "nul",
    "\0",
    "sur\ud800",
    "sur\udfff",
    "sur?",
    "a/b:c|d",
    "%",
    "'; DROP TABLE threads; --",
    "A",
    "a",
    "é",
    "e\u0301",
    "x" * 10_000,
    "x" * 9_999 + "y",
    "\u20ac" * 3_333,
]


class ThreadIdContract(Contract):
    """A thread id is a str, an int or a UUID, and is kept as its str."""

    @pytest.mark.parametrize("thread_id", [7, -1, 2**70, uuid.UUID(int=9)], ids=str)
    def test_an_int_or_uuid_is_kept_as_its_str(self, api: Api, saver: WfStoreSaver, thread_id: Any) -> None:
        stored = put_chain(api, 2, thread_id)[-1]
        assert stored["configurable"]["thread_id"] == str(thread_id)
        api.put_writes(config_of(thread_id, checkpoint_id=id_of(stored)), [("a", 1)], "task")
        for written in (thread_id, str(thread_id)):
            found = api.read(config_of(written))
            assert found.config == stored
            assert found.pending_writes == [("task", "a", 1)]
            assert len(api.list(config_of(written))) == 2
        assert saver.store.thread(str(thread_id)).verify().ok
        api.delete_thread(thread_id)
        assert api.get_tuple(config_of(str(thread_id))) is None

    def test_ids_of_any_unicode_and_length_are_separate_threads(self, api: Api, saver: WfStoreSaver) -> None:
        for number, name in enumerate(NAMES):
            stored = api.put(config_of(name), checkpoint_of({"n": number}))
            assert stored["configurable"]["thread_id"] == name
            api.put_writes(stored, [("w", number)], "task")
        for number, name in enumerate(NAMES):
            (found,) = api.list(config_of(name))
            assert found.checkpoint["channel_values"] == {"n": number}, name[:20]
            assert found.pending_writes == [("task", "w", number)]
            assert api.read(config_of(name)).config == found.config
        assert len(api.list(None)) == len(NAMES)
        assert_sound(saver, *NAMES)

    def test_ids_of_any_unicode_and_length_can_be_deleted_and_copied(self, api: Api) -> None:
        for name in NAMES:
            put_chain(api, 1, name)
        for name in NAMES:
            api.copy_thread(name, f"copy {NAMES.index(name)} of {name[:3000]}")
            api.delete_thread(name)
        assert len(api.list(None)) == len(NAMES)
        assert all(api.get_tuple(config_of(name)) is None for name in NAMES)

    @pytest.mark.parametrize("thread_id", [None, b"t", ["t"], 1.5, {"t": 1}, object()], ids=lambda x: type(x).__name__)
    def test_any_other_id_is_a_clear_type_error(self, api: Api, thread_id: Any) -> None:
        config = config_of(thread_id)
        addressed = config_of(thread_id, checkpoint_id="c")
        for operation in (
            lambda: api.put(config, checkpoint_of()),
            lambda: api.put_writes(addressed, [("a", 1)], "task"),
            lambda: api.get_tuple(config),
            lambda: api.list(config),
            lambda: api.delete_thread(thread_id),
            lambda: api.copy_thread(thread_id, "target"),
            lambda: api.copy_thread("source", thread_id),
            lambda: api.prune([thread_id]),
        ):
            with pytest.raises(TypeError, match=r"thread.?id"):
                operation()
        assert api.list(None) == []

    @pytest.mark.parametrize("ns", ["größe:1|nul\0", "sur\ud800", "x" * 5_000, "'; DROP TABLE t; --"], ids=len)
    def test_a_namespace_may_be_anything(self, api: Api, saver: WfStoreSaver, ns: str) -> None:
        stored = api.put(config_of(ns=ns), checkpoint_of({"a": 1}), metadata_of(0, parents={"": "p", ns: "q"}))
        assert stored["configurable"]["checkpoint_ns"] == ns
        assert api.read(config_of(ns=ns)).metadata["parents"] == {"": "p", ns: "q"}
        assert len(api.list(config_of(ns=ns))) == 1
        assert api.list(config_of()) == []
        assert_sound(saver, "t")


class ThreadListContract(Contract):
    """The store lists its threads without loading a state."""

    def test_every_thread_is_listed_once(self, api: Api, saver: WfStoreSaver) -> None:
        names = [f"t{number}" for number in range(12)]
        for name in names:
            put_chain(api, 2, name)
            api.put(config_of(name, "sub:1"), checkpoint_of())
        assert sorted(thread.thread_id for thread in saver.store.threads()) == sorted(names)

    def test_threads_are_listed_in_pages(self, api: Api, saver: WfStoreSaver) -> None:
        names = [f"t{number}" for number in range(10)]
        for name in names:
            put_chain(api, 1, name)
        seen: list[str] = []
        while page := saver.store.threads(after=seen[-1] if seen else None, limit=3):
            assert len(page) <= 3
            seen += [thread.thread_id for thread in page]
        assert sorted(seen) == sorted(names)

    def test_threads_are_found_by_metadata(self, api: Api, saver: WfStoreSaver) -> None:
        for name, user in [("a", "ann"), ("b", "bob"), ("c", "ann")]:
            put_chain(api, 2, name, user=user)
        found = [thread.thread_id for thread in saver.store.threads(metadata={"user": "ann"})]
        assert sorted(found) == ["a", "c"]

    def test_reading_makes_no_thread(self, api: Api, saver: WfStoreSaver) -> None:
        api.get_tuple(config_of("never put"))
        api.list(config_of("never put"))
        assert saver.store.threads() == []
        with pytest.raises(ThreadNotFoundError, match="never put"):
            saver.store.thread("never put")

    def test_a_thread_lists_its_checkpoints_newest_first(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 4)
        put_chain(api, 2, ns="sub:1")
        thread = saver.store.thread("t")
        assert [each.checkpoint_id for each in thread.checkpoints()] == [id_of(each) for each in stored[::-1]]
        assert [each.checkpoint_id for each in thread.checkpoints(limit=2)] == [id_of(each) for each in stored[:1:-1]]
        assert len(thread.checkpoints(ns="sub:1")) == 2
