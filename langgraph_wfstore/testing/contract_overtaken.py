"""The contract of reading and removing while another process removes content: nothing is taken for damage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage

from langgraph_wfstore import verify
from langgraph_wfstore.errors import (
    BackendUnavailableError,
    CheckpointNotFoundError,
    IntegrityError,
    ThreadDeletedError,
)
from langgraph_wfstore.store import WfStore

from .api import Api
from .contract import Contract, assert_sound
from .contract_capture import agent_graph, asked
from .contract_delta import Rare, delta_graph
from .contract_graphs import CONFIG
from .material import THREAD, checkpoint_of, config_of, metadata_of
from .scripted import ScriptedModel, says

if TYPE_CHECKING:
    from langgraph_wfstore import Thread, WfStoreSaver

OBJECTS = ("numbered", "all_objects")  # the verbs that read content


def messages(count: int, who: str) -> dict[str, Any]:
    """A state of messages, each an object of its own."""
    return {"messages": [HumanMessage(f"{who} says {number} " * 9, id=f"{who}{number}") for number in range(count)]}


def put_lines(saver: WfStoreSaver) -> None:
    """Three messages on main, and two branches from the first of them."""
    parent: Any = config_of()
    first: Any = None
    for count in range(1, 4):
        parent = put(saver, parent, count, "main")
        first = first or parent
    for name in ("one", "other"):
        put(saver, {"configurable": {**first["configurable"], "branch": name}}, 2, name)
    saver.store.thread(THREAD).switch("main")


def put(saver: WfStoreSaver, config: Any, count: int, who: str) -> Any:
    values = messages(count, who)
    checkpoint = checkpoint_of(values, dict.fromkeys(values, count))
    return saver.put(config, checkpoint, metadata_of(count), checkpoint["channel_versions"])


def go_on_and_prune(saver: WfStoreSaver, when: str = "later") -> None:
    """What another process does meanwhile: both lines go on, and only their heads stay."""
    for name in ("main", "one"):
        last = saver.get_tuple(config_of(branch=name))
        assert last is not None
        put(saver, last.config, 1, f"{when} on {name}")
    saver.store.prune([THREAD])


def another(saver: WfStoreSaver) -> WfStoreSaver:
    """A saver on the same engine that knows and holds nothing, as in another process."""
    return type(saver)(WfStore(saver.store.backend))


def overtake(
    saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None], verbs: Sequence[str] = OBJECTS
) -> list[str]:
    """Before this saver reads content for the first time, something else happens; gives the verb once it has."""
    backend, fired = saver.store.backend, list[str]()

    def overtaken(name: str, verb: Any) -> Any:
        def after_it(*args: Any, **kwargs: Any) -> Any:
            if not fired:
                fired.append(name)
                meanwhile()
            return verb(*args, **kwargs)

        return after_it

    for name in verbs:
        monkeypatch.setattr(backend, name, overtaken(name, getattr(backend, name)))
    return fired


READS: dict[str, Callable[[Thread], Any]] = {
    "branches": lambda thread: thread.branches(cost=False),
    "checkpoints": lambda thread: thread.checkpoints(),
    "checkpoints of a branch": lambda thread: thread.checkpoints("one"),
    "diff": lambda thread: str(thread.diff("main", "one")),
    "merge": lambda thread: thread.merge("one", "main", resolve="ours"),
    "why": lambda thread: thread.why(),
}

REMOVALS: dict[str, Callable[[Thread], Any]] = {
    "prune": lambda thread: thread.store.prune([THREAD]),
    "rehearsal": lambda thread: thread.store.prune([THREAD], dry_run=True),
    "delete_branch": lambda thread: thread.delete_branch("other"),
    "delete_thread": lambda thread: thread.store.delete_thread(THREAD),
    "redact": lambda thread: thread.redact(messages=["main0"]),
}


class OvertakenContract(Contract):
    """What another process removes meanwhile is not missing."""

    @pytest.fixture
    def fresh(self, saver: WfStoreSaver) -> WfStoreSaver:
        """A saver that has read nothing yet of a thread that is there."""
        put_lines(saver)
        return another(saver)

    def test_the_head_that_was_found_is_pruned_before_it_is_read(
        self, api: Api, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fired = overtake(fresh, monkeypatch, lambda: go_on_and_prune(saver))
        found = api.on(fresh).read(config_of())
        assert fired and [m.id for m in found.checkpoint["channel_values"]["messages"]] == ["later on main0"]

    def test_what_is_listed_is_pruned_before_it_is_read(
        self, api: Api, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fired = overtake(fresh, monkeypatch, lambda: go_on_and_prune(saver))
        found = api.on(fresh).list(config_of())
        assert fired and [len(each.checkpoint["channel_values"]["messages"]) for each in found] == [1, 1, 2]

    def test_the_thread_is_deleted_before_it_is_read(
        self, api: Api, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fired = overtake(fresh, monkeypatch, lambda: saver.delete_thread(THREAD))
        assert fresh.get_tuple(config_of()) is None and fired

    @pytest.mark.parametrize("times", [12, None])
    def test_verify_takes_what_is_pruned_again_and_again_for_no_damage(
        self, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, times: int | None
    ) -> None:
        """More often than not is no excuse: what is not seen whole is not said to be damaged."""
        records, left = saver.store.backend.records, [3 if times is None else times]

        def overtaken(*args: Any) -> Any:
            found = records(*args)
            if left[0]:
                left[0] -= 1
                with monkeypatch.context() as patched:
                    patched.setattr(saver.store.backend, "records", records)
                    go_on_and_prune(saver, f"later, {left[0]}")
            return found

        monkeypatch.setattr(saver.store.backend, "records", overtaken)
        if times is None:
            monkeypatch.setattr(verify, "ATTEMPTS", 3)
            with pytest.raises(BackendUnavailableError, match="removed 100 times"):
                fresh.store.thread(THREAD).verify()
        else:
            assert fresh.store.thread(THREAD).verify().ok
        assert left == [0]

    def test_the_thread_is_deleted_while_a_put_is_prepared(
        self, api: Api, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = api.list(config_of(branch="main"))[-1].config
        fired = overtake(fresh, monkeypatch, lambda: saver.delete_thread(THREAD), ["records"])
        with pytest.raises(ThreadDeletedError):
            api.on(fresh).put(old, checkpoint_of({"n": 1}), metadata_of(1))
        assert fired and not saver.store.threads()

    @pytest.mark.parametrize("name", READS)
    def test_what_is_explored_is_pruned_meanwhile(
        self, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        overtake(fresh, monkeypatch, lambda: go_on_and_prune(saver))
        assert READS[name](fresh.store.thread(THREAD))
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("name", REMOVALS)
    def test_what_is_removed_is_pruned_meanwhile(
        self, saver: WfStoreSaver, fresh: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        saver.copy_thread(THREAD, "copy")
        fired = overtake(fresh, monkeypatch, lambda: go_on_and_prune(saver))
        REMOVALS[name](fresh.store.thread(THREAD))
        assert fired
        assert_sound(saver, *(info.thread_id for info in saver.store.threads()))
        if name != "delete_thread":
            assert saver.get_tuple(config_of(branch="one")) is not None

    def test_the_history_of_a_delta_channel_is_pruned_before_it_is_read(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = delta_graph(saver, Rare)
        for text in ("a", "b", "c"):
            api.invoke(graph, {"log": [text]}, config_of())
        expected = api.get_state(graph, config_of()).values
        fresh = another(saver)
        fired = overtake(fresh, monkeypatch, lambda: saver.prune([THREAD]))
        assert api.get_state(delta_graph(fresh, Rare), config_of()).values == expected and fired

    def test_damage_is_still_found(self, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch) -> None:
        put_lines(saver)
        fresh = another(saver)
        monkeypatch.setattr(fresh.store.backend, "numbered", lambda lineage, numbers: [])
        works: list[Callable[[Thread], Any]] = [
            lambda thread: fresh.get_tuple(config_of()),
            *(read for name, read in READS.items() if name != "branches"),
            REMOVALS["prune"],
        ]
        for work in works:
            with pytest.raises(IntegrityError, match="restore a backup"):
                work(fresh.store.thread(THREAD))

    def test_values_that_are_asked_for_after_they_were_removed_say_so(self, api: Api, saver: WfStoreSaver) -> None:
        model = ScriptedModel(answers=[says("first " * 300, "m1"), says("second " * 300, "m2")])
        graph = agent_graph(saver, model)
        api.invoke(graph, asked(), CONFIG, durability="sync")
        before = next(s for s in api.history(graph, CONFIG) if s.next == ("agent",))
        api.invoke(graph, None, before.config, durability="sync")
        saver.store.thread(THREAD).switch("main")
        fresh = another(saver).store.thread(THREAD)
        compared, calls = fresh.diff("main", "fork-1"), fresh.calls()
        changed = compared.channel("messages").b
        assert changed is not None
        saver.store.thread(THREAD).delete_branch("fork-1")
        for name in ("new", "elements"):
            with pytest.raises(CheckpointNotFoundError, match="removed since"):
                getattr(changed, name)
        saver.delete_for_runs([call.run_id for call in calls])
        with pytest.raises(ThreadDeletedError, match="removed since"):
            print(calls[1].output)
        saver.delete_thread(THREAD)
        with pytest.raises(ThreadDeletedError, match="removed since"):
            print(calls[0].input)
