"""What two speakers, a second master or another speed make of a reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.simulator import wire
from edge_agent.simulator.garble import at_half_speed, overlapped
from edge_agent.simulator.log import Answer
from tests.unit.simulator.test_slave import GOOD, ask, sent, served, slave


@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20), st.integers(0, 20))
def test_where_only_one_speaks_it_is_heard_as_it_is(first, second, offset):
    both = overlapped(first, second, offset)
    alone = min(offset, len(first))
    assert both[:alone] == first[:alone]
    assert len(both) == max(len(first), offset + len(second))


def test_a_bit_is_high_where_both_say_so():
    assert overlapped(b"\x0f\xff", b"\x3c", 0) == b"\x0c\xff"


@given(st.binary(min_size=2, max_size=60))
def test_at_half_speed_nothing_is_heard_as_it_was_sent(data):
    heard = at_half_speed(data)
    assert heard != data
    assert len(heard) >= len(data)


def test_half_speed_by_hand():
    # 0x55 as 01010101 01 on the wire, each bit twice as long: start, then pairs.
    assert at_half_speed(b"\x55")[:1] == bytes((0b01100110,))


@pytest.mark.parametrize("seed", range(20))
def test_a_second_device_spoils_the_reply_or_stands_behind_it(seed):
    reply = ask(slave("second_device", seed))
    data = sent(reply)
    if reply.strangers:
        assert data == GOOD
        assert served(reply).answer is Answer.VALUES
    else:
        assert not data.startswith(GOOD)
        assert served(reply).answer is Answer.BAD


def test_a_second_device_that_waits_long_enough_is_heard_whole():
    replies = [ask(slave("second_device", seed)) for seed in range(40)]
    behind = [send.data.lstrip(b"\xff") for reply in replies for send in reply.strangers]
    assert any(wire.is_rtu_frame(frame) for frame in behind)


def test_a_second_master_asks_behind_a_good_reply():
    reply = ask(slave("second_master:gap=8ms"))
    asked, answered = (send.data for send in reply.strangers)
    assert sent(reply) == GOOD
    assert wire.is_rtu_frame(asked)
    assert len(asked) == 8
    assert wire.is_rtu_frame(answered)
    assert asked[0] == answered[0] != GOOD[0]


def test_a_reply_at_another_speed_is_garbage():
    reply = ask(slave("wrong_speed"))
    assert GOOD not in sent(reply)
    assert served(reply).answer is Answer.BAD
