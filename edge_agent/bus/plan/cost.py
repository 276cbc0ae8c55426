"""What a read costs on the line: frames at this speed and format, the device's reply time, silences.

Pure. The only figure that is not known beforehand is the turnaround, from the end of a request to the
first byte of its reply. It is assumed until it is measured, and what is measured is taken in steps, so
that a plan does not wander with every reply.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from edge_agent.bus.wire.frames import EXCEPTION_LENGTH, REQUEST_LENGTH, byte_count
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.model import Area, BusDef, DeviceDef, SerialLink

FRAME_BYTES = REQUEST_LENGTH + EXCEPTION_LENGTH
"""A request, and what a reply has around its data: as much as an exception."""

ASSUMED_TURNAROUND_NS = 5_000_000
"""Of a serial device nobody has asked yet: a quick one. Meters take 20 to 50 ms, so a load that is
predicted with this is one the line will not fall below."""
TCP_TURNAROUND_NS = 2_000_000
"""A network and a small server behind it."""
TCP_BYTE_NS = 1_000
"""Enough for a longer read not to be free, far too little for two to be cheaper than one."""

_STEP_RATIO = 2**0.5
STEPS = tuple(round(ASSUMED_TURNAROUND_NS * _STEP_RATIO**k) for k in range(-12, 26))
"""Turnarounds that are told apart, 0.08 ms to 30 s, each 1.41 times the one before. A plan only hangs on
which gap is cheaper than a request of its own, and that is known no better than the turnaround is."""
_STAY = 2**0.4375
"""What is measured must leave the present step by this factor: more than half a step and a tenth, 1.31, so
that a turnaround midway between two steps does not wander, and less than a whole one."""
_MIDWAY = tuple(round(step * 2**0.25) for step in STEPS[:-1])


class Turnaround:
    """Of one device, as its planner sees it."""

    __slots__ = ("measured", "ns")

    def __init__(self, assumed_ns: int) -> None:
        self.ns = assumed_ns
        self.measured = False

    def assume(self, measured_ns: int) -> None:
        """The present average; 0 or less where nothing has been measured."""
        if measured_ns <= 0:
            return
        if self.measured and self.ns <= measured_ns * _STAY and measured_ns <= self.ns * _STAY:
            return
        self.ns = STEPS[bisect_left(_MIDWAY, measured_ns)]
        self.measured = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCost:
    """Of the requests to one device, in nanoseconds, but for its turnaround."""

    char_ns: int
    """One byte on the wire."""
    silence_ns: int
    """Before each request: t3.5 or what replaces it, and the pause the device wants."""
    assumed_turnaround_ns: int
    """Until it is measured; never less than the silence a device must keep before it replies."""

    def fixed_ns(self, turnaround_ns: int) -> int:
        """What every request costs, however little it reads."""
        return FRAME_BYTES * self.char_ns + self.silence_ns + turnaround_ns

    def data_ns(self, area: Area, count: int) -> int:
        return byte_count(area, count) * self.char_ns

    def read_ns(self, area: Area, count: int, turnaround_ns: int) -> int:
        return self.fixed_ns(turnaround_ns) + self.data_ns(area, count)


def line_cost(bus: BusDef, device: DeviceDef) -> LineCost:
    timing, quirks = bus_timing(bus), device.quirks
    if not timing.char_ns:  # A network: bytes take no time of their own.
        return LineCost(
            char_ns=TCP_BYTE_NS,
            silence_ns=quirks.turnaround_ns,
            assumed_turnaround_ns=TCP_TURNAROUND_NS,
        )
    interframe_ns = timing.interframe_ns if quirks.interframe_ns is None else quirks.interframe_ns
    return LineCost(
        char_ns=timing.char_ns,
        silence_ns=max(interframe_ns, quirks.turnaround_ns),
        assumed_turnaround_ns=max(timing.interframe_ns, ASSUMED_TURNAROUND_NS),
    )


def default_cost() -> LineCost:
    """Of a serial line nothing is said about."""
    device = DeviceDef(name="", bus="", unit_id=1)
    return line_cost(BusDef(name="", link=SerialLink(path="")), device)
