"""The contract of list: what is listed, in which order, and what may happen meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from .api import Api, within
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, before_of, checkpoint_of, config_of, id_of, ids_of, metadata_of, new_ids, put_chain
from .sample_graphs import line_graph

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver


class ListingContract(Contract):
    """Which checkpoints are listed."""

    def test_checkpoints_are_listed_newest_first_with_their_writes(self, api: Api) -> None:
        stored = put_chain(api, 5)
        for number, config in enumerate(stored):
            api.put_writes(config, [("a", number)], "task")
        listed = api.list(config_of())
        assert [found.config for found in listed] == stored[::-1]
        assert [found.pending_writes for found in listed] == [[("task", "a", number)] for number in (4, 3, 2, 1, 0)]
        assert listed == [api.read(config) for config in stored[::-1]]

    def test_a_limit_is_kept(self, api: Api) -> None:
        ids = ids_of(put_chain(api, 4))
        assert ids_of(api.list(config_of(), limit=1)) == ids[:-2:-1]
        assert ids_of(api.list(config_of(), limit=3)) == ids[:0:-1]
        assert ids_of(api.list(config_of(), limit=9)) == ids[::-1]
        assert ids_of(api.list(config_of(), limit=None)) == ids[::-1]

    def test_a_limit_of_zero_gives_nothing(self, api: Api) -> None:
        put_chain(api, 2)
        assert api.list(config_of(), limit=0) == []
        assert api.list(None, limit=0) == []

    @pytest.mark.parametrize("limit", [-1, -100])
    def test_a_negative_limit_is_a_value_error(self, api: Api, limit: int) -> None:
        put_chain(api, 2)
        with pytest.raises(ValueError, match="limit"):
            api.list(config_of(), limit=limit)
        with pytest.raises(ValueError, match="limit"):
            api.list(None, limit=limit)

    def test_before_gives_what_is_older(self, api: Api) -> None:
        stored = put_chain(api, 5)
        ids = ids_of(stored)
        assert ids_of(api.list(config_of(), before=stored[3])) == [ids[2], ids[1], ids[0]]
        assert ids_of(api.list(config_of(), before=before_of(ids[3]), limit=1)) == [ids[2]]
        assert api.list(config_of(), before=stored[0]) == []

    def test_before_without_an_id_is_no_bound(self, api: Api) -> None:
        assert len(put_chain(api, 2)) == len(api.list(config_of(), before=config_of()))

    def test_a_checkpoint_id_in_the_config_lists_that_one(self, api: Api) -> None:
        stored = put_chain(api, 3)
        assert [found.config for found in api.list(stored[1])] == [stored[1]]
        assert api.list(config_of(checkpoint_id=new_ids(1)[0])) == []

    def test_no_namespace_in_the_config_lists_all_of_them(self, api: Api) -> None:
        for ns in ("", "sub:1", "sub:1|inner:2"):
            put_chain(api, 2, ns=ns)
        listed = api.list(config_of(ns=None))
        namespaces = [found.config["configurable"]["checkpoint_ns"] for found in listed]
        assert sorted(namespaces) == ["", "", "sub:1", "sub:1", "sub:1|inner:2", "sub:1|inner:2"]
        assert len(api.list(config_of(ns=""))) == 2
        assert len(api.list(config_of(ns="sub:1"))) == 2

    def test_no_config_lists_all_threads(self, api: Api) -> None:
        for thread_id in ("a", "b", "c"):
            put_chain(api, 2, thread_id)
        listed = api.list(None)
        assert sorted(found.config["configurable"]["thread_id"] for found in listed) == ["a", "a", "b", "b", "c", "c"]
        assert len(api.list(None, limit=4)) == 4

    def test_a_thread_that_is_not_there_lists_nothing(self, api: Api) -> None:
        put_chain(api, 1, "other")
        assert api.list(config_of()) == []

    def test_a_long_thread_is_listed_whole(self, api: Api) -> None:
        stored = put_chain(api, 120)
        assert ids_of(api.list(config_of())) == ids_of(stored)[::-1]
        assert ids_of(api.list(config_of(), before=stored[60])) == ids_of(stored)[59::-1]


class IterationContract(Contract):
    """What may happen while a list is read: everything, and nothing is skipped, blocked or repeated."""

    def interleaved(self, api: Api, config: Any, step: Any, **kwargs: Any) -> list[str]:
        """The ids that a list gives while `step` is called on each of its items."""

        def read() -> list[str]:
            seen: list[str] = []
            for found in api.iterate(config, **kwargs):
                seen.append(id_of(found))
                step(found)
            return seen

        return within(read)

    def test_list_gives_an_iterator_that_has_not_begun(self, saver: WfStoreSaver) -> None:
        listed = saver.list(config_of("not", checkpoint_id="there"))
        assert isinstance(listed, Iterator)
        assert list(listed) == []

    def test_putting_inside_the_loop_neither_blocks_nor_skips(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 25)
        heads = [stored[-1]]

        def put(_: CheckpointTuple) -> None:
            heads.extend(put_chain(api, 1, after=heads[-1]))

        assert self.interleaved(api, config_of(), put) == ids_of(stored)[::-1]
        assert len(api.list(config_of())) == 50
        assert_sound(saver, THREAD)

    def test_writing_to_what_is_listed_neither_blocks_nor_skips(self, api: Api) -> None:
        stored = put_chain(api, 25)

        def write(found: CheckpointTuple) -> None:
            api.put_writes(found.config, [("a", 1)], "task")

        assert self.interleaved(api, config_of(), write) == ids_of(stored)[::-1]
        assert all(found.pending_writes for found in api.list(config_of()))

    def test_reading_and_listing_inside_the_loop_neither_blocks_nor_skips(self, api: Api) -> None:
        stored = put_chain(api, 25)

        def read(found: CheckpointTuple) -> None:
            assert api.read(found.config) == found
            assert len(api.list(config_of(), limit=3)) == 3

        assert self.interleaved(api, config_of(), read) == ids_of(stored)[::-1]

    def test_deleting_other_threads_inside_the_loop_neither_blocks_nor_skips(self, api: Api) -> None:
        kept = put_chain(api, 10, "kept")
        for number in range(10):
            put_chain(api, 1, f"doomed {number}")
        doomed = iter(range(10))

        def delete(_: CheckpointTuple) -> None:
            api.delete_thread(f"doomed {next(doomed, 0)}")

        seen = self.interleaved(api, None, delete)
        assert [each for each in seen if each in ids_of(kept)] == ids_of(kept)[::-1]
        assert len(api.list(None)) == 10

    def test_deleting_the_listed_thread_inside_the_loop_ends_it_quietly(self, api: Api) -> None:
        stored = put_chain(api, 25)

        def delete(_: CheckpointTuple) -> None:
            api.delete_thread(THREAD)

        seen = self.interleaved(api, config_of(), delete)
        assert seen == ids_of(stored)[::-1][: len(seen)]
        assert api.list(config_of()) == []

    def test_pruning_the_listed_thread_inside_the_loop_ends_it_quietly(self, api: Api) -> None:
        stored = put_chain(api, 25)
        seen = self.interleaved(api, config_of(), lambda _: api.prune([THREAD]))
        assert seen == ids_of(stored)[::-1][: len(seen)]
        assert ids_of(api.list(config_of())) == ids_of(stored)[-1:]

    def test_a_history_can_be_read_while_the_graph_is_read_and_updated(self, api: Api, saver: WfStoreSaver) -> None:
        graph = line_graph(saver, *"abcde")
        api.invoke(graph, {"log": ["in"]}, config_of())
        expected = [snapshot.config for snapshot in api.history(graph, config_of())]

        def read() -> list[RunnableConfig]:
            seen: list[RunnableConfig] = []
            for snapshot in api.history(graph, config_of()):
                seen.append(snapshot.config)
                assert api.get_state(graph, snapshot.config).values == snapshot.values
                api.update_state(graph, snapshot.config, {"log": ["edited"]}, as_node="a")
                api.invoke(graph, {"log": ["another"]}, config_of("another"))
            return seen

        assert within(read) == expected
        assert len(api.list(config_of())) == 2 * len(expected)

    def test_a_paused_iterator_lets_every_other_saver_write(self, api: Api, reopen: Reopen) -> None:
        stored = put_chain(api, 25)
        other = api.on(reopen())

        def pause_and_write() -> list[str]:
            paused = api.iterate(config_of())
            seen = [id_of(next(paused))]
            put_chain(other, 2, "another thread")
            head = put_chain(other, 1, after=stored[-1])[0]
            other.put_writes(head, [("a", 1)], "task")
            other.delete_thread("another thread")
            return [*seen, *ids_of([*paused])]

        assert within(pause_and_write) == ids_of(stored)[::-1]

    def test_many_paused_iterators_do_no_harm(self, api: Api) -> None:
        stored = put_chain(api, 5)

        def pause_many() -> list[list[str]]:
            paused = [api.iterate(config_of()) for _ in range(40)]
            for each in paused:
                next(each)
            put_chain(api, 1, after=stored[-1])
            return [ids_of([*each]) for each in paused]

        assert within(pause_many) == [ids_of(stored)[-2::-1]] * 40

    def test_an_abandoned_iterator_does_no_harm(self, api: Api) -> None:
        stored = put_chain(api, 25)

        def abandon() -> None:
            for _ in range(30):
                for _found in api.iterate(config_of()):
                    break

        within(abandon)
        within(lambda: put_chain(api, 1, after=stored[-1]))
        assert len(api.list(config_of())) == 26

    def test_an_iterator_may_move_to_another_thread(self, saver: WfStoreSaver, api: Api) -> None:
        stored = put_chain(api, 5)
        listed = saver.list(config_of())
        first = within(lambda: next(listed))
        rest = within(lambda: [*listed])
        assert ids_of([first, *rest]) == ids_of(stored)[::-1]

    def test_forks_put_inside_the_loop_are_not_skipped_later(self, api: Api) -> None:
        stored = put_chain(api, 10)

        def fork(found: CheckpointTuple) -> None:
            api.put(found.config, checkpoint_of({"fork": id_of(found)}), metadata_of(99, "fork"))

        assert self.interleaved(api, config_of(), fork) == ids_of(stored)[::-1]
        assert len(api.list(config_of(), filter={"source": "fork"})) == 10
