"""A large thread as a file, in processes of their own: seconds, bytes, and peak memory, of export, verify and import.

python -m bench.portable [--mib 1024] [--kib 256] [--target URL]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint

from langgraph_wfstore import WfStore, WfStoreSaver, wfstore_verify

_WORDS = [f"word{number:x}" for number in range(5000)]


def fill(place: str, mib: int, kib: int) -> None:
    """A thread of documents of `kib` KiB, one more with each checkpoint, in lists of at most 64."""
    rng = random.Random(1)
    config: Any = {"configurable": {"thread_id": "large", "checkpoint_ns": ""}}
    lists: dict[str, list[str]] = {}
    versions: dict[str, int] = {}
    with WfStoreSaver(place, synchronous="normal") as saver:
        for number in range(mib * 1024 // kib):
            name = f"documents {number // 64}"
            lists.setdefault(name, []).append(" ".join(rng.choices(_WORDS, k=kib * 1024 // 8)))
            versions[name] = number + 1
            checkpoint: Any = {**empty_checkpoint(), "channel_values": dict(lists), "channel_versions": dict(versions)}
            metadata: Any = {"source": "loop", "step": number, "parents": {}}
            config = saver.put(config, checkpoint, metadata, {name: versions[name]})


def do(what: str, place: str, file: str) -> None:
    """One of the measured things."""
    if what == "verify offline":
        report = wfstore_verify.verify_file(file, max_inflated=1 << 40)
        assert report.ok, report.problems
        return
    with WfStore.open(place) as store:
        if what == "export":
            store.thread("large").export(file)
        elif what == "export, compressed":
            store.thread("large").export(file, compress=True)
        elif what == "import":
            store.import_artifact(file)
        else:
            assert store.thread("large").verify().ok


def measure(what: str, place: str, file: str) -> None:
    """Run one of them in a process of its own, and print what it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "bench.portable", "--do", what, "--target", place, "--file", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    size = Path(file).stat().st_size / 1e6
    print(
        f"{what:20} {time.perf_counter() - began:7.1f} s   peak {int(done.stdout):6} MiB   file {size:7.1f} MB",
        flush=True,
    )


def main() -> None:
    made = argparse.ArgumentParser(prog="python -m bench.portable", description=__doc__)
    made.add_argument("--mib", type=int, default=1024)
    made.add_argument("--kib", type=int, default=256)
    made.add_argument("--target")
    made.add_argument("--do", help=argparse.SUPPRESS)
    made.add_argument("--file", help=argparse.SUPPRESS)
    given = made.parse_args()
    if given.do:
        do(given.do, given.target, given.file)
        # What getrusage gives includes the peak of the parent.
        status = Path("/proc/self/status").read_text("ascii")
        print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/source.db", given.target or f"{folder}/target.db"
        fill(source, given.mib, given.kib)
        print(
            f"{given.mib} MiB in {given.mib * 1024 // given.kib} documents; the store has "
            f"{Path(source).stat().st_size / 1e6:.1f} MB"
        )
        measure("verify", source, source)
        measure("export, compressed", source, f"{folder}/compressed.wfz")
        measure("export", source, f"{folder}/large.wfz")
        measure("verify offline", source, f"{folder}/large.wfz")
        measure("import", target, f"{folder}/large.wfz")
        measure("verify", target, f"{folder}/large.wfz")


if __name__ == "__main__":
    main()
