"""Every planned poll ends as one block or one skip, and trouble stays where it is."""

from __future__ import annotations

import errno
import json
import os
import socket
from itertools import pairwise

import pytest

from edge_agent.bus.outcomes import (
    BadCause,
    BadFrame,
    Block,
    BusEvent,
    DeviceException,
    NoReply,
    PortDown,
    Values,
)
from edge_agent.bus.worker import BusWorker
from edge_agent.clock import SystemClock
from edge_agent.counters import Counters
from edge_agent.errors import PortError
from edge_agent.model import TcpLink
from tests.unit.bus.site import MS, Rig, S, device, good, site

MISSING = PortError("/dev/fake: cannot be opened", reason="missing", hint="plug it in")


def test_points_are_polled_at_their_period_without_drift():
    rig = Rig(site(device(poll_ms=100)), cost_ms=33)
    rig.run(10)
    times = [at for at, _ in rig.line.asked]
    assert len(times) == 100
    assert {(at - rig.start) % (100 * MS) for at in times} == {0}
    assert not rig.skipped
    assert all(block.generation == 7 for block in rig.blocks)


def test_a_line_that_is_too_slow_replaces_polls_and_counts_them():
    rig = Rig(site(device(poll_ms=100)), cost_ms=250)
    rig.run(10)
    made = len(rig.polls(0))
    assert made + rig.skipped[0] in (99, 100, 101)
    assert rig.count("bus_polls_skipped") == 3 * rig.skipped[0]


def test_after_a_stall_there_is_one_poll_not_a_burst():
    rig = Rig(site(device(poll_ms=100)))
    rig.run(1)
    before = len(rig.line.asked)
    rig.clock.advance(30 * S)
    rig.run(0.09)
    assert len(rig.line.asked) == before + 1
    assert 298 <= rig.skipped[0] <= 300


def test_devices_with_one_period_do_not_bunch():
    rig = Rig(site(*(device(f"d{i}", i + 1) for i in range(10))))
    rig.run(5)
    times = sorted(at - rig.start for at, _ in rig.line.asked)
    assert min(b - a for a, b in pairwise(times)) >= 90 * MS


def test_one_silent_device_does_not_take_the_others_rate():
    def answer(request):
        return NoReply() if request.unit_id == 9 else good(request)

    devices = [device(f"d{i}", i) for i in range(1, 10)]
    rig = Rig(site(*devices), answer)
    rig.run(60)
    silent = rig.polls(8 * 3)
    assert len(silent) >= 59
    assert all(isinstance(block.outcome, NoReply) for block in silent)
    assert sum(request.unit_id == 9 for _, request in rig.line.asked) < 15
    for alive in range(8):
        assert len(rig.polls(3 * alive)) >= 59


def test_a_device_that_comes_back_is_polled_at_full_rate_at_once():
    alive = False

    def answer(request):
        return good(request) if alive else NoReply()

    rig = Rig(site(device(poll_ms=500)), answer)
    rig.run(20)
    assert rig.worker.snapshot()["devices"][0]["state"] == "down"
    alive = True
    rig.run(10.5)
    before = len(rig.line.asked)
    rig.run(5)
    assert len(rig.line.asked) - before == 10
    assert rig.worker.snapshot()["devices"][0]["state"] == "up"


def test_an_exception_is_a_reply_and_opens_no_breaker():
    rig = Rig(site(device(points=1)), lambda _: DeviceException(9, MS))
    rig.run(10.5)
    assert len(rig.line.asked) == 11
    assert rig.worker.snapshot()["devices"][0]["state"] == "up"


def test_a_gateways_word_that_nobody_answers_is_no_sign_of_life():
    rig = Rig(site(device(points=1)), lambda _: DeviceException(11, MS))
    rig.run(10.5)
    status = rig.worker.snapshot()["devices"][0]
    assert status["state"] == "down"
    assert "exception 11, gateway target device failed to respond" in status["why"]


