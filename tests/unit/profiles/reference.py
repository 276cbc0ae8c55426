"""A slow, plain decoder: what registers mean, written from the standard and nothing else."""

from __future__ import annotations

import math
import struct

from edge_agent.model import Order, PointDef, PointType

FORMATS = {
    PointType.S16: ">h", PointType.S32: ">i", PointType.S64: ">q", PointType.F32: ">f", PointType.F64: ">d",
}  # fmt: skip


def decode(point: PointDef, raw: tuple[int, ...]) -> int | float | str | None:
    """The value of `raw` in the unit of `point`; None: no value."""
    if point.area.is_bits:
        return raw[0]
    if point.type is PointType.STRING:
        return b"".join(word.to_bytes(2, "big") for word in raw).split(b"\0")[0].decode("latin-1").strip()
    words = list(raw)
    if point.order in (Order.CDAB, Order.DCBA):
        words.reverse()
    data = b"".join(word.to_bytes(2, "little" if point.order.bytes_swapped else "big") for word in words)
    unsigned = int.from_bytes(data, "big")
    if unsigned in point.invalid:
        return None
    number: float
    if point.bits is not None:
        number = unsigned >> point.bits[0] & (1 << point.bits[1]) - 1
    elif point.type in (PointType.BCD16, PointType.BCD32):
        if not data.hex().isdecimal():
            return None
        number = int(data.hex())
    elif point.type in FORMATS:
        (number,) = struct.unpack(FORMATS[point.type], data)
    else:
        number = unsigned
    return number * point.scale + point.offset if math.isfinite(number) else None
