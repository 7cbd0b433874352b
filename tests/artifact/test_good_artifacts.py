"""What a writer that follows FORMAT.md makes of a thread verifies, and the report says what is in it."""

from __future__ import annotations

import ast
import io
import random
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import by_hand
import pytest
import some_threads

from langgraph_wfstore import WfStore, WfStoreSaver, wfstore_verify
from langgraph_wfstore.testing.sample_graphs import chat_graph, says_human


@pytest.mark.parametrize("deflate", [False, True], ids=["stored", "deflated"])
@pytest.mark.parametrize("name", some_threads.NAMES)
def test_every_thread_verifies(name, deflate, verified):
    made = some_threads.made(name)
    files = by_hand.entries(made)
    data = by_hand.archive(files, [each for each in files if each != "mimetype"] if deflate else ())
    report = verified(data)
    assert report.problems == []
    assert report.identity == by_hand.sha256(files["manifest.json"])
    assert report.root == "sha256:" + by_hand.merkle_root(by_hand.ids_of(made)).hex()
    seals = [line["seal"] for line in made.records if "seal" in line]
    assert (report.head, report.seals) == (seals[-1], len(seals))
    assert (report.records, report.objects) == (len(made.records), len(made.objects))
    assert report.sealed + report.unsealed == report.records == sum(report.counts.values())
    assert report.pruned == sum("state" in line for line in made.records)
    assert report.withheld == sum("withheld" in line for line in made.objects)
    assert [head for *_, head in report.branches] == [head for *_, head in made.branches]


def test_the_threads_have_everything_that_a_thread_can_have():
    made = [some_threads.made(name) for name in some_threads.NAMES]
    records = [line for each in made for line in each.records]
    assert {line.get("state") for line in records} == {None, "hidden", "removed"}
    assert {line["kind"] if "kind" in line else line["body"]["kind"] for line in records} == set(by_hand.KINDS)
    objects = [line for each in made for line in each.objects]
    keys = {"latin1", "base64", "leaf", "node", "list", "map", "mask", "withheld"}
    assert keys <= {key for line in objects for key in line}
    assert any("seal" not in each.records[-1] for each in made)
    assert any(len(each.branches) > 1 for each in made)


def test_members_end_where_they_have_to(verified):
    """A thread of several megabytes, whose lines make more than one member."""
    with WfStoreSaver(":memory:") as saver:
        for number in range(3):
            config = {"configurable": {"thread_id": "t"}}
            chat_graph(saver).invoke({"messages": [*says_human(number)["messages"], *_long(number)]}, config)
        made = by_hand.contents(saver.store, "t")
    files = by_hand.entries(made)
    assert len([name for name in files if name.startswith("objects/")]) > 2
    assert verified(by_hand.archive(files)).problems == []
    joined = dict(files)
    joined["objects/000001.jsonl"] += joined.pop("objects/000002.jsonl")
    renamed = {n: d for n, d in joined.items() if not n.startswith("objects/")}
    objects = [data for name, data in joined.items() if name.startswith("objects/")]
    again = {f"objects/{number:06d}.jsonl": data for number, data in enumerate(objects, 1)}
    order = [n for n in files if n in {**renamed, **again}]
    report = verified(by_hand.archive([(n, {**renamed, **again}[n]) for n in order]))
    assert any("does not end behind the line" in problem for problem in report.problems)


def _long(number: int) -> list[object]:
    from langchain_core.messages import HumanMessage

    return [HumanMessage(f"{number} {part} " + "long " * 80_000, id=f"long-{number}-{part}") for part in range(3)]


def test_memory_grows_with_the_largest_line_and_not_with_the_file(tmp_path):
    with WfStore.open(":memory:") as store:
        values = {f"c{number}": random.Random(number).randbytes(1 << 20) for number in range(24)}
        some_threads.golden_threads.put(store, "t", 1, None, values)
        path = tmp_path / "t.wfz"
        path.write_bytes(by_hand.artifact(store, "t"))
    assert path.stat().st_size > 24 << 20
    tracemalloc.start()
    report = wfstore_verify.verify_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.ok and peak < 16 << 20


def test_unsealed_records_are_counted_and_a_file_without_any_seal_verifies(verified):
    made = some_threads.made("plain")
    assert verified(by_hand.archive(by_hand.entries(made))).unsealed == 1
    with WfStore.open(":memory:") as store:
        some_threads.golden_threads.write(store, "t", 1, "task", (0, "log", ["early"]))
        report = verified(by_hand.artifact(store, "t"))
    assert (report.problems, report.head, report.seals, report.unsealed) == ([], None, 0, 1)
    assert report.branches == [(0, "main", None)]


