"""What ports and adapters do to a worker besides failing: full buffers, chunks, a dead neighbour."""

from __future__ import annotations

import array
import fcntl
import os
import termios
import time

import pytest

from edge_agent import kernels
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import PortDown, Values
from edge_agent.bus.ports import port as port_module
from edge_agent.bus.wire.manners import Manners
from edge_agent.bus.wire.slack import fine_timers
from edge_agent.clock import SystemClock
from edge_agent.errors import PortError
from edge_agent.model import NS, BusDef, MonoNs, SerialLink
from edge_agent.simulator import SimulatedLine
from tests.contract.bus_slaves import PtySlave
from tests.crash.test_port_errors import Seen
from tests.unit.bus.helpers import request
from tests.unit.simulator.factory import device, point

_ASYNC_LOW_LATENCY = 0x2000
_FLAGS = 4
"""Place of `flags` in struct serial_struct, in ints."""


def test_a_port_whose_buffer_stays_full_is_given_up_in_bounded_time():
    """Nobody reads the other end, as with flow control that never lets go."""
    master, slave = os.openpty()
    opened = port_module.open_port(SerialLink(path=os.ttyname(slave)), SystemClock())
    # What was written goes on by and by to the end that nobody reads, and leaves room again.
    blocked = 0
    while blocked < 5:
        try:
            os.write(opened._fd, bytes(8))
            blocked = 0
        except BlockingIOError:
            blocked += 1
            time.sleep(0.1)
    with pytest.raises(PortError) as error:
        opened.write(b"12345678")
    assert error.value.reason == "io"
    assert "flow control" in error.value.hint
    opened.close()
    os.close(master)
    os.close(slave)


def test_a_dead_port_leaves_the_other_bus_alone(tmp_path):
    dead, alive = PtySlave(link=tmp_path / "tty"), PtySlave()
    one, other = Seen(dead.path), Seen(alive.path)
    try:
        one.good()
        other.good()
        dead.unplug()
        one.down()
        before = len(other.blocks)
        for _ in range(20):
            other.good()
        assert {type(block.outcome) for block in other.blocks[before:]} == {Values}
        assert isinstance(one.blocks[-1].outcome, PortDown)
    finally:
        one.close()
        other.close()
        alive.close()


@pytest.mark.parametrize("baud", [9600, 115200])
@pytest.mark.parametrize("loop", ["compiled", "python"])
def test_a_reply_in_sixteen_millisecond_chunks_is_joined(baud, loop):
    """An FTDI adapter at its default timer; its phase has nothing to do with the reply."""
    fine_timers()
    points = [(point(f"p{at}", address=at), float(at)) for at in range(100)]
    with SimulatedLine([device(*points)], baud=baud, chunks="usb") as simulated:
        clock = SystemClock()
        bus = BusDef(name="b", link=SerialLink(path=simulated.path, baud=baud))
        talk = kernels.load("native").talk if loop == "compiled" else None
        line = make_line(bus, {0: Manners()}, clock, talk=talk)
        line.open()
        asked = [request(count, unit=2, address=0) for count in (1, 20, 40, 62, 100)] * 2
        done = line.run(asked, MonoNs(clock.mono_ns() + 60 * NS))
        line.close()
    assert [len(one.outcome.data) for one in done if isinstance(one.outcome, Values)] == [
        2 * one.count for one in asked
    ]


def test_low_latency_is_set_where_the_driver_has_it(monkeypatch):
    said: list[int] = []
    real = fcntl.ioctl

    def driver(fd, code, argument=0, *more):
        if code == termios.TIOCGSERIAL:
            argument[_FLAGS] = 0x10
            return 0
        if code == termios.TIOCSSERIAL:
            assert isinstance(argument, array.array)
            said.append(argument[_FLAGS])
            return 0
        return real(fd, code, argument, *more)

    monkeypatch.setattr(fcntl, "ioctl", driver)
    slave = PtySlave()
    port_module.open_port(SerialLink(path=slave.path), SystemClock()).close()
    slave.close()
    assert said == [0x10 | _ASYNC_LOW_LATENCY]


def test_a_driver_without_low_latency_is_used_as_it_is():
    """A pseudo-terminal says ENOTTY."""
    slave = PtySlave()
    port_module.open_port(SerialLink(path=slave.path), SystemClock()).close()
    slave.close()


def test_a_closed_port_can_be_had_again_by_anybody():
    """Exclusiveness ends with the close, also where the other end of a pseudo-terminal keeps it open."""
    slave = PtySlave()
    port_module.open_port(SerialLink(path=slave.path), SystemClock()).close()
    flag = array.array("i", [-1])
    fcntl.ioctl(slave._slave, 0x80045440, flag)  # TIOCGEXCL
    slave.close()
    assert flag[0] == 0
