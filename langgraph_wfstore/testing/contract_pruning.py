"""The contract of retention policies: what goes, what stays, and dry runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from .api import Api
from .contract import Contract, DurabilityContract, assert_sound
from .contract_delta import Often, Rare, delta_graph, turns
from .contract_graphs import CONFIG
from .contract_interrupts import asking_graph
from .contract_subgraphs import nested_graph
from .material import THREAD, checkpoint_of, config_of, counts_of, id_of, ids_of, metadata_of, put_chain
from .sample_graphs import line_graph

if TYPE_CHECKING:
    from langgraph_wfstore import PruneReport, WfStoreSaver

DAY = timedelta(days=1)
FEW_VERBS = 40
"""More calls of the engine than pruning one thread takes, however long the thread is."""


def put_aged(
    api: Api,
    days: Sequence[float | str],
    thread_id: str = THREAD,
    ns: str = "",
    after: RunnableConfig | None = None,
    **metadata: Any,
) -> list[RunnableConfig]:
    """Puts one checkpoint for each, so many days old, or with this text as its time; gives their configs."""
    stored: list[RunnableConfig] = []
    for number, age in enumerate(days):
        ts = age if isinstance(age, str) else (datetime.now(UTC) - age * DAY).isoformat()
        checkpoint = checkpoint_of({"n": number, "text": f"{thread_id} {ns} {age} " * 20}, ts=ts)
        parent = stored[-1] if stored else after
        config = config_of(thread_id, ns) if parent is None else parent
        stored.append(api.put(config, checkpoint, metadata_of(number, **metadata)))
    return stored


def shown(api: Api, thread_id: str = THREAD, ns: str | None = "") -> list[str]:
    """Ids of what is there, oldest first."""
    return ids_of(api.list(config_of(thread_id, ns)))[::-1]


def objects_of(saver: WfStoreSaver) -> int:
    """How many objects, lists and maps there are."""
    stats = saver.store.stats()
    return int(stats["objects"] + stats["lists"] + stats["maps"])


def prune(saver: WfStoreSaver, *args: Any, **kwargs: Any) -> PruneReport:
    """Prune after a dry run; both say the same, the dry run changes nothing, and as many objects go as are reported."""
    before = counts_of(saver)
    dry = saver.store.prune(*args, dry_run=True, **kwargs)
    assert counts_of(saver) == before
    objects = objects_of(saver)
    report = saver.store.prune(*args, **kwargs)
    assert (report.threads, report.looked) == (dry.threads, dry.looked)
    assert objects - objects_of(saver) == report.total.objects
    return report


class PrunePolicyContract(Contract):
    """Each policy removes what it says, and nothing else."""

    def test_the_last_ones_of_each_line_stay(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 5)
        fork = put_chain(api, 4, after=main[1])
        report = prune(saver, [THREAD], keep_last=2)
        assert shown(api) == ids_of([*main[3:], *fork[2:]])
        assert (report.looked, report.total.checkpoints) == (1, 5)
        assert prune(saver, [THREAD], keep_last=2).threads == ()
        assert_sound(saver, THREAD)

    def test_a_short_line_keeps_what_it_has_of_the_line_it_comes_from(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 5)
        fork = put_chain(api, 1, after=main[1])
        prune(saver, [THREAD], keep_last=3)
        assert shown(api) == ids_of([*main, *fork])
        prune(saver, [THREAD], keep_last=2)
        assert shown(api) == ids_of([main[1], *main[3:], *fork])
        assert_sound(saver, THREAD)

    def test_the_last_ones_of_each_namespace_stay(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 4)
        below = put_chain(api, 4, ns="sub:1")
        prune(saver, [THREAD], keep_last=3)
        assert shown(api, ns="sub:1") == ids_of(below[1:])
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("as_moment", [False, True])
    def test_only_what_is_older_goes(self, api: Api, saver: WfStoreSaver, as_moment: bool) -> None:
        stored = put_aged(api, [40, 31, 29, 1])
        prune(saver, [THREAD], older_than=datetime.now(UTC) - 30 * DAY if as_moment else 30 * DAY)
        assert shown(api) == ids_of(stored[2:])
        assert_sound(saver, THREAD)

    def test_the_head_of_every_line_stays_however_old_it_is(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_aged(api, [90, 80, 70])
        fork = put_aged(api, [60, 50], after=main[0])
        prune(saver, None, older_than=timedelta(0))
        assert shown(api) == ids_of([main[-1], fork[-1]])
        assert api.read(main[-1]).checkpoint["channel_values"]["n"] == 2
        assert_sound(saver, THREAD)

    def test_of_a_number_and_an_age_both_must_allow_it(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_aged(api, [50, 40, 20, 10, 1])
        prune(saver, [THREAD], keep_last=2, older_than=30 * DAY)
        assert shown(api) == ids_of(stored[2:])
        prune(saver, [THREAD], keep_last=4, older_than=DAY / 2)
        assert shown(api) == ids_of(stored[2:])
        prune(saver, [THREAD], keep_last=2, older_than=DAY / 2)
        assert shown(api) == ids_of(stored[3:])
        assert_sound(saver, THREAD)

    def test_what_cannot_be_dated_stays_and_is_counted(self, api: Api, saver: WfStoreSaver) -> None:
        without_zone = datetime.now(UTC).replace(tzinfo=None).isoformat()
        stored = put_aged(api, [90, "", "yesterday", without_zone, 80, 70])
        report = prune(saver, [THREAD], older_than=30 * DAY)
        assert shown(api) == ids_of([*stored[1:4], stored[5]])
        assert (report.total.checkpoints, report.total.undated) == (2, 3)
        assert prune(saver, [THREAD], older_than=30 * DAY).total.undated == 3
        assert prune(saver, [THREAD]).total.checkpoints == 3
        assert shown(api) == ids_of(stored[5:])

    def test_every_thread_of_the_store_is_pruned(self, api: Api, saver: WfStoreSaver) -> None:
        stored = {name: put_aged(api, [50, 40, 1], name) for name in ("a", "b", "größe\0")}
        report = prune(saver, keep_last=1)
        assert {each.thread_id: each.checkpoints for each in report.threads} == dict.fromkeys(stored, 2)
        assert report.looked == 3
        for name, configs in stored.items():
            assert shown(api, name) == ids_of(configs[-1:])
        assert_sound(saver, *stored)

    def test_named_threads_are_pruned_once_and_unknown_ones_passed_over(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 3)
        report = prune(saver, [THREAD, "unknown", THREAD], keep_last=1)
        assert [(each.thread_id, each.checkpoints) for each in report.threads] == [(THREAD, 2)]

    def test_old_threads_are_deleted_whole(self, api: Api, saver: WfStoreSaver) -> None:
        put_aged(api, [90, 40], "old")
        young = put_aged(api, [90, 20], "young")
        put_aged(api, [90], "old with a young sub-graph")
        put_aged(api, [1], "old with a young sub-graph", "sub:1")
        put_aged(api, [90, "?"], "undated")
        report = prune(saver, None, "delete", older_than=30 * DAY)
        assert [each.thread_id for each in saver.store.threads()] == ["young", "old with a young sub-graph", "undated"]
        assert {each.thread_id: (each.deleted, each.undated) for each in report.threads} == {
            "old": (True, 0),
            "undated": (False, 1),
        }
        assert report.total.checkpoints == 2
        assert shown(api, "young") == ids_of(young)
        assert_sound(saver, "young")

    def test_a_thread_with_a_young_run_is_not_old(self, api: Api, saver: WfStoreSaver) -> None:
        put_aged(api, [90])
        graph = line_graph(saver, "a")
        api.invoke(graph, {"log": ["in"]}, {**config_of(), "metadata": {"run_id": "r"}})
        assert prune(saver, [THREAD], "delete", older_than=30 * DAY).threads == ()
        assert len(saver.store.thread(THREAD).runs()) == 1

    def test_deleting_every_thread_has_to_be_said(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 1)
        with pytest.raises(ValueError, match="every thread"):
            saver.store.prune(strategy="delete")
        assert len(saver.store.threads()) == 1
        report = prune(saver, list(saver.store.thread_ids()), "delete")
        assert report.total.deleted
        assert saver.store.threads() == []

    @pytest.mark.parametrize(
        "arguments",
        [
            {"keep_last": 0},
            {"keep_last": True},
            {"keep_last": 1.5},
            {"older_than": 30},
            {"older_than": -DAY},
            {"older_than": datetime(2026, 1, 1)},
            {"strategy": "delete", "keep_last": 1, "older_than": DAY},
            {"strategy": "delete", "branches": True, "older_than": DAY},
            {"thread_ids": THREAD},
        ],
        ids=str,
    )
    def test_what_means_nothing_is_refused(self, api: Api, saver: WfStoreSaver, arguments: dict[str, Any]) -> None:
        stored = put_aged(api, [90, 80])
        with pytest.raises((TypeError, ValueError)):
            saver.store.prune(**arguments)
        assert shown(api) == ids_of(stored)

    def test_a_report_is_plain_data_and_prints(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 3, "a")
        api.put_writes(stored[0], [("list", ["w" * 100])], "task")
        put_chain(api, 2, "b")
        report = prune(saver, keep_last=1)
        data = report.as_dict()
        assert [each["thread_id"] for each in data["threads"]] == ["a", "b"]
        assert data["total"]["checkpoints"] == 3
        assert (data["threads"][0]["writes"], data["threads"][0]["hidden"]) == (1, 0)
        assert data["total"]["bytes"] > 100
        assert str(report).splitlines()[0] == "went, of 2 threads"
        assert [line.split()[:2] for line in str(report).splitlines()[2:]] == [["a", "2"], ["b", "1"], ["total", "3"]]
        assert str(saver.store.prune(dry_run=True)).startswith("would go, of 2 threads")

    def test_threads_that_share_objects_are_rehearsed_one_after_the_other(self, api: Api, saver: WfStoreSaver) -> None:
        put_aged(api, [90, 80, 70], "a")
        for name in ("b", "c"):
            api.copy_thread("a", name)
        assert [each.objects > 0 for each in prune(saver, keep_last=2).threads] == [False, False, True]
        assert [each.objects > 0 for each in prune(saver, ["a", "b"], "delete").threads] == [False, False]
        assert prune(saver, older_than=30 * DAY).total.objects > 0
        assert prune(saver, None, "delete", older_than=30 * DAY).total.objects > 0
        assert objects_of(saver) == 0
        assert saver.store.threads() == []

    def test_a_copy_is_as_old_as_its_source(self, api: Api, saver: WfStoreSaver) -> None:
        put_aged(api, [90, 80], "a")
        api.copy_thread("a", "b")
        saver.store.set_retention_floor(30 * DAY)
        prune(saver, ["b"], older_than=70 * DAY)
        assert len(shown(api, "b")) == 1
        prune(saver, None, "delete", older_than=60 * DAY)
        assert saver.store.threads() == []

    def test_a_long_thread_takes_as_many_calls_of_the_engine_as_a_short_one(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called: Counter[str] = Counter()

        def counted(name: str, verb: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                called[name] += 1
                return verb(*args, **kwargs)

            return call

        for length in (4, 30, 60):
            put_chain(api, length, f"of {length}")
        backend = saver.store.backend
        for name in [name for name in dir(backend) if not name.startswith("_") and callable(getattr(backend, name))]:
            monkeypatch.setattr(backend, name, counted(name, getattr(backend, name)))
        counts = []
        for length in (4, 30, 60):
            called.clear()
            saver.store.prune([f"of {length}"], keep_last=2)
            counts.append(dict(called))
        assert counts[1] == counts[2]
        assert sum(counts[2].values()) < FEW_VERBS


class PruneBranchesContract(Contract):
    """Branches that nobody named or uses go if that is asked for; all others stay."""

    def names(self, saver: WfStoreSaver) -> list[str]:
        return [branch.name for branch in saver.store.thread(THREAD).branches()]

    def test_a_branch_that_nobody_named_goes(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        fork = put_chain(api, 2, after=main[1])
        below = api.put(config_of(ns="sub:1"), checkpoint_of(), metadata_of(0, parents={"": id_of(fork[0])}))
        saver.store.thread(THREAD).switch("main")
        report = prune(saver, [THREAD], keep_last=3, branches=True)
        assert (report.threads[0].branches, report.threads[0].checkpoints) == (("fork-1",), 3)
        assert self.names(saver) == ["main"]
        assert shown(api, ns=None) == ids_of(main)
        assert api.get_tuple(below) is None
        assert_sound(saver, THREAD)

    def test_without_being_asked_for_no_branch_goes(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        fork = put_chain(api, 2, after=main[1])
        saver.store.thread(THREAD).switch("main")
        prune(saver, [THREAD])
        assert self.names(saver) == ["main", "fork-1"]
        assert shown(api) == ids_of([main[-1], fork[-1]])

    def test_the_current_branch_and_named_ones_stay(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 3)
        named = put_chain(api, 2, after=main[1])
        saver.store.thread(THREAD).rename_branch("fork-1", "kept")
        current = put_chain(api, 2, after=main[0])
        prune(saver, [THREAD], branches=True)
        assert self.names(saver) == ["main", "kept", "fork-1"]
        assert shown(api) == ids_of([main[-1], named[-1], current[-1]])
        assert_sound(saver, THREAD)

    def test_what_a_branch_that_stays_starts_from_stays(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 2)
        first = put_chain(api, 2, after=main[0])
        put_chain(api, 2, after=first[0])
        thread = saver.store.thread(THREAD)
        thread.rename_branch("fork-2", "kept")
        thread.switch("main")
        assert prune(saver, [THREAD], keep_last=9, branches=True).threads == ()
        thread.rename_branch("kept", "fork-7")
        report = prune(saver, [THREAD], keep_last=9, branches=True)
        assert report.total.branches == ("fork-1", "fork-7")
        assert shown(api) == ids_of(main)
        assert_sound(saver, THREAD)

    def test_a_branch_without_a_checkpoint_of_its_own_keeps_its_head(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 4)
        saver.store.thread(THREAD).create_branch("kept", id_of(main[1]))
        prune(saver, [THREAD], branches=True)
        assert shown(api) == ids_of([main[1], main[3]])
        assert api.read(config_of(branch="kept")).config["configurable"]["checkpoint_id"] == id_of(main[1])
        assert_sound(saver, THREAD)

    def test_with_an_age_a_branch_goes_only_as_a_whole(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_aged(api, [90, 80])
        young = put_aged(api, [60, 2], after=main[0])
        put_aged(api, [60, 50], after=main[0])
        undated = put_aged(api, [60, "?"], after=main[0])
        saver.store.thread(THREAD).switch("main")
        report = prune(saver, [THREAD], keep_last=9, older_than=30 * DAY, branches=True)
        assert report.total.branches == ("fork-2",)
        assert report.total.undated == 2
        assert shown(api) == ids_of([*main, *young, *undated])
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("ns", ["", "sub:1"])
    def test_a_branch_with_an_open_question_stays(self, api: Api, saver: WfStoreSaver, ns: str) -> None:
        main = put_chain(api, 2)
        fork = put_chain(api, 3, after=main[0])
        below = api.put(config_of(ns="sub:1"), checkpoint_of(), metadata_of(0, parents={"": id_of(fork[-1])}))
        api.put_writes(below if ns else fork[-1], [("__interrupt__", "sure?")], "task")
        saver.store.thread(THREAD).switch("main")
        report = prune(saver, [THREAD], branches=True)
        assert report.total.waiting == 2
        assert self.names(saver) == ["main", "fork-1"]
        assert shown(api, ns=None) == ids_of([main[-1], fork[-1], below])
        api.put(fork[-1], checkpoint_of({"n": "answered"}))
        saver.store.thread(THREAD).switch("main")
        assert prune(saver, [THREAD], branches=True).total.branches == ("fork-1",)
        assert shown(api) == ids_of(main[-1:])
        assert_sound(saver, THREAD)

    def test_what_a_sub_graph_remembers_stays_on_each_line(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_aged(api, [90, 80, 70])
        first = put_aged(api, [89, 88], ns="memory", parents={"": id_of(main[0])})
        last = put_aged(api, [79, 78], ns="memory", after=first[-1], parents={"": id_of(main[1])})
        fork = put_aged(api, [60, 50], after=main[0])
        prune(saver, [THREAD], older_than=30 * DAY)
        assert shown(api, ns="") == ids_of([main[-1], fork[-1]])
        assert shown(api, ns="memory") == ids_of([first[-1], last[-1]])
        assert_sound(saver, THREAD)

    def test_what_sub_graphs_left_under_pruned_checkpoints_of_a_branch_goes_with_it(
        self, api: Api, saver: WfStoreSaver
    ) -> None:
        main = put_chain(api, 2)
        fork = put_chain(api, 3, after=main[0])
        below = put_chain(api, 2, ns="sub:1", parents={"": id_of(fork[0])})
        thread = saver.store.thread(THREAD)
        thread.switch("main")
        prune(saver, [THREAD])
        assert shown(api, ns="sub:1") == ids_of(below[-1:])
        thread.delete_branch("fork-1")
        assert shown(api, ns=None) == ids_of(main[-1:])
        assert_sound(saver, THREAD)

    def test_of_what_names_no_root_checkpoint_the_last_stays(self, api: Api, saver: WfStoreSaver) -> None:
        root = put_aged(api, [90])
        below = put_aged(api, [89, 88], ns="sub:1")
        waiting = put_aged(api, [87, 86], ns="sub:2", parents={"": "never came"})
        prune(saver, [THREAD], older_than=30 * DAY)
        assert shown(api, ns=None) == ids_of([root[0], below[-1], waiting[-1]])
        assert_sound(saver, THREAD)

    def test_a_question_on_one_line_of_a_sub_graph_stays(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_chain(api, 2)
        of_head: Any = metadata_of(0, parents={"": id_of(main[-1])})
        first = api.put(config_of(ns="sub:1"), checkpoint_of(), of_head)
        asking = api.put(first, checkpoint_of(), of_head)
        api.put_writes(asking, [("__interrupt__", "sure?")], "task")
        fork = api.put(first, checkpoint_of(), of_head)
        assert prune(saver, [THREAD]).total.waiting == 1
        assert shown(api, ns="sub:1") == ids_of([asking, fork])
        answered = api.put(asking, checkpoint_of(), of_head)
        assert prune(saver, [THREAD]).total.waiting == 0
        assert shown(api, ns="sub:1") == ids_of([answered])

    def test_a_dropped_question_of_a_sub_graph_goes_with_its_age(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_aged(api, [90])
        asking = put_aged(api, [89], ns="sub:1", parents={"": id_of(main[0])})
        api.put_writes(asking[0], [("__interrupt__", "sure?")], "task")
        assert prune(saver, [THREAD], older_than=30 * DAY).threads == ()
        on = put_aged(api, [80], after=main[0])
        prune(saver, [THREAD], older_than=30 * DAY)
        assert shown(api, ns=None) == ids_of(on)
        assert_sound(saver, THREAD)


class PruneGraphsContract(DurabilityContract):
    """Real graphs go on after any policy."""

    def test_an_open_question_on_a_fork_is_answered_after_a_prune(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = asking_graph(saver, "sure?")
        api.invoke(graph, {"log": ["in"]}, CONFIG, durability="sync")
        api.invoke(graph, Command(resume="yes"), CONFIG, durability=durability)
        old = next(each for each in api.history(graph, CONFIG) if each.next == ("ask",))
        api.invoke(graph, None, old.config, durability=durability)
        saver.store.thread(THREAD).switch("main")
        prune(saver, None, older_than=timedelta(0), branches=True)
        on = config_of(branch="fork-1")
        assert len(api.get_state(graph, on).interrupts) == 1
        assert api.invoke(graph, Command(resume="no"), on, durability=durability)["log"][2] == "ask: no"
        assert api.get_state(graph, config_of(branch="main")).values["log"][2] == "ask: yes"
        assert_sound(saver, THREAD)

    def test_an_open_question_of_a_sub_graph_is_answered_after_a_prune(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = nested_graph(saver, asks=True)
        api.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        prune(saver, None, older_than=timedelta(0))
        assert api.get_state(graph, config_of(), subgraphs=True).tasks[0].state is not None
        assert api.invoke(graph, Command(resume="yes"), config_of(), durability=durability)["note"] == "inner said yes"
        assert_sound(saver, THREAD)

    def test_what_finished_sub_graphs_saved_goes_with_their_superstep_when_it_is_old(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        graph = nested_graph(saver)
        for _ in range(3):
            api.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        before = api.get_state(graph, config_of()).values
        prune(saver, [THREAD], older_than=timedelta(0))
        assert len(shown(api, ns=None)) == 1
        assert api.get_state(graph, config_of()).values == before
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("schema", [Rare, Often])
    def test_delta_channels_keep_their_states(
        self, api: Api, saver: WfStoreSaver, durability: str, schema: Any
    ) -> None:
        graph = delta_graph(saver, schema)
        turns(api, graph, 5, durability)
        old = [each for each in api.history(graph, CONFIG) if not each.next][2]
        api.update_state(graph, old.config, {"log": ["fork"]}, as_node="second")
        turns(api, graph, 1, durability, run="fork")
        before = {id_of(each.config): each.values for each in api.history(graph, CONFIG)}
        report = prune(saver, [THREAD], keep_last=2)
        after = {id_of(each.config): each.values for each in api.history(graph, CONFIG)}
        assert len(after) == 4 or durability == "exit"
        assert after == {name: before[name] for name in after}
        assert report.total.checkpoints == len(before) - len(after)
        assert_sound(saver, THREAD)
