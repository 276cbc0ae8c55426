"""Independent masters on the real pseudo-terminal and the real socket read what the simulator says."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import minimalmodbus
import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from edge_agent.model import Area, PointType
from edge_agent.simulator import SimulatedLine, SimulatedTcp
from edge_agent.simulator.log import Answer, samples
from edge_agent.simulator.pace import Chunks
from edge_agent.simulator.signals import Counter, Text
from tests.unit.simulator.factory import device, point

PRESSURE = point("pressure", type=PointType.F32)
READS = point("reads", address=102, type=PointType.U32)
LEVEL = point("level", area=Area.INPUT, address=5, type=PointType.S16, scale=0.1)
NAME = point("name", address=110, type=PointType.STRING, length_words=4)
GUARD = point("guard", area=Area.COIL, address=3, type=PointType.BOOL)
DOOR = point("door", area=Area.DISCRETE, address=9, type=PointType.BOOL)

PRESS = device(
    (PRESSURE, 5.5), (READS, Counter()), (LEVEL, -12.3), (NAME, Text("PRESS 2")), (GUARD, 1.0), (DOOR, 0.0)
)
OTHER = device((point("value"), 77.0), name="other", unit_id=9)


@pytest.fixture(params=list(Chunks))
def line(request: pytest.FixtureRequest) -> Iterator[SimulatedLine]:
    with SimulatedLine([PRESS, OTHER], baud=115200, chunks=request.param) as line:
        yield line


def test_minimalmodbus_reads_every_area_and_two_units(line: SimulatedLine):
    press = minimalmodbus.Instrument(line.path, 2)
    press.serial.baudrate = 115200
    press.serial.timeout = 0.5  # it waits that long for the rest of a short exception
    other = minimalmodbus.Instrument(line.path, 9)
    try:
        assert press.read_float(100) == 5.5
        assert [press.read_long(102) for _ in range(3)] == [0, 1, 2]
        assert press.read_register(5, 1, functioncode=4, signed=True) == -12.3
        assert press.read_string(110, 4).rstrip("\0") == "PRESS 2"
        assert press.read_bit(3, functioncode=1) == 1
        assert press.read_bit(9, functioncode=2) == 0
        assert other.read_register(100) == 77
        with pytest.raises(minimalmodbus.IllegalRequestError, match="illegal data address"):
            press.read_register(50)
        with pytest.raises(minimalmodbus.IllegalRequestError, match="illegal function"):
            press.write_register(100, 1, functioncode=6)
    finally:
        press.serial.close()
    served = list(samples(line.log.entries(), READS, unit_id=2))
    assert [struct.pack(">HH", *sample.words) for sample in served] == [bytes((0, 0, 0, n)) for n in range(3)]


def test_pymodbus_reads_the_same_by_serial_line_and_by_tcp(line: SimulatedLine):
    with SimulatedTcp([PRESS, OTHER]) as server:
        host, port = server.address
        serial = ModbusSerialClient(line.path, baudrate=115200, timeout=1)
        tcp = ModbusTcpClient(host, port=port, timeout=5)
        try:
            for client in (serial, tcp):
                assert client.connect()
                words = client.read_holding_registers(100, count=2, device_id=2).registers
                assert struct.unpack(">f", struct.pack(">HH", *words)) == (5.5,)
                assert client.read_input_registers(5, count=1, device_id=2).registers == [65536 - 123]
                assert client.read_coils(3, count=1, device_id=2).bits[0] is True
                assert client.read_holding_registers(100, count=1, device_id=9).registers == [77]
                assert client.read_holding_registers(0, count=1, device_id=2).exception_code == 2
        finally:
            serial.close()
            tcp.close()
        assert [entry.answer for entry in server.log.served()].count(Answer.VALUES) == 4
