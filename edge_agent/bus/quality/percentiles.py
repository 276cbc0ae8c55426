"""Percentiles of durations in fixed memory: classes that each are an eighth wider than the one before.

Pure. Exact to an eighth of the value, which is more than a technician reads off a line, at 100 classes
for 100 us to beyond a minute, however many values there were.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

_FIRST_NS = 100_000
_CLASSES = 116

EDGES_NS: tuple[int, ...] = tuple(int(_FIRST_NS * 1.125**power) for power in range(_CLASSES))
"""Upper end of each class; what is longer than the last counts as that."""


class Durations:
    __slots__ = ("_classes", "count")

    def __init__(self) -> None:
        self._classes = array("L", bytes(_CLASSES * array("L").itemsize))
        self.count = 0

    def add(self, duration_ns: int) -> None:
        self._classes[min(bisect_left(EDGES_NS, duration_ns), _CLASSES - 1)] += 1
        self.count += 1

    def __add__(self, other: Durations) -> Durations:
        both = Durations()
        both._classes = array("L", map(int.__add__, self._classes, other._classes))
        both.count = self.count + other.count
        return both

    def percentiles_ns(self, shares: Sequence[float]) -> list[int | None]:
        """For each share, above 0 to 1: the upper end of the class it falls in; None without values."""
        if not self.count:
            return [None] * len(shares)
        up_to = list(accumulate(self._classes))
        places = (bisect_left(up_to, share * self.count) for share in shares)
        return [EDGES_NS[min(place, _CLASSES - 1)] for place in places]


class RecentDurations:
    """Of the last one to two minutes: two histograms in turn."""

    __slots__ = ("_newer", "_older", "_since_ns")

    TURN_NS = 60_000_000_000

    def __init__(self) -> None:
        self._newer = Durations()
        self._older = Durations()
        self._since_ns: int | None = None

    def add(self, duration_ns: int, now_ns: int) -> None:
        if self._since_ns is None:
            self._since_ns = now_ns
        passed = now_ns - self._since_ns
        if passed >= self.TURN_NS:
            # Nothing for two turns: the newer ones are old too.
            self._older = self._newer if passed < 2 * self.TURN_NS else Durations()
            self._newer, self._since_ns = Durations(), now_ns
        self._newer.add(duration_ns)

    def percentiles_ns(self, shares: Sequence[float]) -> list[int | None]:
        return (self._older + self._newer).percentiles_ns(shares)
