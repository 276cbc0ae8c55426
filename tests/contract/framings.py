"""Frames as the slaves of the contract tests write them, and how these misbehave by unit id.

Written beside the agent's own, so that a mistake there does not agree with itself here. `pymodbus_server`
is the peer that others wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.bus.wire.frames import with_crc

REFUSING, SILENT, WRONG_UNIT, BREAKS_OFF, DAMAGED, WRONG_FUNCTION, WRONG_COUNT, NOISY = range(2, 10)


@dataclass(frozen=True)
class Framing:
    split: Callable[[bytes], tuple[bytes, bytes]]
    """(the first whole request or nothing, what is left)."""
    parse: Callable[[bytes], tuple[int, bytes]]
    """A request's unit id and PDU."""
    frame: Callable[[bytes, int, bytes], bytes]
    """The reply to a request: unit id, PDU."""
    noise: bytes
    """What may stand in front of a reply on a bad line."""
    is_checked: bool = True
    """Damage can be seen."""


def data_for(function: int, address: int, count: int) -> bytes:
    """Register values that tell their address (address * 3 + 1), bits that are set at every third."""
    if function in (1, 2):
        packed = bytearray((count + 7) // 8)
        for number in range(count):
            if (address + number) % 3 == 0:
                packed[number // 8] |= 1 << number % 8
        return bytes(packed)
    return b"".join(((address + i) * 3 + 1 & 0xFFFF).to_bytes(2, "big") for i in range(count))


def pdu_for(pdu: bytes) -> bytes:
    data = data_for(pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big"))
    return bytes((pdu[0], len(data))) + data


def answer(framing: Framing, request: bytes) -> bytes:
    """What the slave with this request's unit id says to it."""
    unit, pdu = framing.parse(request)
    if unit == SILENT:
        return b""
    if unit == REFUSING:
        return framing.frame(request, unit, bytes((pdu[0] | 0x80, 2)))
    good = pdu_for(pdu)
    if unit == WRONG_UNIT:
        return framing.frame(request, unit + 100, good)
    if unit == WRONG_FUNCTION:
        return framing.frame(request, unit, bytes((pdu[0] ^ 7,)) + good[1:])
    if unit == WRONG_COUNT:
        return framing.frame(request, unit, bytes((pdu[0], good[1] - 2)) + good[2:-2])
    whole = framing.frame(request, unit, good)
    if unit == BREAKS_OFF:
        return whole[: len(whole) // 2]
    if unit == DAMAGED:
        middle = len(whole) // 2
        return whole[:middle] + bytes((whole[middle] ^ 1,)) + whole[middle + 1 :]
    return framing.noise + whole if unit == NOISY else whole


# --- RTU ------------------------------------------------------------------------------------------


def _by_length(length: int) -> Callable[[bytes], tuple[bytes, bytes]]:
    return lambda heard: (heard[:length], heard[length:]) if len(heard) >= length else (b"", heard)


RTU = Framing(
    split=_by_length(8),
    parse=lambda request: (request[0], request[1:-2]),
    frame=lambda request, unit, pdu: with_crc(bytes((unit,)) + pdu),
    noise=b"\xff\x00",
)


# --- ASCII ----------------------------------------------------------------------------------------


def _line(heard: bytes) -> tuple[bytes, bytes]:
    line, end, rest = heard.partition(b"\r\n")
    return (line + end, rest) if end else (b"", heard)


def _parse_ascii(line: bytes) -> tuple[int, bytes]:
    assert line.startswith(b":"), line
    assert line == line.upper(), "the standard's digits are 0-9 and A-F"
    message = bytes.fromhex(line[1:-2].decode())
    assert sum(message) % 256 == 0, "LRC"
    return message[0], message[1:-1]


def ascii_frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    check = (256 - sum(body) % 256) % 256
    return f":{(body + bytes((check,))).hex().upper()}\r\n".encode()


ASCII = Framing(
    split=_line,
    parse=_parse_ascii,
    frame=lambda request, unit, pdu: ascii_frame(unit, pdu),
    noise=b"\x00:?",
)


# --- TCP ------------------------------------------------------------------------------------------

MBAP = Framing(
    split=_by_length(12),
    parse=lambda request: (request[6], request[7:]),
    frame=lambda request, unit, pdu: request[:4] + (1 + len(pdu)).to_bytes(2, "big") + bytes((unit,)) + pdu,
    noise=b"\xff\x00",
    is_checked=False,
)
