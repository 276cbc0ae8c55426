"""ASCII stands for the RTU frames it is the digits of, and for nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.lines.fake import FakePort
from edge_agent.bus.lines.serial_line import SerialLine
from edge_agent.bus.outcomes import BadCause, BadFrame, NoReply, Values
from edge_agent.bus.ports.ascii_port import AsciiPort, AsciiTracer, Characters
from edge_agent.bus.wire.ascii import LONGEST, NOISE, Decoder, encode, lrc
from edge_agent.bus.wire.frames import crc16, expect, find_frame, find_reply, with_crc
from edge_agent.bus.wire.manners import AdaptiveTimeout, Manners
from edge_agent.bus.wire.timing import ascii_timing, rtu_timing
from edge_agent.bus.wire.trace import Frame, render
from edge_agent.clock import FakeClock
from edge_agent.model import NS, Framing, MonoNs, SerialLink
from tests.unit.bus.helpers import reply, request
from tests.unit.bus.site import MS, InTurn, Rig, device, scattered, site

MESSAGES = st.binary(min_size=2, max_size=254)


def test_the_standards_example_of_an_lrc_and_a_frame():
    # Modbus over Serial Line V1.02, 2.5.2: a colon, two characters a byte, LRC, CR LF.
    assert encode(bytes.fromhex("0103006b0003")) == b":0103006B00038E\r\n"
    assert lrc(bytes.fromhex("0103006b0003")) == 0x8E
    assert lrc(b"") == 0


@given(MESSAGES, st.integers(1, 20))
def test_what_is_encoded_is_heard_as_its_rtu_frame_in_pieces_of_any_size(message, size):
    text = encode(message)
    decoder = Decoder()
    heard = b"".join(decoder.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert heard == with_crc(message)


@given(MESSAGES)
def test_small_letters_are_digits_too(message):
    assert Decoder().feed(encode(message).lower()) == with_crc(message)


@given(MESSAGES, st.binary(max_size=40))
def test_whatever_was_heard_before_costs_no_frame(message, noise):
    """A colon in the noise begins a frame that the real one's colon ends."""
    assert Decoder().feed(noise + encode(message)).endswith(with_crc(message))


@given(MESSAGES, st.data())
def test_a_changed_character_never_makes_a_right_crc(message, data):
    text = bytearray(encode(message))
    at = data.draw(st.integers(1, len(text) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda c: bytes((c,)).upper() != bytes((text[at],))))
    text[at] = new
    heard = Decoder().feed(bytes(text))
    assert len(heard) < 4 or crc16(heard) != 0


def test_every_character_between_frames_is_heard_as_noise_that_makes_no_frame():
    noise = bytes(c for c in range(256) if c != ord(":"))
    heard = Decoder().feed(noise * 3)
    assert heard == bytes((NOISE,)) * len(noise) * 3
    assert find_frame(heard[:600]) is None


def test_rtu_bytes_on_an_ascii_line_are_no_reply():
    want = expect(request())
    assert find_reply(Decoder().feed(reply(want)), want) is None


@pytest.mark.parametrize(
    "text", [b":0103\r\n", b":01\r\n", b":\r\n", b":01030\r\n", b":010300F\r\n", b":0103FC\n", b":0103FC\rX"]
)
def test_frames_that_are_none_are_not_believed(text):
    heard = Decoder().feed(text)
    assert len(heard) < 4 or crc16(heard) != 0


def test_an_endless_frame_is_noise_after_the_longest_there_is():
    decoder = Decoder()
    heard = decoder.feed(b":" + b"41" * LONGEST)
    assert heard == b"\x41" * (LONGEST - 1)
    assert decoder.feed(b"41" * 3)[-2:] == bytes((NOISE, NOISE))


# --- under the line -------------------------------------------------------------------------------


