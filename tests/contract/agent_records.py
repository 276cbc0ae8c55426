"""Records as an agent would make them, for tests of what lies behind the record writer."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.counters import Counters
from edge_agent.model import (
    NS,
    Area,
    BusDef,
    DeviceDef,
    MonoNs,
    PointDef,
    PointType,
    Quality,
    Send,
    Severity,
    Site,
    SpoolDef,
    TcpLink,
    UplinkDef,
    WallNs,
)
from edge_agent.process.results import AlarmTransition, Result, Sample, Summary
from edge_agent.records.values import EncodedRecord, Kind, Recovery, Stamp
from edge_agent.records.writer import RecordWriter
from edge_agent.uplink.outbox import Births, MemoryOutbox

WALL = 1_700_000_000 * NS
BOOT = "0123456789abcdef0123456789abcdef"


def stamp(seconds: float = 0.0) -> Stamp:
    return Stamp(WallNs(WALL + round(seconds * NS)), MonoNs(round((1000 + seconds) * NS)), True)


def small_site(*points: str, url: str = "mqtt://127.0.0.1") -> Site:
    """One device `press`, points of type u16 in bar that send samples."""
    defs = tuple(
        PointDef(
            device="press", name=name, area=Area.HOLDING, address=number, type=PointType.U16, scale=0.1,
            unit="bar", poll_ns=NS, send=Send.SAMPLES,
        )
        for number, name in enumerate(points or ("pressure",))
    )  # fmt: skip
    device = DeviceDef(name="press", bus="line1", unit_id=1, points=defs)
    bus = BusDef(name="line1", link=TcpLink(host="127.0.0.1"), devices=(device,))
    return Site(
        site="plant-a", agent="press", buses=(bus,), alarms=(), window_ns=10 * NS,
        uplink=UplinkDef(url=url), spool=SpoolDef(),
    )  # fmt: skip


def sample(value: int, seconds: float = 0.0, point: int = 0) -> Sample:
    at = stamp(seconds)
    return Sample(point, at.mono_ns, at.wall_ns, value, Quality(0))


def summary(mean: float, seconds: float = 0.0, point: int = 0) -> Summary:
    start = stamp(seconds).wall_ns
    return Summary(
        point,
        start,
        WallNs(start + 10 * NS),
        10,
        1,
        2,
        mean - 1,
        mean + 1,
        mean,
        0.5,
        mean,
        mean,
        Quality(64),
    )


def alarm(active: bool, seconds: float = 0.0) -> AlarmTransition:
    at = stamp(seconds)
    return AlarmTransition(
        name="overpressure", device="press", point="pressure", active=active, value=8.4,
        mono_ns=at.mono_ns, wall_ns=at.wall_ns, severity=Severity.CRITICAL,
    )  # fmt: skip


class FakeAgent:
    """A record writer and a memory outbox: an agent without lines and disks."""

    def __init__(
        self, site: Site, epoch: bytes, previous: Recovery | None = None, outbox: MemoryOutbox | None = None
    ):
        self.outbox = outbox or MemoryOutbox(epoch)
        self.outbox.new_epoch(epoch)
        self.writer = RecordWriter(site, epoch, boot_id=BOOT, counters=Counters())
        self.records: list[EncodedRecord] = []
        self.store(self.writer.start(stamp(), previous or Recovery()))

    def store(self, items: Sequence[object]) -> None:
        for item in items:
            if isinstance(item, EncodedRecord):
                self.records.append(item)
                self.outbox.append(item.stream, item.data)
        births = [record.data for record in self.records if record.kind == Kind.BIRTH]
        self.outbox.set_births(Births(tuple(births), self.outbox.births().older))

    def add(self, *results: Result, seconds: float = 0.0) -> None:
        self.store(self.writer.add(results, stamp(seconds)))
        self.store(self.writer.flush(stamp(seconds), stamp(seconds).wall_ns))

    def stop(self) -> None:
        self.store(self.writer.stop(stamp(1), "stopped", stamp(1).wall_ns))

    @property
    def last(self) -> dict[str, int]:
        return dict(self.outbox.tails())
