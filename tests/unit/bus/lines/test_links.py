"""Every kind of link makes its line, is named rightly, and costs nothing where it is not used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge_agent.bus.lines.make import make_line
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.lines.stream import StreamLine
from edge_agent.bus.lines.tcp import TcpLine
from edge_agent.bus.report import describe_link, describe_port
from edge_agent.clock import FakeClock
from edge_agent.model import BusDef, DeviceServerLink, Framing, Parity, SerialLink, TcpLink, TlsLink

SEVEN = SerialLink(path="/dev/s", data_bits=7, parity=Parity.EVEN, framing=Framing.ASCII)


@pytest.mark.parametrize(
    ("link", "kind", "long", "short"),
    [
        (SerialLink(path="/dev/s"), SerialLine, "/dev/s 19200 8N1", "/dev/s"),
        (SEVEN, SerialLine, "/dev/s 19200 7E1 ascii", "/dev/s (ascii)"),
        (TcpLink(host="h"), TcpLine, "tcp h:502", "h:502"),
        (DeviceServerLink(host="h"), StreamLine, "rtu over tcp h:502", "rtu over tcp h:502"),
        (
            DeviceServerLink(host="h", port=4001, framing=Framing.ASCII, baud=9600),
            StreamLine,
            "ascii over tcp h:4001 9600",
            "ascii over tcp h:4001 9600",
        ),
        (TlsLink(host="h", ca="/ca"), TcpLine, "tls h:802", "tls h:802"),
    ],
)
def test_every_link_makes_its_line_and_is_named(link, kind, long, short):
    bus = BusDef(name="b", link=link)
    assert type(make_line(bus, {}, FakeClock())) is kind
    assert (describe_link(bus), describe_port(bus)) == (long, short)


_SCRIPT = """
import sys
from edge_agent.bus.lines.make import make_line
from edge_agent.clock import SystemClock
from edge_agent.model import *
def line(link):
    make_line(BusDef(name="b", link=link), {}, SystemClock())
line(SerialLink(path="x", framing=Framing.ASCII))
line(TcpLink(host="h"))
line(DeviceServerLink(host="h"))
print("ssl" in sys.modules)
line(TlsLink(host="h", ca="/ca"))
print("ssl" in sys.modules, "pymodbus" in sys.modules, "asyncio" in sys.modules)
"""


def test_no_bus_loads_pymodbus_and_only_one_in_tls_loads_ssl():
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["False", "True", "False", "False"]
