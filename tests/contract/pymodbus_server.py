"""A pymodbus server in a process of its own: `rtu PATH` or `tcp PORT`. Says READY when it listens.

Unit 1: holding and input registers 0-15 hold `WORDS` (input: each plus one), bits 0-19 as `BITS`.
"""

from __future__ import annotations

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

WORDS = [0x4148, 0xF5C3, 0xFFFE, 0x1234, 0x0000, 0x0001, 0xFFFF, 0x8000,
         0x3FF3, 0xC0CA, 0x428C, 0x59FB, 0x4142, 0x4300, 0x9876, 0x5432]  # fmt: skip
BITS = [number % 3 == 0 for number in range(20)]


def device() -> SimDevice:
    bits = SimData(0, values=BITS, datatype=DataType.BITS)
    holding = SimData(0, values=WORDS, datatype=DataType.REGISTERS)
    inputs = SimData(0, values=[word + 1 & 0xFFFF for word in WORDS], datatype=DataType.REGISTERS)
    return SimDevice(1, simdata=([bits], [bits], [holding], [inputs]))


async def serve(kind: str, where: str) -> None:
    server: ModbusSerialServer | ModbusTcpServer
    if kind == "rtu":
        server = ModbusSerialServer(device(), port=where, framer=FramerType.RTU, baudrate=115200)
    else:
        server = ModbusTcpServer(device(), address=("127.0.0.1", int(where)))
    await server.serve_forever(background=True)
    print("READY", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:3]))
