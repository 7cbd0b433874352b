"""The contract of verify: honest threads of every kind verify, and every record is counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langgraph.types import Command

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .contract_delta import Rare, delta_graph
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph, remembering_graph
from .material import THREAD, checkpoint_of, config_of, put_chain
from .sample_graphs import DURABILITIES, chat_graph, line_graph, says_human
from .sample_values import VALUES

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class VerifyContract(Contract):
    """What verify says of threads that nobody tampered with."""

    def test_records_are_counted_once_and_sealed_by_the_next_put(self, api: Api, saver: WfStoreSaver) -> None:
        def counted() -> tuple[int, int]:
            report = saver.store.thread(THREAD).verify()
            assert report.ok, report.problems
            return report.sealed, report.unsealed

        stored = put_chain(api, 1)
        assert counted() == (1, 0)
        api.put_writes(stored[-1], [("a", 1), ("b", 2)], "task-1")
        api.put_writes(stored[-1], [("a", 3)], "task-2")
        assert counted() == (1, 2)
        stored += put_chain(api, 1, after=stored[-1])
        assert counted() == (4, 0)
        api.put(config_of(ns="sub:1"), checkpoint_of({"a": 1}))
        sealed, unsealed = counted()
        assert sealed + unsealed == 5
        put_chain(api, 1, after=stored[-1])
        assert counted() == (6, 0)

    def test_putting_again_adds_no_record(self, api: Api, saver: WfStoreSaver) -> None:
        checkpoint = checkpoint_of({"a": 1})
        for _ in range(3):
            stored = api.put(config_of(), checkpoint)
            api.put_writes(stored, [("a", 1)], "task")
        report = saver.store.thread(THREAD).verify()
        assert report.ok, report.problems
        assert report.sealed + report.unsealed == 2

    def test_writes_that_wait_for_their_checkpoint_are_no_problem(self, api: Api, saver: WfStoreSaver) -> None:
        parent = put_chain(api, 1)[0]
        checkpoint = checkpoint_of({"a": 1})
        api.put_writes(config_of(checkpoint_id=checkpoint["id"]), [("a", "early")], "task")
        assert_sound(saver, THREAD)
        api.put(parent, checkpoint)
        assert_sound(saver, THREAD)

    def test_another_head_than_the_expected_is_reported(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 3)
        report = saver.store.thread(THREAD).verify(expect_head="sha256:" + "0" * 64)
        assert not report.ok
        assert report.problems

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_threads_of_every_kind_verify(self, api: Api, saver: WfStoreSaver, reopen: Reopen, durability: str) -> None:
        chat, delta = chat_graph(saver), delta_graph(saver, Rare, asks=True)
        for number in range(3):
            api.invoke(chat, says_human(number), config_of("chat"), durability=durability)
            api.invoke(remembering_graph(saver), {"log": ["x"]}, config_of("remembers"), durability=durability)
        for name, graph in [
            ("asks", asking_graph(saver, "one?", "two?")),
            ("nested", nested_graph(saver, asks=True, depth=2)),
            ("delta", delta),
        ]:
            api.invoke(graph, {"log": ["in"]}, config_of(name), durability=durability)
            assert_sound(saver, name)
            api.invoke(graph, Command(resume="yes"), config_of(name), durability=durability)
        line = line_graph(saver, "a", "b")
        api.invoke(line, {"log": ["in"]}, config_of("forked"), durability=durability)
        old = [*api.history(line, config_of("forked"))][-1].config
        api.invoke(line, {"log": ["fork"]}, old, durability=durability)
        names = ["chat", "remembers", "asks", "nested", "delta", "forked"]
        assert_sound(saver, *names)
        assert_sound(reopen(), *names)
        for name in names:
            api.copy_thread(name, f"copy of {name}")
            api.prune([name])
        saver.store.compact()
        assert_sound(saver, *names, *(f"copy of {name}" for name in names))
        assert_sound(reopen(), *names, *(f"copy of {name}" for name in names))

    def test_a_thread_of_every_value_verifies_in_another_saver(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen
    ) -> None:
        stored = config_of()
        for number, (name, value) in enumerate(VALUES.items()):
            stored = api.put(stored, checkpoint_of({"x": value, name: [value, {"k": [value]}]}, {"x": number, name: 1}))
            api.put_writes(stored, [(name, value)], f"task {number}")
        assert_sound(saver, THREAD)
        assert_sound(reopen(), THREAD)
        report = saver.store.thread(THREAD).verify()
        assert report.sealed + report.unsealed == 2 * len(VALUES)
