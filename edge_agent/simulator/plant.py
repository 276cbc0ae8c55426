"""Believable values for points nobody gave a signal: what a profile's devices show.

Guesses by unit and name, as the profiles write them (`v_l1`, `p`, `e_imp`, ...). An energy meter's
phases fit each other: the power is the load, the current follows from p = v * i * pf, the energy is
the exact integral of the power. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.model import PointDef, PointType
from edge_agent.simulator.signals import (
    Constant,
    Integral,
    Noise,
    PointSignal,
    Signal,
    Sine,
    Sum,
    Text,
    derive,
    hashed,
    load,
)

# unit -> (kind of quantity, how many of the meter's base units it holds)
_ELECTRIC = {
    "V": ("v", 1.0), "A": ("i", 1.0), "Hz": ("freq", 1.0),
    "W": ("p", 1.0), "kW": ("p", 1e3), "MW": ("p", 1e6),
    "VA": ("s", 1.0), "kVA": ("s", 1e3), "var": ("q", 1.0), "kvar": ("q", 1e3),
    "Wh": ("e", 1.0), "kWh": ("e", 1e3), "MWh": ("e", 1e6),
    "varh": ("eq", 1.0), "kvarh": ("eq", 1e3), "VAh": ("es", 1.0), "kVAh": ("es", 1e3),
}  # fmt: skip

_PHASE_TO_PHASE = re.compile(r"l1_?l?2|l2_?l?3|l3_?l?1|_ll(?:_|$)")
_PHASE = re.compile(r"(?:^|_)l([123])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a meter: power and voltage are given, the rest follows."""

    power: Sum
    volts: Sum
    factor: Sum
    noise: Noise
    """Of the power, as a share: in the momentary value only, its integral is 0."""

    def p(self, t: float) -> float:
        return self.power.value(t) * (1 + self.noise.value(t))

    def v(self, t: float) -> float:
        return self.volts.value(t)

    def pf(self, t: float) -> float:
        return self.factor.value(t)

    def i(self, t: float) -> float:
        return self.p(t) / (self.v(t) * self.pf(t))

    def s(self, t: float) -> float:
        return self.v(t) * self.i(t)

    def q(self, t: float) -> float:
        return math.sqrt(max(self.s(t) ** 2 - self.p(t) ** 2, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A signal computed from others; the integral is taken where somebody knows it."""

    of: Callable[[float], float]
    by_integral: Callable[[float], float] | None = None

    def value(self, t: float) -> float:
        return self.of(t)

    def integral(self, t: float) -> float:
        return self.by_integral(t) if self.by_integral else (self.of(0.0) + self.of(t)) / 2 * t


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """Signals for one device's points. `phases` is empty where it is no energy meter."""

    seed: int
    start_of_day_s: float
    phases: tuple[Phase, ...] = field(default=())

    @classmethod
    def of(cls, points: tuple[PointDef, ...], seed: int, start_of_day_s: float = 8 * 3600) -> Plant:
        electric = [point for point in points if point.unit in _ELECTRIC]
        count = 3 if any(_phase_of(point) for point in electric) else 1 if electric else 0
        phases = tuple(_phase(derive(seed, "phase", n), n, start_of_day_s) for n in range(count))
        return cls(seed=seed, start_of_day_s=start_of_day_s, phases=phases)

    def signal(self, point: PointDef, role: str = "") -> PointSignal:
        """What `point` shows, within its plausible range, its enum and its type.

        `role` is the profile's: an identity or a setting stands still, a counter only rises.
        """
        if point.type is PointType.STRING:
            return Text(f"SIM-{point.name.upper()}")
        if point.enum:
            return Constant(float(point.enum[0][0]))
        if point.flags:
            return Constant(0.0)
        if role in ("id", "setting", "command"):
            return Constant(float(sum(_range_of(point)) // 2))
        electric = self._electric(point)
        if electric is not None and _fits(point, electric):
            return electric
        return self._general(point, is_counter=role == "counter")

    def _electric(self, point: PointDef) -> Signal | None:
        if not self.phases:
            return None
        kind, factor = _ELECTRIC.get(point.unit, ("", 1.0))
        if re.match(r"(pf|power_factor|cos)", point.name):
            kind = "pf"
        if not kind:
            return None
        base = self._energy(kind, point) if kind in ("e", "eq", "es") else self._momentary(kind, point)
        return base if factor == 1.0 else Derived(of=lambda t: base.value(t) / factor)

    def _momentary(self, kind: str, point: PointDef) -> Signal:
        if kind == "freq":
            return Sum(
                (Constant(50.0), Sine(amplitude=0.02, period_s=41.0), Noise(amplitude=0.01, seed=self.seed))
            )
        number = _phase_of(point)
        chosen = (self.phases[number - 1],) if number else self.phases
        if kind == "v" and len(self.phases) == 3 and _PHASE_TO_PHASE.search(point.name):
            return Derived(of=lambda t: math.sqrt(3) * _mean([phase.v(t) for phase in chosen]))
        if kind == "i" and re.search(r"_n$|neutral", point.name):
            return Derived(of=lambda t: 0.1 * self.phases[0].i(t))
        if kind == "v" or (kind == "i" and re.search(r"avg|mean", point.name)):
            return Derived(of=lambda t: _mean([getattr(phase, kind)(t) for phase in chosen]))
        if kind == "pf":
            return Derived(of=lambda t: sum(ph.p(t) for ph in chosen) / sum(ph.s(t) for ph in chosen))
        return Derived(of=lambda t: sum(getattr(phase, kind)(t) for phase in chosen))

    def _energy(self, kind: str, point: PointDef) -> Signal:
        """Import and total grow with the power; export and the like stand still."""
        number = _phase_of(point)
        chosen = (self.phases[number - 1],) if number else self.phases
        start = 150_000.0 * len(chosen)
        if re.search(r"exp|gen|_neg", point.name):
            return Constant(start / 100)
        share = {"e": 1.0, "eq": 0.4, "es": 1.08}[kind]
        power = Sum(tuple(phase.power for phase in chosen))
        return Derived(of=lambda t: share * (start + power.integral(t) / 3600))

    def _general(self, point: PointDef, is_counter: bool) -> PointSignal:
        """Something that moves within the range that is plausible for the point, or for its unit."""
        seed = derive(self.seed, point.name)
        if point.type is PointType.BOOL or point.area.is_bits:
            return Constant(float(seed & 1))
        low, high = _range_of(point)
        span = high - low
        if is_counter:
            return Integral(of=load(low, high, seed, self.start_of_day_s), start=low)
        return Sum((load(low, high, seed, self.start_of_day_s), Noise(amplitude=span / 100, seed=seed)))


def _phase(seed: int, number: int, start_of_day_s: float) -> Phase:
    """About 3.5 kW at 230 V. Loads of the phases are alike, not equal."""
    size = 1 + 0.1 * hashed(seed, 0)
    sag = Sine(amplitude=1.5, period_s=71.0, phase=number / 3)
    return Phase(
        power=load(1200.0 * size, 5800.0 * size, seed, start_of_day_s),
        volts=Sum((Constant(230.5), sag, Noise(amplitude=0.4, seed=seed))),
        factor=Sum((Constant(0.93), Sine(amplitude=0.03, period_s=53.0, phase=number / 3))),
        noise=Noise(amplitude=0.01, seed=seed + 1),
    )  # fmt: skip


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _phase_of(point: PointDef) -> int:
    """1 to 3, or 0 for the whole: `v_l1` is phase 1, `v_l1l2` is counted with phase 1."""
    found = _PHASE.search(point.name)
    return int(found[1]) if found else 0


def _fits(point: PointDef, signal: Signal) -> bool:
    if point.plausible is None:
        return True
    low, high = point.plausible
    return all(low <= signal.value(t) <= high for t in (0.0, 1000.0, 30_000.0))


# unit -> a range seldom left in normal operation; others by the width of the type
_USUAL = {
    "Cel": (38.0, 62.0), "°C": (38.0, 62.0), "K": (300.0, 330.0), "%": (20.0, 80.0), "%RH": (35.0, 55.0),
    "bar": (5.0, 6.5), "kPa": (500.0, 650.0), "rpm": (1440.0, 1490.0), "deg": (10.0, 30.0),
    "V": (228.0, 233.0), "A": (4.0, 12.0), "W": (800.0, 2500.0), "kW": (0.8, 2.5), "Hz": (49.95, 50.05),
    "m/s": (1.0, 2.0), "mm": (10.0, 90.0), "l/min": (20.0, 40.0), "m3/h": (2.0, 4.0), "s": (0.0, 60.0),
    "kg": (100.0, 900.0), "1": (0.2, 0.9), "": (0.0, 100.0),
}  # fmt: skip


def _range_of(point: PointDef) -> tuple[float, float]:
    if point.name.startswith("thd"):
        return 1.5, 3.5
    if point.plausible is None:
        return _USUAL.get(point.unit, (0.0, 100.0))
    low, high = point.plausible
    usual_low, usual_high = _USUAL.get(point.unit, (low, high))
    if low <= usual_low and usual_high <= high:
        return usual_low, usual_high
    quarter = (high - low) / 4
    return low + quarter, high - quarter
