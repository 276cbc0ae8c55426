"""Modbus RTU requests and their plain good replies, at the speed of the line and without the GIL.

Owns the moments: when a request may begin, when its reply can be complete, when the last byte was
read. Decides nothing: whatever is not exactly the reply that was asked for, in time, goes back to the
caller as it stands (`WAITING`, with the bytes heard so far), and `bus.wire.transaction` goes on with it.
So there is one place that judges replies, and this loop can only be fast, not wrong.

How one request is timed:
* absolute sleep until the line may be spoken on; what was heard by then is `NOISE`, and nothing is sent;
* write; absolute sleep until all but the reply's last character can have come, which is one wake-up
  for most replies, however many pieces they come in;
* read; poll for what is still missing, and when that brings bytes, which tells their time, sleep over
  the rest but for its last character; so the reply's end is seen when it comes and not when a timer
  thinks that it should. Sleeping right after the first read would be late by up to a FIFO's length:
  how long ago its bytes came is not known.

`t3.5` counts from the moment after the read that brought the last byte, which is never before it came.
"""

from __future__ import annotations

from edge_agent.kernels.layout import Bytes, Ints
from edge_agent.kernels.registry import kernel
from edge_agent.kernels.system import sys_now, sys_poll_in, sys_read, sys_sleep_until, sys_write

# --- state: what holds for the whole call, and why it ended ---
READY_NS = 0
"""When the line may be spoken on; PAUSE_NS of the first row is already in it."""
DEADLINE_NS = 1
"""No request begins at or after it."""
SLICE_NS = 2
"""Longest wait for one thing before the caller is asked whether to go on."""
CHAR_NS = 3
GAP_NS = 4
"""Pause inside a reply that is tolerated."""
STATUS = 5
ERRNO = 6
STATE_CELLS = 7

# --- rows: one request each ---
TALK_ROW = 16
REQUEST_BYTES = 0
REPLY_BYTES = 1
HEADER = 2
"""Unit, function and byte count of the reply, lowest byte first."""
PAUSE_NS = 3
"""Silence before this request."""
TURNAROUND_NS = 4
"""Least time after its reply."""
TIMEOUT_NS = 5
EARLY_NS = 6
"""End of the request to the first byte of the soonest reply worth waking for."""
START_NS = 8
SENT_NS = 9
FIRST_NS = 10
LAST_NS = 11
"""The clock after the reads that brought the first and the last byte."""
HEARD = 12
"""Bytes of the reply, or of what was heard instead; with SHORT: bytes of the request that were taken."""
WHOLE_AT_ONCE = 13
"""1 if the first read brought the whole reply: it may have been there for a while."""

REQUEST_ROOM = 16
REPLY_ROOM = 512
"""Bytes from one row's request and reply to the next one's."""

# --- why the call ended ---
DONE = 0
NOT_BEGUN = 1
"""The line may not be spoken on before the deadline, or not within a slice."""
NOISE = 2
"""Bytes came before the request: HEARD of them, read at LAST_NS."""
WAITING = 3
"""The request was sent; HEARD bytes came, and they are not the reply, or not yet."""
SHORT = 4
"""The port took only HEARD bytes of the request."""
FAILED = 5
"""A system call failed with ERRNO; 0: the port says that it is ready, but there is nothing."""

_EINTR = 4
_EAGAIN = 11


@kernel("i64(u8*, i64, i64)", exported=False)
def crc_is_good(data: Bytes, at: int, length: int) -> int:
    """CRC-16/MODBUS over a frame with its own CRC at the end is 0."""
    crc = 0xFFFF
    for i in range(at, at + length):
        crc = crc ^ data[i]
        for _ in range(8):
            if crc & 1:
                crc = (crc >> 1) ^ 0xA001
            else:
                crc = crc >> 1
    return 1 if crc == 0 else 0


@kernel("i64(u8*, i64, i64, i64)", exported=False)
def begins_like(data: Bytes, at: int, heard: int, header: int) -> int:
    """Whether what was heard so far is the beginning of the reply."""
    if heard >= 1 and data[at] != header & 0xFF:
        return 0
    if heard >= 2 and data[at + 1] != (header >> 8) & 0xFF:
        return 0
    if heard >= 3 and data[at + 2] != (header >> 16) & 0xFF:
        return 0
    return 1


@kernel("i64(i64, i64)", exported=False)
def read_failed(got: int, state_errno: int) -> int:
    """The errno of a read or poll that failed for good; the one before while it did not."""
    if got < 0 and got != -_EINTR and got != -_EAGAIN:
        return -got
    return state_errno


