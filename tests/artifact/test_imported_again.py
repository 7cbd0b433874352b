"""A file over a thread that is there and lost content: what it would bring is checked before it is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import by_hand
import pytest
from forging import one_put

from langgraph_wfstore import WfStore
from langgraph_wfstore.errors import ArtifactError, IntegrityError
from langgraph_wfstore.testing.material import THREAD

Change = Callable[[list[by_hand.Json]], object]


def made() -> by_hand.Contents:
    return one_put(lambda put: put.list([(0, *put.object(b"\xa9element 1")), (0, *put.object(b"\xa9element 2"))]))


@pytest.fixture
def again(tmp_path: Path):
    """Imports a thread, redacts it, and imports it again with other lines of values; how many it lacks."""

    def over(change: Change, **manifest: by_hand.Json) -> int:
        path = tmp_path / "a.wfz"
        contents = made()
        path.write_bytes(by_hand.archive(by_hand.entries(contents)))
        with WfStore.open(":memory:") as store:
            store.import_artifact(path)
            store.thread(THREAD).redact(channels=["z"], reason="x")
            before = store.thread(THREAD).verify().head
            change(contents.objects)
            path.write_bytes(by_hand.archive(by_hand.entries(contents, **manifest)))
            try:
                imported = store.import_artifact(path).imported
            finally:
                assert store.thread(THREAD).verify().head == before and len(store.threads()) == 1
            assert imported is not None and not imported.new
            return imported.lacking

    return over


def _at(lines: list[by_hand.Json], key: str) -> int:
    return next(at for at, line in enumerate(lines) if key in line)


def _with_other_content(lines: list[by_hand.Json]) -> None:
    for line in lines:
        if line.get("latin1") == "\xa9element 1":
            line["latin1"] = "\xa9FORGED!!!"


def _node_that_names_itself(lines: list[by_hand.Json]) -> None:
    at = _at(lines, "leaf")
    lines[at] = {"node": [at + 1]}


def _maps_that_name_each_other(lines: list[by_hand.Json]) -> None:
    at = _at(lines, "list")
    lines[at] = {"id": lines[at]["id"], "map": 1, "lists": [[0, at + 2]]}
    lines.insert(at + 1, {"id": "sha256:" + "7" * 64, "map": 1, "lists": [[0, at + 1]]})


def _another_count(lines: list[by_hand.Json]) -> None:
    lines[_at(lines, "count")]["count"] += 1


def test_what_a_thread_lacks_is_counted(again):
    assert again(lambda lines: None) == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_with_other_content, IntegrityError),
        (_node_that_names_itself, ArtifactError),
        (_maps_that_name_each_other, ArtifactError),
        (_another_count, ArtifactError),
    ],
)
def test_lines_that_a_new_thread_would_not_be_made_of_are_refused(change, error, again):
    with pytest.raises(error, match="imported"):
        again(change)


def test_a_manifest_that_is_another_is_refused(again):
    with pytest.raises(ArtifactError, match="its manifest says"):
        again(lambda objects: None, withheld=1)
