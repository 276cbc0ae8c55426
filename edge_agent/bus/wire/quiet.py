"""When a serial line may be spoken on again: t3.5, turnaround, and the quarantine after a failure.

Pure. RTU has no transaction id: a reply that comes late looks like the reply to whatever was asked
next. So after a timeout nothing is sent until the late window of that device is over *and* the line is
silent; bytes heard meanwhile are discarded and counted, whole late replies apart. (A reply later than
that is caught by `debts`: the same unit is next asked for another length.)

Invariant: `ready_at` moves backward only when the late reply has come that was waited for.
"""

from __future__ import annotations

from edge_agent.bus.wire.frames import Expected, find_frame, find_reply
from edge_agent.bus.wire.timing import Timing
from edge_agent.model import MonoNs

_KEEP = 600
"""Bytes in which a late reply is looked for (two of the longest)."""


class Quiet:
    """The line's silence. `heard` takes everything that comes while no transaction is open."""

    __slots__ = (
        "_active_at",
        "_buffer",
        "_in_quarantine",
        "_late",
        "_noise",
        "_ready_at",
        "_timing",
        "_turnaround_ns",
        "discarded",
        "late_replies",
    )

    def __init__(self, timing: Timing, now: MonoNs) -> None:
        self._timing = timing
        self._late: Expected | None = None
        self._turnaround_ns = 0
        self._in_quarantine = False
        self._buffer = b""
        self._noise = 0
        self._active_at = now
        # A port just opened may be in the middle of somebody's frame.
        self._ready_at = MonoNs(now + timing.chunk_gap_ns)
        self.discarded = 0
        """Bytes heard out of turn."""
        self.late_replies = 0
        """Whole frames among them: replies after their timeout, or another master's."""

    def ready_at(self, interframe_ns: int | None = None) -> MonoNs:
        """When a request may begin; `interframe_ns` replaces the line's t3.5 for its device."""
        pause = self._timing.interframe_ns if interframe_ns is None else interframe_ns
        return max(self._ready_at, MonoNs(self._active_at + pause))

    def after_reply(self, now: MonoNs, turnaround_ns: int) -> None:
        """The reply's last byte came no later than `now`."""
        self._close(now, turnaround_ns)

    def after_silence(self, now: MonoNs, late_ns: int, late: Expected, turnaround_ns: int = 0) -> None:
        """The timeout of `late` is over; its reply may come for another `late_ns`."""
        self._late = late
        self._turnaround_ns = turnaround_ns
        self._close(now, late_ns)
        self._in_quarantine = True

    def after_bad_frame(self, now: MonoNs) -> None:
        """What was heard ended in a silence already; t3.5 separates it from the next request."""
        self._close(now, 0)

    def heard(self, data: bytes, now: MonoNs) -> None:
        """Bytes that answer nothing: they are discarded, and the silence begins anew."""
        self.discarded += len(data)
        self._noise += len(data)
        # Late replies are few and short; in babble, looking for them is all cost.
        if self._noise <= _KEEP:
            self._buffer += data
            is_ours = self._late is not None and find_reply(self._buffer, self._late) is not None
            if is_ours and self._in_quarantine:
                self._in_quarantine = False
                self._ready_at = MonoNs(now + self._turnaround_ns)
            if is_ours or find_frame(self._buffer) is not None:
                self.late_replies += 1
                self._buffer = b""
        self._active_at = now

    def _close(self, now: MonoNs, pause_ns: int) -> None:
        self._buffer = b""
        self._noise = 0
        self._in_quarantine = False
        self._active_at = now
        self._ready_at = MonoNs(max(self._ready_at, now + pause_ns))
