"""A real worker on a serial line in virtual time whose devices answer with mutated replies only.

Everything between the bytes and the outcomes is the agent's own and lives on from case to case, as in the
field: silences, late windows, debts, breakers, adapted timeouts. Each request is one case. What comes out
is held against what went in, by a CRC that is not the agent's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from edge_agent.bus.line import Done
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.lines.talker import Talker
from edge_agent.bus.outcomes import BusEvent, DeviceException, PortDown, ReadRequest, Values
from edge_agent.bus.wire.timing import Timing, bus_timing
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import FakeClock
from edge_agent.counters import Counters
from edge_agent.kernels.talk import talk
from edge_agent.model import (
    NS,
    Area,
    BusDef,
    DeviceDef,
    MonoNs,
    PointDef,
    PointType,
    SerialLink,
    Site,
    SpoolDef,
    UplinkDef,
)
from edge_agent.simulator.wire import ReadPdu, is_rtu_frame, parse_pdu, rtu_frame
from tests.contract.mutations import Case, Mutation, mutate
from tests.unit.bus.virtual_talk import TalkingPort, VirtualSystem

MS = 1_000_000
TIMEOUT_NS = 200 * MS
_REMEMBERED = 200
"""Replies whose data is still known, so that a stale one is told from a collision."""


class Tally:
    """What was seen in all cases."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.expected = 0.0
        """Damaged frames that the CRC must let pass, by the odds of each case."""
        self.collisions = 0
        self.false_exceptions = 0

    def __str__(self) -> str:
        return (
            f"{self.kinds.total()} cases {dict(self.kinds)}; came to {dict(self.outcomes)}; accepted though "
            f"damaged: {self.collisions} of {self.expected:.2f} predicted; {self.false_exceptions} exceptions"
        )


class HeardPort(TalkingPort):
    """Remembers what the agent heard since its last request, by whichever loop."""

    heard = b""

    def write(self, data: bytes) -> None:
        self.heard = b""
        super().write(data)

    def read(self, quiet_until: MonoNs, until: MonoNs) -> bytes:
        data = super().read(quiet_until, until)
        self.heard += data
        return data

    def take(self, length: int) -> bytes:
        data = super().take(length)
        self.heard += data
        return data


