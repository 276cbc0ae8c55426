"""The loop around the transaction, in virtual time: silence kept, late replies never matched."""

from __future__ import annotations

import random
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.lines.fake import FakePort
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.lines.talker import Talker
from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, PortDown, Values
from edge_agent.bus.wire.frames import expect, with_crc
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import rtu_timing
from edge_agent.bus.wire.trace import Frame, render
from edge_agent.bus.wire.tracing import Tracer
from edge_agent.clock import FakeClock
from edge_agent.errors import PortError
from edge_agent.kernels.talk import talk
from edge_agent.model import NS, MonoNs, SerialLink
from tests.unit.bus.helpers import refusal, reply, request
from tests.unit.bus.site import MS, Rig, S, device, site
from tests.unit.bus.virtual_talk import TalkingPort, VirtualSystem

TIMEOUT = 100 * MS


@pytest.fixture(params=["twin", "compiled"])
def make_bench(request, monkeypatch):
    """Both loops of the line, in virtual time: the plain one and the body of the compiled one."""
    return partial(Bench, monkeypatch=monkeypatch) if request.param == "compiled" else Bench


def value_reply(data: bytes, value: int) -> bytes:
    """The good reply to request bytes, every register holding `value`."""
    count = data[5]
    return with_crc(bytes((data[0], data[1], 2 * count)) + value.to_bytes(2, "big") * count)


class Bench:
    def __init__(self, respond, baud=19200, *, monkeypatch=None, **manners):
        self.clock = FakeClock()
        link = SerialLink(path="x", baud=baud)
        self.timing = rtu_timing(link)
        talker = None
        if monkeypatch is None:
            self.port = FakePort(self.clock, respond, self.timing.char_ns)
        else:
            system = VirtualSystem(monkeypatch, self.clock)
            self.port = system.port = TalkingPort(self.clock, respond, self.timing.char_ns)
            talker = Talker(talk, self.timing)
        self.frames: list[Frame] = []
        self.manners = Manners(timeout=AdaptiveTimeout(TIMEOUT), **manners)
        self.line = SerialLine(
            lambda: self.port,
            self.timing,
            self.clock,
            manners={0: self.manners, 1: self.manners},
            tracer=Tracer("b", self.timing, self.clock, self.frames.append),
            talker=talker,
        )
        self.line.open()

    def run(self, *plan, within_ns=60 * NS):
        done = self.line.run(plan, MonoNs(self.clock.mono_ns() + within_ns))
        return [one.outcome for one in done]


@pytest.mark.parametrize("baud", [1200, 9600, 19200, 38400, 115200])
def test_t3_5_is_kept_before_every_request(make_bench, baud):
    heard_at = []

    def respond(data):
        bench_end = [(MS, reply(request()))]
        heard_at.append(MS)
        return bench_end

    bench = make_bench(respond, baud)
    bench.run(*[request()] * 20)
    wire = bench.timing.wire_ns(8)
    ends = [at + wire + MS for at, _ in bench.port.sent]
    starts = [at for at, _ in bench.port.sent]
    assert len(starts) == 20
    for end, start in zip(ends, starts[1:], strict=False):
        assert start - end >= bench.timing.interframe_ns


def test_turnaround_and_own_interframe_are_kept(make_bench):
    bench = make_bench(lambda data: [(MS, reply(request()))], turnaround_ns=50 * MS)
    bench.run(request(), request())
    (first, _), (second, _) = bench.port.sent
    assert second - first >= 50 * MS
    short = make_bench(lambda data: [(MS, reply(request()))], interframe_ns=100_000)
    short.run(request(), request())
    (first, _), (second, _) = short.port.sent
    assert second - first < 10 * MS + short.timing.wire_ns(8) + short.timing.wire_ns(9)


