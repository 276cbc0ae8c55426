"""What people write with pymodbus' synchronous client: a loop that reads registers of some units.

python pymodbus_poll.py PORT BAUD UNITS COUNT PERIOD_S
"""

import sys
import time

from pymodbus.client import ModbusSerialClient

port, baud, units, count, period_s = sys.argv[1:]
client = ModbusSerialClient(port, baudrate=int(baud), timeout=1)
client.connect()
while True:
    for unit in range(1, int(units) + 1):
        client.read_holding_registers(0, count=int(count), device_id=unit)
    time.sleep(float(period_s))
