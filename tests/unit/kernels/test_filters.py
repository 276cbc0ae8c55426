"""The filter chain against `statistics.median_low` and straightforward models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.kernels import Kernels, load
from edge_agent.model import Deadband, Filter, Lowpass, Median
from tests.unit.kernels.table_cells import Bench, bits
from tests.unit.process.sites import point

modest = settings(max_examples=40, deadline=None)
finite = st.floats(allow_nan=False, allow_infinity=False)
plant = finite | st.floats(1e9, 1e9 + 1) | st.sampled_from([0.0, -0.0, 5.0, 1e308, -1e308, 5e-324])
steps_ns = st.integers(0, 10**11)
series = st.lists(st.tuples(plant, steps_ns), max_size=40)
filters = st.one_of(
    st.integers(1, 7).map(lambda half: Median(samples=2 * half + 1)),
    st.integers(1, 10**12).map(lambda tau: Lowpass(tau_ns=tau)),
    st.floats(0, 1e6).map(lambda width: Deadband(width=width)),
)
chains = st.lists(filters, max_size=4)


def run(kernels: Kernels, chain: Iterable[Filter], values: Iterable[tuple[float, int]]) -> list[float]:
    return outputs(Bench.of(kernels, [point(filters=tuple(chain))]), values)


def outputs(bench: Bench, values: Iterable[tuple[float, int]], start_ns: int = 0) -> list[float]:
    result, now = [], start_ns
    for value, step in values:
        now += step
        result.append(bench.filter(value, now))
    return result


def steady(values: Iterable[float], step_ns: int = 10**9) -> list[tuple[float, int]]:
    return [(value, step_ns) for value in values]


def test_without_stages_the_value_passes(kernel_set: Kernels):
    assert run(kernel_set, [], steady([1.5, -2.0])) == [1.5, -2.0]


@pytest.mark.parametrize("samples", [1, 3, 5, 15])
@given(values=st.lists(plant, max_size=40))
@modest
def test_median_equals_the_median_of_the_last_values_or_of_those_that_are_there(
    kernel_set: Kernels, samples: int, values: list[float]
):
    expected = [statistics.median_low(values[max(0, i - samples + 1) : i + 1]) for i in range(len(values))]
    assert run(kernel_set, [Median(samples=samples)], steady(values)) == expected


def test_a_single_spike_never_passes_a_full_median(kernel_set: Kernels):
    assert run(kernel_set, [Median(samples=3)], steady([1, 1, 1, 99, 1, 1]))[2:] == [1, 1, 1, 1]


@given(values=series, tau=st.integers(1, 10**12))
@modest
def test_lowpass_follows_its_differential_equation(
    kernel_set: Kernels, values: list[tuple[float, int]], tau: int
):
    got = run(kernel_set, [Lowpass(tau_ns=tau)], values)
    out = None
    for (value, step), seen in zip(values, got, strict=True):
        kept = math.exp(-step / tau)
        # Exact to a rounding of what goes in: the output may be far smaller than the step it took.
        size = max(abs(value), abs(out or 0.0))
        out = value if out is None else kept * out + (1 - kept) * value
        assert math.isfinite(seen)
        assert abs(seen - out) <= 1e-12 * size + 1e-300
        out = seen


def test_one_time_constant_brings_the_lowpass_63_percent_of_the_way_in_any_number_of_steps(
    kernel_set: Kernels,
):
    for steps in (1, 2, 10):
        values = [(0.0, 0)] + [(1.0, 10**9 // steps)] * steps
        assert run(kernel_set, [Lowpass(tau_ns=10**9)], values)[-1] == pytest.approx(
            1 - math.exp(-1), rel=1e-12
        )


def test_a_constant_stays_exactly_constant_at_any_offset(kernel_set: Kernels):
    for offset in (0.1, 1e9 + 0.1, -1e308):
        chain: list[Filter] = [
            Median(samples=5),
            Lowpass(tau_ns=10**9),
            Deadband(width=0.1),
            Lowpass(tau_ns=7),
        ]
        assert set(run(kernel_set, chain, steady([offset] * 50, 333_333_333))) == {offset}


def test_a_step_that_overflows_leaves_the_lowpass_finite(kernel_set: Kernels):
    half_life = [(1e308, 0), (-1e308, round(math.log(2) * 10**9))]
    out = run(kernel_set, [Lowpass(tau_ns=10**9)], half_life)[-1]
    assert abs(out) < 1e300


def test_a_time_that_stands_still_or_goes_back_does_not_move_the_lowpass(kernel_set: Kernels):
    assert run(kernel_set, [Lowpass(tau_ns=10**9)], [(1.0, 100), (9.0, 0), (9.0, -50)]) == [1.0] * 3


@given(values=st.lists(plant, max_size=40), width=st.floats(0, 1e6))
@modest
def test_deadband_moves_only_beyond_its_width(kernel_set: Kernels, values: list[float], width: float):
    held = None
    for value, seen in zip(values, run(kernel_set, [Deadband(width=width)], steady(values)), strict=True):
        if held is None or abs(value - held) > width:
            held = value
        assert seen == held


@given(chain=chains, values=series, cut=st.integers(0, 40))
@modest
def test_two_batches_with_carried_state_equal_one_batch(
    kernel_set: Kernels, chain: list[Filter], values: list[tuple[float, int]], cut: int
):
    whole = run(kernel_set, chain, values)
    first = Bench.of(kernel_set, [point(filters=tuple(chain))])
    a = outputs(first, values[:cut])
    second = Bench.of(kernel_set, [point(filters=tuple(chain))])
    second.take_state(first)
    b = outputs(second, values[cut:], sum(step for _, step in values[:cut]))
    assert [*map(bits, a + b)] == [*map(bits, whole)]


@given(chain=chains, values=series)
@modest
def test_every_mode_gives_the_same_bits_and_finite_outputs(
    kernel_set: Kernels, chain: list[Filter], values: list[tuple[float, int]]
):
    plain = Bench.of(load("python"), [point(filters=tuple(chain))])
    bench = Bench.of(kernel_set, [point(filters=tuple(chain))])
    expected = outputs(plain, values)
    assert [*map(bits, outputs(bench, values))] == [*map(bits, expected)]
    assert bench.state_bits() == plain.state_bits()
    assert all(map(math.isfinite, expected))
