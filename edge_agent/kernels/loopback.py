"""The self-test of `talk`: a request that is its own reply, over a socket that is connected to itself.

System calls have no golden vectors, but a wrong width of an argument, a clock read from the wrong
bytes or an errno that is not seen would show here, before the first bus is opened.
"""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Callable
from typing import Any

from edge_agent.kernels import talk as at
from edge_agent.kernels.system import sys_now

FRAME = bytes.fromhex("01010355aa5592c1")
"""Three bytes of coils from unit 1: as long as a request, so it serves as both."""
_CHAR_NS = 10_000
_AHEAD_NS = 2_000_000
_SECOND_NS = 1_000_000_000


def check(talk: Callable[..., Any]) -> str:
    """What is wrong, or an empty string."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mirror:
        mirror.setblocking(False)
        mirror.bind("")  # An abstract name that the kernel gives; no file.
        mirror.connect(mirror.getsockname())
        before = sys_now()
        made, state, row, replies = _talk(talk, mirror.fileno(), before + _AHEAD_NS)
        after = sys_now()
    if made != 1 or bytes(replies[: len(FRAME)]) != FRAME:
        return f"talk: {made} replies, status {state[at.STATUS]}, errno {state[at.ERRNO]}"
    times = [before + _AHEAD_NS, *row[at.START_NS : at.LAST_NS + 1], after]
    if times != sorted(times):
        return f"talk: these moments are not in order: {times}"
    _, state, _, _ = _talk(talk, -1, before)
    if (state[at.STATUS], state[at.ERRNO]) != (at.FAILED, errno.EBADF):
        return f"talk: no descriptor gave status {state[at.STATUS]}, errno {state[at.ERRNO]}"
    return ""


def _talk(talk: Callable[..., Any], fd: int, ready_ns: int) -> tuple[int, list[int], list[int], bytes]:
    """(replies made, state, row, what was heard)."""
    state, row = (ctypes.c_int64 * at.STATE_CELLS)(), (ctypes.c_int64 * at.TALK_ROW)()
    state[at.READY_NS] = ready_ns
    state[at.DEADLINE_NS] = ready_ns + _SECOND_NS
    state[at.SLICE_NS] = state[at.GAP_NS] = _SECOND_NS
    state[at.CHAR_NS] = _CHAR_NS
    row[at.REQUEST_BYTES] = row[at.REPLY_BYTES] = len(FRAME)
    row[at.HEADER] = int.from_bytes(FRAME[:3], "little")
    row[at.TIMEOUT_NS] = _SECOND_NS
    request = (ctypes.c_uint8 * at.REQUEST_ROOM)(*FRAME)
    replies = (ctypes.c_uint8 * at.REPLY_ROOM)()
    made = talk(fd, 1, state, row, request, replies)
    return made, list(state), list(row), bytes(replies)
