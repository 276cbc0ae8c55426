"""Values from registers for a technician's eyes, one at a time. Pure.

The daemon decodes in kernels; this is the plain way for the handful of values that commands show.
"""

from __future__ import annotations

import struct

from edge_agent.model import Order, PointType

_FORMATS = {
    PointType.BOOL: ">H", PointType.U16: ">H", PointType.S16: ">h", PointType.U32: ">I", PointType.S32: ">i",
    PointType.U64: ">Q", PointType.S64: ">q", PointType.F32: ">f", PointType.F64: ">d",
}  # fmt: skip

Value = int | float | bool | str | None


def in_order(raw: bytes, order: Order) -> bytes:
    """Most significant byte first, from the bytes as they stood on the wire."""
    words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if order.bytes_swapped:
        words = [word[::-1] for word in words]
    if order.low_word_first:
        words.reverse()
    return b"".join(words)


def value_of(raw: bytes, kind: PointType, order: Order) -> Value:
    """One value of as many bytes as its type has; None where the bytes are no such value."""
    if kind is PointType.STRING:
        return (
            in_order(raw, Order.BADC if order.bytes_swapped else Order.ABCD).decode("latin-1").rstrip("\0 ")
        )
    data = in_order(raw, order)
    if kind in (PointType.BCD16, PointType.BCD32):
        digits = data.hex()
        return int(digits) if digits.isdecimal() else None
    value: int | float = struct.unpack(_FORMATS[kind], data)[0]
    return bool(value) if kind is PointType.BOOL else value


def bit(data: bytes, number: int) -> bool:
    """Coil or input `number` of a reply, the first being 0."""
    return bool(data[number // 8] >> number % 8 & 1)
