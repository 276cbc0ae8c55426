"""Signals: the integral fits the value, time alone decides, events are where they are said to be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.simulator.signals import (
    Constant,
    Event,
    Integral,
    Noise,
    Ramp,
    Signal,
    Sine,
    Step,
    Sum,
    derive,
    events,
    hashed,
    load,
)

EVENT = Event(add=3.5, every_s=15.0, lasts_s=4.0, first_s=6.0)
SHAKY = Event(add=2.0, every_s=10.0, lasts_s=3.0, first_s=1.0, jitter_s=6.0, seed=7)

SIGNALS: dict[str, Signal] = {
    "constant": Constant(5.5),
    "sine": Sine(amplitude=2.0, period_s=7.0, phase=0.2),
    "ramp": Ramp(low=-1.0, high=4.0, period_s=9.0),
    "step": Step(low=1.0, high=3.0, period_s=8.0, duty=0.25),
    "event": EVENT,
    "event with jitter": SHAKY,
    "load": load(5.0, 6.5, seed=3),
    "sum": Sum((Constant(1.0), Sine(amplitude=1.0, period_s=3.0), EVENT)),
}


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_integral_is_the_area_under_the_value(signal: Signal):
    steps, until = 60_000, 60.0
    width = until / steps
    area = sum(signal.value((n + 0.5) * width) for n in range(steps)) * width
    assert signal.integral(until) == pytest.approx(area, abs=0.01)
    assert signal.integral(0.0) == pytest.approx(0.0, abs=1e-12)


@given(st.floats(0, 1e6), st.integers(0, 2**32))
def test_noise_stays_within_its_amplitude_and_repeats(t: float, seed: int):
    noise = Noise(amplitude=0.5, seed=seed)
    assert -0.5 <= noise.value(t) <= 0.5
    assert noise.value(t) == Noise(amplitude=0.5, seed=seed).value(t)


def test_noise_has_no_bias_and_no_pattern():
    values = [Noise(amplitude=1.0, seed=11).value(n * 0.1 + 0.05) for n in range(20_000)]
    mean = sum(values) / len(values)
    lag = sum(a * b for a, b in pairwise(values)) / sum(a * a for a in values)
    assert abs(mean) < 0.02
    assert abs(lag) < 0.03


def test_load_stays_within_its_range():
    signal = load(5.0, 6.5, seed=1)
    assert all(5.0 <= signal.value(t * 7.3) <= 6.5 for t in range(20_000))


@pytest.mark.parametrize("event", [EVENT, SHAKY])
def test_intervals_are_where_the_value_is(event: Event):
    inside = list(event.intervals(0.0, 200.0))
    assert inside
    for n in range(20_000):
        t = n / 100
        assert (event.value(t) != 0) == any(begin <= t < end for begin, end in inside)


def test_first_event_of_the_demo_comes_and_goes_within_20_seconds():
    assert list(EVENT.intervals(0.0, 20.0)) == [(6.0, 10.0)]


def test_counter_of_energy_never_falls():
    energy = Integral(of=load(1.0, 6.0, seed=5), start=100.0)
    values = [energy.value(t / 3) for t in range(3000)]
    assert values == sorted(values)
    assert values[0] == 100.0


def test_events_are_found_within_sums():
    assert list(events(Sum((Constant(1.0), Sum((EVENT,)))))) == [EVENT]


def test_seeds_differ_by_name_and_by_seed():
    assert len({derive(1, "a"), derive(1, "b"), derive(2, "a"), derive(1, "a", "b")}) == 4
    assert hashed(1, 2) != hashed(1, 3)
