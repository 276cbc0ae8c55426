"""Whether replies are handed over in steps of 16 ms: a USB adapter with its latency timer as delivered.

Pure. The adapter's timer runs on by itself, so the times between two replies are multiples of its period,
whatever is asked. A schedule can make equal multiples by itself; so at least three different ones count.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from edge_agent.model import NS

PERIOD_NS = 16_000_000
"""The latency timer with which FTDI adapters are delivered."""
_NEAR_NS = 2_000_000
_LONGEST_NS = 2 * NS
"""Beyond this the adapter's clock and ours need not agree to a millisecond."""
_KEPT = 64
_ENOUGH = 24
_DIFFERENT = 3


class Ticks:
    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=_KEPT)

    def add(self, read_ns: int) -> None:
        """The last byte of a reply was read at this monotonic time."""
        self._times.append(read_ns)

    def on_grid(self) -> float:
        """Share of the last times between two replies that are multiples of the period; 0 where too few or
        too alike to tell."""
        gaps = [later - sooner for sooner, later in pairwise(self._times) if later - sooner <= _LONGEST_NS]
        multiples = [
            round(gap / PERIOD_NS)
            for gap in gaps
            if abs(gap - round(gap / PERIOD_NS) * PERIOD_NS) <= _NEAR_NS and gap >= PERIOD_NS // 2
        ]
        if len(gaps) < _ENOUGH or len(set(multiples)) < _DIFFERENT:
            return 0.0
        return len(multiples) / len(gaps)
