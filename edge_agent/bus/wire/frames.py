"""Modbus frames of read requests: building them, and finding the reply among the bytes of a line.

Pure. Knows no port and no time. The master knows the exact length and the first three bytes of the
reply, so it looks for that frame at any offset: one glitch byte in front (a line without bias shows
0x00 or 0xFF when the driver turns round) must not cost the frame behind it.

Invariant: `find_reply` returns only a frame whose unit, function, byte count and CRC are those asked
for. Everything else is explained by `diagnose`, never interpreted.

Sources: Modbus over Serial Line V1.02, 2.5.1 and 6.2 (CRC); Modbus Application Protocol V1.1b3, 6.1-6.4
and 7.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from functools import lru_cache

from edge_agent.bus.outcomes import BadCause, ReadRequest
from edge_agent.model import Area

EXCEPTION_LENGTH = 5
REQUEST_LENGTH = 8
LONGEST_FRAME = 256
EXCEPTION_BIT = 0x80

EXCEPTION_NAMES = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
"""Modbus Application Protocol V1.1b3, 7."""


def exception_name(code: int) -> str:
    return EXCEPTION_NAMES.get(code, "unknown exception")


# --- CRC ----------------------------------------------------------------------------------------


def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        table.append(value)
    return table


def _word_table(by_byte: list[int]) -> array[int]:
    """The CRC step over two bytes at once, which halves the loop of a pure Python CRC.

    CRC is linear: row `hi` is row 0 with one constant XORed into each entry, so each row of 256
    entries is one XOR of long integers and the whole table takes a third of a millisecond.
    """
    row_zero = array("H", [by_byte[by_byte[low] & 0xFF] ^ (by_byte[low] >> 8) for low in range(256)])
    row = int.from_bytes(row_zero.tobytes(), "little")
    every_entry = int.from_bytes(b"\x01\x00" * 256, "little")
    table = array("H")
    for high in range(256):
        table.frombytes((row ^ every_entry * by_byte[high]).to_bytes(512, "little"))
    return table


_BYTE_TABLE = _byte_table()
_WORD_TABLE = _word_table(_BYTE_TABLE)


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS. Over a frame that ends with its own CRC (low byte first) it is 0."""
    table = _WORD_TABLE
    crc = 0xFFFF
    # Every target is little-endian, so a native 16-bit load is the pair in wire order.
    for word in memoryview(data)[: len(data) & ~1].cast("H"):
        crc = table[crc ^ word]
    if len(data) & 1:
        crc = (crc >> 8) ^ _BYTE_TABLE[(crc ^ data[-1]) & 0xFF]
    return crc


def with_crc(frame: bytes) -> bytes:
    return frame + crc16(frame).to_bytes(2, "little")


# --- requests -----------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def rtu_request(unit_id: int, function: int, address: int, count: int) -> bytes:
    return with_crc(struct.pack(">BBHH", unit_id, function, address, count))


def byte_count(area: Area, count: int) -> int:
    """Bytes of data in the reply to a read of `count` items."""
    return (count + 7) // 8 if area.is_bits else 2 * count


# --- replies ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What the reply to one read must look like. `request` is what was sent, to know an echo."""

    unit_id: int
    function: int
    byte_count: int
    request: bytes
    header: bytes
    """Unit, function and byte count: the first three bytes of the reply."""
    length: int
    """Exact length of the reply with its CRC."""


@lru_cache(maxsize=2048)
def expected(unit_id: int, area: Area, address: int, count: int) -> Expected:
    data_bytes = byte_count(area, count)
    return Expected(
        unit_id=unit_id,
        function=area.function,
        byte_count=data_bytes,
        request=rtu_request(unit_id, area.function, address, count),
        header=bytes((unit_id, area.function, data_bytes)),
        length=3 + data_bytes + 2,
    )


def expect(request: ReadRequest) -> Expected:
    return expected(request.unit_id, request.area, request.address, request.count)


