"""Writing the archive: lines to members, indexes, and the ZIP file, always the same bytes for the same content."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO

from . import layout
from .layout import DEFLATED, STORED, Writer
from .manifest import Manifest, Member

MIMETYPE = b"application/vnd.langgraph-wfstore.thread+zip"
CHUNK = 1 << 20  # bytes of lines, with which a member ends
_COPIED = 1 << 20  # bytes at a time
_SIGNATURES = 1 << 20  # bytes that are left for them


class Places:
    """Where the lines of a folder stand: in which member, and where in it.

    Attributes:
        members: (size, number of lines) of the members that are complete.
    """

    def __init__(self) -> None:
        self.members: list[tuple[int, int]] = []
        self._starts = array("Q", [0])  # of every line, and of the one that comes next, in all members together
        self._begins: list[int] = [0]  # where each member starts, and the one that comes next
        self._first: list[int] = [0]  # how many lines there are before each member

    def add(self, size: int) -> bool:
        """A line of that size, with its line feed; whether its member ends with it."""
        self._starts.append(self._starts[-1] + size)
        if self._starts[-1] - self._begins[-1] < CHUNK:
            return False
        self._end()
        return True

    def _end(self) -> None:
        lines = len(self._starts) - 1
        self.members.append((self._starts[-1] - self._begins[-1], lines - self._first[-1]))
        self._begins.append(self._starts[-1])
        self._first.append(lines)

    def finish(self) -> bool:
        """There are no more lines; whether a member ends so."""
        if self._starts[-1] == self._begins[-1]:
            return False
        self._end()
        return True

    def span(self, number: int) -> tuple[int, int]:
        """Where a line begins, and where the next one does, in all members together."""
        return self._starts[number - 1], self._starts[number]

    def begin(self, at: int) -> int:
        """Where a member begins, the `at`th from 0."""
        return self._begins[at]

    def index(self, names: Iterable[tuple[bytes, int]]) -> Iterator[bytes]:
        """The lines of an index.

        Args:
            names: ids, and the numbers of their lines.
        """
        for name, number in sorted(names):
            start, end = self.span(number)
            member = bisect_right(self._first, number - 1)
            offset = start - self._begins[member - 1]
            yield b"%s %06d %012d %012d\n" % (name.hex().encode(), member, offset, end - start - 1)


class Lines:
    """Members of JSON Lines, on disk until the archive is written.

    Args:
        folder: "records" or "objects".
        directory: where the temporary file is.

    Attributes:
        members: those that are complete.
        places: where the lines stand.
    """

    def __init__(self, folder: str, directory: Path) -> None:
        self.members: list[Member] = []
        self.places = Places()
        self._folder = folder
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # closed by `close`
        self._hash = hashlib.sha256()
        self._lines = 0

    def add(self, line: bytes) -> int:
        """Add a line without its line feed; its number, from 1."""
        data = line + b"\n"
        self._file.write(data)
        self._hash.update(data)
        self._lines += 1
        if self.places.add(len(data)):
            self._end()
        return self._lines

    def _end(self) -> None:
        size, lines = self.places.members[-1]
        name = f"{self._folder}/{len(self.places.members):06}.jsonl"
        self.members.append(Member(name, size, self._hash.digest(), lines))
        self._hash = hashlib.sha256()

    def finish(self) -> None:
        """There are no more lines."""
        if self.places.finish():
            self._end()

    def line(self, number: int) -> bytes:
        """A line, without its line feed; after `finish`."""
        start, end = self.places.span(number)
        self._file.seek(start)
        return self._file.read(end - start - 1)

    def pieces(self, at: int) -> Iterator[bytes]:
        """The bytes of a member, the `at`th from 0, piece by piece."""
        self._file.seek(self.places.begin(at))
        left = self.members[at].size
        while left:
            data = self._file.read(min(_COPIED, left))
            yield data
            left -= len(data)

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


class Text:
    """A member that is written piece by piece, on disk until the archive is written."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # closed by `close`
        self._hash = hashlib.sha256()
        self._size = 0

    def add(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)

    @property
    def member(self) -> Member:
        """The member as it is now."""
        return Member(self.name, self._size, self._hash.digest())

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, piece by piece."""
        self._file.seek(0)
        while data := self._file.read(_COPIED):
            yield data

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


class Archive:
    """The ZIP file under a temporary name beside its own, which it gets when it is complete.

    Args:
        path: where it goes.
        compress: whether entries are deflated. If they have more than a GiB together, those that would deflate to less
            than a hundredth are not: a reader refuses such a file as one that was made to fill its disk.
    """

    def __init__(self, path: Path, compress: bool) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
        self._method = DEFLATED if compress else STORED
        self._file: IO[bytes] = self._temporary.open("xb+")
        self._zip = Writer(self._file)
        self._zip.add("mimetype", [MIMETYPE], STORED)
        self._total = len(MIMETYPE) + _SIGNATURES

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest, which comes first."""
        encoded = manifest.encoded()
        self._total += len(encoded) + sum(member.size for member in manifest.members)
        self._add("manifest.json", lambda: [encoded])

    def text(self, text: Text) -> None:
        """Write a member."""
        self._add(text.name, text.pieces)

    def lines(self, lines: Lines) -> None:
        """Write members of JSON Lines."""
        for at, member in enumerate(lines.members):
            self._add(member.name, partial(lines.pieces, at))

    def signature(self, name: str, data: bytes) -> None:
        """Write a signature, which comes last."""
        self._add(f"signatures/{name}.json", lambda: [data])

    def _add(self, name: str, pieces: Callable[[], Iterable[bytes]]) -> None:
        entry = self._zip.add(name, pieces(), self._method)
        if self._total > layout.ANYWAY and entry.size > layout.RATIO * entry.packed:
            self._zip.take_back()
            self._zip.add(name, pieces(), STORED)

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)  # it is there if it was not finished

    def _finish(self) -> None:
        self._zip.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)
        sync_directory(self._path.parent)


def sync_directory(directory: Path) -> None:
    """Make it durable that a file of this directory has its name."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
