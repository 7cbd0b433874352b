"""The error tree: everything this package raises on purpose is a WfStoreError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .merge.merging import Conflict


class WfStoreError(Exception):
    """Base of every error of this package; its text says what was asked, what was found, what to do."""


class ThreadNotFoundError(WfStoreError, LookupError):
    """No thread of that id is in the store."""


class CheckpointNotFoundError(WfStoreError, LookupError):
    """The thread has no checkpoint of that id."""


class CallNotFoundError(WfStoreError, LookupError):
    """The thread has no call of that id."""


class ThreadDeletedError(WfStoreError):
    """The operation belongs to a life of the thread, or to a run, that was deleted."""


class BranchNotFoundError(WfStoreError, LookupError):
    """The thread has no branch of that name."""


class ConflictError(WfStoreError):
    """What is stored contradicts what was to be stored; nothing was written."""


class MergeConflictError(ConflictError):
    """Two sides of a merge changed the same; nothing was written.

    Attributes:
        conflicts: every conflict that was not resolved, see `Conflict`.
    """

    def __init__(self, message: str, conflicts: Sequence[Conflict]) -> None:
        super().__init__(message)
        self.conflicts = tuple(conflicts)


class IntegrityError(WfStoreError):
    """Stored bytes do not match the digests that name them."""


class DecodeError(WfStoreError):
    """Stored bytes cannot be turned back into the value they were made from."""


class ArtifactError(WfStoreError):
    """A file is not a usable artifact."""


class BackendUnavailableError(WfStoreError):
    """The storage engine cannot be reached, or refuses service; nothing was lost."""


class StoreNotFoundError(BackendUnavailableError):
    """There is no store at that place, and it was to be opened for reading only."""


class UnsupportedValueError(WfStoreError, TypeError):
    """A value cannot be stored losslessly; nothing of the operation was written."""


class RetentionError(WfStoreError):
    """The store's retention floor forbids what was asked; nothing was removed."""
