"""A store that a command may have to make: if the command fails, there is none."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..artifact.archive import sync_directory
from ..backends import sqlite_path
from ..errors import WfStoreError
from ..store import WfStore

_PARTS = ("", "-wal", "-shm", "-journal")


@contextlib.contextmanager
def opened_or_made(url: str) -> Iterator[WfStore]:
    """An open store. A new file has its name when the block has ended well.

    Args:
        url: as for `WfStore.open`.

    A command that is killed leaves `.NAME.*.partial`, which nothing uses.

    Raises:
        WfStoreError: as `WfStore.open`; or somebody else made the file meanwhile; or SQLite could not write it all to
            one file, because the disk is full, say.
    """
    path = _new_file(url)
    if path is None:
        with WfStore.open(url) as store:
            yield store
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with WfStore.open(partial) as store:
            yield store
        _check_whole(partial, path)
        _give_name(partial, path)
        sync_directory(path.parent)
    finally:
        for part in _PARTS:
            Path(f"{partial}{part}").unlink(missing_ok=True)


def _new_file(url: str) -> Path | None:
    """The file that a URL names, if it is not there and can be made."""
    named = sqlite_path(url)
    if named is None:
        return None
    path = Path(named).absolute()
    return None if os.path.lexists(path) or not path.parent.is_dir() else path


def _check_whole(partial: Path, path: Path) -> None:
    """What is still in the log would be lost with it."""
    log = Path(f"{partial}-wal")
    if log.exists() and log.stat().st_size:
        raise WfStoreError(
            f"{path} was not made: SQLite could not write all of it to its file. Nothing is left of it; check that the "
            "disk has space, and repeat"
        )


def _give_name(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        raise WfStoreError(f"{path} was made by somebody else meanwhile; nothing was written to it. Repeat") from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise
        partial.rename(path)
