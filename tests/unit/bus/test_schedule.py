"""Periods without drift, phases that do not bunch, stalls that leave no burst."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.schedule import Schedule
from edge_agent.model import MonoNs

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
