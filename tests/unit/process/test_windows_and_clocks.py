"""Windows follow the wall clock, whatever it does: nothing is lost and nothing is doubled."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import BusEvent
from edge_agent.kernels import load
from edge_agent.model import NS, MonoNs, WallNs
from edge_agent.process.results import Result, Summary
from edge_agent.process.spans import LATE_NS, Span
from edge_agent.process.stage import Stage
from tests.unit.process.sites import T0, block, f64, point, request, site, skipped, times

KERNELS = load("python")
SITE = site([point()])
READ = request(SITE, 0)
HOUR = 3600.0
YEAR = 365 * 24 * HOUR


def new_stage(wall_s: float = 0.0) -> Stage:
    return Stage.build(SITE, 1, KERNELS, *times(0, wall_s))


def shape(results: list[Result]) -> list[tuple[float, int, float | None, float | None]]:
    """Per summary: start relative to T0 in seconds, count, first and last value."""
    return [((r.t0_ns - T0) / NS, r.count, r.first, r.last) for r in results if isinstance(r, Summary)]


def test_windows_are_aligned_to_the_wall_clock_not_to_the_start():
    stage = new_stage(3.0)
    polls = [block(READ, f64(t), t, wall_s=t + 3.0) for t in range(20)]
    results = stage.feed(polls) + stage.close(*times(20, 23.0))
    assert shape(results) == [(0, 7, 0, 6), (10, 10, 7, 16), (20, 3, 17, 19)]
    assert all(r.t1_ns - r.t0_ns == 10 * NS for r in results if isinstance(r, Summary))


def test_a_value_at_the_border_belongs_to_the_later_window():
    stage = new_stage()
    before, border = block(READ, f64(1), 9.999999999), block(READ, f64(2), 10.0)
    assert shape(stage.feed([before, border])) == [(0, 1, 1, 1)]
    assert shape(stage.close(*times(11))) == [(10, 1, 2, 2)]


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR, 10.0, -10.0, YEAR, -YEAR, 50 * YEAR, -50 * YEAR])
@pytest.mark.parametrize("by_tick", [False, True])
def test_a_jump_ends_the_window_at_once_and_loses_and_doubles_nothing(jump_s: float, by_tick: bool):
    stage = new_stage()
    results = stage.feed([block(READ, f64(t), t) for t in range(5)])
    if by_tick:
        results += stage.tick(*times(4.5, 4.5 + jump_s))
        assert len(results) == 1
    results += stage.feed([block(READ, f64(t), t, wall_s=t + jump_s) for t in range(5, 8)])
    results += stage.close(*times(8, 8 + jump_s))
    assert shape(results) == [(0, 5, 0, 4), (jump_s, 3, 5, 7)]


def test_a_jump_there_and_back_gives_the_same_window_twice_with_different_values():
    stage = new_stage()
    walls = [1.0, 2.0, 2.0 + HOUR, 3.0 + HOUR, 4.0, 5.0]
    results = stage.feed([block(READ, f64(t), t, wall_s=wall) for t, wall in enumerate(walls, start=1)])
    results += stage.close(*times(7, 6))
    assert shape(results) == [(0, 2, 1, 2), (HOUR, 2, 3, 4), (0, 2, 5, 6)]


def test_a_step_inside_the_window_changes_nothing():
    stage = new_stage()
    walls = [1.0, 2.0, 8.0, 4.0, 9.0]
    results = stage.feed([block(READ, f64(t), t, wall_s=wall) for t, wall in enumerate(walls)])
    assert results == []
    assert shape(stage.close(*times(6))) == [(0, 5, 0, 4)]


def test_a_gateway_that_boots_in_1970_is_no_exception():
    at_1970 = -T0 / NS
    stage = new_stage(at_1970)
    results = stage.feed([block(READ, f64(1), 1, wall_s=at_1970 + 1), block(READ, f64(2), 2, wall_s=2)])
    assert [(r.t0_ns, r.count) for r in results if isinstance(r, Summary)] == [(0, 1)]


def test_tick_ends_a_window_a_little_after_its_end_although_nothing_came():
    stage = new_stage()
    stage.feed([block(READ, f64(1), 1)])
    assert stage.next_tick(times(1)[1]) == times(10)[1] + LATE_NS
    assert stage.tick(*times(10.0)) == []
    assert shape(stage.tick(*times(10.0 + LATE_NS / NS))) == [(0, 1, 1, 1)]
    assert stage.tick(*times(10.1)) == []
    assert stage.next_tick(times(10.1)[1]) == times(20)[1] + LATE_NS


def test_a_tick_long_after_gives_one_window():
    stage = new_stage()
    stage.feed([block(READ, f64(1), 1)])
    assert len(stage.tick(*times(1000))) == 1
    assert stage.next_tick(times(1000)[1]) == times(1010)[1] + LATE_NS


def test_a_clock_behind_the_window_is_a_reason_to_tick_now():
    assert new_stage().next_tick(WallNs(5)) == 5


def test_a_straggler_from_a_slower_bus_counts_in_the_running_window():
    stage = new_stage()
    results = stage.feed([block(READ, f64(1), 9.0), block(READ, f64(2), 10.001)])
    results += stage.feed([block(READ, f64(3), 9.999), skipped([0], 9.9995)])
    assert shape(results) == [(0, 1, 1, 1)]
    (summary,) = stage.close(*times(12))
    assert isinstance(summary, Summary)
    assert (summary.count, summary.missing) == (2, 1)


events = st.lists(
    st.tuples(
        st.sampled_from(["value", "missed", "tick"]),
        st.integers(0, 12 * NS),
        st.sampled_from([0] * 6 + [1, -1, 3600 * NS, -3600 * NS, 10**18, -(10**18)]),
    ),
    max_size=60,
)


@given(script=events, cuts=st.sets(st.integers(0, 60), max_size=5))
@settings(max_examples=150, deadline=None)
def test_every_poll_is_in_exactly_one_window_that_holds_its_wall_time(
    script: list[tuple[str, int, int]], cuts: set[int]
):
    stage, mono, wall = new_stage(), MonoNs(0), WallNs(T0)
    results: list[Result] = []
    waiting: list[BusEvent] = []
    expected: dict[int, int] = {}
    for index, (kind, step, jump) in enumerate(script):
        mono, wall = MonoNs(mono + step), WallNs(wall + step + jump)
        relative = (mono / NS, (wall - T0) / NS)
        exact_mono, exact_wall = times(*relative)
        if kind == "tick":
            results += stage.feed(waiting) + stage.tick(exact_mono, exact_wall)
            waiting = []
            continue
        waiting.append(
            block(READ, f64(index), relative[0], wall_s=relative[1])
            if kind == "value"
            else skipped([0], relative[0], wall_s=relative[1])
        )
        shown = waiting[-1].wall_ns
        expected[shown - shown % (10 * NS)] = expected.get(shown - shown % (10 * NS), 0) + 1
        if index in cuts:
            results += stage.feed(waiting)
            waiting = []
    results += stage.feed(waiting) + stage.close(mono, wall)
    seen: dict[int, int] = {}
    for r in results:
        assert isinstance(r, Summary)
        seen[r.t0_ns] = seen.get(r.t0_ns, 0) + r.count + r.missing
    assert seen == expected


def test_span_is_left_only_by_events_not_older_than_itself():
    span = Span.at(10 * NS, MonoNs(100), WallNs(25 * NS))
    assert (span.t0_ns, span.t1_ns) == (20 * NS, 30 * NS)
    for wall, outside in [(20 * NS - 1, True), (20 * NS, False), (30 * NS - 1, False), (30 * NS, True)]:
        assert span.is_left_by(MonoNs(100), WallNs(wall)) is outside
        assert span.is_left_by(MonoNs(99), WallNs(wall)) is False