@pytest.mark.parametrize("outcome", [NoReply(), BadFrame(BadCause.CRC, 9)])
def test_one_failure_is_repeated_and_only_the_last_outcome_is_handed_on(outcome):
    answers = [outcome]
    rig = Rig(site(device(poll_ms=5000)), lambda request: answers.pop() if answers else good(request))
    rig.run(4)
    assert [type(block.outcome) for block in rig.blocks] == [Values, Values] or len(rig.blocks) == 1
    assert {point for block in rig.blocks for point in block.request.points} == {0, 1, 2}
    assert rig.count("bus_retries") == 1


def test_no_retry_when_it_does_not_fit_the_period():
    rig = Rig(site(device(poll_ms=1000)), lambda _: NoReply())
    rig.run(0.9)
    assert rig.count("bus_retries") == 0
    assert len(rig.blocks) == 1


def test_after_silence_the_same_length_is_not_asked_of_that_unit():
    answers = [NoReply()]
    rig = Rig(site(device(poll_ms=1000)), lambda request: answers.pop() if answers else good(request))
    rig.run(4.5)
    first, *rest = [request for _, request in rig.line.asked]
    assert first.count == 3
    # For twice the late window, whatever is answered meanwhile: it may have been answered out of turn.
    assert [request.count for request in rest] == [1, 2, 1, 2, 1, 2, 3]


def test_where_no_other_length_is_possible_the_whole_late_window_is_waited_for():
    answers = [NoReply()]
    stubborn = device(points=1, poll_ms=5000, on_illegal_address="stop")
    rig = Rig(
        site(stubborn, device("other", 2, poll_ms=100), timeout_ns=300 * MS),
        lambda request: answers.pop() if answers and request.unit_id == 1 else good(request),
    )
    rig.run(8)
    (first, _), (second, again) = [(at, r) for at, r in rig.line.asked if r.unit_id == 1][:2]
    assert again.count == 1
    # `first` is when it was asked; the fake line's cost passes until its silence is known.
    assert second - first >= 600 * MS
    assert rig.count("bus_retries") == 1
    # Whoever else is on the line is polled meanwhile.
    assert sum(first < at < second and r.unit_id == 2 for at, r in rig.line.asked) >= 5


@pytest.mark.parametrize("ended", [NoReply(), BadFrame(BadCause.GARBAGE, 9)])
def test_a_wait_that_ended_before_the_timeout_does_not_shorten_the_late_window(ended):
    """By an adapted timeout, or by noise: the reply may still take what is configured, three times."""
    answers = [ended]
    stubborn = device(points=1, poll_ms=5000, on_illegal_address="stop")
    rig = Rig(
        site(stubborn, timeout_ns=300 * MS),
        lambda request: answers.pop() if answers else good(request),
        cost_ms=10,
    )
    rig.run(8)
    (first, _), (second, _) = rig.line.asked[:2]
    assert second - first >= 3 * 300 * MS


def test_a_job_that_waits_for_an_owed_reply_leaves_the_line_to_continuous_points_of_others():
    answers = [NoReply()]
    stubborn = device("late", 1, points=1, poll_ms=5000, on_illegal_address="stop")
    rig = Rig(
        site(stubborn, device("other", 2, poll_ms=0), timeout_ns=300 * MS, max_load=1.0),
        lambda request: answers.pop() if answers and request.unit_id == 1 else good(request),
    )
    rig.run(4)
    first, second = [at for at, request in rig.line.asked if request.unit_id == 1][:2]
    between = [request for at, request in rig.line.asked if first < at < second]
    assert len(between) == (second - first) // (10 * MS) - 1


def test_a_continuous_point_that_waits_for_an_owed_reply_does_not_make_the_worker_spin():
    alone = device(points=1, poll_ms=0, on_illegal_address="stop")
    answers = [NoReply()]
    rig = Rig(site(alone, timeout_ns=300 * MS), lambda request: answers.pop() if answers else good(request))
    rig.run(4)
    assert len(rig.line.asked) > 2


