"""The share of a line's time the agent may use, as a bucket of line time.

Pure. The bucket fills with `max_load` nanoseconds a nanosecond and holds a quarter of a second, so
over any second the agent uses its share and at most that much more. What a request occupied is taken
afterwards and may leave the bucket in debt: the next request waits until it is paid.
"""

from __future__ import annotations

from edge_agent.model import NS, MonoNs

_CAPACITY_NS = NS // 4
_WINDOW_NS = 10 * NS


class LoadLimit:
    """One per bus."""

    __slots__ = ("_at", "_share", "_since", "_tokens", "_used", "load")

    def __init__(self, max_load: float, now: MonoNs) -> None:
        self._share = max_load
        self._tokens = max_load * _CAPACITY_NS
        self._at = self._since = now
        self._used = 0
        self.load = 0.0
        """Share of the line used over the last ten seconds or so; for the status."""

    def ready_at(self, now: MonoNs) -> MonoNs:
        """When the next request may begin."""
        self._fill(now)
        if self._tokens >= 0:
            return now
        return MonoNs(now - int(self._tokens / self._share) + 1)

    def spend(self, line_ns: int, now: MonoNs) -> None:
        """A request and its reply occupied the line for `line_ns`."""
        self._fill(now)
        self._tokens -= line_ns
        self._used += line_ns
        passed = now - self._since
        if passed >= _WINDOW_NS // 10:
            weight = min(1.0, passed / _WINDOW_NS)
            self.load += weight * (self._used / passed - self.load)
            self._since, self._used = now, 0

    def _fill(self, now: MonoNs) -> None:
        self._tokens = min(self._tokens + self._share * (now - self._at), self._share * _CAPACITY_NS)
        self._at = now
