"""What the polls of one device take of its line, in the long run.

Pure. The points of a device with one period form a class; its classes start together, so a slow one
falls on a beat of a faster one and shares its requests. How often exactly which classes are due together
follows from the least common multiples of their periods, without running through the time; each such
occasion is planned with the planner that the agent itself uses.

What this does not know, so that the real load may be lower or higher: polls that are late and therefore merge
although their times differ; retries, timeouts, what a device refuses; a turnaround that is not the
assumed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.plan.cost import LineCost
from edge_agent.bus.plan.planner import Planner
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.model import DeviceDef

_TOGETHER = 7
"""Classes of one device whose coincidences are counted: 128 occasions. The slower ones beyond are
counted as if each came by itself, which is a little too much."""

Periods = Sequence[int | None]
"""In ns, one a class; None leaves the class out."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Classes (as bits) that are due together and alone, how often a nanosecond."""

    classes: int
    rate: float


class Demand:
    """Of one device, or of several that are alike. Indexes of points are those in `device.points`."""

    def __init__(self, device: DeviceDef, cost: LineCost, turnaround_ns: int = 0) -> None:
        self._planner = Planner(0, device, list(enumerate(device.points)), cost)
        self._planner.assume(turnaround_ns)
        by_period: dict[int, list[int]] = {}
        for index, point in enumerate(device.points):
            by_period.setdefault(point.poll_ns, []).append(index)
        continuous = by_period.pop(0, [])
        self.periods: tuple[int, ...] = tuple(sorted(by_period))
        self.classes = tuple(tuple(by_period[period]) for period in self.periods)
        self.continuous = self._requests(continuous)
        self._planned: dict[int, tuple[ReadRequest, ...]] = {}

    @property
    def turnaround_ns(self) -> int:
        return self._planner.turnaround.ns

    @property
    def continuous_ns(self) -> int:
        """Line time of one round of the points that have no period."""
        return sum(map(self.line_ns, self.continuous))

    def line_ns(self, request: ReadRequest) -> int:
        return self._planner.line_ns(request)

    def requests(self, classes: int) -> tuple[ReadRequest, ...]:
        """The plan for classes (as bits) that are due together."""
        known = self._planned.get(classes)
        if known is None:
            due = [index for n, one in enumerate(self.classes) if classes >> n & 1 for index in one]
            known = self._planned[classes] = self._requests(due)
        return known

    def load(self, periods: Periods | None = None) -> float:
        """Share of the line's time, with these periods in the place of the configured ones."""
        return sum(
            one.rate * sum(map(self.line_ns, self.requests(one.classes))) for one in self.occasions(periods)
        )

    def occasions(self, periods: Periods | None = None) -> Iterator[Occasion]:
        given = self.periods if periods is None else periods
        order = sorted((period, n) for n, period in enumerate(given) if period is not None)
        yield from _coincidences(order[:_TOGETHER])
        for period, n in order[_TOGETHER:]:
            yield Occasion(1 << n, 1 / period)

    def _requests(self, due: Sequence[int]) -> tuple[ReadRequest, ...]:
        return self._planner.plan(due, Refusals()).requests if due else ()


def _coincidences(classes: Sequence[tuple[int, int]]) -> Iterator[Occasion]:
    """Of (period, number): every set that is ever due together without the others.

    All of a set are due together once in the lcm of their periods; what also holds a further class is
    taken off, from the largest sets down.
    """
    if not classes:
        return
    whole = lcm(*(period for period, _ in classes))
    exactly: dict[int, int] = {}
    for subset in range((1 << len(classes)) - 1, 0, -1):
        together = whole // lcm(*(period for n, (period, _) in enumerate(classes) if subset >> n & 1))
        exactly[subset] = together - sum(
            times for larger, times in exactly.items() if larger & subset == subset
        )
        if exactly[subset]:
            marks = sum(1 << number for n, (_, number) in enumerate(classes) if subset >> n & 1)
            yield Occasion(marks, exactly[subset] / whole)
