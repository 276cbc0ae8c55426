"""What people write with minimalmodbus: a loop that reads registers of some units, once a period.

python minimalmodbus_poll.py PORT BAUD UNITS COUNT PERIOD_S
"""

import sys
import time

import minimalmodbus

port, baud, units, count, period_s = sys.argv[1:]
instruments = [minimalmodbus.Instrument(port, unit) for unit in range(1, int(units) + 1)]
for instrument in instruments:
    instrument.serial.baudrate = int(baud)
    instrument.serial.timeout = 1.0
while True:
    for instrument in instruments:
        instrument.read_registers(0, int(count))
    time.sleep(float(period_s))
