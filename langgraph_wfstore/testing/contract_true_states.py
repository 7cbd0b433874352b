"""The contract of true states: nodes may change their state in place, and what is stored is what nodes started from."""

from __future__ import annotations

import copy
import operator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from .api import Api
from .contract import DurabilityContract, assert_sound
from .contract_graphs import CONFIG
from .material import THREAD
from .sample_graphs import Saver

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from langgraph_wfstore import WfStoreSaver

NAMES = ("a", "b", "c", "d")


class Mutable(TypedDict, total=False):
    """A state whose parts can be changed in place."""

    items: list[Any]
    nested: dict[str, list[Any]]
    log: Annotated[list[str], operator.add]
    round: int


class Witness:
    """A four-node graph in a circle whose nodes change all that they can reach, and notes what each started from.

    Attributes:
        starts: per round and node a copy of the state that the node got.
        crash_at: (round, node) where it raises after it has changed its state; the first time only.
    """

    def __init__(self, saver: Saver, rounds: int, crash_at: tuple[int, str] | None = None) -> None:
        self.starts: dict[tuple[int, str], Any] = {}
        self.crash_at = crash_at
        builder = StateGraph(Mutable)
        for name in NAMES:
            builder.add_node(name, self._node(name))
        builder.add_edge(START, "a")
        for left, right in pairwise(NAMES):
            builder.add_edge(left, right)
        builder.add_conditional_edges("d", lambda s: "a" if s["round"] < rounds else END, ["a", END])
        self.graph = builder.compile(checkpointer=saver)

    def _node(self, name: str) -> Any:
        def node(state: Mutable) -> Mutable:
            turn = state["round"]
            self.starts[turn, name] = copy.deepcopy(dict(state))
            state["items"].append(f"{name}{turn}")
            state["nested"]["deep"].append({"by": name, "turn": turn})
            state["nested"].setdefault(name, []).append(turn)
            if self.crash_at == (turn, name):
                self.crash_at = None
                raise RuntimeError(f"crash in {name} of round {turn}")
            # Some nodes return what they changed, some don't, some return a part of it.
            update: Mutable = {"log": [f"{name}{turn}"]}
            if name == "b":
                update["items"] = state["items"]
            if name == "c":
                update["nested"] = state["nested"]
            if name == "d":
                update["round"] = turn + 1
            return update

        node.__name__ = name
        return node

    def wrong(self, api: Api) -> list[Any]:
        """The stored states that are not what the node that came next started from."""
        found = []
        for snapshot in api.history(self.graph, CONFIG):
            for name in snapshot.next:
                if name in NAMES and snapshot.values != self.starts[snapshot.values["round"], name]:
                    found.append((name, snapshot.values, self.starts[snapshot.values["round"], name]))
        return found


def fresh() -> Mutable:
    return {"items": [], "nested": {"deep": []}, "log": [], "round": 0}


class TrueStatesContract(DurabilityContract):
    """States of graphs that change them in place."""

    def test_what_is_stored_is_what_the_next_node_started_from(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        witness = Witness(saver, rounds=8)
        api.invoke(witness.graph, fresh(), CONFIG, durability=durability)
        assert witness.wrong(api) == []
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("crash", ["a", "c", "d"])
    def test_a_node_that_changed_its_state_and_failed_leaves_no_trace_in_it(
        self, api: Api, saver: WfStoreSaver, durability: str, crash: str
    ) -> None:
        witness = Witness(saver, rounds=3, crash_at=(1, crash))
        with pytest.raises(RuntimeError, match=f"crash in {crash}"):
            api.invoke(witness.graph, fresh(), CONFIG, durability=durability)
        api.invoke(witness.graph, None, CONFIG, durability=durability)
        values = api.get_state(witness.graph, CONFIG).values
        expected = [f"{name}{turn}" for turn in range(3) for name in NAMES]
        assert values["items"] == expected and values["log"] == expected
        assert [item["by"] for item in values["nested"]["deep"]] == list(NAMES) * 3
        assert witness.wrong(api) == []
        assert_sound(saver, THREAD)

    def test_side_by_side_changes_to_one_object_are_flagged(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def changes(state: Mutable) -> Mutable:
            state["items"].append("changed")
            return {"log": ["changes"]}

        def reads(state: Mutable) -> Mutable:
            return {"log": ["reads"]}

        builder = StateGraph(Mutable).add_node("changes", changes).add_node("reads", reads)
        for name in ("changes", "reads"):
            builder.add_edge(START, name).add_edge(name, END)
        api.invoke(builder.compile(checkpointer=saver), fresh(), CONFIG, durability=durability)
        flags = [flag for step in saver.store.thread(THREAD).steps() for flag in step.flags]
        assert flags and all("'items' was changed in place" in flag and "changes" in flag for flag in flags)

    def test_a_change_by_one_of_many_is_flagged_once_by_the_last_though_they_ran_one_after_the_other(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        def work(state: Mutable) -> Mutable:
            if state["round"] == 2:
                state["items"].append("changed")
            return {"log": [str(state["round"])]}

        def send(state: Mutable) -> list[Send]:
            return [Send("work", {"round": number, "items": state["items"]}) for number in range(5)]

        def plan(state: Mutable) -> Mutable:
            return {}

        builder = StateGraph(Mutable).add_node("plan", plan).add_node("work", work)
        builder.add_edge(START, "plan").add_conditional_edges("plan", send, ["work"])
        config: RunnableConfig = {**CONFIG, "max_concurrency": 1}
        api.invoke(builder.compile(checkpointer=saver), fresh(), config, durability=durability)
        steps = [step for step in saver.store.thread(THREAD).steps() if step.node == "work"]
        flagged = [step for step in steps if step.flags]
        assert len(steps) == 5 and len(flagged) == 1
        assert flagged[0] is max(steps, key=lambda step: step.ended or 0)
        assert any("'items' was changed" in flag for flag in flagged[0].flags)