@kernel("i64(i64, i64, i64, i64*, i64*, u8*, u8*)", exported=False)
def begin_request(
    fd: int, row: int, ready_ns: int, state: Ints, rows: Ints, requests: Bytes, replies: Bytes
) -> int:
    """Wait for the line, listen, write. DONE when the request is on its way."""
    at = row * TALK_ROW
    now = sys_now()
    if ready_ns >= state[DEADLINE_NS] or ready_ns > now + state[SLICE_NS]:
        return NOT_BEGUN
    sys_sleep_until(ready_ns)
    noise = sys_read(fd, replies, row * REPLY_ROOM, REPLY_ROOM)
    start = sys_now()
    if noise > 0:
        rows[at + HEARD] = noise
        rows[at + LAST_NS] = start
        return NOISE
    state[ERRNO] = read_failed(noise, 0)
    if state[ERRNO] > 0:
        return FAILED
    if start >= state[DEADLINE_NS]:
        return NOT_BEGUN
    rows[at + START_NS] = start
    taken = sys_write(fd, requests, row * REQUEST_ROOM, rows[at + REQUEST_BYTES])
    rows[at + SENT_NS] = sys_now()
    state[ERRNO] = read_failed(taken, 0)
    if state[ERRNO] > 0:
        return FAILED
    if taken < rows[at + REQUEST_BYTES]:
        rows[at + HEARD] = max(taken, 0)
        return SHORT
    return DONE


@kernel("i64(i64, i64, i64*, i64*, u8*)", exported=False)
def hear_reply(fd: int, row: int, state: Ints, rows: Ints, replies: Bytes) -> int:
    """DONE with the whole good reply, WAITING with anything else."""
    at = row * TALK_ROW
    base = row * REPLY_ROOM
    char_ns = state[CHAR_NS]
    length = rows[at + REPLY_BYTES]
    sent = max(rows[at + SENT_NS], rows[at + START_NS] + rows[at + REQUEST_BYTES] * char_ns)
    bound = rows[at + SENT_NS] + state[SLICE_NS]
    until = min(sent + rows[at + TIMEOUT_NS], bound)
    sys_sleep_until(min(sent + rows[at + EARLY_NS] + (length - 1) * char_ns, until))
    heard = 0
    ready = 0
    while True:
        got = sys_read(fd, replies, base + heard, REPLY_ROOM - heard)
        now = sys_now()
        state[ERRNO] = read_failed(got, 0)
        # Ready, but nothing there: hung up, or a second process took the bytes.
        if state[ERRNO] > 0 or (got == 0 and ready == 1):
            return FAILED
        if got > 0:
            if heard == 0:
                rows[at + FIRST_NS] = now
                rows[at + WHOLE_AT_ONCE] = 1 if got == length else 0
            heard += got
            rows[at + HEARD] = heard
            rows[at + LAST_NS] = now
            if begins_like(replies, base, heard, rows[at + HEADER]) == 0:
                return WAITING
            if heard >= length:
                return DONE if heard == length and crc_is_good(replies, base, length) == 1 else WAITING
            missing_ns = (length - heard) * char_ns
            until = min(now + missing_ns + state[GAP_NS], bound)
            if ready == 1 and heard + 2 < length:
                sys_sleep_until(min(now + missing_ns - char_ns, until))
            ready = 0
        elif now >= until:
            return WAITING
        else:
            ready = sys_poll_in(fd, until - now)
            state[ERRNO] = read_failed(ready, 0)
            if state[ERRNO] > 0:
                return FAILED


@kernel("i64(i64, i64, i64*, i64*, u8*, u8*)", system=True)
def talk(fd: int, count: int, state: Ints, rows: Ints, requests: Bytes, replies: Bytes) -> int:
    """Make up to `count` requests; how many got their plain good reply. STATUS says why it ended; the row
    behind the good ones is the one it ended with."""
    made = 0
    ready = state[READY_NS]
    while made < count:
        at = made * TALK_ROW
        rows[at + HEARD] = 0
        status = begin_request(fd, made, ready, state, rows, requests, replies)
        if status == DONE:
            status = hear_reply(fd, made, state, rows, replies)
        state[STATUS] = status
        if status != DONE:
            return made
        made += 1
        if made < count:
            pause = max(rows[at + TURNAROUND_NS], rows[at + TALK_ROW + PAUSE_NS])
            ready = rows[at + LAST_NS] + pause
    return made
