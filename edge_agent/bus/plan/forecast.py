"""What a configuration asks of each bus, before anything is asked: requests, load, achievable periods.

Pure. `check`, `plan` and the daemon's warning at its start judge by this one forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.plan.cost import line_cost
from edge_agent.bus.plan.demand import Demand
from edge_agent.bus.plan.planner import AREAS
from edge_agent.bus.schedule.shares import FILL_NS
from edge_agent.model import NS, BusDef, DeviceDef, PointDef, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One request of the plan. `request.points` are indexes into `device.points`."""

    device: DeviceDef
    request: ReadRequest
    line_ns: int
    every_ns: float
    """On average: what is due now with one class and now with another is not the same request."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Devices that are read alike: one plan, one demand."""

    demand: Demand
    devices: tuple[DeviceDef, ...]


class Forecast:
    """Of one bus."""

    def __init__(self, bus: BusDef, turnarounds_ns: Mapping[str, int], *, exact: bool = False) -> None:
        self.bus = bus
        self.groups = _groups(bus, turnarounds_ns, exact)
        self.load = sum(len(one.devices) * one.demand.load() for one in self.groups)
        """Share of the line's time that the configured periods ask for; continuous points add none."""

    @property
    def is_overloaded(self) -> bool:
        return self.load > self.bus.max_load

    @property
    def stretch(self) -> float:
        """What every period is multiplied by, so that the load keeps within its limit; at least 1."""
        return max(1.0, self.load / self.bus.max_load)

    @property
    def round_ns(self) -> float:
        """Between two reads of a continuous point: with what the others leave, and where that is nothing, its
        turn among them."""
        wanted = sum(len(one.devices) * one.demand.continuous_ns for one in self.groups)
        left = self.bus.max_load - self.load
        turn_ns = FILL_NS + NS * self.stretch
        return min(wanted / left, turn_ns) if left > 0 else turn_ns

    @property
    def requests_per_s(self) -> float:
        """Continuous points add none."""
        return sum(
            len(one.devices) * occasion.rate * NS * len(one.demand.requests(occasion.classes))
            for one in self.groups
            for occasion in one.demand.occasions()
        )

    def achievable_ns(self, point: PointDef) -> float:
        """The period the point will have."""
        return point.poll_ns * self.stretch if point.poll_ns else self.round_ns

    def turnarounds(self) -> Iterator[tuple[DeviceDef, int]]:
        """What was assumed of each device, in the order of the configuration."""
        known = {device.name: one.demand.turnaround_ns for one in self.groups for device in one.devices}
        for device in self.bus.devices:
            yield device, known[device.name]

    def reads(self) -> Iterator[Read]:
        """Every request of the plan, device by device in the order of the configuration."""
        known = {device.name: one.demand for one in self.groups for device in one.devices}
        for device in self.bus.devices:
            yield from self._reads(device, known[device.name])

    def _reads(self, device: DeviceDef, demand: Demand) -> Iterator[Read]:
        rates: dict[ReadRequest, float] = {}
        for occasion in demand.occasions():
            for request in demand.requests(occasion.classes):
                rates[request] = rates.get(request, 0.0) + occasion.rate
        found = [(request, self.stretch / rate) for request, rate in rates.items()]
        found += [(request, self.round_ns) for request in demand.continuous]
        for request, every_ns in sorted(found, key=lambda one: _place(one[0])):
            yield Read(
                device=device,
                request=replace(request, unit_id=device.unit_id),
                line_ns=demand.line_ns(request),
                every_ns=every_ns,
            )


def _place(request: ReadRequest) -> tuple[int, int, int]:
    return AREAS.index(request.area), request.address, request.count


def forecasts(
    site: Site, turnarounds_ns: Mapping[str, int] | None = None, *, exact: bool = False
) -> list[Forecast]:
    """Of every bus; `turnarounds_ns` are known ones by the device's name, the others are assumed. They are
    taken in steps, as the running agent takes what it measures; `exact`: as they are."""
    return [Forecast(bus, turnarounds_ns or {}, exact=exact) for bus in site.buses]


def _groups(bus: BusDef, turnarounds_ns: Mapping[str, int], exact: bool) -> list[Alike]:
    alike: dict[object, list[DeviceDef]] = {}
    for device in bus.devices:
        shape = tuple((p.area, p.address, p.words, p.poll_ns, p.group) for p in device.points)
        key = (device.quirks, shape, turnarounds_ns.get(device.name, 0))
        alike.setdefault(key, []).append(device)
    return [
        Alike(_demand(bus, devices[0], turnarounds_ns.get(devices[0].name, 0), exact), tuple(devices))
        for devices in alike.values()
    ]


def _demand(bus: BusDef, device: DeviceDef, turnaround_ns: int, exact: bool) -> Demand:
    cost = line_cost(bus, device)
    if exact and turnaround_ns:
        return Demand(device, replace(cost, assumed_turnaround_ns=turnaround_ns))
    return Demand(device, cost, turnaround_ns)
