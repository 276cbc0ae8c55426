"""Windows against exact rational statistics, at large offsets and over all qualities."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.kernels import Kernels
from edge_agent.kernels.layout import (
    OUT_BAD,
    OUT_COUNT,
    OUT_FIRST,
    OUT_LAST,
    OUT_MAX,
    OUT_MEAN,
    OUT_MIN,
    OUT_STD,
    OUT_WORST,
)
from edge_agent.model import CLOCK, GOOD, IMPLAUSIBLE, INVALID, NO_REPLY, STALE, Quality
from tests.unit.kernels.table_cells import Bench, bits
from tests.unit.process.sites import point

modest = settings(max_examples=40, deadline=None)
offsets = st.sampled_from([0.0, 1e9, -1e9, 1e-9, 1e15])
samples = st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=60)


def add(bench: Bench, quality: int, value: float, filtered: float) -> None:
    bench.kernels.window_add(0, quality, value, filtered, bench.tables.state_i, bench.tables.state_f)


@given(samples=samples, offset=offsets)
@example(samples=[(0.0, 0.0), (1.0, 1.0)] * 30, offset=1e9)
@modest
def test_statistics_equal_exact_arithmetic_at_any_offset(
    kernel_set: Kernels, samples: list[tuple[float, float]], offset: float
):
    bench = Bench.of(kernel_set, [point()])
    raw = [offset + value for value, _ in samples]
    filtered = [offset + value for _, value in samples]
    for value, smooth in zip(raw, filtered, strict=True):
        add(bench, GOOD, value, smooth)
    out_i, out_f = bench.read_window()
    assert out_i[OUT_COUNT] == len(samples)
    assert (out_f[OUT_MIN], out_f[OUT_MAX]) == (min(raw), max(raw))
    assert (out_f[OUT_FIRST], out_f[OUT_LAST]) == (raw[0], raw[-1])
    exact = [Fraction(value) for value in filtered]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    one_ulp = math.ulp(max(map(abs, filtered)))
    assert abs(out_f[OUT_MEAN] - float(mean)) <= len(exact) * one_ulp
    assert abs(out_f[OUT_STD] - math.sqrt(variance)) <= 1e-9 * math.sqrt(variance) + len(exact) * one_ulp


def test_one_bit_of_noise_at_an_offset_of_1e9_has_its_standard_deviation(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point()])
    for i in range(1000):
        add(bench, GOOD, 0.0, 1e9 + (i % 2) * 1e-6)
    assert bench.read_window()[1][OUT_STD] == pytest.approx(0.5e-6, rel=0.1)


def test_a_constant_has_a_deviation_of_exactly_zero(kernel_set: Kernels):
    for value in (0.0, 0.1, 1e9 + 0.1, 1e308, -5e-324):
        bench = Bench.of(kernel_set, [point()])
        for _ in range(100):
            add(bench, GOOD, value, value)
        _, out_f = bench.read_window()
        assert (out_f[OUT_MEAN], out_f[OUT_STD]) == (value, 0.0)


def test_values_at_both_ends_of_the_doubles_keep_a_finite_mean(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point()])
    top = 1.7976931348623157e308
    for value in (top, -top, top, -top, 0.0):
        add(bench, GOOD, value, value)
    assert abs(bench.read_window()[1][OUT_MEAN]) <= top / 2


qualities = st.sampled_from([GOOD, CLOCK, STALE, IMPLAUSIBLE, INVALID, NO_REPLY, Quality.exception(2)])


@given(polls=st.lists(st.tuples(qualities, st.floats(-9, 9)), max_size=30))
@modest
def test_only_good_and_clock_count_and_the_worst_quality_is_kept(
    kernel_set: Kernels, polls: list[tuple[Quality, float]]
):
    bench = Bench.of(kernel_set, [point()])
    for quality, value in polls:
        add(bench, quality, value, value)
    out_i, out_f = bench.read_window()
    good = [value for quality, value in polls if quality in (GOOD, CLOCK)]
    assert out_i[: OUT_WORST + 1] == [
        len(good),
        len(polls) - len(good),
        0,
        max((q for q, _ in polls), default=0),
    ]
    if good:
        assert (out_f[OUT_MIN], out_f[OUT_MAX], out_f[OUT_LAST]) == (min(good), max(good), good[-1])


def test_reading_a_window_empties_it(kernel_set: Kernels):
    bench = Bench.of(kernel_set, [point()])
    add(bench, GOOD, 5.0, 5.0)
    add(bench, NO_REPLY, 0.0, 0.0)
    assert bench.read_window()[0][:3] == [1, 1, 0]
    assert bench.read_window()[0] == [0] * 6
    add(bench, GOOD, 7.0, 7.0)
    out_i, out_f = bench.read_window()
    assert (out_i[OUT_COUNT], out_i[OUT_BAD], out_i[OUT_WORST]) == (1, 0, 0)
    assert out_f == [7.0, 7.0, 7.0, 0.0, 7.0, 7.0]


@given(samples=samples)
@modest
def test_every_mode_gives_the_same_bits(kernel_set: Kernels, samples: list[tuple[float, float]]):
    from edge_agent.kernels import load

    results = []
    for kernels in (kernel_set, load("python")):
        bench = Bench.of(kernels, [point()])
        for value, filtered in samples:
            add(bench, GOOD, value, filtered)
        results.append([bits(x) for x in bench.read_window()[1]])
    assert results[0] == results[1]
