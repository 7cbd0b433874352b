"""Head statements: where a thread stands, signed (FORMAT.md, section 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.base import SKELETON, Tail
from ..format import read_record
from ..threads.view import KINDS
from .exporting import settled
from .lines import RecordLine
from .manifest import Facts, Manifest
from .signing import signer_of
from .source import pages

if TYPE_CHECKING:
    from ..store import WfStore


def head_statement(store: WfStore, thread_id: str, sign_with: Any) -> bytes:
    """See `WfStore.head_statement`."""
    signer = signer_of(sign_with)

    def read(tail: Tail) -> Manifest:
        facts = Facts()
        for page in pages(store.backend, tail, tail.last):
            for row in page:
                kind = KINDS[row.kind]
                record = None if row.state == SKELETON else read_record(kind, row.body)
                facts.record(RecordLine(row.id, kind, row.state, row.body, row.position, row.seal), record)
        return facts.manifest(thread_id, ())

    return signer.head(settled(store, thread_id, read))
