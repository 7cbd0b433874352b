"""Which run an operation belongs to, and what that run read before it wrote."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ..appending.inputs import RunRead

_RUNS_HELD = 4096


class Runs:
    """What the runs of this process read, per thread.

    A run is known by LangGraph's RunControl, one object per invocation, which the configs of its root graph and of
    all its sub-graphs lead to. Nothing about it is put into a config, since programs compare configs for equality.
    Each step on the dicts is atomic by itself, so there is no lock that a fork could leave held.
    """

    def __init__(self) -> None:
        self._reads: OrderedDict[tuple[int, str], tuple[object, RunRead, str | None]] = OrderedDict()
        self._roots: OrderedDict[tuple[int, str], tuple[object, str]] = OrderedDict()

    def note(
        self, configurable: Mapping[str, Any], thread_id: str, read: RunRead, addressed: str | None, *, root: bool
    ) -> None:
        """The run has read the thread now.

        Its first read says in which life it is, and which checkpoint it addressed by its id; its last one of the root
        namespace what it saw: a sub-graph's state tells nothing about who went on with the root meanwhile.
        """
        control = _control(configurable)
        if control is None:
            return
        key = (id(control), thread_id)
        known = self._reads.pop(key, None)
        if known is not None and known[0] is control:
            read = RunRead(known[1].life, read.last if root else known[1].last)
            addressed = known[2]
        self._reads[key] = (control, read, addressed)
        if len(self._reads) > _RUNS_HELD:
            self._reads.popitem(last=False)

    def read_by(self, configurable: Mapping[str, Any], thread_id: str) -> RunRead | None:
        """What the run of this config read; None if it is no run, or not known here."""
        control = _control(configurable)
        known = None if control is None else self._reads.get((id(control), thread_id))
        return known[1] if known is not None and known[0] is control else None

    def look(self, configurable: Mapping[str, Any], thread_id: str, checkpoint_id: str | None) -> None:
        """Who is no run reads the root namespace: `graph.update_state` does so, in the same context, before it puts."""
        if _control(configurable) is None and not _asks_for_latest(configurable):
            _looked.set((self, thread_id, checkpoint_id))

    def addressed_by(self, configurable: Mapping[str, Any], thread_id: str) -> str | None:
        """The checkpoint that the run, or update, of this config addressed by its id; None if it took the latest."""
        control = _control(configurable)
        if control is None:
            looked = _looked.get()
            return looked[2] if looked is not None and looked[0] is self and looked[1] == thread_id else None
        known = self._reads.get((id(control), thread_id))
        return known[2] if known is not None and known[0] is control else None

    def starts_branch(self, configurable: Mapping[str, Any], thread_id: str) -> bool:
        """Whether the run, or update, of this config addressed a checkpoint by its id: its `branch` may be new."""
        within = _control(configurable) is not None or _asks_for_latest(configurable)
        return within and self.addressed_by(configurable, thread_id) is not None

    def note_root(self, configurable: Mapping[str, Any], thread_id: str, checkpoint_id: str) -> None:
        """The run has read or put this root checkpoint; if it only asks for the latest one it goes on from another."""
        control = _control(configurable)
        if control is not None and not _asks_for_latest(configurable):
            self._roots.pop((id(control), thread_id), None)
            self._roots[id(control), thread_id] = (control, checkpoint_id)
            if len(self._roots) > _RUNS_HELD:
                self._roots.popitem(last=False)

    def last_root(self, configurable: Mapping[str, Any], thread_id: str) -> str | None:
        """The root checkpoint that the run read or put last."""
        control = _control(configurable)
        known = None if control is None else self._roots.get((id(control), thread_id))
        return known[1] if known is not None and known[0] is control else None


_looked: ContextVar[tuple[Runs, str, str | None] | None] = ContextVar("langgraph_wfstore_looked", default=None)


def _asks_for_latest(configurable: Mapping[str, Any]) -> bool:
    """Whether LangGraph, which has addressed a checkpoint by its id, asks if the thread has moved past it."""
    return configurable.get("checkpoint_id", "") is None


def _control(configurable: Mapping[str, Any]) -> object | None:
    return getattr(configurable.get("__pregel_runtime"), "control", None)
