"""Modbus TCP's frames: a header with a transaction id and a length around the same PDU as on RTU.

Pure. The transaction id tells a late reply from ours, so nothing has to be quarantined; a header that
cannot be one means that the stream is out of step, which no search can mend (`StreamError`).
Source: Modbus Messaging on TCP/IP V1.0b, 3.1.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, Outcome, Values
from edge_agent.bus.wire.frames import EXCEPTION_BIT, Expected

HEADER = 7
_LONGEST = 254
"""Unit id and the longest PDU."""


class StreamError(Exception):
    """The bytes are no Modbus TCP."""


@dataclass(frozen=True, slots=True)
class Adu:
    transaction_id: int
    unit_id: int
    pdu: bytes
    length: int
    """Bytes the whole frame has."""


def tcp_request(transaction_id: int, unit_id: int, function: int, address: int, count: int) -> bytes:
    return struct.pack(">HHHBBHH", transaction_id, 0, 6, unit_id, function, address, count)


def take(buffer: bytes) -> Adu | None:
    """The frame at the start of the buffer; None while it is not whole. Raises StreamError."""
    if len(buffer) < HEADER:
        return None
    transaction_id, protocol, length, unit_id = struct.unpack_from(">HHHB", buffer)
    if protocol != 0 or not 3 <= length <= _LONGEST:
        raise StreamError(f"protocol {protocol}, length {length}")
    end = HEADER - 1 + length
    if len(buffer) < end:
        return None
    return Adu(transaction_id, unit_id, buffer[HEADER:end], end)


def judge(adu: Adu, want: Expected, latency_ns: int) -> Outcome:
    """What a frame with our transaction id says."""
    pdu, heard = adu.pdu, adu.length
    if adu.unit_id != want.unit_id:
        return BadFrame(BadCause.WRONG_UNIT, heard)
    if pdu[0] & ~EXCEPTION_BIT != want.function:
        return BadFrame(BadCause.WRONG_FUNCTION, heard)
    if pdu[0] & EXCEPTION_BIT:
        good = len(pdu) == 2 and pdu[1] != 0
        return DeviceException(pdu[1], latency_ns) if good else BadFrame(BadCause.WRONG_COUNT, heard)
    if pdu[1] != want.byte_count or len(pdu) != 2 + want.byte_count:
        return BadFrame(BadCause.WRONG_COUNT, heard)
    return Values(pdu[2:], latency_ns)
