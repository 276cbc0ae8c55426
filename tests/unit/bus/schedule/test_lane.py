"""What other threads ask for: begun before any further poll, never two in a row while polls wait, bounded."""

from __future__ import annotations

import threading

import pytest

from edge_agent.bus import worker as worker_module
from edge_agent.bus.outcomes import DeviceException, NoReply, PortDown, ReadRequest, Values
from edge_agent.bus.schedule.lane import CAPACITY, Answer, Asked, Lane, LaneFull, Priority
from edge_agent.bus.schedule.pool import Job, Pool
from edge_agent.errors import PortError
from edge_agent.model import Area, MonoNs
from tests.unit.bus.helpers import reply, request
from tests.unit.bus.site import MS, Rig, S, device, good, site

ODD = 7777
"""An address no poll reads."""


def odd(number=0, *, index=0, unit=1):
    return ReadRequest(index, unit, Area.INPUT, ODD + number, 2, ())


class Person:
    """Asks, and keeps the answers."""

    def __init__(self, rig):
        self.rig = rig
        self.answers: list[Answer] = []

    def asks(self, what, patience_s=30.0):
        expires = MonoNs(self.rig.clock.mono_ns() + int(patience_s * S))
        self.rig.worker.ask(Asked(what, expires, self.answers.append))


def full_line(*devices, answer=good, **bus):
    """A bus that is never idle."""
    devices = devices or tuple(device(f"d{i}", i + 1, 1, 100) for i in range(4))
    return Rig(site(*devices, max_load=1.0, **bus), answer, cost_ms=50)


def asked_between(rig, first, last):
    return [request for at, request in rig.line.asked if first <= at < last]


# --- the lane and the pool ------------------------------------------------------------------------


def job(address, asked=None, deadline=0):
    return Job(request(address=address), MonoNs(deadline), asked=asked)


def asked(priority=Priority.READ, expires=10**18):
    return Asked(request(), MonoNs(expires), lambda _: None, priority)


def addresses(pool):
    return [one.request.address for one in pool.plan()]


def test_of_two_transactions_one_is_a_poll_while_polls_wait():
    pool = Pool(MonoNs(0))
    pool.add([job(n) for n in (1, 2, 3)] + [job(n, asked()) for n in (11, 12, 13, 14, 15)])
    assert addresses(pool) == [11, 1, 12, 2, 13, 3, 14, 15]
    made = []
    while len(pool):
        first = pool.plan()[0]
        made.append(first.request.address)
        pool.done(first)
    assert made == [11, 1, 12, 2, 13, 3, 14, 15]


def test_a_write_goes_before_the_reads_that_wait():
    pool = Pool(MonoNs(0))
    pool.add([job(1, asked()), job(2, asked()), job(3, asked(Priority.WRITE)), job(4, asked(Priority.WRITE))])
    assert addresses(pool) == [3, 4, 1, 2]


def test_a_lane_that_is_full_refuses_with_a_hint_until_one_is_answered():
    lane = Lane()
    for _ in range(CAPACITY - 3):
        lane.ask(asked())
    lane.take()
    for _ in range(3):
        lane.ask(asked())
    with pytest.raises(LaneFull, match=r"16 requests wait(.|\n)*hint:"):
        lane.ask(asked())
    lane.concluded()
    lane.ask(asked())


def test_polls_are_displaced_and_cleared_and_what_was_asked_stays():
    pool = Pool(MonoNs(0))
    pool.add([job(1), job(2, asked())])
    assert [one.request.address for one in pool.displace(frozenset({0}))] == [1]
    pool.add([job(3)])
    assert [one.request.address for one in pool.clear(0)] == [3]
    assert addresses(pool) == [2]


# --- on a bus -------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment_ms", [0, 1, 49, 50, 333, 999])
@pytest.mark.parametrize("requests", [1, 40])
def test_a_read_waits_for_the_transaction_in_progress_and_no_other(moment_ms, requests):
    rig = full_line(device("d", 1, requests, 50 * requests, one_point_per_request=True))
    rig.run(1)
    person, begun = Person(rig), rig.clock.mono_ns() + moment_ms * MS

    def answer(one):
        # The fake line has moved its clock over the whole transaction: it was in progress when asked.
        if rig.clock.mono_ns() > begun and not person.answers and not waiting:
            waiting.append(len(rig.line.asked))
            person.asks(odd())
        return good(one)

    waiting: list[int] = []
    rig.line._answer = answer
    rig.run(2)
    (number,) = waiting
    assert rig.line.asked[number][1] == odd()
    assert isinstance(person.answers[0].outcome, Values)