def test_refused_points_are_found_by_halving_and_not_asked_again():
    def answer(request):
        bad = range(request.address, request.address + request.count)
        return DeviceException(2, MS) if 105 in bad else good(request)

    rig = Rig(site(device(points=16, max_gap_words=0)), answer)
    rig.run(5)
    last = {p: rig.polls(p)[-1].outcome for p in range(16)}
    assert isinstance(last[5], DeviceException)
    assert all(isinstance(last[p], Values) for p in range(16) if p != 5)
    assert all(len(rig.polls(p)) == 5 for p in range(16))
    before = len(rig.line.asked)
    rig.run(5)
    assert len(rig.line.asked) - before == 10  # two requests a poll, around the hole
    assert rig.worker.snapshot()["devices"][0]["refused"] == [
        {"point": "p105", "exception": 2, "name": "illegal data address"}
    ]


def test_on_illegal_address_stop_is_never_asked_again():
    where = site(device(points=4, on_illegal_address="stop"))
    rig = Rig(where, lambda _: DeviceException(2, MS))
    rig.run(5)
    assert len(rig.line.asked) == 1
    assert len(rig.polls(0)) == 5
    assert rig.polls(0)[-1].outcome == DeviceException(2, 0)


def test_a_missing_port_is_retried_and_its_points_are_bad_at_their_periods():
    rig = Rig(site(device(poll_ms=500)))
    rig.line.broken = MISSING
    rig.run(20)
    assert len(rig.polls(0)) == 40
    assert {block.outcome for block in rig.blocks} == {PortDown("missing")}
    snapshot = rig.worker.snapshot()
    assert snapshot["state"] == "missing"
    assert snapshot["hint"] == "plug it in"
    assert snapshot["devices"][0]["state"] == "down"
    rig.line.broken = None
    rig.run(5.5)
    assert isinstance(rig.blocks[-1].outcome, Values)
    assert rig.worker.snapshot()["state"] == "open"


def test_unplugging_ends_each_waiting_request_and_replugging_recovers():
    rig = Rig(site(*(device(f"d{i}", i + 1, poll_ms=200) for i in range(4))))
    rig.run(2)
    rig.line.broken = MISSING
    rig.run(3)
    rig.line.broken = None
    rig.run(6)
    for first in (0, 3, 6, 9):
        assert 53 <= len(rig.polls(first)) <= 57
        assert isinstance(rig.polls(first)[-1].outcome, Values)


def test_continuous_points_take_what_is_left_and_the_load_limit_is_kept():
    rig = Rig(site(device("c", 1, poll_ms=0), device("p", 2, poll_ms=100), max_load=0.5))
    rig.run(20)
    assert len(rig.polls(3)) == 200
    used = len(rig.line.asked) * 10 * MS / (20 * S)
    assert 0.48 <= used <= 0.52


def test_continuous_points_of_a_dead_device_are_bad_once_a_second():
    rig = Rig(site(device(poll_ms=0)), lambda _: NoReply())
    rig.run(30)
    assert 25 <= len(rig.polls(0)) <= 40


def test_snapshot_is_json_and_says_why():
    rig = Rig(site(device(points=1)), lambda _: BadFrame(BadCause.CRC, 7))
    rig.run(10)
    text = json.dumps(rig.worker.snapshot())
    assert "checksum" in text
    described = rig.worker.snapshot()["devices"][0]
    assert described["state"] == "down"
    assert described["outcomes"]["crc"] >= 10


def test_every_planned_poll_ends_once():
    # Nobody is away for long enough to be probed: who comes back is asked at once, which nobody planned.
    answers = iter([good, good, lambda _: NoReply(), good, lambda _: BadFrame(BadCause.CRC, 9)] * 10_000)
    rig = Rig(site(device("a", 1, 5, 300), device("b", 2, 2, 700)), lambda r: next(answers)(r), cost_ms=60)
    rig.run(42)
    for index, period in ((0, 0.3), (6, 0.7)):
        total = len(rig.polls(index)) + rig.skipped[index]
        assert abs(total - 42 / period) <= 2


def test_the_heartbeat_turns():
    rig = Rig(site(device()))
    rig.run(30)
    assert rig.worker.heartbeat.overdue(rig.clock.mono_ns()) == ""


def singles(points, **quirks):
    """A device that is asked for each point by a request of its own, all due together."""
    return device(points=points, one_point_per_request=True, **quirks)


