"""One rig per transport: a line, its slave, and a hand to unplug it. `test_lines` runs on all."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_agent import kernels
from edge_agent.bus.line import Line
from edge_agent.bus.lines.fake import FakeLine, FakePort
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.lines.talker import Talk
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    ReadRequest,
    Values,
)
from edge_agent.bus.ports.ascii_port import AsciiPort, Characters
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import ascii_timing, rtu_timing
from edge_agent.clock import Clock, FakeClock, SystemClock
from edge_agent.errors import PortError
from edge_agent.model import (
    NS,
    Area,
    BusDef,
    DeviceServerLink,
    MonoNs,
    SerialLink,
    TcpLink,
    TlsLink,
)
from edge_agent.model import Framing as Framed
from tests.contract import framings
from tests.contract.bus_slaves import PtySlave, Slave, TcpSlave
from tests.contract.certificates import Authority, Pair
from tests.contract.framings import ASCII, MBAP, RTU, Framing, data_for

MS = 1_000_000
TIMEOUT_NS = 150 * MS


def ask(unit: int, count: int = 4, address: int = 50, area: Area = Area.HOLDING) -> ReadRequest:
    return ReadRequest(0, unit, area, address, count, (0,))


def manners() -> dict[int, Manners]:
    return {0: Manners(timeout=AdaptiveTimeout(TIMEOUT_NS))}


@dataclass
class Rig:
    line: Line
    clock: Clock
    unplug: Callable[[], None]
    plug: Callable[[], None]
    slaves: list[Any] = field(default_factory=list)
    """The last one is there now. Empty: nothing goes over a wire."""

    @property
    def slave(self) -> Any:
        return self.slaves[-1]

    def run(self, *plan: ReadRequest, within_ns: int = 60 * NS) -> list[Outcome]:
        done = self.line.run(plan, MonoNs(self.clock.mono_ns() + within_ns))
        assert all(a.mono_ns <= b.mono_ns for a, b in pairwise(done))
        return [one.outcome for one in done]

    def read(self, request: ReadRequest) -> bytes:
        """The data of one good read."""
        (outcome,) = self.run(request)
        assert isinstance(outcome, Values), outcome
        return outcome.data


class Plant:
    """What the makers of rigs share: a directory, and certificates where they are asked for."""

    def __init__(self, directory: Path, authority: Callable[[], Authority]) -> None:
        self.directory = directory
        self._authority = authority

    @property
    def authority(self) -> Authority:
        return self._authority()


# --- in virtual time ------------------------------------------------------------------------------


def fake_line(_: Plant) -> Iterator[Rig]:
    clock = FakeClock()

    def answer(request: ReadRequest) -> Outcome:
        match request.unit_id:
            case framings.SILENT:
                return NoReply()
            case framings.REFUSING:
                return DeviceException(2, MS)
            case framings.WRONG_UNIT:
                return BadFrame(BadCause.WRONG_UNIT, 13)
        return Values(data_for(request.area.function, request.address, request.count), MS)

    line = FakeLine(clock, answer, manners())
    gone = PortError("fake: gone", reason="lost", hint="plug it in")
    yield Rig(line, clock, lambda: setattr(line, "broken", gone), lambda: setattr(line, "broken", None))


class FakeSlave(Slave):
    """Behind a `FakePort`."""

    def __init__(self, clock: FakeClock, framing: Framing) -> None:
        super().__init__(None, framing)
        self._clock = clock
        self.is_plugged = True
        self.port: FakePort | None = None
        self._coming: list[tuple[int, bytes | PortError]] = []
        self.gone = PortError("fake: gone", reason="lost", hint="plug it in")

    def open(self) -> FakePort:
        if not self.is_plugged:
            raise self.gone
        self.port = FakePort(self._clock, self._respond, 100_000)
        return self.port

    def _respond(self, request: bytes) -> list[tuple[int, bytes | PortError]]:
        if not self.is_plugged:
            return [(0, self.gone)]
        self._coming = []
        self.hear(request)
        coming, self._coming = self._coming, []
        return coming

    def say(self, data: bytes) -> None:
        self._coming.append((5 * MS + len(self._coming) * MS, data))

    def release(self) -> None:
        assert self.port is not None
        super().release()
        self.port.babble(self._coming)


def fake_port(_: Plant) -> Iterator[Rig]:
    clock = FakeClock()
    slave = FakeSlave(clock, RTU)
    line = SerialLine(slave.open, rtu_timing(SerialLink(path="x")), clock, manners=manners())
    yield _fake_rig(line, clock, slave)


def fake_ascii(_: Plant) -> Iterator[Rig]:
    clock = FakeClock()
    slave, characters = FakeSlave(clock, ASCII), Characters()
    timing = ascii_timing(rtu_timing(SerialLink(path="x")))
    line = SerialLine(lambda: AsciiPort(slave.open(), characters), timing, clock, manners=manners())
    yield _fake_rig(line, clock, slave)


def _fake_rig(line: Line, clock: Clock, slave: FakeSlave) -> Rig:
    return Rig(
        line,
        clock,
        lambda: setattr(slave, "is_plugged", False),
        lambda: setattr(slave, "is_plugged", True),
        [slave],
    )


# --- on a pseudo-terminal ---------------------------------------------------------------------------


def pty(plant: Plant) -> Iterator[Rig]:
    yield from _pty(plant, RTU, baud=115200)


def compiled_pty(plant: Plant) -> Iterator[Rig]:
    yield from _pty(plant, RTU, kernels.load("native").talk, baud=115200)


def ascii_pty(plant: Plant) -> Iterator[Rig]:
    yield from _pty(plant, ASCII, baud=115200, framing=Framed.ASCII, data_bits=7)


def _pty(plant: Plant, wire: Framing, talk: Talk | None = None, **link: Any) -> Iterator[Rig]:
    path = plant.directory / "by-id"
    slaves: list[PtySlave] = []

    def plug() -> None:
        slaves.append(PtySlave(framing=wire))
        path.unlink(missing_ok=True)
        path.symlink_to(slaves[-1].path)

    def unplug() -> None:
        slaves[-1].unplug()
        path.unlink()

    plug()
    clock = SystemClock()
    bus = BusDef(name="b", link=SerialLink(path=str(path), **link))
    line = make_line(bus, manners(), clock, talk=talk)
    yield Rig(line, clock, unplug, plug, slaves)
    line.close()
    slaves[-1].close()


# --- over TCP ---------------------------------------------------------------------------------------


def tcp(_: Plant) -> Iterator[Rig]:
    yield from _socket(lambda port: TcpLink(host="127.0.0.1", port=port), MBAP)


def rtu_tcp(_: Plant) -> Iterator[Rig]:
    yield from _socket(lambda port: DeviceServerLink(host="127.0.0.1", port=port, baud=115200), RTU)


def ascii_tcp(_: Plant) -> Iterator[Rig]:
    """Nothing is said of the line behind the server."""
    yield from _socket(
        lambda port: DeviceServerLink(host="127.0.0.1", port=port, framing=Framed.ASCII), ASCII
    )


def tls(plant: Plant) -> Iterator[Rig]:
    """The device asks for the agent's certificate, as the specification has it."""
    authority = plant.authority
    device, agent = authority.issue("device"), authority.issue("agent")
    files = {"ca": str(authority.ca), "cert": str(agent.cert), "key": str(agent.key)}
    context = server_context(device, authority)
    yield from _socket(lambda port: TlsLink(host="127.0.0.1", port=port, **files), MBAP, context)


def server_context(pair: Pair, client_authority: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if client_authority is not None:
        context.load_verify_locations(client_authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _socket(
    link: Callable[[int], TcpLink], framing: Framing, context: ssl.SSLContext | None = None
) -> Iterator[Rig]:
    slaves: list[TcpSlave] = []

    def plug() -> None:
        port = slaves[-1].port if slaves else 0
        slaves.append(TcpSlave(port=port, framing=framing, tls=context))

    plug()
    clock = SystemClock()
    line = make_line(BusDef(name="b", link=link(slaves[-1].port)), manners(), clock)
    yield Rig(line, clock, lambda: slaves[-1].close(), plug, slaves)
    line.close()
    slaves[-1].close()


IN_VIRTUAL_TIME = (fake_port, fake_ascii)
SERIAL = (pty, compiled_pty, ascii_pty)
CONNECTED = (tcp, rtu_tcp, ascii_tcp, tls)
WIRED = (*IN_VIRTUAL_TIME, *SERIAL, *CONNECTED)
"""Bytes go over something."""
ALL = (fake_line, *WIRED)
