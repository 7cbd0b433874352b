"""Eight processes that do everything there is to the branches of one thread at once, on each shared engine."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import children

from langgraph_wfstore import Thread, WfStoreError, WfStoreSaver
from langgraph_wfstore.errors import DecodeError, IntegrityError
from langgraph_wfstore.testing.contract import assert_sound
from langgraph_wfstore.testing.material import checkpoint_of, config_of, id_of, metadata_of

TRIES, PROCESSES = 25, 8
PATIENCE = 120.0
NAMES = ("a", "b", "c", "d", "fork-1", "fork-2")


def put(saver: WfStoreSaver, number: int, config: Any, who: str) -> Any:
    """A checkpoint with a list of objects of its own; gives its config."""
    values = {"who": who, "number": number, "list": [f"{who} {at} " + "x" * 70 for at in range(number % 9 + 1)]}
    checkpoint = checkpoint_of(values, dict.fromkeys(values, number + 1))
    return saver.put(config, checkpoint, metadata_of(number), checkpoint["channel_versions"])


def expected(values: dict[str, Any]) -> bool:
    """Whether a state is one that was put, or that a merge of two made."""
    return set(values) == {"who", "number", "list"} and all(" x" in text for text in values["list"])


def one_thing(saver: WfStoreSaver, thread: Thread, random: Random, number: int, who: str) -> str:
    """Do one thing, which it names."""
    what = random.choice(["put"] * 4 + ["switch", "create", "rename", "delete", "merge", "prune", "read", "diff"])
    names = [branch.name for branch in thread.branches()]
    name = random.choice(names)
    if what == "put":
        last = saver.get_tuple(config_of(branch=random.choice([name, None])))
        assert last is not None, "a branch has no head"
        put(saver, number, last.config, who)
    elif what == "switch":
        thread.switch(name)
    elif what == "create":
        ids = [each.checkpoint_id for each in thread.checkpoints(name, limit=5)]
        thread.create_branch(random.choice(NAMES), random.choice([None, *ids]))
    elif what == "rename":
        thread.rename_branch(name, random.choice(NAMES))
    elif what == "delete":
        thread.delete_branch(name)
    elif what == "merge":
        thread.merge(name, random.choice([None, *names]), resolve=random.choice(["ours", "theirs"]))
    elif what == "prune":
        thread.store.prune(["t"], keep_last=random.choice([1, 2, 5]), branches=random.random() < 0.3)
    elif what == "diff":
        assert str(thread.diff(name, random.choice(names)))
    else:
        listed = [*saver.list(config_of(branch=name), limit=10)]
        assert listed and all(expected(each.checkpoint["channel_values"]) for each in listed)
    return what


def play(place: str, who: str, seed: int) -> tuple[Counter[str], list[str]]:
    """Do things at random; gives how often each succeeded, and what went wrong otherwise than by a clear refusal."""
    random, done, wrong = Random(seed), Counter[str](), []
    with WfStoreSaver(place) as saver:
        thread = saver.store.thread("t")
        for number in range(1, TRIES + 1):
            try:
                done[one_thing(saver, thread, random, number, who)] += 1
            except (IntegrityError, DecodeError) as error:
                wrong.append(repr(error))
            except WfStoreError as error:
                done[type(error).__name__] += 1
            except Exception as error:  # noqa: BLE001  # told to the test
                wrong.append(repr(error))
    return done, wrong


def test_whatever_is_done_to_branches_at_once_the_thread_verifies_and_every_head_reads(place: str) -> None:
    with WfStoreSaver(place) as saver:
        put(saver, 0, config_of(), "first")
    running = [children.start(play, place, f"process {number}", number) for number in range(PROCESSES)]
    outcomes = [child.outcome(PATIENCE) for child in running]
    done = sum((counts for counts, _ in outcomes), Counter[str]())
    assert [wrong for _, each in outcomes for wrong in each] == []
    assert {"put", "switch", "create", "rename", "merge", "prune", "read", "diff"} <= set(done), done
    assert done.keys() & {"ConflictError", "BranchNotFoundError"}, "nobody was in another's way"
    with WfStoreSaver(place) as saver:
        assert_sound(saver, "t")
        branches = saver.store.thread("t").branches()
        assert sum(branch.current for branch in branches) == 1
        for branch in branches:
            found = saver.get_tuple(config_of(branch=branch.name))
            assert found is not None and id_of(found) == branch.head
            assert expected(found.checkpoint["channel_values"])
            put(saver, 1, found.config, branch.name)
        assert_sound(saver, "t")
