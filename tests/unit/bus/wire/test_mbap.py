"""Modbus TCP frames: whole, in parts, foreign, hostile."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bus.outcomes import BadCause, BadFrame, DeviceException, Values
from edge_agent.bus.wire.frames import expect
from edge_agent.bus.wire.mbap import Adu, StreamError, judge, take, tcp_request
from tests.unit.bus.helpers import request


def frame(unit: int, pdu: bytes, transaction_id: int = 7) -> bytes:
    return (
        transaction_id.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu
    )


def test_request_bytes_are_the_standards():
    # Modbus Messaging on TCP/IP V1.0b, annex A: read one register.
    assert tcp_request(0x1501, 0xFF, 3, 4, 1) == bytes.fromhex("1501 0000 0006 FF 03 0004 0001")


def test_a_frame_is_taken_when_it_is_whole_and_no_sooner():
    whole = frame(1, b"\x03\x04\x00\x01\x00\x02")
    for cut in range(len(whole)):
        assert take(whole[:cut]) is None
    assert take(whole + b"rest") == Adu(7, 1, b"\x03\x04\x00\x01\x00\x02", len(whole))


@pytest.mark.parametrize(
    ("unit", "pdu", "outcome"),
    [
        (1, b"\x03\x04\x00\x01\x00\x02", Values(b"\x00\x01\x00\x02", 5)),
        (1, b"\x83\x0b", DeviceException(11, 5)),
        (2, b"\x03\x04\x00\x01\x00\x02", BadFrame(BadCause.WRONG_UNIT, 13)),
        (1, b"\x04\x04\x00\x01\x00\x02", BadFrame(BadCause.WRONG_FUNCTION, 13)),
        (1, b"\x03\x02\x00\x01", BadFrame(BadCause.WRONG_COUNT, 11)),
        (1, b"\x03\x04\x00\x01", BadFrame(BadCause.WRONG_COUNT, 11)),
        (1, b"\x83\x00", BadFrame(BadCause.WRONG_COUNT, 9)),
        (1, b"\x83\x02\x00", BadFrame(BadCause.WRONG_COUNT, 10)),
    ],
)
def test_only_the_exact_reply_is_values(unit, pdu, outcome):
    adu = take(frame(unit, pdu))
    assert adu is not None
    assert judge(adu, expect(request()), 5) == outcome


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_a_frame_a_part_or_out_of_step(data):
    with contextlib.suppress(StreamError):
        adu = take(data)
        if adu is not None:
            judge(adu, expect(request()), 0)
