"""What an append and a removal are in Redis: one script each, with a map that says what is in it."""

from __future__ import annotations

import secrets
from typing import Any

from ..base import (
    CHECKPOINT,
    REDACTED,
    RUN,
    SKELETON,
    Append,
    RecordRow,
    Rewrite,
    is_looked_up,
)
from .client import Caller
from .homes import Homes, Place
from .map import packed_map
from .rows import branch_bytes, index_of, object_bytes, record_bytes, standing_bytes


def new_operation() -> str:
    """What an operation is known by when it is sent again."""
    return secrets.token_urlsafe(12)


class Appends:
    """Applies appends, one script each.

    Args:
        caller: calls of the server.
        homes: where threads live.
        ttl: ms after which a home expires, 0 for never.
    """

    def __init__(self, caller: Caller, homes: Homes, ttl: int) -> None:
        self._caller = caller
        self._homes = homes
        self._ttl = ttl

    def apply(self, batch: Append) -> bool:
        """One append; False if the thread is not as expected. It fills in the number and lineage of a new thread."""
        row = batch.thread
        if row.number is not None:
            home = self._homes.of_number(row.number)
            if home is None or self._homes.note(batch, row.number, home, new=False):
                return False
            key = self._homes.name_key(row.name)
            return bool(self._send(batch, row.number, Place(home), key, None)[0] == b"done")
        if batch.expect.last:  # prepared on top of a creation that failed
            return False
        return self._create(batch)

    def _create(self, batch: Append) -> bool:
        row, taken = batch.thread, 0
        life = {"life": row.life, "secret": row.secret, "name": row.name, "created": str(row.created)}

        def call(key: bytes, place: Place) -> list[Any]:
            nonlocal taken
            if taken:
                self._homes.drop([taken])
            taken = self._homes.new_number(place.home)
            if self._homes.note(batch, taken, place.home, new=True):
                return [b"stale"]
            return self._send(batch, taken, place, key, life)

        _, found = self._homes.at_name(row.name, call)
        if found[0] != b"done":
            self._homes.drop([taken])
            return False
        row.number = row.lineage = taken
        return True

    def _send(self, batch: Append, number: int, place: Place, name_key: bytes, row: Any) -> list[Any]:
        records = [record_bytes(each) for each in batch.records]
        objects = [object_bytes(each) for each in batch.objects]
        last = batch.records[-1]
        what: dict[str, Any] = {
            "n": str(number),
            "name": name_key,
            "generation": place.generation,
            "expect": standing_bytes(batch.expect),
            "records": len(records),
            "objects": len(objects),
            "first": batch.objects[0].number if objects else 0,
            "last": last.seq,
            "ordered": last.position is not None,
            "index": index_of(batch.records, RUN),
            "big": [[each.id, str(each.number)] for each in batch.objects if is_looked_up(each)],
            "order": [
                [each.position, each.seq]
                for each in batch.records
                if each.kind == CHECKPOINT and each.position is not None
            ],
            "moves": [[seq, position] for seq, position in batch.positions],
            "branches": [[each.number, branch_bytes(each)] for each in batch.branches],
            "nested": batch.nested,
            "ttl": self._ttl,
        }
        if row:
            what["row"] = row
        if batch.run is not None:
            what["run"] = batch.run
        if batch.fence is not None:
            what["fence"] = str(batch.fence)
        if batch.switch is not None:
            what["switch"] = batch.switch
        sealed = _seals(batch.records)
        if sealed:
            what["sealed"] = sealed[-1]

        def arguments(again: bool) -> list[bytes]:
            return [packed_map({**what, "again": again}), *records, *objects]

        found: list[Any] = self._caller.again("append", [self._homes.key(place.home)], arguments)
        return found


def rewrite_arguments(change: Rewrite, ttl: int) -> list[bytes]:
    """What the script that removes content is called with."""
    threads, records = [], []
    for number in sorted({thread for thread, _ in change.records} | change.heads.keys()):
        own = sorted((row for thread, row in change.records if thread == number), key=lambda row: row.seq)
        if number == change.drop_thread:
            continue
        threads.append(
            {
                "n": str(number),
                "records": [[row.seq, _kept_links(row)] for row in own],
                "replaces": any(row.seq <= change.expect[number].last for row in own),
                "index": index_of(own, RUN),
                "sealed": _numbered_seals(own),
                "branches": [[each.number, branch_bytes(each)] for each in change.heads.get(number, ())],
            }
        )
        records += [record_bytes(row) for row in own]
    what: dict[str, Any] = {
        "operation": new_operation(),
        "lineage": str(change.lineage),
        "expect": {str(number): standing_bytes(standing) for number, standing in change.expect.items()},
        "threads": threads,
        "objects": [[each.number, each.id if each.form == REDACTED else False] for each in change.replace_objects],
        "drop": change.drop_objects,
        "nonces": [[number, nonce] for number, nonce in change.nonces],
        "ttl": ttl,
    }
    if change.secret is not None:
        what["secret"] = change.secret
    if change.drop_thread is not None:
        what["dropped"] = str(change.drop_thread)
        if change.tombstone is not None:
            what["tombstone"] = [str(change.tombstone[1]), change.tombstone[2]]
    return [packed_map(what), *records, *map(object_bytes, change.replace_objects)]


def _kept_links(row: RecordRow) -> bool | str:
    return True if row.kind >= RUN and row.state == SKELETON else "linked"


def _seals(rows: list[RecordRow]) -> list[list[Any]]:
    return [[str(row.seq), str(row.ordinal), row.seal] for row in rows if row.seal is not None]


def _numbered_seals(rows: list[RecordRow]) -> list[list[Any]]:
    return [[row.seq, str(row.ordinal), row.seal] for row in rows if row.seal is not None]
