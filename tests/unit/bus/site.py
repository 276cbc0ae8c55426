"""A site with one bus, a worker on it in virtual time, and what it handed on."""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edge_agent.bus.device.device import MannersOf
from edge_agent.bus.lines.fake import FakeLine, FakePort
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.outcomes import Block, BusEvent, Outcome, ReadRequest, Skipped, Values
from edge_agent.bus.ports.port import Port
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import FakeClock
from edge_agent.counters import Counters
from edge_agent.model import BusDef, DeviceDef, MonoNs, Quirks, SerialLink, Site, SpoolDef, UplinkDef
from tests.unit.bus.helpers import point

MS = 1_000_000
S = 1_000_000_000


def device(name: str = "d", unit: int = 1, points: int = 3, poll_ms: int = 1000, **quirks: Any) -> DeviceDef:
    return DeviceDef(
        name=name,
        bus="b",
        unit_id=unit,
        quirks=Quirks(**quirks),
        points=tuple(point(100 + i, device=name, poll_ns=poll_ms * MS) for i in range(points)),
    )


def scattered(name: str, unit: int, points: int, poll_ms: int, **quirks: Any) -> DeviceDef:
    """Points ten addresses apart, each read by itself: requests of one length for different values."""
    whole = device(name, unit, points, poll_ms, max_gap_words=0, **quirks)
    apart = (replace(point, address=100 + 10 * i) for i, point in enumerate(whole.points))
    return replace(whole, points=tuple(apart))


def site(*devices: DeviceDef, **bus: Any) -> Site:
    bus.setdefault("link", SerialLink(path="/dev/fake"))
    return Site(
        site="s",
        agent="a",
        buses=(BusDef(name="b", devices=devices, **bus),),
        alarms=(),
        window_ns=10 * S,
        uplink=UplinkDef(url="mqtt://localhost"),
        spool=SpoolDef(),
    )


def good(request: ReadRequest) -> Outcome:
    size = (request.count + 7) // 8 if request.area.is_bits else 2 * request.count
    return Values(bytes(size), 5 * MS)


class InTurn:
    """A device answers one request after the other: no reply overtakes the one before it."""

    def __init__(self) -> None:
        self._last = 0

    def delay_ns(self, now: int, wanted_ns: int) -> int:
        """From `now` to the reply that would take `wanted_ns` by itself."""
        self._last = max(now + wanted_ns, self._last + 20 * MS)
        return self._last - now


class Rig:
    """A worker with a fake line (`answer`) or a fake port (`respond`), bare or inside another (`wrap`)."""

    def __init__(
        self,
        where: Site,
        answer: Callable[[ReadRequest], Outcome] = good,
        *,
        respond: Any = None,
        cost_ms: float = 10,
        kind: type[SerialLine] = SerialLine,
        wrap: Callable[[Port], Port] = lambda port: port,
    ) -> None:
        self.clock = FakeClock()
        self.start = self.clock.mono_ns()
        self.events: list[BusEvent] = []
        self.counters = Counters()
        self.site = where
        line: Any = FakeLine(self.clock, answer, {}, int(cost_ms * MS))
        if respond is not None:
            timing = bus_timing(where.buses[0])
            self.port = FakePort(self.clock, respond, timing.char_ns)
            line = kind(lambda: wrap(self.port), timing, self.clock, manners={})
        self.worker = BusWorker(where, 0, 7, self.events.append, self.clock, self.counters, line=line)
        line.manners = MannersOf(self.worker._devices)
        self.line = line

    def run(self, seconds: float) -> None:
        until = self.clock.mono_ns() + int(seconds * S)
        turns = 0
        while self.clock.mono_ns() < until:
            wake = self.worker.turn()
            self.clock.sleep_until(MonoNs(min(wake, until)))
            turns += 1
            assert turns < 1000 * max(1, seconds), "the worker spins"

    @property
    def blocks(self) -> list[Block]:
        return [event for event in self.events if isinstance(event, Block)]

    @property
    def skipped(self) -> Multiset[int]:
        return Multiset(p for event in self.events if isinstance(event, Skipped) for p in event.points)

    def polls(self, point_index: int) -> list[Block]:
        return [block for block in self.blocks if point_index in block.request.points]

    def count(self, name: str) -> int:
        return sum(value for key, value in self.counters.snapshot().items() if key.split("{")[0] == name)
