"""A spool filled with hours of records in minutes, as an outage leaves it: by the agent's own record writer
and spool, under a clock that is told the time. Only its fdatasync comes once in five minutes of that time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.clock import boot_id
from edge_agent.counters import Counters
from edge_agent.kernels import load
from edge_agent.model import (
    GOOD,
    NS,
    Area,
    BusDef,
    DeviceDef,
    MonoNs,
    PointDef,
    PointType,
    Send,
    SerialLink,
    Severity,
    Site,
    SpoolDef,
    UplinkDef,
    WallNs,
)
from edge_agent.process.results import AlarmTransition, Result, Sample
from edge_agent.records.values import Recovery, Stamp
from edge_agent.records.writer import RecordWriter
from edge_agent.spool import Limits, Spool

_SYNC_EVERY = 300
_ALARM_EVERY = 600


def site_of(agent: str, points: int, spool: Path, url: str, backlog_rate: int) -> Site:
    """`points` registers of one device that send every value, read once a second."""
    defined = tuple(
        PointDef(
            device="unit", name=f"p{i}", area=Area.HOLDING, address=i, type=PointType.U16, poll_ns=NS,
            send=Send.SAMPLES,
        )
        for i in range(points)
    )  # fmt: skip
    device = DeviceDef(name="unit", bus="line", unit_id=1, points=defined)
    return Site(
        site="bench",
        agent=agent,
        buses=(BusDef(name="line", link=SerialLink(path="/dev/null"), devices=(device,)),),
        alarms=(),
        window_ns=60 * NS,
        uplink=UplinkDef(url=url, backlog_rate=backlog_rate),
        spool=SpoolDef(path=str(spool)),
    )


class Source:
    """What the process stage would say of one second: a value of every point, a few digits of noise, and
    now and then an alarm."""

    def __init__(self, points: int, alarm_every: int = 0) -> None:
        self._alarm_every = alarm_every
        dice = random.Random(1)
        self._values = [[1000 + i + dice.randrange(8) for i in range(points)] for _ in range(61)]
        self._second = 0

    def second(self, mono: MonoNs, wall: WallNs) -> Iterator[Result]:
        self._second += 1
        for point, value in enumerate(self._values[self._second % len(self._values)]):
            yield Sample(point, mono, wall, value, GOOD)
        if self._alarm_every and self._second % self._alarm_every == 0:
            yield transition(mono, wall, active=self._second // self._alarm_every % 2 == 1)


def transition(mono: MonoNs, wall: WallNs, *, active: bool) -> AlarmTransition:
    return AlarmTransition("high", "unit", "p0", active, 1.0, mono, wall, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class Filled:
    records: int
    size_bytes: int


def fill(site: Site, spool_folder: Path, seconds: int, epoch: bytes, *, alarms: bool = True) -> Filled:
    """One run of `seconds` that ends as by a kill. Nothing may be lost on the way."""
    spool = Spool(
        spool_folder, epoch, limits=Limits(max_bytes=1 << 40, min_free_bytes=0), counters=Counters()
    )
    writer = RecordWriter(site, epoch, boot_id=boot_id(), counters=Counters(), by=load("native"))
    source = Source(len(site.points), _ALARM_EVERY if alarms else 0)
    begin = 1_700_000_000 * NS
    spool.append(writer.start(Stamp(WallNs(begin), MonoNs(0), True), Recovery()))
    for second in range(1, seconds + 1):
        now = Stamp(WallNs(begin + second * NS), MonoNs(second * NS), True)
        items = writer.add([*source.second(now.mono_ns, now.wall_ns)], now)
        spool.append([*items, *writer.flush(now, now.wall_ns)])
        if second % _SYNC_EVERY == 0:
            spool.commit(now.mono_ns)
    spool.close(MonoNs(seconds * NS))
    stats = spool.stats()
    assert not spool.take_losses() and not stats.memory_only, stats
    return Filled(sum(stats.unacked.values()), stats.bytes_used)


def disk_of(folder: Path) -> str:
    """File system, mount and device that a folder lies on."""
    where = str(folder.resolve())
    mounts = [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines()]
    over = [
        (len(at), device, at, kind)
        for device, at, kind in mounts
        if re.match(f"{at.rstrip('/')}(/|$)", where)
    ]
    _, device, at, kind = max(over)
    return f"{kind} on {device}, mounted at {at}"
