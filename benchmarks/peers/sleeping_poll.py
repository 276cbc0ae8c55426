"""The least a master in Python can be that sleeps until its reply should be there: no parsing, no checks
but the CRC, nothing done with the values. What the daemon needs beyond this is its work.

python sleeping_poll.py PORT BAUD UNITS COUNT PERIOD_S
"""

import os
import sys
import time

import serial

from edge_agent.bus.wire.frames import crc16, rtu_request

port, baud, units, count, period_s = sys.argv[1:]
character_s = 10 / int(baud)
silence_s = max(0.00175, 3.85 * character_s)
length = 5 + 2 * int(count)
line = serial.Serial(port, int(baud), timeout=0)
descriptor = line.fileno()
while True:
    for unit in range(1, int(units) + 1):
        time.sleep(silence_s)
        os.write(descriptor, rtu_request(unit, 3, 0, int(count)))
        time.sleep((8 + length) * character_s + silence_s)
        reply = b""
        while len(reply) < length:
            reply += os.read(descriptor, 512)
            time.sleep((length - len(reply)) * character_s)
        assert crc16(reply) == 0
    time.sleep(float(period_s))
