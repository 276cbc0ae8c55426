"""The core: standard replies, and what each fault does to them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import InputError
from edge_agent.simulator import wire
from edge_agent.simulator.log import Answer, Happened, Served
from edge_agent.simulator.slave import Reply, Slave
from tests.unit.simulator.factory import START, WALL, press, request

GOOD = wire.rtu_frame(2, bytes((3, 4)) + struct.pack(">HH", 1234, 0))


def slave(fault: str = "", seed: int = 1) -> Slave:
    made = Slave([press()], start=START, seed=seed)
    if fault:
        made.faults.set("press", fault)
    return made


def ask(made: Slave, frame: bytes | None = None) -> Reply:
    reply = made.rtu(frame or request(), START, WALL)
    assert reply is not None
    return reply


def sent(reply: Reply) -> bytes:
    return b"".join(send.data for send in reply.sends)


def served(reply: Reply) -> Served:
    assert isinstance(reply.entry, Served)
    return reply.entry


def test_read_is_answered_and_logged_with_its_words():
    reply = ask(slave())
    assert sent(reply) == GOOD
    entry = served(reply)
    assert (entry.device, entry.unit, entry.address, entry.count) == ("press", 2, 100, 2)
    assert entry.words == "04d20000"
    assert entry.answer is Answer.VALUES
    assert entry.registers() == (1234, 0)


def test_unit_that_is_not_here_is_not_answered():
    made = slave()
    assert made.rtu(request(unit_id=3), START, WALL) is None
    assert made.rtu(request(unit_id=0), START, WALL) is None
    assert made.foreign == 2


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (request(function=6), 1),
        (request(function=0x2B), 1),
        (request(address=99), 2),
        (request(address=0xFFFF, count=2), 2),
        (request(count=0), 3),
        (request(count=126), 3),
        (request(function=1, count=2001), 3),
        (wire.rtu_frame(2, b"\x03\x00"), 3),
    ],
)
def test_wrong_requests_get_the_exceptions_of_the_standard(frame: bytes, code: int):
    reply = ask(slave(), frame)
    assert sent(reply) == wire.rtu_frame(2, bytes((frame[1] | 0x80, code)))
    if isinstance(reply.entry, Served):
        assert (reply.entry.answer, reply.entry.code) == (Answer.EXCEPTION, code)
    else:
        assert isinstance(reply.entry, Happened)


@given(st.binary(max_size=260))
def test_no_frame_breaks_the_core(pdu: bytes):
    reply = Slave([press()], start=START).rtu(wire.rtu_frame(2, pdu), START, WALL)
    assert reply is not None
    assert wire.is_rtu_frame(sent(reply))


def test_two_devices_with_one_unit_id_are_refused():
    with pytest.raises(InputError, match="unit id"):
        Slave([press(), press(name="other")], start=START)
    with pytest.raises(InputError, match="name"):
        Slave([press(), press(unit_id=3)], start=START)


# --- faults -----------------------------------------------------------------------------------


def test_silence_sends_nothing_and_says_so():
    reply = ask(slave("silence"))
    assert reply.sends == ()
    assert (served(reply).answer, served(reply).fault) == (Answer.NONE, "silence")


@pytest.mark.parametrize("seed", range(20))
def test_late_reply_comes_one_to_three_timeouts_after_the_request(seed: int):
    reply = ask(slave("late:timeout=100ms", seed))
    assert sent(reply) == GOOD
    assert 100_000_000 <= reply.sends[0].delay_ns <= 300_000_000
    assert served(reply).answer is Answer.LATE


def test_delay_within_the_timeout_is_no_late_reply():
    assert served(ask(slave("late:factor=0.5"))).answer is Answer.VALUES


@pytest.mark.parametrize("seed", range(20))
def test_bad_crc_differs_in_one_bit_and_is_noticed(seed: int):
    reply = ask(slave("bad_crc", seed))
    changed = sum((a ^ b).bit_count() for a, b in zip(sent(reply), GOOD, strict=True))
    assert changed == 1
    assert not wire.is_rtu_frame(sent(reply))
    assert served(reply).answer is Answer.BAD


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("wrong_function", lambda frame: frame[1] == 4 and frame[2:7] == GOOD[2:7]),
        ("wrong_unit", lambda frame: frame[0] == 3 and frame[1:7] == GOOD[1:7]),
        ("wrong_count", lambda frame: frame[2] in (2, 6) and len(frame) == 5 + frame[2]),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_wrong_replies_have_a_good_crc(fault: str, seen, seed: int):
    reply = ask(slave(fault, seed))
    assert wire.is_rtu_frame(sent(reply))
    assert seen(sent(reply))
    assert (served(reply).answer, served(reply).fault) == (Answer.BAD, fault)


def test_one_register_can_only_become_more():
    assert {len(sent(ask(slave("wrong_count", seed), request(count=1)))) for seed in range(10)} == {9}


@pytest.mark.parametrize("count", [1, 3, 20])
def test_glitch_bytes_stand_around_a_good_reply(count: int):
    before = ask(slave(f"glitch_before:bytes={count}"))
    after = ask(slave(f"glitch_after:bytes={count}"))
    assert sent(before)[count:] == GOOD
    assert sent(after)[:-count] == GOOD
    assert served(before).answer is Answer.VALUES


def test_exception_on_request_has_its_code_and_no_words():
    reply = ask(slave("exception:code=6"))
    assert sent(reply) == wire.rtu_frame(2, b"\x83\x06")
    assert (served(reply).code, served(reply).words) == (6, "")


@pytest.mark.parametrize("seed", range(20))
def test_short_reply_is_a_beginning_of_the_good_one(seed: int):
    data = sent(ask(slave("short", seed)))
    assert 0 < len(data) < len(GOOD)
    assert GOOD.startswith(data)


def test_pause_cuts_a_good_reply_in_two():
    reply = ask(slave("pause:gap=7ms"))
    assert sent(reply) == GOOD
    assert [send.delay_ns for send in reply.sends] == [0, 7_000_000]


def test_a_part_of_the_echo_comes_before_the_reply():
    for seed in range(20):
        heard = sent(ask(slave("partial_echo", seed=seed)))
        assert heard.endswith(GOOD)
        assert 3 <= len(heard) - len(GOOD) < 8
        assert heard[: -len(GOOD)] in request()


def test_echo_comes_before_the_reply():
    assert sent(ask(slave("echo"))) == request() + GOOD


def test_babble_is_noise_for_its_time():
    reply = ask(slave("babble:burst=2s"))
    assert reply.sends == ()
    assert reply.noise_ns == 2_000_000_000


def test_counter_advances_at_faulty_reads_too():
    made = slave()
    frame = request(address=102)
    first = served(ask(made, frame)).words
    made.faults.set("press", "silence")
    ask(made, frame)
    made.faults.clear()
    assert (first, served(ask(made, frame)).words) == ("00000000", "00000002")


def test_exceptions_can_be_spoiled_like_values():
    for fault in ("bad_crc", "short", "wrong_unit", "glitch_before", "late"):
        reply = ask(slave(fault), request(function=6))
        assert reply.sends
        assert "fault" in str(reply.entry)


# --- the same by TCP --------------------------------------------------------------------------


def by_tcp(fault: str = "") -> Reply | None:
    return slave(fault).tcp(wire.TcpRequest(transaction=7, unit_id=2, pdu=request()[1:-2]), START, WALL)


def test_tcp_reply_has_the_transaction_and_no_crc():
    reply = by_tcp()
    assert reply is not None
    assert sent(reply) == struct.pack(">HHHB", 7, 0, 7, 2) + GOOD[1:-2]


def test_tcp_plays_no_faults_of_a_wire():
    for fault in ("glitch_before", "glitch_after", "echo", "partial_echo", "babble"):
        reply = by_tcp(fault)
        assert reply is not None
        assert sent(reply) == sent(by_tcp() or reply)
        assert served(reply).fault == ""


def test_tcp_counterpart_of_a_bad_crc_is_another_transaction():
    reply = by_tcp("bad_crc")
    assert reply is not None
    assert sent(reply)[:2] == b"\x00\x08"


def test_tcp_frames_are_split_wherever_the_stream_was_cut():
    stream = b"".join(wire.tcp_frame(n, 2, b"\x03\x00\x64\x00\x01") for n in range(3))
    for cut in range(len(stream)):
        buffer, found = bytearray(), []
        for part in (stream[:cut], stream[cut:]):
            buffer += part
            while one := wire.split_tcp(buffer):
                found.append(one.transaction)
        assert found == [0, 1, 2]


@given(st.binary(min_size=8, max_size=40))
def test_tcp_garbage_is_refused_or_waited_for_never_looped_on(data: bytes):
    buffer = bytearray(data)
    try:
        while wire.split_tcp(buffer):
            pass
    except ValueError:
        pass
