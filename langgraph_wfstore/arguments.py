"""What callers pass, checked where it comes in: thread ids, lists of ids, limits."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TypeVar

from .canonical import utf8

_LONGEST_THREAD_ID = 10_000  # bytes of UTF-8
# What the names of threads begin with that nobody is shown: an import that is under way, or was killed.
HIDDEN_ID = "\0wfstore import "
_LONGEST_BRANCH_NAME = 255  # bytes of UTF-8
_T = TypeVar("_T")


def checked_thread_id(value: object) -> str:
    """A thread id as text; TypeError for what is none, ValueError for one that is too long, or that imports use."""
    if isinstance(value, bool) or not isinstance(value, str | int | uuid.UUID):
        raise TypeError(f"a thread_id is a str, an int or a UUID, not {type(value).__name__}: {value!r:.100}")
    name = str(value)
    if 4 * len(name) > _LONGEST_THREAD_ID and (size := len(utf8(name))) > _LONGEST_THREAD_ID:
        raise ValueError(f"the thread_id has {size} bytes, {_LONGEST_THREAD_ID} are allowed; use a digest of it")
    if name.startswith(HIDDEN_ID):
        raise ValueError(f"the thread_id {name!r:.100} begins with {HIDDEN_ID!r}, which imports use; take another one")
    return name


def is_hidden(name: bytes) -> bool:
    """Whether a stored thread is one that nobody is shown."""
    return name.startswith(utf8(HIDDEN_ID))


def checked_branch_name(value: object) -> str:
    """A branch name; TypeError for what is no text, ValueError for one that is empty or too long."""
    if not isinstance(value, str):
        raise TypeError(f"the name of a branch is a str, not {type(value).__name__}: {value!r:.100}")
    size = len(utf8(value))
    if not 0 < size <= _LONGEST_BRANCH_NAME:
        raise ValueError(
            f"the name of a branch has 1 to {_LONGEST_BRANCH_NAME} bytes of UTF-8, not {size}: {value!r:.100}"
        )
    return value


def several(values: Iterable[_T], what: str) -> Iterable[_T]:
    """The same, unless it is one text, whose characters nobody means; TypeError then."""
    if isinstance(values, str | bytes):
        raise TypeError(
            f"expected a list of {what}, found the single {type(values).__name__} {values!r:.100}; put it in a list"
        )
    return values


def check_limit(limit: int | None) -> None:
    """TypeError or ValueError for what cannot limit a listing."""
    if limit is None:
        return
    if type(limit) is not int:
        raise TypeError(f"limit is an int or None, not {type(limit).__name__}: {limit!r:.100}")
    if limit < 0:
        raise ValueError(f"limit is {limit}; it must be 0 or more, or None for all")
