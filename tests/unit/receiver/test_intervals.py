"""Interval sets against plain sets."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.receiver.intervals import Intervals

SPANS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 8)), max_size=30)


@settings(max_examples=300)
@given(SPANS, st.integers(1, 40), st.integers(0, 40))
def test_it_behaves_like_a_set(spans: list[tuple[int, int]], first: int, length: int) -> None:
    intervals, plain = Intervals(), set[int]()
    for low, more in spans:
        intervals.add(low, low + more)
        plain |= set(range(low, low + more + 1))
    assert {n for low, high in intervals for n in range(low, high + 1)} == plain
    assert all((n in intervals) == (n in plain) for n in range(75))
    assert (intervals.lowest, intervals.highest) == (min(plain, default=0), max(plain, default=0))
    holes = {n for low, high in intervals.holes(first, first + length) for n in range(low, high + 1)}
    assert holes == set(range(first, first + length + 1)) - plain
    reach = first
    while reach in plain:
        reach += 1
    assert intervals.reaches(first) == reach - 1
    assert all(before[1] + 1 < after[0] for before, after in pairwise(intervals)), "joined where they touch"


def test_beyond_its_bound_the_oldest_hole_is_given_up_and_counted() -> None:
    intervals = Intervals(max_intervals=3)
    for number in (1, 5, 7, 9):
        intervals.add(number, number)
    assert list(intervals) == [(1, 5), (7, 7), (9, 9)]
    assert intervals.given_up == 3
