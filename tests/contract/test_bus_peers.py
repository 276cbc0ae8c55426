"""Reads from servers that others wrote: every area and every type comes out as what they hold."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.bus.line import Line
from edge_agent.bus.lines.make import make_line
from edge_agent.bus.outcomes import DeviceException, ReadRequest, Values
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.clock import SystemClock
from edge_agent.model import (
    NS,
    Area,
    BusDef,
    DeviceServerLink,
    Framing,
    MonoNs,
    Order,
    PointType,
    SerialLink,
    TcpLink,
    TlsLink,
)
from edge_agent.process.typed import value_of
from tests.contract.bus_slaves import Bridge
from tests.contract.certificates import Authority
from tests.contract.pymodbus_server import BITS, WORDS

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def libmodbus_server(tmp_path_factory) -> Path:
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    subprocess.run(
        ["cc", "-O1", "-o", program, HERE / "libmodbus_server.c", "-lmodbus"], check=True, timeout=60
    )
    return program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _serve(command: list[str], kind: str, authority: Authority | None = None) -> Iterator[Line]:
    bridge = Bridge() if kind in ("rtu", "ascii") else None
    port = _free_port()
    pair = authority.issue("server") if authority else None
    files = [str(pair.cert), str(pair.key)] if pair else []
    where = bridge.theirs if bridge else str(port)
    server = subprocess.Popen([*command, kind, where, *files], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "READY\n"
        link = _link(kind, bridge.ours if bridge else "", port, str(authority.ca) if authority else "")
        line = make_line(
            BusDef(name="b", link=link), {0: Manners(timeout=AdaptiveTimeout(5 * NS))}, SystemClock()
        )
        line.open()
        yield line
        line.close()
    finally:
        server.kill()
        server.communicate()
        if bridge:
            bridge.close()


def _link(kind: str, path: str, port: int, ca: str) -> SerialLink | TcpLink:
    if path:
        return SerialLink(path=path, baud=115200, framing=Framing(kind))
    if kind == "tls":
        return TlsLink(host="127.0.0.1", port=port, ca=ca)
    if kind == "tcp":
        return TcpLink(host="127.0.0.1", port=port)
    return DeviceServerLink(host="127.0.0.1", port=port, framing=Framing(kind.removesuffix("_tcp")))


@pytest.fixture(params=["rtu", "ascii", "tcp", "rtu_tcp", "ascii_tcp", "tls"])
def pymodbus(request, tmp_path) -> Iterator[Line]:
    authority = Authority(tmp_path) if request.param == "tls" else None
    yield from _serve([sys.executable, str(HERE / "pymodbus_server.py")], request.param, authority)


@pytest.fixture(params=["rtu", "tcp"])
def libmodbus(request, libmodbus_server) -> Iterator[Line]:
    yield from _serve([str(libmodbus_server)], request.param)


def _read(line: Line, area: Area, address: int, count: int) -> bytes:
    request = ReadRequest(0, 1, area, address, count, ())
    (done,) = line.run([request], MonoNs(SystemClock().mono_ns() + 60 * NS))
    assert isinstance(done.outcome, Values), done.outcome
    return done.outcome.data


def _check(line: Line) -> None:
    for area in (Area.COIL, Area.DISCRETE):
        for first, count in ((0, 20), (3, 9), (0, 1), (19, 1)):
            data = _read(line, area, first, count)
            bits = [bool(data[n // 8] >> n % 8 & 1) for n in range(count)]
            assert bits == BITS[first : first + count]
    wire = struct.pack(">16H", *WORDS)
    assert _read(line, Area.HOLDING, 0, 16) == wire
    assert _read(line, Area.INPUT, 0, 16) == struct.pack(">16H", *(word + 1 & 0xFFFF for word in WORDS))
    assert _read(line, Area.HOLDING, 5, 1) == wire[10:12]
    for kind, at, value in (
        (PointType.F32, 0, pytest.approx(12.56, rel=1e-6)),
        (PointType.S16, 2, -2),
        (PointType.U16, 3, 0x1234),
        (PointType.U32, 4, 1),
        (PointType.S32, 6, -32768),
        (PointType.F64, 8, pytest.approx(1.2345678901)),
        (PointType.BCD16, 14, 9876),
        (PointType.BCD32, 14, 98765432),
    ):
        assert value_of(_read(line, Area.HOLDING, at, kind.words), kind, Order.ABCD) == value
    assert value_of(_read(line, Area.HOLDING, 12, 2), PointType.STRING, Order.ABCD) == "ABC"
    # And what they refuse is an exception, not silence.
    request = ReadRequest(0, 1, Area.HOLDING, 5000, 2, ())
    (done,) = line.run([request], MonoNs(SystemClock().mono_ns() + 60 * NS))
    assert isinstance(done.outcome, DeviceException)
    assert done.outcome.code == 2


def test_a_pymodbus_server_is_read_right(pymodbus):
    _check(pymodbus)


@pytest.mark.needs("libmodbus-dev")
def test_a_libmodbus_server_is_read_right(libmodbus):
    _check(libmodbus)
