"""Opening an artifact as what it may be: a file that somebody hostile has made.

Everything that can be checked of the archive is checked before anything is inflated, and the digests of all members
before anything of them is used.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO

from ..backends.sqlite import is_open_here
from ..errors import ArtifactError
from . import layout
from .archive import MIMETYPE
from .manifest import Member, read_manifest

_SIGNATURE = re.compile(r"signatures/[A-Za-z0-9_-][A-Za-z0-9._-]{0,183}\.json")
_TEXTS = ("index/records.txt", "index/objects.txt", "derived/messages.txt")
_READ = 1 << 20
_SMALL = 1 << 20  # bytes of a README or a signature
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    struct.error,
    ValueError,
    EOFError,
    OverflowError,
    KeyError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an artifact may be, before anything of it is read.

    Attributes:
        members: entries of the archive.
        bytes: of all members together, uncompressed.
        ratio: how often larger than the file they may be, if that is more than a GiB.
        line: bytes of one line.
        items: items of all lists together, each list with all of its own.
        list_items: items of one list.
    """

    members: int = 100_000
    bytes: int = 64 << 30
    ratio: int = layout.RATIO
    line: int = 256 << 20
    items: int = 10_000_000_000
    list_items: int = 20_000_000


def looks_like_artifact(path: str | PathLike[str]) -> bool:
    """Whether there is a file that begins as an artifact does; `Opened` says whether it is one."""
    try:
        if not Path(path).is_file() or is_open_here(path):  # a FIFO would be waited for
            return False
        with Path(path).open("rb") as file:
            return file.read(len(layout.BEGIN)) == layout.BEGIN
    except (OSError, ValueError):  # a URL, say, or nothing: it is opened, and refused, as what it is
        return False


