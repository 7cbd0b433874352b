"""What Redis keeps of what was replaced, and how it is got rid of: the append-only file and the dump."""

from __future__ import annotations

import time
from typing import Any

from ...errors import BackendUnavailableError
from .client import Caller

_POLL = 0.05
_LONGEST = 600.0  # seconds; a server with many gigabytes writes for minutes
_AGAIN = "Call BGREWRITEAOF and BGSAVE on the server, and on its replicas, or redact again when it permits them"


def leave_nothing_behind(caller: Caller, key: str, place: str) -> None:
    """Have the server write anew what it has on disk: bytes of what was replaced are in there.

    Args:
        caller: calls of the server.
        key: one that the server holds.
        place: for messages.

    Raises:
        BackendUnavailableError: the content is gone from the store, but may still be in a file of the server.
    """
    try:
        before = _persistence(caller, key)
        if before.get("aof_enabled") == "1":
            _rewritten(caller, key, "BGREWRITEAOF", "aof_rewrite_in_progress", "aof_last_bgrewrite_status")
        if _dumps(before):
            _rewritten(caller, key, "BGSAVE", "rdb_bgsave_in_progress", "rdb_last_bgsave_status")
    except BackendUnavailableError as error:
        raise BackendUnavailableError(
            f"the content was removed from {place}, but old bytes of it may still be in files of the server ({error}). "
            f"{_AGAIN}"
        ) from error


def _dumps(state: dict[str, str]) -> bool:
    """Whether there is a dump that the server has written, or read when it started."""
    return state.get("rdb_last_bgsave_time_sec", "-1") != "-1" or state.get("rdb_last_load_keys_loaded", "0") != "0"


def _rewritten(caller: Caller, key: str, command: str, running: str, status: str) -> None:
    """Wait for one that runs, for it began before; then run one, and wait for it."""
    _until_idle(caller, key, command, running)
    caller.on_node(key, command)
    state = _until_idle(caller, key, command, running)
    if state.get(status, "ok") != "ok":
        raise BackendUnavailableError(f"{command} failed on the server, see its log")


def _until_idle(caller: Caller, key: str, command: str, running: str) -> dict[str, str]:
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end:
        state = _persistence(caller, key)
        busy = state.get("aof_rewrite_scheduled") == "1" or state.get("rdb_bgsave_in_progress") == "1"
        if state.get(running) != "1" and not busy and state.get("aof_rewrite_in_progress") != "1":
            return state
        time.sleep(_POLL)
    raise BackendUnavailableError(f"{command} has been running on the server for {_LONGEST:.0f} s")


def _persistence(caller: Caller, key: str) -> dict[str, str]:
    found: Any = caller.on_node(key, "INFO", "persistence")
    if isinstance(found, dict):  # redis-py has read it already
        return {str(name): str(value) for name, value in found.items()}
    lines = (line.partition(":") for line in found.decode().splitlines())
    return {name: value.strip() for name, _, value in lines}
