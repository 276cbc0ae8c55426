"""The few system calls a kernel may make, as plain Python.

The builder replaces each by a call of the C library with the types of the target (`build/system.py`).
Errors are values: every function that can fail returns the negative `errno`. Only `talk` uses them; a
kernel that computes makes none.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.kernels.layout import Bytes


def sys_now() -> int:
    """The monotonic clock in nanoseconds."""
    return time.monotonic_ns()  # noqa: TID251  (a kernel's own clock; the compiled form reads the same)


def sys_sleep_until(when_ns: int) -> int:
    """Return at this monotonic time or a little later, at once if it is past; 0."""
    while (left := when_ns - sys_now()) > 0:
        time.sleep(left / 1e9)  # noqa: TID251
    return 0


def sys_read(fd: int, data: Bytes, at: int, length: int) -> int:
    """Read up to `length` bytes to `data[at:]`; how many came, or -errno."""
    try:
        heard = os.read(fd, length)
    except OSError as error:
        return -(error.errno or 0)
    data[at : at + len(heard)] = heard  # type: ignore[index]
    return len(heard)


def sys_write(fd: int, data: Bytes, at: int, length: int) -> int:
    """Write `data[at:at + length]`; how many bytes were taken, or -errno."""
    try:
        return os.write(fd, bytes(data[at : at + length]))
    except OSError as error:
        return -(error.errno or 0)


def sys_poll_in(fd: int, timeout_ns: int) -> int:
    """Wait until there is something to read (or the other end has gone): 1, or 0 after `timeout_ns`,
    rounded up to a millisecond; -errno."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        return 1 if poll.poll(-(-timeout_ns // 1_000_000)) else 0
    except OSError as error:
        return -(error.errno or 0)