@pytest.mark.parametrize("late_ms", [101, 150, 199, 250, 299])
def test_a_late_reply_within_the_window_is_discarded_and_counted(make_bench, late_ms):
    values = iter([(late_ms, 7), (5, 8), (5, 9)])

    def respond(data):
        at, value = next(values)
        return [(at * MS, value_reply(data, value))]

    bench = make_bench(respond)
    first, second, third = bench.run(request(address=1), request(address=2), request(address=3))
    assert first == NoReply()
    assert [second.data[:2], third.data[:2]] == [b"\0\x08", b"\0\x09"]
    assert bench.line.counts.late_replies == 1
    assert any("late reply" in frame.verdict for frame in bench.frames)


def test_nothing_is_sent_while_a_late_reply_is_still_coming(make_bench):
    pieces = [(290 * MS, reply(request())[:4]), (299 * MS, reply(request())[4:])]
    answers = iter([pieces, [(MS, reply(request()))]])
    bench = make_bench(lambda data: next(answers))
    bench.run(request(), request())
    (first, _), (second, _) = bench.port.sent
    assert second >= first + bench.timing.wire_ns(8) + 299 * MS + bench.timing.interframe_ns


@given(st.integers(0, 2**32), st.integers(1, 440))
@settings(max_examples=40, deadline=None)
def test_late_replies_never_give_another_requests_values(seed, late_ms):
    """A worker against a device that is late at random, and answers out of turn: each value belongs to its
    register. As late as three timeouts: what comes later can only be told by its length."""
    chance = random.Random(seed)
    free_at: dict[int, int] = {}

    def respond(data):
        address = int.from_bytes(data[2:4], "big")
        body = b"".join((address + i).to_bytes(2, "big") for i in range(data[5]))
        delay = late_ms if chance.random() < 0.3 else 5
        # A device does one thing after the other; only so does a later reply prove that none is owed.
        now = rig.clock.mono_ns()
        at = free_at[data[0]] = max(now + delay * MS, free_at.get(data[0], 0) + 30 * MS)
        return [(at - now, with_crc(bytes((data[0], data[1], len(body))) + body))]

    devices = [device("a", 1, 4, 400, max_gap_words=0), device("b", 2, 2, 300)]
    rig = Rig(site(*devices, timeout_ns=150 * MS), respond=respond)
    rig.run(20)
    for block in rig.blocks:
        if isinstance(block.outcome, Values):
            assert int.from_bytes(block.outcome.data[:2], "big") == block.request.address


def test_a_bad_frame_is_followed_by_t3_5_only(make_bench):
    answers = iter([[(MS, reply(request())[:-1] + b"\0")], [(MS, reply(request()))]])
    bench = make_bench(lambda data: next(answers))
    bad, good = bench.run(request(), request())
    assert bad == BadFrame(BadCause.CRC, 9)
    assert isinstance(good, Values)


def test_babble_makes_bad_frames_in_bounded_time_and_recovers(make_bench):
    bench = make_bench(lambda data: [(MS, reply(request()))])
    noise = random.Random(3)
    bench.port.babble([(ms * MS, noise.randbytes(2)) for ms in range(1, 3000)])
    outcomes = bench.run(*[request()] * 200, within_ns=10 * S)
    assert isinstance(outcomes[0], BadFrame)
    assert isinstance(outcomes[-1], Values)


def test_the_deadline_ends_a_quarantine(make_bench):
    bench = make_bench(lambda data: [])
    start = bench.clock.mono_ns()
    outcomes = bench.run(request(), request(), within_ns=200 * MS)
    assert outcomes == [NoReply()]
    assert bench.clock.mono_ns() <= start + 201 * MS


def test_stale_bytes_before_a_request_are_discarded_and_counted(make_bench):
    bench = make_bench(lambda data: [(MS, reply(request()))])
    bench.run(request())
    bench.port.babble([(10 * MS, b"\x01\x03\x04")])
    bench.clock.advance(50 * MS)
    (outcome,) = bench.run(request())
    assert isinstance(outcome, Values)
    assert bench.line.counts.discarded_bytes == 3


