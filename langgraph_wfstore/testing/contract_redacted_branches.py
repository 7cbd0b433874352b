"""The contract of redaction and branches together: what is redacted is compared, merged and followed like anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from langgraph_wfstore.redacted import TEXT

from .api import Api
from .contract import Contract, assert_sound
from .material import THREAD, checkpoint_of, config_of, metadata_of
from .sample_graphs import Chat, chat_graph

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def says_at_length(number: int) -> Chat:
    """A message that has an object of its own."""
    return {"messages": [HumanMessage(f"message {number} " + "and so on " * 9, id=f"h{number}")]}


class RedactedBranchesContract(Contract):
    """Two branches that were redacted."""

    def test_branches_with_redacted_messages_are_compared_merged_and_explained(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        beside = api.on(type(saver)(saver.store, isolate_forks=True))
        graph = chat_graph(beside.saver)
        for number in range(2):
            beside.invoke(graph, says_at_length(number), config_of())
        first = [each for each in beside.history(graph, config_of()) if not each.next][-1]
        start: Any = {"configurable": {**first.config["configurable"], "branch": "b"}}
        beside.invoke(graph, says_at_length(7), start)
        thread = saver.store.thread(THREAD)
        thread.redact(messages=["h1", "re-h7"])
        diff = thread.diff("main", "b")
        changes: list[Any] = [diff.channel("messages").a, diff.channel("messages").b]
        assert [[each.kind for each in change.elements] for change in changes] == [["added"] * 2] * 2
        assert [[each.new.content == TEXT for each in change.elements] for change in changes] == [
            [True, False],
            [False, True],
        ]
        thread.merge("b", "main")
        found = beside.get_state(graph, config_of()).values["messages"]
        assert [each.id for each in found] == ["h0", "re-h0", "h1", "re-h1", "h7", "re-h7"]
        assert [each.id for each in found if each.content == TEXT] == ["h1", "re-h7"]
        why = str(thread.why(index=-1))
        assert "came in by a merge" in why
        assert "bot" in why
        assert "not there any more" not in why
        beside.invoke(graph, says_at_length(2), config_of())
        assert "given as input" in str(thread.why(index=2))
        assert_sound(saver, THREAD)

    def test_redacted_small_elements_and_values_are_compared(self, api: Api, saver: WfStoreSaver) -> None:
        values = {"list": [f"element {number}" for number in range(20)], "dict": {"a": [1, 2], "b": "text"}, "x": "y"}
        base = api.put(config_of(), checkpoint_of(values))
        more = {**values, "list": [*values["list"], "one more"], "x": "z", "dict": {"a": [1, 2, 3], "b": "text"}}
        api.put(base, checkpoint_of(more, dict.fromkeys(more, 2)), metadata_of(1))
        api.put(base, checkpoint_of({**more, "x": "w"}, dict.fromkeys(more, 3)), metadata_of(1))
        thread = saver.store.thread(THREAD)
        thread.redact(channels=["list", "dict", "x"])
        diff = thread.diff("main", "fork-1")
        assert str(diff)
        assert {channel.name: channel.status for channel in diff.channels}["x"] == "both differently"
        assert_sound(saver, THREAD)
