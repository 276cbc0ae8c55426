"""Who said what was heard beside the replies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bus.wire.frames import expect, rtu_request
from edge_agent.bus.wire.overheard import Overheard
from edge_agent.bus.wire.timing import rtu_timing
from edge_agent.bus.wire.transaction import Transaction
from edge_agent.model import NS, MonoNs, SerialLink
from tests.unit.bus.helpers import reply, request

TIMING = rtu_timing(SerialLink(path="x", baud=19200))


def conclude(overheard, heard, asked=None):
    """A transaction that heard these bytes, to its end."""
    want = expect(asked or request())
    transaction = Transaction(want, TIMING, NS // 2)
    transaction.sent(MonoNs(0), MonoNs(0))
    transaction.receive(heard, MonoNs(NS // 10))
    transaction.step(MonoNs(10 * NS))
    overheard.concluded(transaction, want)
    return overheard.of(want.unit_id)


def test_a_clean_reply_leaves_no_trace():
    overheard = Overheard()
    assert conclude(overheard, reply(request())) == type(overheard.of(1))()
    assert (overheard.resyncs, overheard.foreign_requests, overheard.foreign_replies) == (0, 0, 0)


def test_noise_before_and_behind_a_reply():
    overheard = Overheard()
    unit = conclude(overheard, b"\xff" + reply(request()))
    assert (unit.glitched, unit.trailed) == (1, 0)
    unit = conclude(overheard, reply(request()) + b"\x00\x00")
    assert (unit.glitched, unit.trailed) == (1, 1)


def test_noise_that_comes_after_the_reply_was_taken_is_behind_it():
    overheard = Overheard()
    conclude(overheard, reply(request()))
    overheard.discarded(b"\x00", is_first=True)
    overheard.discarded(b"\x00", is_first=False)
    unit = conclude(overheard, reply(request()))
    assert (unit.trailed, unit.out_of_turn_bytes, overheard.resyncs) == (1, 2, 1)


def test_an_echo_is_no_noise():
    overheard = Overheard()
    unit = conclude(overheard, expect(request()).request + reply(request()))
    assert (unit.echoes, unit.glitched, overheard.foreign_requests) == (1, 0, 0)


def test_a_second_reply_to_one_request():
    overheard = Overheard()
    unit = conclude(overheard, reply(request()) + reply(request(), bytes(4)))
    assert unit.doubled == 1
    overheard.discarded(reply(request(), bytes(4)), is_first=True)
    assert conclude(overheard, reply(request())).doubled == 2


def test_a_reply_behind_silence_is_a_late_one():
    overheard = Overheard()
    conclude(overheard, b"")
    overheard.discarded(reply(request()), is_first=True)
    unit = conclude(overheard, reply(request()))
    assert (unit.late, unit.doubled) == (1, 0)


def test_a_late_reply_of_another_unit_is_that_units():
    overheard, other = Overheard(), request(unit=7)
    conclude(overheard, b"", other)
    conclude(overheard, reply(other) + reply(request()))
    assert overheard.of(7).late == 1
    assert overheard.of(1).late == overheard.of(1).glitched == 0


def test_another_masters_request_and_its_reply():
    overheard = Overheard()
    conclude(overheard, reply(request()))
    overheard.discarded(rtu_request(33, 3, 0, 2) + reply(request(unit=33)), is_first=True)
    unit = conclude(overheard, reply(request()))
    assert (overheard.foreign_requests, overheard.foreign_replies, unit.trailed) == (1, 1, 0)


def test_a_bad_frame_longer_than_what_was_asked():
    overheard = Overheard()
    assert conclude(overheard, reply(request())[:-1] + b"\x13").overlong == 0
    assert conclude(overheard, reply(request())[:-1] + b"\x13\x14\x15").overlong == 1


@given(st.lists(st.binary(max_size=300), max_size=12), st.binary(max_size=300))
def test_whatever_is_heard_it_keeps_little_and_counts_all(pieces, heard):
    overheard = Overheard()
    conclude(overheard, reply(request()))
    for piece in pieces:
        overheard.discarded(piece, is_first=False)
    assert len(overheard._tail) <= 600
    conclude(overheard, heard)
    assert overheard.of(1).out_of_turn_bytes == sum(map(len, pieces))
    assert not overheard._tail


def test_bytes_are_out_of_turn_before_anybody_was_asked():
    overheard = Overheard()
    overheard.discarded(b"\xff\0", is_first=True)
    assert overheard.out_of_turn_bytes == 2
