"""AckSet against a plain set of integers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.spool.ackset import AckSet

ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda r: (r[0], r[0] + r[1] - 1)))


def members(spec: list[tuple[int, int]]) -> set[int]:
    return {position for first, last in spec for position in range(first, last + 1)}


@given(ranges, st.integers(0, 50), st.integers(-1, 20))
def test_it_answers_as_a_set_of_integers_does(spec: list[tuple[int, int]], first: int, span: int) -> None:
    done, expected, last = AckSet(spec), members(spec), first + span
    assert members(list(done)) == expected
    assert all((position in done) == (position in expected) for position in range(52))
    assert done.covers(first, last) == (set(range(first, last + 1)) <= expected)
    assert members(done.missing(first, last)) == set(range(first, last + 1)) - expected
    done.forget_below(first)
    assert members(list(done)) == {position for position in expected if position >= first}


@given(ranges)
def test_ranges_stay_sorted_disjoint_and_apart(spec: list[tuple[int, int]]) -> None:
    found = list(AckSet(spec))
    assert all(first <= last for first, last in found)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(found))
