"""Frames are found whole, at every offset, and nothing else is ever taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import BadCause
from edge_agent.bus.wire import frames
from edge_agent.bus.wire.frames import crc16, diagnose, expect, find_reply, with_crc
from edge_agent.model import Area
from tests.unit.bus.helpers import refusal, reply, request

requests = st.builds(
    request,
    st.integers(1, 125),
    unit=st.integers(1, 247),
    area=st.sampled_from(Area),
    address=st.integers(0, 65000),
)


def slow_crc(data: bytes) -> int:
    """The standard's flow chart (Modbus over Serial Line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0xFFFF),
        (b"123456789", 0x4B37),
        (bytes((0x02, 0x07)), 0x1241),  # the standard's example, 6.2.2
        (bytes.fromhex("010300000002"), 0x0BC4),
    ],
)
def test_crc_is_the_standards(data, crc):
    assert crc16(data) == crc


@given(st.binary(max_size=260))
@settings(max_examples=200)
def test_crc_equals_the_flow_chart_and_is_zero_over_a_frame_with_its_crc(data):
    assert crc16(data) == slow_crc(data)
    assert crc16(with_crc(data)) == 0


def test_request_bytes_are_the_standards():
    # Modbus Application Protocol V1.1b3, 6.3: read 3 holding registers from 0x006B.
    assert frames.rtu_request(0x11, 3, 0x006B, 3)[:-2] == bytes.fromhex("11 03 006B 0003")


@pytest.mark.parametrize(
    ("area", "count", "length"),
    [(Area.HOLDING, 1, 7), (Area.INPUT, 125, 255), (Area.COIL, 1, 6), (Area.COIL, 8, 6),
     (Area.DISCRETE, 9, 7), (Area.COIL, 2000, 255)],
)  # fmt: skip
def test_length_of_the_reply_is_exact(area, count, length):
    assert expect(request(count, area=area)).length == length


@given(requests, st.data())
@settings(max_examples=150)
def test_reply_is_found_with_any_bytes_before_and_after(asked, data):
    want = expect(asked)
    good = reply(want, data.draw(st.binary(min_size=want.byte_count, max_size=want.byte_count)))
    if good == want.request:
        return
    before, after = data.draw(st.binary(max_size=8)), data.draw(st.binary(max_size=8))
    found = find_reply(before + good + after, want)
    assert found is not None
    assert found.data == good[3:-2]
    assert not found.code


@pytest.mark.parametrize("unit", range(1, 248))
def test_one_glitch_byte_of_any_value_costs_nothing_at_any_unit(unit):
    want = expect(request(2, unit=unit))
    good = reply(want)
    for glitch in range(256):
        found = find_reply(bytes((glitch,)) + good, want)
        assert found is not None, glitch
        assert found.data == good[3:-2]


@given(requests)
@settings(max_examples=60)
def test_no_part_of_a_reply_is_a_reply(asked):
    want = expect(asked)
    good = reply(want)
    for cut in range(len(good)):
        assert find_reply(good[:cut], want) is None
    for cut in range(1, len(good)):
        assert find_reply(good[cut:], want) is None


@given(requests, st.integers(1, 255), st.binary(max_size=6))
@settings(max_examples=100)
def test_exception_is_known_with_its_code(asked, code, before):
    want = expect(asked)
    found = find_reply(before + refusal(want, code), want)
    assert found is not None
    assert found.code == code


@given(requests)
@settings(max_examples=40)
def test_no_single_bit_flip_is_accepted(asked):
    want = expect(asked)
    for frame in (reply(want), refusal(want)):
        for bit in range(8 * len(frame)):
            hurt = bytearray(frame)
            hurt[bit // 8] ^= 1 << bit % 8
            assert find_reply(bytes(hurt), want) is None, bit


def test_an_exception_inside_register_data_is_not_believed():
    asked = request(6)
    want = expect(asked)
    hidden = refusal(want)
    whole = reply(want, b"\0\0" + hidden + bytes(5))
    assert find_reply(whole[:-1], want) is None
    found = find_reply(whole, want)
    assert found is not None
    assert not found.code


def test_an_echo_shaped_like_a_reply_is_not_a_reply():
    # 17 to 24 coils at 0x03xx: the request itself reads as unit, function, byte count 3, 3 bytes, CRC.
    asked = request(20, area=Area.COIL, address=0x0311)
    want = expect(asked)
    assert want.request[:3] == want.header
    assert len(want.request) == want.length
    assert find_reply(want.request, want) is None
    assert find_reply(want.request + reply(want), want) is not None


other = with_crc(bytes((9, 3, 2, 0, 1)))


@pytest.mark.parametrize(
    ("heard", "cause"),
    [
        (b"\x00\xff\x00", BadCause.GARBAGE),
        (reply(request())[:-1], BadCause.SHORT),
        (reply(request())[:2], BadCause.SHORT),
        (refusal(request())[:4], BadCause.SHORT),
        (reply(request())[:-1] + b"\x00", BadCause.CRC),
        (refusal(request())[:-1] + b"\x00", BadCause.CRC),
        (other, BadCause.WRONG_UNIT),
        (b"\xff" + other, BadCause.WRONG_UNIT),
        (reply(request(unit=2)), BadCause.WRONG_UNIT),
        (reply(request(area=Area.INPUT)), BadCause.WRONG_FUNCTION),
        (with_crc(bytes((1, 0x43, 4, 1, 2, 3, 4))), BadCause.WRONG_FUNCTION),
        (reply(request(3)), BadCause.WRONG_COUNT),
        (reply(request(1)), BadCause.WRONG_COUNT),
        (with_crc(bytes((1, 3, 6, 1, 2, 3, 4))), BadCause.WRONG_COUNT),
    ],
)
def test_what_was_heard_instead_is_named(heard, cause):
    want = expect(request())
    assert find_reply(heard, want) is None
    assert diagnose(heard, want) is cause


@given(st.binary(max_size=300), requests)
@settings(max_examples=200)
def test_any_bytes_get_a_cause(heard, asked):
    assert diagnose(heard, expect(asked)) in BadCause
