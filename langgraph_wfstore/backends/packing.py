"""How engines keep bytes small: zstd, with a dictionary of our own for records and messages.

The first byte of packed bytes says how to read the rest; unpacking gives back the identical bytes.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import zstandard

from ..errors import IntegrityError
from ..values.lists import get_varint, put_varint

RAW, ZSTD, ZSTD_DICTIONARY_1 = 0, 1, 2
_SMALL = 80  # bytes; below it, compressing saves less than it costs
_LARGE = 1 << 14  # bytes; above it, the dictionary does not help
_LEVEL_SMALL = 1  # a higher one makes records and messages no smaller, and touches more memory
_LEVEL_LARGE = 3
_MOST = 1 << 31


def pack(data: bytes) -> bytes:
    """The stored form of `data`."""
    size = len(data)
    if size >= _SMALL:
        tools = _taken()
        if size > _LARGE:
            out, frame = bytearray((ZSTD,)), tools.compress(data)
        else:
            out, frame = bytearray((ZSTD_DICTIONARY_1,)), tools.compress_small(data)
        _idle.append(tools)
        put_varint(out, size)
        out += frame
        if len(out) < size:
            return bytes(out)
    return b"\0" + data


def unpack(stored: bytes) -> bytes:
    """The bytes behind `pack`.

    Raises:
        IntegrityError: the stored form is damaged.
    """
    how = stored[0] if stored else -1
    if how == RAW:
        return stored[1:]
    try:
        if how not in (ZSTD, ZSTD_DICTIONARY_1):
            raise ValueError(f"they start with {how}, which no known packing does")
        size, at = get_varint(stored, 1)
        if size > _MOST:
            raise ValueError(f"they claim to hold {size} bytes")
        tools = _taken()
        decompress = tools.decompress if how == ZSTD else tools.decompress_small
        data: bytes = decompress(stored[at:], max_output_size=size, allow_extra_data=False)
        _idle.append(tools)
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes instead of {size}")
        return data
    except (ValueError, MemoryError, zstandard.ZstdError) as error:
        raise IntegrityError(
            f"stored bytes are damaged ({error}); run thread.verify() to see what is affected, and restore a backup"
        ) from error


@lru_cache(maxsize=1)
def _dictionary() -> zstandard.ZstdCompressionDict:
    data = files("langgraph_wfstore.backends").joinpath("dictionary-1.zdict").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(data)
    dictionary.precompute_compress(level=_LEVEL_SMALL)
    return dictionary


class _Tools:
    """Compressors for one thread at a time; they are slow to make, and slow when they are used first."""

    def __init__(self) -> None:
        # No magic number, size or checksum in the frame: the size stands before it, the digests check the bytes.
        plain, dictionary = zstandard.FORMAT_ZSTD1_MAGICLESS, _dictionary()
        small, large = (
            zstandard.ZstdCompressionParameters.from_level(
                level, format=plain, write_content_size=0, write_dict_id=0, write_checksum=0
            )
            for level in (_LEVEL_SMALL, _LEVEL_LARGE)
        )
        self.compress = zstandard.ZstdCompressor(compression_params=large).compress
        self.compress_small = zstandard.ZstdCompressor(compression_params=small, dict_data=dictionary).compress
        self.decompress = zstandard.ZstdDecompressor(format=plain).decompress
        self.decompress_small = zstandard.ZstdDecompressor(dict_data=dictionary, format=plain).decompress


_idle: list[_Tools] = []  # not per thread: LangGraph starts threads anew for every invocation


def _taken() -> _Tools:
    """Tools that nobody else uses until they are put back; those whose work fails are not."""
    try:
        return _idle.pop()
    except IndexError:
        return _Tools()
