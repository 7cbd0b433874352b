"""The contract of conflicts: with `on_conflict="error"` one of those who go on from a head wins; the rest are told."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from langgraph_wfstore.appending.leases import Lease
from langgraph_wfstore.errors import ConflictError

from .api import PATIENCE, Api, within
from .contract import Contract, Reopen, assert_sound
from .contract_branches import current_of, heads_of
from .gate import Gate
from .material import THREAD, checkpoint_of, config_of, id_of, metadata_of, put_chain
from .sample_graphs import chat_graph, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


def exclusive(api: Api, saver: WfStoreSaver) -> Api:
    """The same interface of a saver on the same store that refuses what would fork unasked."""
    return api.on(type(saver)(saver.store, on_conflict="error"))


class ConflictsContract(Contract):
    """A put whose parent is no longer a head."""

    def test_a_put_on_an_old_checkpoint_is_refused_and_writes_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        strict = exclusive(api, saver)
        main = put_chain(strict, 3)
        before = saver.store.stats()
        with pytest.raises(ConflictError, match="another run was faster") as told:
            strict.put(main[0], checkpoint_of({"n": "late"}))
        assert id_of(main[2]) in str(told.value)
        assert id_of(main[0]) in str(told.value)
        with pytest.raises(ConflictError, match="goes on from None"):
            strict.put(config_of(), checkpoint_of({"n": "fresh"}))
        with pytest.raises(ConflictError, match="goes on from 'never put'"):
            strict.put(config_of(checkpoint_id="never put"), checkpoint_of({"n": "fresh"}))
        assert {**saver.store.stats(), "file_bytes": 0} == {**before, "file_bytes": 0}
        assert heads_of(saver) == {"main": id_of(main[2])}
        assert_sound(saver, THREAD)

    def test_the_same_put_again_is_no_conflict(self, api: Api, saver: WfStoreSaver) -> None:
        strict = exclusive(api, saver)
        first, checkpoint = put_chain(strict, 1)[0], checkpoint_of({"n": 1})
        second = strict.put(first, checkpoint)
        put_chain(strict, 1, after=second)
        assert strict.put(first, checkpoint) == second

    def test_a_deliberate_fork_is_none(self, api: Api, saver: WfStoreSaver) -> None:
        strict = exclusive(api, saver)
        main = put_chain(strict, 3)
        named: Any = {"configurable": {**main[0]["configurable"], "branch": "named"}}
        put_chain(strict, 2, after=named)
        strict.put(main[0], checkpoint_of({"n": "fork"}), metadata_of(1, "fork"))
        assert strict.read(main[1]).config == main[1]
        strict.put(main[1], checkpoint_of({"n": "addressed"}))
        assert [*heads_of(saver)] == ["main", "named", "fork-1", "fork-2"]
        with pytest.raises(ConflictError, match="branch 'named'"):
            strict.put(named, checkpoint_of({"n": "late"}))
        assert_sound(saver, THREAD)

    def test_below_the_root_nothing_conflicts(self, api: Api, saver: WfStoreSaver) -> None:
        strict = exclusive(api, saver)
        root = put_chain(strict, 1)[0]
        child = put_chain(strict, 2, ns="sub:1", parents={"": id_of(root)})
        put_chain(strict, 1, ns="sub:1", after=child[0], parents={"": id_of(root)})
        assert_sound(saver, THREAD)

    def test_an_update_of_what_was_read_is_refused_if_another_came_first(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        strict = exclusive(api, saver)
        graph = chat_graph(strict.saver)
        strict.invoke(graph, says_human(0), config_of())
        gate = Gate(strict.saver, monkeypatch)
        errors: list[BaseException] = []

        def late() -> None:
            try:
                slow: Any = {**config_of(), "metadata": {"held": True}}
                strict.update_state(graph, slow, says_human(1), as_node="bot")
            except ConflictError as error:
                errors.append(error)

        thread = threading.Thread(target=late, daemon=True)
        thread.start()
        assert gate.reached.wait(PATIENCE)
        within(lambda: strict.update_state(graph, config_of(), says_human(2), as_node="bot"))
        gate.opened.set()
        thread.join(PATIENCE)
        assert len(errors) == 1
        assert [each.id for each in strict.get_state(graph, config_of()).values["messages"]] == ["h0", "re-h0", "h2"]
        assert [*heads_of(saver)] == ["main"]

    def test_an_update_of_an_addressed_checkpoint_is_a_fork(self, api: Api, saver: WfStoreSaver) -> None:
        strict = exclusive(api, saver)
        graph = chat_graph(strict.saver)
        for number in range(2):
            strict.invoke(graph, says_human(number), config_of())
        old = [each for each in strict.history(graph, config_of()) if not each.next][-1]
        stored = strict.update_state(graph, old.config, says_human(10), as_node="bot")
        assert heads_of(saver)["fork-1"] == id_of(stored)
        strict.invoke(graph, says_human(11), config_of())
        with_id = next(each for each in strict.history(graph, config_of(branch="main")) if each.next == ("bot",))
        strict.invoke(graph, None, with_id.config)
        assert [*heads_of(saver)] == ["main", "fork-1", "fork-2"]
        strict.update_state(graph, {"configurable": {**old.config["configurable"], "branch": "b"}}, says_human(12))
        assert [*heads_of(saver)] == ["main", "fork-1", "fork-2", "b"]
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("durability", ["sync", "async", "exit"])
    def test_a_run_that_was_overtaken_is_told_and_leaves_no_checkpoint(
        self, api: Api, saver: WfStoreSaver, monkeypatch: pytest.MonkeyPatch, durability: str
    ) -> None:
        strict = exclusive(api, saver)
        graph = chat_graph(strict.saver)
        strict.invoke(graph, says_human(0), config_of(), durability=durability)
        gate = Gate(strict.saver, monkeypatch)
        errors: list[BaseException] = []

        def overtaken() -> None:
            try:
                slow: Any = {**config_of(), "metadata": {"held": True}}
                strict.invoke(graph, says_human(1), slow, durability=durability)
            except ConflictError as error:
                errors.append(error)

        run = threading.Thread(target=overtaken, daemon=True)
        run.start()
        assert gate.reached.wait(PATIENCE)
        within(lambda: strict.invoke(graph, says_human(2), config_of(), durability=durability))
        gate.opened.set()
        run.join(PATIENCE)
        assert [type(error) for error in errors] == [ConflictError]
        assert [*heads_of(saver)] == ["main"]
        found = [each.id for each in strict.get_state(graph, config_of()).values["messages"]]
        assert found == ["h0", "re-h0", "h2", "re-h2"]
        assert not any(each.metadata.get("held") for each in strict.list(config_of()))
        strict.invoke(graph, says_human(3), config_of(), durability=durability)
        assert_sound(saver, THREAD)

    @pytest.mark.parametrize("refuses", [True, False])
    def test_of_many_who_go_on_from_one_head_one_wins(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen, refuses: bool
    ) -> None:
        heads = put_chain(api, 1)
        writers = [type(saver)(reopen().store, on_conflict="error" if refuses else "fork") for _ in range(6)]
        for _ in range(4):
            outcomes: list[str] = []
            barrier = threading.Barrier(len(writers))

            def go_on(writer: WfStoreSaver, start: Any = heads[-1]) -> None:
                each = api.on(writer)
                barrier.wait(PATIENCE)  # noqa: B023  # the threads end within the round
                try:
                    outcomes.append(id_of(each.put(start, checkpoint_of({"n": 1}), metadata_of(1))))  # noqa: B023  # as above
                except ConflictError:
                    outcomes.append("refused")  # noqa: B023  # as above

            threads = [threading.Thread(target=go_on, args=(writer,), daemon=True) for writer in writers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            winners = [each for each in outcomes if each != "refused"]
            assert len(outcomes) == len(writers)
            listed = [head for head in heads_of(saver).values() if head in winners]
            assert len(listed) == len(winners) == (1 if refuses else len(writers))
            heads.append(api.read(config_of()).config)
        assert current_of(saver) == "main" if refuses else len(heads_of(saver)) > 1
        assert_sound(saver, THREAD)


class LeasesContract(Contract):
    """One runner at a time, for those who claim a thread."""

    def claim(self, api: Api, ttl: timedelta | float = 60, **options: Any) -> Lease:
        found: Lease = api.call(api.saver, "claim", THREAD, ttl, **options)
        return found

    @pytest.mark.parametrize("ttl", [timedelta.max, 1e30, float("inf"), float("nan"), True, None, "x"])
    def test_a_time_that_is_none_is_refused_and_holds_nothing(self, api: Api, saver: WfStoreSaver, ttl: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="ttl is"):
            self.claim(api, ttl)
        self.claim(api, timedelta(days=36_500)).release()
        with pytest.raises((TypeError, ValueError), match="wait is"):
            self.claim(api, 5, wait=ttl)
        with self.claim(api, 5, wait=timedelta(seconds=1)), pytest.raises(ConflictError):
            self.claim(api, 5, wait=timedelta(milliseconds=1))

    def test_a_claimed_thread_is_held_until_it_is_released(self, api: Api, reopen: Reopen) -> None:
        other = api.on(reopen())
        with self.claim(api) as lease:
            with pytest.raises(ConflictError, match="claimed by another runner until"):
                self.claim(other)
            with pytest.raises(ConflictError):
                self.claim(api, wait=0.05)
            lease.renew()
            put_chain(api, 2)
        with self.claim(other) as next_lease:
            assert next_lease.token > lease.token
            lease.release()
            put_chain(other, 1, after=other.read(config_of()).config)
        assert len(api.list(config_of())) == 3

    def test_who_waits_is_next(self, api: Api, reopen: Reopen) -> None:
        lease = self.claim(api)
        found: list[Lease] = []
        other = api.on(reopen())
        waiting = threading.Thread(target=lambda: found.append(self.claim(other, wait=PATIENCE)), daemon=True)
        waiting.start()
        waiting.join(0.1)
        assert not found
        lease.release()
        waiting.join(PATIENCE)
        assert found[0].token == lease.token + 1

    def test_an_expired_lease_holds_until_another_comes(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        lease = self.claim(api, 0.001)
        time.sleep(0.01)
        stored = put_chain(api, 2)
        lease.renew()
        time.sleep(0.01)
        with self.claim(api.on(reopen())):
            for work in (
                lambda: put_chain(api, 1, after=stored[-1]),
                lambda: api.put_writes(stored[-1], [("n", "late")], "task"),
                lease.renew,
            ):
                with pytest.raises(ConflictError, match=f"token {lease.token} was lost"):
                    work()
        assert len(api.list(config_of())) == 2
        assert not api.read(config_of()).pending_writes
        lease.release()
        put_chain(api, 1, after=stored[-1])
        assert_sound(saver, THREAD)

    def test_who_claims_nothing_is_not_held_back(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        with self.claim(api):
            put_chain(api.on(reopen()), 1)
            put_chain(api, 1, "another thread")
        assert_sound(saver, THREAD)

    def test_tokens_outlive_the_thread(self, api: Api) -> None:
        with self.claim(api) as first:
            put_chain(api, 1)
        api.delete_thread(THREAD)
        with self.claim(api) as second:
            assert second.token > first.token
            put_chain(api, 1)

    @pytest.mark.parametrize("ttl", [0, -1, timedelta()])
    def test_a_lease_has_a_time(self, api: Api, ttl: Any) -> None:
        with pytest.raises(ValueError, match="ttl"):
            self.claim(api, ttl)

    def test_a_clone_of_a_saver_holds_what_it_holds(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        clone = saver.with_allowlist([])
        lease = self.claim(api, 0.001)
        time.sleep(0.01)
        with self.claim(api.on(reopen())), pytest.raises(ConflictError):
            put_chain(api.on(clone), 1)
        lease.release()
        put_chain(api.on(clone), 1)

    @pytest.mark.parametrize("alone", [True, False])
    def test_a_claim_between_the_look_and_the_write_counts(
        self, api: Api, saver: WfStoreSaver, reopen: Reopen, monkeypatch: pytest.MonkeyPatch, alone: bool
    ) -> None:
        stored = [] if alone else put_chain(api, 1)
        lease = self.claim(api, 0.001)
        time.sleep(0.01)
        other, backend = api.on(reopen()), saver.store.backend
        look, claims = backend.lease, [self.claim]

        def look_and_be_overtaken(name: bytes) -> Any:
            found = look(name)
            for claim in claims[:1]:
                claims.clear()
                claim(other)
            return found

        monkeypatch.setattr(backend, "lease", look_and_be_overtaken)
        with pytest.raises(ConflictError, match=f"token {lease.token} was lost"):
            put_chain(api, 1, after=stored[-1] if stored else None)
        assert len(api.list(config_of())) == len(stored)
