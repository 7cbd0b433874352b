"""New checkpoint ids, as LangGraph makes them: UUIDs of version 6, which sort by time."""

from __future__ import annotations

import secrets
import threading
import time
from uuid import UUID

_EPOCH = 0x01B21DD213814000  # intervals of 100 ns from 1582-10-15, where these UUIDs begin, to 1970
_lock = threading.Lock()
_last = 0


def new_checkpoint_id(step: int) -> str:
    """The id of a checkpoint that is made now; later than every other one that this function gave.

    Args:
        step: its superstep, of which the lowest 14 bits go into it.
    """
    global _last
    with _lock:
        _last = now = max(time.time_ns() // 100 + _EPOCH, _last + 1)
    high = (now >> 12) << 16 | 0x6000 | (now & 0x0FFF)
    low = 0x8000 | (step & 0x3FFF)
    return str(UUID(int=high << 64 | low << 48 | secrets.randbits(48)))
