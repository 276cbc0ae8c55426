"""Modbus as a slave sees it: frames, checks and the time of a character. Pure.

Written apart from the master's frames on purpose: the simulator is a peer to test the agent against,
and a mistake in shared code would be made on both sides and seen by nobody.

Sources: Modbus over Serial Line V1.02, 2.3-2.5; Modbus Application Protocol V1.1b3, 6 and 7;
Modbus Messaging on TCP/IP V1.0b, 3.1.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge_agent.model import NS, Area

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3

AREA_OF_FUNCTION = {area.function: area for area in Area}

_FIXED_REQUEST_BYTES = 8
"""Address, function, two 16-bit fields, CRC: functions 1 to 6."""


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: reflected polynomial 0xA001, start 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit_id: int, pdu: bytes) -> bytes:
    body = bytes((unit_id,)) + pdu
    return body + struct.pack("<H", crc16(body))


def is_rtu_frame(frame: bytes) -> bool:
    """At least unit, function and a CRC that fits."""
    return len(frame) >= 4 and crc16(frame) == 0


def complete_request(buffer: bytes) -> bytes | None:
    """The request at the start of `buffer`, as soon as its length and CRC prove it complete.

    None: more bytes or a silence must decide. Only functions of fixed length are seen so early.
    """
    head = buffer[:_FIXED_REQUEST_BYTES]
    if len(head) == _FIXED_REQUEST_BYTES and 1 <= head[1] <= 6 and is_rtu_frame(head):
        return head
    return None


def exception_pdu(function: int, code: int) -> bytes:
    return bytes((function & 0x7F | 0x80, code))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPdu:
    """A read request without its envelope."""

    area: Area
    address: int
    count: int


def parse_pdu(pdu: bytes) -> ReadPdu | int:
    """The read that `pdu` asks for, or the exception code it deserves (V1.1b3, 6.1-6.4).

    The order of the checks is the standard's: function, count, then address and count together.
    """
    area = AREA_OF_FUNCTION.get(pdu[0]) if pdu else None
    if area is None:
        return ILLEGAL_FUNCTION
    if len(pdu) != 5:
        return ILLEGAL_VALUE
    address, count = struct.unpack(">HH", pdu[1:])
    if not 1 <= count <= area.max_count:
        return ILLEGAL_VALUE
    if address + count > 0x10000:
        return ILLEGAL_ADDRESS
    return ReadPdu(area=area, address=address, count=count)


def values_pdu(area: Area, data: bytes) -> bytes:
    """The reply to a read. `data` is as on the wire, at most 250 bytes."""
    return bytes((area.function, len(data))) + data


# --- Modbus TCP -------------------------------------------------------------------------------

MBAP_BYTES = 7


def tcp_frame(transaction: int, unit_id: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit_id) + pdu


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpRequest:
    transaction: int
    unit_id: int
    pdu: bytes


def split_tcp(buffer: bytearray) -> TcpRequest | None:
    """Take one request off the front of `buffer`; None when it is not complete.

    Raises ValueError where the bytes cannot be Modbus TCP: there is no way to find the next frame.
    """
    if len(buffer) < MBAP_BYTES:
        return None
    transaction, protocol, length, unit_id = struct.unpack_from(">HHHB", buffer)
    if protocol != 0 or not 2 <= length <= 254:
        raise ValueError("not Modbus TCP")
    if len(buffer) < 6 + length:
        return None
    pdu = bytes(buffer[MBAP_BYTES : 6 + length])
    del buffer[: 6 + length]
    return TcpRequest(transaction=transaction, unit_id=unit_id, pdu=pdu)


# --- time on the line -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long characters take. `baud` 0 means unpaced: every byte takes no time at all."""

    baud: int = 19200
    bits_per_char: int = 10
    """Start, data, parity and stop bits of the real format: 10 for 8N1, 11 for 8E1."""

    @property
    def char_ns(self) -> int:
        return self.bits_per_char * NS // self.baud if self.baud else 0

    @property
    def t35_ns(self) -> int:
        """The silence that ends a frame: 3.5 characters of 11 bits, 1.75 ms above 19200 baud
        (Modbus over Serial Line V1.02, 2.5.1.1)."""
        if not self.baud:
            return 0
        return 1_750_000 if self.baud > 19200 else 77 * NS // (2 * self.baud)
