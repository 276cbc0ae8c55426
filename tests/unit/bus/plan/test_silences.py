"""A read that is never answered is told from a device that is away, is halved, and given up by name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import DeviceException, NoReply, Values
from edge_agent.bus.plan.refusals import RETRY_SILENT_NS, SILENT, Refusals
from edge_agent.bus.plan.silences import SILENT_READS, Silences
from edge_agent.bus.wire.timing import bus_timing
from edge_agent.model import Area, DeviceDef, MonoNs, Quirks
from tests.unit.bus.helpers import point, reply, request
from tests.unit.bus.site import MS, Rig, S, device, good, site

HOUR = 3600


def mute(*addresses: int, unit: int = 1, longest: int = 999):
    """A device that says nothing to a read that touches one of these or is longer."""

    def answer(asked):
        touched = range(asked.address, asked.address + asked.count)
        if asked.unit_id == unit and (asked.count > longest or any(at in touched for at in addresses)):
            return NoReply()
        return good(asked)

    return answer


def silent_reads(rig: Rig) -> int:
    return sum(d["outcomes"].get("no_reply", 0) for d in rig.worker.snapshot()["devices"])


# --- the streak -----------------------------------------------------------------------------------


def test_silences_count_only_while_the_device_is_heard_in_between():
    silences = Silences()
    assert [silences.silent((1, 2), MonoNs(now)) for now in (1, 2, 3)] == [0, 0, 0]
    silences.heard((3,), MonoNs(4))
    assert silences.silent((1, 2), MonoNs(5)) == 2
    assert silences.silent((1, 2), MonoNs(6)) == 0
    silences.heard((3,), MonoNs(7))
    assert silences.silent((1, 2), MonoNs(8)) == 3


def test_a_reply_to_these_points_or_more_ends_the_streak():
    for answered in ((1, 2), (1, 2, 3)):
        silences = Silences()
        silences.silent((1, 2), MonoNs(1))
        silences.heard(answered, MonoNs(2))
        assert silences.silent((1, 2), MonoNs(3)) == 0


def test_a_suspect_needs_one_more_silence_and_a_sign_of_life_before_it():
    silences = Silences()
    silences.suspect((1,), MonoNs(1))
    assert silences.silent((1,), MonoNs(2)) == 0
    silences.heard((2,), MonoNs(3))
    assert silences.silent((1,), MonoNs(4)) == SILENT_READS


# --- the verdict ----------------------------------------------------------------------------------


def test_a_silent_read_is_halved_like_a_refused_one_and_a_silent_point_remembered():
    refusals = Refusals()
    points = tuple(point(n, f"p{n}") for n in range(4))
    asked = request(4, address=0, points=(0, 1, 2, 3))
    assert refusals.silent(asked, points, MonoNs(0))
    assert refusals.cuts(Area.HOLDING) == [2]
    assert not refusals.silent(request(1, address=3, points=(3,)), points[3:], MonoNs(0))
    assert refusals.points == {3: SILENT}
    assert refusals.cuts(Area.HOLDING) == []


def test_what_is_only_read_whole_is_given_up_whole():
    refusals = Refusals()
    points = (point(0, "a"), point(5, "b"))
    assert not refusals.silent(request(20, address=0, points=(0, 1)), points, MonoNs(0), whole=True)
    assert refusals.points == {0: SILENT, 1: SILENT}


def test_silence_is_asked_again_after_an_hour_and_a_refusal_is_not():
    refusals = Refusals()
    refusals.silent(request(1, address=3, points=(3,)), (point(3),), MonoNs(0))
    refusals.refuse(request(1, address=4, points=(4,)), (point(4),), 2)
    assert refusals.retry(MonoNs(RETRY_SILENT_NS - 1)) == ()
    assert refusals.retry(MonoNs(RETRY_SILENT_NS)) == (3,)
    assert refusals.points == {4: 2}
    assert len(refusals.holes(Area.HOLDING)) == 2  # it is asked alone
    refusals.answered((3,))
    assert refusals.holes(Area.HOLDING) == [(4, 5)]


def test_stop_never_asks_again_what_was_silent():
    refusals = Refusals("stop")
    points = tuple(point(n, f"p{n}") for n in range(4))
    assert not refusals.silent(request(4, address=0, points=(0, 1, 2, 3)), points, MonoNs(0))
    assert set(refusals.points) == {0, 1, 2, 3}
    assert refusals.retry(MonoNs(10 * RETRY_SILENT_NS)) == ()
    refusals.forget()
    assert len(refusals.points) == 4


# --- on the line ----------------------------------------------------------------------------------


def test_a_silent_point_is_found_and_the_others_go_on():
    rig = Rig(site(device(points=16, poll_ms=1000)), mute(105))
    rig.run(60)
    device_now = rig.worker.snapshot()["devices"][0]
    assert device_now["refused"] == [{"point": "p105", "exception": None, "name": "no reply"}]
    assert device_now["state"] == "up"
    before, silent = len(rig.line.asked), rig.count("bus_retries")
    rig.run(10)
    assert len(rig.line.asked) - before == 20  # two requests a poll, around the hole
    assert rig.count("bus_retries") == silent
    last = {p: rig.polls(p)[-1].outcome for p in range(16)}
    assert last[5] == NoReply()
    assert all(isinstance(last[p], Values) for p in range(16) if p != 5)


def test_reads_too_long_for_the_device_are_halved_and_no_point_is_given_up():
    rig = Rig(site(device(points=40, poll_ms=1000)), mute(longest=12))
    rig.run(120)
    assert not rig.worker.snapshot()["devices"][0]["refused"]
    before = len(rig.line.asked)
    rig.run(10)
    assert max(r.count for _, r in rig.line.asked[before:]) <= 12
    assert all(isinstance(rig.polls(p)[-1].outcome, Values) for p in range(40))


def test_silent_points_do_not_open_the_breaker_of_a_device_that_answers_others():
    # Each point by itself, the silent ones one after the other: three silences in a row.
    where = site(device(points=8, poll_ms=1000, one_point_per_request=True), device("other", 2), retries=0)
    rig = Rig(where, mute(101, 102, 103, 104))
    rig.run(30)
    refused = rig.worker.snapshot()["devices"][0]["refused"]
    assert [one["point"] for one in refused] == ["p101", "p102", "p103", "p104"]
    assert sum(isinstance(block.outcome, Values) for block in rig.polls(0)) >= 24
    assert len(rig.polls(8)) >= 29


def test_a_device_that_goes_away_opens_its_breaker_and_nothing_is_given_up():
    there = True

    def answer(asked):
        return good(asked) if there or asked.unit_id == 2 else NoReply()

    rig = Rig(site(device(points=16, poll_ms=1000), device("other", 2)), answer)
    rig.run(10)
    there = False
    rig.run(300)
    status = rig.worker.snapshot()["devices"][0]
    assert (status["state"], status["probing"], status["refused"]) == ("down", True, [])


def test_probes_of_a_device_that_is_away_keep_their_pauses_whatever_was_silent_before():
    # The read that probes are made of was silent, the device was heard after it, and then it went away.
    there = True

    def answer(asked):
        return good(asked) if there and asked.address != 100 else NoReply()

    points = (point(100, device="d", poll_ns=1000 * S), point(200, device="d", poll_ns=S))
    where = DeviceDef(name="d", bus="b", unit_id=1, points=points)
    rig = Rig(site(where, retries=0), answer)
    rig.run(2)
    there = False
    rig.run(30)
    assert rig.worker.snapshot()["devices"][0]["probing"]
    assert len(rig.line.asked) < 15


@given(st.lists(st.booleans(), min_size=200, max_size=200), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_no_poll_is_lost_whatever_is_silent(silences, points):
    answers = iter(silences * 20)
    rig = Rig(
        site(device(points=points, poll_ms=1000)),
        lambda asked: NoReply() if next(answers) else good(asked),
        cost_ms=20,
    )
    rig.run(60)
    for index in range(points):
        # More than 60, where a device that came back is polled at once.
        assert len(rig.polls(index)) + rig.skipped[index] >= 58


def test_a_gateways_word_for_silence_is_silence():
    def answer(asked):
        return DeviceException(11, MS) if isinstance(mute(103)(asked), NoReply) else good(asked)

    rig = Rig(site(device(points=4, poll_ms=1000, one_point_per_request=True)), answer)
    rig.run(30)
    refused = rig.worker.snapshot()["devices"][0]["refused"]
    assert refused == [{"point": "p103", "exception": None, "name": "no reply"}]


def test_a_silent_point_costs_one_read_an_hour_and_comes_back_when_it_answers():
    deaf = [103]
    rig = Rig(
        site(device(points=8, poll_ms=30_000), retries=0),
        lambda asked: mute(*deaf)(asked),
    )
    rig.run(1.1 * HOUR)
    silent = silent_reads(rig)
    rig.run(3 * HOUR)
    assert silent_reads(rig) - silent in (3, 4)
    deaf.clear()
    rig.run(HOUR + 60)
    assert not rig.worker.snapshot()["devices"][0]["refused"]
    rig.run(60)
    assert rig.line.asked[-1][1].count == 8


def test_the_others_on_the_line_are_not_starved_while_a_silent_point_is_looked_for():
    # On the real line, where a silence costs its timeout and the whole late window behind it.
    timing = bus_timing(site(device()).buses[0])

    def respond(data):
        asked = request(
            int.from_bytes(data[4:6], "big"), unit=data[0], address=int.from_bytes(data[2:4], "big")
        )
        if isinstance(mute(105)(asked), NoReply):
            return
        frame = reply(asked)
        yield 5 * MS + timing.wire_ns(len(frame)), frame

    where = site(device("odd", 1, 16), device("even", 2, 16), timeout_ns=300 * MS)
    rig = Rig(where, respond=respond)
    rig.run(60)
    refused = rig.worker.snapshot()["devices"][0]["refused"]
    assert [one["point"] for one in refused] == ["p105"]
    assert sum(isinstance(block.outcome, Values) for block in rig.polls(16)) >= 50
    assert silent_reads(rig) <= 30
    before = len(rig.polls(16))
    rig.run(60)
    assert len(rig.polls(16)) - before == 60


# --- how long it is remembered --------------------------------------------------------------------


@pytest.mark.parametrize(("away_s", "asked_again"), [(25, False), (300, True)])
def test_refusals_are_forgotten_after_an_absence_that_is_long_enough_to_exchange_the_device(
    away_s, asked_again
):
    there = True

    def answer(asked):
        touched = range(asked.address, asked.address + asked.count)
        if not there:
            return NoReply()
        return DeviceException(2, MS) if 102 in touched else good(asked)

    rig = Rig(site(device(points=4, poll_ms=1000, max_gap_words=0)), answer)
    rig.run(10)
    there = False
    rig.run(away_s)
    there = True
    before = len(rig.line.asked)
    rig.run(15)
    touched = [asked for _, asked in rig.line.asked[before:] if 0 <= 102 - asked.address < asked.count]
    assert bool(touched) is asked_again


def test_stop_is_obeyed_by_probes_too():
    # The shortest read, which probes are made of, is the one that makes the device restart.
    asked_of_it = []

    def answer(asked):
        if asked.address == 100:
            asked_of_it.append(asked)
            return DeviceException(2, MS)  # and it restarts
        return good(asked) if len(rig.line.asked) < 5 else NoReply()

    where = DeviceDef(
        name="d",
        bus="b",
        unit_id=1,
        quirks=Quirks(on_illegal_address="stop", max_gap_words=0),
        points=tuple(point(n, device="d", poll_ns=S) for n in (100, 200, 201)),
    )
    rig = Rig(site(where, retries=0), answer)
    rig.run(100)
    assert rig.worker.snapshot()["devices"][0]["probing"]
    assert len(asked_of_it) == 1
