"""Whether a call gave a content, also where a redaction has replaced the secret that its digest was keyed with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import Any

from ..backends.base import REMOVAL, Backend, RecordRow
from ..records import EndRecord, RemovalRecord
from ..redacted import is_redacted
from ..retention.statement import REDACTION
from ..threads.view import read_rows
from ..tracing.infos import TRUNCATED
from ..tracing.normal import content_key


class Digests:
    """The keyed digests of what calls gave, of one thread.

    Args:
        number: the thread's.
        keyed: gives the digest of a content's key under the secret that the thread has now.
    """

    def __init__(self, backend: Backend, number: int, keyed: Callable[[bytes], bytes]) -> None:
        self._backend = backend
        self._number = number
        self._keyed = keyed

    def gave(self, row: RecordRow, end: EndRecord, keys: Collection[bytes], output: Callable[[], Any]) -> bool | None:
        """Whether a call gave a content; None if that cannot be told any more.

        Args:
            row: of the call's end.
            keys: of the content, in the forms in which the call may have given it.
            output: reads what the call gave.
        """
        if end.content is not None and end.content in map(self._keyed, keys):
            return True
        if row.seq > self._last_redaction:
            return False
        value = None if end.output is None else output()
        if value is None or is_redacted(value) or (isinstance(value, dict) and set(value) == {TRUNCATED}):
            return None
        return content_key(value) in keys

    @cached_property
    def _last_redaction(self) -> int:
        """The number of the last record of a redaction; 0 if there is none."""
        last = 0
        for row, record in read_rows(row for row in self._records() if row.kind == REMOVAL):
            if isinstance(record, RemovalRecord) and record.reason.startswith(REDACTION):
                last = row.seq
        return last

    def _records(self) -> Iterator[RecordRow]:
        after = 0
        while page := self._backend.records(self._number, after, 1000):
            yield from page
            after = page[-1].seq
