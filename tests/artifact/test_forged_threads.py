"""Threads whose ids, seals and digests are all right, and that break a rule of section 9 nevertheless."""

from __future__ import annotations

import time
from typing import Any

import by_hand
import pytest
import some_threads
from forging import digest, forge, seal_anew

OTHER = "sha256:" + "5" * 64


def found(made, verified):
    return verified(by_hand.archive(by_hand.entries(made))).problems


@pytest.mark.parametrize("name", some_threads.NAMES)
def test_a_thread_that_is_forged_without_a_change_is_the_same(name, verified):
    made = some_threads.made(name)
    again = forge(some_threads.made(name), lambda *_: None)
    assert again == made and found(again, verified) == []


def test_seals_that_were_made_anew_are_another_chain(verified):
    """What only a head, a root or a signature from elsewhere shows."""
    made = some_threads.made("agent")
    data = by_hand.archive(by_hand.entries(made))
    before = verified(data)

    def change(number: int, body: Any, ids: list[str]) -> None:
        if body["kind"] == "end" and "usage" in body:
            body["usage"][0] += 1

    data = by_hand.archive(by_hand.entries(forge(made, change)))
    assert verified(data).ok
    assert not verified(data, expect_head=before.head).ok and not verified(data, expect_root=before.root).ok


def _set(kind: str, key: str, value: Any, which: int = 0):
    """Change one field of the record of that kind that comes at this place among them."""

    def change(number: int, body: dict[str, Any], ids: list[str]) -> None:
        if body["kind"] == kind:
            change.seen += 1
            if change.seen == which + 1:
                body[key] = value(body, ids) if callable(value) else value

    change.seen = 0
    return change


def _first(body, ids):
    return ids[0]


