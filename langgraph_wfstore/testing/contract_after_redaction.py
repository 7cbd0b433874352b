"""The contract of what goes on after a redaction: graphs, other processes, later removals, the chain."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from langgraph_wfstore import Lineage
from langgraph_wfstore.redacted import TEXT, is_redacted

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .contract_capture import agent_graph
from .contract_delta import Rare, delta_graph
from .contract_interrupts import asking_graph
from .contract_redaction import SECRET, contents, holds, long_message, put_values, values_of
from .material import THREAD, checkpoint_of, config_of, metadata_of
from .sample_graphs import chat_graph, line_graph
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class AfterRedactionContract(Contract):
    """What a thread is good for once content of it was redacted."""

    # going on

    def test_a_graph_goes_on_after_a_redaction(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        graph = chat_graph(saver)
        for number in range(3):
            api.invoke(graph, long_message(number), config_of())
        saver.store.thread(THREAD).redact(messages=["h1", "re-h1"])
        for each in (api, api.on(reopen())):
            other = chat_graph(each.saver)
            number = len(each.get_state(other, config_of()).values["messages"]) // 2
            each.invoke(other, long_message(number), config_of())
            found = each.get_state(other, config_of()).values["messages"]
            assert [item.id for item in found] == [f"{who}{n}" for n in range(number + 1) for who in ("h", "re-h")]
            assert [is_redacted(item) for item in found] == [n in (2, 3) for n in range(2 * number + 2)]
            assert_sound(saver, THREAD)

    def test_what_other_processes_hold_is_forgotten(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        other = api.on(reopen())
        put_values(api, {"a": SECRET})
        assert values_of(other, config_of()) == {"a": SECRET}
        other.put_writes(api.read(config_of()).config, [("b", SECRET)], "task of the other")
        saver.store.thread(THREAD).redact(where=lambda value: value == SECRET)
        assert is_redacted(values_of(other, config_of())["a"])
        assert all(is_redacted(value) for _, _, value in other.read(config_of()).pending_writes or ())
        other.put(other.read(config_of()).config, checkpoint_of({"a": "new"}))
        assert values_of(api, config_of()) == {"a": "new"}
        assert_sound(saver, THREAD)

    def test_the_same_content_can_be_put_again_and_has_another_id(self, api: Api, saver: WfStoreSaver) -> None:
        text = SECRET * 100
        stored = put_values(api, {"large": text, "small": SECRET})
        ids = {row.id for row in saver.store.backend.all_objects(1)}
        saver.store.thread(THREAD).redact(channels=["large", "small"])
        api.put(stored[-1], checkpoint_of({"large": text, "small": SECRET}))
        assert values_of(api, config_of()) == {"large": text, "small": SECRET}
        assert is_redacted(values_of(api, stored[0])["large"])
        new = [row for row in saver.store.backend.all_objects(1) if SECRET.encode() in row.data]
        assert len(new) == 2 and ids.isdisjoint(row.id for row in new)
        assert_sound(saver, THREAD)

    def test_what_stays_is_still_stored_once(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        kept = [f"kept {n} " + "x" * 100 for n in range(50)]
        put_values(api, {"kept": kept, "a": SECRET})
        saver.store.thread(THREAD).redact(channels=["a"])
        for each in (api, api.on(reopen())):
            found = each.read(config_of())
            before = saver.store.stats()["objects"]
            more = [*found.checkpoint["channel_values"]["kept"], f"one more of {before} " + "y" * 100]
            each.put(found.config, checkpoint_of({"kept": more}, {"kept": before}))
            assert saver.store.stats()["objects"] <= before + 2  # the new element and the metadata
            assert values_of(api, config_of()) == {"kept": more}
        assert_sound(saver, THREAD)

    def test_an_unchanged_channel_keeps_its_reference_to_what_was_redacted(self, api: Api, saver: WfStoreSaver) -> None:
        first = put_values(api, {"a": SECRET, "b": 1})[0]
        saver.store.thread(THREAD).redact(channels=["a"])
        found = values_of(api, first)
        api.put(first, checkpoint_of({**found, "b": 2}, {"a": 1, "b": 2}), metadata_of(1), {"b": 2})
        assert values_of(api, config_of()) == {**found, "b": 2}
        assert_sound(saver, THREAD)

    def test_a_placeholder_can_be_put_back_and_is_read_as_it_is(self, api: Api, saver: WfStoreSaver) -> None:
        first = put_values(api, {"a": SECRET, "list": [f"{SECRET} {n}" + "x" * 90 for n in range(9)]})[0]
        saver.store.thread(THREAD).redact(channels=["a", "list"])
        found = values_of(api, first)
        again = {**found, "inside": {"deep": [found["a"], (found["a"],)]}}
        api.put(first, checkpoint_of(again, dict.fromkeys(again, 2)))
        assert values_of(api, config_of()) == again
        assert saver.store.thread(THREAD).verify().ok

    def test_an_interrupt_whose_question_was_redacted_can_be_answered(self, api: Api, saver: WfStoreSaver) -> None:
        graph = asking_graph(saver, SECRET)
        api.invoke(graph, {"log": ["in"]}, config_of())
        (asked,) = api.get_state(graph, config_of()).interrupts
        saver.store.thread(THREAD).redact(where=lambda value: value == SECRET)
        (found,) = api.get_state(graph, config_of()).interrupts
        assert (found.id, found.value) == (asked.id, TEXT)
        api.invoke(graph, Command(resume="yes"), config_of())
        assert api.get_state(graph, config_of()).next == ()
        assert_sound(saver, THREAD)

    def test_a_redaction_beside_a_run_harms_neither(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        graph = chat_graph(saver)
        api.invoke(graph, long_message(0), config_of())
        other = reopen()
        failures: list[BaseException] = []

        def goes_on() -> None:
            try:
                for number in range(1, 8):
                    chat_graph(other).invoke(long_message(number), config_of())
            except BaseException as error:  # noqa: BLE001 - looked at below
                failures.append(error)

        runner = threading.Thread(target=goes_on)
        runner.start()
        for number in range(4):
            saver.store.thread(THREAD).redact(messages=[f"re-h{number}"])
        runner.join()
        assert not failures
        saver.store.thread(THREAD).redact(where=lambda value: isinstance(value, str) and "re: message" in value)
        assert not holds(saver.store, "re: message")
        found = api.get_state(graph, config_of()).values["messages"]
        assert [item.id for item in found] == [f"{who}{n}" for n in range(8) for who in ("h", "re-h")]
        assert contents(found)[1::2] == [TEXT] * 8 and TEXT not in contents(found)[::2]
        assert_sound(saver, THREAD)

    # the chain

    def test_a_redaction_is_restated_by_what_removes_more(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a", "b")
        for number in range(4):
            config: Any = {**config_of(), "metadata": {"run_id": f"run {number}"}}
            api.invoke(graph, {"log": [f"{SECRET} {number}"], "note": SECRET}, config)
        api.copy_thread(THREAD, "copy")
        saver.store.thread(THREAD).redact(channels=["note"])
        before = {name: saver.store.thread(name).verify().redacted for name in (THREAD, "copy")}
        assert before[THREAD] == before["copy"] > 0
        api.delete_for_runs(["run 1"])
        assert_sound(saver, THREAD, "copy")
        saver.store.thread("copy").redact(channels=["log"])
        api.prune([THREAD])
        assert_sound(saver, THREAD, "copy")
        api.invoke(graph, {"log": ["after"]}, config_of("copy"))
        api.prune(["copy"])
        assert_sound(saver, THREAD, "copy")
        api.delete_thread("copy")
        assert_sound(saver, THREAD)
        assert saver.store.thread(THREAD).verify().redacted > 0

    def test_hidden_writes_of_a_delta_channel_can_be_redacted(self, api: Api, saver: WfStoreSaver) -> None:
        graph = delta_graph(saver, Rare)
        for number in range(3):
            api.invoke(graph, {"log": [f"{SECRET} {number}"]}, config_of())
        api.copy_thread(THREAD, "copy")
        api.prune([THREAD])
        saver.store.thread(THREAD).redact(where=lambda value: isinstance(value, str) and SECRET in value)
        assert not holds(saver.store, SECRET)
        for name in (THREAD, "copy"):
            log = api.get_state(graph, config_of(name)).values["log"]
            assert any(map(is_redacted, log))
            api.invoke(graph, {"log": ["more"]}, config_of(name))
            assert_sound(saver, name)
        api.delete_thread("copy")
        assert_sound(saver, THREAD)

    def test_a_thread_restates_what_only_another_one_needed(self, api: Api, saver: WfStoreSaver) -> None:
        counters: dict[str, Any] = {"counters_since_delta_snapshot": {"log": (1, 1)}}
        first = api.put(config_of(), checkpoint_of({"log": ["snapshot"], "a": SECRET}))
        api.put(first, checkpoint_of({"b": 1}, {"b": 1, "log": 2}), metadata_of(1, **counters))
        api.copy_thread(THREAD, "copy")
        api.prune([THREAD])  # the first checkpoint is hidden: the delta channel is rebuilt from it
        saver.store.thread(THREAD).redact(channels=["a"])
        assert [saver.store.thread(name).verify().redacted for name in (THREAD, "copy")] == [1, 1]
        api.delete_thread("copy")
        report = saver.store.thread(THREAD).verify()
        assert (report.problems, report.redacted) == ((), 0)

    def test_verify_prints_what_was_redacted(self, api: Api, saver: WfStoreSaver) -> None:
        put_values(api, {"a": SECRET})
        assert "redacted" not in str(saver.store.thread(THREAD).verify())
        saver.store.thread(THREAD).redact(channels=["a"])
        assert "1 value redacted" in str(saver.store.thread(THREAD).verify())

    def test_why_still_knows_what_came_from_where(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        model = ScriptedModel(answers=[says(f"the {n} answer " + "x" * 90, n) for n in ("first", "second", "third")])
        graph = agent_graph(saver, model)
        for number in range(3):
            asked = [HumanMessage(f"{SECRET} {number} {n} " + "x" * 90, id=f"h{number}-{n}") for n in range(3)]
            api.invoke(graph, {"messages": asked}, config_of())
        thread = saver.store.thread(THREAD)
        before = _lines(thread.why())
        thread.redact(messages=["h0-1", "h2-0"])
        assert _lines(thread.why()) == before
        last = api.get_state(graph, config_of()).values["messages"][-1]
        thread.redact(messages=[last.id])
        assert _lines(thread.why()) == before
        assert _lines(reopen().store.thread(THREAD).why()) == before

    def test_a_graph_of_messages_whose_input_is_redacted_goes_on(self, api: Api, saver: WfStoreSaver) -> None:
        def bot(state: MessagesState) -> dict[str, Any]:
            return {"messages": [AIMessage(f"seen {len(state['messages'])}")]}

        graph = StateGraph(MessagesState).add_node("bot", bot).add_edge(START, "bot").compile(saver)
        api.invoke(graph, {"messages": [("user", SECRET)]}, config_of())
        saver.store.thread(THREAD).redact(channels=["messages"])
        assert not holds(saver.store, SECRET)
        api.invoke(graph, {"messages": [("user", "next")]}, config_of())
        found = api.get_state(graph, config_of()).values["messages"]
        assert contents(found) == [TEXT, TEXT, "next", "seen 3"]
        assert_sound(saver, THREAD)


def _lines(lineage: Lineage) -> list[tuple[str, str | None]]:
    """What a lineage says, without the texts."""
    return [(link.label, link.id) for link in lineage.root.walk()]
