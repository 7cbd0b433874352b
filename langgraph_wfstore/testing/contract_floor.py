"""The contract of the retention floor: nothing that is younger goes, whoever asks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from langgraph_wfstore.errors import RetentionError

from .api import Api
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, config_of, ids_of
from .sample_graphs import line_graph

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver
from .contract_pruning import DAY, prune, put_aged, shown


class RetentionFloorContract(Contract):
    """Nothing that is younger than the floor goes, whoever asks."""

    def test_a_floor_is_kept_in_the_store(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        assert saver.store.retention_floor is None
        saver.store.set_retention_floor(30 * DAY + timedelta(microseconds=1))
        assert reopen().store.retention_floor == 30 * DAY + timedelta(microseconds=1)

    def test_it_is_raised_freely_and_lowered_only_by_force(self, api: Api, saver: WfStoreSaver) -> None:
        store = saver.store
        store.set_retention_floor(10 * DAY)
        store.set_retention_floor(10 * DAY)
        store.set_retention_floor(20 * DAY)
        for lower in (None, 19 * DAY):
            with pytest.raises(RetentionError, match="force=True"):
                store.set_retention_floor(lower)
            assert store.retention_floor == 20 * DAY
        store.set_retention_floor(19 * DAY, force=True)
        assert store.retention_floor == 19 * DAY
        store.set_retention_floor(None, force=True)
        assert store.retention_floor is None

    @pytest.mark.parametrize("floor", [30, "30 days", timedelta(0), -DAY], ids=str)
    def test_what_is_no_span_is_refused(self, api: Api, saver: WfStoreSaver, floor: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="floor"):
            saver.store.set_retention_floor(floor)
        assert saver.store.retention_floor is None

    def test_who_raises_it_at_the_same_time_is_not_overwritten_with_less(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other, setting = reopen(), saver.store.backend.setting
        looked: list[str] = []

        def read_then_raised(name: str) -> bytes | None:
            found = setting(name)
            looked.append(name)
            if len(looked) == 1:
                other.store.set_retention_floor(60 * DAY)
            return found

        monkeypatch.setattr(saver.store.backend, "setting", read_then_raised)
        with pytest.raises(RetentionError):
            saver.store.set_retention_floor(30 * DAY)
        assert other.store.retention_floor == 60 * DAY

    def test_a_prune_is_refused_before_anything_is_changed(self, api: Api, saver: WfStoreSaver) -> None:
        old, young = put_aged(api, [90, 80, 70], "old"), put_aged(api, [20, 10], "young")
        saver.store.set_retention_floor(30 * DAY)
        heads = [saver.store.thread(name).head for name in ("old", "young")]
        for arguments in ({}, {"keep_last": 1}, {"older_than": 15 * DAY}, {"dry_run": True}):
            with pytest.raises(RetentionError, match=r"thread 'young'.*30 days.*may go from"):
                saver.store.prune(None, **arguments)
        for names in (["old", "young"], ["young"]):
            with pytest.raises(RetentionError):
                api.prune(names)
            with pytest.raises(RetentionError):
                api.prune(names, strategy="delete")
        assert [saver.store.thread(name).head for name in ("old", "young")] == heads
        assert prune(saver, ["old"]).total.checkpoints == 2
        prune(saver, older_than=30 * DAY)
        assert (shown(api, "old"), shown(api, "young")) == (ids_of(old[-1:]), ids_of(young))
        assert_sound(saver, "old", "young")

    def test_a_thread_is_not_deleted(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        saver.store.set_retention_floor(30 * DAY)
        put_aged(api, [90, 20])
        put_aged(api, [90, 80], "old")
        for each in (api, api.on(reopen())):
            with pytest.raises(RetentionError, match=rf"delete_thread\('{THREAD}'\).*30 days"):
                each.delete_thread(THREAD)
            each.delete_thread("old")
        assert len(shown(api)) == 2
        assert api.list(config_of("old")) == []

    def test_a_run_is_not_deleted_and_goes_on(self, api: Api, saver: WfStoreSaver) -> None:
        first = put_aged(api, [90], run_id="gone")
        stored = put_aged(api, [20], after=first[0], run_id="r")
        put_aged(api, [90], "other", run_id="r")
        saver.store.set_retention_floor(30 * DAY)
        with pytest.raises(RetentionError, match=r"delete_for_runs\(\['r'\]\)"):
            api.delete_for_runs(["r"])
        assert (len(shown(api)), len(shown(api, "other"))) == (2, 1)
        on = put_aged(api, [0], after=stored[0], run_id="r")
        assert api.read(config_of()).config == on[0]
        api.delete_for_runs(["gone"])
        assert shown(api) == ids_of([*stored, *on])
        assert_sound(saver, THREAD, "other")

    def test_the_records_of_a_young_run_stay(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, "a")
        api.invoke(graph, {"log": ["in"]}, config_of(), durability="sync")
        (run,) = saver.store.thread(THREAD).runs()
        saver.store.set_retention_floor(DAY)
        with pytest.raises(RetentionError, match="younger than the retention floor"):
            api.delete_for_runs([run.run_id])
        assert len(saver.store.thread(THREAD).runs()) == 1

    def test_a_branch_is_not_deleted(self, api: Api, saver: WfStoreSaver) -> None:
        main = put_aged(api, [90, 80])
        put_aged(api, [20], after=main[0])
        thread = saver.store.thread(THREAD)
        thread.switch("main")
        saver.store.set_retention_floor(30 * DAY)
        with pytest.raises(RetentionError, match="delete_branch"):
            thread.delete_branch("fork-1")
        assert len(shown(api)) == 3

    def test_what_cannot_be_dated_counts_as_young(self, api: Api, saver: WfStoreSaver) -> None:
        put_aged(api, [90, "?", 80])
        saver.store.set_retention_floor(30 * DAY)
        with pytest.raises(RetentionError, match="no time that can be read"):
            api.prune([THREAD])
        with pytest.raises(RetentionError, match="no time that can be read"):
            api.delete_thread(THREAD)
        assert prune(saver, [THREAD], older_than=30 * DAY).total.checkpoints == 1

    def test_the_head_of_a_line_may_be_young(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_aged(api, [90, 80, 1])
        saver.store.set_retention_floor(30 * DAY)
        api.prune([THREAD])
        assert shown(api) == ids_of(stored[-1:])
        assert_sound(saver, THREAD)
