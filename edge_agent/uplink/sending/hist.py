"""Pure: what goes out on `up/hist` beside the live records, at a capped rate and with a part of the window.

Three sources take turns, so that none waits for the end of another: the backlog, replays, and what no
receiver acknowledged for long. Alarms and events of the backlog go before all three.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.model import MonoNs
from edge_agent.uplink.outbox import Ref, Run
from edge_agent.uplink.sending.bucket import TokenBucket
from edge_agent.uplink.sending.confirm import Confirmations
from edge_agent.uplink.sending.flight import Flight
from edge_agent.uplink.sending.limits import Limits
from edge_agent.uplink.sending.queue import Backlog, Closed
from edge_agent.uplink.sending.replay import Replays

_WAKES_PER_S = 40
"""How often the backlog alone wakes the thread."""
_BACKLOG, _REPLAYS, _SOURCES = 0, 1, 3


class Hist:
    def __init__(self, limits: Limits, confirm: Confirmations | None) -> None:
        self.replays = Replays()
        self._confirm = confirm
        self._limits = limits
        self._bucket = TokenBucket(limits.backlog_rate, max(1, limits.backlog_rate // 10))
        self._backlog = Backlog()
        self._turn = 0

    def begin(self, runs: Sequence[Run]) -> None:
        """A connection with this backlog."""
        self._backlog = Backlog(runs)

    def next(self, now: MonoNs, closed: Closed) -> tuple[Ref, bool] | None:
        """The record to send next, and whether it is a replay; None when it is not time."""
        if self._bucket.ready_at(now) > now:
            return None
        if ref := self._backlog.next(only_first=True, closed=closed):
            return ref, False
        for turn in range(_SOURCES):
            which = (self._turn + turn) % _SOURCES
            if ref := self._of_source(which, closed, now):
                self._turn = which + 1
                return ref, which == _REPLAYS
        return None

    def sent(self, now: MonoNs) -> None:
        self._bucket.take(now)

    def wake_at(self, now: MonoNs, closed: Closed) -> MonoNs | None:
        """When `next` may have something; None if nothing waits."""
        if not self._waits(now, closed):
            return None
        # A few at a time: waking for every single token would cost more than sending it.
        return self._bucket.ready_at(now, max(1, self._limits.backlog_rate // _WAKES_PER_S))

    def _waits(self, now: MonoNs, closed: Closed) -> bool:
        if self._backlog.is_open(closed) or self.replays.is_open(closed):
            return True
        return self._confirm is not None and self._confirm.offer(now).is_open(closed)

    def _of_source(self, which: int, closed: Closed, now: MonoNs) -> Ref | None:
        if which == _BACKLOG:
            return self._backlog.next(closed=closed)
        if which == _REPLAYS:
            return self.replays.next(closed)
        return self._confirm.offer(now).next(closed=closed) if self._confirm else None


def has_place(flight: Flight, limits: Limits, window: int) -> bool:
    """Whether the places of alarms and live data stay free, and its bytes within their bound."""
    places = max(1, window - kept(limits.alarm_places, window) - kept(limits.live_places, window))
    return flight.backlog < places and flight.backlog_bytes < limits.backlog_bytes


def kept(places: int, window: int) -> int:
    """A broker that allows one or two publishes leaves nothing to keep back."""
    return min(places, window // 5)
