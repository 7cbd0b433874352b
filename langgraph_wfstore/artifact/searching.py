"""Whether a text stands in an artifact, in the forms in which the store itself writes texts.

These are looked for, in this case and these characters:

- the text's UTF-8 in any bytes, as it is, and in a line of JSON: in a record escaped as JSON; in a value escaped as the
  JSON of its bytes (`latin1`), or in base64;
- the same of the text as it stands within JSON that is a text itself (arguments of a tool, say), with characters that
  are not ASCII as they are or as `\\uXXXX`;
- the hexadecimal of its UTF-8 and of its UTF-16, in which a record has a text beside a lone surrogate;
- over the end of one chunk of a list of short texts: the beginning of the text at the end of one chunk object, and the
  rest at the beginning of one, whether or not they follow each other.

Not looked for is what somebody else has encoded before it was stored: other bytes than UTF-8, base64 or compression
within a value, JSON within JSON within JSON, another Unicode normal form, numbers and times, and a text in pieces.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
from collections.abc import Iterator
from os import PathLike

from ..canonical import utf8
from ..codec import CHUNK_TAG
from .lines import ObjectLine, read_value

_SHORTEST = 4  # bytes; less is found by chance
_WIDEST = 9  # bytes of a form for one of the text: 6 for one as JSON, and 4/3 of it in base64, with its ends
_READ = 1 << 20
_LONGEST = 1 << 20  # bytes of a line that may be a chunk, which has at most 4096 itself
_CHUNK = f'"tag":"{CHUNK_TAG}'.encode()  # within a text of JSON its quotes are escaped


def pattern_of(text: str) -> re.Pattern[bytes]:
    """What to look for in the members of an artifact, or in a proof: all but what stands over the end of a chunk.

    In base64 a form depends on how many bytes are before it: there are three.

    Raises:
        ValueError: the text is so short that it would be found by chance.
    """
    data = utf8(text)
    if len(data) < _SHORTEST:
        raise ValueError(f"{text!r} has {len(data)} bytes of UTF-8; at least {_SHORTEST} are needed to look for it")
    wide = text.encode("utf-16-be", "surrogatepass")
    forms = {data.hex().encode(), wide.hex().encode()}
    encoded = set()
    for each in _within(text):
        said = utf8(each)
        forms |= {said, _escaped(each), _escaped(said.decode("latin-1"))}
        encoded |= {_encoded(said, before) for before in range(3)}
    return re.compile(b"|".join([*sorted(map(re.escape, forms)), *sorted(encoded)]))


def _within(text: str) -> list[str]:
    """The text, and what stands for it in JSON."""
    return [*dict.fromkeys((text, *(json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (False, True))))]


def _escaped(text: str) -> bytes:
    return utf8(json.dumps(text, ensure_ascii=False)[1:-1])


def _encoded(data: bytes, before: int) -> bytes:
    """A pattern of the base64 of these bytes behind so many others: at its ends a character depends on others too."""
    first, last = before * 8 // 6, -(-(before + len(data)) * 8 // 6)
    around = (bytes([byte]) for byte in range(256))
    said = [base64.b64encode(byte * before + data + byte * 3)[first:last] for byte in around]
    return b"".join(b"[%s]" % re.escape(bytes(sorted(set(characters)))) for characters in zip(*said, strict=True))


def holds(path: str | PathLike[str], text: str) -> bool:
    """Whether a text stands in an artifact, compressed or not, in one of the forms that this module names.

    Args:
        path: of the file.
        text: what to look for, in the case in which it may stand there.

    Raises:
        ValueError: the text is too short to be looked for.
        ArtifactError: a line of the file is no chunk, and says that it is one.
        OSError, zipfile.BadZipFile: the file cannot be read.
    """
    pattern = pattern_of(text)
    kept = _WIDEST * len(utf8(text))
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            end = b""
            with archive.open(info) as member:
                while piece := member.read(_READ):
                    piece = end + piece
                    if pattern.search(piece):
                        return True
                    end = piece[-kept:]
        return _over_an_end(_chunks(archive), text)


def _chunks(archive: zipfile.ZipFile) -> Iterator[bytes]:
    """The bytes of the chunk objects."""
    for name in archive.namelist():
        if name.startswith("objects/"):
            with archive.open(name) as member:
                while line := member.readline(_LONGEST):
                    if line.endswith(b"\n") and _CHUNK in line:
                        value = read_value(line[:-1], f"{name}, a line")
                        if isinstance(value, ObjectLine):
                            yield value.data


def _over_an_end(chunks: Iterator[bytes], text: str) -> bool:
    """Whether one of these ends with the beginning of a text, and one begins with the rest.

    The parts of a list of short texts have at most 48 characters, and all chunks but the last at least 256 bytes, so
    that no text stands in more than two.
    """
    cuts = [(said[:at], said[at:]) for said in map(utf8, _within(text)) for at in range(1, len(said))]
    ends, begins = set[int](), set[int]()
    for data in chunks:
        for number, (first, rest) in enumerate(cuts):
            if data.endswith(first):
                ends.add(number)
            if data.startswith(rest):
                begins.add(number)
    return not ends.isdisjoint(begins)