class MutatedBus:
    """Make it, `run` it for a number of cases, look at `tally`. AssertionError at the first wrong thing.

    `compiled`: the requests are made by the compiled loop's own body, its system calls put in the fake's
    place for one test.
    """

    def __init__(self, seed: int, flips: float, compiled: pytest.MonkeyPatch | None = None) -> None:
        self._dice = Random(seed)
        self._flips = flips
        self.tally = Tally()
        self.cases = 0
        self._served: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._case: Case | None = None
        self._mutation = Mutation("none", ())
        self._clean = False
        self._busy_until: dict[int, int] = {}
        site = _site()
        self._clock = FakeClock()
        self._timing = bus_timing(site.buses[0])
        self._port = HeardPort(self._clock, self._respond, self._timing.char_ns)
        if compiled:
            VirtualSystem(compiled, self._clock).port = self._port
        line = _WatchedLine(self, Talker(talk, self._timing) if compiled else None)
        self._worker = BusWorker(site, 0, 1, self._take, self._clock, Counters(), line=line)
        line.manners = {device.index: device.manners for device in self._worker._devices.values()}

    def run(self, cases: int) -> None:
        idle = 0
        while self.cases < cases:
            before, at = self.cases, self._clock.mono_ns()
            self._clock.sleep_until(self._worker.turn())
            idle = 0 if self.cases > before or self._clock.mono_ns() > at else idle + 1
            assert idle < 10, "the worker spins"

    # --- the devices ----------------------------------------------------------------------------

    def _respond(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        assert is_rtu_frame(request), f"a request that is none: {request.hex()}"
        asked = parse_pdu(request[1:-2])
        assert isinstance(asked, ReadPdu), f"exception {asked} to {request.hex()}"
        size = (asked.count + 7) // 8 if asked.area.is_bits else 2 * asked.count
        data, delay = self._dice.randbytes(size), self._dice.randrange(2 * MS, 20 * MS)
        timing = self._timing
        case = Case(request, data, delay, timing.char_ns, timing.chunk_gap_ns, TIMEOUT_NS)
        mutation = mutate(self._dice, case, self._flips)
        end = self._clock.mono_ns() + len(request) * timing.char_ns
        busy_ns = self._busy_until.get(case.unit, 0) - end
        if busy_ns > 0:
            # One processor, one job: it does not hear this one, or answers it after the one before.
            queued = self._dice.random() < 0.5
            mutation = Mutation("queued", ((0, case.frame),)) if queued else Mutation("unheard", ())
            delay = busy_ns
        self._case, self._mutation = case, mutation
        self._clean = busy_ns <= 0 and not self._port._coming
        self._served.append(case.data)
        self.cases += 1
        self.tally.kinds[mutation.kind] += 1
        for pause, data in mutation.pieces:
            delay += pause + len(data) * timing.char_ns
            yield delay, data
        if mutation.pieces:
            self._busy_until[case.unit] = end + delay

    # --- the judge ------------------------------------------------------------------------------

    def judge(self, request: ReadRequest, done: Done, bound_ns: int) -> None:
        """One request that was made, at once after it was concluded."""
        case, mutation, outcome = self._case, self._mutation, done.outcome
        assert case is not None
        sent_at, _ = self._port.sent[-1]
        self.tally.outcomes[type(outcome).__name__] += 1
        self.tally.expected += mutation.passes
        assert not isinstance(outcome, PortDown), self._where(done)
        waited_ns = done.mono_ns - sent_at
        assert waited_ns <= bound_ns, f"waited {waited_ns / MS} ms for {self._where(done)}"
        if isinstance(outcome, Values):
            self._judge_values(case, outcome.data, done)
        elif isinstance(outcome, DeviceException):
            refusal = rtu_frame(case.unit, bytes((case.function | 0x80, outcome.code)))
            assert refusal in self._port.heard, self._where(done)
            self.tally.false_exceptions += refusal not in b"".join(data for _, data in mutation.pieces)
        if mutation.whole and self._clean:
            assert isinstance(outcome, Values), f"not found: {self._where(done)}"

    def _judge_values(self, case: Case, data: bytes, done: Done) -> None:
        frame = rtu_frame(case.unit, case.header[1:] + data)
        assert len(data) == len(case.data), self._where(done)
        assert frame in self._port.heard, f"nobody said this: {self._where(done)}"
        if data == case.data:
            return
        assert data not in self._served, f"an old reply was taken for a new one: {self._where(done)}"
        self.tally.collisions += 1

    def _where(self, done: Done) -> str:
        assert self._case is not None
        frame, heard = self._case.frame.hex(), self._port.heard.hex()
        return f"{self._mutation.kind} {frame} heard as {heard}: {done.outcome}"

    def _take(self, event: BusEvent) -> None:
        pass


class _WatchedLine(SerialLine):
    """The agent's own line, looked at from both sides of each call."""

    def __init__(self, bus: MutatedBus, talker: Talker | None) -> None:
        self._watching = bus
        super().__init__(lambda: bus._port, bus._timing, bus._clock, manners={}, talker=talker)

    def run(
        self, plan: Sequence[ReadRequest], deadline: MonoNs, patience_ns: int | None = None
    ) -> list[Done]:
        found: list[Done] = []
        for request in plan:
            # One by one, so that each is judged before the next one is sent.
            sent = len(self._watching._port.sent)
            timeout_ns = self.manners[request.device].timeout.timeout_ns
            done = super().run([request], deadline)
            found += done
            if not done:
                break
            if len(self._watching._port.sent) > sent:
                bound_ns = _longest_ns(self._watching._timing, request, timeout_ns)
                self._watching.judge(request, done[0], bound_ns)
        return found


def _longest_ns(timing: Timing, request: ReadRequest, timeout_ns: int) -> int:
    """Request, timeout, reply on the wire, and the tolerated gap."""
    size = (request.count + 7) // 8 if request.area.is_bits else 2 * request.count
    return timing.wire_ns(8) + timeout_ns + timing.wire_ns(5 + size) + timing.chunk_gap_ns


def _site() -> Site:
    devices = (
        _device("short", 1, Area.HOLDING, [(100, 2)]),
        _device("long", 2, Area.HOLDING, [(0, 2), (2, 2), (4, 4), (8, 2), (200, 4), (204, 2)]),
        _device("input", 17, Area.INPUT, [(10, 4), (14, 4), (18, 4)]),
        # Addresses 0x03xx of coils: the request is shaped like a reply.
        _device("coils", 247, Area.COIL, [(0x0300 + n, 1) for n in range(24)]),
    )
    bus = BusDef(
        name="b",
        link=SerialLink(path="none", baud=19200),
        devices=devices,
        timeout_ns=TIMEOUT_NS,
        max_load=1.0,
    )
    return Site(
        site="s", agent="a", buses=(bus,), alarms=(), window_ns=10 * NS,
        uplink=UplinkDef(url="mqtt://localhost"), spool=SpoolDef(),
    )  # fmt: skip


def _device(name: str, unit: int, area: Area, places: list[tuple[int, int]]) -> DeviceDef:
    types = {1: PointType.BOOL if area.is_bits else PointType.U16, 2: PointType.F32, 4: PointType.F64}
    points = tuple(
        PointDef(device=name, name=f"p{at}", area=area, address=at, type=types[words], poll_ns=0)
        for at, words in places
    )
    return DeviceDef(name=name, bus="b", unit_id=unit, points=points)
