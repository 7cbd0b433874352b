"""Whether an artifact holds a text: in every form in which a text can stand in it."""

from __future__ import annotations

import base64
import json
import zipfile
from os import PathLike

from ..canonical import utf8

_SHORTEST = 4  # bytes; less is found by chance
_READ = 1 << 20


def forms_of(text: str) -> tuple[bytes, ...]:
    """The bytes to look for in the members of an artifact, or in a proof.

    A text stands in a record as JSON, in a value as JSON of its bytes (`latin1`), or, with other bytes around it, in
    base64, where its form depends on how many bytes are before it: there are three.

    Raises:
        ValueError: the text is so short that it would be found by chance.
    """
    data = utf8(text)
    if len(data) < _SHORTEST:
        raise ValueError(f"{text!r} has {len(data)} bytes of UTF-8; at least {_SHORTEST} are needed to look for it")
    forms = [data, *(_escaped(said) for said in (text, data.decode("latin-1")))]
    forms += [_encoded(data, before) for before in range(3)]
    return tuple(dict.fromkeys(forms))


def _escaped(text: str) -> bytes:
    return utf8(json.dumps(text, ensure_ascii=False)[1:-1])


def _encoded(data: bytes, before: int) -> bytes:
    """The characters of base64 that follow from these bytes alone, behind so many others."""
    said = base64.b64encode(bytes(before) + data)
    return said[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]


def holds(path: str | PathLike[str], text: str) -> bool:
    """Whether a text stands in an artifact, compressed or not.

    Args:
        path: of the file.
        text: what to look for, in the case in which it may stand there.

    Raises:
        ValueError: the text is too short to be looked for.
        OSError, zipfile.BadZipFile: the file cannot be read.
    """
    forms = forms_of(text)
    kept = max(map(len, forms)) - 1
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            end = b""
            with archive.open(info) as member:
                while piece := member.read(_READ):
                    piece = end + piece
                    if any(form in piece for form in forms):
                        return True
                    end = piece[-kept:]
    return False