def test_glitch_bytes_around_a_reply_are_counted(make_bench):
    bench = make_bench(lambda data: [(MS, b"\xff" + reply(request()) + b"\0")])
    bench.run(request())
    assert bench.line.counts.discarded_bytes == 2
    assert bench.line.counts.heard_bytes == 11


def test_local_echo_is_counted_and_does_no_harm(make_bench):
    bench = make_bench(lambda data: [(0, data), (20 * MS, reply(request()))])
    outcomes = bench.run(*[request()] * 3)
    assert all(isinstance(outcome, Values) for outcome in outcomes)
    assert bench.line.counts.echoes == 3


def test_a_port_that_holds_the_request_back_is_a_fault_not_silence(make_bench):
    bench = make_bench(lambda data: [])
    bench.port.held = 8
    assert bench.run(request()) == [PortDown("io")]
    assert bench.port.closed
    assert "flow control" in str(bench.line.fault)


@pytest.mark.parametrize("reason", ["lost", "io"])
def test_a_port_that_fails_in_the_middle_is_port_down(make_bench, reason):
    error = PortError("x: gone", reason=reason, hint="h")
    bench = make_bench(lambda data: [(MS, reply(request())[:3]), (2 * MS, error)])
    assert bench.run(request(), request()) == [PortDown(reason)] * 2
    assert not bench.line.is_open


def test_the_timeout_adapts_downward_and_goes_back_after_silence(make_bench):
    answers = iter([[(10 * MS, reply(request()))]] * 10 + [[]] + [[(90 * MS, reply(request()))]])
    bench = make_bench(lambda data: next(answers))
    bench.manners.timeout.configured_ns = 5 * NS
    bench.run(*[request()] * 10)
    assert bench.manners.timeout.timeout_ns == 100 * MS
    assert bench.run(request()) == [NoReply()]
    assert bench.manners.timeout.timeout_ns == 5 * NS


def test_trace_shows_both_directions_gaps_and_verdicts(make_bench):
    whole = 5 * MS + rtu_timing(SerialLink(path="x")).wire_ns(9)
    answers = iter([[(whole, reply(request()))], [(MS, refusal(request(), 6))], [], [(MS, b"\x12\x34")]])
    bench = make_bench(lambda data: next(answers))
    bench.run(*[request()] * 4)
    lines = [render(frame, MonoNs(0)) for frame in bench.frames]
    assert [frame.direction for frame in bench.frames] == ["->", "<-"] * 2 + ["->", "--", "->", "<-"]
    assert "01 03 00 64 00 02" in lines[0]
    assert "unit 1 read holding 100-101" in lines[0]
    assert "[ok 2 registers]" in lines[1]
    assert "exception 6 server device busy" in lines[3]
    assert "no reply after 100 ms" in lines[5]
    assert "bad frame: garbage, 2 bytes heard" in lines[7]
    assert all(b.mono_ns >= a.mono_ns for a, b in pairwise(bench.frames))
    gap = bench.frames[1].gap_ns
    assert 4.9 * MS < gap < 5.3 * MS
    assert bench.frames[1].gap_chars == pytest.approx(gap / bench.timing.char_ns)


def oversleep(clock, ns, armed):
    """The next sleep once `armed` takes so much longer: the process was stopped, or its machine."""
    sleep_until = clock.sleep_until

    def sleep(when):
        sleep_until(when)
        if armed and armed.pop():
            clock.advance(ns)

    clock.sleep_until = sleep


def test_a_reply_found_after_the_process_was_stopped_is_nobodys_and_takes_nothing_of_the_line(make_bench):
    armed: list[bool] = []

    def respond(data):
        armed[:] = [True] if len(bench.port.sent) == 1 else []
        return [(5 * MS, value_reply(data, len(bench.port.sent)))]

    bench = make_bench(respond)
    oversleep(bench.clock, 30 * NS, armed)
    first, second = bench.line.run([request(), request()], MonoNs(bench.clock.mono_ns() + 60 * NS))
    assert first.outcome == NoReply()
    assert first.line_ns < NS
    assert second.outcome.data[:2] == b"\0\x02"
    assert bench.line.counts.late_replies == 1
    assert bench.line.counts.discarded_bytes == bench.line.counts.heard_bytes // 2


