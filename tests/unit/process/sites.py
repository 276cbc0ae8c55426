"""Small sites, blocks and payloads for tests of the kernels and of the process stage."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from edge_agent.bus.outcomes import Block, NoReply, Outcome, ReadRequest, Skipped, Values
from edge_agent.model import (
    NS,
    AlarmDef,
    AlarmKind,
    Area,
    BusDef,
    DeviceDef,
    MonoNs,
    PointDef,
    PointType,
    SerialLink,
    Site,
    SpoolDef,
    UplinkDef,
    WallNs,
)

Payload: TypeAlias = "bytes | Outcome"

T0 = 1_700_000_000 * NS
"""Wall time at monotonic time 0 in these tests; a multiple of ten seconds."""


def point(name: str = "p", **changes: Any) -> PointDef:
    """A summary point of device `d`, f64 at address 0, unless `changes` say otherwise."""
    given: dict[str, Any] = {
        "device": "d",
        "area": Area.HOLDING,
        "address": 0,
        "type": PointType.F64,
        "poll_ns": 100_000_000,
    }
    return PointDef(name=name, **(given | changes))


def alarm(name: str = "a", kind: AlarmKind = AlarmKind.ABOVE, **changes: Any) -> AlarmDef:
    given: dict[str, Any] = {"device": "d", "point": "p", "low": 0.0, "high": 0.0}
    return AlarmDef(name=name, kind=kind, **(given | changes))


def site(points: Sequence[PointDef], alarms: Iterable[AlarmDef] = (), window_ns: int = 10 * NS) -> Site:
    """One bus; one device per device name of the points, in the order of their first point."""
    names = dict.fromkeys(p.device for p in points)
    devices = tuple(
        DeviceDef(name=name, bus="line", unit_id=unit, points=tuple(p for p in points if p.device == name))
        for unit, name in enumerate(names, start=1)
    )
    return Site(
        site="s",
        agent="a",
        buses=(BusDef(name="line", link=SerialLink(path="/dev/null"), devices=devices),),
        alarms=tuple(alarms),
        window_ns=window_ns,
        uplink=UplinkDef(url="mqtt://127.0.0.1"),
        spool=SpoolDef(),
    )


def f64(*values: float) -> bytes:
    return struct.pack(f">{len(values)}d", *values)


def u16(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def request(site: Site, *points: int) -> ReadRequest:
    """The read that covers `points`."""
    chosen = [site.points[index] for index in points]
    start = min(p.address for p in chosen)
    stop = max(p.address + p.words for p in chosen)
    device = next(i for i, d in enumerate(site.devices) if d.name == chosen[0].device)
    return ReadRequest(device, site.devices[device].unit_id, chosen[0].area, start, stop - start, points)


def block(
    read: ReadRequest,
    data: Payload,
    t_s: float,
    *,
    wall_s: float | None = None,
    generation: int = 1,
) -> Block:
    """A reply (or another outcome) at `t_s` seconds; wall time is T0 later unless given relative to T0."""
    outcome = Values(data, 0) if isinstance(data, bytes) else data
    mono, wall = times(t_s, wall_s)
    return Block(generation, read, outcome, mono, wall)


def skipped(
    points: Sequence[int], t_s: float, *, wall_s: float | None = None, generation: int = 1
) -> Skipped:
    return Skipped(generation, tuple(points), *times(t_s, wall_s))


def times(t_s: float, wall_s: float | None = None) -> tuple[MonoNs, WallNs]:
    wall = t_s if wall_s is None else wall_s
    return MonoNs(round(t_s * NS)), WallNs(T0 + round(wall * NS))


SILENT = NoReply()
