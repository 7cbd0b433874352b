"""The contract of the lines that a diff compares: what may be asked for, where two lines part, and what it costs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_wfstore.backends.base import Backend
from langgraph_wfstore.errors import CheckpointNotFoundError

from .api import Api
from .contract import Contract
from .contract_capture import agent_graph, asked, of
from .contract_diff import put_after, statuses
from .contract_graphs import CONFIG
from .material import config_of, id_of, put_chain
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    import builtins

    from langgraph_wfstore import WfStoreSaver


def counted(saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the engine is asked from now on, by verb, and how many rows it gives."""
    found: Counter[str] = Counter()
    backend = saver.store.backend
    verbs = [name for name in vars(Backend) if not name.startswith("_") and callable(getattr(backend, name, None))]

    def counting(name: str, verb: Any) -> Any:
        def counted_verb(*args: Any, **kwargs: Any) -> Any:
            found["statements"] += 1
            found[name] += 1
            answer = verb(*args, **kwargs)
            found["rows"] += len(answer) if isinstance(answer, list) else 0
            found[f"rows of {name}"] += len(answer) if isinstance(answer, list) else 0
            return answer

        return counted_verb

    for name in verbs:
        monkeypatch.setattr(backend, name, counting(name, getattr(backend, name)))
    return found


