"""Export: a thread of a store to one file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..backends.base import SKELETON, Stale, Tail
from ..backends.sqlite import is_open_here
from ..canonical import hex_id
from ..counting import counted
from ..errors import BackendUnavailableError, IntegrityError, WfStoreError
from ..format import read_record as read_body
from ..redaction.selecting import Selection
from ..threads.overtaken import removed_between
from .archive import Archive, Lines, Text
from .derived import messages
from .lines import LeafLine, NodeLine, RecordLine, read_record, read_value, write_record, write_value
from .manifest import Facts, Manifest
from .readme import readme
from .signing import signer_of
from .source import Source
from .withholding import NOTHING, Selector, Withheld, selection_of, withheld

if TYPE_CHECKING:
    from ..store import WfStore

Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""
_INDEXES = ("index/records.txt", "index/objects.txt")
_T = TypeVar("_T")
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported.

    Attributes:
        identity: SHA-256 of the artifact's manifest, `sha256:...`; the same for the same thread, however it was stored.
        head: the thread's last seal; None if nothing of it is sealed.
        root: the root of the Merkle tree over its records.
        records: how many records; `values` is how many lines of values.
        bytes: the size of the file.
        withheld: how many objects were left out, of `withheld_bytes` bytes.
        unread: how many objects could not be looked into for what to leave out: they need classes that are not here.
        signed: whether it has a signature.
        asked_to_withhold: whether anything was to be left out.
    """

    path: Path
    thread_id: str
    identity: str
    head: str | None
    root: str
    records: int
    values: int
    bytes: int
    withheld: int
    withheld_bytes: int
    unread: int
    signed: bool
    asked_to_withhold: bool = False

    def __str__(self) -> str:
        values = counted(self.values, "line of values", "lines of values")
        said = f"{self.thread_id}: {counted(self.records, 'record')}, {values}"
        lines = [
            f"{said}, {counted(self.bytes, 'byte')} in {self.path}",
            f"identity {self.identity}",
            f"head     {self.head or '(nothing is sealed)'}",
            f"root     {self.root}",
        ]
        if self.withheld or self.asked_to_withhold:
            lines.append(f"withheld: {counted(self.withheld, 'value')}, {counted(self.withheld_bytes, 'byte')}")
        if self.unread:
            unread = counted(self.unread, "object")
            lines.append(f"{unread} could not be looked into: classes that they need are not here")
        return "\n".join(lines)


def export(
    store: WfStore,
    thread_id: str,
    path: str | PathLike[str],
    redact: Selector | Iterable[Selector] = (),
    compress: bool = False,
    sign_with: Any = None,
    progress: Progress | None = None,
) -> ExportReport:
    """See `Thread.export`."""
    place = Path(path)
    if not place.parent.is_dir():
        raise WfStoreError(
            f"cannot export to {str(place)!r}: there is no directory {str(place.parent)!r}; make it first"
        )
    if place.is_dir():
        raise WfStoreError(f"cannot export to {str(place)!r}: it is a directory; name a file in it, such as thread.wfz")
    if is_open_here(place):
        raise WfStoreError(
            f"cannot export to {str(place)!r}: it is a store that this program has open; nothing was written. Name "
            "another file, such as thread.wfz"
        )
    signer = None if sign_with is None else signer_of(sign_with)
    selection = selection_of(redact)
    with contextlib.ExitStack() as stack:

        def write(tail: Tail) -> tuple[_Members, Withheld]:
            stack.close()  # of an attempt during which content was removed
            gone = withheld(store, thread_id, selection) if selection != Selection() else NOTHING
            members = stack.enter_context(contextlib.closing(_members_in(place)))
            members.fill(Source(store.backend, tail, gone.masks), progress)
            return members, gone

        members, gone = settled(store, thread_id, write)
        manifest = members.finish(thread_id)
        with Archive(place, compress) as archive:
            archive.begin(manifest)
            members.write(archive)
            if signer is not None:
                archive.signature(*signer.artifact(manifest))
    return ExportReport(
        path=place,
        thread_id=thread_id,
        identity=hex_id(manifest.identity),
        head=None if manifest.head is None else hex_id(manifest.head),
        root=hex_id(manifest.root),
        records=manifest.records,
        values=manifest.objects,
        bytes=place.stat().st_size,
        withheld=manifest.withheld,
        withheld_bytes=manifest.withheld_bytes,
        unread=gone.unread,
        signed=signer is not None,
        asked_to_withhold=selection != Selection(),
    )


