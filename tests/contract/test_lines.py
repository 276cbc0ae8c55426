"""What every line must do, on the fakes, a pseudo-terminal and a TCP socket alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from edge_agent import kernels
from edge_agent.bus.fake import FakeLine, FakePort
from edge_agent.bus.line import Line
from edge_agent.bus.manners import AdaptiveTimeout, Manners
from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    DeviceException,
    NoReply,
    Outcome,
    PortDown,
    ReadRequest,
    Values,
)
from edge_agent.bus.port import open_port
from edge_agent.bus.serial_line import SerialLine
from edge_agent.bus.talker import Talk, Talker
from edge_agent.bus.tcp import TcpLine
from edge_agent.bus.timing import rtu_timing
from edge_agent.clock import Clock, FakeClock, SystemClock
from edge_agent.errors import PortError
from edge_agent.model import NS, Area, MonoNs, SerialLink, TcpLink
from tests.contract import bus_slaves
from tests.contract.bus_slaves import REFUSING, SILENT, WRONG_UNIT, PtySlave, TcpSlave, data_for

MS = 1_000_000


def ask(unit: int, count: int = 4, address: int = 50, area: Area = Area.HOLDING) -> ReadRequest:
    return ReadRequest(0, unit, area, address, count, (0,))


@dataclass
class Rig:
    line: Line
    clock: Clock
    unplug: Callable[[], None]
    plug: Callable[[], None]

    def run(self, *plan: ReadRequest, within_ns: int = 60 * NS) -> list[Outcome]:
        done = self.line.run(plan, MonoNs(self.clock.mono_ns() + within_ns))
        assert all(a.mono_ns <= b.mono_ns for a, b in pairwise(done))
        return [one.outcome for one in done]


def _manners() -> dict[int, Manners]:
    return {0: Manners(timeout=AdaptiveTimeout(150 * MS))}


@pytest.fixture(params=["fake_line", "fake_port", "pty", "compiled_pty", "tcp"])
def rig(request, tmp_path) -> Iterator[Rig]:
    maker: Any = globals()[f"_{request.param}"]
    yield from maker(tmp_path)


def _fake_line(_) -> Iterator[Rig]:
    clock = FakeClock()

    def answer(request: ReadRequest) -> Outcome:
        match request.unit_id:
            case bus_slaves.SILENT:
                return NoReply()
            case bus_slaves.REFUSING:
                return DeviceException(2, MS)
            case bus_slaves.WRONG_UNIT:
                return BadFrame(BadCause.WRONG_UNIT, 13)
        return Values(data_for(request.area.function, request.address, request.count), MS)

    line = FakeLine(clock, answer, _manners())
    gone = PortError("fake: gone", reason="lost", hint="plug it in")
    yield Rig(line, clock, lambda: setattr(line, "broken", gone), lambda: setattr(line, "broken", None))


def _fake_port(_) -> Iterator[Rig]:
    clock = FakeClock()
    timing = rtu_timing(SerialLink(path="x"))
    plugged = [True]
    gone = PortError("fake: gone", reason="lost", hint="plug it in")

    def respond(request: bytes):
        return [(5 * MS, bus_slaves.rtu_reply(request))] if plugged[0] else [(0, gone)]

    def open_fake() -> FakePort:
        if not plugged[0]:
            raise gone
        return FakePort(clock, respond, timing.char_ns)

    line = SerialLine(open_fake, timing, clock, manners=_manners())
    yield Rig(line, clock, lambda: plugged.__setitem__(0, False), lambda: plugged.__setitem__(0, True))


def _compiled_pty(tmp_path) -> Iterator[Rig]:
    yield from _pty(tmp_path, kernels.load("native").talk)


def _pty(tmp_path, talk: Talk | None = None) -> Iterator[Rig]:
    clock = SystemClock()
    path = tmp_path / "by-id"
    slaves: list[PtySlave] = []

    def plug() -> None:
        slaves.append(PtySlave())
        path.unlink(missing_ok=True)
        path.symlink_to(slaves[-1].path)

    def unplug() -> None:
        slaves[-1].unplug()
        path.unlink()

    plug()
    link = SerialLink(path=str(path), baud=115200)
    timing = rtu_timing(link)
    talker = Talker(talk, timing) if talk else None
    line = SerialLine(lambda: open_port(link, clock), timing, clock, manners=_manners(), talker=talker)
    yield Rig(line, clock, unplug, plug)
    line.close()
    slaves[-1].close()


def _tcp(_) -> Iterator[Rig]:
    clock = SystemClock()
    slaves = [TcpSlave()]
    port = slaves[0].port
    line = TcpLine(TcpLink(host="127.0.0.1", port=port), clock, manners=_manners())
    yield Rig(line, clock, lambda: slaves[-1].close(), lambda: slaves.append(TcpSlave(port=port)))
    line.close()
    slaves[-1].close()


def test_each_request_has_its_outcome_in_order(rig):
    rig.line.open()
    good, refused, silent, foreign, bits = rig.run(
        ask(1), ask(REFUSING), ask(SILENT), ask(WRONG_UNIT), ask(1, 20, area=Area.COIL)
    )
    assert isinstance(good, Values)
    assert good.data == data_for(3, 50, 4)
    assert isinstance(refused, DeviceException)
    assert refused.code == 2
    assert silent == NoReply()
    assert isinstance(foreign, BadFrame)
    assert foreign.cause is BadCause.WRONG_UNIT
    assert isinstance(bits, Values)
    assert bits.data == data_for(1, 50, 20)


@pytest.mark.parametrize("area", Area)
def test_the_longest_read_of_every_area_comes_whole(rig, area):
    rig.line.open()
    (outcome,) = rig.run(ask(1, area.max_count, 1000, area))
    assert isinstance(outcome, Values)
    assert outcome.data == data_for(area.function, 1000, area.max_count)


def test_nothing_is_begun_after_the_deadline(rig):
    rig.line.open()
    assert rig.run(ask(1), ask(1), within_ns=0) == []


def test_a_closed_line_is_port_down_for_every_request(rig):
    assert [type(outcome) for outcome in rig.run(ask(1), ask(1))] == [PortDown, PortDown]


def test_opening_an_open_line_does_nothing(rig):
    rig.line.open()
    rig.line.open()
    assert rig.line.counts.opened == 1


def test_a_port_that_goes_is_port_down_and_comes_back(rig):
    rig.line.open()
    assert isinstance(rig.run(ask(1))[0], Values)
    rig.unplug()
    outcomes = rig.run(ask(1), ask(1), ask(1))
    assert [type(outcome) for outcome in outcomes] == [PortDown] * 3
    assert not rig.line.is_open
    assert rig.line.fault is not None
    with pytest.raises(PortError) as error:
        rig.line.open()
    assert error.value.hint
    assert rig.line.fault is error.value
    rig.plug()
    rig.line.open()
    assert rig.line.fault is None
    assert isinstance(rig.run(ask(1))[0], Values)


# --- the serial line alone ------------------------------------------------------------------------


def test_a_half_reply_is_a_short_frame():
    for made in _fake_port(None):
        made.line.open()
        (outcome,) = made.run(ask(bus_slaves.BREAKS_OFF))
        assert isinstance(outcome, BadFrame)
        assert outcome.cause is BadCause.SHORT


# --- TCP alone --------------------------------------------------------------------------------------


@pytest.fixture
def tcp_slave() -> Iterator[TcpSlave]:
    slave = TcpSlave()
    yield slave
    slave.close()


@pytest.fixture
def tcp_line(tcp_slave) -> Iterator[TcpLine]:
    line = TcpLine(TcpLink(host="127.0.0.1", port=tcp_slave.port), SystemClock(), manners=_manners())
    line.open()
    yield line
    line.close()


def _later() -> MonoNs:
    return MonoNs(SystemClock().mono_ns() + 60 * NS)


def test_a_late_tcp_reply_is_discarded_by_its_transaction_id(tcp_slave, tcp_line):
    held: list[bytes] = []

    def late(request: bytes) -> bytes:
        if not held:
            held.append(bus_slaves.tcp_reply(request))
            return b""
        return held[0] + bus_slaves.tcp_reply(request)

    tcp_slave.reply = late
    first, second = tcp_line.run([ask(1, address=50), ask(1, address=900)], _later())
    assert first.outcome == NoReply()
    assert isinstance(second.outcome, Values)
    assert second.outcome.data == data_for(3, 900, 4)
    assert tcp_line.counts.late_replies == 1


def test_a_connection_closed_while_idle_is_opened_again_unnoticed(tcp_slave, tcp_line):
    assert isinstance(tcp_line.run([ask(1)], _later())[0].outcome, Values)
    for _ in range(3):
        tcp_slave.hang_up()
        assert isinstance(tcp_line.run([ask(1)], _later())[0].outcome, Values)


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(300), b"\xff" * 12])
def test_bytes_that_are_no_modbus_tcp_are_a_bad_frame_and_the_next_read_is_good(tcp_slave, tcp_line, junk):
    answers = [junk]
    tcp_slave.reply = lambda request: answers.pop() if answers else bus_slaves.tcp_reply(request)
    first, second = tcp_line.run([ask(1), ask(1)], _later())
    assert isinstance(first.outcome, BadFrame)
    assert isinstance(second.outcome, Values)


def test_a_refused_connection_says_so():
    slave = TcpSlave()
    slave.close()
    line = TcpLine(TcpLink(host="127.0.0.1", port=slave.port), SystemClock(), manners={})
    with pytest.raises(PortError) as error:
        line.open()
    assert error.value.reason == "refused"


def test_a_stop_ends_a_long_timeout_at_once(tcp_slave, tcp_line):
    stop = threading.Event()
    line = TcpLine(
        TcpLink(host="127.0.0.1", port=tcp_slave.port),
        SystemClock(),
        manners={0: Manners(timeout=AdaptiveTimeout(10 * NS))},
        stopped=stop.is_set,
    )
    tcp_line.close()
    line.open()
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    # Waiting the ten seconds out would have brought an outcome.
    assert line.run([ask(SILENT), ask(1)], _later()) == []
    line.close()
    timer.join()
