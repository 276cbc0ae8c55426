"""Points whose device answers "not now" are asked ever more rarely, and at once again when it answers."""

from __future__ import annotations

import pytest

from edge_agent.bus.device.deferrals import PAUSES_NS, Deferrals
from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Values, quality
from edge_agent.model import NS, MonoNs
from tests.unit.bus.helpers import request
from tests.unit.bus.site import MS, Rig, device, good, site


@pytest.mark.parametrize("code", PAUSES_NS)
def test_pauses_double_from_the_first_to_the_longest(code):
    first, longest = PAUSES_NS[code]
    deferrals, now = Deferrals(), MonoNs(0)
    for times in range(20):
        deferrals.note(request(), DeviceException(code, 0), now)
        pause = min(first << times, longest)
        assert deferrals.later([0], MonoNs(now + pause - 1)) == {0: code}
        assert deferrals.later([0], MonoNs(now + pause)) == {}
        now = MonoNs(now + pause)


@pytest.mark.parametrize("code", [2, 3, 9, 10, 11])
def test_exceptions_that_are_others_business_defer_nothing(code):
    deferrals = Deferrals()
    deferrals.note(request(), DeviceException(code, 0), MonoNs(0))
    assert deferrals.points == {}


@pytest.mark.parametrize("outcome", [NoReply(), BadFrame(BadCause.CRC, 9)])
def test_silence_and_damage_say_nothing_of_the_points(outcome):
    deferrals = Deferrals()
    deferrals.note(request(), DeviceException(6, 0), MonoNs(0))
    deferrals.note(request(), outcome, MonoNs(0))
    assert deferrals.points == {0: 6}


def test_values_end_it_for_the_points_they_bring_and_for_no_other():
    deferrals = Deferrals()
    deferrals.note(request(points=(0, 1)), DeviceException(4, 0), MonoNs(0))
    deferrals.note(request(points=(1,)), Values(b"", 0), MonoNs(0))
    assert deferrals.points == {0: 4}


def test_another_exception_begins_anew():
    deferrals = Deferrals()
    for _ in range(5):
        deferrals.note(request(), DeviceException(6, 0), MonoNs(0))
    deferrals.note(request(), DeviceException(4, 0), MonoNs(0))
    assert deferrals.later([0], MonoNs(NS)) == {}


# --- in the worker --------------------------------------------------------------------------------


def test_a_busy_device_is_asked_ever_more_rarely_and_its_spared_polls_are_counted():
    rig = Rig(site(device(points=1)), lambda _: DeviceException(6, MS))
    rig.run(60.5)
    assert 8 <= len(rig.line.asked) <= 11
    assert len(rig.polls(0)) == 61
    assert all(quality(block.outcome).label == "exception_6" for block in rig.polls(0))
    assert rig.count("bus_polls_spared") == 61 - len(rig.line.asked)
    assert rig.worker.snapshot()["devices"][0]["state"] == "up"


def test_it_is_at_full_rate_with_its_first_values():
    busy = True
    rig = Rig(site(device(points=1)), lambda request: DeviceException(6, MS) if busy else good(request))
    rig.run(20)
    busy = False
    rig.run(11)
    before = len(rig.line.asked)
    rig.run(10)
    assert len(rig.line.asked) == before + 10


def test_one_register_a_device_fails_at_does_not_cost_the_others_their_rate():
    def answer(request):
        return DeviceException(4, MS) if request.address == 102 else good(request)

    rig = Rig(site(device(points=3, one_point_per_request=True)), answer)
    rig.run(60.5)
    asked = [request.address for _, request in rig.line.asked]
    assert asked.count(100) == asked.count(101) == 61
    assert asked.count(102) <= 10
    assert len(rig.polls(2)) == 61


def test_an_illegal_function_is_asked_once_an_hour_and_named_among_the_refused():
    rig = Rig(site(device(points=1, poll_ms=10_000)), lambda _: DeviceException(1, MS))
    rig.run(4 * 3600)
    assert len(rig.line.asked) < 12
    assert len(rig.polls(0)) == 1440
    refused = rig.worker.snapshot()["devices"][0]["refused"]
    assert refused == [{"point": "p100", "exception": 1, "name": "illegal function"}]


def test_continuous_points_that_are_deferred_do_not_make_the_worker_spin():
    rig = Rig(site(device(points=1, poll_ms=0)), lambda _: DeviceException(4, MS))
    rig.run(60)
    assert len(rig.line.asked) < 10
    assert 50 <= len(rig.polls(0)) <= 80
