"""The contract of what is done to a thread while a run of it is under way: the run ends as it would have."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.graph import START, StateGraph

from langgraph_wfstore.errors import ConflictError
from langgraph_wfstore.store import WfStore

from .api import Api
from .contract import DurabilityContract, assert_sound
from .material import THREAD, config_of
from .sample_graphs import Log, line_graph

if TYPE_CHECKING:
    from langgraph_wfstore import WfStoreSaver

LINE = ("a", "b", "c", "d")


def line_with(saver: WfStoreSaver, meanwhile: Callable[[], object]) -> Any:
    """Nodes that follow each other, and something that happens while the second one runs."""
    builder: Any = StateGraph(Log)
    for left, name in zip((START, *LINE), LINE, strict=False):

        def node(state: Log, name: str = name) -> Log:
            if name == "b":
                meanwhile()
            return {"log": [f"{name} after {len(state.get('log', []))} " + "x" * 80]}

        builder.add_node(name, node).add_edge(left, name)
    return builder.compile(checkpointer=saver)


def _copy_and_redact(saver: WfStoreSaver) -> None:
    saver.copy_thread(THREAD, "copy")
    saver.store.prune(["copy"])
    saver.store.thread("copy").redact(channels=["log"])


def _create_and_switch(saver: WfStoreSaver) -> None:
    saver.store.thread(THREAD).create_branch("new")
    saver.store.thread(THREAD).switch("new")


VERBS: dict[str, Callable[[WfStoreSaver], Any]] = {
    "prune": lambda saver: saver.store.prune([THREAD]),
    "prune branches": lambda saver: saver.store.prune([THREAD], branches=True),
    "redact": lambda saver: saver.store.thread(THREAD).redact(channels=["log"]),
    "redact where": lambda saver: saver.store.thread(THREAD).redact(where=lambda value: str(value).startswith("a ")),
    "copy and redact": _copy_and_redact,
    "create and switch": _create_and_switch,
    "compact": lambda saver: saver.store.compact(),
}


class DuringRunsContract(DurabilityContract):
    """By another saver, as of another process."""

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("held", [False, True])
    def test_a_run_ends_as_it_would_have(
        self, api: Api, saver: WfStoreSaver, durability: str, verb: str, held: bool
    ) -> None:
        other = type(saver)(WfStore(saver.store.backend))
        api.invoke(line_graph(saver, *LINE), {"log": ["in"]}, config_of(), durability=durability)
        lease = saver.claim(THREAD, 60) if held else None
        graph = line_with(saver, lambda: VERBS[verb](other))
        out = api.invoke(graph, {"log": ["again"]}, config_of(), durability=durability)
        said = [text.split(" x")[0] for text in out["log"][-4:]]
        assert said == [f"{name} after {6 + at}" for at, name in enumerate(LINE)]
        kept = api.get_state(graph, config_of())
        assert (kept.values["log"], kept.next) == (out["log"], ())
        assert_sound(saver, *(info.thread_id for info in saver.store.threads()))
        if lease is not None:
            lease.release()

    def test_who_loses_the_lease_in_the_middle_puts_nothing_more(
        self, api: Api, saver: WfStoreSaver, durability: str
    ) -> None:
        other = type(saver)(WfStore(saver.store.backend))
        graph = line_graph(saver, *LINE)
        api.invoke(graph, {"log": ["in"]}, config_of(), durability=durability)
        lease = saver.claim(THREAD, 0.3)

        def be_overtaken() -> None:
            other.claim(THREAD, 60, wait=30)

        with pytest.raises(ConflictError, match=f"token {lease.token} was lost"):
            api.invoke(line_with(saver, be_overtaken), {"log": ["late"]}, config_of(), durability=durability)
        stored = [each.metadata["step"] for each in api.list(config_of())]
        time.sleep(0.05)
        assert [each.metadata["step"] for each in api.list(config_of())] == stored
        log = api.get_state(graph, config_of()).values["log"]
        assert not any(text.startswith(("b after 7", "c after 8", "d after 9")) for text in log)
        assert_sound(saver, THREAD)
