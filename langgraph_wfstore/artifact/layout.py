"""The bytes of an archive besides its members' own: there is one way to write them, and nothing else is read.

The layout is that of PKWARE's APPNOTE 6.3.10, sections 4.3.7 and 4.3.12 to 4.3.16; FORMAT.md, section 15, leaves none
of its bytes open.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import IO, NamedTuple

STORED, DEFLATED = 0, 8
ANYWAY = 1 << 30  # bytes that the members of any archive may have together
RATIO = 100  # how often larger than the archive they may be, if they have more
BEGIN = b"PK\3\4"  # of an entry, and so of an archive
_WIDE, _WIDE_COUNT = 0xFFFFFFFF, 0xFFFF  # what is as large stands in a field of Zip64
_VERSION, _VERSION_64 = 20, 45
_UNIX = 3 << 8
_DATE = 1 << 5 | 1  # 1980-01-01
_MODE = 0o100644 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
TAIL = _END_64.size + _LOCATOR.size + _END.size


class Entry(NamedTuple):
    """An entry: its sizes, compressed and not, and where its header begins."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    def local(self) -> bytes:
        """The header before its bytes."""
        wide, sizes = self._sizes()
        extra = struct.pack("<2H2Q", 1, 16, *wide) if wide else b""
        name = self.name.encode("ascii")
        version = _VERSION_64 if extra else _VERSION
        fixed = (BEGIN, version, 0, self.method, 0, _DATE, self.crc, *sizes, len(name), len(extra))
        return _LOCAL.pack(*fixed) + name + extra

    def central(self) -> bytes:
        """What stands for it in the directory."""
        wide, sizes = self._sizes()
        wide += [self.offset] if self.offset >= _WIDE else []
        extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        name = self.name.encode("ascii")
        version = _VERSION_64 if extra else _VERSION
        fixed = (b"PK\1\2", _UNIX | version, version, 0, self.method, 0, _DATE, self.crc, *sizes)
        rest = (len(name), len(extra), 0, 0, 0, _MODE, min(self.offset, _WIDE))
        return _CENTRAL.pack(*fixed, *rest) + name + extra

    def _sizes(self) -> tuple[list[int], tuple[int, int]]:
        """What stands in the field of Zip64, and what in those of before."""
        if max(self.packed, self.size) >= _WIDE:
            return [self.size, self.packed], (_WIDE, _WIDE)
        return [], (self.packed, self.size)


def _end(count: int, size: int, start: int) -> bytes:
    wide = b""
    if count >= _WIDE_COUNT or size >= _WIDE or start >= _WIDE:
        wide = _END_64.pack(b"PK\6\6", 44, _UNIX | _VERSION_64, _VERSION_64, 0, 0, count, count, size, start)
        wide += _LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
        count, size, start = min(count, _WIDE_COUNT), min(size, _WIDE), min(start, _WIDE)
    return wide + _END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0)


class Writer:
    """Writes an archive, from the beginning of a file that can be read and sought.

    Args:
        file: where it goes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._entries: list[Entry] = []

    def add(self, name: str, pieces: Iterable[bytes], method: int) -> Entry:
        """Add an entry, and give it.

        Args:
            name: ASCII.
            pieces: its bytes.
            method: STORED or DEFLATED.
        """
        offset = self._file.tell()
        entry = Entry(name, method, 0, 0, 0, offset)
        self._file.write(entry.local())
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS) if method == DEFLATED else None
        crc = packed = size = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            packed += self._file.write(piece if packer is None else packer.compress(piece))
        if packer is not None:
            packed += self._file.write(packer.flush())
        if max(packed, size) >= _WIDE:
            raise ValueError(f"{name} has {size} bytes; a member has less than 4 GiB")
        entry = Entry(name, method, crc, packed, size, offset)
        self._entries.append(entry)
        self._file.seek(offset)
        self._file.write(entry.local())
        self._file.seek(0, 2)
        return entry

    def take_back(self) -> None:
        """Remove the last entry."""
        self._file.seek(self._entries.pop().offset)
        self._file.truncate()

    def finish(self) -> None:
        """Write the directory."""
        start = self._file.tell()
        directory = b"".join(entry.central() for entry in self._entries)
        self._file.write(directory + _end(len(self._entries), len(directory), start))


def count_of(tail: bytes) -> int:
    """How many entries the end of an archive states.

    Args:
        tail: its last `TAIL` bytes, or all of them.

    Raises:
        ValueError: it does not end like an archive without a comment.
    """
    end = tail[-_END.size :]
    if len(end) != _END.size or end[:4] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ValueError("it does not end like a ZIP archive without a comment")
    count = int.from_bytes(end[10:12], "little")
    return int.from_bytes(tail[32:40], "little") if count == _WIDE_COUNT and len(tail) == TAIL else count


def check(file: IO[bytes], entries: Sequence[Entry], start: int) -> None:
    """Whether an archive is written in the one way.

    Args:
        entries: as its directory has them.
        start: where the directory begins.

    Raises:
        ValueError: a byte outside of the members is another one.
    """
    at = 0
    for entry in entries:
        if entry.offset != at:
            raise ValueError(f"entry {entry.name!r:.100} is not where the one before it ends")
        header = entry.local()
        file.seek(at)
        if file.read(len(header)) != header:
            raise ValueError(f"the header of entry {entry.name!r:.100} is not what the directory says")
        at += len(header) + entry.packed
    if at != start:
        raise ValueError("there is something between its last entry and its directory")
    file.seek(start)
    expected = b"".join(entry.central() for entry in entries)
    expected += _end(len(entries), len(expected), start)
    if file.read(len(expected) + 1) != expected:
        raise ValueError("its directory, or what is behind it, is not written as it must be")
