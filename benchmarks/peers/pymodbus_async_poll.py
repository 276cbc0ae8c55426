"""What people write with pymodbus' asyncio client: a loop that reads registers of some units.

python pymodbus_async_poll.py PORT BAUD UNITS COUNT PERIOD_S
"""

import asyncio
import sys

from pymodbus.client import AsyncModbusSerialClient


async def main(port: str, baud: int, units: int, count: int, period_s: float) -> None:
    client = AsyncModbusSerialClient(port, baudrate=baud, timeout=1)
    await client.connect()
    while True:
        for unit in range(1, units + 1):
            await client.read_holding_registers(0, count=count, device_id=unit)
        await asyncio.sleep(period_s)


port, baud, units, count, period_s = sys.argv[1:]
asyncio.run(main(port, int(baud), int(units), int(count), float(period_s)))
