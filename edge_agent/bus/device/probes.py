"""When silent units are probed, and how long each probe may take: in idle time first.

Pure, one per bus. A probe that is due waits for a gap in the schedule that holds it; where none comes
within the breaker's patience it is made all the same. Of three probes one should be given the whole
configured timeout, in case the device has become slow: where no gap holds that either, the short one
is made, and a whole one is forced once in five minutes only. So on a full line a dead device takes a
short timeout every eight to twelve seconds, and on an idle one nothing that anybody else wanted.

A unit that does answer, but after its timeout, is not dead and costs more: its late reply runs into
whoever is asked then. Its probes are whole ones with their whole late window, and where no gap holds that
they come every two minutes only. What helps is another timeout; a hint says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.bus.device.breaker import Breaker
from edge_agent.bus.device.device import Device
from edge_agent.bus.schedule.pool import Job, Pool
from edge_agent.bus.wire.overheard import Overheard
from edge_agent.model import NS, MonoNs

WHOLE_AT_LEAST_NS = 300 * NS
"""On a line without a gap: a device slower than its short timeout is found within this time."""
LATE_PATIENCE_NS = 120 * NS
"""How long the probe of a unit that answers late waits for a gap that holds it."""
_MARGIN_NS = NS // 50
"""Request and silences around a probe, at any speed."""


@dataclass(slots=True)
class Unit:
    """A unit id of the bus and the configured devices behind it: nearly always one."""

    breaker: Breaker
    devices: tuple[Device, ...]
    whole_at: MonoNs
    """When it was last given the whole timeout."""
    late_before: int = 0
    """Its late replies when its last outcome was noted: one that came since is that request's."""


class Probes:
    """`devices` are those of one bus; `overheard` is its line's."""

    def __init__(self, devices: Iterable[Device], now: MonoNs, overheard: Overheard) -> None:
        self._overheard = overheard
        together: dict[Breaker, list[Device]] = {}
        for device in devices:
            together.setdefault(device.breaker, []).append(device)
        self._units = [Unit(breaker, tuple(mates), now) for breaker, mates in together.items()]
        self._unit_of = {device.index: unit for unit in self._units for device in unit.devices}
        self._away: frozenset[int] = frozenset()

    def mates(self, device: Device) -> tuple[Device, ...]:
        """The devices of its unit id, itself among them: what one is, all are."""
        unit = self._unit_of.get(device.index)
        return (device,) if unit is None else unit.devices

    def away(self) -> frozenset[int]:
        """Devices that are only probed: when their points are due, the line stays idle."""
        return self._away

    def noted(self, device: Device, now: MonoNs) -> None:
        """An outcome of this device was noted by its breaker."""
        for mate in self.mates(device):
            mate.manners.timeout.probing = device.breaker.is_open
            mate.manners.timeout.whole = False
            mate.manners.slow = False
        unit = self._unit_of.get(device.index)
        if unit is None:
            return
        if unit.breaker.is_open != (device.index in self._away):
            away = (unit for unit in self._units if unit.breaker.is_open)
            self._away = frozenset(device.index for unit in away for device in unit.devices)
        unit.late_before = self._late(unit)
        if not unit.breaker.is_open:
            unit.whole_at = now

    def take(self, now: MonoNs, free_until: MonoNs, pool: Pool) -> list[Job]:
        """The probes to make now. Nothing else is planned before `free_until`."""
        jobs = []
        for unit in self._waiting(pool):
            whole = self._length(unit, now, free_until)
            if whole is None:
                continue
            device = unit.devices[0]
            device.manners.timeout.whole = whole
            device.manners.slow = self._is_late(unit)
            if whole:
                unit.whole_at = now
            jobs.append(Job(device.planner.cheapest(), MonoNs(now + NS), probe=True))
            free_until = now  # The gap is taken.
        return jobs

    def next_at(self, now: MonoNs, free_until: MonoNs, pool: Pool) -> MonoNs | None:
        """When `take` has something to say; None when only time or an outcome can change that."""
        times = []
        for unit in self._waiting(pool):
            at, patience_ns = unit.breaker.probe_at, self._patience_ns(unit)
            if at is None:
                continue
            if self._length(unit, now, free_until) is not None:
                return now
            turns = (at, MonoNs(at + patience_ns // 2), MonoNs(at + patience_ns))
            times += [turn for turn in turns if turn > now][:1]
        return min(times, default=None)

    def _waiting(self, pool: Pool) -> list[Unit]:
        return [
            unit
            for unit in self._units
            if unit.breaker.is_open and not any(pool.has_probe(device.index) for device in unit.devices)
        ]

    def _late(self, unit: Unit) -> int:
        heard = self._overheard.units.get(unit.devices[0].definition.unit_id)
        return heard.late if heard is not None else 0

    def _is_late(self, unit: Unit) -> bool:
        """Whether it answered its last request after all, when nobody waited any more."""
        return self._late(unit) > unit.late_before

    def _patience_ns(self, unit: Unit) -> int:
        patience_ns = unit.breaker.patience_ns
        return max(patience_ns, LATE_PATIENCE_NS) if patience_ns and self._is_late(unit) else patience_ns

    def _length(self, unit: Unit, now: MonoNs, free_until: MonoNs) -> bool | None:
        """Whether the probe is a whole one; None when it is not to be made now."""
        breaker, device = unit.breaker, unit.devices[0]
        at = breaker.probe_at
        if at is None or now < at:
            return None
        room, waited = free_until - now, now - at
        timeout = device.manners.timeout
        if self._is_late(unit):
            whole_ns = device.manners.whole_late_ns + _MARGIN_NS
            return True if whole_ns <= room or waited >= self._patience_ns(unit) else None
        if breaker.wants_whole and _cost_ns(device, timeout.configured_ns) <= room:
            return True
        if waited >= breaker.patience_ns:
            overdue = now - unit.whole_at >= WHOLE_AT_LEAST_NS
            return breaker.wants_whole and (breaker.hastened or overdue)
        # Half the patience is for a gap that holds a whole one, the rest for one that holds a short one.
        content = not breaker.wants_whole or waited >= breaker.patience_ns // 2
        return False if content and _cost_ns(device, timeout.short_ns) <= room else None


def _cost_ns(device: Device, timeout_ns: int) -> int:
    return timeout_ns + device.manners.late_ns(timeout_ns) + _MARGIN_NS
