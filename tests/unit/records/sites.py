"""Small sites and results for the tests of records and spool."""

from __future__ import annotations

from edge_agent.model import (
    NS,
    AlarmDef,
    AlarmKind,
    Area,
    BusDef,
    DeviceDef,
    Lowpass,
    MonoNs,
    PointDef,
    PointType,
    Quality,
    Send,
    SerialLink,
    Severity,
    Site,
    SpoolDef,
    UplinkDef,
    WallNs,
)  # fmt: skip
from edge_agent.process.results import AlarmTransition, Sample, Summary, Value
from edge_agent.records.values import Stamp

EPOCH = bytes.fromhex("0102030405060708")
BOOT = "00112233445566778899aabbccddeeff"
T0 = 1_700_000_000_000_000_000
M0 = 5_000_000_000


def now(ns: int = 0, *, synced: bool = True) -> Stamp:
    return Stamp(WallNs(T0 + ns), MonoNs(M0 + ns), synced)


def point(name: str, device: str = "press", **more: object) -> PointDef:
    fields: dict[str, object] = {
        "device": device, "name": name, "area": Area.HOLDING, "address": 100, "type": PointType.U16,
        "poll_ns": NS,
    }  # fmt: skip
    return PointDef(**{**fields, **more})  # type: ignore[arg-type]


def site(*points: PointDef) -> Site:
    devices = tuple(
        DeviceDef(
            name=name, bus="line1", unit_id=place + 1, points=tuple(p for p in points if p.device == name)
        )
        for place, name in enumerate(dict.fromkeys(p.device for p in points))
    )
    alarm = AlarmDef(
        name="overpressure", device="press", point="pressure", kind=AlarmKind.ABOVE, low=0.0, high=8.0,
        severity=Severity.CRITICAL,
    )  # fmt: skip
    return Site(
        site="plant-a",
        agent="press-hall-1",
        buses=(BusDef(name="line1", link=SerialLink(path="/dev/ttyUSB0"), devices=devices),),
        alarms=(alarm,),
        window_ns=10 * NS,
        uplink=UplinkDef(url="mqtt://127.0.0.1:1883"),
        spool=SpoolDef(),
        config_hash="ab" * 32,
    )


def press() -> Site:
    """Two points that send samples (one scaled, one filtered) and one that sends summaries."""
    return site(
        point("pressure", unit="bar", scale=0.1, send=Send.SAMPLES, title="Hydraulic pressure"),
        point("speed", unit="1/min", scale=10.0, filters=(Lowpass(tau_ns=NS),), send=Send.SAMPLES),
        point("energy", device="meter", unit="kWh", enum=((0, "off"), (1, "on"))),
    )


def sample(index: int, ns: int, value: Value, quality: int = 0, *, wall_step: int = 0) -> Sample:
    return Sample(index, MonoNs(M0 + ns), WallNs(T0 + ns + wall_step), value, Quality(quality))


def summary(index: int, window: int = 0, **more: object) -> Summary:
    fields: dict[str, object] = {
        "point": index, "t0_ns": T0 + window * 10 * NS, "t1_ns": T0 + (window + 1) * 10 * NS, "count": 10,
        "bad": 0, "missing": 0, "min": 1.5, "max": 2.5, "mean": 2.1, "std": 0.25, "first": 1.5, "last": 2.5,
        "quality": Quality(0),
    }  # fmt: skip
    return Summary(**{**fields, **more})  # type: ignore[arg-type]


def alarm(*, active: bool = True, ns: int = 0, repeated: bool = False) -> AlarmTransition:
    return AlarmTransition(
        name="overpressure", device="press", point="pressure", active=active, value=8.25,
        mono_ns=MonoNs(M0 + ns), wall_ns=WallNs(T0 + ns), severity=Severity.CRITICAL, repeated=repeated,
    )  # fmt: skip
