"""Writing the archive: lines to members, indexes, and the ZIP file, always the same bytes for the same content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import zipfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from .layout import entry
from .manifest import Manifest, Member

MIMETYPE = b"application/vnd.langgraph-wfstore.thread+zip"
CHUNK = 1 << 20  # bytes of lines, with which a member ends
_COPIED = 1 << 20  # bytes at a time


class Lines:
    """Members of JSON Lines, on disk until the archive is written.

    Args:
        folder: "records" or "objects".
        directory: where the temporary file is.

    Attributes:
        members: those that are complete.
    """

    def __init__(self, folder: str, directory: Path) -> None:
        self.members: list[Member] = []
        self._folder = folder
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # closed by `close`
        self._hash = hashlib.sha256()
        self._size = self._lines = self._start = 0
        self._starts = array("Q")  # of every line, in the temporary file
        self._members = array("I")  # the number of its member
        self._offsets: list[int] = []  # where each member starts in the temporary file

    def add(self, line: bytes) -> int:
        """Add a line without its line feed; its number, from 1."""
        if not self._size:
            self._offsets.append(self._start)
        self._starts.append(self._start + self._size)
        self._members.append(len(self.members) + 1)
        data = line + b"\n"
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)
        self._lines += 1
        if self._size >= CHUNK:
            self._end()
        return len(self._starts)

    def _end(self) -> None:
        name = f"{self._folder}/{len(self.members) + 1:06}.jsonl"
        self.members.append(Member(name, self._size, self._hash.digest(), self._lines))
        self._start += self._size
        self._hash, self._size, self._lines = hashlib.sha256(), 0, 0

    def finish(self) -> None:
        """There are no more lines."""
        if self._size:
            self._end()
        self._starts.append(self._start)

    def line(self, number: int) -> bytes:
        """A line, without its line feed; after `finish`."""
        start, end = self._starts[number - 1], self._starts[number]
        self._file.seek(start)
        return self._file.read(end - start - 1)

    def index(self, names: Iterable[tuple[bytes, int]]) -> Iterator[bytes]:
        """The lines of an index.

        Args:
            names: ids, and the numbers of their lines.
        """
        for name, number in sorted(names):
            start, member = self._starts[number - 1], self._members[number - 1]
            offset, length = start - self._offsets[member - 1], self._starts[number] - start - 1
            yield b"%s %06d %012d %012d\n" % (name.hex().encode(), member, offset, length)

    def copy_to(self, target: IO[bytes], at: int) -> None:
        """Copy the bytes of a member, the `at`th from 0."""
        self._file.seek(self._offsets[at])
        left = self.members[at].size
        while left:
            data = self._file.read(min(_COPIED, left))
            target.write(data)
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

    def copy_to(self, target: IO[bytes]) -> None:
        """Copy its bytes."""
        self._file.seek(0)
        shutil.copyfileobj(self._file, target, _COPIED)

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


class Archive:
    """The ZIP file under a temporary name beside its own, which it gets when it is complete.

    Args:
        path: where it goes.
        compress: whether entries are deflated.
    """

    def __init__(self, path: Path, compress: bool) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
        self._method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self._file: IO[bytes] = self._temporary.open("xb+")
        self._zip = zipfile.ZipFile(self._file, "w", allowZip64=True)
        self._write("mimetype", MIMETYPE, zipfile.ZIP_STORED)

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest, which comes first."""
        self._write("manifest.json", manifest.encoded(), self._method)

    def text(self, text: Text) -> None:
        """Write a member."""
        with self._entry(text.name, text.member.size, self._method) as target:
            text.copy_to(target)

    def lines(self, lines: Lines) -> None:
        """Write members of JSON Lines."""
        for at, member in enumerate(lines.members):
            with self._entry(member.name, member.size, self._method) as target:
                lines.copy_to(target, at)

    def signature(self, name: str, data: bytes) -> None:
        """Write a signature, which comes last."""
        self._write(f"signatures/{name}.json", data, self._method)

    def _write(self, name: str, data: bytes, method: int) -> None:
        with self._entry(name, len(data), method) as target:
            target.write(data)

    def _entry(self, name: str, size: int, method: int) -> IO[bytes]:
        return self._zip.open(entry(name, method, size), "w")

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            if self._temporary.exists():
                with contextlib.suppress(OSError):  # the end of a half archive; what went wrong is raised already
                    self._zip.close()
                self._file.close()
                self._temporary.unlink()

    def _finish(self) -> None:
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)
        _sync(self._path.parent)


def _sync(directory: Path) -> None:
    """Make a rename durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
