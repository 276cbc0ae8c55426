"""The compiled loop of a serial line (`kernels.talk`): its tables, filled in and read out.

Owns the tables of one line. Must not know what an outcome is: a reply that came plain and good, or
where the loop stopped and what was heard until then, is all it says.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.bus.line import SLICE_NS
from edge_agent.bus.wire.frames import Expected
from edge_agent.bus.wire.timing import Timing
from edge_agent.kernels import talk as at
from edge_agent.model import MonoNs

Talk = Callable[..., int]

ROWS = 8
"""Most requests of one call."""

_ROW_BYTES = 8 * at.TALK_ROW
_FILL = struct.Struct("=7q")
_READ = struct.Struct("=5q")
_READ_AT = 8 * at.START_NS
_LONGEST_BYTES = 264
"""The longest reply, and the request before it."""
_LONGEST_NS = 500_000_000
_EARLY_STEPS = 8
"""Replies that were not all there at the first look, for one that was: how soon a device answers is
found from both sides, but a look too late costs the line more than one too soon costs the processor."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and how its device wants to be asked."""

    want: Expected
    timeout_ns: int
    interframe_ns: int | None
    turnaround_ns: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """What came of one request."""

    start: MonoNs
    sent: MonoNs
    first: MonoNs
    last: MonoNs
    """The clock after the reads of the first and the last byte; without any, meaningless."""
    heard: int
    latency_ns: int
    """End of the request to the first byte of the reply, if that is what came."""


class Talker:
    """Of one line. Not thread-safe."""

    def __init__(self, talk: Talk, timing: Timing) -> None:
        self._talk = talk
        self._timing = timing
        self._rows = bytearray(ROWS * _ROW_BYTES)
        self._requests = bytearray(ROWS * at.REQUEST_ROOM)
        self._replies = bytearray(ROWS * at.REPLY_ROOM)
        self._state = (ctypes.c_int64 * at.STATE_CELLS)()
        # A slow line's longest reply, but not so long that a stop would have to wait for it.
        self._state[at.SLICE_NS] = SLICE_NS + min(timing.wire_ns(_LONGEST_BYTES), _LONGEST_NS)
        self._state[at.CHAR_NS] = timing.char_ns
        self._state[at.GAP_NS] = timing.chunk_gap_ns
        self._cells = (ctypes.c_int64 * (ROWS * at.TALK_ROW)).from_buffer(self._rows)
        self._tables: tuple[Any, ...] = (
            self._state,
            self._cells,
            (ctypes.c_uint8 * len(self._requests)).from_buffer(self._requests),
            (ctypes.c_uint8 * len(self._replies)).from_buffer(self._replies),
        )
        self._early: dict[int, int] = {}
        """By unit id: end of the request to the first byte of the soonest reply worth waking for."""

    def talk(self, fd: int, asks: Sequence[Ask], ready: MonoNs, deadline: MonoNs) -> int:
        """How many of the first `ROWS` asks got their plain good reply; `status` says why it ended."""
        for row, ask in enumerate(asks[:ROWS]):
            self._fill(row, ask)
        state = self._state
        state[at.READY_NS] = ready
        state[at.DEADLINE_NS] = deadline
        made = self._talk(fd, min(len(asks), ROWS), *self._tables)
        for row in range(made):
            self._learn(row, asks[row].want.unit_id)
        return made

    @property
    def status(self) -> int:
        """One of `kernels.talk`'s."""
        return self._state[at.STATUS]

    @property
    def errno(self) -> int:
        return self._state[at.ERRNO]

    def spoken(self, row: int) -> Spoken:
        start, sent, first, last, heard = _READ.unpack_from(self._rows, row * _ROW_BYTES + _READ_AT)
        wire_ns = self._timing.wire_ns
        # Bytes are read some time after they came: the first byte's time is reckoned back from the last.
        began = min(first, last - wire_ns(heard))
        request_ns = wire_ns(self._cells[row * at.TALK_ROW + at.REQUEST_BYTES])
        return Spoken(start, sent, first, last, heard, max(0, began - max(sent, start + request_ns)))

    def bytes_heard(self, row: int, length: int) -> bytes:
        place = row * at.REPLY_ROOM
        return bytes(memoryview(self._replies)[place : place + length])

    def _fill(self, row: int, ask: Ask) -> None:
        want = ask.want
        pause = self._timing.interframe_ns if ask.interframe_ns is None else ask.interframe_ns
        early = self._early.get(want.unit_id, self._timing.interframe_ns)
        _FILL.pack_into(
            self._rows, row * _ROW_BYTES,
            len(want.request), want.length, int.from_bytes(want.header, "little"),
            pause, ask.turnaround_ns, ask.timeout_ns, early,
        )  # fmt: skip
        place = row * at.REQUEST_ROOM
        self._requests[place : place + len(want.request)] = want.request

    def _learn(self, row: int, unit_id: int) -> None:
        """A device that waits t3.5 before it answers, as it should, is not looked at sooner."""
        longest = self._timing.interframe_ns
        early, step = self._early.get(unit_id, longest), longest // 64
        if self._cells[row * at.TALK_ROW + at.WHOLE_AT_ONCE]:
            early -= _EARLY_STEPS * step
        else:
            early += step
        self._early[unit_id] = min(max(early, 0), longest)
