"""Redis and Valkey: plain servers of version 6.2 and later, single, replicated or as a cluster.

Every operation that must be atomic is one script over the keys of one home (lua/common.lua); see
docs/decisions/0016-redis-layout.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import BackendUnavailableError, IntegrityError, StoreNotFoundError, WfStoreError
from ..base import (
    RUN,
    Append,
    Capabilities,
    LeaseRow,
    ObjectRow,
    Pending,
    RecordRow,
    Rewrite,
    Stale,
    Standing,
    Tail,
    ThreadRow,
    check_indexed,
)
from ..lanes import Lanes
from .append import Appends, new_operation, rewrite_arguments
from .client import Caller, client_for
from .erase import leave_nothing_behind
from .homes import Homes, Place
from .map import packed_map
from .rows import (
    ANCHORS,
    EVERY,
    LINKS,
    RUNS,
    TRACES,
    WITHINS,
    column,
    entries_of,
    object_of,
    record_of,
    standing_bytes,
    standing_of,
    tail_of,
)
from .stats import redis_stats
from .url import RedisOptions, parse_url

_LAYOUT = b"\x01"
_PAGE = 256


class RedisBackend:
    """The verbs of `Backend` on a Redis or Valkey server, or a cluster of them.

    Args:
        where: a URL (docs/redis.md), or a Redis or RedisCluster of redis-py with decode_responses=False. A client of
            your own is not closed, and waits as long as its own timeouts say.
        options: for a client of your own; those of a URL are in the URL.
        read_only: never write; the store must exist.

    Raises:
        BackendUnavailableError: the server cannot be reached, or holds no such store.
        WfStoreError: the URL cannot be read, the store is of a newer version, or redis-py is not installed.
    """

    capabilities = Capabilities("redis", durable=True, shared=True)

    def __init__(self, where: Any, *, options: RedisOptions | None = None, read_only: bool = False) -> None:
        if isinstance(where, str):
            if options is not None:
                raise WfStoreError("the options of a URL are written into the URL")
            place, options = parse_url(where)
            self.place, self._options = f"{place.shown} (prefix {options.prefix!r})", options
            self._caller = Caller(lambda: client_for(place, self._options), options, self.place, owned=True)
        else:
            self._options = options or RedisOptions()
            self.place = f"redis client (prefix {self._options.prefix!r})"
            self._caller = Caller(where, self._options, self.place, owned=False)
        self._read_only = read_only
        self._ttl = 0 if read_only else int(self._options.ttl * 1000)
        self._settings = f"{self._options.prefix}:{{index}}settings"
        try:
            self._caller.check_waiting(self._settings)
            self.store_secret: bytes = self._secret()
            self._homes = Homes(self._caller, self._options.prefix, self.store_secret)
        except BaseException:
            self._caller.close()
            raise
        self._appends = Appends(self._caller, self._homes, self._ttl)
        self._lanes = Lanes(self._appends.apply, self.place)

    def _secret(self) -> bytes:
        key = f"{self._options.prefix}:{{index}}secret"
        found = self._caller.command("GET", key)
        if found is None and self._read_only:
            raise StoreNotFoundError(f"there is no store at {self.place}; open it once without read_only")
        if found is None:
            found = self._caller.script("secret", [key], _LAYOUT + secrets.token_bytes(32))
        if not isinstance(found, bytes) or len(found) < 1:
            raise IntegrityError(f"{self.place} holds no store secret; restore a backup")
        if found[:1] != _LAYOUT:
            raise WfStoreError(f"the store at {self.place} has layout {found[0]}; this version knows {_LAYOUT[0]}")
        if len(found) != 33:
            raise IntegrityError(f"{self.place} holds a damaged store secret; restore a backup")
        return found[1:]

    # ------------------------------------------------------------------ where threads stand

    def find(self, name: bytes) -> Tail | None:
        ttl = self._reading
        place, found = self._homes.at_name(
            name,
            lambda key, at: self._caller.script("find", [self._homes.key(at.home)], key, at.generation, ttl),
        )
        return self._learnt(place.home, found[1]) if found[0] == b"done" else None

    def row(self, thread: int) -> Tail | None:
        home = self._homes.of_number(thread)
        if home is None:
            return None
        found = self._caller.script("row", [self._homes.key(home)], thread, self._reading)
        return None if found is None else self._learnt(home, found)

    def standing(self, row: ThreadRow) -> Standing | None:
        home = self._homes.of_number(row.number or 0)
        if home is None:
            return None
        return standing_of(self._caller.script("standing", [self._homes.key(home)], row.number or 0, self._reading))

    def threads(self, after: int, limit: int) -> list[Tail]:
        tails: list[Tail] = []
        for page in self._homes.numbers(after) if limit > 0 else ():
            for at in range(0, len(page), limit):
                some = page[at : at + limit]
                rows = self._caller.many("row", [(self._homes.key(home), (number, 0)) for number, home in some])
                tails += [self._learnt(some[i][1], found) for i, found in enumerate(rows) if found is not None]
                if len(tails) >= limit:
                    return tails[:limit]
        return tails

    def kin(self, lineage: int) -> list[ThreadRow]:
        home = self._homes.of_number(lineage)
        if home is None:
            return []
        found = self._caller.script("kin", [self._homes.key(home)], lineage)
        return sorted((self._learnt(home, each).row for each in found), key=lambda row: row.number or 0)

    @property
    def _reading(self) -> int:
        """What reading a thread does to its expiry."""
        return self._ttl if self._options.refresh_on_read else 0

    def _learnt(self, home: str, found: list[Any]) -> Tail:
        tail = tail_of(found)
        self._homes.learn(tail.row.number or 0, home)
        self._homes.learn(tail.row.lineage or 0, home)
        return tail

    # ------------------------------------------------------------------ records

    def records(self, thread: int, after: int, limit: int) -> list[RecordRow]:
        found = self._plain(thread, "LRANGE", "r", after, after + limit - 1) if limit > 0 else []
        return [record_of(after + i, data) for i, data in enumerate(found, 1)]

    def anchored(self, thread: int, anchors: Sequence[int]) -> list[RecordRow]:
        wanted = set(anchors)
        return [row for row in self._indexed(thread, ANCHORS, wanted) if row.anchor in wanted]

    def checkpoints(
        self, thread: int, space: int | None, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        check_indexed(where)
        if "within" in where:
            return self._within(thread, space, below, limit, where)
        home = self._homes.of_number(thread)
        if home is None or limit <= 0:
            return []
        wanted = {
            name: value.encode("utf-8", "surrogatepass") if name == "source" else column(value)
            for name, value in where.items()
        }
        if space is not None:
            wanted["space"] = column(space)
        columns, at = packed_map(wanted), b"" if below is None else b"%d" % below
        rows: list[RecordRow] = []
        while True:
            key = self._homes.key(home)
            at, found = self._caller.script("checkpoints", [key], thread, at, limit - len(rows), columns)
            rows += [record_of(found[i], found[i + 1]) for i in range(0, len(found), 2)]
            if not at:
                return rows

    def _within(
        self, thread: int, space: int | None, below: int | None, limit: int, where: dict[str, Any]
    ) -> list[RecordRow]:
        rows = [
            row
            for row in self._indexed(thread, WITHINS, {where["within"]})
            if row.kind == 0
            and row.state == 0
            and (space is None or row.space == space)
            and (below is None or (row.position or 0) < below)
            and all(getattr(row, name) == value for name, value in where.items())
        ]
        return sorted(rows, key=lambda row: row.position or 0, reverse=True)[:limit]

    def before(self, thread: int, position: int) -> int | None:
        home = self._homes.of_number(thread)
        found = None if home is None else self._caller.script("before", [self._homes.key(home)], thread, position)
        return None if found is None else int(found)

    def runs(self, thread: int) -> list[RecordRow]:
        return self._indexed(thread, TRACES, {int.from_bytes(EVERY)})

    def of_runs(self, thread: int, runs: Sequence[int]) -> list[RecordRow]:
        wanted = set(runs)
        return [row for row in self._indexed(thread, RUNS, wanted) if row.kind >= RUN and row.run in wanted]

    def linked(self, thread: int, links: Sequence[int]) -> list[RecordRow]:
        return self._indexed(thread, LINKS, set(links))

    def links(self, thread: int) -> set[tuple[int, int]]:
        flat = self._plain(thread, "HGETALL", "x")
        items = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        return {(seq, link) for field, entries in items if field[:1] == LINKS for link, seq in entries_of(entries)}

    def _indexed(self, thread: int, kind: bytes, values: set[int]) -> list[RecordRow]:
        home = self._homes.of_number(thread)
        if home is None or not values:
            return []
        found: dict[int, bytes] = {}
        wanted = sorted(values)
        for at in range(0, len(wanted), _PAGE):
            keys = map(column, wanted[at : at + _PAGE])
            flat = self._caller.script("indexed", [self._homes.key(home)], thread, kind, *keys)
            found.update(zip(flat[::2], flat[1::2], strict=True))
        return [record_of(seq, found[seq]) for seq in sorted(found)]

    def _plain(self, number: int, command: str, kind: str, *args: Any) -> Any:
        """What a command answers on one key of a thread or a lineage; nothing if that is gone."""
        home = self._homes.of_number(number)
        if home is None:
            return []
        return self._caller.command(command, f"{self._homes.key(home)[:-1]}{kind}{number}", *args)

    # ------------------------------------------------------------------ objects

    def numbered(self, lineage: int, numbers: Sequence[int]) -> list[ObjectRow]:
        wanted = sorted({number for number in numbers if number > 0})
        home = self._homes.of_number(lineage)
        rows: list[ObjectRow] = []
        for at in range(0, len(wanted) if home is not None else 0, _PAGE):
            ranges = _ranges(wanted[at : at + _PAGE])
            flat = [end for pair in ranges for end in pair]
            found = self._caller.script("objects", [self._homes.key(home or "")], lineage, *flat)
            for (first, _), items in zip(ranges, found, strict=True):
                rows += [object_of(first + i, data) for i, data in enumerate(items) if data]
        return rows

    def numbers(self, lineage: int, ids: Sequence[bytes]) -> dict[bytes, int]:
        wanted = list(set(ids))
        found = self._plain(lineage, "HMGET", "g", *wanted) if wanted else []
        return {name: int(number) for name, number in zip(wanted, found, strict=False) if number is not None}

    def all_objects(self, lineage: int) -> Iterator[ObjectRow]:
        after = 0
        while found := self._plain(lineage, "LRANGE", "w", after, after + _PAGE - 1):
            yield from (object_of(after + i, data) for i, data in enumerate(found, 1) if data)
            after += len(found)

    # ------------------------------------------------------------------ what is kept of names and runs

    def tombstones(self, name: bytes) -> list[tuple[int, bytes]]:
        _, found = self._luggage(name)
        flat = found[3]
        return sorted((int(flat[i]), flat[i + 1]) for i in range(0, len(flat), 2))

    def deleted_runs(self, hashes: Sequence[bytes]) -> set[bytes]:
        return {run for run in hashes if self._homes.is_deleted(run)}

    def mark_deleted_runs(self, hashes: Sequence[bytes]) -> None:
        self._writable()
        for run in hashes:
            for home in self._homes.mark_deleted(run):
                self._caller.script("mark", [self._homes.key(home)], self._ttl, run)

    def threads_of_runs(self, runs: Sequence[int]) -> list[int]:
        numbers: set[int] = set()
        for home in self._homes.homes_of(runs):
            found = [int(number) for number in self._caller.script("runs", [self._homes.key(home)], *map(column, runs))]
            for number in found:
                self._homes.learn(number, home)
            numbers.update(found)
        return sorted(numbers)

    def claim(self, name: bytes, holder: bytes, ttl: int) -> LeaseRow:
        return _lease_of(self._lease(name, "claim", holder, -(-ttl // 1000)))

    def release(self, name: bytes, token: int) -> None:
        self._lease(name, "release", str(token).encode(), 0)

    def lease(self, name: bytes) -> LeaseRow | None:
        _, found = self._luggage(name)
        return _lease_of(found[1]) if found[1] else None

    def _lease(self, name: bytes, what: str, who: bytes, ttl: int) -> bytes:
        self._writable()

        def call(key: bytes, at: Place) -> list[Any]:
            args = (key, at.generation, what, who, ttl, self._ttl)
            found: list[Any] = self._caller.script("lease", [self._homes.key(at.home)], *args)
            return found

        found: bytes = self._homes.at_name(name, call)[1][1]
        return found

    def _luggage(self, name: bytes) -> tuple[Place, list[Any]]:
        return self._homes.at_name(
            name, lambda key, at: self._caller.script("luggage", [self._homes.key(at.home)], key, at.generation)
        )

    # ------------------------------------------------------------------ writing

    def append(self, batch: Append) -> Pending:
        self._writable()
        return self._lanes.put(batch)

    def copy(self, tail: Tail, name: bytes, life: int, created: int) -> None:
        self._writable()
        home = self._homes.of_number(tail.row.number or 0)
        if home is None:
            raise Stale
        place = self._brought(name, home)
        number = self._homes.new_number(home)
        found = self._caller.script(
            "copy",
            [self._homes.key(home)],
            *(new_operation(), tail.row.number or 0, *standing_bytes(tail.standing), number),
            *(self._homes.name_key(name), place.generation, name, life, created, self._ttl),
        )
        if found[0] != b"done":
            self._homes.drop([number])
            raise Stale

    def _brought(self, name: bytes, home: str) -> Place:
        """Have a name live in this home from now on, with what is kept of it; Stale if a thread of it is elsewhere."""
        key, caller = self._homes.name_key(name), self._caller
        for _ in range(_PAGE):
            place, (_, lease, lives, tombstones) = self._luggage(name)
            if place.home == home:
                return place
            caller.script("receive", [self._homes.key(home)], key, lease, lives, self._ttl, *tombstones)
            there = Place(home, place.generation + 1)
            pointer = f"{there.generation}:{home}"
            found = caller.script("leave", [self._homes.key(place.home)], key, place.generation, lease, lives, pointer)
            if found[0] == b"stale":
                raise Stale
            if found[0] == b"done":
                self._homes.remember(key, there)
                own = self._homes.own(key)
                if own != place.home:
                    caller.script("point", [self._homes.key(own)], key, pointer)
                return there
        raise Stale

    def rewrite(self, change: Rewrite) -> None:
        self._writable()
        home = self._homes.of_number(change.lineage)
        if home is None or not change.expect:
            raise Stale
        key = self._homes.key(home)
        found = self._caller.script("rewrite", [key], *rewrite_arguments(change, self._ttl))
        if found[0] != b"done":
            raise Stale
        gone = {change.drop_thread} - {None, change.lineage} | ({change.lineage} if found[1] else set())
        self._homes.drop(number for number in gone if number is not None)
        if change.secret is not None:
            leave_nothing_behind(self._caller, key, self.place)

    # ------------------------------------------------------------------ the whole store

    def setting(self, name: str) -> bytes | None:
        found: bytes | None = self._caller.command("HGET", self._settings, name)
        return found

    def set_setting(self, name: str, value: bytes | None, expect: bytes | None) -> None:
        self._writable()
        operation = f"{self._options.prefix}:{{index}}#{new_operation()}"
        old, new = (b"" if each is None else b"1" + each for each in (expect, value))
        if self._caller.script("setting", [self._settings, operation], name, old, new) != b"done":
            raise Stale

    def stats(self) -> dict[str, int]:
        return redis_stats(self._caller, self._homes)

    def compact(self) -> None:
        """Drop what leads to threads that are gone: those that expired, and those whose creation failed."""
        self._writable()
        settled = self._homes.settled()
        for page in self._homes.numbers(0):
            old = [(number, home) for number, home in page if number <= settled]
            alive = self._caller.many("alive", [(self._homes.key(home), (number,)) for number, home in old])
            self._homes.drop(number for (number, _), there in zip(old, alive, strict=True) if not there)
        self._homes.forget_notes()

    def close(self) -> None:
        self._lanes.close()
        self._caller.close()

    def _writable(self) -> None:
        if self._read_only:
            raise BackendUnavailableError(f"{self.place} was opened read_only; nothing was written")


def _lease_of(found: bytes) -> LeaseRow:
    token, expires, holder = found.split(b":", 2)
    return LeaseRow(int(token), holder, int(expires) * 1000)


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The numbers, ascending, as ranges (first, last)."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
