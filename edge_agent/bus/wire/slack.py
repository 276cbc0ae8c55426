"""How late the kernel may wake this thread: by default 50 us after each sleep, which at 115200 baud is
one per cent of a short transaction twice over. A sleep is still never too short."""

from __future__ import annotations

import ctypes

_PR_SET_TIMERSLACK = 29
_SLACK_NS = 1_000


def fine_timers() -> None:
    """For the calling thread only; where the kernel does not know it, nothing changes."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_SLACK_NS), 0, 0, 0)
    except (OSError, AttributeError):
        return
