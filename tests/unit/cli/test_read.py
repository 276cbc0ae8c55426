"""`edge-agent read` on a line in virtual time."""

from __future__ import annotations

from edge_agent.bus.lines.fake import FakePort
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.cli import read
from edge_agent.cli._read_task import Task
from edge_agent.clock import FakeClock
from edge_agent.model import NS, Area, BusDef, Order, PointType, SerialLink


def test_repeated_reads_of_a_silent_device_wait_out_the_longest_late_window(capsys) -> None:
    bus = BusDef(name="b", link=SerialLink(path="fake"), timeout_ns=60 * NS)
    task = Task(
        bus=bus,
        unit_id=1,
        area=Area.HOLDING,
        first=0,
        count=1,
        kind=PointType.U16,
        order=Order.ABCD,
        interval_ns=NS,
    )
    clock = FakeClock()
    port = FakePort(clock, lambda _: [])
    manners = {0: Manners(timeout=AdaptiveTimeout(bus.timeout_ns))}
    line = SerialLine(lambda: port, bus_timing(bus), clock, manners=manners)
    line.open()
    ear = read.Ear(clock.mono_ns(), show=False)
    assert [read._once(task, line, ear, clock, False) for _ in range(3)] == [1, 1, 1]
    assert capsys.readouterr().err.count("nothing heard within 60000 ms") == 3
    assert len(port.sent) == 3
