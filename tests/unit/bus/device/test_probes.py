"""When a silent unit is probed, and whether with its short timeout or the whole one."""

from __future__ import annotations

import pytest

from edge_agent.bus.device.device import devices_of
from edge_agent.bus.device.probes import LATE_PATIENCE_NS, WHOLE_AT_LEAST_NS, Probes
from edge_agent.bus.outcomes import NoReply
from edge_agent.bus.schedule.pool import Job, Pool
from edge_agent.bus.wire.overheard import Overheard
from edge_agent.model import MonoNs
from tests.unit.bus.helpers import request
from tests.unit.bus.site import MS, S, device, site

SHORT_NS, WHOLE_NS = 145 * MS, 520 * MS
"""What a short and a whole probe need of a gap: a quarter of 500 ms or all of it, and 20 ms around."""
NEVER = MonoNs(3600 * S)


class Bench:
    """Devices a and b of these unit ids; a is given up at 0 and was probed so often in vain."""

    def __init__(self, probes=0, units=(1, 2)):
        self.devices = devices_of(site(device("a", units[0]), device("b", units[1])), 0)
        self.overheard = Overheard()
        self.probes = Probes(self.devices.values(), MonoNs(0), self.overheard)
        self.pool = Pool(MonoNs(0))
        for one in self.devices.values():
            one.manners.unheard = 3
        self.silent(0, 3 + probes)

    def silent(self, index, times, now=0):
        for _ in range(times):
            self.devices[index].breaker.note(NoReply(), MonoNs(now))
            self.probes.noted(self.devices[index], MonoNs(now))

    @property
    def due(self):
        at = self.devices[0].breaker.probe_at
        assert at is not None
        return at

    def take(self, now, room_ns):
        """`short` or `whole`; None when nothing is probed."""
        jobs = self.probes.take(MonoNs(now), MonoNs(now + room_ns), self.pool)
        if not jobs:
            return None
        (job,) = jobs
        assert job.probe
        return "whole" if self.devices[job.request.device].manners.timeout.whole else "short"


def test_nothing_is_probed_that_is_not_silent_or_not_yet_due():
    bench = Bench()
    assert bench.probes.away() == {0}
    assert bench.take(bench.due - 1, NEVER) is None
    assert bench.probes.next_at(MonoNs(0), NEVER, bench.pool) == bench.due


@pytest.mark.parametrize(("room_ns", "length"), [(SHORT_NS - 1, None), (SHORT_NS, "short")])
def test_a_probe_is_made_in_the_first_gap_that_holds_it(room_ns, length):
    bench = Bench()
    assert bench.take(bench.due, room_ns) == length


def test_without_a_gap_it_is_made_when_patience_is_over():
    bench = Bench()
    assert bench.take(bench.due + 2 * S - 1, 0) is None
    assert bench.take(bench.due + 2 * S, 0) == "short"


def test_the_third_is_whole_where_a_gap_holds_it():
    bench = Bench(probes=2)
    assert bench.take(bench.due, WHOLE_NS) == "whole"


def test_for_a_whole_one_half_the_patience_is_waited_before_a_short_one_will_do():
    bench = Bench(probes=2)
    assert bench.take(bench.due, WHOLE_NS - 1) is None
    half = bench.devices[0].breaker.patience_ns // 2
    assert bench.take(bench.due + half - 1, WHOLE_NS - 1) is None
    assert bench.take(bench.due + half, WHOLE_NS - 1) == "short"


def test_a_whole_one_is_forced_where_there_was_none_for_long():
    bench = Bench(probes=2)
    patience = bench.devices[0].breaker.patience_ns
    assert bench.take(bench.due + patience, 0) == "short"
    assert bench.take(WHOLE_AT_LEAST_NS + bench.due, 0) == "whole"


def test_a_gap_holds_one_probe_only():
    bench = Bench()
    bench.silent(1, 3)
    jobs = bench.probes.take(MonoNs(2 * S), MonoNs(2 * S + WHOLE_NS), bench.pool)
    assert len(jobs) == 1


def test_a_unit_whose_probe_waits_for_the_line_is_not_probed_again():
    bench = Bench()
    bench.pool.add([Job(request(device=0), MonoNs(0), probe=True)])
    assert bench.take(bench.due, NEVER) is None
    assert bench.probes.next_at(MonoNs(bench.due), NEVER, bench.pool) is None


def test_a_hastened_probe_waits_for_nothing_and_is_whole():
    bench = Bench()
    bench.devices[0].breaker.hasten(MonoNs(5))
    assert bench.probes.next_at(MonoNs(5), MonoNs(5), bench.pool) == 5
    assert bench.take(5, 0) == "whole"


def test_when_to_look_next_is_never_in_the_past_while_a_probe_waits():
    bench = Bench(probes=2)
    now, patience = bench.due, bench.devices[0].breaker.patience_ns
    for expected in (now + patience // 2, now + patience):
        at = bench.probes.next_at(now, now, bench.pool)
        assert at == expected
        now = at
    assert bench.probes.next_at(now, now, bench.pool) == now


def test_devices_of_one_unit_id_share_one_probe():
    bench = Bench(units=(1, 1))
    assert bench.probes.away() == {0, 1}
    assert bench.probes.mates(bench.devices[1]) == (bench.devices[0], bench.devices[1])
    assert all(one.manners.timeout.probing for one in bench.devices.values())
    assert len(bench.probes.take(bench.due, NEVER, bench.pool)) == 1


LATE_NS = 1520 * MS
"""The whole timeout, the whole late window of twice as much, and 20 ms."""


def test_a_unit_that_answers_late_is_probed_whole_in_a_gap_that_holds_its_late_reply():
    bench = Bench()
    bench.overheard.of(1).late += 1
    assert bench.take(bench.due, LATE_NS - 1) is None
    assert bench.take(bench.due, LATE_NS) == "whole"
    assert bench.devices[0].manners.late_ns(100) == 1000 * MS


def test_without_such_a_gap_it_is_probed_every_two_minutes():
    bench = Bench()
    bench.overheard.of(1).late += 1
    assert bench.take(bench.due + LATE_PATIENCE_NS - 1, 0) is None
    assert bench.take(bench.due + LATE_PATIENCE_NS, 0) == "whole"


def test_one_that_answers_nothing_any_more_is_probed_like_all_others():
    bench = Bench()
    bench.overheard.of(1).late += 1
    bench.silent(0, 1)
    assert bench.take(bench.due, SHORT_NS) == "short"
    assert bench.devices[0].manners.late_ns(100) == 0


def test_a_technician_does_not_wait_for_a_late_one():
    bench = Bench()
    bench.overheard.of(1).late += 1
    bench.devices[0].breaker.hasten(MonoNs(5))
    assert bench.take(5, 0) == "whole"