def test_a_thread_that_wakes_late_on_a_busy_machine_keeps_its_reply(make_bench):
    armed: list[bool] = []

    def respond(data):
        armed[:] = [True]
        return [(5 * MS, value_reply(data, 1))]

    bench = make_bench(respond)
    oversleep(bench.clock, NS // 2, armed)
    assert [type(outcome) for outcome in bench.run(request())] == [Values]


def test_a_line_is_polled_again_at_once_after_the_process_was_stopped():
    armed: list[bool] = []

    def respond(data):
        armed[:] = [True] if len(rig.port.sent) == 3 else []
        return [(MS, value_reply(data, 1))]

    rig = Rig(site(device(poll_ms=1000)), respond=respond)
    oversleep(rig.clock, 60 * S, armed)
    rig.run(5)
    assert rig.clock.mono_ns() > rig.start + 60 * S
    asked = len(rig.port.sent)
    rig.run(5)
    assert len({at // S for at, _ in rig.port.sent[asked:]}) >= 5


def test_exceptions_keep_their_code_through_the_line(make_bench):
    bench = make_bench(lambda data: [(MS, refusal(expect(request()), 11))])
    (outcome,) = bench.run(request())
    assert isinstance(outcome, DeviceException)
    assert outcome.code == 11


def test_a_jammed_line_gives_bad_frames_at_the_polls_however_short_their_period():
    rig = Rig(site(device(poll_ms=100)), respond=lambda data: [(MS, value_reply(data, 1))])
    rig.run(1)
    noise = random.Random(5)
    rig.port.babble([(ms * MS, noise.randbytes(9)) for ms in range(5000)])
    before = len(rig.blocks)
    rig.run(5)
    jammed = [block for block in rig.blocks[before:] if isinstance(block.outcome, BadFrame)]
    assert len(jammed) > 20
    rig.run(5)
    assert isinstance(rig.blocks[-1].outcome, Values)


def test_a_pause_inside_a_damaged_reply_is_told(make_bench):
    """The head of one reply and the tail of another: the rest of either may still come."""
    bad = reply(request())[:-1] + b"\0"
    bench = make_bench(lambda data: [(MS, bad[:4]), (20 * MS, bad[4:])])
    assert bench.run(request()) == [BadFrame(BadCause.CRC, len(bad), paused=True)]
    bench = make_bench(lambda data: [(MS, bad)])
    assert bench.run(request()) == [BadFrame(BadCause.CRC, len(bad))]


def test_the_late_reply_that_is_waited_for_ends_the_wait(make_bench):
    answers = iter(
        [[(105 * MS, value_reply(b"\1\3\0\1\0\1", 7))], [(5 * MS, value_reply(b"\1\3\0\2\0\2", 8))]]
    )
    bench = make_bench(lambda data: next(answers))
    first, second = bench.run(request(1), request(2))
    assert (first, type(second)) == (NoReply(), Values)
    (asked, _), (again, _) = bench.port.sent
    assert again - asked < 150 * MS


def test_a_new_port_begins_without_the_noise_of_the_one_before(make_bench):
    bench = make_bench(lambda data: [(MS, value_reply(data, 1))])
    bench.run(request())
    bench.port.babble([(MS, b"\xff")])
    bench.clock.advance(2 * MS)
    bench.run(request(), within_ns=MS)
    bench.line.close()
    bench.clock.advance(3600 * NS)
    bench.line.open()
    bench.port.babble([(MS, b"\xff")])
    assert isinstance(bench.run(request())[0], Values)
