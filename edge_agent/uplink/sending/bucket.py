"""Pure: a token bucket, so that a backlog of hours does not melt the broker it comes back to."""

from __future__ import annotations

from edge_agent.model import NS, MonoNs


class TokenBucket:
    """`rate` takes in `per_s` seconds on average, `burst` at once."""

    def __init__(self, rate: int, burst: int, *, per_s: int = 1) -> None:
        self._interval_ns = per_s * NS // max(1, rate)
        self._burst_ns = self._interval_ns * max(1, burst)
        self._full_at: int = 0
        """When the bucket would be full again; it stands for the level, without a fraction."""

    def ready_at(self, now: MonoNs, tokens: int = 1) -> MonoNs:
        """The earliest time `take` succeeds `tokens` times (at most `burst`); `now` when it would at
        once."""
        needed_ns = min(self._burst_ns, tokens * self._interval_ns)
        return MonoNs(max(now, self._full_at - self._burst_ns + needed_ns))

    def take(self, now: MonoNs) -> bool:
        if self.ready_at(now) > now:
            return False
        self._full_at = max(self._full_at, now) + self._interval_ns
        return True
