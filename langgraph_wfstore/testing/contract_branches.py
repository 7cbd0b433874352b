"""The contract of branches: every line has a name, a base and a head; a config that names one stays on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph.types import Command

from langgraph_wfstore.branching.verbs import BranchInfo
from langgraph_wfstore.errors import BranchNotFoundError, CheckpointNotFoundError, ConflictError
from langgraph_wfstore.threads.ancestry import places

from .api import Api
from .contract import Contract, DurabilityContract, Reopen, assert_sound
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph, remembering_graph
from .material import THREAD, before_of, checkpoint_of, config_of, id_of, ids_of, metadata_of, put_chain
from .sample_graphs import chat_graph, line_graph, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def heads_of(saver: WfStoreSaver, thread_id: str = THREAD) -> dict[str, str | None]:
    """The head of every branch, by name."""
    return {branch.name: branch.head for branch in saver.store.thread(thread_id).branches()}


def current_of(saver: WfStoreSaver, thread_id: str = THREAD) -> str:
    """The name of the branch that is read by default."""
    return next(branch.name for branch in saver.store.thread(thread_id).branches() if branch.current)


def isolated(api: Api, saver: WfStoreSaver) -> Api:
    """The same interface of a saver on the same store whose forks stay beside the current branch."""
    return api.on(type(saver)(saver.store, isolate_forks=True))


class BranchesContract(Contract):
    """The branches of a thread, by puts and by their verbs."""

    def test_a_thread_begins_with_main(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3)
        assert saver.store.thread(THREAD).branches() == [BranchInfo("main", None, id_of(stored[-1]), True, 3, 0)]

    def test_a_put_on_an_older_checkpoint_starts_a_branch(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 4)
        first = put_chain(api, 2, after=main[1])
        second = put_chain(api, 1, after=first[0])
        named = put_chain(api, 1, after={"configurable": {**main[0]["configurable"], "branch": "cheaper-model"}})
        assert saver.store.thread(THREAD).branches() == [
            BranchInfo("main", None, id_of(main[-1]), False, 4, 0),
            BranchInfo("fork-1", id_of(main[1]), id_of(first[-1]), False, 2, 0),
            BranchInfo("fork-2", id_of(first[0]), id_of(second[-1]), False, 1, 0),
            BranchInfo("cheaper-model", id_of(main[0]), id_of(named[-1]), True, 1, 0),
        ]
        assert_sound(saver, THREAD)

    def test_reading_with_a_branch_gives_its_head(self, api: Api, reopen: Reopen) -> None:
        main = put_chain(api, 3)
        fork = put_chain(api, 2, after=main[0])
        for each in (api, api.on(reopen())):
            assert id_of(each.read(config_of(branch="main"))) == id_of(main[-1])
            assert id_of(each.read(config_of(branch="fork-1"))) == id_of(fork[-1])
            assert each.read(config_of(branch="main")).config["configurable"]["branch"] == "main"
            assert "branch" not in each.read(config_of()).config["configurable"]

    def test_listing_with_a_branch_gives_its_line(self, api: Api, reopen: Reopen) -> None:
        main = put_chain(api, 4)
        fork = put_chain(api, 3, after=main[1])
        deep = put_chain(api, 2, after=fork[1])
        lines = {"main": main, "fork-1": main[:2] + fork, "fork-2": main[:2] + fork[:2] + deep}
        for each in (api, api.on(reopen())):
            for name, line in lines.items():
                assert ids_of(each.list(config_of(branch=name))) == ids_of(line)[::-1]
                assert ids_of(each.list(config_of(branch=name), limit=3)) == ids_of(line)[:-4:-1]
                assert (
                    ids_of(each.list(config_of(branch=name), before=before_of(id_of(line[3])))) == ids_of(line)[2::-1]
                )
                assert ids_of(each.list(config_of(branch=name), filter={"step": 0})) == [
                    id_of(found) for found in each.list(config_of(branch=name)) if found.metadata["step"] == 0
                ]

    def test_a_thread_lists_the_line_of_a_branch(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        put_chain(api, 2, after=main[0])
        found = saver.store.thread(THREAD).checkpoints(branch="main")
        assert [each.checkpoint_id for each in found] == ids_of(main)[::-1]

    def test_an_unknown_branch_is_an_error_and_starts_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        for thread_id in (THREAD, "new"):
            before = len(api.list(config_of(thread_id)))
            with pytest.raises(BranchNotFoundError, match=r"no branch 'typo'; it has 'main'"):
                api.read(config_of(thread_id, branch="typo"))
            with pytest.raises(BranchNotFoundError):
                api.list(config_of(thread_id, branch="typo"))
            with pytest.raises(BranchNotFoundError):
                api.invoke(graph, says_human(0), config_of(thread_id, branch="typo"))
            assert len(api.list(config_of(thread_id))) == before
            put_chain(api, 2)

    @pytest.mark.parametrize(("name", "error"), [("", ValueError), ("x" * 256, ValueError), (7, TypeError)])
    def test_what_is_no_name_is_refused(self, api: Api, saver: WfStoreSaver, name: Any, error: type[Exception]) -> None:
        stored = put_chain(api, 1)[0]
        thread = saver.store.thread(THREAD)
        with pytest.raises(error, match="name of a branch"):
            thread.create_branch(name)
        with pytest.raises(error, match="name of a branch"):
            thread.rename_branch("main", name)
        with pytest.raises(error, match="name of a branch"):
            api.put({"configurable": {**stored["configurable"], "branch": name}}, checkpoint_of())
        with pytest.raises(error, match="name of a branch"):
            api.get_tuple(config_of(branch=name))
        assert len(api.list(config_of())) == 1

    @pytest.mark.parametrize("name", ["größe", "a b/c", "\ud800", "x" * 255, "NUL\0"])
    def test_any_other_text_is_a_name(self, api: Api, saver: WfStoreSaver, reopen: Reopen, name: str) -> None:
        stored = put_chain(api, 2)
        saver.store.thread(THREAD).create_branch(name, id_of(stored[0]))
        other = reopen()
        assert heads_of(other)[name] == id_of(stored[0])
        assert id_of(api.on(other).read(config_of(branch=name))) == id_of(stored[0])
        assert_sound(other, THREAD)

    def test_a_created_branch_starts_where_it_was_created(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        main = put_chain(api, 3)
        thread = saver.store.thread(THREAD)
        thread.create_branch("early", id_of(main[0]))
        thread.create_branch("late")
        assert heads_of(reopen()) == {"main": id_of(main[2]), "early": id_of(main[0]), "late": id_of(main[2])}
        assert current_of(saver) == "main"
        assert_sound(saver, THREAD)
        for name, base in (("early", main[0]), ("late", main[2])):
            read = api.read(config_of(branch=name))
            assert id_of(read) == id_of(base)
            put_chain(api, 1, after=read.config)
        on = put_chain(api, 1, after=main[2])
        found = saver.store.thread(THREAD).branches()
        assert [(each.name, each.base, each.checkpoints, each.current) for each in found] == [
            ("main", None, 4, True),
            ("early", id_of(main[0]), 1, False),
            ("late", id_of(main[2]), 1, False),
        ]
        assert found[0].head == id_of(on[0])
        assert_sound(saver, THREAD)

    def test_a_name_is_given_once(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        put_chain(api, 1, after=main[0])
        thread = saver.store.thread(THREAD)
        for name in ("main", "fork-1"):
            with pytest.raises(ConflictError, match="has a branch"):
                thread.create_branch(name)
        with pytest.raises(ConflictError, match="has a branch"):
            thread.rename_branch("fork-1", "main")
        with pytest.raises(CheckpointNotFoundError, match="nowhere"):
            thread.create_branch("new", "nowhere")
        with pytest.raises(BranchNotFoundError):
            thread.rename_branch("nobody", "somebody")
        with pytest.raises(BranchNotFoundError):
            thread.switch("nobody")
        assert list(heads_of(saver)) == ["main", "fork-1"]

    def test_a_fork_takes_the_next_free_name(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        saver.store.thread(THREAD).create_branch("fork-1")
        put_chain(api, 1, after=main[0])
        put_chain(api, 1, after={"configurable": {**main[0]["configurable"], "branch": "main"}})
        assert list(heads_of(saver)) == ["main", "fork-1", "fork-2", "fork-3"]
        assert_sound(saver, THREAD)

    def test_a_branch_is_renamed(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        main = put_chain(api, 2)
        fork = put_chain(api, 1, after=main[0])
        thread = saver.store.thread(THREAD)
        thread.rename_branch("fork-1", "plan b")
        thread.rename_branch("plan b", "plan b")
        thread.rename_branch("plan b", "plan c")
        assert heads_of(reopen()) == {"main": id_of(main[1]), "plan c": id_of(fork[0])}
        with pytest.raises(BranchNotFoundError):
            api.read(config_of(branch="fork-1"))
        on = put_chain(api, 1, after=api.read(config_of(branch="plan c")).config)
        assert heads_of(saver)["plan c"] == id_of(on[0])
        thread.create_branch("plan b")
        with pytest.raises(ConflictError, match="always called 'main'"):
            thread.rename_branch("main", "trunk")
        assert_sound(saver, THREAD)

    def test_switching_changes_what_is_read_and_gone_on_with(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen
    ) -> None:
        main = put_chain(api, 3)
        fork = put_chain(api, 2, after=main[0])
        assert current_of(saver) == "fork-1"
        other = api.on(reopen())
        for name, line in (("main", main), ("fork-1", fork), ("main", main)):
            saver.store.thread(THREAD).switch(name)
            saver.store.thread(THREAD).switch(name)
            assert current_of(saver) == name
            for each in (api, other):
                assert id_of(each.read(config_of())) == id_of(line[-1])
        on = put_chain(api, 1, after=other.read(config_of()).config)
        assert heads_of(saver) == {"main": id_of(on[0]), "fork-1": id_of(fork[-1])}
        assert_sound(saver, THREAD)

    def test_a_created_branch_that_was_switched_to_is_gone_on_with(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 2)
        thread = saver.store.thread(THREAD)
        thread.create_branch("next")
        thread.switch("next")
        on = put_chain(api, 2, after=api.read(config_of()).config)
        assert heads_of(saver) == {"main": id_of(main[-1]), "next": id_of(on[-1])}
        assert current_of(saver) == "next"
        assert ids_of(api.list(config_of(branch="next"))) == ids_of(main + on)[::-1]
        assert_sound(saver, THREAD)

    def test_forks_of_an_isolating_saver_stay_beside(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        beside = isolated(api, saver)
        fork = put_chain(beside, 2, after=main[0])
        beside.put(fork[0], checkpoint_of({"n": "fork"}), metadata_of(1, "fork"))
        assert current_of(saver) == "main"
        assert id_of(beside.read(config_of())) == id_of(main[-1])
        on = put_chain(beside, 1, after=main[-1])
        assert heads_of(saver)["main"] == id_of(on[0])
        saver.store.thread(THREAD).switch("fork-1")
        back = put_chain(beside, 1, after=on[0])
        assert current_of(saver) == "fork-1"
        assert heads_of(saver)["main"] == id_of(back[0])
        assert id_of(beside.read(config_of())) == id_of(fork[-1])
        assert_sound(saver, THREAD)

    def test_a_copy_has_the_same_branches(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        put_chain(api, 1, after=main[0])
        thread = saver.store.thread(THREAD)
        thread.create_branch("named", id_of(main[1]))
        thread.rename_branch("fork-1", "renamed")
        api.copy_thread(THREAD, "copy")
        assert saver.store.thread("copy").branches() == thread.branches()
        saver.store.thread("copy").switch("named")
        assert (current_of(saver), current_of(saver, "copy")) == ("renamed", "named")
        assert_sound(saver, THREAD, "copy")

    def test_branches_survive_the_removal_of_their_checkpoints(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        thread = saver.store.thread(THREAD)
        thread.create_branch("named", id_of(main[1]))
        fork = put_chain(api, 2, after={"configurable": {**main[0]["configurable"], "branch": "gone"}}, run_id="r")
        api.delete_for_runs(["r"])
        assert heads_of(saver) == {"main": id_of(main[2]), "named": id_of(main[1]), "gone": id_of(main[0])}
        assert_sound(saver, THREAD)
        again = put_chain(api, 1, after=api.read(config_of(branch="gone")).config)
        assert heads_of(saver)["gone"] == id_of(again[0])
        assert ids_of(api.list(config_of(branch="gone"))) == ids_of([again[0], main[0]])
        assert id_of(fork[0]) not in ids_of(api.list(config_of()))
        assert_sound(saver, THREAD)
        api.prune([THREAD])
        assert heads_of(saver) == {"main": id_of(main[2]), "named": id_of(main[1]), "gone": id_of(again[0])}
        assert_sound(saver, THREAD)

    def test_a_put_that_an_unknown_parent_precedes_starts_a_branch(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 2)
        put_chain(api, 1)
        found = saver.store.thread(THREAD).branches()
        assert [(each.name, each.base) for each in found] == [("main", None), ("fork-1", None)]
        assert_sound(saver, THREAD)

    def test_a_deleted_branch_takes_what_only_it_has(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        main = put_chain(api, 3)
        fork = put_chain(api, 3, after=main[0])
        deep = put_chain(api, 2, after=fork[1])
        below = api.put(config_of(ns="sub"), checkpoint_of({"c": 1}), metadata_of(0, parents={"": id_of(fork[2])}))
        kept = api.put(config_of(ns="sub"), checkpoint_of({"c": 2}), metadata_of(0, parents={"": id_of(fork[0])}))
        thread = saver.store.thread(THREAD)
        thread.switch("main")
        thread.delete_branch("fork-1")
        assert heads_of(reopen()) == {"main": id_of(main[2]), "fork-2": id_of(deep[1])}
        assert api.get_tuple(fork[2]) is None
        assert api.get_tuple(below) is None
        assert api.read(kept).config == kept
        assert ids_of(api.list(config_of(branch="fork-2"))) == ids_of([*main[:1], *fork[:2], *deep])[::-1]
        assert_sound(saver, THREAD)
        late = put_chain(api, 1, after=fork[1])
        assert heads_of(saver)["fork-1"] == id_of(late[0])
        thread.switch("main")
        for name in ("fork-1", "fork-2"):
            thread.delete_branch(name)
            assert_sound(saver, THREAD)
        assert ids_of(api.list(config_of())) == ids_of(main)[::-1]
        on = put_chain(api, 1, after=main[0])
        assert heads_of(saver) == {"main": id_of(main[2]), "fork-1": id_of(on[0])}
        assert_sound(saver, THREAD)

    def test_a_branch_without_a_checkpoint_of_its_own_is_deleted(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 2)
        thread = saver.store.thread(THREAD)
        thread.create_branch("short")
        thread.delete_branch("short")
        thread.create_branch("short", id_of(main[0]))
        thread.delete_branch("short")
        assert heads_of(saver) == {"main": id_of(main[1])}
        assert len(api.list(config_of())) == 2
        assert_sound(saver, THREAD)

    def test_main_and_the_current_branch_are_not_deleted(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 2)
        put_chain(api, 1, after=main[0])
        thread = saver.store.thread(THREAD)
        with pytest.raises(ConflictError, match="the current one"):
            thread.delete_branch("fork-1")
        with pytest.raises(ConflictError, match="always stays"):
            thread.delete_branch("main")
        with pytest.raises(BranchNotFoundError, match="'fork-1', 'main'"):
            thread.delete_branch("nobody")
        assert len(api.list(config_of())) == 3

    def test_a_branch_that_another_is_named_on_stays(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 2)
        fork = put_chain(api, 2, after=main[0])
        thread = saver.store.thread(THREAD)
        thread.create_branch("kept", id_of(fork[0]))
        thread.switch("main")
        thread.delete_branch("fork-1")
        assert heads_of(saver) == {"main": id_of(main[1]), "kept": id_of(fork[0])}
        assert_sound(saver, THREAD)


class BranchRunsContract(DurabilityContract):
    """Graphs that run on a branch."""

    def test_a_run_on_a_branch_stays_on_it(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        beside = isolated(api, saver)
        graph = chat_graph(beside.saver)
        for number in range(2):
            beside.invoke(graph, says_human(number), config_of(), durability=durability)
        main = heads_of(saver)["main"]
        first = next(each for each in beside.history(graph, config_of()) if len(each.values["messages"]) == 2)
        start: Any = {"configurable": {**first.config["configurable"], "branch": "what-if"}}
        beside.invoke(graph, says_human(10), start, durability=durability)
        on = config_of(branch="what-if")
        beside.invoke(graph, says_human(11), on, durability=durability)
        assert self.said(beside, graph, on) == ["h0", "re-h0", "h10", "re-h10", "h11", "re-h11"]
        assert self.said(beside, graph, config_of()) == ["h0", "re-h0", "h1", "re-h1"]
        assert heads_of(saver)["main"] == main
        told = [[m.id for m in each.values["messages"]] for each in beside.history(graph, on) if not each.next]
        assert all("h1" not in each for each in told)
        assert told[0] == ["h0", "re-h0", "h10", "re-h10", "h11", "re-h11"]
        beside.update_state(graph, on, says_human(12), as_node="bot")
        assert self.said(beside, graph, on)[-1] == "h12"
        assert heads_of(saver)["main"] == main
        beside.invoke(graph, says_human(2), config_of(), durability=durability)
        assert self.said(beside, graph, config_of())[-2:] == ["h2", "re-h2"]
        assert list(heads_of(saver)) == ["main", "what-if"]
        assert_sound(saver, THREAD)

    def test_what_one_branch_asks_is_answered_there(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        beside = isolated(api, saver)
        graph = asking_graph(beside.saver, "sure?")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        thread = saver.store.thread(THREAD)
        asking = beside.get_state(graph, config_of())
        thread.create_branch("no")
        changed = beside.update_state(graph, config_of(branch="no"), {"note": "other"})
        assert changed["configurable"]["branch"] == "no"
        assert beside.get_state(graph, config_of()).config == asking.config
        on = config_of(branch="no")
        beside.invoke(graph, None, on, durability=durability)
        assert beside.get_state(graph, on).next == ("ask",)
        assert beside.invoke(graph, Command(resume="no"), on, durability=durability)["log"][2] == "ask: no"
        assert beside.get_state(graph, config_of()).next == ("ask",)
        assert len(beside.get_state(graph, config_of()).interrupts) == 1
        assert beside.invoke(graph, Command(resume="yes"), config_of(), durability=durability)["log"][2] == "ask: yes"
        assert beside.get_state(graph, on).values["log"][2] == "ask: no"
        assert_sound(saver, THREAD)

    def test_sub_graphs_stay_on_the_branch_of_their_root(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        beside = isolated(api, saver)
        graph = nested_graph(beside.saver, asks=True)
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        early = [each for each in beside.history(graph, config_of()) if each.next == ("first",)]
        if durability == "exit":
            assert not early
            return
        start: Any = {"configurable": {**early[0].config["configurable"], "branch": "other"}}
        start = beside.update_state(graph, start, {"log": ["changed"]}, as_node="first")
        on = config_of(branch="other")
        beside.invoke(graph, None, on, durability=durability)
        for config, seen in ((config_of(), "first after 1"), (on, "changed")):
            state = beside.get_state(graph, config, subgraphs=True)
            inner: Any = state.tasks[0].state
            assert inner.values["log"][1] == seen
            namespace = inner.config["configurable"]["checkpoint_ns"]
            below: Any = {"configurable": {**config["configurable"], "checkpoint_ns": namespace}}
            assert len(beside.list(below)) == 3
        done = beside.invoke(graph, Command(resume="b"), on, durability=durability)
        assert (done["log"][1], done["note"]) == ("changed", "inner said b")
        done = beside.invoke(graph, Command(resume="m"), config_of(), durability=durability)
        assert (done["log"][1], done["note"]) == ("first after 1", "inner said m")
        assert_sound(saver, THREAD)

    def test_a_remembering_sub_graph_remembers_its_branch(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        beside = isolated(api, saver)
        graph = remembering_graph(beside.saver)
        for _ in range(2):
            beside.invoke(graph, {"log": []}, config_of(), durability=durability)
        first = [each for each in beside.history(graph, config_of()) if not each.next][-1]
        start: Any = {"configurable": {**first.config["configurable"], "branch": "other"}}
        beside.invoke(graph, {"log": []}, start, durability=durability)
        on = config_of(branch="other")
        for _ in range(2):
            beside.invoke(graph, {"log": []}, on, durability=durability)
        beside.invoke(graph, {"log": []}, config_of(), durability=durability)
        # Under "exit" LangGraph asks for what is older than a fork that it has not put: that is everything.
        calls = (1, 3, 4, 5) if durability == "exit" else (1, 2, 3, 4)
        assert beside.get_state(graph, on).values["log"] == [f"call {n}" for n in calls]
        assert beside.get_state(graph, config_of()).values["log"] == [f"call {n}" for n in (1, 2, 3)]
        assert self.counted(beside, on) == calls[-1]
        assert self.counted(beside, config_of(branch="main")) == 3
        assert_sound(saver, THREAD)

    def test_runs_and_cost_are_counted_per_branch(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        graph = line_graph(saver, "a", "b")
        api.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        main = saver.store.thread(THREAD).branches()[0].head
        for number in range(2):
            fork = config_of(checkpoint_id=main, branch=f"b{number}")
            api.invoke(graph, {"log": ["fork"]}, fork, durability=durability)
            api.invoke(graph, {"log": ["main"]}, config_of(branch="main"), durability=durability)
        found = {each.name: each.runs for each in saver.store.thread(THREAD).branches(cost=True)}
        assert found["main"] + found["b0"] + found["b1"] == 5
        assert found["b1"] == 1
        assert_sound(saver, THREAD)

    def test_what_a_deleted_branch_cost_is_counted_apart(self, api: Api, saver: WfStoreSaver, durability: str) -> None:
        beside = isolated(api, saver)
        graph = line_graph(beside.saver, "a", "b")
        beside.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        thread = saver.store.thread(THREAD)
        head = thread.branches()[0].head
        beside.invoke(graph, {"log": ["fork"]}, config_of(checkpoint_id=head, branch="gone"), durability=durability)
        runs = thread.runs()
        thread.delete_branch("gone")
        where = places(saver.store, THREAD, thread.traces.of())
        assert where.branch_of == {runs[0].run_id: "main", runs[1].run_id: "branch 1 (deleted)"}
        assert where.abandoned == {runs[1].run_id}
        assert [branch.runs for branch in thread.branches()] == [1]

    def said(self, api: Api, graph: Any, config: Any) -> list[str]:
        return [each.id for each in api.get_state(graph, config).values["messages"]]

    def counted(self, api: Api, config: Any) -> int:
        """What a remembering sub-graph counted up to the head of a branch."""
        config = {"configurable": {**config["configurable"], "checkpoint_ns": "sub"}}
        found: int = api.read(config).checkpoint["channel_values"]["calls"]
        return found
