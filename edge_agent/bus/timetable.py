"""The schedule of a bus from its devices: their classes, and what a round of each needs of the line."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edge_agent.bus.device.device import Device
from edge_agent.bus.schedule.schedule import Schedule
from edge_agent.model import MonoNs


def timetable(devices: Collection[Device], now: MonoNs) -> Schedule:
    return Schedule(_periods(devices), now, {device.index: _need_ns(device) for device in devices})


def _periods(devices: Collection[Device]) -> Iterator[tuple[int, int, int]]:
    """(device, point, period) of every point that has a period."""
    for device in devices:
        for number in device.points:
            period_ns = device.planner.points[number].poll_ns
            if period_ns > 0:
                yield device.index, number, period_ns


def _need_ns(device: Device) -> int:
    """The line time of its fastest class: that is what is there on every beat."""
    fastest = min((period for _, _, period in _periods([device])), default=0)
    points = [number for _, number, period in _periods([device]) if period == fastest]
    return sum(map(device.planner.line_ns, device.planner.plan(points, device.refusals).requests))
