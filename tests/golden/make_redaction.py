"""Makes the golden files of redaction, `redaction.json` and `redaction-v1.db`. Like the others they never change.

python tests/golden/make_redaction.py          # refuses to replace what is there
python tests/golden/make_redaction.py --anew   # before the first release only
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden_threads
import make_golden
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.types import Interrupt

from langgraph_wfstore import canonical, format
from langgraph_wfstore.records import Kind, RemovalRecord
from langgraph_wfstore.store import WfStore
from langgraph_wfstore.values import masks

HERE = Path(__file__).parent
VECTORS, FILE = HERE / "redaction.json", HERE / "redaction-v1.db"
NAMES = {"messages", "größe", "\ud800"}
SECRET = "what nobody is to know"


class Silent(AIMessage):
    """A class of a user's."""


def values() -> dict[str, Any]:
    """Values of which every kind of mask is made."""
    asks = [{"name": "look", "args": {"at": SECRET}, "id": f"call {n}", "type": "tool_call"} for n in "ab"]
    messages = [HumanMessage(SECRET, id="h"), AIMessage(SECRET, id="a", tool_calls=asks), SystemMessage(SECRET)]
    return {
        "text": SECRET,
        "human": messages[0],
        "asks": messages[1],
        "without id": messages[2],
        "tool": ToolMessage(SECRET, tool_call_id="call \ud800", id="t"),
        "own class": Silent(SECRET, id="s"),
        "interrupt": Interrupt(SECRET, id="i"),
        "list": [1, SECRET],
        "list with messages": [*messages, SECRET],
        "tuple": (Interrupt(SECRET, id="i"),),
        "state": {"messages": messages, "\ud800": SECRET},
        "dict": {"messages": messages, SECRET: 1},
    }


def removed() -> list[tuple[bytes, int, int, bytes]]:
    """Parts of a removal's digest, of records and of objects."""
    mask = masks.write_mask(masks.mask_of(values()["human"], NAMES))
    ids = make_golden.ID
    return [(ids[4], 0, 2, format.skeleton_body("", "c", None, False)), *((ids[n], 255, 3, mask) for n in (5, 3))]


def secrets() -> Iterator[bytes]:
    """The lineage secrets, old and new, in the order in which they are drawn."""
    for number in range(1, 100):
        yield bytes([100 + number]) * 32


def build(store: WfStore) -> None:
    """Every operation behind the golden file: values of every form, redacted, pruned, copied, and put again."""
    thread = "redacted"
    for number in range(1, 5):
        state = {
            "messages": [HumanMessage(f"{SECRET} {n} " + "m" * 80, id=f"h{n}") for n in range(10 + number)],
            "small": [{"k": n, "secret": SECRET[:9]} for n in range(20 + number)],
            "run": [*range(700 + number)],
            "map": {"rows": [f"row {n} " + "r" * 80 for n in range(12)], "note": SECRET},
            "kept": [f"kept {n} " + "k" * 80 for n in range(10 + number)],
            "log": f"{SECRET} {number}",
        }
        golden_threads.put(store, thread, number, number - 1 or None, state)
        golden_threads.write(store, thread, number, "task", (0, "log", f"{SECRET} {number}"), (1, "kept", [number]))
    store.thread(thread).redact(messages=["h3"], reason="größe \ud800")
    store.copy_thread(thread, "copy")
    store.thread("copy").redact(channels=["small", "run", "log", "map"])
    golden_threads.put(store, thread, 5, 4, {"messages": [HumanMessage(f"{SECRET} again", id="h3")], "kept": ["kept"]})
    store.thread(thread).create_branch("kept", "c0002")
    store.prune([thread])
    golden_threads.put(store, "copy", 6, 4, {"kept": [f"kept {n} " + "k" * 80 for n in range(12)]})


def vectors() -> dict[str, Any]:
    """All vectors, as the package computes them now."""
    made = {name: masks.mask_of(value, NAMES) for name, value in values().items()}
    made["pack"] = masks.pack_mask([*values()["list with messages"]], NAMES)
    made["metadata"] = masks.metadata_mask({masks.COUNTERS: {"größe": (1, 2)}, "note": SECRET})
    record = RemovalRecord("redact: größe", 1, format.removed_digest(removed()), 2)
    body = format.removal_body(record)
    return {
        "masks": [{"value": name, "mask": canonical.encode(mask).decode()} for name, mask in made.items()],
        "removed": {
            "parts": [[name.hex(), kind, state, rest.hex()] for name, kind, state, rest in removed()],
            "digest": record.digest.hex(),
        },
        "record": {"body": body.decode(), "id": format.record_id(Kind.REMOVAL, body).hex()},
    }


def main(arguments: list[str]) -> None:
    """Write both files."""
    if FILE.exists() and arguments != ["--anew"]:
        sys.exit(f"{FILE.name} is there, and golden files never change")
    FILE.unlink(missing_ok=True)
    with WfStore.open(FILE, lineage_secret=secrets().__next__) as store:
        build(store)
        store.compact()
        heads = {
            info.thread_id: {"head": info.head, "redacted": store.thread(info.thread_id).verify().redacted}
            for info in store.threads()
        }
    VECTORS.write_text(json.dumps({**vectors(), "file": heads}, indent=1, ensure_ascii=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
