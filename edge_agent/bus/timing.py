"""How long things take on a serial line: characters, frames, and the silences between them.

Pure. A character of RTU has 11 bits (start, 8 data, parity or second stop, stop), and t1.5 and t3.5
count those, whatever the format in use; above 19200 baud the standard fixes 0.75 and 1.75 ms.
Source: Modbus over Serial Line V1.02, 2.5.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.model import NS, BusDef, Parity, SerialLink

_RTU_BITS = 11
_FIXED_ABOVE_BAUD = 19200
_T1_5_FIXED_NS = 750_000
_T3_5_FIXED_NS = 1_750_000

CHUNK_GAP_NS = 30_000_000
"""A pause inside a reply that is still tolerated. USB adapters hand bytes over in pieces, an FTDI at
its default every 16 ms; twice that, less a little, ends a truncated reply early enough and never a
whole one. t1.5 itself cannot be seen through such an adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of one line, in nanoseconds."""

    char_ns: int
    """One character in the format in use: what bytes really take."""
    t1_5_ns: int
    interframe_ns: int
    """Silence before a request: t3.5, or what the bus says instead."""
    chunk_gap_ns: int = CHUNK_GAP_NS

    def wire_ns(self, length: int) -> int:
        """Time `length` bytes occupy the line."""
        return length * self.char_ns


def rtu_timing(link: SerialLink, interframe_ns: int | None = None) -> Timing:
    """Times of a serial line; `interframe_ns` replaces t3.5 for devices that allow less."""
    bits = 1 + link.data_bits + (link.parity is not Parity.NONE) + link.stop_bits
    t3_5 = t3_5_ns(link.baud)
    return Timing(
        char_ns=-(-bits * NS // link.baud),
        t1_5_ns=t1_5_ns(link.baud),
        interframe_ns=t3_5 if interframe_ns is None else interframe_ns,
        # At 1200 baud t3.5 is 32 ms: the tolerance is never less than what the standard calls the end.
        chunk_gap_ns=max(CHUNK_GAP_NS, t3_5),
    )


def t3_5_ns(baud: int) -> int:
    if baud > _FIXED_ABOVE_BAUD:
        return _T3_5_FIXED_NS
    return -(-7 * _RTU_BITS * NS // (2 * baud))


def t1_5_ns(baud: int) -> int:
    if baud > _FIXED_ABOVE_BAUD:
        return _T1_5_FIXED_NS
    return -(-3 * _RTU_BITS * NS // (2 * baud))


def bus_timing(bus: BusDef) -> Timing:
    """Times of a bus; a TCP bus has none of its own."""
    if isinstance(bus.link, SerialLink):
        return rtu_timing(bus.link, bus.interframe_ns)
    return Timing(char_ns=0, t1_5_ns=0, interframe_ns=bus.interframe_ns or 0, chunk_gap_ns=0)
