"""The contract of redaction: what is chosen is gone everywhere, what is not is what it was, and the chain verifies."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from langgraph_wfstore import CallNotFoundError, Redacted, ThreadNotFoundError
from langgraph_wfstore.redacted import TEXT, is_redacted
from langgraph_wfstore.redaction.parts import parts

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .contract_capture import agent_graph, search
from .contract_delta import Rare, delta_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, checkpoint_of, config_of, metadata_of
from .sample_graphs import Log, chat_graph, says_human
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langgraph_wfstore import WfStore, WfStoreSaver

SECRET = "the card 4111 1111 1111 1111"


def everything(store: WfStore) -> bytes:
    """The bytes of all objects and records that the store holds."""
    found = b""
    for tail in store.backend.threads(0, 1000):
        found += b"".join(row.body for row in store.backend.records(tail.row.number or 0, 0, 100_000))
        found += b"".join(row.data for row in store.backend.all_objects(tail.row.lineage or 0))
    return found


def holds(store: WfStore, text: str) -> bool:
    return text.encode() in everything(store)


def put_values(api: Api, *states: dict[str, Any], thread_id: str = THREAD) -> list[Any]:
    """A chain of checkpoints with these values, each with the writes of its own channels; gives their configs."""
    stored: list[Any] = []
    for number, values in enumerate(states):
        config = stored[-1] if stored else config_of(thread_id)
        checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
        stored.append(api.put(config, checkpoint, metadata_of(number)))
        api.put_writes(stored[-1], [*values.items()], f"task {number}")
    return stored


def values_of(api: Api, config: Any) -> dict[str, Any]:
    values: dict[str, Any] = api.read(config).checkpoint["channel_values"]
    return values


def long_message(number: int) -> dict[str, Any]:
    """The input of a chat that no other message shares an object with."""
    return {"messages": [HumanMessage(f"message {number} " + "x" * 60, id=f"h{number}")]}


def contents(messages: list[BaseMessage]) -> list[Any]:
    return [message.content for message in messages]


class RedactionContract(Contract):
    """What redaction removes, what it leaves, and what is read afterwards."""

    # what goes

    def test_a_channel_is_gone_with_every_value_it_had(self, api: Api, saver: WfStoreSaver) -> None:
        states = [{"secret": f"{SECRET} {n}", "kept": f"kept {n}"} for n in range(3)]
        stored = put_values(api, *states)
        head = saver.store.thread(THREAD).head
        report = saver.store.thread(THREAD).redact(channels=["secret"], reason="asked for")
        assert not holds(saver.store, SECRET)
        for number, config in enumerate(stored):
            found = values_of(api, config)
            assert found["kept"] == f"kept {number}"
            assert isinstance(found["secret"], Redacted) and found["secret"].type == "builtins.str"
            written = {channel: value for _, channel, value in api.read(config).pending_writes or ()}
            assert written == {**found}
        assert (report.objects, report.records, report.threads) == (3, 6, (THREAD,))
        assert report.bytes > 3 * len(SECRET)
        verified = saver.store.thread(THREAD).verify(expect_head=head)
        assert verified.ok and verified.redacted == 3, verified

    def test_channels_go_in_every_namespace(self, api: Api, saver: WfStoreSaver) -> None:
        nested_graph(saver).invoke({"log": ["in"]}, config_of())
        saver.store.thread(THREAD).redact(channels=["log"])
        for found in api.list(config_of(ns=None)):
            for item in found.checkpoint["channel_values"].get("log", ()):
                assert is_redacted(item)
        assert_sound(saver, THREAD)

    def test_the_shortest_messages_go_one_by_one(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        api.invoke(graph, {"messages": [HumanMessage("a", id="h")]}, config_of())
        saver.store.thread(THREAD).redact(messages=["re-h"])
        for found in api.list(config_of()):
            said = found.checkpoint["channel_values"].get("messages", ())
            assert [(item.id, item.content) for item in said] == [("h", "a"), ("re-h", TEXT)][: len(said)]
        assert not holds(saver.store, "re: a")

    def test_elements_packs_runs_and_dicts_go(self, api: Api, saver: WfStoreSaver) -> None:
        def state(number: int) -> dict[str, Any]:
            return {
                "elements": [f"{SECRET} {n} " + "x" * 80 for n in range(20 + number)],
                "packs": [{"k": f"{SECRET} {n}"} for n in range(30 + number)],
                "run": [*range(900 + number)],
                "map": {"list": [f"{SECRET} in a list {n} " + "y" * 60 for n in range(20)], "n": SECRET},
                "dict": {"a": [SECRET]},
                "kept": [f"kept {n} " + "z" * 80 for n in range(20 + number)],
            }

        stored = put_values(api, state(0), state(1))
        saver.store.thread(THREAD).redact(channels=["elements", "packs", "run", "map", "dict"])
        assert not holds(saver.store, SECRET)
        for number, config in enumerate(stored):
            found = values_of(api, config)
            assert found.pop("kept") == state(number)["kept"]
            assert len(found["elements"]) == 20 + number and all(map(is_redacted, found["elements"]))
            assert all(map(is_redacted, found["packs"])) and all(map(is_redacted, found["run"]))
            assert is_redacted(found["map"]) and is_redacted(found["dict"])
        assert_sound(saver, THREAD)

    def test_a_message_goes_wherever_it_stands(self, api: Api, saver: WfStoreSaver) -> None:
        model = ScriptedModel(answers=[says("I keep it", "a1"), lambda seen: AIMessage(f"seen {len(seen)}")])
        graph = agent_graph(saver, model)
        api.invoke(graph, {"messages": [("user", SECRET)]}, config_of())
        api.invoke(graph, {"messages": [HumanMessage("and now?", id="h2")]}, config_of())
        first = api.get_state(graph, config_of()).values["messages"][0]
        assert holds(saver.store, SECRET)
        report = saver.store.thread(THREAD).redact(messages=[first.id])
        assert not holds(saver.store, SECRET), report
        thread = saver.store.thread(THREAD)
        assert SECRET not in repr([(run.input, run.description) for run in thread.runs()])
        assert SECRET not in repr([(step.input, step.output) for step in thread.steps()])
        assert SECRET not in repr([(call.input, call.output) for call in thread.calls()])
        found = api.get_state(graph, config_of()).values["messages"]
        assert [type(item) for item in found] == [HumanMessage, AIMessage] * 2
        assert contents(found) == [TEXT, "I keep it", "and now?", "seen 3"] and found[0].id == first.id
        assert_sound(saver, THREAD)

    def test_every_version_of_a_message_goes_and_its_neighbours_stay(self, api: Api, saver: WfStoreSaver) -> None:
        def state(text: str) -> dict[str, Any]:
            return {"messages": [HumanMessage("x" * 100, id="a"), AIMessage(text + "y" * 100, id="b")], "n": text}

        stored = put_values(api, state(f"{SECRET} 1"), state(f"{SECRET} 2"))
        saver.store.thread(THREAD).redact(messages=["b"])
        for number, config in enumerate(stored, 1):
            found = values_of(api, config)
            assert contents(found["messages"]) == ["x" * 100, TEXT]
            assert (found["messages"][1].id, found["n"]) == ("b", f"{SECRET} {number}")  # another value's text stays
        assert_sound(saver, THREAD)

    def test_copies_of_a_message_without_an_id_go_and_other_messages_that_say_the_same_stay(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        state = {
            "messages": [HumanMessage(SECRET, id="a"), HumanMessage(SECRET, id="b")],
            "__start__": {"messages": SECRET},
            "pair": ("user", SECRET),
            "as dict": {"role": "user", "content": SECRET},
            "without id": HumanMessage(SECRET),
            "elsewhere": SECRET,
        }
        found = values_of(api, put_values(api, state)[0])
        assert found == state
        saver.store.thread(THREAD).redact(messages=["a"])
        found = values_of(api, config_of())
        assert contents(found["messages"]) == [TEXT, SECRET] or contents(found["messages"]) == [TEXT, TEXT]  # one pack
        assert all(is_redacted(found[name]) for name in ("as dict", "without id"))
        assert found["__start__"] == {"messages": Redacted(found["__start__"]["messages"].id, "builtins.str")}
        assert found["pair"] == (Redacted(found["pair"][0].id, "builtins.tuple"),)
        assert found["elsewhere"] == SECRET

    def test_a_hash_of_a_message_that_was_too_large_to_be_recorded_goes(self, api: Api, saver: WfStoreSaver) -> None:
        message = HumanMessage(f"{SECRET} " + "x" * 90, id="a")
        key = hashlib.sha256(saver.store.codec.element(message).data).hexdigest()
        put_values(api, {"messages": [message] * 3, "seen": {"wfstore.truncated": {"why": "too large", "sha256": key}}})
        assert holds(saver.store, key)
        saver.store.thread(THREAD).redact(messages=["a"])
        assert not holds(saver.store, key)
        assert_sound(saver, THREAD)

    def test_a_text_that_became_a_message_goes_where_it_was_given_as_text(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_values(api, {"messages": [HumanMessage(SECRET, id="a")], "elsewhere": f"{SECRET}!"})[0]
        writes = [("messages", SECRET), ("messages", [SECRET]), ("elsewhere", [f"{SECRET}?"])]
        api.put_writes(stored, writes, "input")
        saver.store.thread(THREAD).redact(messages=["a"])
        written = {(channel, type(value)) for _, channel, value in api.read(stored).pending_writes or ()}
        assert written == {("messages", Redacted), ("messages", list), ("elsewhere", list), ("elsewhere", str)}
        assert values_of(api, stored)["elsewhere"] == f"{SECRET}!"
        assert "card" not in repr([v for _, name, v in api.read(stored).pending_writes or () if name == "messages"])
        assert_sound(saver, THREAD)

    def test_what_runs_and_steps_were_given_and_gave_for_a_channel_goes(self, api: Api, saver: WfStoreSaver) -> None:
        def repeats(state: Log) -> Log:
            return {"log": [f"again {SECRET}"], "note": "a note"}

        builder = StateGraph(Log).add_node("repeats", repeats).add_edge(START, "repeats")
        api.invoke(builder.compile(saver), {"log": [SECRET], "note": "kept"}, config_of())
        api.invoke(builder.compile(saver), {"log": [f"{n} {SECRET} " + "x" * 90 for n in range(9)]}, config_of())
        saver.store.thread(THREAD).redact(channels=["log"])
        assert not holds(saver.store, SECRET)
        assert api.read(config_of()).checkpoint["channel_values"]["note"] == "a note"
        assert_sound(saver, THREAD)

    def test_nothing_of_it_is_held_in_memory(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        for number in range(20):
            api.invoke(graph, {"messages": [HumanMessage(f"{SECRET} {number}" + "x" * 60)]}, config_of())
            api.get_state(graph, config_of())

        def held() -> list[str]:
            found = (part.decode("latin-1") if isinstance(part, bytes) else part for part in parts(saver.store))
            return [part for part in found if isinstance(part, str) and SECRET in part]

        assert held()
        secret = saver.store.views.tail(THREAD).row.secret
        saver.store.thread(THREAD).redact(channels=["messages"])
        assert not held()
        assert not [part for part in parts(saver.store) if part == secret]

    def test_where_sees_every_value_and_what_is_in_it(self, api: Api, saver: WfStoreSaver) -> None:
        state = {
            "text": SECRET,
            "deep": {"a": [{"b": (SECRET,)}]},
            "message": HumanMessage([{"type": "text", "text": SECRET}], id="m"),
            "sent": Command(update={"x": {SECRET: 1}}),
            "run": [*("short " + str(n) for n in range(300)), SECRET[:28]],
            "kept": "another text",
        }
        put_values(api, state)
        saver.store.thread(THREAD).redact(where=lambda value: isinstance(value, str) and SECRET[:20] in value)
        assert not holds(saver.store, SECRET[:20])
        found = values_of(api, config_of())
        assert found.pop("kept") == "another text"
        assert found["message"].content == TEXT and found["message"].id == "m"
        assert all(map(is_redacted, [found["text"], found["deep"], found["sent"], *found["run"]]))
        assert_sound(saver, THREAD)

    def test_an_error_in_where_changes_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        put_values(api, {"a": SECRET})
        before = everything(saver.store)
        with pytest.raises(ZeroDivisionError):
            saver.store.thread(THREAD).redact(where=lambda value: 1 // 0)
        assert everything(saver.store) == before and values_of(api, config_of()) == {"a": SECRET}

    def test_metadata_that_go_are_made_up_for_by_the_record(self, api: Api, saver: WfStoreSaver) -> None:
        graph = delta_graph(saver, Rare)
        for number in range(4):
            config: Any = {**config_of(), "metadata": {"note": SECRET, "run_id": f"run {number}"}}
            api.invoke(graph, {"log": [f"in {number}"]}, config)
        before = api.list(config_of())
        state = api.get_state(graph, config_of()).values
        saver.store.thread(THREAD).redact(where=lambda value: value == SECRET)
        assert not holds(saver.store, SECRET)
        after = api.list(config_of())
        kept = {"source", "step", "parents", "run_id", "counters_since_delta_snapshot"}
        for old, new in zip(before, after, strict=True):
            assert {**new.metadata} == {name: value for name, value in old.metadata.items() if name in kept}
        saver.prune([THREAD])
        assert api.get_state(graph, config_of()).values == state
        api.invoke(graph, {"log": ["again"]}, config_of())
        assert_sound(saver, THREAD)

    def test_a_call_goes_with_what_it_was_given_and_gave(self, api: Api, saver: WfStoreSaver) -> None:
        model = ScriptedModel(answers=[says("", "a1", ("search", {"q": SECRET}, "c1")), says("all done", "a2")])
        graph = agent_graph(saver, model, search)
        api.invoke(graph, {"messages": [("user", "look it up")]}, config_of())
        thread = saver.store.thread(THREAD)
        (call,) = thread.calls(kind="tool")
        thread.redact(calls=[call.call_id])
        assert not holds(saver.store, SECRET)
        found = api.get_state(graph, config_of()).values["messages"]
        assert contents(found) == ["look it up", TEXT, TEXT, "all done"]
        assert isinstance(found[2], ToolMessage)
        assert [asked["id"] for asked in found[1].tool_calls] == [found[2].tool_call_id]
        assert_sound(saver, THREAD)
        assert [link.kind for link in thread.why().root.walk() if link.kind == "call"]
        assert thread.cost(by="run", pricer=_Free()).total.calls == 2

    def test_an_object_that_is_stored_twice_goes_twice(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        first = api.put(config_of(), checkpoint_of({"a": SECRET}))
        saver.store.views.forget(saver.store.views.of(THREAD))
        api.on(reopen()).put(first, checkpoint_of({"b": SECRET}))
        assert len([row for row in saver.store.backend.all_objects(1) if SECRET.encode() in row.data]) == 2
        saver.store.thread(THREAD).redact(channels=["a"])
        assert not holds(saver.store, SECRET)
        assert_sound(saver, THREAD)

    def test_lists_of_numbers_that_share_a_piece_go_together(self, api: Api, saver: WfStoreSaver) -> None:
        def numbers(start: int, blocks: int) -> list[int]:
            """A list that is cut behind each 1, 2, 3."""
            return [
                n for block in range(blocks) for n in (*range(start + 100 * block, start + 100 * block + 100), 1, 2, 3)
            ]

        put_values(api, {"a": numbers(1000, 9), "b": numbers(1000, 12), "c": numbers(5000, 9)})
        saver.store.thread(THREAD).redact(channels=["a"])
        found = values_of(api, config_of())
        assert [type(item) for item in found["b"]] == [Redacted] and found["c"] == numbers(5000, 9)
        pieces = [row for row in saver.store.backend.all_objects(1) if row.tag.startswith("chunk/")]
        assert sum(len(row.data) for row in pieces) == 3 * 900 + 3 * 9 + 3  # those of "c", and how many they are
        assert_sound(saver, THREAD)

    # what stays

    def test_copies_lose_it_too_and_other_threads_do_not(self, api: Api, saver: WfStoreSaver) -> None:
        for thread_id in (THREAD, "other"):
            put_values(api, {"a": SECRET}, thread_id=thread_id)
        api.copy_thread(THREAD, "copy")
        report = saver.store.thread("copy").redact(channels=["a"])
        assert report.threads == (THREAD, "copy") and report.records == 4
        assert is_redacted(values_of(api, config_of())["a"]) and is_redacted(values_of(api, config_of("copy"))["a"])
        assert values_of(api, config_of("other")) == {"a": SECRET}
        assert_sound(saver, THREAD, "copy", "other")
        api.copy_thread("copy", "copy of the copy")
        assert_sound(saver, "copy of the copy")
        assert saver.store.thread("copy of the copy").verify().redacted == 1

    def test_a_dry_run_changes_nothing_and_says_the_same(self, api: Api, saver: WfStoreSaver) -> None:
        put_values(api, {"a": SECRET, "b": "kept"})
        before = everything(saver.store)
        dry = saver.store.thread(THREAD).redact(channels=["a"], dry_run=True)
        assert everything(saver.store) == before and values_of(api, config_of())["a"] == SECRET
        done = saver.store.thread(THREAD).redact(channels=["a"])
        assert (dry.dry_run, done.dry_run) == (True, False)
        assert (dry.objects, dry.bytes, dry.records) == (done.objects, done.bytes, done.records)
        assert str(dry).startswith("would redact 1 object, ") and str(done).startswith("redacted 1 object, ")

    def test_what_is_not_there_is_named_and_nothing_is_recorded(self, api: Api, saver: WfStoreSaver) -> None:
        put_values(api, {"a": SECRET})
        head = saver.store.thread(THREAD).head
        report = saver.store.thread(THREAD).redact(channels=["b"], messages=["m"])
        assert (report.objects, report.missed, saver.store.thread(THREAD).head) == (0, ("b", "m"), head)
        with pytest.raises(CallNotFoundError, match="no-such-call"):
            saver.store.thread(THREAD).redact(calls=["no-such-call"])
        with pytest.raises(ThreadNotFoundError):
            saver.store.thread("no such thread").redact(channels=["a"])
        with pytest.raises(ValueError, match="nothing to redact"):
            saver.store.thread(THREAD).redact(reason="nothing")
        with pytest.raises(TypeError, match="names of channels are str, not int"):
            saver.store.thread(THREAD).redact(channels=[5])  # type: ignore[list-item]  # what this is about
        with pytest.raises(TypeError, match="ids of messages are str, not NoneType"):
            saver.store.thread(THREAD).redact(messages=[None])  # type: ignore[list-item]  # what this is about
        with pytest.raises(TypeError, match="list"):
            saver.store.thread(THREAD).redact(channels="a")
        assert values_of(api, config_of()) == {"a": SECRET}

    def test_redacting_again_finds_nothing_left(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        for number in range(3):
            api.invoke(graph, says_human(number), config_of())
        assert saver.store.thread(THREAD).redact(messages=["h1"]).objects > 0
        api.invoke(graph, says_human(3), config_of())  # which puts the message back as it is read now
        assert saver.store.thread(THREAD).redact(messages=["h1"]).objects == 0


class _Free:
    """Prices everything at nothing."""

    def price(self, usage: Any, model: Any, provider: Any, at: Any) -> Any:
        return None