FORGED = {
    "no parent": ("remembering", _set("checkpoint", "parent", None, 3), "parent is another record"),
    "another parent": ("remembering", _set("checkpoint", "parent", _first, 5), "parent is another record"),
    "an unknown parent": ("remembering", _set("checkpoint", "parent", OTHER, 5), "parent is another record"),
    "a checkpoint twice": (
        "many turns",
        _set("checkpoint", "checkpoint_id", lambda body, ids: body["parent_checkpoint_id"], 2),
        "a second record of its checkpoint",
    ),
    "a value that is not there": ("agent", _set("checkpoint", "metadata", OTHER, 2), "is not there"),
    "a value of another form": (
        "agent",
        _set("write", "writes", lambda body, ids: [[*row[:2], {"list": row[2]}, row[3]] for row in body["writes"]], 2),
        "is no list",
    ),
    "a write that replaces what is not there": (
        "agent",
        _set("write", "writes", lambda body, ids: [[*row[:3], ids[0]] for row in body["writes"]]),
        "replaces another one",
    ),
    "a write that does not name what it replaces": (
        "chat",
        _set("write", "writes", lambda body, ids: [[*row[:3], None] for row in body["writes"]], 2),
        "replaces another one",
    ),
    "a branch's number": ("branched", _set("branch", "number", 9), "not start the next branch"),
    "a branch's first": ("branched", _set("branch", "first", _first), "follow its first checkpoint"),
    "a branch's base": ("merged", _set("branch", "base", None), "base is not the parent"),
    "a branch from nothing": ("branched", _set("branch", "base", OTHER), "starts a branch from nothing"),
    "a branch's name": ("branched", _set("branch", "name", "other", 2), "called otherwise"),
    "which branch is current": ("branched", _set("branch", "current", True, 99), None),
    "a switch to no branch": ("branched", _set("switch", "number", 77), "checkpoint or branch is not there"),
    "a switch to no checkpoint": ("branched", _set("switch", "checkpoint", OTHER), "checkpoint or branch is not there"),
    "a label of no branch": ("branched", _set("label", "number", 77), "no branch that could be named"),
    "a label of branch 0": ("branched", _set("label", "number", 0), "number: 0"),
    "a merge of what is not there": ("merged", _set("merge", "parent", OTHER), "no two parents"),
    "a merge into what is not before it": ("merged", _set("merge", "checkpoint", _first), "no two parents"),
    "a merge's base": ("merged", _set("merge", "base", lambda body, ids: ids[-1], 2), "its base is not where"),
    "a merge of what comes from elsewhere": (
        "merged",
        _set("merge", "base", lambda body, ids: body["parent"], 3),
        "its base is not where",
    ),
    "a merge whose second parent comes from elsewhere": (
        "merged",
        _set("merge", "base", _first, 3),
        "its base is not where",
    ),
    "a run twice": ("agent", _set("run", "run_id", "again", 99), None),
    "a step of no run": ("agent", _set("step", "run_id", "unknown"), "its run did not start"),
    "an end of what did not start": ("agent", _set("end", "begin", OTHER), "did not start before it"),
    "an end of another kind": ("agent", _set("end", "of", "tool"), "did not start before it"),
    "an end of another": ("agent", _set("end", "id", "other"), "did not start before it"),
    "what was removed": ("plain", _set("removal", "removed", 1), "removals: the last removal record states others"),
    "what was redacted": ("redacted", _set("removal", "redacted", 1, 2), "removals: the last"),
    "the digest of what was removed": ("plain", _set("removal", "digest", OTHER), "removals: the last"),
    "a channel's version": (
        "agent",
        _set("checkpoint", "channels", lambda body, ids: [[n, {"f": "1.50"}, r] for n, _, r in body["channels"]], 2),
        "channels: no version",
    ),
    "names out of order": (
        "agent",
        _set("checkpoint", "channels", lambda body, ids: body["channels"][::-1], 3),
        "names are not in order",
    ),
    "a key too many": ("agent", _set("call", "more", 1), "missing or unknown"),
    "what says nothing": ("agent", _set("call", "seq", 0), "seq: it says nothing"),
    "another format": ("agent", _set("call", "format", 2), "unknown format"),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_must_not_follow_is_named(what, verified):
    name, change, word = FORGED[what]
    problems = found(forge(some_threads.made(name), change), verified)
    if word is None:
        assert problems == []  # nothing was changed: so the table's other rows are what breaks the others
    else:
        assert any(word in problem for problem in problems), problems


def test_positions(verified):
    """Any order will do in which a parent stands before its children, and what is merged before the merge."""
    made = some_threads.made("merged")
    places = [line for line in made.records if "position" in line]
    for line in places:
        line["position"] //= 3
    assert found(made, verified) == []
    for line in (line for line in places[1:] if line.get("body", {}).get("parent")):
        old, line["position"] = line["position"], places[0]["position"] - 1
        assert any("is not listed behind" in problem for problem in found(made, verified))
        line["position"] = old
    del places[0]["position"]
    assert "a key of its line is missing" in str(found(made, verified))


@pytest.mark.parametrize("state", ["removed", "kept", None, 1, "hidden"])
def test_states(state, verified):
    made = some_threads.made("agent")
    made.records[4]["state"] = state
    assert found(made, verified)


def test_what_is_left_of_removed_records(verified):
    for kind, left in (
        ("write", ["", "c0001", "c0000", False]),
        ("checkpoint", ["", None, None, False]),
        ("checkpoint", ["", "c0001", None, 1]),
        ("run", ["", "gone", None, False]),
        ("branch", ["", "c0001", None, False]),
    ):
        made = some_threads.made("traced" if kind == "run" else "plain")
        line = next(line for line in made.records if line.get("kind", line.get("body", {}).get("kind")) == kind)
        line.pop("body", None)
        line |= {"state": "removed", "kind": kind, "left": left}
        made = forge(made, lambda *_: None)
        assert any("removed" in p or "state" in p for p in found(made, verified) if p.startswith("record ")), kind


def test_a_hostile_thread_costs_time_in_proportion_to_its_size(verified):
    """Many merges that go back to the first checkpoint, and branches over a long line of removed ones."""
    made = by_hand.Contents([], [], "t", [[0, "main", None, None]], 0)
    count = 1500
    start: list[str] = []

    def checkpoint(number: int) -> None:
        body: Any = dict.fromkeys(("extra", "run_id", "source", "step", "updated_channels"))
        body |= {
            "channels": [],
            "parents": [],
            "versions_seen": [],
            "namespace": "",
            "ts": "",
            "v": 1,
            "metadata": OTHER,
        }
        body |= {"format": 1, "kind": "checkpoint", "checkpoint_id": str(number), "metadata": OTHER}
        body |= {"parent": start[-1] if start else None, "parent_checkpoint_id": str(number - 1) if number else None}
        start.append(add(body, position=number))

    def add(body: Any, **more: Any) -> str:
        name = digest(body["kind"], by_hand.canonical(body))
        made.records.append({"id": name, "body": body, **more})
        return name

    for number in range(count):
        checkpoint(number)
        if number > 2:
            merge = {"base": start[0], "checkpoint": start[-1], "format": 1, "kind": "merge", "parent": start[-3]}
            add(merge)
    made.branches[0][3] = start[-1]
    seal_anew(made)
    began = time.process_time()
    problems = found(made, verified)
    assert time.process_time() - began < 20
    assert {problem.split(": ", 1)[1][:9] for problem in problems} == {"its value"}
