"""A window that is taken out of one run and put into the next goes on as if nothing had happened."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.kernels import load
from edge_agent.model import NS, STALE, BusDef, Median, PointType, Send, Site, WallNs
from edge_agent.process.openwindows import Snapshot, TakenUp, digest
from edge_agent.process.results import Result, Summary
from edge_agent.process.stage import Stage
from edge_agent.records.checkpoint import Checkpoint
from tests.unit.process.sites import SILENT, T0, block, f64, point, request, site, skipped, times

KERNELS = load("python")
HOUR = 3600
PRESSURE = point("pressure")
FLOW = point("flow", address=4)
BEFORE = site([PRESSURE, FLOW], window_ns=HOUR * NS)


def stage_of(definition: Site = BEFORE, t_s: float = 0, wall_s: float | None = None) -> Stage:
    return Stage.build(definition, 1, KERNELS, *times(t_s, wall_s))


def poll(stage: Stage, t_s: float, *values: float, definition: Site = BEFORE) -> list[Result]:
    reads = [request(definition, index) for index in range(len(values))]
    return stage.feed([block(r, f64(v), t_s) for r, v in zip(reads, values, strict=True)])


def carried(snapshot: Snapshot) -> Snapshot:
    """By way of the bytes on disk."""
    made = Checkpoint.behind(b"12345678", 1, b"dictiona", snapshot, synced=True)
    return Checkpoint.decode(made.encode()).snapshot


def taken_up(stage: Stage, found: Snapshot, t_s: float, wall_s: float | None = None) -> TakenUp:
    return stage.take_up(carried(found), *times(t_s, wall_s))


def summaries(results: list[Result]) -> list[Summary]:
    return [result for result in results if isinstance(result, Summary)]


events = st.lists(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([1e308, -1e308, 1e9, 1e9 + 1e-6, 0.0, -0.0]),
        st.sampled_from(["silent", "missed"]),
    ),
    max_size=30,
)


def fed(stage: Stage, script: list[Any], first: int) -> None:
    read = request(BEFORE, 0)
    for t, one in enumerate(script, first):
        if one == "missed":
            stage.feed([skipped([0], t)])
        else:
            stage.feed([block(read, SILENT if one == "silent" else f64(one), t)])


@given(script=events, cut=st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_a_and_b_with_a_run_in_between_is_ab_to_the_last_bit(script: list[Any], cut: int):
    straight, before, after = stage_of(), stage_of(), stage_of(t_s=0)
    fed(straight, script, 0)
    fed(before, script[:cut], 0)
    taken_up(after, before.snapshot(times(cut)[1]), cut)
    fed(after, script[cut:], cut)
    assert repr(after.close(*times(100))) == repr(straight.close(*times(100)))


@given(script=events)
@settings(max_examples=100, deadline=None)
def test_a_window_that_is_over_is_the_summary_its_own_run_would_have_made(script: list[Any]):
    stage = stage_of()
    fed(stage, script, 0)
    # The snapshot reaches to the end of the window, so that no poll of a pause is counted.
    taken = taken_up(stage_of(t_s=2 * HOUR), stage.snapshot(times(HOUR)[1]), 2 * HOUR)
    assert repr([*taken.ended]) == repr(stage.close(*times(HOUR - 1)))


def test_polls_of_the_pause_count_as_missing_and_a_continuous_point_has_none():
    quick, slow = point("quick", poll_ns=NS), point("slow", address=4, poll_ns=7 * NS)
    definition = site([quick, slow, point("busy", address=8, poll_ns=0)], window_ns=HOUR * NS)
    stage = stage_of(definition)
    poll(stage, 1, 1.0, 2.0, 3.0, definition=definition)
    after = stage_of(definition, 60)
    assert taken_up(after, stage.snapshot(times(10)[1]), 60).going_on == 3
    assert [s.missing for s in summaries(after.close(*times(61)))] == [50, 7, 0]


def test_of_a_window_that_ended_in_the_pause_only_its_own_time_is_missing():
    stage = stage_of(site([point(poll_ns=NS)], window_ns=HOUR * NS))
    stage.feed([block(request(stage.site, 0), f64(1.0), HOUR - 100)])
    found = stage.snapshot(times(HOUR - 60)[1])
    (ended,) = taken_up(stage_of(stage.site, 86400 * 9), found, 86400 * 9).ended
    assert (ended.t0_ns, ended.t1_ns) == (found.t1_ns - HOUR * NS, found.t1_ns)
    assert (ended.count, ended.missing) == (1, (found.t1_ns - found.until_ns) // NS)


@pytest.mark.parametrize("wall_s", [-T0 / NS + 5, -HOUR * 24, HOUR * 24 * 365 * 10])
def test_under_another_time_the_window_is_sent_as_it_was_and_a_new_one_begins(wall_s: float):
    stage = stage_of()
    poll(stage, 1, 1.0, 2.0)
    after = stage_of(BEFORE, 5, wall_s)
    taken = taken_up(after, stage.snapshot(times(1)[1]), 5, wall_s)
    assert [(s.count, s.first) for s in taken.ended] == [(1, 1.0), (1, 2.0)]
    assert taken.going_on == 0
    assert after.close(*times(6, wall_s + 1)) == []


def test_a_clock_that_stands_before_the_checkpoint_counts_no_poll_as_missing():
    stage = stage_of()
    poll(stage, 100, 1.0, 2.0)
    after = stage_of(BEFORE, 50)
    assert taken_up(after, stage.snapshot(times(100)[1]), 50).going_on == 2
    assert [s.missing for s in summaries(after.close(*times(51)))] == [0, 0]


@pytest.mark.parametrize(
    "change",
    [{"scale": 2.0}, {"type": PointType.F32}, {"unit": "bar"}, {"filters": (Median(samples=3),)}],
)
def test_a_point_that_means_something_else_leaves_its_window_to_the_old_dictionary(change: dict[str, Any]):
    stage = stage_of()
    poll(stage, 1, 1.0, 2.0)
    # In another order, so that indexes cannot be mistaken for each other.
    after = stage_of(site([FLOW, replace(PRESSURE, **change)], window_ns=HOUR * NS), 5)
    taken = taken_up(after, stage.snapshot(times(1)[1]), 5)
    assert [(s.point, s.last) for s in taken.foreign] == [(0, 1.0)]
    assert [(s.point, s.last) for s in summaries(after.close(*times(6)))] == [(0, 2.0)]


def test_a_point_that_is_gone_or_sends_samples_now_leaves_its_window_too():
    stage = stage_of()
    poll(stage, 1, 1.0, 2.0)
    after = stage_of(site([replace(PRESSURE, send=Send.SAMPLES)], window_ns=HOUR * NS), 5)
    assert len(taken_up(after, stage.snapshot(times(1)[1]), 5).foreign) == 2


def test_with_another_window_length_the_old_windows_are_over():
    stage = stage_of()
    poll(stage, 1, 1.0, 2.0)
    after = stage_of(replace(BEFORE, window_ns=2 * HOUR * NS), 5)
    taken = taken_up(after, stage.snapshot(times(1)[1]), 5)
    assert [s.t1_ns - s.t0_ns for s in taken.ended] == [HOUR * NS] * 2
    assert taken.going_on == 0


def test_texts_periods_and_the_order_of_points_may_change_between_runs():
    stage = stage_of()
    poll(stage, 1, 1.0, 2.0)
    changed = [replace(FLOW, title="a title", poll_ns=5 * NS), replace(PRESSURE, enum=((1, "on"),))]
    after = stage_of(site(changed, window_ns=HOUR * NS), 5)
    assert taken_up(after, stage.snapshot(times(1)[1]), 5) == TakenUp(going_on=2)
    assert [s.last for s in summaries(after.close(*times(6)))] == [2.0, 1.0]


def test_a_point_without_a_poll_leaves_nothing():
    stage = stage_of()
    stage.feed([block(request(BEFORE, 1), SILENT, 1), skipped([1], 2)])
    (row,) = stage.snapshot(times(3)[1]).rows
    assert (row.point, row.count, row.bad, row.missing) == (1, 0, 1, 1)
    (ended,) = taken_up(stage_of(t_s=2 * HOUR), stage.snapshot(WallNs(times(HOUR)[1])), 2 * HOUR).ended
    assert (ended.mean, ended.first, ended.quality.is_bad) == (None, None, True)


def test_of_a_window_with_missed_polls_only_nothing_is_known_to_be_good():
    stage = stage_of()
    stage.feed([skipped([0], 1)])
    (ended,) = taken_up(stage_of(t_s=2 * HOUR), stage.snapshot(times(2)[1]), 2 * HOUR).ended
    assert ended.quality == STALE


def test_a_deviation_beyond_a_double_is_no_number():
    stage = stage_of()
    fed(stage, [1.7e308, -1.7e308], 0)
    (ended,) = taken_up(stage_of(t_s=2 * HOUR), stage.snapshot(times(2)[1]), 2 * HOUR).ended
    assert ended.std is None and ended.mean is not None and math.isfinite(ended.mean)


def test_the_digest_of_a_definition_is_the_same_in_every_release():
    """A change here cuts the open windows of every gateway in two at its upgrade."""
    definition = site([point("pressure", scale=0.1, unit="bar", filters=(Median(samples=5),))])
    (device,) = definition.devices
    assert digest(device, definition.points[0]).hex() == "ec6a78bdb1d14221"
    assert digest(device, replace(definition.points[0], title="x")).hex() == "ec6a78bdb1d14221"
    bus: BusDef = definition.buses[0]
    assert digest(replace(device, unit_id=9), definition.points[0]).hex() != "ec6a78bdb1d14221"
    assert digest(replace(device, bus=bus.name + "2"), definition.points[0]).hex() != "ec6a78bdb1d14221"
