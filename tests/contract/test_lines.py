"""What every line must do, on the fakes, pseudo-terminals, TCP and TLS alike (`rigs`)."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from edge_agent.bus.lines.make import make_line
from edge_agent.bus.lines.tcp import TcpLine
from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, PortDown, Values
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.clock import SystemClock
from edge_agent.errors import PortError
from edge_agent.model import NS, Area, BusDef, DeviceServerLink, MonoNs, TcpLink
from tests.contract import rigs
from tests.contract.bus_slaves import TcpSlave, tcp_reply
from tests.contract.certificates import Authority
from tests.contract.framings import (
    BREAKS_OFF,
    DAMAGED,
    MBAP,
    NOISY,
    REFUSING,
    RTU,
    SILENT,
    WRONG_COUNT,
    WRONG_FUNCTION,
    WRONG_UNIT,
    answer,
    data_for,
)
from tests.contract.rigs import Plant, Rig, ask, manners


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def plant(request, tmp_path) -> Plant:
    return Plant(tmp_path, lambda: request.getfixturevalue("authority"))


def _on(*makers):
    return pytest.fixture(params=[pytest.param(maker, id=maker.__name__) for maker in makers])


@_on(*rigs.ALL)
def rig(request, plant) -> Iterator[Rig]:
    yield from request.param(plant)


@_on(*rigs.WIRED)
def wired(request, plant) -> Iterator[Rig]:
    yield from request.param(plant)


@_on(*rigs.CONNECTED)
def connected(request, plant) -> Iterator[Rig]:
    yield from request.param(plant)


@_on(rigs.rtu_tcp, rigs.ascii_tcp)
def device_server(request, plant) -> Iterator[Rig]:
    yield from request.param(plant)


# --- every line -----------------------------------------------------------------------------------


def test_each_request_has_its_outcome_in_order(rig):
    rig.line.open()
    good, refused, silent, foreign, bits = rig.run(
        ask(1), ask(REFUSING), ask(SILENT), ask(WRONG_UNIT), ask(1, 20, area=Area.COIL)
    )
    assert isinstance(good, Values)
    assert good.data == data_for(3, 50, 4)
    assert isinstance(refused, DeviceException)
    assert refused.code == 2
    assert silent == NoReply()
    assert isinstance(foreign, BadFrame)
    assert foreign.cause is BadCause.WRONG_UNIT
    assert isinstance(bits, Values)
    assert bits.data == data_for(1, 50, 20)


@pytest.mark.parametrize("area", Area)
def test_the_longest_read_of_every_area_comes_whole(rig, area):
    rig.line.open()
    (outcome,) = rig.run(ask(1, area.max_count, 1000, area))
    assert isinstance(outcome, Values)
    assert outcome.data == data_for(area.function, 1000, area.max_count)


def test_nothing_is_begun_after_the_deadline(rig):
    rig.line.open()
    assert rig.run(ask(1), ask(1), within_ns=0) == []


def test_a_closed_line_is_port_down_for_every_request(rig):
    assert [type(outcome) for outcome in rig.run(ask(1), ask(1))] == [PortDown, PortDown]


def test_opening_an_open_line_does_nothing(rig):
    rig.line.open()
    rig.line.open()
    assert rig.line.counts.opened == 1


def test_a_port_that_goes_is_port_down_and_comes_back(rig):
    rig.line.open()
    assert isinstance(rig.run(ask(1))[0], Values)
    rig.unplug()
    outcomes = rig.run(ask(1), ask(1), ask(1))
    assert [type(outcome) for outcome in outcomes] == [PortDown] * 3
    assert not rig.line.is_open
    assert rig.line.fault is not None
    with pytest.raises(PortError) as error:
        rig.line.open()
    assert error.value.hint
    assert rig.line.fault is error.value
    rig.plug()
    rig.line.open()
    assert rig.line.fault is None
    assert isinstance(rig.run(ask(1))[0], Values)


# --- every line that has a wire -------------------------------------------------------------------


def _is_good(rig: Rig, address: int = 700) -> bool:
    return rig.read(ask(1, address=address)) == data_for(3, address, 4)


def test_a_late_reply_is_not_taken_for_the_next_one(wired):
    wired.line.open()
    assert _is_good(wired)
    wired.slave.hold()
    assert wired.run(ask(1, address=50)) == [NoReply()]
    wired.slave.release()
    assert wired.read(ask(1, address=900)) == data_for(3, 900, 4)
    assert wired.line.counts.late_replies == 1
    assert wired.line.counts.discarded_bytes > 0


def test_a_late_reply_that_comes_in_the_middle_of_the_wait_is_not_taken_for_another_units(wired):
    wired.line.open()
    wired.slave.hold()
    assert wired.run(ask(1, address=50)) == [NoReply()]
    late = wired.slave._held
    wired.slave.release()
    wired.slave.reply = lambda request: late + answer(wired.slave.framing, request)
    # The same bytes in front of another unit's reply: a second master, or a gateway that repeats itself.
    assert wired.read(ask(11, address=900)) == data_for(3, 900, 4)


def test_half_a_reply_is_a_short_frame(wired):
    wired.line.open()
    (outcome,) = wired.run(ask(BREAKS_OFF))
    assert isinstance(outcome, BadFrame)
    assert outcome.cause is BadCause.SHORT
    assert outcome.heard > 0


def test_a_reply_that_comes_byte_by_byte_is_whole(wired):
    wired.line.open()
    wired.slave.dribbles = True
    for area in Area:
        assert wired.read(ask(1, 9, 30, area)) == data_for(area.function, 30, 9)
    assert isinstance(wired.run(ask(REFUSING))[0], DeviceException)


@pytest.mark.parametrize(
    ("unit", "cause"), [(WRONG_FUNCTION, BadCause.WRONG_FUNCTION), (WRONG_COUNT, BadCause.WRONG_COUNT)]
)
def test_a_sound_frame_that_answers_something_else_is_a_bad_one(wired, unit, cause):
    wired.line.open()
    (outcome,) = wired.run(ask(unit))
    assert isinstance(outcome, BadFrame)
    assert outcome.cause is cause
    assert _is_good(wired)


def test_a_damaged_reply_is_a_bad_frame_where_the_framing_has_a_check(wired):
    wired.line.open()
    if wired.slave.framing.is_checked:
        (outcome,) = wired.run(ask(DAMAGED, 9))
        assert isinstance(outcome, BadFrame)
        assert outcome.cause is BadCause.CRC
    assert _is_good(wired)


def test_noise_in_front_of_a_reply_costs_no_more_than_that_reply(wired):
    wired.line.open()
    for address in (50, 900):
        (outcome,) = wired.run(ask(NOISY, address=address))
        if wired.slave.framing.is_checked:
            assert isinstance(outcome, Values)
        if isinstance(outcome, Values):
            assert outcome.data == data_for(3, address, 4)
        assert _is_good(wired)


def test_garbage_is_never_a_value_and_a_read_soon_after_it_is_good(wired, seed):
    wired.line.open()
    chance = random.Random(seed)
    framing = wired.slave.framing
    for _ in range(6):
        junk = chance.randbytes(chance.randrange(1, 40))
        wired.slave.reply = lambda request, junk=junk: junk
        (outcome,) = wired.run(ask(1))
        assert isinstance(outcome, BadFrame), junk
        wired.slave.reply = partial(answer, framing)
        assert any(_is_value(outcome) for outcome in wired.run(ask(1), ask(1))), junk


def _is_value(outcome) -> bool:
    return isinstance(outcome, Values) and outcome.data == data_for(3, 50, 4)


# --- every connection -----------------------------------------------------------------------------


def test_a_connection_closed_while_idle_is_made_again_unnoticed(connected):
    connected.line.open()
    assert _is_good(connected)
    for _ in range(3):
        connected.slave.hang_up()
        assert _is_good(connected)
    assert connected.line.counts.opened == 4


def test_a_connection_closed_within_a_reply_gives_no_value_of_another_request(connected):
    connected.line.open()
    framing = connected.slave.framing

    def cut(request: bytes) -> bytes:
        connected.slave.reply = partial(answer, framing)
        connected.slave.say(answer(framing, request)[:6])
        connected.slave.hang_up()
        return b""

    for address in (50, 60, 70):
        connected.slave.reply = cut
        (outcome,) = connected.run(ask(1, address=address))
        # Modbus TCP may ask once more; a device server's line may still have the reply to give.
        assert isinstance(outcome, PortDown) or outcome.data == data_for(3, address, 4)
        if not connected.line.is_open:
            connected.line.open()
        assert _is_good(connected)


def test_a_reply_owed_to_a_lost_connection_is_not_taken_from_the_next_one(device_server):
    """The line behind a device server does not notice that a connection was lost."""
    rig = device_server
    rig.line.open()
    assert _is_good(rig)

    def cut_off(request: bytes) -> bytes:
        rig.slave.hang_up()
        return answer(rig.slave.framing, request)

    rig.slave.hold()
    rig.slave.reply = cut_off
    assert rig.run(ask(1, address=50)) == [PortDown("lost")]
    rig.slave.reply = partial(answer, rig.slave.framing)
    rig.slave.connected.clear()
    rig.line.open()
    assert rig.slave.connected.wait(10)
    rig.slave.release()
    assert rig.read(ask(1, address=900)) == data_for(3, 900, 4)
    assert rig.line.counts.late_replies == 1


@pytest.mark.parametrize(
    ("framing", "kind"), [(MBAP, TcpLink), (RTU, DeviceServerLink)], ids=["tcp", "device_server"]
)
def test_a_stop_ends_a_long_timeout_at_once(framing, kind):
    slave = TcpSlave(framing=framing)
    stop = threading.Event()
    link = kind(host="127.0.0.1", port=slave.port)
    patient = {0: Manners(timeout=AdaptiveTimeout(10 * NS))}
    line = make_line(BusDef(name="b", link=link), patient, SystemClock(), stop.is_set)
    line.open()
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    # Waiting the ten seconds out would have brought an outcome.
    assert line.run([ask(SILENT), ask(1)], _later()) == []
    line.close()
    slave.close()
    timer.join()


@pytest.mark.parametrize("kind", [TcpLink, DeviceServerLink])
def test_a_refused_connection_says_so(kind):
    slave = TcpSlave()
    slave.close()
    link = kind(host="127.0.0.1", port=slave.port)
    with pytest.raises(PortError) as error:
        make_line(BusDef(name="b", link=link), {}, SystemClock()).open()
    assert error.value.reason == "refused"
    assert error.value.hint


def _later() -> MonoNs:
    return MonoNs(SystemClock().mono_ns() + 60 * NS)


# --- Modbus TCP alone -------------------------------------------------------------------------------


@pytest.mark.parametrize("junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(300), b"\xff" * 12])
def test_bytes_that_are_no_modbus_tcp_are_a_bad_frame_and_the_next_read_is_good(junk):
    slave = TcpSlave()
    line = TcpLine(TcpLink(host="127.0.0.1", port=slave.port), SystemClock(), manners=manners())
    line.open()
    answers = [junk]
    slave.reply = lambda request: answers.pop() if answers else tcp_reply(request)
    first, second = line.run([ask(1), ask(1)], _later())
    assert isinstance(first.outcome, BadFrame)
    assert isinstance(second.outcome, Values)
    line.close()
    slave.close()
