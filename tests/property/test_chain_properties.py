"""Any sequence of operations leaves threads that verify, and gives the same ids on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from plain_puts import examples, put, put_writes

from langgraph_wfstore.errors import WfStoreError
from langgraph_wfstore.store import WfStore

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put"] * 6 + ["fork", "late parent", "child", "write", "write", "interrupt", "resume", "again"]
            + ["delete runs", "prune", "copy", "delete", "reopen"]
        ),
        st.integers(0, 2**16),
    ),
    max_size=25,
)  # fmt: skip


def secrets() -> Iterator[bytes]:
    for number in range(1000):
        yield number.to_bytes(32, "big")


class Player:
    """Plays operations on one store; what they do follows from their numbers alone."""

    def __init__(self, url: Any) -> None:
        self.secrets = secrets()
        self.store = WfStore.open(url, lineage_secret=self.secrets.__next__, synchronous="normal")
        self.made: dict[str, list[str]] = {"t": []}
        self.late: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.count = 0

    def play(self, what: str, number: int) -> None:
        random = Random(number)
        thread = random.choice(sorted(self.made))
        try:
            getattr(self, "_" + what.replace(" ", "_"))(thread, random)
        except WfStoreError as error:
            self.refused.append(type(error).__name__)

    def _put(self, thread: str, random: Random, parent: str | None = None, **more: Any) -> None:
        made = self.made[thread]
        own = f"c{self.count:05d}"
        if parent is None and made and random.randrange(20):
            parent = made[-1]
        self.count += 1
        values = {
            "list": [{"n": n} for n in range(random.randrange(60))],
            "text": f"text {random.randrange(3)}",
            "dict": {"a": [f"{n} " + "x" * 60 for n in range(random.randrange(9))]},
        }
        delta = {"counters_since_delta_snapshot": {"log": [1, 1]}} if random.randrange(2) else {}
        run_id = f"run-{self.count // 4}"
        put(self.store, own, parent, values, thread=thread, version=self.count, run_id=run_id, **delta, **more)
        if "namespace" not in more:
            made.append(own)

    def _fork(self, thread: str, random: Random) -> None:
        parent = random.choice(self.made[thread]) if self.made[thread] else None
        self._put(thread, random, parent, source=random.choice(["loop", "fork"]))

    def _late_parent(self, thread: str, random: Random) -> None:
        """A checkpoint whose parent arrives behind it, or never."""
        self._put(thread, random, f"late-{self.count}")
        if random.randrange(2):
            put(self.store, f"late-{self.count - 1}", None, {"text": "late"}, thread=thread)

    def _child(self, thread: str, random: Random) -> None:
        root = random.choice(self.made[thread]) if self.made[thread] else "nothing"
        self._put(thread, random, None, namespace=random.choice(["a:1", "b:2"]), parents={"": root})

    def _write(self, thread: str, random: Random) -> None:
        task = f"task-{random.randrange(3)}"
        writes = [(i, "log", [self.count, i]) for i in range(random.randrange(1, 4))]
        put_writes(self.store, self._anchor(thread, random), task, *writes, thread=thread)

    def _interrupt(self, thread: str, random: Random) -> None:
        put_writes(
            self.store,
            self._anchor(thread, random),
            "ask",
            (-3, "__interrupt__", random.randrange(9)),
            thread=thread,
            ends_run=True,
        )

    def _resume(self, thread: str, random: Random) -> None:
        put_writes(
            self.store, self._anchor(thread, random), "ask", (-4, "__resume__", random.randrange(9)), thread=thread
        )

    def _anchor(self, thread: str, random: Random) -> str:
        return random.choice([*self.made[thread][-2:], f"c{self.count:05d}"])

    def _again(self, thread: str, random: Random) -> None:
        """The last checkpoint once more: nothing happens."""
        before = self.records()
        if self.made[thread]:
            count, self.count = self.count, int(self.made[thread][-1][1:])
            found = self.store.get(thread, "", self.made[thread][-1], self.store.codec).checkpoint
            if found is not None and found.parent is not None:
                record = found.record
                put(
                    self.store, record.checkpoint_id, record.parent_checkpoint_id, found.values, thread=thread,
                    version=record.step or 0, **{k: v for k, v in found.metadata.items() if k != "step"},
                )  # fmt: skip
            self.count = count
        assert self.records() == before

    def _delete_runs(self, thread: str, random: Random) -> None:
        self.store.delete_for_runs([f"run-{random.randrange(self.count // 4 + 1)}"])

    def _prune(self, thread: str, random: Random) -> None:
        self.store.prune([thread])

    def _copy(self, thread: str, random: Random) -> None:
        target = f"copy-{random.randrange(2)}"
        self.store.copy_thread(thread, target)
        self.made[target] = list(self.made[thread])

    def _delete(self, thread: str, random: Random) -> None:
        self.store.delete_thread(thread)
        self.made[thread] = []

    def _reopen(self, thread: str, random: Random) -> None:
        self.store = WfStore(self.store.backend, lineage_secret=self.secrets.__next__)

    def records(self) -> dict[str, list[bytes]]:
        """The record ids of every thread, in order."""
        backend = self.store.backend
        tails = {tail.row.name.decode(): tail.row.number or 0 for tail in backend.threads(0, 100)}
        return {name: [row.id for row in backend.records(number, 0, 10_000)] for name, number in tails.items()}

    def check(self) -> None:
        for info in self.store.threads():
            report = self.store.thread(info.thread_id).verify(expect_head=self.store.thread(info.thread_id).head)
            assert report.problems == ()
            assert report.sealed + report.unsealed == info.records


@examples(120)
@given(OPERATIONS)
def test_every_thread_verifies_after_any_operations(operations):
    player = Player(":memory:")
    for what, number in operations:
        player.play(what, number)
        player.check()


@examples(20)
@given(OPERATIONS)
def test_the_same_operations_give_the_same_records_on_every_engine(operations):
    with TemporaryDirectory() as folder:
        memory, file = Player(":memory:"), Player(Path(folder) / "store.db")
        for what, number in operations:
            memory.play(what, number)
            file.play(what, number)
        file.check()
        assert memory.records() == file.records()
        assert memory.refused == file.refused
        heads = [{info.thread_id: info.head for info in player.store.threads()} for player in (memory, file)]
        assert heads[0] == heads[1]
        file.store.close()


@examples(40)
@given(OPERATIONS)
def test_every_head_there_ever_was_stays_in_the_chain(operations):
    player = Player(":memory:")
    heads: dict[tuple[str, int], set[str]] = {}
    for what, number in operations:
        player.play(what, number)
        for info in player.store.threads():
            head = player.store.thread(info.thread_id).head
            heads.setdefault((info.thread_id, info.created), set()).update({head} - {None})
    for info in player.store.threads():
        for head in heads[info.thread_id, info.created]:
            assert player.store.thread(info.thread_id).verify(expect_head=head).ok
