"""Small devices for the simulator's tests."""

from __future__ import annotations

import struct
from typing import Any

from edge_agent.model import NS, Area, MonoNs, PointDef, PointType, Quirks, WallNs
from edge_agent.simulator import SimDevice, SimPoint
from edge_agent.simulator.signals import Constant, Counter, PointSignal
from edge_agent.simulator.wire import Timing, rtu_frame

START = MonoNs(1_000_000_000)
WALL = WallNs(1_700_000_000_000_000_000)


def point(name: str = "value", **keys: Any) -> PointDef:
    given: dict[str, Any] = {"area": Area.HOLDING, "address": 100, "type": PointType.U16, "poll_ns": NS}
    return PointDef(device="press", name=name, **(given | keys))


def device(
    *entries: tuple[PointDef, PointSignal | float],
    name: str = "press",
    unit_id: int = 2,
    quirks: Quirks | None = None,
) -> SimDevice:
    points = tuple(
        SimPoint(point=p, signal=Constant(s) if isinstance(s, (int, float)) else s) for p, s in entries
    )
    return SimDevice(name=name, unit_id=unit_id, points=points, quirks=quirks or Quirks())


def press(**keys: Any) -> SimDevice:
    """Registers 100-103: 1234 and a counter of reads in 102-103; coils 3 and 12 on, 4-11 off."""
    coils = [
        (point(f"c{n}", area=Area.COIL, address=n, type=PointType.BOOL), float(n in (3, 12)))
        for n in range(3, 13)
    ]
    return device(
        (point(), 1234.0),
        (point("spare", address=101), 0.0),
        (point("reads", address=102, type=PointType.U32), Counter()),
        *coils,
        **keys,
    )


def request(unit_id: int = 2, function: int = 3, address: int = 100, count: int = 2) -> bytes:
    return rtu_frame(unit_id, struct.pack(">BHH", function, address, count))


TIMING = Timing(baud=19200, bits_per_char=10)
