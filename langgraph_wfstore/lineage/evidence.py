"""What is recorded of a thread, as `why.py` and `impact.py` look it up: many records at a time, and each once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from ..appending.trace import keyed, links_of
from ..backends.base import RecordRow
from ..records import EndRecord, RunRecord
from ..threads.ancestry import Ancestry
from ..threads.view import read_rows
from ..tracing.traces import Begin, Trace, Traces
from .digests import Digests
from .items import Items

if TYPE_CHECKING:
    from ..store import WfStore

_TOGETHER = 1000
Linked = tuple[RecordRow, Begin | EndRecord]


class Evidence:
    """Looks up runs, steps, calls, checkpoints and the elements of lists.

    Args:
        store: the store.
        thread_id: which thread; it must be stored.

    Attributes:
        traces, ancestry, items: of the thread.
    """

    def __init__(self, store: WfStore, thread_id: str) -> None:
        self.store = store
        self.thread_id = thread_id
        self.traces = Traces(store, thread_id)
        self.ancestry = Ancestry(store, thread_id)
        self._view = store.views.of(thread_id)
        self.items = Items(store, self._view)
        self._digests = Digests(store.backend, self.ancestry.number, self.keyed)
        self._linked: dict[int, list[Linked]] = {}
        self._traces: dict[str, Trace] = {}
        self._runs: dict[str | None, list[tuple[RecordRow, RunRecord]]] | None = None

    def expect(self, links: Iterable[int]) -> None:
        """Read at once what will be looked up by these links, its runs, and what models were given there."""
        unknown = list(dict.fromkeys(link for link in links if link not in self._linked))
        for start in range(0, len(unknown), _TOGETHER):
            some = set(unknown[start : start + _TOGETHER])
            self._linked.update((link, []) for link in some)
            found = self.traces.linked([*some])
            for row, record in found:
                for link in some.intersection(links_of(record)):
                    self._linked[link].append((row, record))
            read = self._read({record.run_id for _, record in found})
            self.items.expect(place for trace in read for place in trace.inputs())

    def linked(self, link: int) -> list[Linked]:
        """The records that have a link, in the order of their numbers."""
        if link not in self._linked:
            self._linked[link] = self.traces.linked([link])
        return self._linked[link]

    def trace(self, run_id: str) -> Trace:
        """What is recorded of a run."""
        if run_id not in self._traces:
            self._read({run_id})
        return self._traces[run_id]

    def _read(self, run_ids: Iterable[str]) -> Iterable[Trace]:
        unknown = [run_id for run_id in run_ids if run_id not in self._traces]
        read = self.traces.each(unknown) if unknown else {}
        self._traces.update(read)
        return read.values()

    def runs_from(self, checkpoint_id: str | None) -> list[tuple[RecordRow, RunRecord]]:
        """The runs that started from a checkpoint, or from none."""
        if self._runs is None:
            self._runs = defaultdict(list)
            for row, record in read_rows(self.store.backend.runs(self.ancestry.number)):
                if isinstance(record, RunRecord):
                    self._runs[record.checkpoint_id].append((row, record))
        return self._runs.get(checkpoint_id, [])

    def gave(self, row: RecordRow, end: EndRecord, keys: Collection[bytes]) -> bool | None:
        """Whether a call gave a content; see `Digests.gave`."""

        def output() -> Any:
            assert end.output is not None
            return self.traces.value(row, end, end.output)

        return self._digests.gave(row, end, keys, output)

    def keyed(self, key: bytes) -> bytes:
        """The keyed digest that a record has of a content."""
        return keyed(self._view.lineage, key)