def test_many_reads_take_every_second_transaction_and_polling_goes_on():
    rig = full_line()
    rig.run(1)
    person = Person(rig)
    for number in range(10):
        person.asks(odd(number))
    begin = rig.clock.mono_ns()
    rig.run(1.5)
    made = [one.address >= ODD for one in asked_between(rig, begin, begin + 1000 * MS)]
    assert made == [True, False] * 10
    assert len(person.answers) == 10


def test_an_idle_bus_answers_at_once_and_in_order():
    rig = Rig(site(device(poll_ms=10_000)))
    rig.run(1)
    person, begin = Person(rig), rig.clock.mono_ns()
    for number in range(3):
        person.asks(odd(number))
    rig.run(0.1)
    assert asked_between(rig, begin, begin + 30 * MS) == [odd(0), odd(1), odd(2)]


class Sleep(threading.Event):
    """Says when somebody waits for it."""

    def __init__(self):
        super().__init__()
        self.begun = threading.Event()

    def wait(self, timeout=None):
        self.begun.set()
        return super().wait(timeout)


def test_a_bus_that_sleeps_is_woken_by_what_is_asked_and_by_its_stop(monkeypatch):
    monkeypatch.setattr(worker_module, "_IDLE_NS", 3600 * S)
    monkeypatch.setattr(worker_module, "_REPORT_NS", 3600 * S)
    rig = Rig(site(device(poll_ms=3_600_000)))
    rig.run(1.5)
    stop, answered = threading.Event(), threading.Event()
    rig.worker._woken = sleep = Sleep()
    thread = threading.Thread(target=rig.worker.run, args=(stop,))
    thread.start()
    try:
        assert sleep.begun.wait(30)
        rig.worker.ask(Asked(odd(), MonoNs(rig.clock.mono_ns() + S), lambda _: answered.set()))
        assert answered.wait(30)
    finally:
        stop.set()
        rig.worker.wake()
        thread.join(30)
    assert not thread.is_alive()


def test_reads_count_in_the_load():
    rig = Rig(site(device(poll_ms=10_000), max_load=0.5), cost_ms=100)
    person, begin = Person(rig), rig.clock.mono_ns()
    for number in range(12):
        person.asks(odd(number))
    rig.run(1)
    assert len(asked_between(rig, begin, begin + S)) <= 8


def test_a_read_that_nobody_waits_for_any_more_is_not_sent():
    rig = full_line()
    rig.run(1)
    person = Person(rig)
    person.asks(odd(), patience_s=0.0)
    rig.run(1)
    assert person.answers == [Answer(None, person.answers[0].mono_ns)]
    assert not any(one.address >= ODD for _, one in rig.line.asked)
    assert rig.count("bus_lane_expired") == 1


def test_every_request_is_counted_as_served_refused_or_expired():
    rig = full_line()
    person = Person(rig)
    for _ in range(CAPACITY):
        person.asks(odd())
    with pytest.raises(LaneFull):
        person.asks(odd())
    rig.run(3)
    person.asks(odd(), patience_s=0.0)
    rig.run(1)
    counts = [rig.count(f"bus_lane_{word}") for word in ("asked", "served", "refused", "expired")]
    assert counts == [CAPACITY + 2, CAPACITY, 1, 1]


def test_a_unit_that_is_not_configured_can_be_read_and_is_no_device_of_the_bus():
    rig = Rig(
        site(device()), respond=lambda data: [(4 * MS, reply(odd(unit=data[0])))] if data[1] == 4 else []
    )
    rig.run(0.1)
    person = Person(rig)
    person.asks(odd(index=-9, unit=9))
    rig.run(2)
    assert isinstance(person.answers[0].outcome, Values)
    assert [one["name"] for one in rig.worker.snapshot()["devices"]] == ["d"]
    assert rig.counters.snapshot()["bus_requests{b,unit 9,ok}"] == 1


