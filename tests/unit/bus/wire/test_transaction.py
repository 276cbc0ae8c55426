"""One request: whatever is heard, in whatever pieces, the outcome is right and in time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, NoReply, Values
from edge_agent.bus.wire import frames
from edge_agent.bus.wire.frames import expect
from edge_agent.bus.wire.timing import rtu_timing
from edge_agent.bus.wire.transaction import Transaction, Wait
from edge_agent.model import MonoNs, SerialLink
from tests.unit.bus.helpers import refusal, reply, request

MS = 1_000_000
TIMING = rtu_timing(SerialLink(path="x", baud=19200))
TIMEOUT = 500 * MS
WANT = expect(request())
GOOD = reply(WANT)


def play(chunks, want=WANT, timeout=TIMEOUT):
    """Run a transaction against (ms after the end of the request, bytes); (outcome, its time in ms)."""
    transaction = Transaction(want, TIMING, timeout)
    transaction.sent(MonoNs(-TIMING.wire_ns(8)), MonoNs(-1))
    now, coming = 0, sorted(((round(at * MS), data) for at, data in chunks), key=lambda chunk: chunk[0])
    for _ in range(100_000):
        step = transaction.step(MonoNs(now))
        if not isinstance(step, Wait):
            return step, now / MS
        assert step.until > now or coming, "a wait goes forward"
        now = max(now, step.quiet_until)
        if not (coming and coming[0][0] <= now):
            now = max(now, min(step.until, coming[0][0] if coming else step.until))
        heard = b""
        while coming and coming[0][0] <= now:
            heard += coming.pop(0)[1]
        transaction.receive(heard, MonoNs(now))
    raise AssertionError("the transaction does not end")


def test_silence_is_no_reply_at_the_timeout():
    assert play([]) == (NoReply(), 500.0)


def test_a_whole_reply_ends_the_wait_at_once():
    outcome, at = play([(60, GOOD)])
    assert isinstance(outcome, Values)
    assert outcome.data == GOOD[3:-2]
    assert at == 60


def test_latency_is_reckoned_back_from_the_replys_length():
    outcome, _ = play([(60, GOOD)])
    assert outcome.latency_ns == 60 * MS - TIMING.wire_ns(len(GOOD))


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
@pytest.mark.parametrize("gap_ms", [0.5, 16, 29])
def test_a_reply_in_pieces_is_joined(cut, gap_ms):
    outcome, _ = play([(40, GOOD[:cut]), (40 + gap_ms, GOOD[cut:])])
    assert isinstance(outcome, Values)


@pytest.mark.parametrize("head", [3, 2, 1])
def test_a_head_of_the_reply_that_comes_for_ever_is_looked_at_once(head, monkeypatch):
    """Each byte may begin or end a few frames; that all which was heard is searched again with every piece
    would take the processor for longer than the wait itself."""
    looked_at: list[int] = []
    crc = frames.crc16

    def counted(data: bytes) -> int:
        looked_at.append(len(data))
        return crc(data)

    monkeypatch.setattr(frames, "crc16", counted)
    want = expect(request(125))
    pieces = [(n, want.header[:head]) for n in range(1, 3000)]
    outcome, at = play(pieces, want, 3000 * MS)
    assert isinstance(outcome, BadFrame)
    assert at <= 3000 + (TIMING.wire_ns(want.length) + TIMING.chunk_gap_ns) / MS
    assert sum(looked_at) <= 4 * outcome.heard * want.length


@given(st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_a_reply_behind_its_own_beginnings_is_found_in_whatever_pieces(seed):
    dice = random.Random(seed)
    lures = b"".join(GOOD[: dice.randrange(1, len(GOOD))] for _ in range(dice.randrange(4)))
    stream = lures + GOOD
    cuts = sorted(dice.sample(range(1, len(stream)), dice.randrange(min(6, len(stream)))))
    pieces = [
        (10 * (n + 1), stream[begin:end])
        for n, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(stream)], strict=True))
    ]
    outcome, _ = play(pieces)
    assert isinstance(outcome, Values)
    assert outcome.data == GOOD[3:-2]


@given(st.integers(1, 125), st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_reply_in_any_pieces_sixteen_ms_apart_is_joined(count, seed):
    want = expect(request(count))
    whole, chunks, at = reply(want), [], 20.0
    chooser = random.Random(seed)
    while whole:
        size = chooser.randint(1, 40)
        chunks.append((at, whole[:size]))
        whole, at = whole[size:], at + 16
    outcome, _ = play(chunks, want)
    assert isinstance(outcome, Values)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 6, 11])
def test_an_exception_is_an_answer(code):
    outcome, at = play([(5, refusal(WANT, code))])
    assert isinstance(outcome, DeviceException)
    assert outcome.code == code
    assert at < 30


@pytest.mark.parametrize("cut", range(2, len(GOOD)))
def test_a_truncated_reply_ends_by_silence_not_by_the_timeout(cut):
    outcome, at = play([(40, GOOD[:cut])])
    assert outcome == BadFrame(BadCause.SHORT, cut)
    assert at < 80


def test_a_damaged_reply_ends_by_silence():
    outcome, at = play([(40, GOOD[:-1] + b"\0")])
    assert outcome == BadFrame(BadCause.CRC, len(GOOD))
    assert at < 80


@pytest.mark.parametrize("noise", [b"\x00", b"\xff\xff", b"\x00\xff\x00\xff"])
def test_glitch_bytes_do_not_end_the_wait_for_the_reply(noise):
    outcome, _ = play([(0.5, noise), (400, GOOD)])
    assert isinstance(outcome, Values)


def test_glitch_bytes_alone_are_garbage_at_the_timeout():
    assert play([(0.5, b"\x00")]) == (BadFrame(BadCause.GARBAGE, 1), 500.0)


@pytest.mark.parametrize(
    ("foreign", "cause"),
    [
        (reply(request(unit=9)), BadCause.WRONG_UNIT),
        (reply(request(5)), BadCause.WRONG_COUNT),
        (refusal(request(unit=9)), BadCause.WRONG_UNIT),
    ],
)
def test_a_foreign_frame_does_not_end_the_wait_for_ours(foreign, cause):
    outcome, _ = play([(10, foreign), (200, GOOD)])
    assert isinstance(outcome, Values)
    outcome, at = play([(10, foreign)])
    assert outcome == BadFrame(cause, len(foreign))
    assert at == 500


PIECES = [WANT.request[first:last] for first in range(6) for last in range(first + 3, 9)]


def transaction_of(chunks):
    """The transaction itself, played to its end; chunks are (ms, bytes)."""
    made = Transaction(WANT, TIMING, TIMEOUT)
    made.sent(MonoNs(-TIMING.wire_ns(8)), MonoNs(-1))
    for at, data in chunks:
        made.receive(data, MonoNs(at * MS))
        made.step(MonoNs(at * MS))
    made.step(MonoNs(2000 * MS))
    return made


@pytest.mark.parametrize("piece", PIECES, ids=bytes.hex)
def test_an_echo_whole_or_in_part_does_not_end_the_wait(piece):
    outcome, at = play([(1, piece), (400, GOOD)])
    assert isinstance(outcome, Values)
    assert at == 400


@pytest.mark.parametrize("piece", PIECES, ids=bytes.hex)
def test_an_echo_alone_is_no_reply_and_is_counted(piece):
    ended = transaction_of([(1, piece)])
    assert (ended.outcome, ended.echo, ended.heard) == (NoReply(), True, 0)


@pytest.mark.parametrize("piece", PIECES, ids=bytes.hex)
@pytest.mark.parametrize("chunks", ["apart", "joined"])
def test_an_echo_before_a_reply_is_counted_and_not_timed(piece, chunks):
    """Timed from the echo, every reply would seem to come at once, and the timeout would shrink to that."""
    heard = [(1, piece), (400, GOOD)] if chunks == "apart" else [(400, piece + GOOD)]
    ended = transaction_of(heard)
    assert (ended.echo, ended.heard) == (True, len(GOOD))
    assert ended.outcome.latency_ns == 400 * MS - TIMING.wire_ns(len(GOOD))


def test_two_bytes_are_no_echo_but_a_reply_that_broke_off():
    outcome, at = play([(1, GOOD[:2])])
    assert outcome == BadFrame(BadCause.SHORT, 2)
    assert at < 60


@pytest.mark.parametrize("before", [b"\x00", refusal(expect(request(unit=9)))], ids=["glitch", "foreign"])
def test_what_stood_before_the_reply_is_not_its_first_byte(before):
    ended = transaction_of([(1, before), (400, GOOD)])
    assert ended.outcome.latency_ns == 400 * MS - TIMING.wire_ns(len(GOOD))


def test_the_local_echo_is_set_aside():
    outcome, _ = play([(0, WANT.request), (300, GOOD)])
    assert isinstance(outcome, Values)
    assert play([(0, WANT.request)])[0] == NoReply()


@pytest.mark.parametrize("bit", range(8 * 2))
def test_a_reply_damaged_in_its_first_bytes_ends_by_silence_too(bit):
    hurt = bytearray(GOOD)
    hurt[bit // 8] ^= 1 << bit % 8
    outcome, at = play([(40, bytes(hurt))])
    assert isinstance(outcome, BadFrame)
    assert at < 100


def test_bytes_after_the_reply_change_nothing():
    outcome, _ = play([(10, GOOD + b"\x00\xff\x00")])
    assert isinstance(outcome, Values)


def test_babble_is_bounded_in_time_and_memory():
    noise = random.Random(1)
    chunks = [(ms, noise.randbytes(10)) for ms in range(1, 5000)]
    outcome, at = play(chunks)
    assert isinstance(outcome, BadFrame)
    assert at <= 600


@given(st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=30)), max_size=12))
@settings(max_examples=150)
def test_no_bytes_at_any_time_make_values_or_an_endless_wait(chunks):
    outcome, at = play(chunks)
    assert not isinstance(outcome, Values)
    assert at <= 500 + TIMING.wire_ns(WANT.length) / MS + 31


@given(st.integers(0, 8 * len(GOOD) - 1), st.integers(0, len(GOOD)))
@settings(max_examples=100)
def test_a_flipped_bit_is_never_a_value_in_whatever_pieces(bit, cut):
    hurt = bytearray(GOOD)
    hurt[bit // 8] ^= 1 << bit % 8
    outcome, _ = play([(10, bytes(hurt[:cut])), (20, bytes(hurt[cut:]))])
    assert isinstance(outcome, BadFrame)


def test_the_first_look_is_at_the_earliest_end_of_the_reply():
    transaction = Transaction(WANT, TIMING, TIMEOUT)
    transaction.sent(MonoNs(0), MonoNs(1000))
    wait = transaction.step(MonoNs(1000))
    assert isinstance(wait, Wait)
    assert wait.quiet_until == TIMING.wire_ns(8) + TIMING.interframe_ns + TIMING.wire_ns(WANT.length)
    assert wait.until == TIMING.wire_ns(8) + TIMEOUT