def _members_in(place: Path) -> _Members:
    try:
        return _Members(place.parent)
    except OSError as error:
        raise WfStoreError(
            f"cannot export to {str(place)!r}: no file can be made in {str(place.parent)!r} "
            f"({error.strerror or error}). Nothing was written; make the directory writable, or name another one"
        ) from error


class _Members:
    """The members of an artifact, on disk until it is written."""

    def __init__(self, directory: Path) -> None:
        self._facts = Facts()
        self._records = Lines("records", directory)
        self._values = Lines("objects", directory)
        self._texts = [Text(name, directory) for name in ("README.txt", *_INDEXES, "derived/messages.txt")]
        self._names: dict[bytes, int] = {}

    def fill(self, source: Source, progress: Progress | None) -> None:
        """Write the lines of a thread."""
        for line in source.lines():
            if isinstance(line, RecordLine):
                self._facts.record(line, None if line.state == SKELETON else read_body(line.kind, line.body))
                number = self._records.add(write_record(line))
                if progress is not None:
                    progress(number, source.tail.last)
            else:
                self._facts.value(line)
                number = self._values.add(write_value(line))
                if not isinstance(line, LeafLine | NodeLine):
                    self._names[line.id] = number
        self._records.finish()
        self._values.finish()

    def finish(self, thread_id: str) -> Manifest:
        """Write what follows from the lines; the manifest over all."""
        text, records, values, derived = self._texts
        manifest = self._facts.manifest(thread_id, ())
        numbers = {name: number for number, name in enumerate(self._facts.ids, 1)}
        text.add(readme(manifest).encode())
        for line in self._records.places.index((name, number) for number, name in enumerate(self._facts.ids, 1)):
            records.add(line)
        for line in self._values.places.index(self._names.items()):
            values.add(line)
        said = messages(
            manifest,
            lambda name: read_record(self._records.line(numbers[name]), "a record"),
            self._names.__getitem__,
            lambda number: read_value(self._values.line(number), "a value"),
        )
        for piece in said:
            derived.add(piece.encode())
        lines = (*self._records.members, *self._values.members)
        return manifest._replace(members=(text.member, *lines, records.member, values.member, derived.member))

    def write(self, archive: Archive) -> None:
        """Write all members."""
        text, *others = self._texts
        archive.text(text)
        archive.lines(self._records)
        archive.lines(self._values)
        for other in others:
            archive.text(other)

    def close(self) -> None:
        """Remove the temporary files."""
        for lines in (self._records, self._values):
            lines.close()
        for text in self._texts:
            text.close()


def settled(store: WfStore, thread_id: str, read: Callable[[Tail], _T], *, afterwards: bool = True) -> _T:
    """What reading a thread gives, read anew if content was removed meanwhile; what is appended meanwhile is left out.

    Args:
        afterwards: whether it matters that content was removed when nothing went wrong.

    Raises:
        ThreadNotFoundError: there is no such thread.
        IntegrityError: what is stored is damaged.
        BackendUnavailableError: content was removed again and again.
    """
    view = store.views.of(thread_id)
    for _ in range(_ATTEMPTS):
        with view.lock:
            store.views.refresh(view)  # what this process has on its way
        tail = store.views.tail(thread_id)
        try:
            found = read(tail)
        except Stale:
            continue
        except IntegrityError:
            if stands(store, tail):
                raise
            continue
        if not afterwards or stands(store, tail):
            return found
    raise BackendUnavailableError(
        f"content of thread {thread_id!r} was removed {_ATTEMPTS} times while it was read; nothing was written. Repeat "
        "it when nobody prunes or redacts the thread"
    )


def stands(store: WfStore, tail: Tail) -> bool:
    """Whether no content was removed since."""
    return not removed_between(tail.standing, store.backend.standing(tail.row))
