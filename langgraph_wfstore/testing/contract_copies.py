"""The contract of copy_thread: an equal history, a future of its own, and not a byte copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph.types import Command

from langgraph_wfstore.errors import ConflictError, ThreadNotFoundError

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, checkpoint_of, config_of, id_of, ids_of, put_chain
from .sample_graphs import chat_graph, plain_thread, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class CopiesContract(Contract):
    """A copy is equal to its source, and neither of them depends on the other."""

    def history_of(self, api: Api, thread_id: str) -> list[Any]:
        """All that is stored for a thread, without the thread's own id."""
        found = []
        for each in api.list(config_of(thread_id, ns=None)):
            assert each.config["configurable"]["thread_id"] == thread_id
            parent = each.parent_config and id_of(each.parent_config)
            ns = each.config["configurable"]["checkpoint_ns"]
            found.append((ns, parent, each.checkpoint, each.metadata, each.pending_writes))
        return found

    def test_a_copy_has_the_whole_history(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        stored = put_chain(api, 5)
        api.put(stored[1], checkpoint_of({"n": "fork"}))
        put_chain(api, 2, ns="sub:1")
        api.put_writes(stored[-1], [("a", [1, (2,)]), ("__interrupt__", "ask")], "task", "~p")
        api.copy_thread(THREAD, "copy")
        assert self.history_of(api, "copy") == self.history_of(api, THREAD)
        assert self.history_of(api.on(reopen()), "copy") == self.history_of(api, THREAD)
        assert id_of(api.read(config_of("copy"))) == id_of(api.read(config_of()))
        assert_sound(saver, THREAD, "copy")

    def test_a_copy_of_a_real_thread_is_the_same_to_a_graph(self, api: Api, saver: WfStoreSaver) -> None:
        graph = nested_graph(saver, asks=True)
        api.invoke(graph, {"log": ["in"]}, config_of(ns=None))
        api.copy_thread(THREAD, "copy")
        source = plain_thread(api, graph, config_of(ns=None))
        assert plain_thread(api, graph, config_of("copy", ns=None)) == source
        for thread_id in ("copy", THREAD):
            out = api.invoke(graph, Command(resume=f"yes {thread_id}"), config_of(thread_id, ns=None))
            assert out["note"] == f"inner said yes {thread_id}"
        assert_sound(saver, THREAD, "copy")

    def test_writing_to_a_copy_does_not_touch_its_source(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        api.invoke(graph, says_human(0), config_of())
        before = self.history_of(api, THREAD)
        api.copy_thread(THREAD, "copy")
        api.invoke(graph, says_human(1), config_of("copy"))
        api.put_writes(api.read(config_of("copy")).config, [("messages", [])], "task")
        assert self.history_of(api, THREAD) == before
        assert len(api.get_state(graph, config_of("copy")).values["messages"]) == 4
        assert_sound(saver, THREAD, "copy")

    def test_writing_to_the_source_does_not_touch_the_copy(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        api.invoke(graph, says_human(0), config_of())
        api.copy_thread(THREAD, "copy")
        before = self.history_of(api, "copy")
        api.invoke(graph, says_human(1), config_of())
        assert self.history_of(api, "copy") == before
        assert_sound(saver, THREAD, "copy")

    @pytest.mark.parametrize(("gone", "left"), [(THREAD, "copy"), ("copy", THREAD)])
    def test_deleting_one_leaves_the_other_whole(self, api: Api, saver: WfStoreSaver, gone: str, left: str) -> None:
        graph = chat_graph(saver)
        for number in range(3):
            api.invoke(graph, says_human(number), config_of())
        api.copy_thread(THREAD, "copy")
        before = self.history_of(api, left)
        api.delete_thread(gone)
        saver.store.compact()
        assert self.history_of(api, left) == before
        api.invoke(graph, says_human(3), config_of(left))
        assert len(api.get_state(graph, config_of(left)).values["messages"]) == 8
        assert api.list(config_of(gone)) == []
        assert_sound(saver, left)

    @pytest.mark.parametrize(("pruned", "other"), [(THREAD, "copy"), ("copy", THREAD)])
    def test_pruning_one_leaves_the_other_whole(self, api: Api, saver: WfStoreSaver, pruned: str, other: str) -> None:
        put_chain(api, 5)
        api.copy_thread(THREAD, "copy")
        before = self.history_of(api, other)
        api.prune([pruned])
        saver.store.compact()
        assert self.history_of(api, other) == before
        assert len(api.list(config_of(pruned))) == 1
        assert_sound(saver, THREAD, "copy")

    def test_a_copy_of_a_copy_is_whole_when_both_before_are_gone(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 4)
        before = self.history_of(api, THREAD)
        api.copy_thread(THREAD, "copy")
        api.copy_thread("copy", "copy of the copy")
        api.delete_thread("copy")
        api.delete_thread(THREAD)
        saver.store.compact()
        assert self.history_of(api, "copy of the copy") == before
        assert_sound(saver, "copy of the copy")

    def test_a_copy_can_be_copied_back_onto_the_deleted_id(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        before = self.history_of(api, THREAD)
        api.copy_thread(THREAD, "backup")
        api.delete_thread(THREAD)
        api.copy_thread("backup", THREAD)
        assert self.history_of(api, THREAD) == before
        put_chain(api, 1, after=stored[-1])
        assert len(api.list(config_of())) == 4
        assert_sound(saver, THREAD, "backup")

    def test_an_open_question_of_a_copy_is_answered_apart(self, api: Api, saver: WfStoreSaver) -> None:
        graph = asking_graph(saver, "sure?")
        api.invoke(graph, {"log": ["in"]}, config_of())
        api.copy_thread(THREAD, "copy")
        assert api.invoke(graph, Command(resume="no"), config_of("copy"))["log"][2] == "ask: no"
        assert len(api.get_state(graph, config_of()).interrupts) == 1
        assert api.invoke(graph, Command(resume="yes"), config_of())["log"][2] == "ask: yes"

    def test_copying_onto_a_thread_that_exists_is_a_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 2)
        kept = put_chain(api, 1, "kept")
        with pytest.raises(ConflictError, match="kept"):
            api.copy_thread(THREAD, "kept")
        with pytest.raises(ConflictError):
            api.copy_thread(THREAD, THREAD)
        assert ids_of(api.list(config_of("kept"))) == ids_of(kept)
        assert_sound(saver, THREAD, "kept")

    def test_copying_what_is_not_there_creates_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        with pytest.raises(ThreadNotFoundError, match="not there"):
            api.copy_thread("not there", "copy")
        assert api.list(None) == []
        assert saver.store.threads() == []

    def test_copying_a_deleted_thread_creates_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 2)
        api.delete_thread(THREAD)
        with pytest.raises(ThreadNotFoundError):
            api.copy_thread(THREAD, "copy")
        assert saver.store.threads() == []

    def test_a_copy_stores_no_object_again(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        for number in range(5):
            api.invoke(graph, says_human(number), config_of())
        before = saver.store.stats()["object_bytes"]
        for number in range(3):
            api.copy_thread(THREAD, f"copy {number}")
        assert before > 0
        assert saver.store.stats()["object_bytes"] == before
