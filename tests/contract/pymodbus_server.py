"""A pymodbus server in a process of its own. Says READY when it listens.

`rtu PATH`, `ascii PATH` on a serial port; `tcp PORT`, `rtu_tcp PORT`, `ascii_tcp PORT`; `tls PORT CERT KEY`.

Unit 1: holding and input registers 0-15 hold `WORDS` (input: each plus one), bits 0-19 as `BITS`.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

WORDS = [0x4148, 0xF5C3, 0xFFFE, 0x1234, 0x0000, 0x0001, 0xFFFF, 0x8000,
         0x3FF3, 0xC0CA, 0x428C, 0x59FB, 0x4142, 0x4300, 0x9876, 0x5432]  # fmt: skip
BITS = [number % 3 == 0 for number in range(20)]


def device() -> SimDevice:
    bits = SimData(0, values=BITS, datatype=DataType.BITS)
    holding = SimData(0, values=WORDS, datatype=DataType.REGISTERS)
    inputs = SimData(0, values=[word + 1 & 0xFFFF for word in WORDS], datatype=DataType.REGISTERS)
    return SimDevice(1, simdata=([bits], [bits], [holding], [inputs]))


FRAMERS = {"ascii": FramerType.ASCII, "rtu": FramerType.RTU, "tcp": FramerType.SOCKET}


async def serve(kind: str, where: str, *files: str) -> None:
    server: ModbusSerialServer | ModbusTcpServer
    framer = FRAMERS.get(kind.removesuffix("_tcp"))
    if kind in ("rtu", "ascii"):
        server = ModbusSerialServer(device(), port=where, framer=framer, baudrate=115200)
    elif kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server = ModbusTlsServer(device(), address=("127.0.0.1", int(where)), sslctx=context)
    else:
        server = ModbusTcpServer(device(), address=("127.0.0.1", int(where)), framer=framer)
    await server.serve_forever(background=True)
    print("READY", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
