"""What becomes of characters on a wire when two speak at once, or at another speed. Pure."""

from __future__ import annotations

from collections.abc import Iterator


def overlapped(first: bytes, second: bytes, offset: int) -> bytes:
    """Two drivers at once, the second `offset` characters later: a bit is high where both say so."""
    second = second.rjust(offset + len(second), b"\xff")
    size = max(len(first), len(second))
    pairs = zip(first.ljust(size, b"\xff"), second.ljust(size, b"\xff"), strict=True)
    return bytes(one & other for one, other in pairs)


def at_half_speed(data: bytes) -> bytes:
    """Characters sent at half the reader's speed, as the reader's UART takes them: each bit is seen twice.

    8N1; a start bit is looked for after each character, and the stop bit is not checked, as a port
    without framing checks does.
    """
    levels = [bit for byte in data for bit in _bits(byte) for _ in range(2)]
    heard, at = bytearray(), 0
    while at + 9 <= len(levels):
        if levels[at]:
            at += 1
            continue
        heard.append(sum(levels[at + 1 + place] << place for place in range(8)))
        at += 10
    return bytes(heard)


def _bits(byte: int) -> Iterator[int]:
    """Start, eight data bits with the lowest first, stop."""
    yield 0
    yield from (byte >> place & 1 for place in range(8))
    yield 1
