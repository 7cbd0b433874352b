"""The contract of comparing two branches, or checkpoints: base, states, steps, calls, and what it costs to find out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_wfstore.diff.comparing import applied
from langgraph_wfstore.diff.diff import ChannelChange, Diff, Side
from langgraph_wfstore.diff.values import ElementChange, Unreadable
from langgraph_wfstore.errors import DecodeError
from langgraph_wfstore.prices import PriceTable

from .api import Api
from .contract import Contract, DurabilityContract
from .contract_capture import PRICES, agent_graph, asked, of, search
from .contract_delta import Rare, delta_graph
from .contract_graphs import CONFIG
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain
from .sample_graphs import Log
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from langgraph_wfstore import WfStoreSaver


def nodes_of(side: Side) -> list[str]:
    """The names of a side's steps, without LangGraph's own."""
    return [step.node for step in side.steps if step.node != "__start__"]


def contents(changes: Sequence[ElementChange] | None) -> list[tuple[str, Any, Any]]:
    """The changes of a list of messages, by what these say."""
    assert changes is not None
    return [(c.kind, getattr(c.old, "content", None), getattr(c.new, "content", None)) for c in changes]


def change_of(side: Side, name: str) -> ChannelChange:
    return next(change for change in side.changes if change.name == name)


def statuses(diff: Diff) -> dict[str, str]:
    return {channel.name: channel.status for channel in diff.channels}


def put_after(api: Api, config: RunnableConfig, step: int, version: int, **values: Any) -> RunnableConfig:
    """Puts a checkpoint with these channels, all at this version."""
    return api.put(config, checkpoint_of(values, dict.fromkeys(values, version)), metadata_of(step))


def forked(api: Api, saver: WfStoreSaver, base: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> Diff:
    """Puts a base and two states that follow it, and compares these."""
    start = put_after(api, config_of(), 0, 1, **base)
    first, second = (id_of(put_after(api, start, 1, 2, **values)) for values in (a, b))
    found = of(saver).diff(first, second)
    assert found.base == id_of(start)
    return found


class DiffContract(DurabilityContract):
    """What is compared of graphs that ran, under each durability of the second branch."""

    def test_two_branches_of_an_agent(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        answers = [says("look", "m1", ("search", {"q": "x"}, "c1")), says("it is x", "m2")]
        answers += [says("look", "m3", ("search", {"q": "y"}, "c2")), says("it is y", "m4", tokens=(20, 7))]
        graph = agent_graph(saver, ScriptedModel(answers=answers), search)
        api.invoke(graph, asked(), CONFIG, durability="async")
        start = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",) and len(s.values["messages"]) == 1)
        question = HumanMessage("what is y?", id=start.values["messages"][0].id)
        api.invoke(graph, None, api.update_state(graph, start.config, {"messages": [question]}), durability=durability)
        found = of(saver).diff("main", "fork-1", pricer=PRICES)
        assert found.base == start.config["configurable"]["checkpoint_id"]
        assert nodes_of(found.a) == nodes_of(found.b) == ["agent", "tools", "agent"]
        assert [len(found.a.checkpoints), len(found.b.checkpoints)] == [3, 2 if durability == "exit" else 4]
        assert found.a.checkpoints[-1].checkpoint_id == found.a.checkpoint_id != found.b.checkpoint_id
        assert contents(change_of(found.a, "messages").elements) == [
            ("added", None, "look"),
            ("added", None, "found x"),
            ("added", None, "it is x"),
        ]
        assert contents(change_of(found.b, "messages").elements)[0] == ("changed", "what is x?", "what is y?")
        assert statuses(found) == {"messages": "both differently"}
        (pair,) = found.tool_calls
        assert pair.kind == "changed arguments" and pair.a is not None and pair.b is not None
        assert (pair.a.input, pair.b.input) == ({"q": "x"}, {"q": "y"})
        assert (found.a.cost.calls, found.a.cost.input, found.b.cost.input, found.b.cost.output) == (2, 20, 30, 12)
        assert found.a.cost.cost is not None and found.b.cost.cost is not None
        assert found.a.cost.cost < found.b.cost.cost and 0 < found.a.model_seconds <= found.a.seconds

    def test_a_superstep_that_ran_twice_belongs_to_each_branch_by_its_run(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        model = ScriptedModel(answers=[says(text, f"m{at}") for at, text in enumerate(("first", "second", "third"))])
        graph = agent_graph(saver, model)
        api.invoke(graph, asked(), CONFIG, durability="async")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",))
        for _ in range(2):
            api.invoke(graph, None, before.config, durability=durability)
        thread = of(saver)
        for a, b, outputs in (
            ("main", "fork-1", ["first", "second"]),
            ("fork-2", "main", ["third", "first"]),
            ("fork-1", "fork-2", ["second", "third"]),
        ):
            found = thread.diff(a, b)
            assert found.base == before.config["configurable"]["checkpoint_id"]
            sides = (found.a, found.b)
            assert [[s.output["messages"][0].content for s in side.steps] for side in sides] == [[o] for o in outputs]
            assert [[c.output.content for c in side.calls] for side in sides] == [[o] for o in outputs]

    def test_a_branch_that_begins_within_a_run(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        """The run's first supersteps came before the branches part: so many that the other run began nearer there."""
        looks = [says("look", f"m{at}", ("search", {"q": "x"}, f"c{at}")) for at in range(5)]
        model = ScriptedModel(answers=[*looks, says("it is x", "m6"), says("no, y", "m7")])
        graph = agent_graph(saver, model, search)
        api.invoke(graph, asked(), CONFIG, durability="async")
        late = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",) and len(s.values["messages"]) == 11)
        api.invoke(graph, None, late.config, durability=durability)
        found = of(saver).diff("main", "fork-1")
        assert [[c.output.content for c in side.calls] for side in (found.a, found.b)] == [["it is x"], ["no, y"]]
        assert nodes_of(found.a) == nodes_of(found.b) == ["agent"] and found.tool_calls == ()

    def test_a_failed_attempt_belongs_to_the_branch_that_it_was_made_on(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        model = ScriptedModel(answers=[says("first", "m1"), RuntimeError("no capacity"), says("second", "m2")])
        graph = agent_graph(saver, model)
        api.invoke(graph, asked(), CONFIG, durability="async")
        start = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",))
        changed = api.update_state(graph, start.config, {"messages": [HumanMessage("and y?")]})
        with pytest.raises(RuntimeError):
            api.invoke(graph, None, changed, durability=durability)
        api.invoke(graph, None, CONFIG, durability=durability)
        found = of(saver).diff("main", "fork-1")
        assert [step.status for step in found.a.steps] == ["ok"]
        assert [step.status for step in found.b.steps] == ["error", "ok"]

    def test_an_interrupt_at_the_end_of_a_branch(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        def ask(state: Log) -> Log:
            return {"log": [f"said {interrupt('sure?')}"]}

        builder = StateGraph(Log).add_node("ask", ask).add_node("go", lambda s: {"note": s["log"][-1]})
        graph = builder.add_edge(START, "ask").add_edge("ask", "go").compile(checkpointer=saver)
        api.invoke(graph, {"log": ["in"]}, CONFIG, durability=durability)
        paused = api.get_state(graph, CONFIG)
        api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
        api.invoke(graph, None, api.update_state(graph, paused.config, {"log": ["again"]}), durability=durability)
        found = of(saver).diff("main", "fork-1")
        assert [(step.node, step.status) for step in found.a.steps] == [("ask", "ok"), ("go", "ok")]
        assert [(step.node, step.status) for step in found.b.steps] == [("ask", "interrupted")]
        assert statuses(found) == {"log": "both differently", "note": "only a"}

    def test_the_steps_of_sub_graphs_count_with_the_step_that_they_run_in(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        model = ScriptedModel(answers=[says("first", "m1"), says("second", "m2")])
        inner = agent_graph(None, model)  # type: ignore[arg-type]  # it takes its parent's saver
        builder = StateGraph(MessagesState).add_node("outer", inner).add_edge(START, "outer")
        graph = builder.compile(checkpointer=saver)
        api.invoke(graph, asked(), CONFIG, durability="async")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("outer",))
        changed = api.update_state(graph, before.config, {"messages": [HumanMessage("more")]})
        api.invoke(graph, None, changed, durability=durability)
        found = of(saver).diff("main", "fork-1")
        assert nodes_of(found.a) == nodes_of(found.b) == ["outer", "agent"]
        assert [[c.output.content for c in side.calls] for side in (found.a, found.b)] == [["first"], ["second"]]


class DiffOfCallsContract(Contract):
    """Tool calls of two branches, matched."""

    def test_calls_are_matched_by_name_arguments_and_order(self, api: Api, saver: WfStoreSaver) -> None:
        told: Counter[str] = Counter()

        @tool
        def count(of: str) -> str:
            """Counts what is asked for."""
            told[of] += 1
            if of == "broken":
                raise ValueError(f"cannot count: {told[of]}")
            return str(told[of])

        first = (("search", {"q": "x"}, "c1"), ("count", {"of": "a"}, "c2"), ("search", {"q": "old"}, "c3"))
        second = (("search", {"q": "new"}, "d1"), ("count", {"of": "a"}, "d2"), ("search", {"q": "x"}, "d3"))
        more = (*second, ("search", {"q": "x"}, "d4"), ("count", {"of": "broken"}, "d5"))
        calls = [says("", "m1", *first, ("count", {"of": "broken"}, "c4")), says("done", "m2")]
        model = ScriptedModel(answers=[*calls, says("", "m3", *more), says("done", "m4")])
        graph = agent_graph(saver, model, search, count)
        api.invoke(graph, asked(), CONFIG, durability="sync")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",) and len(s.values["messages"]) == 1)
        api.invoke(graph, None, before.config, durability="sync")
        found = of(saver).diff("main", "fork-1")
        assert sorted((pair.kind, pair.name) for pair in found.tool_calls) == [
            ("changed arguments", "search"),
            ("changed result", "count"),
            ("changed result", "count"),
            ("only b", "search"),
            ("same", "search"),
        ]
        (same,) = (pair for pair in found.tool_calls if pair.kind == "same")
        assert same.a is not None and same.b is not None and same.a.input == same.b.input == {"q": "x"}
        assert same.b.tool_call_id == "d3"
        mirrored = of(saver).diff("fork-1", "main").tool_calls
        kinds = {"only a": "only b", "only b": "only a"}
        there = {(p.kind, p.a and p.a.call_id, p.b and p.b.call_id) for p in found.tool_calls}
        back = {(kinds.get(p.kind, p.kind), p.b and p.b.call_id, p.a and p.a.call_id) for p in mirrored}
        assert there == back and len(there) == len(found.tool_calls)

    def test_a_model_without_a_price_is_named(self, api: Api, saver: WfStoreSaver) -> None:
        graph = agent_graph(saver, ScriptedModel(answers=[says("first", "m1"), says("second", "m2")]))
        api.invoke(graph, asked(), CONFIG, durability="sync")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",))
        api.invoke(graph, None, before.config, durability="sync")
        found = of(saver).diff("main", "fork-1", pricer=PriceTable({}))
        assert found.b.cost.cost is None and found.b.cost.unpriced == ("scripted-1-answering (scripts)",)
        assert "known for scripted-1-answering (scripts)" in str(found)


class DiffOfStatesContract(Contract):
    """Channels of two states and of the base, by value, element and key."""

    def test_a_channel_on_both_sides(self, api: Api, saver: WfStoreSaver) -> None:
        base = {"same": 1, "a": 1, "b": 1, "alike": 1, "differently": 1, "gone": 1, "branch:to:x": None}
        a = {"same": 1, "a": 2, "b": 1, "alike": 2, "differently": 2, "come": 1, "branch:to:y": None}
        b = {"same": 1, "a": 1, "b": 2, "alike": 2, "differently": 3, "gone": 1}
        found = forked(api, saver, base, a, b)
        assert statuses(found) == {
            "a": "only a",
            "alike": "both alike",
            "b": "only b",
            "come": "only a",
            "differently": "both differently",
            "gone": "only a",
            "same": "same",
        }
        assert [(c.name, c.kind, c.old, c.new) for c in found.a.changes] == [
            ("a", "changed", 1, 2),
            ("alike", "changed", 1, 2),
            ("come", "added", None, 1),
            ("differently", "changed", 1, 2),
            ("gone", "removed", 1, None),
        ]
        between = found.channel("differently").between
        assert between is not None and (between.old, between.new) == (2, 3)
        assert found.channel("alike").between is None
        with pytest.raises(ValueError, match="no channel 'nothing' on either side; there are 'a', 'alike'"):
            found.channel("nothing")

    @pytest.mark.parametrize("size", [3, 40, 4000], ids=str)
    @pytest.mark.parametrize("kind", ["numbers", "short", "long", "messages", "mixed"])
    def test_the_elements_of_lists(self, api: Api, saver: WfStoreSaver, kind: str, size: int) -> None:
        if size > 1000 and kind in ("mixed", "short"):
            size = 400

        def element(at: int | str) -> Any:
            if kind == "numbers":
                return at if isinstance(at, int) else 10**6
            if kind == "messages":
                return AIMessage(f"says {at}", id=f"m{at}")
            long = kind == "long" or (kind == "mixed" and isinstance(at, int) and at % 3 == 0)
            return f"text {at}" * (20 if long else 8)

        old = [element(at) for at in range(size)]
        a = [*old[:1], element("put between"), *old[1:-1]]
        b = [*old, element("put at the end")]
        found = forked(api, saver, {"list": old}, {"list": a}, {"list": b})
        changes = change_of(found.a, "list").elements
        assert changes is not None
        assert [(c.kind, c.before, c.after) for c in changes] == [("removed", size - 1, None), ("added", None, 1)]
        assert (changes[0].old, changes[1].new) == (old[-1], element("put between"))
        (added,) = change_of(found.b, "list").elements or ()
        assert (added.kind, added.after, added.new) == ("added", size, element("put at the end"))
        between = found.channel("list").between
        assert between is not None and between.elements is not None
        assert applied(between.elements, a, lambda change: change.new) == b

    def test_a_list_that_begins_and_one_that_is_gone(self, api: Api, saver: WfStoreSaver) -> None:
        texts = [f"text {at}" * 20 for at in range(9)]
        found = forked(api, saver, {"old": texts}, {"new": texts}, {"old": texts, "empty": []})
        added, removed = change_of(found.a, "new").elements, change_of(found.a, "old").elements
        assert added is not None and [(c.kind, c.new) for c in added] == [("added", text) for text in texts]
        assert removed is not None and [(c.kind, c.old) for c in removed] == [("removed", text) for text in texts]
        assert change_of(found.b, "empty").elements == () and change_of(found.b, "empty").new == []

    def test_messages_belong_together_by_their_id(self, api: Api, saver: WfStoreSaver) -> None:
        old = [HumanMessage(f"says {at}", id=f"m{at}") for at in range(20)]
        edited = HumanMessage("says it otherwise", id="m7")
        a = [*old[:7], edited, *old[8:19]]
        b = [old[5], *old[:5], *old[6:]]
        found = forked(api, saver, {"messages": old}, {"messages": a}, {"messages": b})
        changes = change_of(found.a, "messages").elements
        assert contents(changes) == [("removed", "says 19", None), ("changed", "says 7", "says it otherwise")]
        assert changes is not None and (changes[1].before, changes[1].after, changes[1].id) == (7, 7, "m7")
        (moved,) = change_of(found.b, "messages").elements or ()
        assert (moved.kind, moved.before, moved.after) == ("moved", 5, 0)

    def test_the_keys_of_dicts(self, api: Api, saver: WfStoreSaver) -> None:
        texts = [f"text {at}" * 20 for at in range(9)]
        old = {"same": 1, "text": "old", "long": texts, "other": texts[::-1], "gone": 2.5}
        new = {"text": "new", "long": [*texts, "more"], "other": texts[::-1], "same": 1, "come": {"in": 1}}
        base = {"facts": old, "few": {"a": 1}}
        found = forked(api, saver, base, {"facts": new}, {"facts": old, "few": {}})
        keys = change_of(found.a, "facts").keys
        assert keys is not None and [(c.kind, c.key, c.old, c.new) for c in keys] == [
            ("changed", "text", "old", "new"),
            ("changed", "long", texts, [*texts, "more"]),
            ("removed", "gone", 2.5, None),
            ("added", "come", None, {"in": 1}),
        ]
        assert [(c.kind, c.key) for c in change_of(found.b, "few").keys or ()] == [("removed", "a")]
        assert change_of(found.a, "facts").elements is None and change_of(found.b, "few").elements is None

    def test_a_value_that_cannot_be_decoded_is_shown_as_such(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = [f"text {at}" * 20 for at in range(9)]
        base = {"a": 1, "l": texts}
        found = forked(api, saver, base, {"a": 2, "l": [*texts, "x" * 99]}, base)

        def broken(*_: Any) -> Any:
            raise DecodeError("it is broken")

        monkeypatch.setattr(type(saver.store.codec), "decode", broken)
        assert change_of(found.a, "a").new == Unreadable("it is broken")
        assert "<unreadable: it is broken>" in str(found)
        (added,) = change_of(found.a, "l").elements or ()
        assert added.new == Unreadable("it is broken")
        (plain, _) = json.loads(json.dumps(found.as_dict()))["a"]["changes"]
        assert plain["new"] == {"wfstore.unreadable": "it is broken"}

    def test_a_delta_channel_is_named_and_not_guessed(self, api: Api, saver: WfStoreSaver) -> None:
        graph = delta_graph(saver, Rare)
        api.invoke(graph, {"log": ["in"]}, CONFIG, durability="sync")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("second",))
        api.invoke(graph, None, api.update_state(graph, before.config, {"count": 9}), durability="sync")
        found = saver.store.thread("t").diff("main", "fork-1")
        assert statuses(found) == {"count": "only b", "log": "unknown"}
        assert "delta channel" in change_of(found.a, "log").new.reason and "unknown: log" in str(found)

    def test_a_delta_channel_that_one_side_did_not_touch_is_as_before(self, api: Api, saver: WfStoreSaver) -> None:
        def put(config: RunnableConfig, version: int, n: int) -> RunnableConfig:
            metadata = metadata_of(0)
            metadata["counters_since_delta_snapshot"] = {"log": (1, 1)}
            return api.put(config, checkpoint_of({"n": n}, {"n": n, "log": version}), metadata)

        start = put(config_of(), 1, 1)
        a, b = put(start, 2, 1), put(start, 1, 2)
        assert statuses(saver.store.thread("t").diff(id_of(a), id_of(b))) == {"log": "only a", "n": "only b"}

    def test_names_that_a_terminal_does_not_take_are_printed_escaped(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 2)
        thread = saver.store.thread(THREAD)
        for name in ("\ud800", "\x1b[31m"):
            thread.create_branch(name, at=id_of(stored[0]))
            said = str(thread.diff("main", name))
            assert said.encode() and "\x1b" not in said and repr(name)[1:-1] in said
