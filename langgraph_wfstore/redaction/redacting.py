"""Redaction: the content of chosen values goes from every table, their ids and the chain stay."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..arguments import several
from ..backends.base import MAP, OBJECT, REDACTED, ObjectRow, Rewrite, Stale
from ..canonical import Json
from ..codec import CHUNK_TAG, PACK_TAG, Codec
from ..counting import counted
from ..errors import CallNotFoundError, DecodeError, WfStoreError
from ..records import CallRecord, EndRecord
from ..retention.removal import Whole, whole_of
from ..retention.statement import REDACTION, redacted_parts, state, statement
from ..retention.verbs import repeat
from ..threads.overtaken import removed_between
from ..threads.views import Views
from ..values.content import Content
from ..values.masks import mask_of, metadata_mask, pack_mask, write_mask
from ..values.objects import nonce_for
from ..values.reading import map_numbers
from .selecting import METADATA, Chooser, Chosen, Named, Selection, Values, named_values

_SHORTEST = 8  # characters of a text that is worth looking for in messages of errors


@dataclass(frozen=True, slots=True)
class RedactReport:
    """What a redaction removed, or would remove.

    Attributes:
        objects: stored objects whose content is gone; `bytes` is how many bytes of serialized content that was.
        records: records that name a value one of them is, or is part of; in all `threads`.
        threads: the threads that share these objects: the thread, its copies, and what it is a copy of.
        mentions: records of errors whose message quotes a text of a redacted message; records cannot be changed.
        unread: objects that could not be looked into, because they hold something of a class that is not here.
        missed: channels and message ids that were asked for, and of which no content was found.
        reason: what for, as it was given.
        dry_run: whether nothing was changed.
    """

    objects: int
    bytes: int
    records: int
    threads: tuple[str, ...]
    mentions: int
    unread: int
    missed: tuple[str, ...]
    reason: str
    dry_run: bool

    def __str__(self) -> str:
        done = "would redact" if self.dry_run else "redacted"
        names = ", ".join(repr(name) for name in self.threads)
        what = f"{counted(self.objects, 'object')}, {counted(self.bytes, 'byte')}"
        lines = [f"{done} {what}, in {counted(self.records, 'record')} of {names}"]
        if self.mentions:
            lines.append(f"{self.mentions} records of errors quote the content, and stay: records cannot be changed")
        if self.unread:
            lines.append(f"{self.unread} objects could not be looked into: they need classes that are not here")
        if self.missed:
            lines.append(f"nothing found of: {', '.join(map(repr, self.missed))}")
        return "\n".join(lines)


def selection_of(
    channels: Iterable[str] | None,
    messages: Iterable[str] | None,
    where: Callable[[Any], object] | None,
    calls: Iterable[str] | None,
) -> Selection:
    """The arguments of `Thread.redact`, checked.

    Raises:
        ValueError: nothing is asked for.
        TypeError: a list of names is a single text, or a name is none; `where` is no function.
    """
    named = ((channels, "names of channels"), (messages, "ids of messages"), (calls, "ids of calls"))
    names = [frozenset(several(given or (), what)) for given, what in named]
    for given, (_, what) in zip(names, named, strict=True):
        for name in given:
            if not isinstance(name, str):
                raise TypeError(f"{what} are str, not {type(name).__name__}: {name!r:.100}")
    if where is not None and not callable(where):
        raise TypeError(f"where is a function of one value, not {where!r:.100}")
    if where is None and not any(names):
        raise ValueError("nothing to redact was named; give channels, messages, calls or where")
    return Selection(names[0], names[1], names[2], where)


def redact(
    views: Views, codec: Codec, thread_id: str, selection: Selection, reason: str, dry_run: bool
) -> RedactReport:
    """See `Thread.redact`."""
    report: RedactReport | None = None
    lineage = 0

    def plan() -> Rewrite | None:
        nonlocal report, lineage
        redaction = Redaction.of(views, codec, thread_id)
        lineage = redaction.lineage
        chosen = redaction.choose(selection)
        report = redaction.report(chosen, reason, dry_run)
        return None if dry_run or not chosen.numbers else redaction.change(chosen, reason)

    try:
        repeat(views, plan, [thread_id])
    finally:  # also where the engine could not clear its log of what it did remove
        views.forget_lineage(lineage)
    assert report is not None
    return report


class Redaction:
    """A lineage as it stands: its threads, and all its objects."""

    def __init__(self, views: Views, codec: Codec, thread_id: str, wholes: Sequence[Whole], content: Content) -> None:
        self._views = views
        self._thread_id = thread_id
        self._wholes = wholes
        self._content = content
        self._named = [named for whole in wholes for named in named_values(whole.made)]
        self._values = Values(content, codec)
        self.lineage = wholes[0].tail.row.lineage or 0

    @classmethod
    def of(cls, views: Views, codec: Codec, thread_id: str, *, changes: bool = True) -> Redaction:
        """The lineage of a thread; Stale if it changes while it is read.

        Args:
            changes: whether it is to be changed; else it may grow.
        """
        backend = views.backend
        lineage = views.tail(thread_id).row.lineage or 0
        tails = [backend.row(row.number or 0) for row in backend.kin(lineage)]
        wholes = [whole_of(backend, tail) for tail in tails if tail is not None]
        content = Content.of(backend, lineage)
        for whole in wholes:
            standing = backend.standing(whole.tail.row)
            grown = standing != whole.tail.standing
            if removed_between(whole.tail.standing, standing) or (changes and grown):
                raise Stale
        if not wholes:
            raise Stale
        return cls(views, codec, thread_id, wholes, content)

    @property
    def record_ids(self) -> frozenset[bytes]:
        """The ids of the records that name values."""
        return frozenset(named.record_id for named in self._named)

    def calls_of(self, record_ids: Collection[bytes]) -> frozenset[str]:
        """The calls of which one of these is a record: its start or its end."""
        found = set()
        for whole in self._wholes:
            for row, record in whole.made:
                if row.id in record_ids and isinstance(record, CallRecord):
                    found.add(record.call_id)
                elif row.id in record_ids and isinstance(record, EndRecord) and record.of == "call":
                    found.add(record.id)
        return frozenset(found)

    def choose(self, selection: Selection) -> Chosen:
        """What goes.

        Raises:
            CallNotFoundError: the threads have no such call.
        """
        known = {item.call_id for whole in self._wholes for _, item in whole.made if isinstance(item, CallRecord)}
        for call_id in sorted(selection.calls - known):
            raise CallNotFoundError(
                f"thread {self._thread_id!r} has no call {call_id!r}; thread.calls() lists those that there are. "
                "Nothing was redacted"
            )
        return Chooser(self._content, self._named, self._values, selection).chosen()

    def report(self, chosen: Chosen, reason: str, dry_run: bool) -> RedactReport:
        """What is said of it."""
        rows = self._content.rows
        touched: dict[int, bool] = {}
        for number in {named.number for named in self._named}:
            touched[number] = not chosen.numbers.isdisjoint(self._content.leaves([number]))
        texts = [text for text in chosen.texts if len(text) >= _SHORTEST]
        errors = [e.error[1] for e in self._records() if isinstance(e, EndRecord) and e.error is not None]
        return RedactReport(
            objects=len(chosen.numbers),
            bytes=sum(len(rows[number].data) for number in chosen.numbers),
            records=len({id(named.record) for named in self._named if touched[named.number]}),
            threads=tuple(whole.tail.row.name.decode("utf-8", "surrogatepass") for whole in self._wholes),
            mentions=sum(any(text in error for text in texts) for error in errors),
            unread=len(chosen.unread),
            missed=chosen.missed,
            reason=reason,
            dry_run=dry_run,
        )

    def _records(self) -> Iterable[object]:
        return (record for whole in self._wholes for _, record in whole.made)

    def change(self, chosen: Chosen, reason: str) -> Rewrite:
        """Masks in the place of what goes, a new secret, the nonces of what stays, and what states it."""
        old = self._wholes[0].tail.row.secret
        secret = self._views.lineage_secret()
        if secret == old:
            raise WfStoreError(
                f"thread {self._thread_id!r} cannot be redacted: the store's lineage_secret gave the secret that the "
                "thread has, which would let a guess be confirmed. Nothing was redacted; give a new one every time"
            )
        rows = self._content.rows
        change = Rewrite(self.lineage, {whole.number: whole.tail.standing for whole in self._wholes}, secret=secret)
        masks = self.masks(chosen.numbers)
        change.replace_objects = [
            ObjectRow(number, rows[number].id, REDACTED, "", None, write_mask(mask)) for number, mask in masks.items()
        ]
        change.nonces = [
            (number, nonce_for(old, hashlib.sha256(row.data).digest()))
            for number, row in rows.items()
            if row.form == OBJECT and row.nonce is None and number not in masks
        ]
        left = Content({**rows, **{row.number: row for row in change.replace_objects}})
        for whole in self._wholes:
            own = [row for row, _ in whole.made]
            said = statement(own, redacted_parts(own, left))
            state(change, whole.tail, said, f"{REDACTION}: {reason}" if reason else REDACTION)
        return change

    def masks(self, numbers: Iterable[int]) -> Mapping[int, dict[str, Json]]:
        """What stands in the place of these objects, by number.

        Raises:
            DecodeError: one of them holds metadata that cannot be decoded.
        """
        names = {named.name for named in self._named if named.is_channel}
        metadata = {self._bytes_of(named) for named in self._named if named.name == METADATA}
        return {number: self._mask(number, names, number in metadata) for number in sorted(numbers)}

    def _bytes_of(self, named: Named) -> int:
        """The object that says which keys a dict has."""
        row = self._content.rows[named.number]
        return map_numbers(row.data)[0] if row.form == MAP else named.number

    def _mask(self, number: int, names: set[str], is_metadata: bool) -> dict[str, Json]:
        tag = self._content.rows[number].tag
        values = self._values.of(number)
        if tag.startswith(CHUNK_TAG):
            return {"type": "builtins.list"}
        if tag == PACK_TAG:
            return pack_mask(values, names)
        if is_metadata:
            if not values:
                raise DecodeError(
                    f"thread {self._thread_id!r} cannot be redacted: the metadata in object {number} cannot be "
                    "decoded, and delta channels are found by them. Nothing was redacted; import the classes they hold"
                )
            return metadata_mask(values[0])
        return mask_of(values[0], names) if values else {"type": "unknown"}
