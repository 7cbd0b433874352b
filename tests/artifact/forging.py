"""Threads that are what their ids say, and yet cannot be: records are changed, and what hashes them is made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from by_hand import KINDS, Contents, canonical

Body = dict[str, Any]


def digest(kind: str, *parts: bytes) -> str:
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return "sha256:" + hashlib.sha256(b"wfstore/1 " + kind.encode() + b"\0" + framed).hexdigest()


def forge(made: Contents, change: Callable[[int, Body, list[str]], None]) -> Contents:
    """Change the bodies of a thread, and compute every id, seal and statement anew.

    Args:
        change: gets the number of each record, from 0, its body, and the new ids of those before it.
    """
    new: dict[str, str] = {}
    ids: list[str] = []
    removals = [n for n, line in enumerate(made.records) if line.get("body", {}).get("kind") == "removal"]
    for number, line in enumerate(made.records):
        if "body" in line:
            line["body"] = _replaced(line["body"], new)
            if number in removals[-1:]:
                _restate(made, number, line["body"])
            change(number, line["body"], ids)
            old, line["id"] = line["id"], digest(line["body"]["kind"], canonical(line["body"]))
            new[old] = line["id"]
        ids.append(line["id"])
    made.branches = _replaced(made.branches, new)
    seal_anew(made)
    return made


def seal_anew(made: Contents) -> None:
    """The chain of seals over the records as they are."""
    previous, ordinal, arrived = None, 0, []
    for line in made.records:
        arrived.append(bytes.fromhex(line["id"][7:]))
        if "seal" in line:
            body = {
                "format": 1,
                "kind": "seal",
                "ordinal": ordinal,
                "previous": previous,
                "records": ["sha256:" + name.hex() for name in sorted(arrived)],
                "order": digest("order", *arrived),
            }
            previous = line["seal"] = digest("seal", canonical(body))
            ordinal, arrived = ordinal + 1, []


def _restate(made: Contents, number: int, body: Body) -> None:
    parts = []
    for line in made.records[:number]:
        kind = line.get("kind") or line["body"]["kind"]
        if "state" in line:
            left = canonical(line["left"]) if "left" in line else b""
            state = 2 if "left" in line else 1
            parts.append(bytes.fromhex(line["id"][7:]) + bytes([KINDS.index(kind), state]) + left)
    parts += [
        bytes.fromhex(line["id"][7:]) + b"\xff\3" + canonical(line["mask"])
        for line in made.objects
        if "mask" in line and "withheld" not in line
    ]
    body["digest"] = digest("removed", *sorted(parts))


def _replaced(value: Any, new: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, new) for item in value]
    return new.get(value, value) if isinstance(value, str) else value
