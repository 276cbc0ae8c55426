"""How long things take on a serial line: characters, frames, and the silences between them.

Pure. A character of RTU has 11 bits (start, 8 data, parity or second stop, stop), and t1.5 and t3.5
count those, whatever the format in use; above 19200 baud the standard fixes 0.75 and 1.75 ms.
Source: Modbus over Serial Line V1.02, 2.5.1.1; for ASCII 2.5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_agent.model import NS, BusDef, DeviceServerLink, Framing, Parity, SerialLink

_RTU_BITS = 11
_FIXED_ABOVE_BAUD = 19200
_T1_5_FIXED_NS = 750_000
_T3_5_FIXED_NS = 1_750_000

CHUNK_GAP_NS = 30_000_000
"""A pause inside a reply that is still tolerated. USB adapters hand bytes over in pieces, an FTDI at
its default every 16 ms; twice that, less a little, ends a truncated reply early enough and never a
whole one. t1.5 itself cannot be seen through such an adapter."""

LOOSE_GAP_NS = 100_000_000
"""The same for ASCII, where the standard allows a second between characters, and behind a device server,
which collects characters by a timer of its own. More would make every damaged reply cost the others'
time: what comes later is discarded as out of turn."""

ASSUMED_BAUD = 9600
"""Of the line behind a device server that is not said: the slowest that is usual, so that t3.5 is kept
on a faster one too and no reply is given up while it is still being collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of one line, in nanoseconds."""

    char_ns: int
    """One character in the format in use: what bytes really take."""
    t1_5_ns: int
    interframe_ns: int
    """Silence before a request: t3.5, or what the bus says instead."""
    chunk_gap_ns: int = CHUNK_GAP_NS
    held: bool = False
    """Somebody on the way may hand a reply on only when it is whole."""

    def wire_ns(self, length: int) -> int:
        """Time `length` bytes occupy the line."""
        return length * self.char_ns

    def held_ns(self, length: int) -> int:
        """How much later than the first byte of a reply of this length something is heard of it."""
        return self.wire_ns(length) if self.held else 0


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


def ascii_timing(timing: Timing) -> Timing:
    """Each byte of a message is two characters, and a frame tells its end itself."""
    return replace(timing, char_ns=2 * timing.char_ns, chunk_gap_ns=max(LOOSE_GAP_NS, timing.chunk_gap_ns))


def device_server_timing(link: DeviceServerLink, interframe_ns: int | None = None) -> Timing:
    """Times of the line behind a device server, characters of 11 bits."""
    far = SerialLink(path="", baud=link.baud or ASSUMED_BAUD, stop_bits=2)
    timing = rtu_timing(far, interframe_ns)
    return replace(timing, chunk_gap_ns=max(LOOSE_GAP_NS, timing.chunk_gap_ns), held=True)


def bus_timing(bus: BusDef) -> Timing:
    """Times of a bus; Modbus TCP has none of its own."""
    link = bus.link
    if isinstance(link, SerialLink):
        timing = rtu_timing(link, bus.interframe_ns)
    elif isinstance(link, DeviceServerLink):
        timing = device_server_timing(link, bus.interframe_ns)
    else:
        return Timing(char_ns=0, t1_5_ns=0, interframe_ns=bus.interframe_ns or 0, chunk_gap_ns=0)
    return ascii_timing(timing) if link.framing is Framing.ASCII else timing
