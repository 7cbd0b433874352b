"""What comes after a deletion is refused: by the life and the run that it belongs to (DESIGN, section 4)."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Sequence

from ..backends.base import KEPT, Backend
from ..canonical import utf8
from ..errors import ThreadDeletedError
from ..threads.view import Entry, ThreadView
from .inputs import RunRead


def refuse_deleted(
    view: ThreadView,
    backend: Backend,
    run: RunRead | None,
    run_id: str | None,
    named: Sequence[tuple[tuple[str, str], Entry | None]],
) -> None:
    """ThreadDeletedError if an operation, or a checkpoint that it names, belongs to a deleted life or a deleted run.

    Args:
        named: namespace and id of those checkpoints, each with what is known of it.
    """
    if run is not None and run.life != view.life:
        raise _deleted(view, f"its run read life {run.life} of the thread, which has life {view.life} now")
    run_ids = {run_id} if run_id is not None else set()
    unknown = []
    for key, entry in named:
        if entry is None or entry.row is None:
            unknown.append(key)
        elif entry.row.state != KEPT:
            if entry.deleted:
                raise _deleted(view, f"checkpoint {key[1]!r} was deleted with its run")
            if entry.record is not None and entry.record.run_id is not None:
                run_ids.add(entry.record.run_id)
    hashes = {run_hash(backend.store_secret, each): each for each in run_ids}
    for gone in backend.deleted_runs(list(hashes)) if hashes else ():
        raise _deleted(view, f"run {hashes[gone]!r} was deleted by delete_for_runs")
    for life, tombstone in backend.tombstones(view.name) if unknown and view.life > 1 else ():
        known = {tombstone[i : i + 8] for i in range(0, len(tombstone), 8)}
        for key in unknown:
            if keyed_hash(backend.store_secret, *key) in known:
                raise _deleted(view, f"checkpoint {key[1]!r} was deleted with life {life}")


def keyed_hash(secret: bytes, namespace: str, checkpoint_id: str) -> bytes:
    """What a tombstone keeps of a checkpoint: 8 bytes that only the store can compare with an id."""
    return hmac.digest(secret, b"checkpoint " + utf8(namespace) + b"\0" + utf8(checkpoint_id), "sha256")[:8]


@functools.lru_cache(maxsize=1024)
def run_hash(secret: bytes, run_id: str) -> bytes:
    """What the store keeps of a deleted run."""
    return hmac.digest(secret, b"run " + utf8(run_id), "sha256")[:16]


def _deleted(view: ThreadView, why: str) -> ThreadDeletedError:
    name = view.name.decode("utf-8", "surrogatepass")
    return ThreadDeletedError(
        f"an operation on thread {name!r} came after a deletion and was refused: {why}. Nothing was written; "
        "invoke the graph again to go on with what there is now"
    )
