"""What the record benchmark packs: classes of signals, and a day of a three-phase meter.

Deterministic. Polls are due on a grid; the reply to a request comes its line time later and with a jitter
of JITTER_US (standard deviation), and all points of one request share its time, as in the agent.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from edge_agent.bus.plan.cost import line_cost
from edge_agent.bus.plan.planner import Planner
from edge_agent.bus.plan.refusals import Refusals
from edge_agent.model import (
    NS,
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
    Site,
    SpoolDef,
    UplinkDef,
    WallNs,
)
from edge_agent.process.results import Sample, Value
from edge_agent.process.rounding import to_multiples_of
from edge_agent.profiles import as_device, default_library
from edge_agent.simulator.plant import Plant
from edge_agent.simulator.signals import Signal

T0_NS = 1_788_000_000 * NS
M0_NS = 4_000 * NS
JITTER_US = 100
POINTS = 100
REQUESTS = 2
GOOD = Quality(0)
Sensor = Callable[[int], Value]
"""What a point says at its n-th poll."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A site, and what was polled of it."""

    site: Site
    samples: tuple[Sample, ...]

    def batches(self, seconds: float) -> Iterator[list[Sample]]:
        """Cut as the writer cuts: by time, counted from the first sample of a batch."""
        batch: list[Sample] = []
        for sample in self.samples:
            if batch and sample.mono_ns - batch[0].mono_ns >= round(seconds * NS) - NS // 2:
                yield batch
                batch = []
            batch.append(sample)
        yield batch


# --- classes of signals ---------------------------------------------------------------------------


def constant(rng: random.Random) -> Sensor:
    level = rng.randrange(60_000)
    return lambda _: level


def smooth(rng: random.Random) -> Sensor:
    """A temperature or level in hundredths: a slow wave of 20 % of the range in half an hour."""
    level, phase = rng.randrange(10_000, 50_000), rng.random()
    return lambda n: round(level + 6_500 * math.sin(math.tau * (n / 1800 + phase)))


def noisy(rng: random.Random) -> Sensor:
    """Gaussian noise of 100 counts, the lowest 9 bits of an analogue input."""
    level = rng.randrange(10_000, 50_000)
    return lambda _: round(rng.gauss(level, 100))


def stepwise(rng: random.Random) -> Sensor:
    """A set point or state: another of eight levels about once in 50 polls."""
    levels, now = [rng.randrange(60_000) for _ in range(8)], [0]

    def say(_n: int) -> int:
        if rng.random() < 0.02:
            now[0] = rng.randrange(8)
        return levels[now[0]]

    return say


def raw_f32(rng: random.Random) -> Sensor:
    """A meter's float with all its bits: 230 V and Gaussian noise of 0.3 V."""
    return lambda _: single(rng.gauss(230.0, 0.3))


def decimal_f32(rng: random.Random) -> Sensor:
    """A float of a device that measures tenths."""
    return lambda _: single(round(rng.gauss(230.0, 0.3), 1))


def filtered_f64(rng: random.Random) -> Sensor:
    """The low pass (tau of 10 polls) of such noise, all 64 bits."""
    state = [rng.gauss(5.0, 0.1)]

    def say(_n: int) -> float:
        state[0] += (1 - math.exp(-0.1)) * (rng.gauss(5.0, 0.1) - state[0])
        return state[0]

    return say


def rounded_f64(rng: random.Random) -> Sensor:
    exact, rounded = filtered_f64(rng), to_multiples_of(0.01)
    return lambda n: rounded(exact(n))  # type: ignore[arg-type]