def test_heads_and_roots_kept_elsewhere(verified):
    made = some_threads.made("branched")
    data = by_hand.archive(by_hand.entries(made))
    seals = [line["seal"] for line in made.records if "seal" in line]
    root = verified(data).root
    for seal in seals:
        assert verified(data, expect_head=seal, expect_root=root).ok
    other = "sha256:" + "0" * 64
    assert "not in the chain" in verified(data, expect_head=other).problems[0]
    assert "expected" in verified(data, expect_root=other).problems[0]
    cut = by_hand.merkle_root(by_hand.ids_of(made)[:-1]).hex()
    assert not verified(data, expect_root=f"sha256:{cut}").ok


class TestTheFile:
    """One file that an auditor copies."""

    def test_it_imports_the_standard_library_alone(self):
        tree = ast.parse(Path(wfstore_verify.__file__).read_text("utf-8"))
        found = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names

    def test_it_is_written_for_python_3_9(self):
        source = Path(wfstore_verify.__file__).read_text("utf-8")
        tree = ast.parse(source, feature_version=(3, 9))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not [
            node.lineno for node in calls for word in node.keywords if word.arg in ("strict", "slots", "kw_only")
        ]
        assert "pairwise" not in source and "\nmatch " not in source and "removesuffix" not in source

    @pytest.fixture
    def alone(self, tmp_path):
        """Copied into an empty folder, beside an artifact."""
        shutil.copy(wfstore_verify.__file__, tmp_path / "wfstore_verify.py")
        (tmp_path / "thread.wfz").write_bytes(by_hand.archive(by_hand.entries(some_threads.made("traced"))))
        return tmp_path

    def run(self, folder, *arguments, module=("-I", "wfstore_verify.py")):
        return subprocess.run(
            [sys.executable, *module, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )

    def test_it_runs_alone_and_isolated(self, alone):
        done = self.run(alone, "thread.wfz")
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[-1] == "VERIFIED" and lines[0] == "thread      'traced'"
        report = wfstore_verify.verify_file(alone / "thread.wfz")
        said = ("unsealed: 2", f"{report.pruned} records pruned", "main, current")
        for word in (report.identity, report.head, report.root, *said):
            assert word in done.stdout
        for word in ("who made the file", "cut off", "no seal covers", "derived/"):
            assert word in done.stdout[done.stdout.index("This does not show:") :]

    def test_it_is_a_module_of_the_package_too(self, alone):
        done = self.run(alone, "thread.wfz", "--quiet", module=("-m", "langgraph_wfstore.wfstore_verify"))
        assert (done.returncode, done.stdout) == (0, "VERIFIED\n")

    def test_what_is_changed_exits_with_1(self, alone):
        data = (alone / "thread.wfz").read_bytes()
        (alone / "thread.wfz").write_bytes(data.replace(b'"usage":[120,', b'"usage":[121,', 1))
        done = self.run(alone, "thread.wfz")
        assert done.returncode == 1 and done.stdout.endswith("NOT VERIFIED\n")
        assert "its content does not match its id" in done.stdout and "CRC-32" in done.stdout

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["missing.wfz"],
            ["thread.wfz", "--expect-head", "abc"],
            ["thread.wfz", "--expect-root", "sha256:" + "G" * 64],
            ["thread.wfz", "--statement", "head.json"],
            ["thread.wfz", "--key", "missing.pem"],
            ["thread.wfz", "--key", "wfstore_verify.py"],
            ["thread.wfz", "--key", "00" * 32],
            ["thread.wfz", "--unknown"],
        ],
        ids=" ".join,
    )
    def test_what_is_asked_wrongly_exits_with_2(self, alone, arguments):
        done = self.run(alone, *arguments)
        assert done.returncode == 2 and done.stderr and "Traceback" not in done.stderr and done.stdout == ""

    @pytest.mark.parametrize(
        "data", [b"", b"PK", b"{", b"[]", b"{}", b"\0" * 100, b"PK\5\6" + bytes(18), b"x" * 100_000]
    )
    def test_what_is_no_artifact_exits_with_1_or_2(self, alone, data):
        (alone / "other").write_bytes(data)
        done = self.run(alone, "other", "--expect-root", "sha256:" + "0" * 64)
        assert done.returncode == 1 and done.stdout.endswith("NOT VERIFIED\n") and done.stderr == ""

    def test_names_of_a_hostile_file_cannot_move_the_cursor(self, alone):
        made = some_threads.made("traced")
        made.thread = "\x1b[2J\nVERIFIED \u202e{"
        (alone / "thread.wfz").write_bytes(by_hand.archive(by_hand.entries(made)))
        done = self.run(alone, "thread.wfz")
        assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
        assert [line for line in done.stdout.splitlines() if line.startswith("VERIFIED")] == ["VERIFIED"]


def test_the_file_is_a_plain_zip():
    """Anybody's unzip reads it."""
    data = by_hand.archive(by_hand.entries(some_threads.made("chat")))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert [info.filename for info in file.infolist()][:3] == ["mimetype", "manifest.json", "README.txt"]
    assert data[30:].startswith(b"mimetype" + by_hand.MIMETYPE)
