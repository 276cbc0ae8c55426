"""A line that cannot serve all: every class keeps the same share of its polls, and each poll is counted."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import NoReply
from edge_agent.bus.schedule.shares import Shares
from edge_agent.model import MonoNs
from tests.unit.bus.helpers import point as made_point
from tests.unit.bus.site import MS, Rig, S, device, good, site

PERIODS_MS = (100, 200, 500, 1000, 2000, 5000, 10000)


class LoadedRig(Rig):
    load = 1.0
    """What the devices need, as a multiple of what the line can give."""


def overloaded(load, *, seconds, costs_ms=None, devices=None, **bus):
    """A rig whose devices need `load` times the line, after `seconds`; costs in proportion, by unit id."""
    devices = devices or [device(f"d{i}", i + 1, 1, period) for i, period in enumerate(PERIODS_MS)]
    costs = costs_ms or {one.unit_id: 1 for one in devices}
    needs = sum(costs[one.unit_id] * MS / one.points[0].poll_ns for one in devices)
    rig = LoadedRig(site(*devices, max_load=1.0, **bus), cost_ms=0)

    def answer(request):
        rig.clock.advance(int(rig.load / needs * costs[request.unit_id] * MS))
        return good(request)

    rig.load, rig.line._answer = load, answer
    rig.run(seconds)
    return rig


def shares(rig):
    """Made polls as a part of the planned ones, by device; the first point of each stands for it."""
    first, result = 0, []
    for one in rig.site.devices:
        made = len(rig.polls(first))
        result.append(made / (made + rig.skipped[first]))
        first += len(one.points)
    return result


@pytest.mark.parametrize("load", [1.2, 1.5, 2.0, 5.0])
def test_on_overload_every_class_gets_the_same_share_of_its_polls(load):
    assert shares(overloaded(load, seconds=600)) == pytest.approx([1 / load] * len(PERIODS_MS), rel=0.1)


def test_many_devices_of_one_period_share_alike():
    devices = [device(f"d{i}", i + 1, 1, 1000) for i in range(20)]
    assert shares(overloaded(2.0, seconds=300, devices=devices)) == pytest.approx([0.5] * 20, abs=0.05)


def test_the_share_does_not_depend_on_what_a_poll_costs():
    devices = [device(f"d{i}", i + 1, 1, 1000) for i in range(6)]
    costs = {1: 1, 2: 2, 3: 5, 4: 10, 5: 20, 6: 30}
    rig = overloaded(2.0, seconds=600, devices=devices, costs_ms=costs)
    assert shares(rig) == pytest.approx([0.5] * 6, abs=0.05)


def test_each_request_of_a_class_keeps_its_share():
    devices = [device("wide", 1, 6, 1000, one_point_per_request=True), device("other", 2, 1, 1000)]
    rig = overloaded(1.0, seconds=0.001, devices=devices)
    rig.load = 4.0
    rig.run(600)
    made = [len(rig.polls(point)) for point in range(7)]
    assert max(made) - min(made) <= 0.1 * max(made)


def unaccounted(rig):
    """Planned polls of each point that are neither made, nor skipped, nor waiting."""
    now, result = rig.clock.mono_ns(), {}
    for one in rig.worker._schedule._classes:
        first_beat = (one.beat_ns - rig.start) % one.period_ns
        planned = 1 + (now - rig.start - first_beat) // one.period_ns
        # What became due in the last transaction is only seen by the next turn.
        unseen = max(0, (now - one.next_ns) // one.period_ns + 1)
        for point in one.points:
            waiting = any(point in job.request.points for job in rig.worker._pool.plan())
            result[point] = planned - unseen - waiting - len(rig.polls(point)) - rig.skipped[point]
    return result


@pytest.mark.parametrize("load", [0.7, 2.0, 5.0])
def test_planned_polls_are_the_made_and_the_skipped_ones_exactly(load):
    assert set(unaccounted(overloaded(load, seconds=100.05)).values()) == {0}


@given(
    st.lists(
        st.lists(st.sampled_from([50, 70, 100, 300, 1000]), min_size=1, max_size=5), min_size=1, max_size=4
    ),
    st.integers(1, 60),
    st.integers(0, 5),
)
@settings(max_examples=25, deadline=None)
def test_with_any_classes_every_planned_poll_is_accounted_for(polls, cost_ms, gap):
    devices = [
        replace(
            device(f"d{i}", i + 1, max_gap_words=gap),
            points=tuple(made_point(100 + 3 * n, poll_ns=ms * MS) for n, ms in enumerate(one)),
        )
        for i, one in enumerate(polls)
    ]
    rig = Rig(site(*devices, max_load=1.0), cost_ms=cost_ms)
    rig.run(10.03)
    assert set(unaccounted(rig).values()) == {0}


def test_with_any_classes_none_starves():
    """Slow and fast points of one device in requests of their own, on a bus at three times its means."""
    mixed = replace(
        device("mixed", 1, max_gap_words=0),
        points=tuple(
            made_point(100 + 3 * n, poll_ns=ms * MS) for n, ms in enumerate((100, 1000, 100, 5000, 10000))
        ),
    )
    rig = overloaded(3.0, seconds=0.001, devices=[mixed, device("other", 2, 1, 200)])
    rig.load = 3.0 * 2
    rig.run(1200)
    part = {p: len(rig.polls(p)) / (len(rig.polls(p)) + rig.skipped[p]) for p in range(6)}
    assert max(part.values()) - min(part.values()) <= 0.1 * max(part.values())


def test_the_share_is_of_what_the_load_limit_leaves():
    devices = [device(f"d{i}", i + 1, 1, period) for i, period in enumerate(PERIODS_MS)]
    rig = Rig(site(*devices, max_load=0.3), cost_ms=30)
    rig.run(600)
    needs = sum(30 / period for period in PERIODS_MS)
    assert shares(rig) == pytest.approx([0.3 / needs] * len(PERIODS_MS), rel=0.12)


def test_full_rates_are_back_when_the_overload_ends():
    rig = overloaded(2.0, seconds=300)
    rig.load = 0.7
    rig.run(20)
    skipped, made = rig.skipped.total(), [len(rig.polls(point)) for point in range(len(PERIODS_MS))]
    rig.run(60)
    assert rig.skipped.total() == skipped
    for point, period in enumerate(PERIODS_MS):
        assert abs(len(rig.polls(point)) - made[point] - 60_000 / period) <= 1


def test_within_its_means_the_line_serves_the_earliest_deadline_first():
    devices = [device("slow", 1, 1, 1000), device("fast", 2, 1, 100)]
    rig = Rig(site(*devices, max_load=1.0), cost_ms=40)
    rig.run(20)
    assert not rig.skipped
    times = [at for at, request in rig.line.asked if request.unit_id == 2]
    assert max(b - a for a, b in pairwise(times)) <= 140 * MS


def test_a_device_that_was_away_does_not_catch_up_at_the_cost_of_the_others():
    alive = True

    def answer(request):
        rig.clock.advance(200 * MS)
        return good(request) if alive or request.unit_id != 1 else NoReply()

    rig = Rig(site(*(device(f"d{i}", i + 1, 1, 500) for i in range(5)), max_load=1.0, retries=0), cost_ms=0)
    rig.line._answer = answer
    rig.run(60)
    alive = False
    rig.run(600)
    alive = True
    rig.run(15)
    before = [len(rig.polls(point)) for point in range(5)]
    rig.run(30)
    gained = [len(rig.polls(point)) - count for point, count in enumerate(before)]
    assert max(gained) - min(gained) <= 3


def test_a_silent_device_is_probed_on_an_overloaded_bus():
    devices = [device(f"d{i}", i + 1, 1, 500) for i in range(5)]
    rig = Rig(site(*devices, max_load=1.0), cost_ms=0)

    def answer(request):
        rig.clock.advance(250 * MS)
        return NoReply() if request.unit_id == 1 else good(request)

    rig.line._answer = answer
    rig.run(300)
    probes = [at for at, request in rig.line.asked if request.unit_id == 1]
    assert max(b - a for a, b in pairwise(probes[4:])) <= 25 * S


def test_continuous_points_keep_a_little_of_an_overloaded_bus():
    devices = [device(f"d{i}", i + 1, 1, 500) for i in range(5)]
    rig = Rig(site(*devices, device("c", 9, 1, 0), max_load=1.0), cost_ms=250)
    rig.run(300)
    times = [at for at, request in rig.line.asked if request.unit_id == 9]
    assert 10 <= len(times) <= 31
    assert max(b - a for a, b in pairwise(times)) <= 20 * S


def test_continuous_points_do_not_wait_for_a_request_that_may_not_be_sent_yet():
    answers = [NoReply()]
    stubborn = device("s", points=1, poll_ms=60_000, on_illegal_address="stop")
    rig = Rig(
        site(stubborn, device("c", 2, 1, 0), timeout_ns=5 * S),
        lambda request: answers.pop() if answers and request.unit_id == 1 else good(request),
    )
    rig.run(9)
    assert sum(request.unit_id == 1 for _, request in rig.line.asked) == 1
    assert sum(request.unit_id == 2 for _, request in rig.line.asked) >= 500


@given(st.lists(st.integers(1, 50), min_size=2, max_size=8), st.integers(0, 2**32))
@settings(max_examples=60)
def test_no_two_that_always_wait_drift_apart_by_more_than_their_credit(periods, seed):
    chance = random.Random(seed)
    table = Shares(MonoNs(0))
    waiting = {what: table.turn(what, MonoNs(10**9), period) for what, period in enumerate(periods)}
    made = dict.fromkeys(waiting, 0)
    for _ in range(500):
        what = min(waiting, key=lambda one: (waiting[one], chance.random()))
        made[what] += 1
        table.served(waiting[what])
        waiting[what] = table.turn(what, MonoNs(10**9), periods[what])
    passed = [made[what] * period for what, period in enumerate(periods)]
    assert max(passed) - min(passed) <= 2 * max(periods)
