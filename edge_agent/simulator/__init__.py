"""Devices that are not there: Modbus slaves on a pseudo-terminal or TCP, with plant and faults.

    script / profile -> device (registers) + signals, plant (values)
                               |
    bytes -> rtu_line (pace, collisions) -> slave (replies) <- faults
                  |                            |
           serial_line, tcp_line (threads)    log -> truth

`slave` and everything above the threads is pure: time is an argument, and noise is a hash of seed
and time. In tests: `with SimulatedLine([device], baud=19200) as line:` and read `line.path`.
"""

from edge_agent.simulator.device import SimDevice, SimPoint
from edge_agent.simulator.faults import Fault, FaultKind
from edge_agent.simulator.serial_line import SimulatedLine
from edge_agent.simulator.tcp_line import SimulatedTcp

__all__ = ["Fault", "FaultKind", "SimDevice", "SimPoint", "SimulatedLine", "SimulatedTcp"]