@dataclass(frozen=True, slots=True)
class Reply:
    """A valid reply in a buffer: `data` if `code` is 0, else the exception `code`."""

    start: int
    end: int
    data: bytes
    code: int = 0


def find_reply(buffer: bytes, want: Expected, since: int = 0) -> Reply | None:
    """The reply to the request, at whatever offset it stands; None while it is not (yet) there.

    `since`: where it can begin at the earliest, because what was heard before has been looked at already.
    """
    header, length = want.header, want.length
    first = buffer.find(header)
    start = first if first >= since else buffer.find(header, since)
    while start >= 0 and start + length <= len(buffer):
        frame = buffer[start : start + length]
        # Coils 0x03xx, count 17 to 24: the request is shaped like its own reply, so on a line with
        # local echo it would be taken for one.
        if crc16(frame) == 0 and frame != want.request:
            return Reply(start, start + length, frame[3:-2])
        start = buffer.find(header, start + 1)
    # Registers may hold anything, also bytes that look like an exception: one is only believed in
    # front of whatever may be the normal reply.
    return _find_exception(buffer if first < 0 else buffer[:first], want, since)


def _find_exception(buffer: bytes, want: Expected, since: int) -> Reply | None:
    head = bytes((want.unit_id, want.function | EXCEPTION_BIT))
    start = buffer.find(head, since)
    while start >= 0 and start + EXCEPTION_LENGTH <= len(buffer):
        frame = buffer[start : start + EXCEPTION_LENGTH]
        if frame[2] and crc16(frame) == 0:
            return Reply(start, start + EXCEPTION_LENGTH, b"", frame[2])
        start = buffer.find(head, start + 1)
    return None


def find_frame(buffer: bytes) -> tuple[int, int] | None:
    """(start, end) of the first whole valid frame of any unit: a late reply, another master.

    Known shapes: a read's reply, an exception, the 8 bytes of a request or a write's echo, and
    anything valid that is all of the buffer.
    """
    size = len(buffer)
    for start in range(size - EXCEPTION_LENGTH + 1):
        function = buffer[start + 1]
        if function & EXCEPTION_BIT:
            lengths: tuple[int, ...] = (EXCEPTION_LENGTH,)
        elif 1 <= function <= 4:
            lengths = (5 + buffer[start + 2], REQUEST_LENGTH)
        else:
            lengths = (REQUEST_LENGTH,) if function in (5, 6, 15, 16) else ()
        for length in lengths:
            if start + length <= size and crc16(buffer[start : start + length]) == 0:
                return start, start + length
    if size >= EXCEPTION_LENGTH and crc16(buffer) == 0:
        return 0, size
    return None


def begins_ours(buffer: bytes, want: Expected) -> int:
    """Where something begins that may become our reply (unit and function agree), else -1."""
    normal = buffer.find(want.header[:2])
    refusal = buffer.find(bytes((want.unit_id, want.function | EXCEPTION_BIT)))
    if normal < 0 or refusal < 0:
        return max(normal, refusal)
    return min(normal, refusal)


def foreign_cause(frame: bytes, want: Expected) -> BadCause:
    """Why a whole valid frame is not the reply."""
    if frame[0] != want.unit_id:
        return BadCause.WRONG_UNIT
    if frame[1] & ~EXCEPTION_BIT != want.function:
        return BadCause.WRONG_FUNCTION
    return BadCause.WRONG_COUNT


def diagnose(buffer: bytes, want: Expected) -> BadCause:
    """Why these bytes hold no reply, once nothing more comes."""
    if frame := find_frame(buffer):
        return foreign_cause(buffer[frame[0] : frame[1]], want)
    start = begins_ours(buffer, want)
    if start < 0:
        return BadCause.GARBAGE
    refusal = buffer[start + 1] & EXCEPTION_BIT
    wanted = EXCEPTION_LENGTH if refusal else want.length
    return BadCause.CRC if len(buffer) - start >= wanted else BadCause.SHORT
