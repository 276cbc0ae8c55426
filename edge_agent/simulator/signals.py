"""Values that change as a plant's do: pure functions of time and seed.

A signal is a sum of terms. Each term knows its value and its integral since time 0 in closed form, so
an energy counter needs no state, may be read at any time in any order, and fits its power exactly.
Time is in seconds since the simulator started. Nothing here reads a clock or a random generator:
noise is a hash of seed and time, so a run can be repeated and checked afterwards.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

_MASK = (1 << 64) - 1
NOISE_TICK_S = 0.1
"""Noise holds still this long, as a meter's measuring cycle does."""


class Signal(Protocol):
    """A number that depends on time alone."""

    def value(self, t: float) -> float: ...
    def integral(self, t: float) -> float:
        """Of `value` from 0 to `t`; noise counts as its mean, 0."""


def derive(seed: int, *names: object) -> int:
    """A seed of its own for everything that has a name, the same in every process."""
    # The seed as text: as the start value of the CRC it could be undone by the first letter.
    return zlib.crc32("/".join(str(name) for name in (seed, *names)).encode())


def hashed(seed: int, n: int) -> float:
    """A number in [-1, 1) that looks random (SplitMix64 over seed and n)."""
    z = (seed * 0x9E3779B97F4A7C15 + n * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / (1 << 63) - 1.0


@dataclass(frozen=True, slots=True)
class Constant:
    level: float

    def value(self, t: float) -> float:  # noqa: ARG002 (a constant is a signal too)
        return self.level

    def integral(self, t: float) -> float:
        return self.level * t


@dataclass(frozen=True, slots=True, kw_only=True)
class Sine:
    amplitude: float
    period_s: float
    phase: float = 0.0
    """In turns: 0.25 starts at the crest."""

    def value(self, t: float) -> float:
        return self.amplitude * math.sin(math.tau * (t / self.period_s + self.phase))

    def integral(self, t: float) -> float:
        begin = math.cos(math.tau * self.phase)
        end = math.cos(math.tau * (t / self.period_s + self.phase))
        return self.amplitude * self.period_s / math.tau * (begin - end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Rises from `low` to `high` in one period, then falls back at once."""

    low: float
    high: float
    period_s: float

    def value(self, t: float) -> float:
        return self.low + (self.high - self.low) * (t / self.period_s % 1.0)

    def integral(self, t: float) -> float:
        whole, part = divmod(t / self.period_s, 1.0)
        rise = self.high - self.low
        return self.low * t + rise * self.period_s * (whole + part * part) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`high` for the share `duty` of each period, `low` for the rest."""

    low: float
    high: float
    period_s: float
    duty: float = 0.5

    def value(self, t: float) -> float:
        return self.high if t / self.period_s % 1.0 < self.duty else self.low

    def integral(self, t: float) -> float:
        whole, part = divmod(t / self.period_s, 1.0)
        high_s = (whole * self.duty + min(part, self.duty)) * self.period_s
        return self.low * t + (self.high - self.low) * high_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Triangular noise within +-`amplitude`; a new draw every NOISE_TICK_S."""

    amplitude: float
    seed: int

    def value(self, t: float) -> float:
        tick = 2 * math.floor(t / NOISE_TICK_S)
        return self.amplitude * (hashed(self.seed, tick) + hashed(self.seed, tick + 1)) / 2

    def integral(self, t: float) -> float:  # noqa: ARG002 (its mean is 0)
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Now and then `add` is added for `lasts_s`: an overpressure, a jam, a door left open.

    One event in each span of `every_s`, the first span starting at `first_s`; `jitter_s` moves each
    start by a hashed amount within its span.
    """

    add: float
    every_s: float
    lasts_s: float
    first_s: float = 0.0
    jitter_s: float = 0.0
    seed: int = 0

    def value(self, t: float) -> float:
        start = self._start(self._span(t))
        return self.add if start <= t < start + self.lasts_s and t >= self.first_s else 0.0

    def integral(self, t: float) -> float:
        if t <= self.first_s:
            return 0.0
        span = self._span(t)
        now_s = min(max(t - self._start(span), 0.0), self.lasts_s)
        return self.add * (span * self.lasts_s + now_s)

    def intervals(self, t0: float, t1: float) -> Iterator[tuple[float, float]]:
        """(begin, end) of every event that touches [t0, t1), also with its end, in order."""
        for span in range(max(0, self._span(t0) - 1), max(0, self._span(t1)) + 1):
            begin = self._start(span)
            if begin < t1 and begin + self.lasts_s >= t0:
                yield begin, begin + self.lasts_s

    def _span(self, t: float) -> int:
        return math.floor((t - self.first_s) / self.every_s)

    def _start(self, span: int) -> float:
        return self.first_s + span * self.every_s + self.jitter_s * (hashed(self.seed, span) + 1) / 2


@dataclass(frozen=True, slots=True)
class Sum:
    terms: tuple[Signal, ...]

    def value(self, t: float) -> float:
        return sum(term.value(t) for term in self.terms)

    def integral(self, t: float) -> float:
        return sum(term.integral(t) for term in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integral:
    """A counter that integrates another signal: energy from power, litres from flow."""

    of: Signal
    per_s: float = 3600.0
    """Seconds in the unit of time of `of`: 3600 turns kW into kWh."""
    start: float = 0.0

    def value(self, t: float) -> float:
        return self.start + self.of.integral(t) / self.per_s

    def integral(self, t: float) -> float:
        """Not in closed form, and nobody needs the integral of an energy: by the trapezoid."""
        return (self.value(0.0) + self.value(t)) / 2 * t


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Counts the reads of its register: every value served is unique. Its state is the device's."""

    start: int = 0
    step: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    text: str


PointSignal = Signal | Counter | Text


def load(low: float, high: float, seed: int, start_of_day_s: float = 8 * 3600) -> Sum:
    """A plant's load between `low` and `high`: the day, the shift, slow drift and a machine cycle.

    Only sines, so that it has an exact integral. `start_of_day_s` is the time of day at t = 0.
    """
    mean, swing = (low + high) / 2, (high - low) / 2
    day_turns = start_of_day_s / 86400
    shares = (
        (0.25, 86400.0, day_turns - 0.375),  # lowest at 03:00, highest at 15:00
        (0.10, 28800.0, 3 * day_turns),  # three shifts
        (0.20, 613.0, hashed(seed, 1)),
        (0.15, 97.0, hashed(seed, 2)),
        (0.20, 23.0, hashed(seed, 3)),  # the machine's cycle and its third harmonic: a soft square
        (0.07, 23.0 / 3, 3 * hashed(seed, 3)),
    )
    sines = (Sine(amplitude=swing * share, period_s=period, phase=phase) for share, period, phase in shares)
    return Sum((Constant(mean), *sines))


def events(signal: PointSignal) -> Iterator[Event]:
    """The events within a signal, at any depth of sums."""
    if isinstance(signal, Event):
        yield signal
    elif isinstance(signal, Sum):
        for term in signal.terms:
            yield from events(term)
