"""Artifacts as somebody hostile would write them: any member changed, with or without a manifest that agrees."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

from langgraph_wfstore.artifact.layout import STORED, Writer

Members = list[tuple[str, bytes]]


def members_of(data: bytes) -> Members:
    """The entries of an archive, in order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def archive_of(members: Members, method: int = STORED) -> bytes:
    """An archive with these entries, written as ours are."""
    out = io.BytesIO()
    writer = Writer(out)
    for name, data in members:
        writer.add(name, [data], STORED if name == "mimetype" else method)
    writer.finish()
    return out.getvalue()


def agreed(members: Members) -> Members:
    """The same with a manifest that has the sizes, digests and numbers of lines of what is there."""
    found = dict(members)
    manifest = json.loads(found["manifest.json"])
    listed = [(n, d) for n, d in members if n not in ("mimetype", "manifest.json") and not n.startswith("signatures/")]
    manifest["members"] = [
        {"digest": "sha256:" + hashlib.sha256(data).hexdigest(), "name": name, "size": len(data)}
        | ({"lines": data.count(b"\n")} if name.endswith(".jsonl") else {})
        for name, data in listed
    ]
    for folder in ("records", "objects"):
        manifest[folder] = sum(data.count(b"\n") for name, data in listed if name.startswith(f"{folder}/"))
    return [(name, canonical(manifest) if name == "manifest.json" else data) for name, data in members]


def canonical(value: object) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
