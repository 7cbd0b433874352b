"""Whether an artifact holds a text: in every form in which a text can stand in it."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from os import PathLike

from ..canonical import utf8

_SHORTEST = 4  # bytes; less is found by chance
_WIDEST = 6  # bytes of a form for one of the text
_READ = 1 << 20


def pattern_of(text: str) -> re.Pattern[bytes]:
    """What to look for in the members of an artifact, or in a proof.

    A text stands in a record as JSON, in a value as JSON of its bytes (`latin1`), or, with other bytes around it, in
    base64, where its form depends on how many bytes are before it: there are three.

    Raises:
        ValueError: the text is so short that it would be found by chance.
    """
    data = utf8(text)
    if len(data) < _SHORTEST:
        raise ValueError(f"{text!r} has {len(data)} bytes of UTF-8; at least {_SHORTEST} are needed to look for it")
    forms = {re.escape(form) for form in (data, _escaped(text), _escaped(data.decode("latin-1")))}
    return re.compile(b"|".join([*sorted(forms), *(_encoded(data, before) for before in range(3))]))


def _escaped(text: str) -> bytes:
    return utf8(json.dumps(text, ensure_ascii=False)[1:-1])


def _encoded(data: bytes, before: int) -> bytes:
    """A pattern of the base64 of these bytes behind so many others: at its ends a character depends on others too."""
    first, last = before * 8 // 6, -(-(before + len(data)) * 8 // 6)
    around = (bytes([byte]) for byte in range(256))
    said = [base64.b64encode(byte * before + data + byte * 3)[first:last] for byte in around]
    return b"".join(b"[%s]" % re.escape(bytes(sorted(set(characters)))) for characters in zip(*said, strict=True))


def holds(path: str | PathLike[str], text: str) -> bool:
    """Whether a text stands in an artifact, compressed or not.

    Args:
        path: of the file.
        text: what to look for, in the case in which it may stand there.

    Raises:
        ValueError: the text is too short to be looked for.
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
    return False
