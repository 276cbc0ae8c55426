"""One bad device never hurts another: ten devices on a serial line in virtual time, frames and all.

19200 baud, ten registers each once a second, as the target of the whole program says it.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from edge_agent.bus.outcomes import DeviceException, NoReply, Values
from edge_agent.bus.wire.frames import expected, with_crc
from edge_agent.model import Area, SerialLink
from tests.unit.bus.site import MS, Rig, S, device, good, site

LINK = SerialLink(path="/dev/fake", baud=19200)


class Plant:
    """Slaves 1 to 10 by their requests; `dead` are silent, `late_ms` answer so late, one reply in a
    hundred of those `spoiled` has a flipped bit."""

    def __init__(self, *, dead=(), late_ms=None, spoiled=()):
        self.dead = set(dead)
        self.late_ms = late_ms or {}
        self._spoiled = spoiled
        self._random = Random(3)

    def __call__(self, request):
        unit, count = request[0], int.from_bytes(request[4:6], "big")
        if unit in self.dead:
            return []
        want = expected(unit, Area.HOLDING, int.from_bytes(request[2:4], "big"), count)
        reply = with_crc(want.header + bytes(want.byte_count))
        if unit in self._spoiled and self._random.random() < 0.01:
            reply = reply[:4] + bytes((reply[4] ^ 1,)) + reply[5:]
        wire_ms = len(reply) * 10 / 19.2
        delay_ms = self.late_ms.get(unit, 3) + wire_ms
        return [(int(delay_ms * MS), reply)]


def rig(plant, *, points=10, poll_ms=1000, **bus):
    devices = [device(f"d{unit}", unit, points, poll_ms) for unit in range(1, 11)]
    return Rig(site(*devices, link=LINK, **bus), respond=plant)


def periods_ms(rig, unit, since_s=0):
    """Between good values of a device, sorted."""
    times = [
        block.mono_ns
        for block in rig.polls((unit - 1) * 10)
        if isinstance(block.outcome, Values) and block.mono_ns > rig.start + since_s * S
    ]
    return sorted((b - a) / MS for a, b in pairwise(times))


def p99(ordered):
    return ordered[int(len(ordered) * 0.99)]


def test_two_dead_devices_do_not_change_the_periods_of_the_others():
    one = rig(Plant(dead=(4, 8)))
    one.run(610)
    for unit in {1, 2, 3, 5, 6, 7, 9, 10}:
        periods = periods_ms(one, unit, since_s=12)
        assert len(periods) >= 595
        assert p99(periods) <= 1050, unit


def test_dead_late_and_spoiled_devices_together_leave_the_live_ones_their_periods():
    one = rig(Plant(dead=(4, 8), late_ms={6: 120}, spoiled=(9,)))
    one.run(610)
    for unit in {1, 2, 3, 5, 6, 7, 10}:
        assert p99(periods_ms(one, unit, since_s=12)) <= 1050, unit
    # A spoiled reply and its repetition come later by themselves, here in one period of a hundred.
    assert p99(periods_ms(one, 9, since_s=12)) <= 1055


@pytest.mark.parametrize("late_ms", [210, 300, 420, 560])
def test_a_device_that_answers_after_its_timeout_leaves_the_others_their_periods(late_ms):
    one = rig(Plant(dead=(4, 8), late_ms={6: late_ms}), timeout_ns=200 * MS)
    one.run(610)
    for unit in {1, 2, 3, 5, 7, 9, 10}:
        assert p99(periods_ms(one, unit, since_s=12)) <= 1050, unit
    # Each of its late replies was waited for, and ran into nobody.
    assert one.line.counts.late_replies == sum(request[0] == 6 for _, request in one.port.sent)


def test_a_dead_device_costs_the_line_little_even_when_the_line_is_full():
    plant = Plant(dead=(4, 8))
    one = rig(plant, poll_ms=300)
    one.run(30)
    asked = len(one.port.sent)
    one.run(300)
    probes = [request for _, request in one.port.sent[asked:] if request[0] in plant.dead]
    # A short probe takes 125 ms, a whole one 500.
    assert 2 * 300 / 12 <= len(probes) <= 2 * 300 / 6
    assert len(probes) * 125 + 2 * 500 < 0.04 * 300_000


def test_where_the_schedule_has_gaps_probes_are_made_in_them():
    one = rig(Plant(dead=(4, 8)))
    one.run(30)
    before, events = len(one.port.sent), len(one.events)
    one.run(270)
    assert sum(request[0] in (4, 8) for _, request in one.port.sent[before:]) > 60
    late = [
        block
        for block in one.events[events:]
        if isinstance(block.outcome, Values) and (block.mono_ns - one.start) % (100 * MS) > 60 * MS
    ]
    # All but those behind a whole timeout, which no gap of this schedule holds.
    assert len(late) <= 20


@pytest.mark.parametrize("away_s", [5, 17.3, 61, 600])
def test_a_device_that_returns_is_at_full_rate_within_half_a_minute_and_one_probe(away_s):
    plant = Plant(dead=(4,))
    one = rig(plant)
    one.run(away_s)
    plant.dead.clear()
    returned, asked = one.clock.mono_ns(), len(one.port.sent)
    one.run(60)
    sent = [at for at, request in one.port.sent[asked:] if request[0] == 4]
    assert sent[0] - returned <= 30 * S
    assert sent[1] - sent[0] <= 1.1 * S
    gaps = [b - a for a, b in pairwise(sent[1:])]
    assert max(gaps) <= 1.1 * S


def test_a_device_that_returns_slower_than_it_was_is_found_within_half_a_minute_on_an_idle_line():
    plant = Plant()
    one = Rig(site(device("slow", 4, 10, 1000), link=LINK), respond=plant)
    one.run(20)
    plant.dead.add(4)
    one.run(200)
    plant.dead.clear()
    plant.late_ms[4] = 400
    returned = one.clock.mono_ns()
    one.run(32)
    values = [block.mono_ns for block in one.polls(0) if isinstance(block.outcome, Values)]
    assert any(returned < at <= returned + 30 * S for at in values)


def test_on_a_line_without_gaps_a_slow_device_is_still_found():
    plant = Plant(dead=(4,))
    one = rig(plant, poll_ms=250)
    one.run(30)
    plant.dead.clear()
    plant.late_ms[4] = 300
    one.run(330)
    assert periods_ms(one, 4)


def test_the_port_is_never_closed_because_devices_are_silent():
    one = rig(Plant(dead=range(1, 11)))
    one.run(600)
    assert not one.port.closed
    assert one.line.counts.opened == 1
    assert one.worker.snapshot()["state"] == "open"


def test_two_configured_devices_of_one_unit_id_are_given_up_probed_and_back_together():
    alive = False
    where = site(device("a", 5), device("b", 5), device("c", 6))
    one = Rig(where, lambda request: good(request) if alive or request.unit_id == 6 else NoReply())
    one.run(60)
    states = {entry["name"]: entry["probing"] for entry in one.worker.snapshot()["devices"]}
    assert states == {"a": True, "b": True, "c": False}
    assert sum(request.unit_id == 5 for _, request in one.line.asked) < 16
    alive = True
    one.run(9)
    before = len(one.line.asked)
    one.run(10)
    assert sum(request.unit_id == 5 for _, request in one.line.asked[before:]) == 20


def test_what_a_gateway_says_of_one_unit_is_not_said_of_those_behind_it():
    def answer(request):
        return DeviceException(11, MS) if request.unit_id == 2 else good(request)

    one = Rig(site(device("a", 1), device("b", 2), device("c", 3)), answer)
    one.run(60.5)
    assert sum(request.unit_id == 2 for _, request in one.line.asked) < 16
    assert [entry["state"] for entry in one.worker.snapshot()["devices"]] == ["up", "down", "up"]
    assert len(one.polls(0)) == 61
    assert len(one.polls(6)) == 60


def test_hasten_probes_at_once_with_the_whole_timeout():
    one = rig(Plant(dead=(4,)))
    one.run(120)
    breaker = one.worker._devices[3].breaker
    now, asked = one.clock.mono_ns(), len(one.port.sent)
    breaker.hasten(now)
    one.run(1.2)
    probes = [at for at, request in one.port.sent[asked:] if request[0] == 4]
    assert probes
    following = min(at for at, request in one.port.sent[asked:] if at > probes[0])
    assert following - probes[0] >= 500 * MS
