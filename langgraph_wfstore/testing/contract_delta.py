"""The contract of delta channels: states that exist only as writes along the ancestors are never lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from .api import Api
from .contract import Contract, DurabilityContract, Reopen, assert_sound
from .contract_graphs import CONFIG, assert_same_as_in_memory
from .material import THREAD, checkpoint_of, config_of, new_ids
from .sample_graphs import Saver, plain, plain_history

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def _joined(state: list[str] | None, writes: Sequence[list[str]]) -> list[str]:
    """Order matters here, so that a wrong order of writes shows."""
    return [*(state or []), *(item for write in writes for item in write)]


class Rare(TypedDict):
    """Snapshots are far apart: everything has to be rebuilt."""

    log: Annotated[list[str], DeltaChannel(_joined)]
    count: int


class Often(TypedDict):
    """A snapshot after every third update."""

    log: Annotated[list[str], DeltaChannel(_joined, snapshot_frequency=3)]
    count: int


SCHEMAS = {"rare snapshots": Rare, "frequent snapshots": Often}


def delta_graph(saver: Saver, schema: Any, *, asks: bool = False) -> Any:
    """Two nodes that write to a delta channel, and to a plain one; `asks` puts a question between them."""

    def first(state: Any) -> Any:
        return {"log": [f"first saw {len(state['log'])}"], "count": state.get("count", 0) + 1}

    def second(state: Any) -> Any:
        said = interrupt("ok?") if asks else "nothing"
        return {"log": [f"second saw {len(state['log'])}, {said}"]}

    builder = StateGraph(schema).add_node("first", first).add_node("second", second)
    return builder.add_edge(START, "first").add_edge("first", "second").compile(checkpointer=saver)


def fan_graph(saver: Saver, schema: Any) -> Any:
    """Parallel tasks that write to one delta channel."""

    def work(state: Any) -> Any:
        return {"log": [f"work {state}"]}

    builder = StateGraph(schema).add_node("work", work).add_node("end", lambda state: {"count": len(state["log"])})
    builder.add_conditional_edges(START, lambda _: [Send("work", number) for number in range(12)], ["work"])
    return builder.add_edge("work", "end").compile(checkpointer=saver)


def turns(api: Api, graph: Any, count: int, durability: str, config: RunnableConfig = CONFIG, run: str = "r") -> None:
    for number in range(count):
        of_run: RunnableConfig = {**config, "metadata": {"run_id": f"{run}{number}"}}
        api.invoke(graph, {"log": [f"in {number}"]}, of_run, durability=durability)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
class DeltaContract(DurabilityContract):
    """Delta channels under every durability, before and after each kind of removal."""

    def test_turns_are_the_same_as_in_memory(self, api: Api, saver: WfStoreSaver, durability: str, schema: Any) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = delta_graph(saver, schema)
            turns(api, graph, 6, durability)
            return plain_history(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_parallel_writes_are_the_same_as_in_memory(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = fan_graph(saver, schema)
            turns(api, graph, 2, durability)
            return plain_history(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_fork_is_the_same_as_in_memory(self, api: Api, saver: WfStoreSaver, durability: str, schema: Any) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = delta_graph(saver, schema)
            turns(api, graph, 4, durability)
            old = [each for each in api.history(graph, CONFIG) if not each.next][2]
            api.update_state(graph, old.config, {"log": ["fork"]}, as_node="second")
            turns(api, graph, 2, durability)
            return plain_history(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_a_question_is_the_same_as_in_memory(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        def scenario(api: Api, saver: Saver, durability: str) -> Any:
            graph = delta_graph(saver, schema, asks=True)
            outs = []
            for text in ("one", "two"):
                outs.append(plain(api.invoke(graph, {"log": [text]}, CONFIG, durability=durability)))
                outs.append(plain(api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)))
            return outs, plain_history(api, graph, CONFIG)

        assert_same_as_in_memory(api, saver, durability, scenario)

    def test_the_history_of_a_channel_is_the_one_of_the_default_walk(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 4, durability)
        old = [each for each in api.history(graph, CONFIG) if not each.next][1]
        api.update_state(graph, old.config, {"log": ["fork"]}, as_node="second")
        turns(api, graph, 1, durability)
        for found in api.list(CONFIG):
            walked = BaseCheckpointSaver.get_delta_channel_history(
                saver, config=found.config, channels=["log", "count", "never"]
            )
            assert api.delta_history(found.config, ["log", "count", "never"]) == dict(walked)
        assert api.delta_history(CONFIG, ["log"]) == api.delta_history(api.read(CONFIG).config, ["log"])
        assert api.delta_history(CONFIG, []) == {}

    def test_pruning_keeps_the_state(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 5, durability)
        before, walk = api.get_state(graph, CONFIG), api.delta_history(CONFIG, ["log"])
        stored_whole = "log" in api.read(CONFIG).checkpoint["channel_values"]
        api.prune([THREAD], strategy="keep_latest")
        assert len(api.list(config_of())) == 1
        assert api.get_state(graph, CONFIG).values == before.values
        assert stored_whole or api.delta_history(CONFIG, ["log"]) == walk
        saver.store.compact()
        other = reopen()
        assert api.on(other).get_state(delta_graph(other, schema), CONFIG).values == before.values
        turns(api, graph, 2, durability)
        api.prune([THREAD])
        assert len(api.get_state(graph, CONFIG).values["log"]) == 21
        assert api.get_state(graph, CONFIG).values["log"][:15] == before.values["log"]
        assert_sound(saver, THREAD)

    def test_pruning_an_open_question_keeps_the_state(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema, asks=True)
        api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
        api.prune([THREAD])
        out = api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
        assert out["log"] == ["in", "first saw 1", "second saw 2, yes"]
        assert api.get_state(graph, CONFIG).values["log"] == out["log"]
        assert_sound(saver, THREAD)

    def test_a_copy_has_the_state_and_its_own_future(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 4, durability)
        before = api.get_state(graph, CONFIG).values
        api.copy_thread(THREAD, "copy")
        copied = [each.values for each in api.history(graph, config_of("copy"))]
        assert copied == [each.values for each in api.history(graph, CONFIG)]
        turns(api, graph, 1, durability, config_of("copy"), "other")
        assert api.get_state(graph, CONFIG).values == before
        api.delete_thread(THREAD)
        assert api.get_state(graph, config_of("copy")).values["log"][:12] == before["log"]
        assert_sound(saver, "copy")

    def test_a_copy_of_a_pruned_thread_has_the_state(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 4, durability)
        before = api.get_state(graph, CONFIG).values
        api.prune([THREAD])
        api.copy_thread(THREAD, "copy")
        api.delete_thread(THREAD)
        assert api.get_state(graph, config_of("copy")).values == before
        assert_sound(saver, "copy")

    def test_deleting_an_older_run_keeps_the_state(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 5, durability)
        before = api.get_state(graph, CONFIG).values
        for run in ("r1", "r0", "r3"):
            api.delete_for_runs([run])
            assert api.list(CONFIG, filter={"run_id": run}) == []
            assert api.get_state(graph, CONFIG).values == before
        turns(api, graph, 1, durability, run="after")
        assert api.get_state(graph, CONFIG).values["log"][:15] == before["log"]
        assert_sound(saver, THREAD)

    def test_a_fork_keeps_its_state_when_the_run_it_left_is_deleted(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 4, durability)
        old = [each for each in api.history(graph, CONFIG) if not each.next][2]
        api.update_state(graph, old.config, {"log": ["fork"]}, as_node="second")
        turns(api, graph, 1, durability, run="fork")
        before = api.get_state(graph, CONFIG).values
        assert before["log"][6] == "fork"
        api.delete_for_runs(["r0", "r1", "r2", "r3"])
        assert api.get_state(graph, CONFIG).values == before
        assert_sound(saver, THREAD)


class DeltaWalkContract(Contract):
    """get_delta_channel_history, put by hand."""

    def chain(self, api: Api) -> list[RunnableConfig]:
        """Four checkpoints with writes to `d`; the second also holds a value of it."""
        stored = [config_of()]
        for number in range(4):
            values: dict[str, Any] = {"plain": number, **({"d": "seed"} if number == 1 else {})}
            stored.append(api.put(stored[-1], checkpoint_of(values, {"plain": number + 1, "d": number + 1})))
            api.put_writes(stored[-1], [("d", f"z{number}"), ("plain", 0)], "task-a", "~z")
            api.put_writes(stored[-1], [("d", f"a{number}")], "task-b", "~a")
        return stored[1:]

    def test_the_walk_ends_at_the_nearest_stored_value(self, api: Api) -> None:
        stored = self.chain(api)
        found = api.delta_history(stored[3], ["d"])
        expected = [("task-b", "d", "a1"), ("task-a", "d", "z1"), ("task-b", "d", "a2"), ("task-a", "d", "z2")]
        assert found == {"d": {"writes": expected, "seed": "seed"}}

    def test_the_walk_reaches_the_root_without_a_seed(self, api: Api) -> None:
        stored = self.chain(api)
        assert api.delta_history(stored[1], ["d"]) == {"d": {"writes": [("task-b", "d", "a0"), ("task-a", "d", "z0")]}}
        assert api.delta_history(stored[0], ["d", "e"]) == {"d": {"writes": []}, "e": {"writes": []}}

    def test_the_walk_of_a_fork_takes_its_own_ancestors_only(self, api: Api) -> None:
        stored = self.chain(api)
        fork = api.put(stored[0], checkpoint_of({"plain": 9}))
        assert api.delta_history(fork, ["d"]) == {"d": {"writes": [("task-b", "d", "a0"), ("task-a", "d", "z0")]}}

    def test_the_walk_of_an_unknown_checkpoint_is_empty(self, api: Api) -> None:
        assert api.delta_history(config_of(), ["d"]) == {"d": {"writes": []}}
        self.chain(api)
        assert api.delta_history(config_of(checkpoint_id=new_ids(1)[0]), ["d"]) == {"d": {"writes": []}}

    def test_the_walk_of_many_channels_is_that_of_each(self, api: Api, saver: WfStoreSaver) -> None:
        for config in self.chain(api):
            together = api.delta_history(config, ["d", "plain", "e"])
            for channel in ("d", "plain", "e"):
                assert together[channel] == api.delta_history(config, [channel])[channel]
            assert together == dict(
                BaseCheckpointSaver.get_delta_channel_history(saver, config=config, channels=["d", "plain", "e"])
            )