class Opened:
    """An open artifact whose archive, manifest and digests are checked. A context manager.

    Attributes:
        manifest: what `manifest.json` says.
        signatures: the names of the signatures.

    Raises:
        ArtifactError: it is none, or was changed.
    """

    def __init__(self, path: str | PathLike[str], limits: Limits | None = None) -> None:
        self._path = Path(path)
        self._limits = limits or Limits()
        if self._path.exists() and not self._path.is_file():
            raise ArtifactError(f"the artifact {str(path)!r} is no regular file. Nothing was imported; check the path")
        if is_open_here(path):
            raise ArtifactError(
                f"{str(path)!r} is no artifact, but a store that this program has open. Nothing was imported; "
                "store.copy_to copies threads from one store to another"
            )
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise ArtifactError(
                f"the artifact {str(path)!r} cannot be opened: {error.strerror or error}. Nothing was imported; check "
                "the path and its permissions"
            ) from error
        try:
            self._check()
        except _BROKEN as error:
            self._file.close()
            raise self._refusal(f"its archive cannot be read ({type(error).__name__}: {error})") from error
        except BaseException:
            self._file.close()
            raise

    def _refusal(self, what: str, todo: str = "ask for the file anew") -> ArtifactError:
        return ArtifactError(
            f"{str(self._path)!r} is no artifact that can be used: {what}. Nothing was imported; {todo}"
        )

    def _check(self) -> None:
        self._check_size()
        self._zip = zipfile.ZipFile(self._file)
        infos = self._zip.infolist()
        self._check_entries(infos)
        if self._whole(infos[0]) != MIMETYPE:
            raise self._refusal("its mimetype is another one")
        self.manifest = read_manifest(self._whole(infos[1]))
        self.signatures = [info.filename for info in infos if info.filename.startswith("signatures/")]
        self._infos = {info.filename: info for info in infos}
        self._check_members([info for info in infos[2:] if info.filename not in self.signatures])
        for member in self.manifest.members:
            self._check_digest(member)

    def _check_size(self) -> None:
        """The number of entries that the end of the file states, before `zipfile` makes an object of each."""
        size = self._file.seek(0, 2)
        self._file.seek(max(0, size - layout.TAIL))
        entries = layout.count_of(self._file.read())
        if entries > self._limits.members:
            raise self._refusal(f"it has {entries} entries, more than {self._limits.members}")

    def _check_entries(self, infos: list[zipfile.ZipInfo]) -> None:
        names = [info.filename for info in infos]
        if names[:2] != ["mimetype", "manifest.json"] or len(set(names)) != len(names):
            raise self._refusal(f"its entries begin with {names[:2]}, or one is there twice")
        total = 0
        for info in infos:
            total += info.file_size
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._refusal(f"entry {info.filename!r:.100} has a method that no artifact has")
            if info.file_size > _SMALL and (info.filename == "README.txt" or info.filename.startswith("signatures/")):
                raise self._refusal(f"entry {info.filename!r:.100} has {info.file_size} bytes, {_SMALL} are allowed")
        if infos[0].compress_type != zipfile.ZIP_STORED:
            raise self._refusal("its mimetype is not stored as it is")
        packed = self._file.seek(0, 2)
        if total > min(self._limits.bytes, max(layout.ANYWAY, packed * self._limits.ratio)):
            raise self._refusal(
                f"it would have {total} bytes, of {packed}, which is more than the limits allow",
                "ask for the file anew, or, if you know who made it, give limits=Limits(bytes=..., ratio=...) of "
                "langgraph_wfstore.artifact.opening that allow it",
            )
        layout.check(self._file, [_entry(info) for info in infos], self._zip.start_dir)

    def _check_members(self, infos: list[zipfile.ZipInfo]) -> None:
        members = self.manifest.members
        if [(info.filename, info.file_size) for info in infos] != [(m.name, m.size) for m in members]:
            raise self._refusal("its entries are not the members that its manifest names, or of other sizes")
        records = [m for m in members if m.name.startswith("records/")]
        objects = [m for m in members if m.name.startswith("objects/")]
        expected = ["README.txt"]
        for folder, found in (("records", records), ("objects", objects)):
            expected += [f"{folder}/{number:06}.jsonl" for number in range(1, len(found) + 1)]
        if [m.name for m in members] != [*expected, *_TEXTS] or self.manifest.records == 0:
            raise self._refusal("its members are not those of an artifact")
        for found, count in ((records, self.manifest.records), (objects, self.manifest.objects)):
            if sum(m.lines or 0 for m in found) != count or not all(m.lines for m in found):
                raise self._refusal("the lines of its members are not as many as its manifest says")
        if bad := [name for name in self.signatures if not _SIGNATURE.fullmatch(name)]:
            raise self._refusal(f"it has entries that no artifact has: {bad[0]!r:.100}")
        if self.signatures != sorted(self.signatures) or [*self._infos][2 + len(infos) :] != self.signatures:
            raise self._refusal("its signatures are not in order, or not behind everything else")

    def _whole(self, info: zipfile.ZipInfo) -> bytes:
        if info.file_size > 256 << 20:
            raise self._refusal(f"entry {info.filename!r:.100} has {info.file_size} bytes")
        with self._zip.open(info) as source:
            return source.read()

    def _check_digest(self, member: Member) -> None:
        found, size, lines = hashlib.sha256(), 0, 0
        with self._zip.open(self._infos[member.name]) as source:
            while data := source.read(_READ):
                found.update(data)
                size += len(data)
                lines += data.count(b"\n") if member.lines is not None else 0
        if found.digest() != member.digest or size != member.size or lines != (member.lines or 0):
            raise self._refusal(f"{member.name} is not what its manifest says: it was changed")

    # ------------------------------------------------------------------ reading

    def lines(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """The lines of "records" or "objects": where each stands, and its bytes without line feed.

        Raises:
            ArtifactError: a line is too long.
        """
        for member in self.manifest.members:
            if member.name.startswith(f"{folder}/"):
                with self._guarded(member.name) as source:
                    yield from self._lines(member, source)

    def _lines(self, member: Member, source: IO[bytes]) -> Iterator[tuple[str, bytes]]:
        for number in range(1, (member.lines or 0) + 1):
            where = f"{member.name}, line {number},"
            try:
                line = source.readline(self._limits.line + 1)
            except _BROKEN as error:
                raise self._refusal(f"{where} cannot be read ({type(error).__name__}: {error})") from error
            if not line.endswith(b"\n"):
                raise self._refusal(
                    f"{where} is longer than {self._limits.line} bytes, the limit, or does not end",
                    "ask for the file anew, or, if you know who made it, give limits=Limits(line=...) of "
                    "langgraph_wfstore.artifact.opening that allow it",
                )
            yield where, line[:-1]

    def _guarded(self, name: str) -> IO[bytes]:
        return self._zip.open(self._infos[name])

    def signature(self, name: str) -> bytes:
        """The bytes of a signature."""
        try:
            return self._whole(self._infos[name])
        except _BROKEN as error:
            raise self._refusal(f"{name} cannot be read ({type(error).__name__}: {error})") from error

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def __enter__(self) -> Opened:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _entry(info: zipfile.ZipInfo) -> layout.Entry:
    packed, size = info.compress_size, info.file_size
    return layout.Entry(info.filename, info.compress_type, info.CRC, packed, size, info.header_offset)
