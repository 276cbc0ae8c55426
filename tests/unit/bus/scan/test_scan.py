"""A search finds what is on the line, whatever else is heard; in virtual time, on a line of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.lines.fake import FakePort
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Values
from edge_agent.bus.scan.hints import hints
from edge_agent.bus.scan.scan import LONG_NS, Scan
from edge_agent.bus.scan.scanner import Scanner
from edge_agent.bus.scan.settings import BAUDS, FORMATS, Setting, settings_of
from edge_agent.bus.scan.sounds import Sounds, sort_out
from edge_agent.bus.scan.unit import TRIES
from edge_agent.bus.wire.frames import with_crc
from edge_agent.bus.wire.timing import bus_timing, t3_5_ns
from edge_agent.bus.wire.tracing import Tracer
from edge_agent.clock import FakeClock
from edge_agent.errors import PortError
from edge_agent.model import SerialLink

MS = 1_000_000
SLOW, FAST = Setting(9600), Setting(19200)
Answer = Callable[[bytes], Iterable[tuple[int, bytes]]]


def value_of(request: bytes) -> bytes:
    return with_crc(bytes((request[0], request[1], 2, 0, 0x42)))


def good(delay_ms: float = 5) -> Answer:
    return lambda request: [(round(delay_ms * MS), value_of(request))]


def refusing(request: bytes) -> list[tuple[int, bytes]]:
    return [(5 * MS, with_crc(bytes((request[0], request[1] | 0x80, 2))))]


def twice(request: bytes) -> list[tuple[int, bytes]]:
    """Two devices with one unit id, one of them later."""
    return [*good(5)(request), *good(35)(request)]


def garbled(request: bytes) -> list[tuple[int, bytes]]:
    """Two devices with one unit id, at once."""
    return [(5 * MS, b"\x83\x11\x02\xa4\x00\x31\x7f")]


class Plant:
    """Devices by setting; `also` is heard after every request at every setting."""

    def __init__(self, *, also: Answer | None = None, refuses: Iterable[int] = (), **more: Any) -> None:
        self.devices: dict[Setting, dict[int, Answer]] = more.get("devices", {})
        self.clock = FakeClock()
        self.also = also
        self.refuses = set(refuses)
        self.asked: list[tuple[Setting, int]] = []
        self.ports: list[tuple[Setting, FakePort]] = []
        self.stopped = False

    def open(self, link: SerialLink) -> FakePort:
        if link.baud in self.refuses:
            raise PortError("x: cannot be opened: Invalid argument", reason="io", hint="another speed")
        setting = Setting(link.baud, (link.data_bits, link.parity, link.stop_bits))

        def respond(request: bytes) -> list[tuple[int, bytes]]:
            self.asked.append((setting, request[0]))
            answer = self.devices.get(setting, {}).get(request[0])
            return [*(answer(request) if answer else ()), *(self.also(request) if self.also else ())]

        port = FakePort(self.clock, respond, 11 * 10**9 // link.baud)
        self.ports.append((setting, port))
        return port

    def make(self, bus, manners, clock, stopped, trace):
        timing = bus_timing(bus)
        tracer = Tracer(bus.name, timing, clock, trace)
        return SerialLine(
            lambda: self.open(bus.link), timing, clock, manners=manners, stopped=stopped, tracer=tracer
        )

    def search(self, tried: list[Setting], units: Iterable[int], **more: Any) -> Scan:
        scan = Scan(tried, tuple(units), **more)
        scanner = Scanner("x", self.clock, lambda: self.stopped, make=self.make)
        while scanner.turn(scan) is not None:
            pass
        scanner.close()
        return scan


def found(scan: Scan) -> list[tuple[str, int]]:
    return [(str(unit.setting), unit.unit_id) for unit in scan.found]


def told(scan: Scan) -> str:
    return "\n".join(hints(scan, complete=True, all_settings=False))


EVERY_UNIT = range(1, 248)


def test_every_device_is_found_at_its_speed_and_the_other_speeds_are_dropped():
    plant = Plant(devices={FAST: {3: good(), 40: refusing, 247: good(30)}})
    scan = plant.search([SLOW, FAST, Setting(38400)], EVERY_UNIT)
    assert found(scan) == [("19200 8N1", 3), ("19200 8N1", 40), ("19200 8N1", 247)]
    assert told(scan) == ""
    assert {unit for setting, unit in plant.asked if setting == FAST} == set(EVERY_UNIT)
    # The likely unit ids came first at the speed that was tried before, and the third was not needed.
    assert {unit for setting, unit in plant.asked if setting == SLOW} == set(range(1, 11))
    assert {setting for setting, _ in plant.asked} == {SLOW, FAST}


def test_a_device_with_a_high_unit_id_is_found_in_the_second_round():
    plant = Plant(devices={FAST: {200: good()}})
    assert found(plant.search([SLOW, FAST], EVERY_UNIT)) == [("19200 8N1", 200)]


def test_every_setting_is_gone_through_where_that_is_asked_for():
    plant = Plant(devices={SLOW: {3: good()}, FAST: {90: good()}})
    assert found(plant.search([SLOW, FAST], EVERY_UNIT)) == [("9600 8N1", 3)]
    scan = plant.search([SLOW, FAST], EVERY_UNIT, every_setting=True)
    assert found(scan) == [("9600 8N1", 3), ("19200 8N1", 90)]


def test_an_exception_alone_is_a_presence_and_a_gateways_is_none():
    def gateway(request: bytes) -> list[tuple[int, bytes]]:
        return [(5 * MS, with_crc(bytes((request[0], request[1] | 0x80, 11))))]

    plant = Plant(devices={SLOW: {4: refusing, 5: gateway}})
    scan = plant.search([SLOW], range(1, 10))
    assert found(scan) == [("9600 8N1", 4)]
    assert scan.gateway == 1


@pytest.mark.parametrize("delay_ms", [70, 130, 250, 399])
def test_a_slow_device_is_found_by_its_late_reply(delay_ms):
    plant = Plant(devices={SLOW: {1: good(delay_ms), 20: good(delay_ms), 30: good(delay_ms)}})
    scan = plant.search([SLOW], range(1, 31))
    assert [unit for _, unit in found(scan)] == [1, 20, 30]
    assert not any(unit.is_double for unit in scan.found)
    assert "another master" not in told(scan)


@given(
    st.dictionaries(st.integers(1, 60), st.floats(1, 390), max_size=8),
    st.sampled_from([SLOW, FAST]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_whoever_is_there_is_found_and_nobody_else(units, setting, every):
    plant = Plant(devices={setting: {unit: good(delay) for unit, delay in units.items()}})
    scan = plant.search([SLOW, FAST], range(1, 61), every_setting=every)
    assert found(scan) == [(str(setting), unit) for unit in sorted(units)]
    assert max(plant.asked.count(one) for one in set(plant.asked)) <= 3


SOUNDS = st.builds(
    Sounds,
    units=st.lists(st.integers(1, 30), max_size=3).map(tuple),
    requests=st.lists(st.integers(1, 30), max_size=1).map(tuple),
    junk=st.integers(0, 20),
)
OUTCOMES = st.one_of(
    st.just(NoReply()),
    st.builds(Values, st.just(b"\x00\x01"), st.integers(0, 400 * MS)),
    st.builds(DeviceException, st.sampled_from([1, 2, 6, 10, 11]), st.integers(0, 400 * MS)),
    st.builds(BadFrame, st.sampled_from(BadCause), st.integers(1, 300)),
)


@given(st.data(), st.booleans(), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_a_search_ends_whatever_is_heard_and_asks_nobody_too_often(data, every, count):
    scan = Scan([SLOW, FAST], tuple(range(1, count + 1)), every_setting=every)
    asked: list[tuple[Setting | None, int]] = []
    while (probe := scan.next()) is not None:
        asked.append((probe.setting, probe.unit_id))
        scan.note(probe, data.draw(OUTCOMES), data.draw(SOUNDS))
        assert scan.remaining_ns >= 0
    assert scan.asked == len(asked)
    assert max(asked.count(one) for one in set(asked)) <= TRIES
    assert told(scan) is not None


def test_two_devices_with_one_id_are_told_by_their_two_replies():
    scan = Plant(devices={SLOW: {7: twice, 9: good()}}).search([SLOW], range(1, 20))
    assert [(unit.unit_id, unit.is_double) for unit in scan.found] == [(7, True), (9, False)]
    assert "unit 7 answered more often than it was asked: two devices" in told(scan)


def test_two_devices_with_one_id_that_garble_each_other_are_told():
    scan = Plant(devices={SLOW: {7: garbled, 9: good()}}).search([SLOW], range(1, 20))
    assert [unit.unit_id for unit in scan.found] == [9]
    assert [unit.unit_id for unit in scan.unclear] == [7]
    assert "something answers as unit 7 at 9600 8N1, and never in a valid frame" in told(scan)


def test_a_device_that_is_garbled_now_and_then_is_found_and_the_garbage_told():
    turns = iter([garbled, good(), good(), good()])
    scan = Plant(devices={SLOW: {7: lambda request: next(turns)(request)}}).search([SLOW], range(1, 20))
    assert [unit.unit_id for unit in scan.found] == [7]
    assert "unit 7 answered 2 of 3 times and garbage came otherwise" in told(scan)


def test_garbage_at_one_speed_only_says_that_something_is_there():
    scan = Plant(devices={SLOW: {5: garbled}}).search([SLOW, FAST], range(1, 20))
    assert not scan.found
    assert "bytes were heard at 9600 8N1 and made no frame" in told(scan)
    assert "--baud all" in told(scan)


def test_silence_says_what_to_look_at():
    scan = Plant().search([SLOW], range(1, 5))
    assert "nothing was heard: is it powered" in told(scan)


def test_glitches_after_every_request_cost_nothing_and_are_told():
    plant = Plant(devices={SLOW: {5: good(20)}}, also=lambda request: [(1 * MS, b"\x00")])
    scan = plant.search([SLOW], range(1, 40))
    assert [unit.unit_id for unit in scan.found] == [5]
    assert len(plant.asked) == 40, "none but the device was asked twice"
    assert "no bias" in told(scan)


def test_bytes_without_end_end_the_setting_and_not_the_search():
    noise = [(at * MS, b"\xa5\x17\x3c") for at in range(10, 400, 20)]
    plant = Plant(devices={FAST: {40: good()}})
    plant.also = lambda request: noise if plant.ports[-1][0] == SLOW else ()
    scan = plant.search([SLOW, FAST], range(1, 60))
    assert found(scan) == [("19200 8N1", 40)]
    assert len([one for one in plant.asked if one[0] == SLOW]) < 20
    assert "bytes without end at 9600 8N1" in told(scan)


def test_another_master_is_told():
    asks = with_crc(bytes.fromhex("370300000004"))
    scan = Plant(also=lambda request: [(20 * MS, asks)]).search([SLOW], range(1, 5))
    assert not scan.found
    assert "another master is on this line, it asks for unit 55" in told(scan)


def test_a_line_that_hears_itself_is_searched_the_same():
    plant = Plant(devices={SLOW: {5: good(20), 247: refusing}}, also=lambda request: [(0, request)])
    scan = plant.search([SLOW], EVERY_UNIT)
    assert [unit.unit_id for unit in scan.found] == [5, 247]
    assert told(scan) == ""


def test_a_speed_the_port_does_not_have_is_passed_over():
    plant = Plant(devices={FAST: {5: good()}}, refuses=[9600])
    scan = plant.search([SLOW, FAST], range(1, 20))
    assert found(scan) == [("19200 8N1", 5)]
    assert "not tried at 9600 8N1: x: cannot be opened: Invalid argument" in told(scan)


def test_a_port_that_goes_ends_the_search_and_keeps_what_was_found():
    plant = Plant(devices={SLOW: {2: good()}})
    scan = Scan([SLOW], (1, 2, 3, 4))
    scanner = Scanner("x", plant.clock, lambda: False, make=plant.make)
    while not scan.found:
        scanner.turn(scan)
    plant.ports[-1][1].babble([(0, PortError("x: gone", reason="lost", hint="plug it in"))])
    with pytest.raises(PortError, match="gone"):
        scanner.turn(scan)
    assert [unit.unit_id for unit in scan.found] == [2]


def test_a_stop_ends_it_at_once():
    plant = Plant()
    plant.stopped = True
    assert plant.search([SLOW], EVERY_UNIT).asked == 0


@pytest.mark.parametrize("tried", [[SLOW], [SLOW, FAST], settings_of(BAUDS, FORMATS)])
def test_the_estimate_is_what_a_search_in_vain_takes(tried):
    plant = Plant()
    scan = Scan(tried, tuple(EVERY_UNIT))
    estimate, begun = scan.remaining_ns, plant.clock.mono_ns()
    scanner = Scanner("x", plant.clock, lambda: False, make=plant.make)
    left = [scan.remaining_ns]
    while scanner.turn(scan) is not None:
        left.append(scan.remaining_ns)
    spent = plant.clock.mono_ns() - begun
    assert 0.8 * estimate <= spent <= estimate
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


def test_the_silence_before_each_request_is_kept():
    plant = Plant(devices={SLOW: {3: good(), 4: good(90), 5: refusing}})
    plant.search([SLOW], range(1, 20))
    ((setting, port),) = plant.ports
    # From the end of one request to the beginning of the next there is at least t3.5.
    for (one, data), (other, _) in pairwise(port.sent):
        assert other - one >= len(data) * 10 * 10**9 // setting.baud + t3_5_ns(setting.baud)


def test_no_unit_waits_longer_than_the_long_timeout():
    scan = Scan([SLOW, FAST], tuple(EVERY_UNIT))
    probe = scan.next()
    assert probe is not None
    assert probe.timeout_ns < LONG_NS


# --- the order of settings ----------------------------------------------------------------------


def test_settings_come_by_likelihood_and_those_of_profiles_first():
    assert [str(one) for one in settings_of((9600, 19200), FORMATS[:2])] == [
        "9600 8N1", "19200 8N1", "9600 8E1", "19200 8E1",
    ]  # fmt: skip
    even = Setting(19200, FORMATS[1])
    assert settings_of((9600, 19200), FORMATS[:2], [even, even, SLOW])[:2] == [even, SLOW]
    assert len(set(settings_of(BAUDS, FORMATS))) == len(BAUDS) * len(FORMATS)
    assert str(settings_of((123456, 9600), FORMATS)[-1]).startswith("123456")


# --- what is heard ------------------------------------------------------------------------------

REQUEST = with_crc(bytes.fromhex("010300000001"))
REPLY = with_crc(bytes.fromhex("0103021234"))
LATE = with_crc(bytes.fromhex("118302"))


@pytest.mark.parametrize(
    ("heard", "sounds"),
    [
        (b"", Sounds()),
        (REPLY, Sounds((1,))),
        (REQUEST + REPLY, Sounds((1,))),
        (LATE + REPLY, Sounds((17, 1))),
        (b"\x00" + REPLY + b"\xff\xff", Sounds((1,), (), 3)),
        (REPLY + REPLY, Sounds((1, 1))),
        (REQUEST + REQUEST, Sounds((), (1,))),
        (with_crc(bytes.fromhex("050600010002")), Sounds((), (5,))),
        (with_crc(bytes.fromhex("0501030a0b0c")), Sounds((5,))),
        (REPLY[:-1], Sounds((), (), 6)),
    ],
)
def test_what_is_heard_is_sorted_out(heard, sounds):
    assert sort_out(heard, REQUEST) == sounds


@given(st.binary(max_size=300))
def test_any_bytes_are_sorted_out_and_none_is_lost(heard):
    sounds = sort_out(heard, REQUEST)
    assert sounds.junk <= len(heard)
    assert sounds.junk == len(heard) or sounds.units or sounds.requests or REQUEST in heard
