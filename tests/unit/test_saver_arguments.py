"""What a caller can get wrong is told as what it is, and the store's own view reads what the saver wrote."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_wfstore import DecodeError, IntegrityError, UnsupportedValueError, WfStore, WfStoreError, WfStoreSaver


@dataclass
class Point:
    x: int


def put(saver: WfStoreSaver, thread_id: Any, value: Any) -> None:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"], checkpoint["channel_versions"] = {"a": value}, {"a": 1}
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    saver.put(config, checkpoint, {"source": "input", "step": -1}, {"a": 1})


@pytest.fixture
def saver():
    with WfStoreSaver(":memory:") as saver:
        yield saver


@pytest.mark.parametrize("call", ["prune", "delete_for_runs"])
def test_one_text_is_not_taken_for_a_list_of_its_characters(saver, call):
    put(saver, "a", 1)
    with pytest.raises(TypeError, match="list"):
        getattr(saver, call)("a")
    assert [info.thread_id for info in saver.store.threads()] == ["a"]


@pytest.mark.parametrize("limit", [1.5, "1", True])
def test_a_limit_that_is_no_int_is_a_type_error(saver, limit):
    with pytest.raises(TypeError, match="limit"):
        saver.list({"configurable": {"thread_id": "t"}}, limit=limit)


@pytest.mark.parametrize("config", [{}, {"configurable": None}, {"configurable": {}}])
def test_a_config_without_a_thread_says_so(saver, config):
    with pytest.raises(TypeError, match="thread_id"):
        saver.get_tuple(config)


@pytest.mark.parametrize("key", ["checkpoint_ns", "checkpoint_id", "branch"])
def test_a_key_that_is_no_text_says_so(saver, key):
    with pytest.raises(TypeError, match=key):
        saver.get_tuple({"configurable": {"thread_id": "t", key: 5}})


@pytest.mark.parametrize("wanted", ["source", ["source"], 1])
def test_a_filter_that_is_no_dict_says_so(saver, wanted):
    put(saver, "a", 1)
    with pytest.raises(TypeError, match="a metadata filter is a dict"):
        list(saver.list(None, filter=wanted))
    with pytest.raises(TypeError, match="a metadata filter is a dict"):
        saver.store.threads(metadata=wanted)


def test_a_thread_is_found_by_the_number_it_was_put_with(saver):
    put(saver, 7, 1)
    assert saver.store.thread(7).thread_id == saver.store.thread("7").thread_id == "7"
    with pytest.raises(TypeError, match="thread_id"):
        saver.store.thread(None)


@pytest.mark.parametrize("url", ["file:agent.db", "sqlite:///agent.db?mode=ro", "agent\0.db", "mysql://host/db"])
def test_a_url_that_is_no_path_of_a_file_is_refused(url):
    with pytest.raises(WfStoreError):
        WfStore.open(url)


def test_the_view_of_a_strict_saver_is_strict(tmp_path: Path):
    with WfStoreSaver(tmp_path / "agent.db") as saver:
        put(saver, "t", Point(1))
    with WfStoreSaver(tmp_path / "agent.db", strict=True) as saver, pytest.raises(DecodeError):
        str(saver.store.thread("t").checkpoints()[0].values)


def test_the_view_reads_with_the_saver_s_own_serializer():
    with WfStoreSaver(":memory:", serde=JsonPlusSerializer(allowed_msgpack_modules=[Point])) as saver:
        put(saver, "t", Point(1))
        assert saver.store.thread("t").checkpoints()[0].values == {"a": Point(1)}


@pytest.mark.parametrize(
    "damage", ["DELETE FROM lineage", "UPDATE lineage SET no = 77", "UPDATE lineage SET secret = 1.5"]
)
def test_a_thread_without_its_lineage_is_damaged_not_absent(tmp_path: Path, damage: str):
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        put(saver, "t", 1)
    with sqlite3.connect(path) as db:
        db.execute(damage)
    db.close()
    with WfStoreSaver(path) as saver:
        for work in (lambda: saver.get_tuple({"configurable": {"thread_id": "t"}}), lambda: put(saver, "t", 2)):
            with pytest.raises(IntegrityError):
                work()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE object SET tag = x'00'",
        "UPDATE object SET nonce = 5",
        "UPDATE record SET refs = 1.5",
        "UPDATE record SET position = x'00'",
        "UPDATE thread SET current = x'00'",
        "UPDATE thread SET life = x'00'",
    ],
)
def test_a_cell_of_another_type_is_damage(tmp_path: Path, damage: str):
    path = tmp_path / "agent.db"
    with WfStoreSaver(path) as saver:
        put(saver, "t", "value")
    with sqlite3.connect(path) as db:
        db.execute(damage)
    db.close()
    with WfStoreSaver(path) as saver, pytest.raises(IntegrityError):
        saver.get_tuple({"configurable": {"thread_id": "t"}})


@pytest.mark.parametrize("key", ["id", "ts", "v", "channel_values", "channel_versions", "versions_seen"])
def test_a_checkpoint_that_lacks_a_part_says_which(saver, key):
    checkpoint = empty_checkpoint()
    del checkpoint[key]
    with pytest.raises(ValueError, match=f"no '{key}'"):
        saver.put({"configurable": {"thread_id": "t"}}, checkpoint, {}, {})
    assert list(saver.list(None)) == []


@pytest.mark.parametrize("key", ["v", "channel_values", "channel_versions", "versions_seen"])
def test_a_checkpoint_with_something_else_in_a_part_says_which(saver, key):
    with pytest.raises(TypeError, match=f"'{key}' is a NoneType"):
        saver.put({"configurable": {"thread_id": "t"}}, {**empty_checkpoint(), key: None}, {}, {})


def test_a_channel_whose_name_is_no_text_is_refused(saver):
    config = {"configurable": {"thread_id": "t", "checkpoint_id": "c"}}
    with pytest.raises(UnsupportedValueError, match="named 5, a int"):
        saver.put(config, {**empty_checkpoint(), "channel_values": {5: 1, "a": 2}}, {}, {})
    with pytest.raises(UnsupportedValueError, match="named None, a NoneType"):
        saver.put_writes(config, [("a", 1), (None, 2)], "task")
    assert list(saver.list(None)) == []


def test_an_error_about_a_deep_value_shows_the_last_steps_to_it(saver):
    deep = value = {}
    for _ in range(100):
        value["a rather long key"] = value = {}
    value["here"] = object()
    with pytest.raises(UnsupportedValueError, match=r"steps\) \.\.\. .*'here'") as caught:
        put(saver, "t", deep)
    assert len(str(caught.value)) < 1000


def test_closing_a_clone_leaves_the_store_open(saver):
    clone = saver.with_allowlist([Point])
    clone.close()
    put(saver, "t", 1)
    assert [info.thread_id for info in saver.store.threads()] == ["t"]


def test_each_serializer_writes_its_own_bytes_though_savers_share_a_store(saver):
    texts = [f"a text of some length, number {i} " + "x" * 60 for i in range(10)]
    messages = [HumanMessage(f"message {i} " + "y" * 60, id=f"{i}") for i in range(20)]
    other = WfStoreSaver(saver.store, serde=JsonPlusSerializer())
    for thread, one in (("ours", saver), ("theirs", other)):
        put(one, f"{thread} texts", texts)
        put(one, f"{thread} messages", messages)
    backend = saver.store.backend
    for thread, tag in (("ours", "wf1"), ("theirs", "msgpack")):
        for values in ("texts", "messages"):
            lineage = backend.find(f"{thread} {values}".encode()).row.lineage
            assert {row.tag for row in backend.all_objects(lineage) if row.tag} == {tag}


class Shortening(JsonPlusSerializer):
    """Does not give back all that it was given."""

    def loads_typed(self, data):
        value = super().loads_typed(data)
        return HumanMessage("short", id=value.id) if isinstance(value, HumanMessage) else value


def test_what_a_serializer_gives_back_is_what_is_read_also_by_who_put_it():
    with WfStoreSaver(":memory:", serde=Shortening()) as saver:
        put(saver, "t", [HumanMessage("long " * 60, id=f"{i}") for i in range(3)])
        for _ in range(2):
            values = saver.get_tuple({"configurable": {"thread_id": "t"}}).checkpoint["channel_values"]["a"]
            assert [message.content for message in values] == ["short"] * 3
