"""Percentiles in fixed memory, of the last minute or two; and replies handed over in steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bus.quality.percentiles import EDGES_NS, Durations, RecentDurations
from edge_agent.bus.quality.ticks import PERIOD_NS, Ticks

MS = 1_000_000


@given(st.lists(st.integers(100_000, 60_000 * MS), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_percentile_is_no_less_than_the_exact_one_and_an_eighth_above_it_at_most(values, share):
    durations = Durations()
    for value in values:
        durations.add(value)
    exact = next(v for rank, v in enumerate(sorted(values), 1) if rank >= share * len(values))
    (found,) = durations.percentiles_ns([share])
    assert found is not None
    assert exact <= found + 1
    assert found <= exact * 1.125 + 1


def test_the_ends_of_the_scale():
    durations = Durations()
    assert durations.percentiles_ns([0.5, 0.99]) == [None, None]
    durations.add(0)
    assert durations.percentiles_ns([0.5]) == [EDGES_NS[0]]
    durations.add(10**15)
    assert durations.percentiles_ns([0.5, 1.0]) == [EDGES_NS[0], EDGES_NS[-1]]


@given(st.lists(st.integers(0, 10**9)), st.lists(st.integers(0, 10**9)))
def test_two_histograms_add_up(some, others):
    a, b, both = Durations(), Durations(), Durations()
    for value in some:
        a.add(value)
    for value in others:
        b.add(value)
    for value in some + others:
        both.add(value)
    shares = (0.1, 0.5, 0.99)
    assert (a + b).percentiles_ns(shares) == both.percentiles_ns(shares)


def test_what_is_older_than_two_minutes_is_forgotten():
    recent = RecentDurations()
    recent.add(500 * MS, 0)
    for second in range(1, 121):
        recent.add(5 * MS, second * 1000 * MS)
    (slowest,) = recent.percentiles_ns([1.0])
    assert slowest is not None
    assert slowest < 6 * MS


def test_a_pause_forgets_too():
    recent = RecentDurations()
    recent.add(500 * MS, 0)
    recent.add(5 * MS, 500_000 * MS)
    (slowest,) = recent.percentiles_ns([1.0])
    assert slowest is not None
    assert slowest < 6 * MS


def ticks(times):
    one = Ticks()
    for time in times:
        one.add(time)
    return one.on_grid()


def test_times_on_the_grid_are_told_from_others():
    grid = [sum((2 + i % 4) * PERIOD_NS for i in range(n)) + n % 3 * 100_000 for n in range(60)]
    assert ticks(grid) == 1.0
    assert ticks([n * 21 * MS + n * n * 17_000 for n in range(60)]) < 0.6


@pytest.mark.parametrize("period_ms", [16, 48, 160, 1600])
def test_a_schedule_whose_period_is_a_multiple_is_no_adapter(period_ms):
    assert ticks([n * period_ms * MS for n in range(60)]) == 0.0


def test_too_few_replies_say_nothing():
    assert ticks([sum((2 + i % 4) * PERIOD_NS for i in range(n)) for n in range(20)]) == 0.0