def test_a_reply_is_handed_on_before_the_next_request_is_made():
    rig = Rig(site(singles(8)), cost_ms=30)
    handed_on = []
    rig.worker._out._sink = lambda event: handed_on.append((event.mono_ns, rig.clock.mono_ns()))
    rig.run(3)
    assert len(handed_on) == 3 * 8
    assert all(read == handed for read, handed in handed_on)


def test_a_reply_that_is_owed_changes_the_very_next_request_of_one_plan():
    silent_once = iter([NoReply()])
    rig = Rig(site(singles(2), retries=0), lambda request: next(silent_once, None) or good(request))
    rig.run(0.5)
    counts = [request.count for _, request in rig.line.asked]
    assert counts == [1, 2]


def test_a_device_that_is_given_up_in_a_plan_is_not_asked_for_the_rest_of_it():
    rig = Rig(site(singles(8, late_window_ns=0), retries=0, timeout_ns=10 * MS), lambda _: NoReply())
    rig.run(0.5)
    assert len(rig.line.asked) == 3
    assert len(rig.blocks) == 8


def test_everything_is_settled_up_to_the_request_on_the_line():
    rig = Rig(site(singles(3)))
    seen = []

    def answer(request):
        seen.append((rig.clock.mono_ns() - 10 * MS, rig.worker.settled(), len(rig.blocks)))
        return good(request)

    rig.line._answer = answer
    rig.run(0.5)
    assert [(settled, handed_on) for _, settled, handed_on in seen] == [
        (began, place) for place, (began, _, _) in enumerate(seen)
    ]
    assert rig.worker.settled() == rig.clock.mono_ns()


def test_a_line_that_is_not_used_any_more_has_no_load():
    rig = Rig(site(device(poll_ms=100)), cost_ms=50)
    rig.run(20)
    assert rig.worker.snapshot()["load"] > 0.3
    rig.line.broken = MISSING
    rig.run(60)
    assert rig.worker.snapshot()["load"] < 0.01


@pytest.mark.parametrize("max_load", [1.0, 0.5, 0.2])
def test_a_dead_continuous_device_spins_no_thread_that_a_load_limit_holds_back(max_load):
    devices = [device("a", 1, 3, 0), device("b", 2, 3, 1000), device("c", 3, 3, 1000), device("d", 4, 3, 700)]
    where = site(*devices, max_load=max_load, retries=0)
    rig = Rig(where, lambda request: NoReply() if request.unit_id == 1 else good(request), cost_ms=100)
    rig.run(60)  # `Rig.run` fails when the worker spins.
    assert len(rig.polls(0)) >= 40


def test_a_bus_whose_planning_takes_longer_than_its_classes_are_apart_still_asks(monkeypatch):
    rig = Rig(site(*(device(f"d{n}", n, 2, 40) for n in range(1, 9)), max_load=1.0), cost_ms=3)
    take = rig.worker._schedule.take

    def slowly(now):
        rig.clock.advance(30 * MS)
        return take(now)

    monkeypatch.setattr(rig.worker._schedule, "take", slowly)
    rig.run(5)
    assert len(rig.line.asked) > 50


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EAFNOSUPPORT])
def test_a_socket_that_cannot_be_made_is_a_port_that_is_down(monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket, "socket", refuse)
    events: list[BusEvent] = []
    where = site(device(), link=TcpLink(host="127.0.0.1", port=1))
    worker = BusWorker(where, 0, 1, events.append, SystemClock(), Counters())
    worker.turn()
    assert os.strerror(code) in str(worker._line.fault)
    assert isinstance(events[0], Block)
    assert isinstance(events[0].outcome, PortDown)


def test_a_timeout_on_modbus_tcp_changes_nothing_for_the_next_request():
    answers = iter([NoReply()])
    where = site(device(poll_ms=1000), link=TcpLink(host="h"), retries=0)
    rig = Rig(where, lambda request: next(answers, None) or good(request))
    rig.run(4.5)
    assert {request.count for _, request in rig.line.asked} == {3}
