"""A store that a command may have to make: if the command fails, there is none."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..backends import sqlite_path
from ..errors import WfStoreError
from ..store import WfStore

_PARTS = ("", "-wal", "-shm", "-journal")


@contextlib.contextmanager
def opened_or_made(url: str) -> Iterator[WfStore]:
    """An open store. A new file has its name when the block has ended well.

    Args:
        url: as for `WfStore.open`.

    Raises:
        WfStoreError: as `WfStore.open`; or somebody else made the file meanwhile.
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
        _give_name(partial, path)
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


def _give_name(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        raise WfStoreError(f"{path} was made by somebody else meanwhile; nothing was written to it. Repeat") from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise
        partial.rename(path)