def single(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


@dataclass(frozen=True, slots=True)
class Class:
    name: str
    type: PointType
    sensor: Callable[[random.Random], Sensor]
    budget: str = ""
    filtered: bool = False


CLASSES = (
    Class("constant registers", PointType.U16, constant, "<= 0.2"),
    Class("smooth registers", PointType.U16, smooth, "<= 2"),
    Class("noisy registers", PointType.U16, noisy, "<= 3"),
    Class("stepwise registers", PointType.U16, stepwise),
    Class("raw f32, all bits", PointType.F32, raw_f32),
    Class("raw f32 of tenths", PointType.F32, decimal_f32),
    Class("filtered f64", PointType.F64, filtered_f64, filtered=True),
    Class("filtered f64, resolution 0.01", PointType.F64, rounded_f64, filtered=True),
)


def of_class(kind: Class, seconds: int) -> Recording:
    """POINTS points of one device, polled once a second by REQUESTS requests."""
    rng = random.Random(kind.name)
    points = tuple(
        _point(f"p_{n:02}", kind.type, 2 * n, filters=(Lowpass(tau_ns=10 * NS),) if kind.filtered else ())
        for n in range(POINTS)
    )
    sensors = [kind.sensor(rng) for _ in points]
    size = POINTS // REQUESTS
    samples = []
    for poll in range(seconds):
        for start in range(0, POINTS, size):
            at_us = poll * 1_000_000 + 30_000 * (start // size) + round(rng.gauss(0, JITTER_US))
            reply = range(start, start + size)
            samples += [_sample(point, at_us, sensors[point](poll)) for point in reply]
    device = DeviceDef(name="press", bus="line1", unit_id=1, points=points)
    return Recording(site=_site(device), samples=tuple(samples))


# --- a day of a meter -----------------------------------------------------------------------------


def meter_day(every: int) -> Recording:
    """One of `every` minutes of a day of an SDM630: its 38 points in the profile's classes (1, 5 and 60 s),
    the values of the simulator's plant: three loads that follow the day, mains with noise."""
    profile = default_library().get("eastron/sdm630")
    device = as_device(profile, name="meter", bus="line1", unit_id=1)
    plant = Plant.of(device.points, seed=1, start_of_day_s=0)
    # No point of this profile is a text or a state.
    signals = [cast(Signal, plant.signal(p, profile.roles.get(p.name, ""))) for p in device.points]
    periods = [{"fast": 1, "normal": 5, "slow": 60}[str(spec.poll)] for spec in profile.points]
    rng = random.Random(630)
    samples: list[Sample] = []
    requests = _Requests(device)
    for minute in range(0, 1440, every):
        for second in range(minute * 60, minute * 60 + 60):
            due = tuple(n for n, period in enumerate(periods) if second % period == 0)
            samples += _polled(second, requests.of(due), signals, rng)
    return Recording(site=_site(device), samples=tuple(samples))


class _Requests:
    """The agent's own plans for the points that are due together."""

    def __init__(self, device: DeviceDef) -> None:
        bus = BusDef(name="line1", link=SerialLink(path="x", baud=9600))
        self._planner = Planner(0, device, list(enumerate(device.points)), line_cost(bus, device))
        self._known: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}

    def of(self, due: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
        """(microseconds after the first is due, points) of each request."""
        if due not in self._known:
            end_us, found = 0, []
            for request in self._planner.plan(due, Refusals()).requests:
                end_us += self._planner.line_ns(request) // 1000
                found.append((end_us, tuple(request.points)))
            self._known[due] = found
        return self._known[due]


def _polled(
    second: int,
    requests: Sequence[tuple[int, tuple[int, ...]]],
    signals: Sequence[Signal],
    rng: random.Random,
) -> Iterator[Sample]:
    for end_us, points in requests:
        at_us = second * 1_000_000 + end_us + abs(round(rng.gauss(0, JITTER_US)))
        for point in points:
            yield _sample(point, at_us, single(float(signals[point].value(at_us / 1e6))))


# --- parts ----------------------------------------------------------------------------------------


def _sample(point: int, at_us: int, value: Value) -> Sample:
    return Sample(point, MonoNs(M0_NS + at_us * 1000), WallNs(T0_NS + at_us * 1000), value, GOOD)


def _point(name: str, kind: PointType, address: int, filters: tuple[Lowpass, ...]) -> PointDef:
    return PointDef(
        device="press", name=name, area=Area.HOLDING, address=address, type=kind, poll_ns=NS,
        filters=filters, send=Send.SAMPLES,
    )  # fmt: skip


def _site(device: DeviceDef) -> Site:
    return Site(
        site="plant-a",
        agent="press-hall-1",
        buses=(BusDef(name="line1", link=SerialLink(path="/dev/ttyUSB0"), devices=(device,)),),
        alarms=(),
        window_ns=10 * NS,
        uplink=UplinkDef(url="mqtt://127.0.0.1:1883"),
        spool=SpoolDef(),
    )
