"""Requests, replies and points as the bus tests need them."""

from __future__ import annotations

from typing import Any

from edge_agent.bus.outcomes import ReadRequest
from edge_agent.bus.wire.frames import Expected, expect, with_crc
from edge_agent.model import Area, PointDef, PointType


def request(
    count: int = 2,
    *,
    unit: int = 1,
    area: Area = Area.HOLDING,
    address: int = 100,
    device: int = 0,
    points: tuple[int, ...] = (0,),
) -> ReadRequest:
    return ReadRequest(device, unit, area, address, count, points)


def reply(want: Expected | ReadRequest, data: bytes | None = None) -> bytes:
    """The good reply; data counts up when not given."""
    want = expect(want) if isinstance(want, ReadRequest) else want
    if data is None:
        data = bytes((7 * i + 3) & 0xFF for i in range(want.byte_count))
    return with_crc(want.header + data)


def refusal(want: Expected | ReadRequest, code: int = 2) -> bytes:
    want = expect(want) if isinstance(want, ReadRequest) else want
    return with_crc(bytes((want.unit_id, want.function | 0x80, code)))


def point(address: int, name: str = "", *, device: str = "d", **more: Any) -> PointDef:
    more.setdefault("type", PointType.U16)
    more.setdefault("area", Area.HOLDING)
    more.setdefault("poll_ns", 1_000_000_000)
    return PointDef(device=device, name=name or f"p{address}", address=address, **more)
