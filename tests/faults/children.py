"""Child processes for the fault tests: forked from the warm test process, so that they need no time to import."""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

PATIENCE = 30.0
"""Seconds after which a child that should have ended is taken to hang."""


@dataclass
class Child:
    """A running child and the reading end of what it says."""

    pid: int
    pipe: int
    said: bytearray = field(default_factory=bytearray)

    def listen(self, seconds: float) -> bool:
        """Takes in what the child says for so long; True once it has said its last word."""
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            if not select.select([self.pipe], [], [], left)[0]:
                return False
            block = os.read(self.pipe, 1 << 16)
            if not block:
                return True
            self.said += block

    def listen_for_lines(self, count: int) -> bool:
        """Waits until the child has said so many lines, however long that takes it; True if it ended instead."""
        while self.said.count(b"\n") < count:
            if select.select([self.pipe], [], [], PATIENCE)[0]:
                block = os.read(self.pipe, 1 << 16)
                if not block:
                    return True
                self.said += block
            else:
                raise AssertionError(f"the child has said nothing more for {PATIENCE} s")
        return False

    def kill(self) -> None:
        """SIGKILL, then what it had said until then."""
        os.kill(self.pid, signal.SIGKILL)
        self.listen(PATIENCE)
        self._reap()

    def outcome(self, seconds: float = PATIENCE) -> Any:
        """What the child's function returned; what it raised is raised here. Fails if it hangs."""
        if not self.listen(seconds):
            self.kill()
            raise AssertionError(f"the child hangs: it has not ended after {seconds} s")
        status = self._reap()
        if not self.said:
            raise AssertionError(f"the child ended without a result, status {status}")
        good, value, trace = pickle.loads(bytes(self.said))
        if not good:
            value.add_note(f"in a child:\n{trace}")
            raise value
        return value

    def _reap(self) -> int:
        os.close(self.pipe)
        return os.waitpid(self.pid, 0)[1]


def fork(body: Callable[[int], object]) -> Child:
    """A child that runs `body(pipe)` and ends; what it writes to the pipe is what it says."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns where the parent has threads
        pid = os.fork()
    if pid:
        os.close(write)
        return Child(pid, read)
    os.close(read)
    return _end(body, write)


def _end(body: Callable[[int], object], pipe: int) -> NoReturn:
    status = 1
    try:
        body(pipe)
        status = 0
    except BaseException:  # noqa: BLE001  # a child must never come back into the test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def start(work: Callable[..., Any], *args: Any) -> Child:
    """A child that works; see `Child.outcome`."""

    def body(pipe: int) -> None:
        try:
            answer = (True, work(*args), "")
        except BaseException as error:  # noqa: BLE001  # handed to the parent
            answer = (False, error, traceback.format_exc())
        try:
            said = pickle.dumps(answer)
        except Exception:  # noqa: BLE001  # an error that does not pickle is told in words
            said = pickle.dumps((False, RuntimeError(repr(answer[1])), answer[2]))
        while said:
            said = said[os.write(pipe, said) :]

    return fork(body)


def run(work: Callable[..., Any], *args: Any) -> Any:
    """What `work(*args)` returns or raises in a child of its own."""
    return start(work, *args).outcome()


def give_up_privileges() -> None:
    """Root without capabilities: file modes hold for it as for anybody else. Only for use in a child."""
    if os.getuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()) != 0:
            raise OSError(ctypes.get_errno(), "capset")
