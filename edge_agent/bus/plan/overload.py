"""What to slow down on a bus that is asked for more than it may give, in a technician's words.

Pure. Looks for one class of points whose longer period is enough by itself, the dearest first; where no
single one is enough, all periods have to grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from edge_agent.bus.plan.demand import Periods
from edge_agent.bus.plan.forecast import Alike, Forecast
from edge_agent.config.values import show_duration
from edge_agent.model import NS

_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_MINUTES = (60, 90, 120, 180, 300, 600, 900, 1800, 3600)
_ROUND_NS = sorted(
    {round(one * 10**power) for power in range(6, 10) for one in _ROUND}
    | {10 * NS * one for one in range(1, 6)}
    | {NS * seconds for seconds in _MINUTES}
)
"""Periods a person would write, 1 ms to an hour."""
_TOLD = 3
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Class:
    """The points of one period of devices that are alike."""

    alike: Alike
    number: int
    load: float
    """Share of the line that would be free without it."""

    @property
    def period_ns(self) -> int:
        return self.alike.demand.periods[self.number]


def message(forecast: Forecast) -> str:
    limit = forecast.bus.max_load
    return f"needs {forecast.load:.0%} of the line at the configured periods, max_load allows {limit:.0%}"


def advice(forecast: Forecast) -> str:
    """What to slow down, and to which period, for the load to keep within its limit."""
    classes = sorted(_classes(forecast), key=lambda one: -one.load)
    enough = []
    for one in classes:
        period_ns = _sufficient_ns(forecast, one)
        if period_ns is not None:
            enough.append(
                f"{_describe(one)} from {show_duration(one.period_ns)} to {show_duration(period_ns)}"
            )
    if enough:
        return "poll " + ", or ".join(enough[:_TOLD])
    dearest = ", ".join(f"{_describe(one)} ({one.load:.0%})" for one in classes[:_TOLD])
    return f"poll everything {_factor(forecast.stretch)} times slower; what costs most: {dearest}"


def problem(forecast: Forecast) -> str:
    """For the status of an agent that runs all the same."""
    return (
        f"bus {forecast.bus.name} {message(forecast)}: every period is stretched {_factor(forecast.stretch)}"
        f" times; {advice(forecast)}"
    )


def _classes(forecast: Forecast) -> Iterator[Class]:
    for alike in forecast.groups:
        whole = alike.demand.load()
        for number in range(len(alike.demand.periods)):
            without = alike.demand.load(_changed(alike, number, None))
            yield Class(alike, number, len(alike.devices) * (whole - without))


def _sufficient_ns(forecast: Forecast, one: Class) -> int | None:
    """The shortest round period of the class that brings the bus within its limit."""
    demand, count = one.alike.demand, len(one.alike.devices)
    others = forecast.load - count * demand.load()
    for period_ns in _ROUND_NS:
        if period_ns <= one.period_ns:
            continue
        if others + count * demand.load(_changed(one.alike, one.number, period_ns)) <= forecast.bus.max_load:
            return period_ns
    return None


def _changed(alike: Alike, number: int, period_ns: int | None) -> Periods:
    periods: list[int | None] = list(alike.demand.periods)
    periods[number] = period_ns
    return periods


def _describe(one: Class) -> str:
    devices = listed([device.name for device in one.alike.devices])
    points = one.alike.devices[0].points
    named = listed([points[index].name for index in one.alike.demand.classes[one.number]])
    return f"{named} of {devices}"


def listed(names: Sequence[str], at_most: int = _NAMED) -> str:
    """`a, b, c`, or `a ... z (26)`."""
    return ", ".join(names) if len(names) <= at_most else f"{names[0]} ... {names[-1]} ({len(names)})"


def _factor(stretch: float) -> str:
    """Rounded up: what is said to be enough must be enough."""
    return f"{ceil(stretch * 10) / 10:.1f}"
