"""Redaction beside the contract: serializers of one's own, classes that are gone, quotes in errors, what cannot be."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import serde_samples as samples
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_wfstore import BackendUnavailableError, Redacted, WfStore, WfStoreError, WfStoreSaver
from langgraph_wfstore.backends.memory import MemoryBackend
from langgraph_wfstore.redacted import TEXT
from langgraph_wfstore.serde import WfSerializer
from langgraph_wfstore.serde.masked import value_for
from langgraph_wfstore.values.masks import mask_of, read_mask, write_mask

CONFIG: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
SECRET = "the card 4111 1111 1111 1111"


def put(saver: WfStoreSaver, values: dict[str, Any], config: Any = CONFIG) -> Any:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = values, dict.fromkeys(values, 1)
    return saver.put(config, checkpoint, {"source": "loop", "step": 0}, dict.fromkeys(values, 1))


def values(saver: WfStoreSaver) -> dict[str, Any]:
    found = saver.get_tuple(CONFIG)
    assert found is not None
    return found.checkpoint["channel_values"]


def test_with_a_serializer_of_ones_own(tmp_path):
    with WfStoreSaver(tmp_path / "agent.db", serde=JsonPlusSerializer()) as saver:
        state = {"text": SECRET, "messages": [HumanMessage(SECRET, id="a")], "kept": [HumanMessage("kept", id="b")]}
        first = put(saver, state)
        saver.store.thread("t").redact(channels=["text"], messages=["a"])
        found = values(saver)
        assert isinstance(found["text"], Redacted) and found["kept"] == state["kept"]
        assert [(m.id, m.content) for m in found["messages"]] == [("a", TEXT)]
        put(saver, found, first)
        assert values(saver) == found
        assert saver.store.thread("t").verify().ok


@pytest.mark.parametrize(
    "serde", [WfSerializer(), WfSerializer(strict=True), JsonPlusSerializer()], ids=["ours", "strict", "langgraph"]
)
def test_a_placeholder_is_read_as_it_was_written(serde):
    value = {"a": [Redacted("sha256:" + "0" * 64, "builtins.str")]}
    assert serde.loads_typed(serde.dumps_typed(value)) == value
    assert str(value["a"][0]) == "[redacted builtins.str]"


def test_objects_that_cannot_be_looked_into_are_counted(tmp_path, monkeypatch):
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        put(saver, {"model": samples.Model(child=samples.Child(), count=3), "text": SECRET})
        assert saver.store.thread("t").redact(where=lambda value: value == 3, dry_run=True).objects == 1
    monkeypatch.delattr(samples, "Model")
    with WfStore.open(tmp_path / "agent.db") as store:
        report = store.thread("t").redact(where=lambda value: value == 3, dry_run=True)
        assert (report.objects, report.unread) == (0, 1)
        assert "1 objects could not be looked into" in str(report)
        assert store.thread("t").redact(channels=["model"]).unread == 0
        found = store.get("t", "", None, store.codec).checkpoint
        assert found is not None and found.values["model"].type == "serde_samples.Model"


def test_errors_that_quote_a_message_are_counted_and_stay():
    def fails(state: MessagesState) -> None:
        raise ValueError(f"cannot answer {state['messages'][-1].content!r}")

    with WfStoreSaver(":memory:") as saver:
        graph = StateGraph(MessagesState).add_node("fails", fails).add_edge(START, "fails").compile(saver)
        with pytest.raises(ValueError, match="cannot answer"):
            graph.invoke({"messages": [HumanMessage(SECRET, id="a")]}, CONFIG)
        report = saver.store.thread("t").redact(messages=["a"])
        assert report.mentions == 2  # of the step and of the run
        assert "2 records of errors quote the content" in str(report)
        assert [run.error for run in saver.store.thread("t").runs()] == [("ValueError", f"cannot answer {SECRET!r}")]
        assert saver.store.thread("t").verify().ok


def test_the_same_secret_again_is_refused():
    with WfStoreSaver(WfStore(MemoryBackend(), lineage_secret=lambda: bytes(32))) as saver:
        put(saver, {"a": SECRET})
        with pytest.raises(WfStoreError, match="give a new one every time"):
            saver.store.thread("t").redact(channels=["a"])
        assert values(saver) == {"a": SECRET}


def test_a_log_that_cannot_be_emptied_is_said_and_the_content_is_gone_from_the_tables(tmp_path, monkeypatch):
    path = tmp_path / "agent.db"
    monkeypatch.setattr("langgraph_wfstore.backends.sqlite.SqliteBackend._compact", lambda self: False)
    with WfStoreSaver(path) as saver:
        put(saver, {"a": SECRET})
        values(saver)
        with pytest.raises(BackendUnavailableError, match=r"removed from the tables .* store\.compact\(\)"):
            saver.store.thread("t").redact(channels=["a"])
        assert isinstance(values(saver)["a"], Redacted) and saver.store.thread("t").verify().ok
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM object WHERE form = 3").fetchone() == (1,)
    db.close()


@pytest.mark.parametrize("cls", sorted(HumanMessage.__mro__[1].__subclasses__(), key=lambda cls: cls.__name__))
def test_every_class_of_messages_comes_back(cls):
    if not cls.__module__.startswith("langchain_core.messages"):
        pytest.skip("a class of a test's")
    needed = {"tool_call_id": "call", "role": "user", "name": "tool"}
    fields = {name: value for name, value in needed.items() if name in cls.model_fields}
    if cls.__name__ == "RemoveMessage":
        message = cls(id="a")
    elif cls.__name__.startswith("Base"):
        pytest.skip("it has no instances")
    else:
        message = cls(content=SECRET, id="a", **fields)
    mask = write_mask(mask_of(message, ()))
    found = value_for(read_mask(mask), "sha256:" + "0" * 64)
    assert SECRET.encode() not in mask
    assert (type(found), found.id, found.content) == (cls, "a", "" if cls.__name__ == "RemoveMessage" else TEXT)