class DiffOfLinesContract(Contract):
    """What may be asked for, and where two lines come from."""

    def test_a_checkpoint_and_one_behind_it(self, api: Api, saver: WfStoreSaver) -> None:
        ids = [id_of(config) for config in put_chain(api, 6)]
        found = of(saver).diff(ids[1], ids[4])
        assert (found.base, found.a.checkpoints, found.a.changes) == (ids[1], (), ())
        assert [item.checkpoint_id for item in found.b.checkpoints] == ids[2:5]
        assert [item.step for item in found.b.checkpoints] == [2, 3, 4] and found.b.branch == "main"
        assert statuses(found) == {"list": "only b", "n": "only b"}

    def test_a_checkpoint_does_not_differ_from_itself(self, api: Api, saver: WfStoreSaver) -> None:
        last = id_of(put_chain(api, 3)[-1])
        found = of(saver).diff("main", last)
        assert found.empty and found.base == last and "no difference" in str(found)
        for side in (found.a, found.b):
            assert (side.checkpoints, side.changes, side.steps, side.calls, side.cost.calls) == ((), (), (), (), 0)
        assert set(statuses(found).values()) == {"same"} and found.tool_calls == ()

    def test_the_other_way_round_it_is_the_mirror_image(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        put_chain(api, 3, after=stored[0])
        thread = of(saver)
        there, back = thread.diff("main", "fork-1").as_dict(), thread.diff("fork-1", "main").as_dict()
        swapped = {"only a": "only b", "only b": "only a"}
        assert there["base"] == back["base"] and (there["a"], there["b"]) == (back["b"], back["a"])
        assert there["channels"] == [c | {"status": swapped.get(c["status"], c["status"])} for c in back["channels"]]

    def test_the_base_of_a_fork_of_a_fork(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 4)
        first = put_chain(api, 4, after=stored[1])
        put_chain(api, 2, after=first[1])
        thread = of(saver)
        assert thread.diff("fork-2", "fork-1").base == id_of(first[1])
        assert thread.diff("fork-2", "main").base == id_of(stored[1])
        assert [
            len(side.checkpoints) for side in (thread.diff("fork-2", "main").a, thread.diff("fork-2", "main").b)
        ] == [
            4,
            2,
        ]

    def test_two_checkpoints_that_have_nothing_in_common(self, api: Api, saver: WfStoreSaver) -> None:
        put_after(api, config_of(), 0, 1, value=1)
        other = put_after(api, config_of(), 0, 1, value=2)
        found = of(saver).diff("main", id_of(other))
        assert found.base is None and "nothing in common" not in str(found) and "no checkpoint in common" in str(found)
        assert [(c.name, c.kind, c.new) for c in (*found.a.changes, *found.b.changes)] == [
            ("value", "added", 1),
            ("value", "added", 2),
        ]

    def test_what_is_not_there_is_said(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        inner = id_of(put_chain(api, 1, ns="sub:1")[0])
        thread = of(saver)
        for name in ("nothing", inner, ""):
            with pytest.raises(
                CheckpointNotFoundError, match=r"no branch and no checkpoint .* its branches are 'main'"
            ):
                thread.diff("main", name)
        with pytest.raises(TypeError, match="branch names, str, not NoneType"):
            thread.diff(None, "main")  # type: ignore[arg-type]  # what a caller without types may do
        saver.store.prune(["t"])
        with pytest.raises(CheckpointNotFoundError, match="is not kept: it was pruned"):
            thread.diff(id_of(stored[0]), "main")

    def test_a_name_that_is_both_is_not_guessed(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        name = id_of(stored[1])
        put_chain(api, 1, after={"configurable": {**stored[0]["configurable"], "branch": name}})
        assert name in [head.name.decode() for head in saver.store.views.of("t").heads.values()]
        with pytest.raises(ValueError, match="both a branch and a checkpoint id"):
            of(saver).diff("main", name)

    def test_where_the_base_was_pruned_an_earlier_one_or_none_takes_its_place(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        stored = put_chain(api, 4)
        put_chain(api, 3, after=stored[1])
        saver.store.prune(["t"])
        found = of(saver).diff("main", "fork-1")
        assert found.base is None and (found.a.removed, found.b.removed) == (1, 2)
        assert [len(side.checkpoints) for side in (found.a, found.b)] == [1, 1]
        assert "no common checkpoint is kept" in str(found) and "2 checkpoints not kept any more" in str(found)

    def test_it_prints_the_same_with_and_without_rich(self, api: Api, saver: WfStoreSaver) -> None:
        console = pytest.importorskip("rich.console").Console(width=200)
        stored = put_chain(api, 30)
        put_chain(api, 40, after=stored[1])
        found = of(saver).diff("main", "fork-1")
        with console.capture() as captured:
            console.print(found)
        plain, rich = (
            [line.lstrip(" │├└─").rstrip() for line in text.splitlines()] for text in (str(found), captured.get())
        )
        assert plain == rich and "a: main: 28 checkpoints, 0 steps in 0.000 s" in plain
        assert any(line.startswith("… and") for line in plain)


class DiffCostContract(Contract):
    """It costs what differs."""

    @staticmethod
    def _of_a_chat(
        api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, length: int
    ) -> tuple[Counter[str], builtins.int]:
        """What is asked of the engine, and how much is decoded, to compare two answers to a chat of this length."""
        thread_id = f"chat of {length}"
        messages: list[Any] = []
        config = config_of(thread_id)
        for at in range(length):
            messages.append(HumanMessage(f"says {at}" * 20, id=f"m{at}"))
            config = put_after(api, config, at, at + 1, messages=list(messages), other={"a": at})
        for answer in ("one", "other"):
            put_after(
                api, config, length, length + 1, messages=[*messages, AIMessage(answer * 20, id=answer)], other={"a": 0}
            )
        with monkeypatch.context() as patch:
            opened = saver.store
            opened.views.forget(opened.views.of(thread_id))
            opened.views.shelf.clear()
            found = counted(saver, patch)
            decoded: list[None] = []
            decode = type(opened.codec).decode

            def decoding(self: Any, leaf: Any) -> Any:
                decoded.append(None)
                return decode(self, leaf)

            patch.setattr(type(opened.codec), "decode", decoding)
            text = str(opened.thread(thread_id).diff("main", "fork-1"))
        assert "+ [" in text and "ai: one" in text and "ai: other" in text
        return found, len(decoded)

    def test_a_long_common_past_costs_nothing(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short, few = self._of_a_chat(api, saver, monkeypatch, 20)
        long, many = self._of_a_chat(api, saver, monkeypatch, 1000)
        assert long["statements"] <= short["statements"] and many == few
        assert long["rows"] <= short["rows"] + 2

    def test_long_sides_are_read_in_pages(self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch) -> None:
        stored = put_chain(api, 2)
        at = [stored[0], stored[1]]
        for number in range(300):  # two lines that grow by turns
            for side in (0, 1):
                at[side] = put_after(api, at[side], number + 2, number + 3, n=number)
        found = counted(saver, monkeypatch)
        compared = of_quietly(saver).diff(id_of(at[0]), id_of(at[1]))
        assert compared.base == id_of(stored[0])
        assert [len(side.checkpoints) for side in (compared.a, compared.b)] == [300, 301]
        assert found["statements"] <= 30

    def test_lines_that_alternate_are_read_once(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("langgraph_wfstore.diff.lines._LARGEST_PAGE", 16)
        start = put_chain(api, 1)[0]
        at = [start] * 20
        for number in range(30):
            at = [put_after(api, config, number + 1, number + 2, n=number) for config in at]
        found = counted(saver, monkeypatch)
        compared = of_quietly(saver).diff(id_of(at[3]), id_of(at[11]))
        assert compared.base == id_of(start) and len(compared.a.checkpoints) == len(compared.b.checkpoints) == 30
        assert found["checkpoints"] <= 600 / 16 + 10 and found["anchored"] <= 12

    def test_many_branches_of_one_checkpoint_are_not_read(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = agent_graph(saver, ScriptedModel(answers=[says(f"answer {at}", f"m{at}") for at in range(20)]))
        api.invoke(graph, asked(), CONFIG, durability="sync")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",))
        for _ in range(19):
            api.invoke(graph, None, before.config, durability="sync")
        found = counted(saver, monkeypatch)
        compared = of_quietly(saver).diff("fork-3", "fork-12")
        assert [c.output.content for c in (*compared.a.calls, *compared.b.calls)] == ["answer 3", "answer 12"]
        assert found["of_runs"] == 1 and found["rows of of_runs"] <= 20


def of_quietly(saver: WfStoreSaver) -> Any:
    """The thread, without verifying it: that would be counted."""
    return saver.store.thread("t")