def text_reply(data: bytes, value: int | None = None) -> bytes:
    """The good reply to request characters: every register its own address, or `value`."""
    message = bytes.fromhex(data[1:-4].decode())
    address, count = int.from_bytes(message[2:4], "big"), message[5]
    words = [address + i if value is None else value for i in range(count)]
    return encode(bytes((message[0], message[1], 2 * count)) + b"".join(w.to_bytes(2, "big") for w in words))


class Bench:
    def __init__(self, respond):
        self.clock = FakeClock()
        link = SerialLink(path="x", baud=9600)
        timing = ascii_timing(rtu_timing(link))
        self.port = FakePort(self.clock, respond, rtu_timing(link).char_ns)
        self.frames: list[Frame] = []
        characters = Characters()
        self.line = SerialLine(
            lambda: AsciiPort(self.port, characters),
            timing,
            self.clock,
            manners={0: Manners(timeout=AdaptiveTimeout(200 * MS))},
            tracer=AsciiTracer("b", timing, self.clock, self.frames.append, characters),
        )
        self.line.open()

    def run(self, *plan):
        return [one.outcome for one in self.line.run(plan, MonoNs(self.clock.mono_ns() + 60 * NS))]


def test_the_trace_shows_the_characters_that_were_on_the_line():
    answers = iter([b":0103040007000AE7\r\n", b":0103?\x00"])
    bench = Bench(lambda data: [(MS, next(answers))])
    bench.run(request(), request())
    lines = [render(frame, MonoNs(0)) for frame in bench.frames]
    assert r":01030064000296\r\n  [unit 1 read holding 100-101]" in lines[0]
    assert r"<- :0103040007000AE7\r\n  [ok 2 registers]" in lines[1]
    assert r"<- :0103?\x00  [bad frame: short" in lines[3]


def test_an_echo_of_the_request_is_taken_away():
    bench = Bench(lambda data: [(0, data), (60 * MS, text_reply(data))])
    (outcome,) = bench.run(request())
    assert isinstance(outcome, Values)
    assert bench.line.counts.echoes == 1


def test_a_wrong_lrc_is_a_wrong_check_and_half_a_frame_is_short():
    good = text_reply(b":010300640002FF\r\n")
    answers = iter([good[:-4] + b"00\r\n", good[:12], b""])
    bench = Bench(lambda data: [(MS, next(answers))])
    wrong, half, nothing = bench.run(request(), request(), request())
    assert isinstance(wrong, BadFrame)
    assert wrong.cause is BadCause.CRC
    assert isinstance(half, BadFrame)
    assert half.cause is BadCause.SHORT
    assert nothing == NoReply()


@given(st.integers(0, 2**32), st.integers(1, 350))
@settings(max_examples=25, deadline=None)
def test_late_ascii_replies_never_give_another_requests_values(seed, late_ms):
    """A worker against a device that is late at random: each value belongs to its register."""
    chance, turns = random.Random(seed), {b"01": InTurn(), b"02": InTurn()}

    def respond(data):
        delay_ns = (late_ms if chance.random() < 0.3 else 5) * MS
        return [(turns[data[1:3]].delay_ns(rig.clock.mono_ns(), delay_ns), text_reply(data))]

    devices = [scattered("a", 1, 4, 400), device("b", 2, 2, 300)]
    link = SerialLink(path="x", framing=Framing.ASCII)
    rig = Rig(
        site(*devices, timeout_ns=150 * MS, link=link),
        respond=respond,
        wrap=lambda port: AsciiPort(port, Characters()),
    )
    rig.run(20)
    values = [block for block in rig.blocks if isinstance(block.outcome, Values)]
    assert values
    for block in values:
        assert isinstance(block.outcome, Values)
        assert int.from_bytes(block.outcome.data[:2], "big") == block.request.address


def test_a_peer_that_begins_for_ever_is_heard_as_noise():
    decoder = Decoder()
    assert decoder.feed(b":") == b""
    assert len(decoder.feed(b":::")) == 3
