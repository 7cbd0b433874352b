"""What writes while a fault test injects faults, and what must be there afterwards; on any engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from langgraph_wfstore import BackendUnavailableError, WfStoreSaver
from langgraph_wfstore.testing.api import within
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, metadata_of


def put(saver: WfStoreSaver, thread_id: str, number: int, config: Any = None) -> Any:
    """A checkpoint with a text that is found by its id, and a list that grows and shrinks."""
    values = {
        "number": number,
        "text": f"{number} " + "x" * 1500,
        "list": [f"element {place} " * 9 for place in range(number % 7 + 1)],
    }
    checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
    return saver.put(config or config_of(thread_id), checkpoint, metadata_of(number), checkpoint["channel_versions"])


def numbers(saver: WfStoreSaver, thread_id: str) -> list[int]:
    """Of the checkpoints that are there, newest first."""
    return [found.checkpoint["channel_values"]["number"] for found in saver.list(config_of(thread_id))]


def assert_unavailable(work: Callable[[], object], timeout: float, said: str) -> None:
    """It fails with these words. A busy machine may take 20 s more than the timeout for it, what hangs takes longer."""
    with pytest.raises(BackendUnavailableError, match=said):
        within(work, timeout + 20)


@dataclass
class Writer:
    """Writes to threads of its own until it is told to stop, and notes what was acknowledged."""

    saver: WfStoreSaver
    names: list[str]
    acknowledged: dict[str, list[int]] = field(default_factory=dict)
    failed: int = 0
    wrong: list[Exception] = field(default_factory=list)

    def __enter__(self) -> Writer:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(name,)) for name in self.names]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a writer hangs"
        if self.wrong:
            raise self.wrong[0]

    def until(self, count: int, seconds: float = 30) -> None:
        """Wait for so many more acknowledged operations."""
        wanted, end = self.total + count, time.monotonic() + seconds
        while self.total < wanted and time.monotonic() < end and not self.wrong:
            time.sleep(0.01)
        assert self.total >= wanted or self.wrong, "the writers make no progress"

    @property
    def total(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def _write(self, name: str) -> None:
        done = self.acknowledged.setdefault(name, [])
        config, number = None, 0
        while not self._stop.is_set():
            try:
                config = put(self.saver, name, number, config)
                self.saver.put_writes(config, [("number", number)], f"task {number}")
                done.append(number)
            except BackendUnavailableError:
                self.failed += 1  # it may have been applied: go on from what is there
                config = self._newest(name)
            except Exception as error:  # noqa: BLE001 - the test raises it
                self.wrong.append(error)
                return
            number += 1

    def _newest(self, name: str) -> Any:
        while not self._stop.is_set():
            try:
                found = self.saver.get_tuple(config_of(name))
                return None if found is None else found.config
            except BackendUnavailableError:
                time.sleep(0.02)
        return None


def assert_nothing_lost(writer: Writer, saver: WfStoreSaver) -> None:
    """What was acknowledged is there, with its writes, and nothing twice; if no operation failed, nothing else."""
    for name, acknowledged in writer.acknowledged.items():
        there = {item.checkpoint["channel_values"]["number"]: item for item in saver.list(config_of(name))}
        assert not set(acknowledged) - set(there), f"{name} lost what was acknowledged"
        assert len(there) == len(numbers(saver, name)), f"{name} has something twice"
        assert all(len(there[number].pending_writes or ()) == 1 for number in acknowledged), f"{name} lost a write"
        if not writer.failed:
            assert [*there][::-1] == acknowledged
        assert_sound(saver, name)
