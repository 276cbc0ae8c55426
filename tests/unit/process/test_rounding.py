"""Filtered samples to the resolution of their point."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.kernels import load
from edge_agent.model import Lowpass, Send
from edge_agent.process.results import Sample, Summary
from edge_agent.process.rounding import to_multiples_of
from edge_agent.process.stage import Stage
from tests.unit.process.sites import block, f64, point, request, site, times

RESOLUTIONS = [0.1, 0.01, 0.05, 0.25, 2.5, 5.0, 1.0, 1e-6, 1e3, 2e6]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@given(steps=st.floats(-1e9, 1e9))
def test_the_nearest_multiple_is_given_as_the_double_nearest_to_its_decimal(
    resolution: float, steps: float
) -> None:
    step, value = Fraction(repr(resolution)), steps * resolution
    rounded = to_multiples_of(resolution)(value)
    nearest = round(Fraction(rounded) / step)
    assert rounded == float(nearest * step)
    assert abs(Fraction(value) - nearest * step) <= step * Fraction(500001, 1000000)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e300, -(2.0**60)])
def test_what_has_no_digits_to_lose_stays_as_it_is(value: float) -> None:
    assert to_multiples_of(0.1)(value) == value
    assert math.isnan(to_multiples_of(0.1)(math.nan))


def test_samples_of_a_filtered_point_are_rounded_and_nothing_else_of_it() -> None:
    filtered = {"filters": (Lowpass(tau_ns=1),), "resolution": 0.1}
    definition = site(
        [
            point("sent", send=Send.SAMPLES, **filtered),
            point("windowed", address=4, **filtered),
            point("raw", address=8, send=Send.SAMPLES),
        ]
    )
    stage = Stage.build(definition, 1, load("python"), *times(0))
    results = stage.feed([block(request(definition, 0, 1, 2), f64(5.2600001, 5.2600001, 5.2600001), 1)])
    results += stage.tick(*times(11))
    assert [r.value for r in results if isinstance(r, Sample)] == [5.3, 5.2600001]
    assert [(r.mean, r.first) for r in results if isinstance(r, Summary)] == [(5.2600001, 5.2600001)]
