"""`build(site, old)` replaces only what changed; what ends with the old stage is said by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.kernels import load
from edge_agent.kernels.layout import (
    A_ELAPSED_NS,
    A_STATE,
    ACTIVE,
    F_FILLED,
    FILTER_AT,
    INITIAL_I,
    NORMAL,
    PENDING_ON,
    ROW,
)
from edge_agent.model import NS, AlarmKind, Deadband, Lowpass, Median, Order, PointType, Send, Site
from edge_agent.process import tables
from edge_agent.process.results import AlarmTransition, Result, Sample, Summary
from edge_agent.process.stage import Stage
from tests.unit.process.sites import SILENT, alarm, block, f64, point, request, site, times

KERNELS = load("python")
SMOOTH = {"filters": (Median(samples=3), Lowpass(tau_ns=NS))}
PRESSURE = point("pressure", **SMOOTH)
TEMPERATURE = point("temperature", address=4, **SMOOTH)
HIGH = alarm("high", point="pressure", high=8.0, on_delay_ns=2 * NS)
HOT = alarm("hot", point="temperature", high=80.0)
BEFORE = site([PRESSURE, TEMPERATURE], [HIGH, HOT])


def stage_of(definition: Site, generation: int = 1, old: Stage | None = None, t_s: float = 0.0) -> Stage:
    return Stage.build(definition, generation, KERNELS, *times(t_s), old)


def poll(stage: Stage, definition: Site, t_s: float, *values: float, generation: int = 1) -> list[Result]:
    reads = [request(definition, index) for index in range(len(values))]
    events = [block(r, f64(v), t_s, generation=generation) for r, v in zip(reads, values, strict=True)]
    return stage.feed(events)


def alarm_cells(stage: Stage, index: int) -> tuple[int, int]:
    at = stage._tables.alarm_cells[index]
    return stage._tables.state_i[at + A_STATE], stage._tables.state_i[at + A_ELAPSED_NS]


def started() -> Stage:
    """One second into pending `high`, `hot` active, windows and filters half full."""
    stage = stage_of(BEFORE)
    poll(stage, BEFORE, 0, 9.0, 90.0)
    poll(stage, BEFORE, 1, 9.0, 90.0)
    return stage


def test_with_one_changed_limit_only_that_alarm_starts_anew():
    old = started()
    assert [alarm_cells(old, i) for i in (0, 1)] == [(PENDING_ON, NS), (ACTIVE, 0)]
    after = replace(BEFORE, alarms=(HIGH, replace(HOT, high=85.0)))
    new = stage_of(after, 2, old, 1.5)
    assert [alarm_cells(new, i) for i in (0, 1)] == [(PENDING_ON, NS), (NORMAL, 0)]
    at, end = 0, 2 * ROW
    assert new._tables.state_i[at:end] == old._tables.state_i[at:end]
    assert new._tables.state_f[at:end] == old._tables.state_f[at:end]
    # The one that goes on is raised when its own two seconds are over, as if nothing had happened.
    got = poll(new, after, 2, 9.0, 90.0, generation=2)
    assert [(r.name, r.active) for r in got if isinstance(r, AlarmTransition)] == [
        ("high", True),
        ("hot", True),
    ]


def test_the_old_stage_clears_what_ends_with_it_and_keeps_the_open_windows_for_the_new_one():
    old = started()
    new = stage_of(replace(BEFORE, alarms=(HIGH, replace(HOT, high=85.0))), 2, old, 1.5)
    (cleared,) = old.close(*times(1.5), successor=new)
    assert cleared == AlarmTransition("hot", "d", "temperature", False, None, *times(1.5), HOT.severity)
    assert [r.count for r in new.close(*times(2)) if isinstance(r, Summary)] == [2, 2]


def test_nothing_changed_means_nothing_is_said_and_every_result_is_the_same():
    straight, old = started(), started()
    new = stage_of(BEFORE, 2, old, 1.5)
    assert old.close(*times(1.5), successor=new) == []
    for t in range(2, 25):
        values = (8.0 + t / 10, 100.0 - t)
        assert poll(new, BEFORE, t, *values, generation=2) == poll(straight, BEFORE, t, *values)
    assert new.alarm_states() == straight.alarm_states()
    assert new.latest() == straight.latest()


def test_state_follows_its_point_when_the_order_changes():
    old = started()
    after = site([TEMPERATURE, point("new", address=20), PRESSURE], [HOT, HIGH])
    new = stage_of(after, 2, old, 1.5)
    assert [alarm_cells(new, i) for i in (0, 1)] == [(ACTIVE, 0), (PENDING_ON, NS)]
    assert [p.good_value for p in new.latest()] == [90.0, None, 9.0]
    got = new.close(*times(2))
    assert [(r.point, r.count, r.last) for r in got if isinstance(r, Summary)] == [(0, 2, 90.0), (2, 2, 9.0)]


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 2.0},
        {"offset": 1.0},
        {"address": 40},
        {"order": Order.DCBA},
        {"type": PointType.F32},
        {"unit": "bar"},
        {"plausible": (0.0, 1.0)},
        {"invalid": (1,)},
        {"filters": (Median(samples=5), Lowpass(tau_ns=NS))},
        {"filters": ()},
    ],
)
def test_a_point_that_means_something_else_starts_anew_with_its_alarms(change: dict[str, Any]):
    old = started()
    after = site([replace(PRESSURE, **change), TEMPERATURE], [HIGH, HOT])
    new = stage_of(after, 2, old, 1.5)
    fresh = tables.build(after)
    assert new._tables.state_i[:ROW] == fresh.state_i[:ROW]
    assert [new._tables.state_i[cell] for cell, _ in INITIAL_I] == [value for _, value in INITIAL_I]
    assert [alarm_cells(new, i) for i in (0, 1)] == [(NORMAL, 0), (ACTIVE, 0)]
    if change.get("filters") != ():
        assert new._tables.state_i[new._tables.config_i[FILTER_AT] + F_FILLED] == 0
    (summary,) = old.close(*times(1.5), successor=new)
    assert isinstance(summary, Summary)
    assert (summary.point, summary.count) == (0, 2)


@pytest.mark.parametrize(
    "change",
    [{"title": "x"}, {"enum": ((1, "on"),)}, {"flags": ((0, "x"),)}, {"poll_ns": 5 * NS}, {"group": "g"}],
)
def test_texts_periods_and_groups_may_change_freely(change: dict[str, Any]):
    old = started()
    new = stage_of(site([replace(PRESSURE, **change), TEMPERATURE], [HIGH, HOT]), 2, old, 1.5)
    assert new._tables.state_i[:ROW] == old._tables.state_i[:ROW]
    assert alarm_cells(new, 0) == (PENDING_ON, NS)
    assert old.close(*times(1.5), successor=new) == []


def test_a_point_that_sends_samples_from_now_on_leaves_its_open_window_behind():
    old = started()
    new = stage_of(site([replace(PRESSURE, send=Send.SAMPLES), TEMPERATURE], [HIGH, HOT]), 2, old, 1.5)
    assert [(r.point, r.count) for r in old.close(*times(1.5), new) if isinstance(r, Summary)] == [(0, 2)]
    assert [(r.point, r.count) for r in new.close(*times(1.6)) if isinstance(r, Summary)] == [(1, 2)]
    assert alarm_cells(new, 0) == (PENDING_ON, NS)


def test_a_point_that_sends_changes_from_now_on_says_its_value_although_it_did_not_change():
    old = started()
    after = site([replace(PRESSURE, send=Send.CHANGES, filters=()), replace(TEMPERATURE, send=Send.CHANGES)])
    new = stage_of(after, 2, old, 1.5)
    sent = [poll(new, after, t, 9.0, 90.0, generation=2) for t in (2, 3)]
    assert [[r.point for r in results if isinstance(r, Sample)] for results in sent] == [[0, 1], []]
    again = stage_of(after, 3, new, 3.5)
    assert poll(again, after, 4, 9.0, 90.0, generation=3) == []


def test_an_open_window_does_not_come_back_when_the_point_sends_summaries_again():
    old = started()
    between = stage_of(site([replace(PRESSURE, send=Send.SAMPLES), TEMPERATURE], [HIGH, HOT]), 2, old, 1.5)
    again = stage_of(BEFORE, 3, between, 1.6)
    assert [(r.point, r.count) for r in again.close(*times(2)) if isinstance(r, Summary)] == [(1, 2)]


def test_a_window_that_was_over_before_the_change_keeps_its_own_time():
    new = stage_of(BEFORE, 2, started(), 12)
    got = new.tick(*times(12))
    assert [(r.t0_ns, r.count) for r in got if isinstance(r, Summary)] == [(times(0)[1], 2)] * 2


def test_another_window_length_closes_all_windows_and_keeps_the_rest():
    old = started()
    new = stage_of(replace(BEFORE, window_ns=20 * NS), 2, old, 1.5)
    assert [(r.point, r.count) for r in old.close(*times(1.5), new) if isinstance(r, Summary)] == [
        (0, 2),
        (1, 2),
    ]
    assert new.close(*times(2)) == []
    assert [alarm_cells(new, i) for i in (0, 1)] == [(PENDING_ON, NS), (ACTIVE, 0)]


def test_the_old_stage_is_left_as_it_was():
    old, same = started(), started()
    new = stage_of(BEFORE, 2, old, 1.5)
    poll(new, BEFORE, 2, 1.0, 1.0, generation=2)
    assert bytes(old._tables.state_i) == bytes(same._tables.state_i)
    assert bytes(old._tables.state_f) == bytes(same._tables.state_f)
    assert old.alarm_states() == same.alarm_states()


def test_a_device_on_another_unit_id_is_another_device():
    definition = site([point(), point(device="e")], [alarm(high=1.0)])
    old = stage_of(definition)
    old.feed([block(request(definition, 0), f64(5.0), 0)])
    old.feed([block(request(definition, 1), SILENT, t) for t in range(3)])
    bus = definition.buses[0]
    moved = tuple(replace(device, unit_id=device.unit_id + 10) for device in bus.devices)
    new = stage_of(replace(definition, buses=(replace(bus, devices=moved),)), 2, old, 4)
    assert [s.active for s in new.alarm_states()] == [False, False, False]
    assert [p.good_value for p in new.latest()] == [None, None]
    cleared = [r.name for r in old.close(*times(4), new) if isinstance(r, AlarmTransition)]
    assert cleared == ["a", "e.silent"]


def test_silence_goes_on_counting_across_a_change():
    old = stage_of(BEFORE)
    read = request(BEFORE, 0)
    assert old.feed([block(read, SILENT, 0), block(read, SILENT, 1)]) == []
    new = stage_of(BEFORE, 2, old, 1.5)
    (raised,) = new.feed([block(read, SILENT, 2, generation=2)])
    assert isinstance(raised, AlarmTransition)
    assert raised.name == "d.silent"
    # The old one's count is its own.
    assert len(old.feed([block(read, SILENT, 2)])) == 1


def test_a_text_that_did_not_change_is_not_sent_again_after_a_change_of_configuration():
    text = point("t", type=PointType.STRING, length_words=1)
    before = site([text])
    old = stage_of(before)
    old.feed([block(request(before, 0), b"ok", 0)])
    new = stage_of(site([replace(text, title="a title")]), 2, old, 1)
    assert new.feed([block(request(before, 0), b"ok", 2, generation=2)]) == []
    got = new.feed([block(request(before, 0), b"no", 3, generation=2)])
    assert old.latest()[0].value == "ok"
    assert [r.value for r in got if isinstance(r, Sample)] == ["no"]


def test_without_a_successor_alarms_stay_as_they_are():
    old = started()
    assert [type(r) for r in old.close(*times(2))] == [Summary, Summary]
    assert [s.active for s in old.alarm_states()] == [False, True, False]


chains = st.lists(
    st.sampled_from([Median(samples=3), Lowpass(tau_ns=NS), Deadband(width=0.5)]), max_size=4
).map(tuple)


@given(
    definitions=st.lists(st.tuples(chains, st.integers(0, 3)), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=12),
    cut=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_shuffling_points_and_alarms_half_way_changes_no_result(
    definitions: list[tuple[tuple[Any, ...], int]], order: Any, values: list[float], cut: int
):
    points = [point(f"p{i}", address=4 * i, filters=chain) for i, (chain, _) in enumerate(definitions)]
    alarms = [
        alarm(f"a{i}_{k}", AlarmKind.OUTSIDE, point=f"p{i}", low=-k, high=k, on_delay_ns=k * NS, deadband=0.3)
        for i, (_, count) in enumerate(definitions)
        for k in range(count)
    ]
    before = site(points, alarms)
    after = site(order.sample(points, len(points)), order.sample(alarms, len(alarms)))
    straight, changing = stage_of(before), stage_of(before)
    expected, got, definition, generation = [], [], before, 1
    for t, value in enumerate(values):
        if t == cut:
            successor = stage_of(after, 2, changing, t)
            assert changing.close(*times(t), successor) == []
            changing, definition, generation = successor, after, 2
        shown = [value + 0.1 * points.index(p) for p in definition.points]
        expected += told(before, poll(straight, before, t, *(value + 0.1 * i for i in range(len(points)))))
        got += told(definition, poll(changing, definition, t, *shown, generation=generation))
    expected += told(before, straight.close(*times(99)))
    got += told(definition, changing.close(*times(99)))
    assert sorted(got, key=repr) == sorted(expected, key=repr)


def told(definition: Site, results: list[Result]) -> list[tuple[str, Result]]:
    """Results with the point's name in place of its index."""
    return [
        (r.name, r)
        if isinstance(r, AlarmTransition)
        else (definition.points[r.point].name, replace(r, point=-1))
        for r in results
    ]
