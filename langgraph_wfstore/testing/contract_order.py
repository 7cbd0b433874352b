"""The contract of order: causal, neither arrival nor the largest id; and which checkpoint is the latest."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig

from .api import PATIENCE, Api, within
from .contract import Contract, Reopen, assert_sound
from .gate import Gate
from .material import THREAD, before_of, checkpoint_of, config_of, id_of, ids_of, metadata_of, new_ids, put_chain
from .sample_graphs import DURABILITIES, chat_graph, line_graph, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class CausalOrderContract(Contract):
    """A checkpoint follows its parent, whatever the ids and the clocks say."""

    def test_a_child_with_a_smaller_id_is_newer_than_its_parent(self, api: Api, saver: WfStoreSaver) -> None:
        ids = new_ids(6)[::-1]
        parent = config_of()
        for number, checkpoint_id in enumerate(ids):
            parent = api.put(parent, checkpoint_of({"n": number}, id=checkpoint_id), metadata_of(number))
        assert id_of(api.read(config_of())) == ids[-1]
        assert ids_of(api.list(config_of())) == ids[::-1]
        assert ids_of(api.list(config_of(), limit=2)) == [ids[5], ids[4]]
        assert ids_of(api.list(config_of(), before=before_of(ids[3]))) == [ids[2], ids[1], ids[0]]
        assert [each.checkpoint_id for each in saver.store.thread(THREAD).checkpoints()] == ids[::-1]

    def test_a_saver_whose_clock_is_behind_still_writes_the_latest(self, api: Api, reopen: Reopen) -> None:
        past = new_ids(3)
        ahead = put_chain(api, 3)
        other = api.on(reopen())
        late = other.put(ahead[-1], checkpoint_of({"n": 1}, id=past[1]), metadata_of(3))
        for each in (api, other):
            assert each.read(config_of()).config == late
            assert ids_of(each.list(config_of())) == [id_of(late), *ids_of(ahead)[::-1]]
        last = api.put(late, checkpoint_of({"n": 2}, id=past[0]), metadata_of(4))
        assert other.read(config_of()).config == last

    def test_a_child_namespace_is_ordered_by_its_own_parents(self, api: Api) -> None:
        ids = new_ids(4)[::-1]
        parent = config_of(ns="sub:1")
        for checkpoint_id in ids:
            parent = api.put(parent, checkpoint_of(id=checkpoint_id))
        assert ids_of(api.list(config_of(ns="sub:1"))) == ids[::-1]
        assert id_of(api.read(config_of(ns="sub:1"))) == ids[-1]

    def test_a_sub_graph_that_overtakes_its_root_is_still_after_it(self, api: Api) -> None:
        first = put_chain(api, 1)[0]
        root_id, child_id, next_id = new_ids(3)
        child = api.put(
            config_of(ns="sub:1"), checkpoint_of({"c": 1}, id=child_id), metadata_of(0, parents={"": root_id})
        )
        root = api.put(first, checkpoint_of({"r": 1}, id=root_id), metadata_of(1))
        after = api.put(root, checkpoint_of({"r": 2}, id=next_id), metadata_of(2))
        assert api.list(config_of(ns="sub:1"), before=before_of(root_id), limit=1) == []
        assert api.list(config_of(ns="sub:1"), before=before_of(id_of(first))) == []
        found = api.list(config_of(ns="sub:1"), before=before_of(id_of(after)), limit=1)
        assert [each.config for each in found] == [child]

    def test_before_takes_the_id_of_a_root_for_a_sub_graph(self, api: Api) -> None:
        children: list[str] = []
        roots: list[RunnableConfig] = []
        for number in range(4):
            roots.append(put_chain(api, 1, after=roots[-1] if roots else None)[0])
            stored = api.put(
                config_of(ns=f"sub:{number}"),
                checkpoint_of({"c": number}),
                metadata_of(0, parents={"": id_of(roots[-1])}),
            )
            children.append(id_of(stored))
        for number in range(4):
            assert len(api.list(config_of(ns=f"sub:{number}"), before=before_of(id_of(roots[number])))) == 0
            for later in roots[number + 1 :]:
                found = api.list(config_of(ns=f"sub:{number}"), before=before_of(id_of(later)), limit=1)
                assert ids_of(found) == [children[number]]

    def test_before_takes_the_id_of_a_sub_graph_for_the_root(self, api: Api) -> None:
        first, second = put_chain(api, 2)
        child = api.put(config_of(ns="sub:1"), checkpoint_of(), metadata_of(0, parents={"": id_of(second)}))
        third = put_chain(api, 1, after=second)[0]
        found = ids_of(api.list(config_of(), before=before_of(id_of(child))))
        assert found == ids_of([second, first])
        assert id_of(third) not in found

    def test_below_the_root_latest_belongs_to_the_branch_that_asks(self, api: Api) -> None:
        base = put_chain(api, 1)[0]
        early = api.put(config_of(ns="sub"), checkpoint_of({"c": 1}), metadata_of(0, parents={"": id_of(base)}))
        main = put_chain(api, 1, after=base)[0]
        late = api.put(early, checkpoint_of({"c": 2}), metadata_of(1, parents={"": id_of(main)}))
        fork = api.put(base, checkpoint_of({"n": "fork"}), metadata_of(1, "fork"))

        def child_of(root: RunnableConfig) -> RunnableConfig:
            return api.read(config_of(ns="sub", checkpoint_map={"": id_of(root)})).config

        assert child_of(main) == late
        assert child_of(base) == early
        assert child_of(fork) == early


class LatestContract(Contract):
    """What a run continues from."""

    def test_an_update_of_an_old_checkpoint_becomes_the_latest(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a", "b", "c")
        api.invoke(graph, {"log": ["in"]}, config_of())
        old = next(each for each in api.history(graph, config_of()) if each.next == ("b",))
        updated = api.update_state(graph, old.config, {"log": ["edited"]}, as_node="a")
        latest = api.get_state(graph, config_of())
        assert id_of(latest.config) == id_of(updated)
        assert latest.values["log"] == ["in", "a after 1", "edited"]
        assert api.invoke(graph, None, config_of())["log"] == ["in", "a after 1", "edited", "b after 3", "c after 4"]
        assert_sound(saver, THREAD)

    def test_a_run_from_an_old_checkpoint_becomes_the_latest(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a", "b")
        api.invoke(graph, {"log": ["in"], "note": "first"}, config_of())
        before = len(api.list(config_of()))
        old = next(each for each in api.history(graph, config_of()) if each.next == ("a",))
        api.invoke(graph, None, old.config)
        latest = api.get_state(graph, config_of())
        assert latest.values["log"] == ["in", "a after 1", "b after 2"]
        assert latest.config != old.config
        assert len(api.list(config_of())) > before
        assert id_of(latest.config) == id_of(api.list(config_of(), limit=1)[0])
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_the_next_turn_continues_from_a_deliberate_fork(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = chat_graph(saver)
        for number in range(3):
            api.invoke(graph, says_human(number), config_of(), durability=durability)
        old = [each for each in api.history(graph, config_of()) if not each.next][-1]
        assert len(old.values["messages"]) == 2
        api.update_state(graph, old.config, says_human(10), as_node="bot")
        api.invoke(graph, says_human(11), config_of(), durability=durability)
        found = [each.content for each in api.get_state(graph, config_of()).values["messages"]]
        assert found == ["message 0", "re: message 0", "message 10", "message 11", "re: message 11"]

    def test_a_fork_by_another_saver_is_the_latest_for_all(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        graph, other_saver = line_graph(saver, "a", "b"), reopen()
        other, other_graph = api.on(other_saver), line_graph(other_saver, "a", "b")
        api.invoke(graph, {"log": ["in"]}, config_of())
        old = next(each for each in other.history(other_graph, config_of()) if each.next == ("b",))
        updated = other.update_state(other_graph, old.config, {"log": ["edited"]}, as_node="a")
        assert id_of(api.get_state(graph, config_of()).config) == id_of(updated)
        assert api.invoke(graph, None, config_of())["log"][2:] == ["edited", "b after 3"]

    def test_many_forks_of_one_checkpoint_are_all_kept_and_the_last_is_the_latest(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        graph = line_graph(saver, "a", "b")
        api.invoke(graph, {"log": ["in"]}, config_of())
        old = next(each for each in api.history(graph, config_of()) if each.next == ("b",))
        for number in range(5):
            api.update_state(graph, old.config, {"log": [f"fork {number}"]}, as_node="a")
            found = api.invoke(graph, None, config_of())
            assert found["log"] == ["in", "a after 1", f"fork {number}", "b after 3"]
        ends = [each.values["log"][2] for each in api.history(graph, config_of()) if len(each.values["log"]) == 4]
        assert ends == [f"fork {number}" for number in (4, 3, 2, 1, 0)]
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_a_run_that_was_overtaken_is_kept_and_is_not_the_latest(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, durability: str
    ) -> None:
        graph = chat_graph(saver)
        api.invoke(graph, says_human(0), config_of(), durability=durability)
        gate = Gate(saver, monkeypatch)
        slow = {**config_of(), "metadata": {"held": True}}
        run = threading.Thread(
            target=api.invoke, args=(graph, says_human(1), slow), kwargs={"durability": durability}, daemon=True
        )
        run.start()
        assert gate.reached.wait(PATIENCE)
        within(lambda: api.invoke(graph, says_human(2), config_of(), durability=durability))
        gate.opened.set()
        run.join(PATIENCE)
        assert not run.is_alive()
        assert self.contents(api, graph) == ["message 0", "re: message 0", "message 2", "re: message 2"]
        kept = [[each.id for each in snapshot.values["messages"]] for snapshot in api.history(graph, config_of())]
        assert ["h0", "re-h0", "h1", "re-h1"] in kept
        api.invoke(graph, says_human(3), config_of(), durability=durability)
        assert self.contents(api, graph)[2:] == ["message 2", "re: message 2", "message 3", "re: message 3"]
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", DURABILITIES)
    def test_the_late_put_of_a_cancelled_run_is_kept_and_is_not_the_latest(
        self, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, durability: Any
    ) -> None:
        graph = chat_graph(saver)

        async def cancel_and_overtake() -> None:
            await graph.ainvoke(says_human(0), config_of(), durability=durability)
            gate = Gate(saver, monkeypatch)
            slow = {**config_of(), "metadata": {"held": True}}
            run = asyncio.create_task(graph.ainvoke(says_human(1), slow, durability=durability))
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, gate.reached.wait, PATIENCE)
            while not run.done():
                run.cancel()
                await asyncio.sleep(0.001)
            assert run.cancelled()
            await graph.ainvoke(says_human(2), config_of(), durability=durability)
            gate.opened.set()
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

        within(lambda: asyncio.run(cancel_and_overtake()))
        listed = [*saver.list(config_of())]
        assert any(found.metadata.get("held") for found in listed)
        latest = saver.get_tuple(config_of())
        assert latest is not None
        assert [each.id for each in latest.checkpoint["channel_values"]["messages"]] == ["h0", "re-h0", "h2", "re-h2"]
        assert_sound(saver, THREAD)

    def contents(self, api: Api, graph: Any) -> list[str]:
        return [each.content for each in api.get_state(graph, config_of()).values["messages"]]
