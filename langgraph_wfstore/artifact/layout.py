"""The bytes of an archive besides its members' own: there is one way to write them, and nothing else is read.

The layout is that of PKWARE's APPNOTE 6.3.10, sections 4.3.7 and 4.3.12 to 4.3.16, as Python's `zipfile` writes it.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from typing import IO

DATE = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644 << 16
_UNIX = 3
_LIMIT = (1 << 31) - 1  # beyond it a size or an offset stands in a field of Zip64
_WIDE, _WIDE_COUNT = 0xFFFFFFFF, 0xFFFF
_VERSION, _VERSION_64 = 20, 45
_DOS_DATE = 1 << 5 | 1
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
TAIL = _END_64.size + _LOCATOR.size + _END.size


def entry(name: str, method: int, size: int) -> zipfile.ZipInfo:
    """An entry as it is written."""
    info = zipfile.ZipInfo(name, DATE)
    info.compress_type = method
    info.create_system = _UNIX
    info.external_attr = MODE
    info.file_size = size
    return info


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
    if count == _WIDE_COUNT and len(tail) == TAIL:
        return int.from_bytes(tail[32:40], "little")
    return count


def check(file: IO[bytes], infos: Sequence[zipfile.ZipInfo], start: int) -> None:
    """Whether an archive is written in the one way.

    Args:
        infos: its entries, as its directory has them.
        start: where the directory begins.

    Raises:
        ValueError: a byte outside of the members is another one.
    """
    at = 0
    for info in infos:
        if info.header_offset != at:
            raise ValueError(f"entry {info.filename!r:.100} is not where the one before it ends")
        header = _local(info)
        file.seek(at)
        if file.read(len(header)) != header:
            raise ValueError(f"the header of entry {info.filename!r:.100} is not what the directory says")
        at += len(header) + info.compress_size
    if at != start:
        raise ValueError("there is something between its last entry and its directory")
    file.seek(start)
    expected = b"".join(map(_central, infos))
    expected += _end(len(infos), len(expected), start)
    if file.read(len(expected) + 1) != expected:
        raise ValueError("its directory, or what is behind it, is not written as it must be")


def _local(info: zipfile.ZipInfo) -> bytes:
    own = entry(info.filename, info.compress_type, info.file_size)
    own.CRC, own.compress_size = info.CRC, info.compress_size
    return own.FileHeader(zip64=info.file_size * 1.05 > _LIMIT)


def _central(info: zipfile.ZipInfo) -> bytes:
    wide: list[int] = []
    size, packed, offset = info.file_size, info.compress_size, info.header_offset
    version = _VERSION_64 if size * 1.05 > _LIMIT else _VERSION
    if size > _LIMIT or packed > _LIMIT:
        wide += [size, packed]
        size = packed = _WIDE
    if offset > _LIMIT:
        wide.append(offset)
        offset = _WIDE
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = _VERSION_64 if wide else version
    name = info.filename.encode("ascii")
    fixed = _CENTRAL.pack(
        b"PK\1\2",
        *(version, _UNIX, version, 0),
        *(0, info.compress_type, 0, _DOS_DATE),
        *(info.CRC, packed, size),
        *(len(name), len(extra), 0, 0, 0),
        *(MODE, offset),
    )
    return fixed + name + extra


def _end(count: int, size: int, start: int) -> bytes:
    wide = b""
    if count >= _WIDE_COUNT or start > _LIMIT or size > _LIMIT:
        wide = _END_64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        wide += _LOCATOR.pack(b"PK\6\7", 0, start + size, 1)
        count, size, start = min(count, _WIDE_COUNT), min(size, _WIDE), min(start, _WIDE)
    return wide + _END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0)
