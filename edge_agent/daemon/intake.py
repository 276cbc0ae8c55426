"""The bounded queue between the bus threads and the process stage.

Overflow rule: when the process stage cannot keep up, the oldest block gives way, and every point it
served is counted as missing. The counts are handed over as one `Skipped` event per generation, so
that the summaries say what was lost; which points and what time `take_dropped` says, so that the loss of
values that would have been samples is declared; nothing vanishes.
"""

from __future__ import annotations

import threading
from collections import Counter as Multiset
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.bus.outcomes import Block, BusEvent, Skipped
from edge_agent.clock import Clock
from edge_agent.counters import Counters, declare
from edge_agent.model import WallNs

INTAKE_DROPPED = declare(
    "intake_dropped", "bus events that gave way to newer ones; their points count as missing"
)
CAPACITY = 4096
"""Blocks; at 100 blocks a second the process stage may stand still for 40 s before one gives way."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Points whose values were read and gave way, and from when to when."""

    points: frozenset[int]
    t0: WallNs
    t1: WallNs


class Intake:
    """Many bus threads put, one pipeline thread takes."""

    def __init__(self, clock: Clock, counters: Counters, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._dropped_counter = counters.get(INTAKE_DROPPED)
        self._events: deque[BusEvent] = deque()
        self._dropped: dict[int, Multiset[int]] = {}
        self._read_points: set[int] = set()
        self._read_times: list[WallNs] = []
        """Of the first and the last block that gave way."""
        self._ready = threading.Condition()

    def put(self, event: BusEvent) -> None:
        """Never blocks: a bus thread keeps its timing whatever happens behind it."""
        with self._ready:
            if len(self._events) >= self._capacity:
                self._give_way(self._events.popleft())
            self._events.append(event)
            self._ready.notify()

    def take(self, timeout_s: float) -> list[BusEvent]:
        """All waiting events, oldest first; waits up to `timeout_s` for the first one."""
        with self._ready:
            if not self._events and timeout_s > 0:
                self._ready.wait(timeout_s)
            events = [*self._lost(), *self._events]
            self._events.clear()
            return events

    def take_dropped(self) -> Dropped | None:
        """Values that were read and gave way since the last call."""
        with self._ready:
            points, times = frozenset(self._read_points), self._read_times
            self._read_points, self._read_times = set(), []
        return Dropped(points, min(times), max(times)) if times else None

    def wake(self) -> None:
        """Let `take` return at once, events or not."""
        with self._ready:
            self._ready.notify()

    def __len__(self) -> int:
        return len(self._events)

    def _give_way(self, event: BusEvent) -> None:
        points = event.request.points if isinstance(event, Block) else event.points
        self._dropped.setdefault(event.generation, Multiset()).update(points)
        if isinstance(event, Block):
            self._read_points.update(points)
            self._read_times = [*self._read_times[:1], event.wall_ns]
        self._dropped_counter.add()

    def _lost(self) -> Iterator[Skipped]:
        for generation, points in self._dropped.items():
            yield Skipped(generation, tuple(points.elements()), self._clock.mono_ns(), self._clock.wall_ns())
        self._dropped.clear()
