"""Pure: is every thread alive, and may the watchdog be fed?

A thread is alive while its loop turns or it is inside a named call that is younger than the call's
own bound. A slow disk or a missing port is therefore degraded, not dead; a thread that stopped, or
hangs where it should not, stops the feeding, and the service manager restarts the agent.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.heartbeat import Heartbeat
from edge_agent.model import MonoNs


@dataclass(frozen=True, slots=True)
class Watched:
    heartbeat: Heartbeat
    thread: threading.Thread


def trouble(watched: Sequence[Watched], now: MonoNs) -> list[str]:
    """What is wrong, one sentence a thread; empty when the watchdog may be fed."""
    found = []
    for entry in watched:
        if not entry.thread.is_alive():
            found.append(f"{entry.heartbeat.name}: its thread has ended")
        elif overdue := entry.heartbeat.overdue(now):
            found.append(overdue)
    return found


class WatchdogFeeder:
    """Feeds at half the watchdog's period, and only while nothing is wrong."""

    def __init__(self, period_ns: int | None) -> None:
        self._interval_ns = period_ns // 2 if period_ns else None
        self._fed_at: MonoNs | None = None

    def due(self, now: MonoNs, healthy: bool) -> bool:
        """Whether `WATCHDOG=1` is to be sent now; a call that returns True counts as sent."""
        if self._interval_ns is None or not healthy:
            return False
        if self._fed_at is not None and now - self._fed_at < self._interval_ns:
            return False
        self._fed_at = now
        return True
