"""Where threads live: names and numbers lead to homes, and runs to threads.

A home is a hash tag: all keys of it lie in one slot of a cluster, so that one script can change them together. What
lies outside of the homes are hints: they are written before what they lead to, and what they lead to is looked at.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ...errors import BackendUnavailableError, IntegrityError
from ..base import RUN as RUN_KIND
from ..base import Append, name_key
from .client import Caller

_HELD = 1 << 16
_HOPS = 16
_PAGE = 1000
_RUN_BUCKETS = 1024
# Nobody is longer than this between the number of a thread and its creation: a store's timeout is shorter.
GRACE = 1800  # seconds


class Place(NamedTuple):
    """The home of a name, and how often the name has moved to get there."""

    home: str
    generation: int = 0


class Homes:
    """What this process knows of where threads live; it may be out of date, and is corrected by who looks.

    Args:
        caller: calls of the server.
        prefix: what every key starts with.
        store_secret: names are only seen through it.
    """

    def __init__(self, caller: Caller, prefix: str, store_secret: bytes) -> None:
        self._caller = caller
        self._prefix = prefix
        self._secret = store_secret
        self._moved: dict[bytes, Place] = {}
        self._of_number: dict[int, str] = {}
        self._noted: set[tuple[int, bytes]] = set()
        self.index = f"{prefix}:{{index}}threads"
        self._last = f"{prefix}:{{index}}last"
        self._asked = f"{prefix}:{{index}}asked"

    # ------------------------------------------------------------------ names

    def name_key(self, name: bytes) -> bytes:
        """What a thread id is found by."""
        return name_key(self._secret, name)

    def key(self, home: str) -> str:
        """The hash of a home, by which scripts find all of it."""
        return f"{self._prefix}:{{{home}}}h"

    def own(self, name_key: bytes) -> str:
        """The home in which a name begins."""
        return _text(name_key)

    def at_name(self, name: bytes, call: Callable[[bytes, Place], list[Any]]) -> tuple[Place, list[Any]]:
        """What a script says at the home where a name lives now, and that home.

        Args:
            call: calls the script for (name key, place).
        """
        key = self.name_key(name)
        place = self._moved.get(key) or Place(self.own(key))
        for _ in range(_HOPS):
            found = call(key, place)
            if found[0] != b"moved":
                return place, found
            place = place_of(found[1])
            self.remember(key, place)
        raise BackendUnavailableError(f"a thread id moved {_HOPS} times while it was looked for; repeat the operation")

    def remember(self, name_key: bytes, place: Place) -> None:
        """A name has moved."""
        if len(self._moved) >= _HELD:
            self._moved.clear()
        self._moved[name_key] = place

    # ------------------------------------------------------------------ numbers

    def new_number(self, home: str) -> int:
        """A number for a thread that is about to be created there."""
        number = int(self._caller.script("number", [self._last, self.index], home))
        self.learn(number, home)
        return number

    def learn(self, number: int, home: str) -> None:
        """A thread, or a lineage, of that number lives there."""
        if len(self._of_number) >= _HELD:
            self._of_number.clear()
        self._of_number[number] = home

    def of_number(self, number: int) -> str | None:
        """The home of a thread or a lineage; None if there never was one, or it is gone."""
        home = self._of_number.get(number)
        if home is None:
            for entry in self._caller.command("ZRANGEBYSCORE", self.index, number, number):
                home = _home_of(entry)
                self.learn(number, home)
        return home

    def numbers(self, after: int) -> Iterator[list[tuple[int, str]]]:
        """(number, home) of threads that there are or were, page by page, by number."""
        while True:
            low = f"({after}"
            found = self._caller.command("ZRANGEBYSCORE", self.index, low, "+inf", "LIMIT", 0, _PAGE)
            if not found:
                return
            page = [(int(entry.partition(b":")[0]), _home_of(entry)) for entry in found]
            yield page
            after = page[-1][0]

    def drop(self, numbers: Iterable[int]) -> None:
        """These numbers lead nowhere any more."""
        for number in numbers:
            self._of_number.pop(number, None)
            self._caller.command("ZREMRANGEBYSCORE", self.index, number, number)

    def settled(self) -> int:
        """The number up to which a thread that is not there never will be.

        It is the last one that there was when this was asked before, if that is long ago.
        """
        seconds = int(self._caller.on_node(self.index, "TIME")[0])
        asked, _, number = (self._caller.command("GET", self._asked) or b"0:0").partition(b":")
        if seconds - int(asked) < GRACE:
            return 0
        last = (self._caller.command("GET", self._last) or b"0").partition(b":")[0]
        self._caller.command("SET", self._asked, b"%d:%s" % (seconds, last))
        return int(number)

    # ------------------------------------------------------------------ runs

    def note(self, batch: Append, number: int, home: str, *, new: bool) -> bool:
        """Note which runs an append belongs to, before it is made; whether its run was deleted.

        Args:
            new: the thread is about to be created: what was noted of it before says nothing.
        """
        if len(self._noted) >= _HELD:
            self._noted.clear()
        known, tail = self._noted, _raw(home)
        if not new and (number, b"") not in known:  # the list of threads may have lost it in a failover
            self._caller.command("ZADD", self.index, number, f"{number}:{home}")
        for run in {_signed(value) for value in _runs_of(batch)}:
            if (number, run) not in known:
                self._caller.command("ZADD", self._homes_key(run), 0, run + tail)
                known.add((number, run))
        known.add((number, b""))
        if batch.run is None or (not new and (number, batch.run) in known):
            return False
        if self._caller.script("note", self._marks(batch.run), batch.run, batch.run + tail):
            return True
        known.add((number, batch.run))
        return False

    def homes_of(self, runs: Sequence[int]) -> list[str]:
        """Homes with threads that may have records of these runs."""
        found: set[str] = set()
        for value in runs:
            run = _signed(value)
            notes = self._caller.command("ZRANGEBYLEX", self._homes_key(run), b"[" + run, b"(" + run + b"\xff" * 17)
            found |= {_text(note[-16:]) for note in notes}
        return sorted(found)

    def mark_deleted(self, run: bytes) -> set[str]:
        """Note that a run was deleted; the homes in which somebody may go on writing for it."""
        return {_text(note[-16:]) for note in self._caller.script("deleted", self._marks(run), run)}

    def is_deleted(self, run: bytes) -> bool:
        """Whether a run was deleted."""
        return bool(self._caller.command("SISMEMBER", self._marks(run)[1], run))

    def _homes_key(self, run: bytes) -> str:
        return f"{self._prefix}:run{_bucket(run):03x}"

    def _marks(self, run: bytes) -> list[str]:
        tag = f"{self._prefix}:{{run{_bucket(run):03x}}}"
        return [f"{tag}notes", f"{tag}deleted"]

    def forget_notes(self) -> None:
        """Drop the notes of runs that lead to homes that are gone."""
        alive: dict[bytes, bool] = {}
        for bucket in range(_RUN_BUCKETS):
            for key in (f"{self._prefix}:run{bucket:03x}", f"{self._prefix}:{{run{bucket:03x}}}notes"):
                gone = []
                for note in self._caller.command("ZRANGE", key, 0, -1):
                    raw = note[-16:]
                    if raw not in alive:
                        alive[raw] = bool(self._caller.command("EXISTS", self.key(_text(raw))))
                    if not alive[raw]:
                        gone.append(note)
                for at in range(0, len(gone), _PAGE):
                    self._caller.command("ZREM", key, *gone[at : at + _PAGE])


def place_of(pointer: bytes) -> Place:
    """Where a pointer leads: <generation>:<home>."""
    generation, found, home = pointer.partition(b":")
    if not found or not generation.isdigit():
        raise IntegrityError(f"a pointer to a thread's home is damaged: {pointer!r:.60}; restore a backup")
    return Place(home.decode(), int(generation))


def _raw(home: str) -> bytes:
    return base64.urlsafe_b64decode(home + "==")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bucket(run: bytes) -> int:
    return int.from_bytes(run[:2], "big") % _RUN_BUCKETS


def _home_of(entry: bytes) -> str:
    return entry.partition(b":")[2].decode()


def _signed(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _runs_of(batch: Append) -> Iterator[int]:
    """What the records of an append are found by when runs are deleted."""
    for row in batch.records:
        if row.run is not None:
            yield row.run
        if row.kind == RUN_KIND:
            yield from row.links
