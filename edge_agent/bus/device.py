"""Everything the worker keeps about one device while it runs. No port, no clock.

Owns the device's planner, what it refuses, what it owes, its breaker, and what a status says of it.
Written by the bus's thread only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from edge_agent.bus.breaker import Breaker
from edge_agent.bus.debts import Debts, other_lengths
from edge_agent.bus.manners import Manners, manners_of
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    Outcome,
    ReadRequest,
)
from edge_agent.bus.planner import Planner
from edge_agent.bus.pool import Job
from edge_agent.bus.refusals import SPLITTABLE, Refusals
from edge_agent.bus.view import View
from edge_agent.model import BusDef, DeviceDef, MonoNs, PointDef, Site


class Device:
    """`index` is the device's in the site; `points` are (index in the site, definition)."""

    def __init__(
        self,
        index: int,
        definition: DeviceDef,
        points: list[tuple[int, PointDef]],
        manners: Manners,
        debts: Debts,
    ) -> None:
        self.index = index
        self.name = definition.name
        self.definition = definition
        self.manners = manners
        self.planner = Planner(index, definition, points)
        self.refusals = Refusals(definition.quirks.on_illegal_address)
        self.debts = debts
        self.breaker = Breaker()
        self.points = tuple(number for number, _ in points)
        self.continuous = tuple(number for number, point in points if point.poll_ns == 0)
        self.bad_at = MonoNs(0)
        """When continuous points, which have no period, are next said to be bad while it is away."""
        self.filled_at = MonoNs(0)
        """When continuous points were last asked."""
        self.view = View()
        self._plain: set[ReadRequest] = set()

    def detour(self, job: Job, now: MonoNs) -> list[Job]:
        """The job by requests that a reply still owed cannot answer."""
        # What was asked from outside is made as it was asked, or not at all.
        if not self.debts or job.asked is not None or job.request in self._plain:
            return [job]
        definitions = self.planner.definitions(job.request)
        parts = other_lengths(job.request, definitions, self.definition.quirks, self.debts, now)
        return [replace(job, request=part) for part in parts]

    def free_at(self, request: ReadRequest, now: MonoNs) -> MonoNs:
        """When this request may be sent. A reply that is still owed and would look like its own must
        have come by then, or never: the adapted timeout only says how fast the device has been."""
        since = self.debts.owed_since(request, now)
        return now if since is None else MonoNs(max(now, since + self.manners.whole_late_ns))

    def resplit(self, request: ReadRequest, outcome: Outcome) -> tuple[ReadRequest, ...]:
        """What to ask instead after an exception that says "not like this"; empty when nothing."""
        if not isinstance(outcome, DeviceException) or outcome.code not in SPLITTABLE:
            return ()
        definitions = self.planner.definitions(request)
        natural = self.planner.plan(request.points, self.refusals).requests
        if request not in natural and len(natural) == 1 and request.count > natural[0].count:
            # Only asked longer because of a debt, and refused for that: this one has no other length.
            self._plain.add(natural[0])
            return natural
        if self.refusals.refuse(request, definitions, outcome.code):
            return self.planner.plan(request.points, self.refusals).requests
        return ()

    def back(self) -> None:
        """It answers again after having been away; it may be another one."""
        self.refusals.forget()
        self._plain.clear()


class Devices(dict[int, Device]):
    """The devices of a bus by their index in the site. A unit that nobody configured is a guest under its
    negative unit id: whoever has a request for it finds it here, and no loop over the devices meets it."""

    def __init__(self, bus: BusDef) -> None:
        super().__init__()
        self._bus = bus
        self._guests: dict[int, Device] = {}

    def __missing__(self, index: int) -> Device:
        if index not in self._guests:
            definition = DeviceDef(name=f"unit {-index}", bus=self._bus.name, unit_id=-index)
            self._guests[index] = Device(index, definition, [], manners_of(definition, self._bus), Debts())
        return self._guests[index]


class MannersOf(Mapping[int, Manners]):
    """The manners of each device of a bus, guests included: what its line asks for."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def __getitem__(self, index: int) -> Manners:
        return self._devices[index].manners

    def __iter__(self) -> Iterator[int]:
        return iter(self._devices)

    def __len__(self) -> int:
        return len(self._devices)


def down_points(points: Iterable[int], device: Device) -> tuple[ReadRequest, ...]:
    """The requests that would have brought these points, to carry the reason they were not made."""
    plan = device.planner.plan(points, device.refusals)
    return plan.requests + tuple(request for request, _ in plan.refused)


def devices_of(site: Site, bus_index: int) -> Devices:
    """The bus's devices by their index in the site, each with its points by theirs."""
    devices = Devices(site.buses[bus_index])
    # A late reply knows its unit, not for which of two configured devices it was asked.
    debts: dict[int, Debts] = {}
    device_index = point_index = 0
    for number, bus in enumerate(site.buses):
        for definition in bus.devices:
            points = list(enumerate(definition.points, point_index))
            if number == bus_index:
                manners = manners_of(definition, bus)
                devices[device_index] = Device(
                    device_index, definition, points, manners, debts.setdefault(definition.unit_id, Debts())
                )
            device_index += 1
            point_index += len(points)
    return devices


def retry_cost_ns(device: Device, outcome: Outcome) -> int:
    """Least time a second try needs: what quarantine is left, and its own timeout."""
    timeout = device.manners.timeout.timeout_ns
    heard = isinstance(outcome, BadFrame) and outcome.cause in (BadCause.CRC, BadCause.SHORT)
    return timeout if heard else timeout + device.manners.late_ns(timeout)
