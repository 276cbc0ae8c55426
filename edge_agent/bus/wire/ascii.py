"""Modbus ASCII: the same messages as RTU, written as hexadecimal digits between a colon and CR LF.

Pure. The line above speaks RTU: `encode` writes its request as ASCII, and a `Decoder` turns what is
heard into the RTU frames it stands for, byte by byte as it comes, so that everything the line knows of
silence, lateness and damage holds here too. An LRC that is right becomes a right CRC, a wrong one a
wrong CRC.

Invariant: the bytes of a right CRC are only made behind a frame whose digits, LRC and end were right. A
colon always begins a new frame, whatever was before it.

Source: Modbus over Serial Line V1.02, 2.5.2 and 6.1 (LRC).
"""

from __future__ import annotations

from edge_agent.bus.wire.frames import crc16

NOISE = 0xFF
"""What a character outside every frame is handed on as: it is heard, but no frame is made of these."""
LONGEST = 255
"""Unit, the longest PDU (253) and the LRC."""

_COLON, _CR, _LF = b":\r\n"
_DIGITS = {digit: int(chr(digit), 16) for digit in b"0123456789abcdefABCDEF"}


def lrc(message: bytes) -> int:
    """The sum of all bytes, negated: added to them it gives 0."""
    return -sum(message) & 0xFF


def encode(message: bytes) -> bytes:
    """A message (unit id and PDU, no check) as it goes over the line."""
    return b":" + (message + bytes((lrc(message),))).hex().upper().encode() + b"\r\n"


class Decoder:
    """Of one line. `feed` returns what the characters stand for in RTU.

    The last byte of a frame is its LRC, which RTU does not have; so a byte is handed on when the next one
    has come, and the frame's CRC at its end.
    """

    __slots__ = ("_bad", "_ending", "_high", "_inside", "_message")

    def __init__(self) -> None:
        self._inside = False
        self._begin()

    def _begin(self) -> None:
        self._message = bytearray()
        self._high: int | None = None
        """The first digit of a byte whose second has not come."""
        self._ending = False
        """A CR has come."""
        self._bad = False
        """Something in this frame cannot be: whatever else comes, it is not believed."""

    def feed(self, characters: bytes) -> bytes:
        out = bytearray()
        for character in characters:
            if character == _COLON:
                if self._inside:
                    out.append(NOISE)  # It broke off what stood before it; and a peer may send nothing else.
                self._inside = True
                self._begin()
            elif self._inside:
                self._take(character, out)
            else:
                out.append(NOISE)
        return bytes(out)

    def _take(self, character: int, out: bytearray) -> None:
        if character == _LF and self._ending:
            self._inside = False
            out += self._check()
            return
        if self._ending:
            self._bad = True  # A CR that no LF follows is a damaged digit.
            self._ending = False
            self._digit(0, out)
        if character == _CR:
            self._ending = True
            return
        digit = _DIGITS.get(character)
        self._bad |= digit is None
        self._digit(digit or 0, out)

    def _digit(self, digit: int, out: bytearray) -> None:
        if self._high is None:
            self._high = digit
            return
        if self._message:
            out.append(self._message[-1])
        self._message.append(self._high << 4 | digit)
        self._high = None
        if len(self._message) > LONGEST:
            self._inside = False

    def _check(self) -> bytes:
        """The CRC that stands for the LRC."""
        message = bytes(self._message)
        good = len(message) > 2 and self._high is None and not self._bad and sum(message) & 0xFF == 0
        crc = crc16(message[:-1])
        return (crc if good else crc ^ 0xFFFF).to_bytes(2, "little")
