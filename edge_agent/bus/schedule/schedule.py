"""When which points are due: periods that do not drift, phases that do not bunch.

Pure. Points of one device with one period form a class and are due together, so that they merge. The
next time of a class is its previous *planned* time plus its period, whatever the line was doing. A
class that is late by whole periods is due once; the polls that were not made are returned as missed,
never made up for: after a stall of half a minute there is one poll, not a burst.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from edge_agent.bus.schedule.phases import phases
from edge_agent.model import MonoNs

MISSED_AT_MOST = 1000
"""Missed polls of one class that are listed one by one after a stall; more are in the counter only, so
that a machine that slept for a day does not answer with a list of a million."""


@dataclass(slots=True)
class Class:
    """Points of one device with one period."""

    device: int
    period_ns: int
    points: tuple[int, ...]
    next_ns: MonoNs
    beat_ns: MonoNs
    """The beat it keeps; `next_ns` is earlier only when it was hastened."""


@dataclass(frozen=True, slots=True)
class Due:
    """A class whose time has come. `deadline`: when it is due again."""

    device: int
    points: tuple[int, ...]
    beat: MonoNs
    """The planned time it is due for."""
    period_ns: int
    deadline: MonoNs
    missed: int
    """Polls before this one that were never made."""


@dataclass(order=True, slots=True)
class _Entry:
    at: MonoNs
    number: int
    what: Class = field(compare=False)


class Schedule:
    """Of one bus. `points` are (device, point, period_ns) with period_ns > 0; times start at `now`.

    `needs_ns`: the line time one round of each device takes, by its index; equal where it is not said.
    """

    def __init__(
        self, points: Iterable[tuple[int, int, int]], now: MonoNs, needs_ns: Mapping[int, int] | None = None
    ) -> None:
        self._classes = _classes(points)
        _spread(self._classes, now, needs_ns or {})
        self._heap: list[_Entry] = []
        self._build_heap()

    def next_at(self) -> MonoNs | None:
        """When the next class is due; None without any."""
        return self._heap[0].at if self._heap else None

    def next_of_others(self, away: Collection[int]) -> MonoNs | None:
        """The same of the devices that are not `away`: until then the line is idle."""
        return min((one.next_ns for one in self._classes if one.device not in away), default=None)

    def take(self, now: MonoNs) -> list[Due]:
        """Every class due by now, the earliest deadline first."""
        due = []
        while self._heap and self._heap[0].at <= now:
            entry = self._heap[0]
            due.append(_advance(entry.what, now))
            heapq.heapreplace(self._heap, _Entry(entry.what.next_ns, entry.number, entry.what))
        return sorted(due, key=lambda one: one.deadline)

    def hasten(self, device: int, now: MonoNs) -> None:
        """The device is back: all its classes are due now, and then on their beat again."""
        for one in self._classes:
            if one.device == device:
                one.next_ns = min(one.next_ns, now)
        self._build_heap()

    def _build_heap(self) -> None:
        self._heap = [_Entry(one.next_ns, number, one) for number, one in enumerate(self._classes)]
        heapq.heapify(self._heap)


def _advance(one: Class, now: MonoNs) -> Due:
    due_at, period = one.next_ns, one.period_ns
    if due_at < one.beat_ns and now < one.beat_ns:
        # Hastened: of the beat ahead and the one after it the one that leaves about a period between.
        missed = 0
        following = one.beat_ns if 2 * (one.beat_ns - now) >= period else one.beat_ns + period
    else:
        missed = (now - one.beat_ns) // period
        due_at = MonoNs(one.beat_ns + missed * period)
        following = due_at + period
    one.next_ns = one.beat_ns = MonoNs(following)
    return Due(one.device, one.points, due_at, period, one.next_ns, missed)


def _classes(points: Iterable[tuple[int, int, int]]) -> list[Class]:
    grouped: dict[tuple[int, int], list[int]] = {}
    for device, point, period_ns in points:
        grouped.setdefault((device, period_ns), []).append(point)
    return [
        Class(device, period, tuple(members), MonoNs(0), MonoNs(0))
        for (device, period), members in grouped.items()
    ]


def _spread(classes: list[Class], now: MonoNs, needs_ns: Mapping[int, int]) -> None:
    """The classes of one device start together, so that a slow class falls on a beat of the fast one and
    is merged with it; the devices start apart."""
    shortest: dict[int, int] = {}
    for one in classes:
        shortest[one.device] = min(one.period_ns, shortest.get(one.device, one.period_ns))
    offsets = phases([(device, period, needs_ns.get(device, 1)) for device, period in shortest.items()])
    for one in classes:
        one.next_ns = one.beat_ns = MonoNs(now + offsets[one.device])
