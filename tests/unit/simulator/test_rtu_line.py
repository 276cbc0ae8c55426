"""The line in virtual time: telling requests apart, pacing, collisions, babble. No sleeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.model import MonoNs
from edge_agent.simulator import wire
from edge_agent.simulator.faults import Fault, FaultKind
from edge_agent.simulator.log import Answer, Entry, Served
from edge_agent.simulator.pace import Chunks
from edge_agent.simulator.rtu_line import RtuLine
from edge_agent.simulator.slave import Slave
from tests.unit.simulator.factory import START, TIMING, WALL, device, point, press, request

CHAR, T35 = TIMING.char_ns, TIMING.t35_ns
MS = 1_000_000


class Bench:
    """A line and a time; everything it sends with the time it was due."""

    def __init__(self, fault: str = "", mode: Chunks = Chunks.FIFO, timing: wire.Timing = TIMING) -> None:
        other = device((point(), 7.0), name="other", unit_id=9)
        self.line = RtuLine(Slave([press(), other], start=START), timing, mode)
        self.now = START
        self.sent: list[tuple[int, bytes]] = []
        self.log: list[Entry] = []
        if fault:
            self.line.slave.faults.set("press", fault)

    def say(self, data: bytes) -> None:
        self.line.heard(data, self.now, WALL)
        self.log += self.line.decided()

    def run(self, ns: int) -> bytes:
        """Let time pass; what was sent meanwhile."""
        until, before = MonoNs(self.now + ns), len(self.sent)
        while (due := self.line.next_due()) is not None and due <= until:
            self.now = MonoNs(max(self.now, due))
            for chunk in self.line.take(self.now, WALL):
                self.sent.append((self.now, chunk.data))
                if entry := self.line.written(chunk, self.now, WALL):
                    self.log.append(entry)
            self.log += self.line.decided()
        self.now = until
        return b"".join(data for _, data in self.sent[before:])

    @property
    def answers(self) -> list[Answer]:
        return [entry.answer for entry in self.log if isinstance(entry, Served)]


GOOD = wire.rtu_frame(2, b"\x03\x04\x04\xd2\x00\x00")


def test_reply_begins_after_the_request_took_its_time_and_the_line_was_silent():
    bench = Bench()
    bench.say(request())
    assert bench.run(100 * MS) == GOOD
    assert bench.sent[0][0] == START + 8 * CHAR + T35 + len(GOOD) * CHAR
    (entry,) = bench.log
    assert isinstance(entry, Served)
    assert (entry.asked, entry.t_mono) == (START + 8 * CHAR, bench.sent[-1][0])


@given(st.integers(1, 7))
def test_request_may_come_in_pieces(cut: int):
    bench = Bench()
    bench.say(request()[:cut])
    bench.run(CHAR)
    bench.say(request()[cut:])
    assert bench.run(100 * MS) == GOOD


@given(st.integers(1, 7))
def test_silence_within_a_request_makes_two_bad_frames(cut: int):
    bench = Bench()
    bench.say(request()[:cut])
    assert bench.run(cut * CHAR + T35) == b""
    bench.say(request()[cut:])
    assert bench.run(100 * MS) == b""
    assert bench.line.counts.bad_requests == 2


@given(st.binary(min_size=1, max_size=300))
def test_rubbish_is_dropped_after_silence_and_the_next_request_is_heard(rubbish: bytes):
    bench = Bench()
    bench.say(rubbish)
    bench.run(len(rubbish) * CHAR + T35)
    bench.run(1000 * MS)
    bench.say(request())
    assert bench.run(100 * MS) == GOOD


def test_function_of_unknown_length_is_answered_after_silence():
    bench = Bench()
    bench.say(wire.rtu_frame(2, b"\x2b\x0e\x01\x00"))
    assert bench.run(100 * MS) == wire.rtu_frame(2, b"\xab\x01")


def test_request_before_the_line_was_silent_is_counted():
    bench = Bench()
    bench.say(request())
    bench.run(8 * CHAR + T35 + len(GOOD) * CHAR)
    bench.run(T35 - 1)
    bench.say(request())
    assert bench.line.counts.too_soon == 1
    bench.run(100 * MS)
    bench.say(request())
    assert bench.line.counts.too_soon == 1


def test_two_at_once_are_garbled_and_said_to_be():
    bench = Bench(mode=Chunks.SINGLE)
    bench.say(request())
    bench.run(8 * CHAR + T35 + 3 * CHAR)
    bench.say(request())
    bench.run(100 * MS)
    heard = b"".join(data for _, data in bench.sent)
    assert len(heard) == len(GOOD)
    assert heard[:3] == GOOD[:3]
    assert heard[3:] != GOOD[3:]
    assert bench.answers == [Answer.CUT]
    assert bench.line.counts.collisions == 1


def test_late_reply_comes_after_another_device_was_asked():
    bench = Bench("late:timeout=50ms,factor=2")
    bench.say(request())
    assert bench.run(60 * MS) == b""
    bench.say(request(unit_id=9, count=1))
    both = bench.run(200 * MS)
    assert both == wire.rtu_frame(9, b"\x03\x02\x00\x07") + GOOD
    assert bench.answers == [Answer.VALUES, Answer.LATE]


def test_late_reply_collides_with_the_reply_of_another():
    bench = Bench("late:timeout=50ms,factor=2")
    bench.say(request())
    bench.run(100 * MS)
    bench.say(request(unit_id=9, count=1))
    bench.run(200 * MS)
    assert bench.answers == [Answer.CUT, Answer.CUT]


def test_babble_streams_at_the_pace_of_the_line_and_ends():
    bench = Bench("babble:burst=500ms,limit=1")
    bench.say(request())
    noise = bench.run(400 * MS)
    assert 0.8 < len(noise) * CHAR / (400 * MS) <= 1.0
    bench.say(request())
    assert bench.answers == [Answer.NONE]
    bench.run(300 * MS)
    assert bench.run(1000 * MS) == b""
    bench.say(request())
    assert bench.run(100 * MS) == GOOD


def test_babble_ends_when_it_is_taken_out_of_the_book():
    bench = Bench("babble:burst=60s")
    bench.say(request())
    bench.run(100 * MS)
    bench.line.slave.faults.clear()
    bench.run(50 * MS)
    assert bench.run(1000 * MS) == b""


def test_babble_that_could_not_be_written_in_time_is_not_made_up_for():
    bench = Bench("babble:burst=60s")
    bench.say(request())
    bench.now = MonoNs(bench.now + 10_000 * MS)
    assert len(bench.line.take(bench.now, WALL)) < 5


@pytest.mark.parametrize("mode", list(Chunks))
def test_pieces_of_any_kind_make_the_same_reply(mode: Chunks):
    bench = Bench(mode=mode)
    bench.say(request())
    assert bench.run(100 * MS) == GOOD
    assert bench.answers == [Answer.VALUES]


def test_reply_that_did_not_fit_the_port_is_cut():
    bench = Bench()
    bench.say(request())
    bench.now = MonoNs(bench.now + 100 * MS)
    (chunk,) = bench.line.take(bench.now, WALL)
    entry = bench.line.written(chunk, bench.now, WALL, whole=False)
    assert isinstance(entry, Served)
    assert entry.answer is Answer.CUT


def test_unplugging_cuts_what_was_on_its_way():
    bench = Bench()
    bench.say(request())
    (entry,) = bench.line.cut(bench.now, WALL)
    assert isinstance(entry, Served)
    assert entry.answer is Answer.CUT
    assert bench.line.next_due() is None


def test_unpaced_line_answers_at_once():
    bench = Bench(timing=wire.Timing(baud=0))
    bench.say(request())
    assert bench.run(0) == GOOD


def test_idle_line_has_nothing_due():
    bench = Bench()
    assert bench.line.next_due() is None
    bench.say(request())
    bench.run(1000 * MS)
    assert bench.line.next_due() is None


steps = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from([2, 9, 5]), st.integers(98, 104), st.integers(0, 3)),
    st.tuples(st.just("noise"), st.binary(max_size=30)),
    st.tuples(st.just("wait"), st.integers(0, 200_000_000)),
    st.tuples(st.just("fault"), st.sampled_from(FaultKind)),
    st.tuples(st.just("unplug")),
)


@given(st.lists(steps, max_size=30), st.sampled_from(Chunks), st.sampled_from([0, 1200, 19200, 115200]))
def test_whatever_happens_each_request_is_logged_once_and_the_line_falls_silent(script, mode, baud):
    bench = Bench(mode=mode, timing=wire.Timing(baud=baud))
    for step in script:
        match step:
            case ("ask", unit_id, address, count):
                bench.say(request(unit_id=unit_id, address=address, count=count))
            case ("noise", data):
                bench.say(data)
            case ("wait", ns):
                bench.run(ns)
            case ("fault", kind):
                bench.line.slave.faults.set("*", Fault(kind=kind, p=0.7))
            case _:
                bench.log += bench.line.cut(bench.now, WALL)
    bench.line.slave.faults.clear()
    bench.run(60_000 * MS)
    assert bench.line.next_due() is None
    here = bench.line.counts.requests - bench.line.slave.foreign
    assert len(bench.log) == here
