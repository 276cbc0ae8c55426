"""Everything the worker keeps about one device while it runs. No port, no clock.

Owns the device's planner, what it refuses, what it owes, its breaker, and what a status says of it.
Written by the bus's thread only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random

from edge_agent.bus.device.breaker import Breaker
from edge_agent.bus.device.deferrals import Deferrals
from edge_agent.bus.device.view import View
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    ReadRequest,
    Values,
    is_alive,
)
from edge_agent.bus.plan.cost import LineCost, line_cost
from edge_agent.bus.plan.debts import Debts, other_lengths
from edge_agent.bus.plan.planner import Plan, Planner
from edge_agent.bus.plan.refusals import SPLITTABLE, Refusals
from edge_agent.bus.plan.silences import SILENT_READS, Silences
from edge_agent.bus.schedule.pool import Job
from edge_agent.bus.wire.manners import Manners, knows_late_replies, manners_of
from edge_agent.model import NS, BusDef, DeviceDef, MonoNs, PointDef, Site

EXCHANGED_NS = 60 * NS
"""Away for so long, it may come back as another device or with other firmware. Shorter silences are
those of a bad line, and learning what it refuses anew each time would cost more than it is worth."""
_NOBODY_ANSWERED = 11
"""A gateway's word for silence (Modbus Application Protocol V1.1b3, 7)."""


class Device:
    """`index` is the device's in the site; `points` are (index in the site, definition)."""

    def __init__(
        self,
        index: int,
        definition: DeviceDef,
        points: list[tuple[int, PointDef]],
        manners: Manners,
        debts: Debts,
        breaker: Breaker,
        cost: LineCost | None = None,
    ) -> None:
        self.index = index
        self.name = definition.name
        self.definition = definition
        self.manners = manners
        self.planner = Planner(index, definition, points, cost)
        self.refusals = Refusals(definition.quirks.on_illegal_address)
        self.silences = Silences()
        self.deferrals = Deferrals()
        self.debts = debts
        self.breaker = breaker
        self.points = tuple(number for number, _ in points)
        self.continuous = tuple(number for number, point in points if point.poll_ns == 0)
        self.bad_at = MonoNs(0)
        """When continuous points, which have no period, next get the reason why they are not asked."""
        self.filled_at = MonoNs(0)
        """When continuous points were last asked."""
        self.view = View()
        self._plain: set[ReadRequest] = set()
        self._heard_at: MonoNs | None = None
        self.absence_ns = 0
        """Between its last two replies."""

    def plan(self, points: Iterable[int], now: MonoNs) -> Plan:
        """How these points are read at the moment."""
        for point in self.refusals.retry(now):
            self.silences.suspect((point,), now)
        self.planner.assume(self.manners.timeout.average_ns)
        return self.planner.plan(points, self.refusals)

    def note(self, request: ReadRequest, outcome: Outcome, now: MonoNs) -> bool:
        """What came of a request. True when it says something of this read, and nothing of whether the
        device is there: a read that stays silent while others are answered."""
        self.debts.note(request, outcome, now, self.manners.whole_late_ns)
        if is_alive(outcome):
            self.absence_ns = now - (now if self._heard_at is None else self._heard_at)
            self._heard_at = now
            self.silences.heard(request.points, now)
            if isinstance(outcome, Values):
                self.refusals.answered(request.points)
            return False
        # Of a device that is away nothing can be learnt about single reads.
        doubtful = bool(request.points) and _is_silence(outcome) and not self.breaker.is_open
        return doubtful and self._unheard(request, now)

    def askable(self, now: MonoNs) -> tuple[int, ...]:
        """Continuous points that may be asked at this moment."""
        if not self.deferrals and not self.refusals:
            return self.continuous
        not_now = self.deferrals.later(self.continuous, now) | self.refusals.points
        return tuple(point for point in self.continuous if point not in not_now)

    def detour(self, job: Job, now: MonoNs) -> list[Job]:
        """The job by requests that a reply still owed cannot answer."""
        # What somebody wants to read is read as it was asked for, or not at all.
        as_asked = job.asked is not None and not job.probe
        if not self.debts or as_asked or job.request in self._plain:
            return [job]
        definitions = self.planner.definitions(job.request)
        parts = other_lengths(job.request, definitions, self.definition.quirks, self.debts, now)
        # A probe only asks whether anybody is there: one part says it.
        return [replace(job, request=part) for part in (parts[:1] if job.probe else parts)]

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

    def back(self, absence_ns: int) -> None:
        """Its unit answers again after having been away for so long, with the outcome last noted."""
        if absence_ns >= EXCHANGED_NS:
            self.refusals.forget()
        self.deferrals.forget()
        self.silences.clear()
        self._plain.clear()

    def _unheard(self, request: ReadRequest, now: MonoNs) -> bool:
        times = self.silences.silent(request.points, now)
        if times >= SILENT_READS:
            definitions = self.planner.definitions(request)
            whole = (request.area, request.address, request.count) in self.definition.quirks.read_whole
            if self.refusals.silent(request, definitions, now, whole=whole):
                for part in self.planner.plan(request.points, self.refusals).requests:
                    self.silences.suspect(part.points, now)
        return times > 0


def _is_silence(outcome: Outcome) -> bool:
    if isinstance(outcome, DeviceException):
        return outcome.code == _NOBODY_ANSWERED
    return isinstance(outcome, NoReply)


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
            manners = manners_of(definition, self._bus)
            # Nobody polls it, so no breaker of its ever opens.
            self._guests[index] = Device(index, definition, [], manners, Debts(), Breaker(lambda: 0.0))
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
    # A late reply knows its unit, not for which of two configured devices it was asked; and a unit that
    # is silent is so for both.
    debts: dict[int, Debts] = {}
    breakers: dict[int, Breaker] = {}
    device_index = point_index = 0
    for number, bus in enumerate(site.buses):
        for definition in bus.devices:
            points = list(enumerate(definition.points, point_index))
            if number == bus_index:
                unit_id = definition.unit_id
                devices[device_index] = Device(
                    device_index,
                    definition,
                    points,
                    manners_of(definition, bus),
                    debts.setdefault(unit_id, Debts(keeps=not knows_late_replies(bus))),
                    # Chance that can be repeated, another for each unit.
                    breakers.setdefault(unit_id, Breaker(Random(f"{bus.name} {unit_id}").random)),
                    line_cost(bus, definition),
                )
            device_index += 1
            point_index += len(points)
    return devices


def retry_cost_ns(device: Device, outcome: Outcome) -> int:
    """Least time a second try needs: what quarantine is left, and its own timeout."""
    timeout = device.manners.timeout.timeout_ns
    heard = isinstance(outcome, BadFrame) and outcome.cause in (BadCause.CRC, BadCause.SHORT)
    return timeout if heard else timeout + device.manners.late_ns(timeout)
