"""The small rules: load limit, timeout, silence, debts; all in given times."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, PortDown, Values
from edge_agent.bus.plan.debts import FORGET_NS, Debts, other_lengths, shape
from edge_agent.bus.schedule.load import LoadLimit
from edge_agent.bus.wire.frames import expect
from edge_agent.bus.wire.manners import FLOOR_NS, AdaptiveTimeout, Manners
from edge_agent.bus.wire.quiet import Quiet
from edge_agent.bus.wire.timing import rtu_timing
from edge_agent.model import NS, Area, MonoNs, PointType, Quirks, SerialLink
from tests.unit.bus.helpers import point, reply, request

MS = 1_000_000
GOOD = Values(b"\0\0", MS)
BUSY = DeviceException(6, MS)
SILENT = NoReply()


# --- load -----------------------------------------------------------------------------------------


@given(st.floats(0.05, 1.0), st.integers(1, 200))
@settings(max_examples=60)
def test_over_any_time_the_share_is_kept_but_for_a_quarter_second(share, cost_ms):
    now = MonoNs(0)
    limit = LoadLimit(share, now)
    used = 0
    for _ in range(300):
        now = limit.ready_at(now)
        now = MonoNs(now + cost_ms * MS)
        limit.spend(cost_ms * MS, now)
        used += cost_ms * MS
        assert used <= share * now + NS // 4 + cost_ms * MS


def test_load_settles_at_what_is_used():
    now = MonoNs(0)
    limit = LoadLimit(1.0, now)
    for _ in range(1000):
        now = MonoNs(now + 100 * MS)
        limit.spend(30 * MS, now)
    assert limit.load == pytest.approx(0.3, abs=0.01)


# --- timeout --------------------------------------------------------------------------------------


def test_the_timeout_only_shrinks_and_never_below_the_floor():
    timeout = AdaptiveTimeout(500 * MS)
    assert timeout.timeout_ns == 500 * MS
    for _ in range(3):
        timeout.replied(MS)
        assert timeout.timeout_ns == 500 * MS
    timeout.replied(MS)
    assert timeout.timeout_ns == FLOOR_NS
    timeout.replied(60 * MS)
    assert timeout.timeout_ns == 240 * MS
    timeout.replied(400 * MS)
    assert timeout.timeout_ns == 500 * MS
    timeout.silent()
    assert timeout.timeout_ns == 500 * MS


def test_a_device_that_is_away_is_probed_with_the_timeout_that_sufficed():
    timeout = AdaptiveTimeout(5 * NS)
    for _ in range(4):
        timeout.replied(50 * MS)
    timeout.silent()
    assert timeout.timeout_ns == 5 * NS
    timeout.probing = True
    assert timeout.timeout_ns == timeout.short_ns == 100 * MS
    timeout.silent()
    assert timeout.timeout_ns == 100 * MS
    timeout.whole = True
    assert timeout.timeout_ns == 5 * NS


def test_a_device_never_heard_is_probed_with_a_quarter_of_its_timeout():
    unknown = AdaptiveTimeout(2 * NS)
    unknown.silent()
    assert unknown.timeout_ns == 2 * NS
    unknown.probing = True
    assert unknown.timeout_ns == 500 * MS


@given(st.lists(st.integers(0, 2000)), st.integers(1, 5000), st.booleans())
def test_a_probe_is_never_longer_than_what_is_configured(latencies, configured_ms, whole):
    timeout = AdaptiveTimeout(configured_ms * MS)
    for latency in latencies:
        timeout.replied(latency * MS)
    timeout.silent()
    timeout.probing, timeout.whole = True, whole
    assert min(FLOOR_NS, configured_ms * MS) <= timeout.timeout_ns <= configured_ms * MS


@given(st.lists(st.integers(0, 2000), max_size=100), st.integers(1, 1000))
@settings(max_examples=60)
def test_the_timeout_stays_between_floor_and_configured(latencies, configured_ms):
    timeout = AdaptiveTimeout(configured_ms * MS)
    for latency in latencies:
        timeout.replied(latency * MS)
        low = min(FLOOR_NS, configured_ms * MS)
        assert low <= timeout.timeout_ns <= configured_ms * MS


def test_a_late_window_is_twice_the_timeout_unless_the_profile_says_otherwise():
    assert Manners().late_ns(100) == 200
    assert Manners(unheard=3).late_ns(100) == 0
    assert Manners(unheard=3, late_window_ns=7).late_ns(100) == 7
    assert Manners(late_window_ns=7).late_ns(100) == 7


# --- quiet ----------------------------------------------------------------------------------------

TIMING = rtu_timing(SerialLink(path="x", baud=9600))


def _quiet() -> Quiet:
    quiet = Quiet(TIMING, MonoNs(0))
    quiet.after_reply(MonoNs(NS), 0)
    return quiet


def test_after_a_reply_t3_5_and_the_turnaround_are_kept():
    assert _quiet().ready_at() == NS + TIMING.interframe_ns
    quiet = Quiet(TIMING, MonoNs(0))
    quiet.after_reply(MonoNs(NS), 50 * MS)
    assert quiet.ready_at() == NS + 50 * MS
    assert _quiet().ready_at(1000) == NS + 1000


def test_after_silence_the_late_window_and_the_line_must_be_over():
    quiet = _quiet()
    quiet.after_silence(MonoNs(2 * NS), NS, expect(request()))
    assert quiet.ready_at() == 3 * NS
    quiet.heard(b"\0", MonoNs(3 * NS - 1))
    assert quiet.ready_at() == 3 * NS - 1 + TIMING.interframe_ns


def test_a_late_reply_is_told_from_noise_in_whatever_pieces():
    quiet = _quiet()
    quiet.after_silence(MonoNs(2 * NS), NS, expect(request()))
    for at, byte in enumerate(b"\xff\x00" + reply(request())):
        quiet.heard(bytes((byte,)), MonoNs(2 * NS + at))
    assert (quiet.discarded, quiet.late_replies) == (11, 1)


def test_the_late_reply_that_was_waited_for_ends_the_quarantine_and_no_other_frame_does():
    quiet = _quiet()
    quiet.after_silence(MonoNs(2 * NS), NS, expect(request()), 5 * MS)
    quiet.heard(reply(request(unit=9)), MonoNs(2 * NS + 50 * MS))
    assert quiet.ready_at() == 3 * NS
    quiet.heard(reply(request()), MonoNs(2 * NS + 100 * MS))
    assert quiet.ready_at() == 2 * NS + 105 * MS


def test_a_late_reply_behind_another_devices_reply_does_not_shorten_that_ones_pause():
    quiet = _quiet()
    quiet.after_silence(MonoNs(2 * NS), NS, expect(request()))
    quiet.after_reply(MonoNs(4 * NS), 50 * MS)
    quiet.heard(reply(request()), MonoNs(4 * NS + MS))
    assert quiet.ready_at() == 4 * NS + 50 * MS


# --- debts ----------------------------------------------------------------------------------------


def test_what_is_owed_is_forgotten_with_values_and_with_time_but_not_with_an_exception():
    debts, asked = Debts(), request(3)
    assert not debts.owes(asked, MonoNs(0))
    debts.note(asked, SILENT, MonoNs(0))
    assert debts.owes(asked, MonoNs(1))
    assert not debts.owes(request(4), MonoNs(1))
    assert not debts.owes(request(3, area=Area.INPUT), MonoNs(1))
    assert not debts.owes(asked, MonoNs(FORGET_NS))
    debts.note(request(4), BUSY, MonoNs(2))
    assert debts.owes(asked, MonoNs(3))
    assert debts.owes(request(4), MonoNs(3))
    debts.note(request(5), GOOD, MonoNs(4))
    assert not debts


def test_values_of_another_length_do_not_end_a_debt_within_twice_the_late_window():
    debts = Debts()
    debts.note(request(3), SILENT, MonoNs(0))
    debts.note(request(4), SILENT, MonoNs(10))
    debts.note(request(5), GOOD, MonoNs(11), 10)
    assert debts.owes(request(3), MonoNs(11))
    debts.note(request(5), GOOD, MonoNs(20), 10)
    assert not debts.owes(request(3), MonoNs(20))
    assert debts.owes(request(4), MonoNs(20))
    debts.note(request(4), GOOD, MonoNs(21), 10)
    assert not debts


def test_a_damaged_whole_reply_owes_nothing_and_a_broken_one_does():
    debts = Debts()
    debts.note(request(), BadFrame(BadCause.CRC, 9), MonoNs(0))
    assert not debts
    for outcome in (BadFrame(BadCause.SHORT, 5), BadFrame(BadCause.CRC, 9, paused=True)):
        debts = Debts()
        debts.note(request(), outcome, MonoNs(0))
        assert debts.owes(request(), MonoNs(0))


def test_the_rest_of_what_is_owed_behind_a_new_beginning_is_no_damaged_whole_reply():
    """Its own rest is still to come, and would complete the beginning of the same length asked next."""
    debts = Debts()
    debts.note(request(4), BadFrame(BadCause.SHORT, 4), MonoNs(0))
    debts.note(request(2), BadFrame(BadCause.CRC, 13), MonoNs(1))
    assert debts.owes(request(2), MonoNs(2))


def test_what_was_asked_of_a_port_that_went_is_owed():
    debts = Debts()
    debts.note(request(), PortDown("lost"), MonoNs(0))
    assert debts.owes(request(), MonoNs(0))


def _detour(asked, points, **quirks):
    debts = Debts()
    debts.note(asked, SILENT, MonoNs(0))
    return other_lengths(asked, tuple(points), Quirks(**quirks), debts, MonoNs(1))


def test_points_are_asked_in_two_parts_of_other_lengths():
    points = [point(100 + i) for i in range(4)]
    parts = _detour(request(4, points=(0, 1, 2, 3)), points)
    assert [(p.address, p.count, p.points) for p in parts] == [(100, 1, (0,)), (101, 3, (1, 2, 3))]


def test_a_single_point_is_asked_with_one_register_more():
    single = [point(100, type=PointType.F32)]
    assert [(p.address, p.count) for p in _detour(request(2), single)] == [(100, 3)]
    no_after = ((Area.HOLDING, 102, 110),)
    assert [(p.address, p.count) for p in _detour(request(2), single, forbidden=no_after)] == [(99, 3)]
    last = request(1, address=0xFFFF)
    assert [(p.address, p.count) for p in _detour(last, [point(0xFFFF)])] == [(0xFFFE, 2)]


@pytest.mark.parametrize(
    "quirks",
    [
        {"max_read_words": 2},
        {"read_alone": ((Area.HOLDING, 100),)},
        {"read_whole": ((Area.HOLDING, 100, 2),)},
        {"on_illegal_address": "stop"},
    ],
)
def test_where_no_other_length_is_possible_the_request_stays(quirks):
    asked = request(2)
    assert _detour(asked, [point(100, type=PointType.F32)], **quirks) == [asked]


@given(
    st.sets(st.integers(100, 160), min_size=1, max_size=20),
    st.lists(st.integers(1, 125), max_size=6),
    st.booleans(),
)
@settings(max_examples=150)
def test_a_detour_brings_all_points_and_asks_for_nothing_that_is_owed(addresses, owed, bits):
    area = Area.COIL if bits else Area.HOLDING
    points = [point(address, area=area) for address in sorted(addresses)]
    first, last = points[0].address, points[-1].address
    asked = request(last - first + 1, address=first, area=area, points=tuple(range(len(points))))
    debts = Debts()
    for count in owed:
        debts.note(request(count, area=area), SILENT, MonoNs(0))
    parts = other_lengths(asked, tuple(points), Quirks(), debts, MonoNs(1))
    assert sorted(index for part in parts for index in part.points) == list(range(len(points)))
    for part in parts:
        for index in part.points:
            assert part.address <= points[index].address < part.address + part.count
    if parts != [asked]:
        assert not any(debts.owes(part, MonoNs(1)) for part in parts)
        assert all(shape(part) != shape(asked) for part in parts)
