"""The contract of concurrency: threads, event loops and savers at the same time; nothing is lost, nothing hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
from langchain_core.runnables import RunnableConfig

from .api import PATIENCE, Api, within
from .contract import Contract, Reopen, assert_sound
from .material import THREAD, checkpoint_of, config_of, id_of, ids_of, metadata_of, put_chain
from .sample_graphs import chat_graph, says_human

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

WORKERS = 8


def at_once(*work: Callable[[], object]) -> None:
    """Runs all of it at the same time, and raises what one of them raises."""
    start = threading.Barrier(len(work))
    failures: list[BaseException] = []

    def begin(each: Callable[[], object]) -> None:
        try:
            start.wait(PATIENCE)
            each()
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread of the test
            failures.append(error)

    workers = [threading.Thread(target=begin, args=(each,), daemon=True) for each in work]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 3 * PATIENCE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
    if any(worker.is_alive() for worker in workers):
        pytest.fail(f"still running after {3 * PATIENCE} s: it hangs")


class ConcurrencyContract(Contract):
    """Many callers of one saver, and many savers of one place."""

    def test_many_callers_on_many_threads_lose_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        names = [f"thread {number}" for number in range(WORKERS)]
        at_once(*(partial(put_chain, api, 10, name) for name in names))
        for name in names:
            listed = api.list(config_of(name))
            assert [found.checkpoint["channel_values"]["n"] for found in listed] == [*range(10)][::-1]
        assert_sound(saver, *names)

    def test_many_callers_on_one_thread_lose_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        root = put_chain(api, 1)[0]
        chains: list[list[RunnableConfig]] = []
        at_once(*[lambda: chains.append(put_chain(api, 8, after=root))] * WORKERS)
        listed = api.list(config_of())
        assert {*ids_of(listed)} == {id_of(root), *(each for chain in chains for each in ids_of(chain))}
        assert len(listed) == 1 + 8 * WORKERS
        places = {checkpoint_id: place for place, checkpoint_id in enumerate(ids_of(listed))}
        for chain in chains:
            parents = [api.read(config).parent_config for config in chain]
            assert parents == [root, *chain[:-1]]
            assert ids_of(chain) == sorted(ids_of(chain), key=lambda each: -places[each])
        assert_sound(saver, THREAD)

    def test_many_savers_on_one_place_lose_nothing(self, api: Api, saver: WfStoreSaver, reopen: Reopen) -> None:
        root = put_chain(api, 1)[0]
        others = [api, *(api.on(reopen()) for _ in range(3))]
        at_once(*(partial(put_chain, each, 8, after=root) for each in others))
        for each in others:
            assert len(each.list(config_of())) == 1 + 8 * len(others)
        assert_sound(saver, THREAD)

    def test_many_writers_to_one_checkpoint_lose_nothing(self, api: Api, saver: WfStoreSaver) -> None:
        stored = put_chain(api, 1)[0]

        def write(worker: int) -> None:
            for number in range(10):
                api.put_writes(stored, [("a", number), ("b", worker)], f"task {worker} {number}", f"~{worker}")

        at_once(*(partial(write, worker) for worker in range(WORKERS)))
        expected = [
            (f"task {worker} {number}", channel, value)
            for worker in range(WORKERS)
            for number in range(10)
            for channel, value in (("a", number), ("b", worker))
        ]
        assert api.read(stored).pending_writes == expected
        assert_sound(saver, THREAD)

    def test_the_same_put_by_many_callers_lands_once(self, api: Api, saver: WfStoreSaver) -> None:
        root = put_chain(api, 1)[0]
        checkpoint = checkpoint_of({"a": [1, 2]})
        at_once(*[lambda: api.put(root, checkpoint, metadata_of(1))] * WORKERS)
        assert ids_of(api.list(config_of())) == [checkpoint["id"], id_of(root)]
        assert_sound(saver, THREAD)

    def test_a_put_that_returned_is_seen_by_every_other_saver(self, api: Api, reopen: Reopen) -> None:
        savers = [api, api.on(reopen()), api.on(reopen())]
        last: RunnableConfig | None = None
        for number in range(12):
            last = put_chain(savers[number % 3], 1, after=last)[0]
            savers[(number + 1) % 3].put_writes(last, [("a", number)], "task")
            for each in savers:
                found = each.read(config_of())
                assert found.config == last
                assert found.pending_writes == [("task", "a", number)]

    def test_a_thread_deleted_by_another_saver_is_gone_for_all(self, api: Api, reopen: Reopen) -> None:
        other = api.on(reopen())
        put_chain(api, 3)
        assert len(other.list(config_of())) == 3
        api.delete_thread(THREAD)
        assert other.get_tuple(config_of()) is None
        fresh = put_chain(other, 1)[0]
        assert api.read(config_of()).config == fresh

    def test_readers_see_whole_checkpoints_while_others_write(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 1)
        done = threading.Event()

        def write() -> None:
            try:
                put_chain(api, 60, after=api.read(config_of()).config)
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                values = api.read(config_of()).checkpoint["channel_values"]
                assert values["list"] == [*range(values["n"])]
                assert all(found.parent_config for found in api.list(config_of(), limit=3)[:-1])

        at_once(write, read, read)
        assert_sound(saver, THREAD)

    def test_deleting_while_others_put_leaves_a_sound_place(self, api: Api, saver: WfStoreSaver) -> None:
        put_chain(api, 5, "kept")
        names = [f"thread {number}" for number in range(4)]

        def live_and_die(name: str) -> None:
            for _ in range(4):
                put_chain(api, 3, name)
                api.delete_thread(name)
            put_chain(api, 2, name)

        at_once(*(partial(live_and_die, name) for name in names))
        assert len(api.list(None)) == 5 + 2 * len(names)
        assert_sound(saver, "kept", *names)

    def test_graphs_run_on_many_threads_at_once(self, api: Api, saver: WfStoreSaver) -> None:
        graph = chat_graph(saver)
        names = [f"thread {number}" for number in range(WORKERS)]

        def talk(name: str) -> None:
            for number in range(4):
                api.invoke(graph, says_human(number), config_of(name))

        at_once(*(partial(talk, name) for name in names))
        for name in names:
            messages = api.get_state(graph, config_of(name)).values["messages"]
            assert [each.id for each in messages] == [f"{who}{n}" for n in range(4) for who in ("h", "re-h")]
        assert_sound(saver, *names)


class EventLoopsContract(Contract):
    """The async methods on any loop, the sync methods inside one."""

    def test_sync_methods_inside_a_running_loop_work(self, saver: WfStoreSaver) -> None:
        async def use() -> None:
            stored = saver.put(config_of(), checkpoint_of({"a": 1}), metadata_of(), {"a": 1})
            saver.put_writes(stored, [("a", 2)], "task")
            found = saver.get_tuple(config_of())
            assert found is not None
            assert found.pending_writes == [("task", "a", 2)]
            assert len([*saver.list(config_of())]) == 1
            await saver.aput(stored, checkpoint_of({"a": 2}), metadata_of(1), {"a": 1})
            assert len([*saver.list(config_of())]) == 2
            saver.copy_thread(THREAD, "copy")
            saver.prune([THREAD])
            saver.delete_for_runs(["unknown"])
            saver.get_delta_channel_history(config=config_of(), channels=["a"])
            saver.delete_thread(THREAD)
            assert await saver.aget_tuple(config_of()) is None

        within(lambda: asyncio.run(use()))

    def test_sync_graph_calls_inside_a_running_loop_work(self, saver: WfStoreSaver) -> None:
        async def use() -> list[str]:
            graph = chat_graph(saver)
            graph.invoke(says_human(0), config_of())
            await graph.ainvoke(says_human(1), config_of())
            return [each.id for each in graph.get_state(config_of()).values["messages"]]

        assert within(lambda: asyncio.run(use())) == ["h0", "re-h0", "h1", "re-h1"]

    def test_one_saver_serves_one_loop_after_the_other(self, saver: WfStoreSaver) -> None:
        async def turn(number: int) -> int:
            graph = chat_graph(saver)
            await graph.ainvoke(says_human(number), config_of())
            return len([found async for found in saver.alist(config_of())])

        counts = [within(partial(asyncio.run, turn(number))) for number in range(4)]
        assert counts == [3, 6, 9, 12]
        assert_sound(saver, THREAD)

    def test_one_saver_serves_several_loops_at_the_same_time(self, saver: WfStoreSaver) -> None:
        async def talk(loop: int) -> None:
            graph = chat_graph(saver)
            names = [f"loop {loop} thread {number}" for number in range(4)]
            for number in range(3):
                await asyncio.gather(*(graph.ainvoke(says_human(number), config_of(name)) for name in names))
            for name in names:
                state = await graph.aget_state(config_of(name))
                assert len(state.values["messages"]) == 6

        at_once(*(partial(asyncio.run, talk(loop)) for loop in range(4)))
        assert_sound(saver, *(f"loop {loop} thread {number}" for loop in range(4) for number in range(4)))

    def test_many_tasks_of_one_loop_lose_nothing(self, saver: WfStoreSaver) -> None:
        async def run() -> int:
            async def one(name: str) -> None:
                stored = config_of(name)
                for number in range(5):
                    checkpoint = checkpoint_of({"n": number}, {"n": number + 1})
                    stored = await saver.aput(stored, checkpoint, metadata_of(number), {"n": number + 1})
                    await saver.aput_writes(stored, [("n", number)], "task")

            await asyncio.gather(*(one(f"task {number}") for number in range(40)))
            return len([found async for found in saver.alist(None)])

        assert within(lambda: asyncio.run(run()), 3 * PATIENCE) == 200
        assert_sound(saver, *(f"task {number}" for number in range(40)))

    def test_a_cancelled_call_leaves_the_saver_usable(self, saver: WfStoreSaver) -> None:
        async def run() -> None:
            calls = [
                asyncio.create_task(saver.aput(config_of(), checkpoint_of({"n": [*range(500)]}), metadata_of(n), {}))
                for n in range(20)
            ]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert all(call.cancelled() or call.exception() is None for call in calls)
            assert len([found async for found in saver.alist(config_of())]) >= 10

        within(lambda: asyncio.run(run()))
        assert_sound(saver, THREAD)

    def test_a_paused_alist_lets_other_tasks_write(self, saver: WfStoreSaver) -> None:
        async def run() -> tuple[int, int]:
            stored = config_of()
            for number in range(20):
                stored = await saver.aput(stored, checkpoint_of({"n": number}), metadata_of(number), {"n": 1})
            seen = 0
            async for found in saver.alist(config_of()):
                seen += 1
                await asyncio.gather(
                    saver.aput(stored, checkpoint_of({"n": -1}), metadata_of(99, "fork"), {"n": 1}),
                    saver.aput_writes(found.config, [("n", 1)], "task"),
                    asyncio.to_thread(saver.put_writes, found.config, [("n", 1)], "task-2"),
                )
            return seen, len([found async for found in saver.alist(config_of())])

        assert within(lambda: asyncio.run(run())) == (20, 40)
