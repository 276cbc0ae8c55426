"""Periods without drift, phases that do not bunch, stalls that leave no burst."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.schedule.phases import phases
from edge_agent.bus.schedule.schedule import Schedule
from edge_agent.model import MonoNs
from tests.unit.bus.site import Rig, device, site

MS = 1_000_000


def test_points_of_one_device_and_period_are_due_together():
    schedule = Schedule([(0, 0, 100), (0, 1, 100), (0, 2, 200), (1, 3, 100)], MonoNs(0))
    due = schedule.take(MonoNs(0))
    assert [(one.device, one.points) for one in due] == [(0, (0, 1)), (0, (2,))]


def test_the_earliest_deadline_comes_first():
    schedule = Schedule([(0, 0, 900), (1, 1, 100), (2, 2, 500)], MonoNs(0))
    due = schedule.take(MonoNs(899))
    assert len(due) == 3
    assert [one.deadline for one in due] == sorted(one.deadline for one in due)


def test_a_slow_class_falls_on_a_beat_of_the_fast_one():
    schedule = Schedule([(3, 0, 100), (3, 1, 400), (4, 2, 100)], MonoNs(0))
    times: dict[int, list[int]] = {}
    for now in range(0, 2000, 10):
        for due in schedule.take(MonoNs(now)):
            for index in due.points:
                times.setdefault(index, []).append(now)
    assert set(times[1]) <= set(times[0])


def test_an_hourly_point_is_polled_in_the_first_second():
    schedule = Schedule([(d, d, 3600 * 1000 * MS) for d in range(50)], MonoNs(0))
    assert len(schedule.take(MonoNs(1000 * MS))) == 50


@given(st.integers(1, 1000), st.integers(0, 2**32))
@settings(max_examples=60)
def test_made_and_missed_polls_are_all_that_were_planned(period, seed):
    chance = random.Random(seed)
    schedule = Schedule([(0, 0, period)], MonoNs(0))
    now = made = missed = 0
    for _ in range(50):
        now += chance.choice([1, period // 2 + 1, period, 7 * period + 3])
        due = schedule.take(MonoNs(now))
        assert len(due) <= 1
        made += len(due)
        missed += sum(one.missed for one in due)
        assert made + missed == now // period + 1
        assert all(one.deadline == (now // period + 1) * period for one in due)


def test_a_device_that_is_back_is_due_at_once():
    schedule = Schedule([(0, 0, 1000), (1, 1, 1000)], MonoNs(0))
    schedule.take(MonoNs(999))
    schedule.hasten(1, MonoNs(1000 - 1))
    assert [one.device for one in schedule.take(MonoNs(999))] == [1]


def test_without_points_nothing_is_ever_due():
    schedule = Schedule([], MonoNs(0))
    assert schedule.next_at() is None
    assert schedule.take(MonoNs(10**18)) == []


# --- phases ---------------------------------------------------------------------------------------


def test_equal_devices_start_evenly():
    offsets = phases([(index, 1000 * MS, 7) for index in range(12)])
    times = sorted(offsets.values())
    assert times[0] == 0
    assert {(b - a) // MS for a, b in pairwise([*times, 1000 * MS])} == {83}


def test_a_device_that_needs_more_of_the_line_is_given_more_room():
    offsets = phases([(0, 1000, 10), (1, 1000, 80), (2, 1000, 10)])
    assert offsets == {0: 0, 1: 100, 2: 900}


def test_devices_of_other_periods_do_not_start_together():
    offsets = phases([(index, period * MS, 1) for index, period in enumerate((200, 500, 1000, 5000, 10000))])
    assert min(b - a for a, b in pairwise(sorted(offsets.values()))) >= 20 * MS


@given(st.lists(st.tuples(st.integers(10, 10**6), st.integers(0, 10**6)), max_size=30))
@settings(max_examples=60)
def test_every_device_starts_within_its_period_and_within_a_second(devices):
    offsets = phases([(index, period * MS, need) for index, (period, need) in enumerate(devices)])
    for index, (period, _) in enumerate(devices):
        assert 0 <= offsets[index] < min(period, 1000) * MS


@pytest.mark.parametrize("equal", [True, False])
def test_the_longest_run_of_back_to_back_requests_is_one_devices_own(equal):
    """Twelve devices at one second on a line that is busy for two thirds of it."""
    points = [6] * 12 if equal else [1, 1, 1, 1, 2, 2, 3, 5, 9, 12, 15, 20]
    devices = [device(f"d{i}", i + 1, n, one_point_per_request=True) for i, n in enumerate(points)]
    rig = Rig(site(*devices, max_load=1.0), cost_ms=1000 * 2 / 3 / 72)
    rig.run(20)
    longest = run = 1
    for (one, before), (other, request) in pairwise(rig.line.asked):
        touching = other - one <= rig.line._cost_ns + MS and before.unit_id != request.unit_id
        same = before.unit_id == request.unit_id
        run = run + 1 if touching else run if same else 1
        longest = max(longest, run)
    assert longest == 1


def test_a_device_that_was_back_early_keeps_its_beat():
    schedule = Schedule([(0, 0, 1000)], MonoNs(0))
    schedule.take(MonoNs(0))
    schedule.hasten(0, MonoNs(300))
    (early,) = schedule.take(MonoNs(300))
    assert (early.beat, early.deadline, early.missed) == (300, 1000, 0)
    schedule.take(MonoNs(1000))
    schedule.hasten(0, MonoNs(1900))
    (early,) = schedule.take(MonoNs(1900))
    assert (early.beat, early.deadline, early.missed) == (1900, 3000, 0)


def test_a_stall_behind_a_hastened_beat_counts_from_the_beat():
    schedule = Schedule([(0, 0, 1000)], MonoNs(0))
    schedule.take(MonoNs(0))
    schedule.hasten(0, MonoNs(300))
    (late,) = schedule.take(MonoNs(3500))
    assert (late.beat, late.deadline, late.missed) == (3000, 4000, 2)