def test_what_a_person_tries_out_opens_no_breaker_and_hands_on_no_values():
    rig = Rig(site(device(poll_ms=60_000)), lambda one: NoReply() if one.address >= ODD else good(one))
    rig.run(1)
    person, events = Person(rig), len(rig.events)
    for _ in range(6):
        person.asks(odd())
    rig.run(9)
    assert [answer.outcome for answer in person.answers] == [NoReply()] * 6
    assert len(rig.events) == events
    status = rig.worker.snapshot()["devices"][0]
    assert (status["state"], status["probing"], status["why"]) == ("up", False, "")


def test_a_refused_read_does_not_make_the_planner_forget_a_point():
    rig = Rig(site(device()), lambda one: DeviceException(2, MS) if one.address >= ODD else good(one))
    person = Person(rig)
    person.asks(odd())
    rig.run(3)
    assert person.answers[0].outcome == DeviceException(2, MS)
    assert rig.worker.snapshot()["devices"][0]["refused"] == []


def test_a_late_reply_to_a_person_is_not_taken_for_a_polls():
    rig = Rig(
        site(device(points=2, poll_ms=1000)), lambda one: NoReply() if one.area is Area.INPUT else good(one)
    )
    rig.run(0.5)
    Person(rig).asks(ReadRequest(0, 1, Area.INPUT, ODD, 2, ()))
    rig.run(0.2)
    assert rig.worker._devices[0].debts.owes(odd(), rig.clock.mono_ns())


def test_without_a_port_the_answer_says_so():
    rig = Rig(site(device()))
    rig.line.broken = PortError("gone", reason="missing")
    rig.run(1)
    person = Person(rig)
    person.asks(odd())
    rig.run(0.1)
    assert person.answers[0].outcome == PortDown("missing")


# --- probes ---------------------------------------------------------------------------------------


def silent_device(answer):
    """Unit 1 is away, owes no reply that could still come, and is not about to be probed anyway."""
    rig = full_line(*(device(f"d{i}", i + 1, 1, 100) for i in range(4)), answer=answer, retries=0)
    rig.run(20)
    assert rig.worker.snapshot()["devices"][0]["probing"]
    while not _is_calm(rig):
        rig.run(0.1)
    return rig


def _is_calm(rig):
    now = rig.clock.mono_ns()
    last = max(at for at, one in rig.line.asked if one.unit_id == 1)
    return now - last >= 1700 * MS and rig.worker._devices[0].breaker.probe_at - now >= S


def test_a_probe_that_is_asked_for_is_made_now_and_its_outcome_is_told():
    rig = silent_device(lambda one: NoReply() if one.unit_id == 1 else good(one))
    person, begin = Person(rig), len(rig.line.asked)
    person.asks(0)
    rig.run(0.2)
    assert any(one.unit_id == 1 for _, one in rig.line.asked[begin : begin + 2])
    (answer,) = person.answers
    assert answer.outcome == NoReply()
    assert answer.is_silent


def test_a_device_that_answers_its_probe_is_polled_at_full_rate_again():
    alive = False
    rig = silent_device(lambda one: good(one) if alive or one.unit_id != 1 else NoReply())
    person, alive = Person(rig), True
    person.asks(0)
    rig.run(0.2)
    (answer,) = person.answers
    assert isinstance(answer.outcome, Values)
    assert not answer.is_silent
    rig.run(10)
    before = len(rig.polls(0))
    rig.run(10)
    assert 45 <= len(rig.polls(0)) - before <= 55


def test_a_probe_of_a_device_that_is_up_is_a_read_and_changes_nothing():
    rig = full_line()
    rig.run(1)
    person = Person(rig)
    person.asks(2)
    rig.run(0.2)
    (answer,) = person.answers
    assert isinstance(answer.outcome, Values)
    assert not answer.is_silent


def test_a_sign_of_life_to_a_person_brings_the_probe_forward():
    rig = silent_device(lambda one: NoReply() if one.unit_id == 1 and one.address < ODD else good(one))
    probes = sum(one.unit_id == 1 for _, one in rig.line.asked)
    Person(rig).asks(odd())
    rig.run(2)
    assert sum(one.unit_id == 1 and one.address < ODD for _, one in rig.line.asked) > probes
