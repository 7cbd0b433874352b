"""Migrating all threads of a checkpointer into a store, or out of one: several at once, with progress."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from ..arguments import several
from ..backends.memory import MemoryBackend
from ..errors import StoreNotFoundError, WfStoreError
from ..saver import WfStoreSaver
from ..serde import WfSerializer
from ..store import WfStore
from .moving import Moved, Mover
from .opening import is_place, opened_source, opened_target
from .reader import Reader
from .report import MigrationReport
from .saver_side import OutwardReader, SaverWriter
from .store_side import StoreWriter
from .strict import strict_saver
from .tables import tables_of

Progress = Callable[[MigrationReport], None]
_AT_ONCE = 8  # threads; they share the store's commits


def migrate(
    source: Any,
    target: Any,
    *,
    threads: Iterable[Any] | None = None,
    allow: Collection[Any] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
) -> MigrationReport:
    """Bring the threads of another LangGraph checkpointer into a store.

    A thread is put when all of it could be read and serialized; then all its states are read back and compared. Run it
    again after it was stopped, or when the source went on: it puts what is missing.

    Args:
        source: path of an SqliteSaver or AsyncSqliteSaver file, `postgresql://...` of a PostgresSaver database, or any
            BaseCheckpointSaver. Nothing is written to it.
        target: a path or URL of a store, an open WfStore, or a WfStoreSaver.
        threads: ids of the threads to migrate; None for all.
        allow: classes, or (module, name) pairs, that may be restored beside those that are safe by default.
        dry_run: try everything, and put nothing into the target.
        progress: called after every thread with the report as it stands.

    Returns:
        what was put, and which threads have problems.

    Raises:
        BackendUnavailableError: source or target are out of service.
        WfStoreError: one of them is nothing that can be migrated from or to.
    """
    with _reader(source, allow) as reader, _store(target, allow, dry_run, missing=dry_run) as (store, serde):
        writer = StoreWriter(store, serde)

        def scratch() -> StoreWriter:
            return StoreWriter(WfStore(MemoryBackend()), serde)

        return _run(Mover(reader, writer, scratch if dry_run else None), reader, threads, dry_run, progress)


def migrate_out(
    source: Any,
    target: Any,
    *,
    threads: Iterable[Any] | None = None,
    current_only: bool = False,
    allow: Collection[Any] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
) -> MigrationReport:
    """Bring the threads of a store into another LangGraph checkpointer.

    Args:
        source: a path or URL of a store, an open WfStore, or a WfStoreSaver. Nothing is written to it.
        target: path of an SqliteSaver file, which may not be there yet, `postgresql://...`, where the tables of
            PostgresSaver are made, or any BaseCheckpointSaver.
        threads, allow, dry_run, progress: as for `migrate`.
        current_only: of each thread only the line of its current branch.

    Returns, raises:
        as `migrate`.
    """
    with _store(source, allow, True, missing=False) as (store, serde), _saver(target, dry_run) as saver:
        texts = isinstance(saver.get_next_version(None, None), str)
        reader = OutwardReader(store, serde, current_only=current_only, texts=texts)

        def scratch() -> SaverWriter:
            return SaverWriter(InMemorySaver(serde=saver.serde))

        return _run(Mover(reader, SaverWriter(saver), scratch if dry_run else None), reader, threads, dry_run, progress)


async def amigrate(source: Any, target: Any, **options: Any) -> MigrationReport:
    """`migrate`, without blocking the event loop; for AsyncSqliteSaver and AsyncPostgresSaver objects."""
    return await asyncio.to_thread(lambda: migrate(source, target, **options))


async def amigrate_out(source: Any, target: Any, **options: Any) -> MigrationReport:
    """`migrate_out`, without blocking the event loop; for AsyncSqliteSaver and AsyncPostgresSaver objects."""
    return await asyncio.to_thread(lambda: migrate_out(source, target, **options))


def _run(
    mover: Mover, reader: Reader, threads: Iterable[Any] | None, dry_run: bool, progress: Progress | None
) -> MigrationReport:
    named: dict[str, Any] = {}
    twice: list[Moved] = []
    for thread in dict.fromkeys(reader.thread_ids() if threads is None else several(threads, "thread ids")):
        if named.setdefault(str(thread), thread) is not thread:
            what = (
                f"{thread!r} and {named[str(thread)]!r} are two threads of the source, which have one id in the target"
            )
            twice.append(Moved(str(thread), problems=[what]))
    report = MigrationReport(dry_run, total=len(named) + len(twice))
    for moved in chain(twice, _each(mover, named.values())):
        report.add(moved)
        if progress is not None:
            progress(report)
    return report


def _each(mover: Mover, ids: Iterable[Any]) -> Iterator[Moved]:
    """What became of each thread, in the order in which they end; if one raises no other is begun."""
    left = iter(ids)
    running: set[Future[Moved]] = set()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="wfstore-migrate") as executor:
        while True:
            while len(running) < _AT_ONCE and (thread := next(left, _END)) is not _END:
                running.add(executor.submit(mover.move, thread))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                yield each.result()


_END: Any = object()


@contextlib.contextmanager
def _reader(source: Any, allow: Collection[Any]) -> Iterator[Reader]:
    if is_place(source):
        with opened_source(source) as opened:
            saver = strict_saver(opened, allow)
            yield Reader(saver, tables_of(saver))
        return
    _check_saver(source)
    yield Reader(strict_saver(source, allow), tables_of(source), source)


@contextlib.contextmanager
def _saver(target: Any, dry_run: bool) -> Iterator[Any]:
    if not is_place(target):
        _check_saver(target)
        yield target
        return
    if not dry_run:
        with opened_target(target) as saver:
            yield saver
        return
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(opened_source(target))
        except StoreNotFoundError:
            found = InMemorySaver()
        yield found


@contextlib.contextmanager
def _store(place: Any, allow: Collection[Any], read_only: bool, *, missing: bool) -> Iterator[tuple[WfStore, Any]]:
    """A store, and what its values are serialized with; an empty one if there is none, and that is `missing`."""
    if isinstance(place, WfStoreSaver):
        yield place.store, place.serde
    elif isinstance(place, WfStore):
        yield place, WfSerializer(allow=allow)
    else:
        try:
            opened = WfStore.open(place, read_only=read_only)
        except StoreNotFoundError:
            if not missing:
                raise
            opened = WfStore(MemoryBackend())
        with opened as store:
            yield store, WfSerializer(allow=allow)


def _check_saver(saver: Any) -> None:
    """Refuse what is no saver, and what cannot answer while this thread waits."""
    if isinstance(saver, WfStoreSaver):
        raise WfStoreError("both are stores; store.copy_to copies threads between stores, with their records")
    missing = [name for name in ("get_tuple", "list", "put", "put_writes", "serde") if not hasattr(saver, name)]
    if missing:
        raise TypeError(
            f"a checkpointer is a path, a URL or a BaseCheckpointSaver, not {type(saver).__name__}: it has no "
            f"{', '.join(missing)}"
        )
    loop = getattr(saver, "loop", None)
    if not isinstance(loop, asyncio.AbstractEventLoop):
        return
    try:
        own = asyncio.get_running_loop()
    except RuntimeError:
        own = None
    if own is loop or not loop.is_running():
        raise WfStoreError(
            f"{type(saver).__name__} answers on its event loop, which "
            f"{'waits for this call' if own is loop else 'is not running'}; await amigrate or amigrate_out on that loop"
        )
